// The page: signs in, loads the event, and shows the view that the URL names.

import { closePictures, get, openPictures, Refusal } from "./api.js";
import { openConsent } from "./consent.js";
import { confirm } from "./dialog.js";
import { button, el, fill, icon, iconButton, isTyping, write } from "./dom.js";
import { EventsList } from "./events_list.js";
import { History } from "./history.js";
import { lettersAreOn, openKeys } from "./keys.js";
import { openMerge } from "./merge.js";
import { People } from "./people.js";
import { PersonPage } from "./person.js";
import { Progress } from "./progress.js";
import * as decisions from "./review.js";
import { Review } from "./review.js";
import { signIn, signOut } from "./session.js";
import { Suggestions } from "./suggestions.js";
import { Toasts } from "./toast.js";
import { languageName, otherLanguage, speak, t, textFor } from "./words.js";

/** @import { Child, Decision, EventState, StateName, ToldDraft, Trouble, View } from "../types" */

const THEME = "trombi.theme";
const RETRY = 5000;
const QUESTIONS = 20;
const ASKED_FACES = 20;
const MAIN_VIEWS = /** @type {const} */ ([["people", "people"], ["suggestions", "spark"], ["history", "history"]]);

export class App {
  constructor() {
    this.eventId = /^\/events\/([0-9a-f-]{36})\/analyse\/?$/i.exec(location.pathname)?.[1] ?? "";
    /** @type {EventState | null} */
    this.event = null;
    this.review = new Review(this.eventId);
    this.progress = new Progress(this.eventId);
    this.main = elementOf("content");
    this.header = elementOf("top");
    this.toasts = new Toasts();
    this.notice = el("p", { class: "notice", role: "status" });
    this.notice.hidden = true;
    this.header.after(this.notice);
    document.body.append(this.toasts.element, this.toasts.polite, this.toasts.urgent);
  }

  /** @type {View | null} */
  #view = null;
  /** @type {People | null} */
  #people = null;
  /** @type {EventsList | null} */
  #list = null;
  #scroll = 0;
  /** @type {string | null} */
  #from = null;
  #retry = 0;
  #questions = { count: 0, more: false };
  /** @type {Map<string, HTMLAnchorElement>} */
  #nav = new Map();
  #started = false;
  #listening = false;

  get letters() {
    return lettersAreOn();
  }

  // ---------------------------------------------------------------- starting

  async start() {
    this.#applyTheme();
    await speak(t.language);
    this.#drawHeader();
    const known = await signIn(() => this.#signedInAnew());
    if (!known) this.#showState("unauthenticated");
    else await this.load();
  }

  async load() {
    clearTimeout(this.#retry);
    try {
      if (this.eventId) await this.#loadEvent();
      else await this.#loadList();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.#showState(this.stateOf(error), () => this.load());
      if (error.mayPass && error.status !== 401) this.#retry = setTimeout(() => this.load(), RETRY);
    }
  }

  async #loadList() {
    this.#list ??= new EventsList(this);
    fill(this.main, this.#list.element);
    await this.#list.load();
    this.setTitle(t.eventsTitle);
  }

  async #loadEvent() {
    this.#listen();
    // In parallel: the slowest request determines the time, not their sum.
    const persons = this.review.refresh();
    persons.catch(() => {});
    const [event] = await Promise.all([get(`/event/${this.eventId}`), openPictures()]);
    this.event = event;
    this.#drawHeader();
    if (event.role === "member") return this.#showState("forbidden");
    if (event.archived_at) return this.#showState("archived");
    if (!event.consent.enabled) return this.#showState("consent");
    this.#started = true;
    const people = this.#people ?? new People(this);
    this.#people = people;
    this.progress.start();
    this.#route(people);
    await persons;
    people.update();
    await this.#askQuestions();
    return undefined;
  }

  /** Called once, and only if there is an event. */
  #listen() {
    if (this.#listening) return;
    this.#listening = true;
    const { review, progress } = this;
    review.addEventListener("refused", ({ detail }) => this.#tellRefusal(detail.decision, detail.error));
    review.addEventListener("undone", () => this.toasts.tell(t.undone));
    review.addEventListener("trouble", ({ detail }) => this.#drawNotice(detail.before));
    review.addEventListener("decided", () => this.#drawNotice());
    review.addEventListener("settled", () => this.#drawNotice());
    let timer = 0;
    progress.addEventListener("persons", () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.#catchUp(), 300);
    });
    progress.addEventListener("change", () => this.#people?.update());
    progress.addEventListener("refused", ({ detail }) => this.#showState(this.stateOf(detail), () => this.load()));
    addEventListener("hashchange", () => this.#started && this.#people && this.#route(this.#people));
    addEventListener("offline", () => this.#drawNotice());
    addEventListener("online", () => {
      this.#drawNotice();
      this.#catchUp();
    });
    addEventListener("beforeunload", (event) => review.waiting > 0 && event.preventDefault());
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) progress.stop();
      else if (this.#started) {
        progress.start();
        this.#catchUp();
      }
    });
    document.addEventListener("keydown", (event) => this.#key(event));
    document.addEventListener("lost-focus", () => {
      if (document.querySelector("dialog[open]") || this.main.contains(document.activeElement)) return;
      if (this.#view === this.#people) this.#people?.takeFocus();
      else this.#view?.heading.focus({ preventScroll: true });
    });
  }

  /** Refresh what other organisers decided and what clustering found. */
  async #catchUp() {
    try {
      await this.review.refresh();
      await this.#askQuestions();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
    }
  }

  async #askQuestions() {
    if (this.#view instanceof Suggestions) return;
    const { items, next_cursor } = await get(`/event/${this.eventId}/suggestions?limit=${QUESTIONS}`);
    this.countQuestions(items.length, next_cursor !== null);
  }

  /**
   * @param {number} count
   * @param {boolean} more
   */
  countQuestions(count, more) {
    this.#questions = { count, more };
    this.#people?.showQuestions(count, more);
    this.#drawCount();
  }

  #signedInAnew() {
    if (!this.#started) {
      this.load();
      return;
    }
    openPictures().then(
      () => {
        for (const img of /** @type {NodeListOf<HTMLImageElement>} */ (document.querySelectorAll("img.broken[src]"))) img.src = img.getAttribute("src") ?? "";
      },
      () => {},
    );
    this.review.signedIn();
    this.progress.start();
    this.#drawNotice();
  }

  // ---------------------------------------------------------------- views

  /** @param {People} people */
  #route(people) {
    const [, name, id] = location.hash.split("/");
    const previous = this.#view;
    if (previous === people) {
      this.#scroll = scrollY;
      this.#from = document.activeElement?.closest(".card")?.getAttribute("data-id") ?? null;
    }
    if (previous instanceof PersonPage) this.#from = previous.id;
    const isFirst = previous === null;
    if (previous) {
      previous.leave();
      if (previous !== people) previous.element.remove();
    }
    people.element.hidden = true;
    /** @type {View} */
    let view = people;
    if (name === "person" && id) view = new PersonPage(this, id);
    else if (name === "suggestions") view = new Suggestions(this);
    else if (name === "history") view = new History(this);
    this.#view = view;

    if (isFirst) fill(this.main, people.element);
    if (view === people) {
      people.element.hidden = false;
      people.update();
    } else this.main.append(view.element);
    view.enter();
    this.setTitle(view.title);
    const current = name === "suggestions" || name === "history" ? name : "people";
    for (const [key, link] of this.#nav) {
      if (key === current) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    if (isFirst) return;
    if (view === people) {
      scrollTo({ top: this.#scroll, behavior: "instant" });
      /** @type {HTMLElement | null} */
      const card = this.#from === null ? null : people.list.querySelector(`[data-id="${CSS.escape(this.#from)}"] a`);
      (card ?? people.heading).focus({ preventScroll: true });
    } else {
      scrollTo({ top: 0, behavior: "instant" });
      view.heading.focus({ preventScroll: true });
    }
  }

  /** @param {string} title */
  setTitle(title) {
    document.title = [title, this.event?.name, t.appTitle].filter(Boolean).join(" · ");
  }

  // ---------------------------------------------------------------- states

  /** @param {Refusal} error */
  stateOf(error) {
    if (error.status === 0) return "offline";
    if (error.status === 401) return "unauthenticated";
    if (error.status === 403) return "forbidden";
    if (error.status === 404) return "not_found";
    return "error";
  }

  /**
   * @param {string} title
   * @param {string} text
   * @param {Child} [action]
   */
  messageBox(title, text, action = null) {
    return el("div", { class: "state" }, el("h2", {}, title), text && el("p", {}, text), action);
  }

  /**
   * @param {StateName} name
   * @param {(() => unknown) | null} [retry]
   */
  stateBox(name, retry = null) {
    if (name === "loading") return el("p", { class: "state", role: "status" }, t.states.loading[0]);
    const [title, text] = t.states[name];
    /** @type {{ [Name in StateName]?: HTMLElement }} */
    const actions = {
      not_found: el("a", { class: "button primary", href: "/events" }, t.eventsTitle),
      forbidden: el("a", { class: "button primary", href: "/events" }, t.eventsTitle),
      consent: button(t.consent.turnOn, () => openConsent(this), { look: "primary" }),
    };
    return this.messageBox(title, text, actions[name] ?? (retry && button(t.retry, retry, { look: "primary", shape: "undo" })));
  }

  /**
   * @param {StateName} name
   * @param {(() => unknown) | null} [retry]
   */
  #showState(name, retry = null) {
    this.#started = false;
    this.#view?.leave();
    this.#view = null;
    this.progress.stop();
    const box = this.stateBox(name, retry);
    const title = el("h1", {}, t.states[name][0]);
    box.querySelector("h2")?.replaceWith(title);
    fill(this.main, el("section", { class: "view" }, box));
    this.setTitle(t.states[name][0]);
    this.toasts.announce(t.states[name].join(". "));
  }

  /**
   * Run an action that may be refused, and report a refusal; return whether it succeeded.
   * @param {() => Promise<unknown>} work
   */
  async attempt(work) {
    try {
      await work();
      return true;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.toasts.tell(error.status === 0 ? t.states.offline.join(". ") : (textFor(t.refusals, error.code) ?? t.failed), { wrong: true });
      return false;
    }
  }

  // ---------------------------------------------------------------- decisions

  /**
   * Make a decision, confirm it, and offer to undo it.
   * @param {ToldDraft} made
   */
  decide(made) {
    const decision = this.review.decide(made);
    this.toasts.tell(made.told(t), { undo: () => this.review.undo(decision) });
    return decision;
  }

  /**
   * Make several decisions that are undone together.
   * @param {ToldDraft[]} made
   * @param {string} text
   */
  decideAll(made, text) {
    const all = made.map((one) => this.review.decide(one));
    const undo = () => {
      for (const decision of all.toReversed()) this.review.undo(decision);
    };
    this.toasts.tell(text, { undo });
  }

  /**
   * @param {Decision} decision
   * @param {Refusal} error
   */
  #tellRefusal(decision, error) {
    const { about } = decision;
    const person = about && this.review.person(about);
    if (error.code === "declined" && (decision.kind === "link" || decision.kind === "invite")) {
      this.#askAgain(decision);
      return;
    }
    if (error.code === "user_already_linked" && person && error.body.linked_person) {
      openMerge(this, [about, error.body.linked_person.id], { into: error.body.linked_person.id });
    }
    const text = error.code === "changed" ? t.conflict : (textFor(t.refusals, error.code) ?? t.failed);
    this.toasts.tell(`${t.notSaved}. ${text}`, { wrong: true });
  }

  /** @param {Decision} decision */
  async #askAgain(decision) {
    const { about, user, guest } = decision;
    if (!about) return;
    const name = user ? user.display_name || user.email || t.nameless : (guest?.email ?? "");
    const sure = await confirm({ title: t.declinedTitle, texts: [t.declinedText(name)], yes: t.declinedAgain });
    if (!sure) return;
    if (user) this.decide(decisions.link(this.review, about, user, { again: true }));
    else if (guest) this.decide(decisions.invite(this.review, about, { ...guest, again: true }));
  }

  /**
   * Ids of the other persons, the most similar first: to some faces, or (none given) to the person.
   * @param {string} id
   * @param {string[]} [faces]
   */
  async alikeTo(id, faces = []) {
    const query = faces.slice(0, ASKED_FACES).map((face) => `face_id=${face}`);
    try {
      return (await get(`/person/${id}/alike?${query.join("&")}`)).person_ids;
    } catch {
      return []; // then in the order of the list
    }
  }

  // ---------------------------------------------------------------- the shell

  #drawHeader() {
    const name = this.event?.name ?? t.appTitle;
    const links = MAIN_VIEWS.map(([key, shape]) => {
      const text = key === "people" ? t.review : t[key];
      const link = el("a", { href: key === "people" ? "#/" : `#/${key}` }, icon(shape), el("span", {}, text), key === "suggestions" && el("span", { class: "number" }));
      this.#nav.set(key, link);
      return link;
    });
    const other = otherLanguage();
    const switchTo = t.switchLanguage(languageName(other, t.language));
    const language = el(
      "button",
      { type: "button", class: "icon-button text", "aria-label": switchTo, title: switchTo, on: { click: () => this.#switchLanguage() } },
      other.toUpperCase(),
    );
    language.hidden = other === t.language;
    /** @type {HTMLSelectElement} */
    const theme = el(
      "select",
      { class: "input", "aria-label": t.theme, on: { change: () => this.#setTheme(theme.value) } },
      Object.entries(t.themes).map(([value, text]) => el("option", { value }, text)),
    );
    theme.value = localStorage.getItem(THEME) ?? "auto";
    const more = iconButton("more", t.menu, null);
    const openRecognition = () => {
      more.focus();
      menu.hidePopover();
      return openConsent(this);
    };
    const consent =
      this.event &&
      this.event.role !== "member" &&
      !this.event.archived_at &&
      button(t.consent.menu(this.event.consent.enabled), openRecognition, { look: "quiet" });
    /** @type {HTMLDivElement} */
    const menu = el(
      "div",
      { id: "menu", class: "menu", popover: "auto" },
      el("label", { class: "label" }, t.theme, theme),
      consent,
      el("a", { class: "button quiet", href: "/events" }, t.eventsTitle),
      button(t.signOut, () => this.#signOut(), { look: "quiet" }),
    );
    const skip = el("a", { class: "skip", href: "#content" }, t.skip);
    skip.addEventListener("click", (event) => {
      event.preventDefault();
      this.main.focus();
    });
    fill(
      this.header,
      skip,
      el("a", { class: "brand", href: "/events", "aria-label": `${t.appTitle} : ${t.eventsTitle}` }, logo()),
      el("p", { class: "event-name", title: name }, name),
      this.eventId && el("nav", { "aria-label": t.menu }, links),
      el("div", { class: "header-tools" }, language, iconButton("help", t.shortcuts, () => openKeys()), more, menu),
    );
    more.popoverTargetElement = menu;
    this.#drawCount();
  }

  #drawCount() {
    /** @type {HTMLElement | null | undefined} */
    const number = this.#nav.get("suggestions")?.querySelector(".number");
    if (!number) return;
    const { count, more } = this.#questions;
    write(number, count > 0 ? `${count}${more ? "+" : ""}` : "");
    number.hidden = count === 0;
  }

  /** @param {Trouble} [before] */
  #drawNotice(before = null) {
    const { trouble, waiting } = this.review;
    const isOffline = !navigator.onLine || trouble === "offline";
    const waits = waiting > 0 ? ` ${t.waiting(waiting)}.` : "";
    let text = "";
    if (trouble === "signed-out") text = `${t.states.unauthenticated.join(". ")}${waits}`;
    else if (isOffline) text = `${t.offline}${waits}`;
    else if (trouble === "busy") text = `${t.busy}${waits}`;
    write(this.notice, text);
    this.notice.hidden = text === "";
    if (before === "offline" && trouble === null) this.toasts.tell(t.online);
  }

  async #switchLanguage() {
    await speak(otherLanguage(), { remember: true });
    this.#drawHeader();
    this.progress.draw();
    if (this.#started && this.#people) {
      const { filter, query } = this.#people;
      const selection = new Set(this.#people.selection);
      this.#people.end();
      this.#view?.leave();
      this.#people = new People(this);
      Object.assign(this.#people, { filter, query, selection });
      this.#people.search.value = query;
      this.#view = null;
      this.#route(this.#people);
      this.#people.showQuestions(this.#questions.count, this.#questions.more);
    } else if (this.#list) {
      this.#list = null;
      this.load();
    } else this.load();
    this.#drawNotice();
    /** @type {HTMLElement | null} */
    const button = this.header.querySelector(".icon-button.text");
    button?.focus();
  }

  #applyTheme() {
    const theme = localStorage.getItem(THEME);
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
  }

  /** @param {string} theme */
  #setTheme(theme) {
    localStorage.setItem(THEME, theme);
    this.#applyTheme();
  }

  async #signOut() {
    await closePictures().catch(() => {});
    signOut();
    this.#showState("unauthenticated");
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey) return;
    if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
    const key = event.key.toLowerCase();
    if (key.length === 1 && !this.letters && key !== "?") return;
    let meant = true;
    if (key === "?") openKeys();
    else if (this.#started && this.#view?.key(event)) meant = true;
    else if (!this.#started) meant = false;
    else if (key === "z") meant = this.review.undoLast();
    else if (key === "s") location.hash = "#/suggestions";
    else if (key === "h") location.hash = "#/history";
    else if (key === "p") location.hash = "#/";
    else meant = false;
    if (meant) event.preventDefault();
  }
}

/** @param {string} id */
function elementOf(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}

function logo() {
  const mark = icon("people");
  mark.classList.add("logo");
  return mark;
}

new App().start();
