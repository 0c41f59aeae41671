// The grid: a card for every person, filters above it, and actions for the selection below it.

import { openAssign } from "./assign.js";
import { breathe, button, el, fill, icon, iconButton, isTyping, stepTo, targetOf, write } from "./dom.js";
import { openInvite } from "./invite_dialog.js";
import { openMerge } from "./merge.js";
import { hasWords, nameOf, titleOf } from "./naming.js";
import { FacesOfNobody } from "./nobody.js";
import { picture } from "./photo.js";
import * as decisions from "./review.js";
import { t, textFor } from "./words.js";

/** @import { Person, StateName, Status } from "../types" */
/** @import { App } from "./app.js" */

/** @import { Words } from "../../../../shared/languages/words" */
/** @typedef {keyof Words["filters"]} Filter */

const AT_ONCE = 24; // cards that are made before the page is painted again
/** @type {Record<Filter, (person: Person) => boolean>} */
const FILTERS = {
  open: (person) => person.status === "pending",
  linked: (person) => person.status === "linked",
  invited: (person) => person.status === "invited",
  ignored: (person) => person.status === "ignored",
  all: (person) => person.status !== "ignored",
};

export class People {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.review = app.review;
    /** @type {Filter} */
    this.filter = "open";
    this.query = "";
    /** @type {Set<string>} */
    this.selection = new Set();
    this.heading = el("h1", { tabIndex: -1 }, t.gridTitle);
    this.questions = el("div", { class: "questions" });
    this.questions.hidden = true;
    const chips = /** @type {Filter[]} */ (Object.keys(FILTERS)).map((name) => {
      const number = el("span", { class: "number" });
      const chip = el(
        "button",
        { type: "button", class: "chip", on: { click: () => this.show(name) } },
        el("span", {}, t.filters[name]),
        number,
      );
      this.#chips.set(name, { chip, number });
      return chip;
    });
    /** @type {HTMLInputElement} */
    this.search = el("input", {
      type: "search",
      class: "input",
      placeholder: t.search,
      "aria-label": t.search,
      autocomplete: "off",
      on: { input: () => this.#find(this.search.value.trim()) },
    });
    this.order = el(
      "select",
      { class: "input", "aria-label": t.order, on: { change: () => this.#reorder() } },
      Object.entries(t.orders).map(([value, text]) => el("option", { value }, text)),
    );
    this.order.value = this.review.order;
    this.start = button("", () => this.identify(), { look: "primary large", shape: "spark" });
    this.list = el("ul", { class: "cards", "aria-label": t.review, on: { click: (event) => this.#click(event) } });
    this.list.addEventListener("change", (event) => this.#pick(event));
    this.list.addEventListener("keydown", (event) => this.#walk(event));
    this.state = el("div", {});
    this.barText = el("p", { role: "status" });
    this.mergeButton = button("", () => openMerge(this.app, [...this.selection], { onDone: () => this.clear() }), {
      look: "primary",
      shape: "merge",
    });
    this.ignoreButton = button("", () => this.#ignoreSelection(), { look: "quiet" });
    this.bar = el(
      "div",
      { class: "bar", role: "region", "aria-label": t.selectPerson },
      this.barText,
      this.mergeButton,
      this.ignoreButton,
      iconButton("close", t.clearSelection, () => this.#clearByHand()),
    );
    this.bar.hidden = true;
    this.element = el(
      "section",
      { class: "view people" },
      el("div", { class: "lead" }, this.heading, this.app.progress.element),
      this.questions,
      el("div", { class: "start" }, this.start),
      el(
        "div",
        { class: "tools" },
        el("div", { class: "chips", role: "group", "aria-label": t.filterLabel }, chips),
        el("div", { class: "finders" }, el("label", { class: "search" }, icon("search"), this.search), this.order),
      ),
      this.list,
      this.state,
      new FacesOfNobody(this.app).element,
      this.bar,
    );
    this.review.addEventListener("change", this.#follow);
  }

  #follow = () => this.update();
  /** @type {Map<string, Card>} */
  #cards = new Map();
  #drawing = 0;
  /** @type {Map<Filter, { chip: HTMLButtonElement, number: HTMLElement }>} */
  #chips = new Map();
  /** @type {number | null} */
  #gap = null; // where a card was that left last

  get title() {
    return t.gridTitle;
  }

  // ---------------------------------------------------------------- showing

  /** @param {Filter} filter */
  show(filter) {
    this.filter = filter;
    this.clear();
    this.update();
    this.app.toasts.announce(t.shown(this.shown().length));
  }

  /** @param {string} query */
  #find(query) {
    this.query = query;
    this.update();
  }

  /** The persons that match the filter and the search. */
  shown() {
    const fits = FILTERS[this.filter];
    return this.review
      .persons()
      .filter((person) => fits(person) && (!this.query || hasWords(nameOf(person) ?? "", this.query)));
  }

  /** Update the cards to the state. Many new cards are created in small batches. */
  async update() {
    const drawing = ++this.#drawing;
    const held = this.list.contains(document.activeElement) ? (document.activeElement?.closest(".card") ?? null) : null;
    const place = held ? [...this.list.children].indexOf(held) : -1;
    const what = document.activeElement?.getAttribute("data-do") ?? null;

    const persons = this.review.persons();
    for (const [name, { chip, number }] of this.#chips) {
      write(number, String(persons.filter(FILTERS[name]).length));
      chip.setAttribute("aria-pressed", String(name === this.filter));
    }
    const shown = this.shown();
    const wanted = new Set(shown.map((person) => person.id));
    for (const [id, card] of this.#cards) {
      if (!wanted.has(id) && card.element.isConnected) {
        this.#gap = [...this.list.children].indexOf(card.element);
        card.element.remove();
      }
      if (!this.review.person(id)) {
        this.#cards.delete(id);
        this.selection.delete(id);
      }
    }
    this.#drawState(shown, persons);
    let made = 0;
    for (const [index, person] of shown.entries()) {
      let card = this.#cards.get(person.id);
      if (!card) {
        card = new Card(person);
        this.#cards.set(person.id, card);
        made += 1;
      }
      card.draw(person, this.selection.has(person.id));
      if (this.list.children[index] !== card.element) this.list.insertBefore(card.element, this.list.children[index] ?? null);
      if (made === AT_ONCE) {
        made = 0;
        await breathe();
        if (drawing !== this.#drawing) return;
      }
    }
    if (held && !held.isConnected) this.#focusCard(Math.min(place, shown.length - 1), what);
    this.#drawBar();
  }

  /**
   * @param {Person[]} shown
   * @param {Person[]} persons
   */
  #drawState(shown, persons) {
    const open = persons.filter(FILTERS.open);
    const loaded = this.review.loaded;
    this.start.hidden = this.filter !== "open" || open.length === 0 || this.query !== "";
    write(this.start.lastChild, t.start(open.length));
    this.list.hidden = shown.length === 0;
    if (shown.length > 0 || !loaded) {
      if (loaded) fill(this.state);
      return;
    }
    /** @type {Record<Filter, StateName | null>} */
    const named = {
      open: persons.length > 0 ? "done" : null,
      linked: "noneLinked",
      invited: "noneInvited",
      ignored: "noneIgnored",
      all: null,
    };
    const name = this.query ? "noneFound" : (named[this.filter] ?? this.app.progress.emptyState());
    fill(this.state, this.app.stateBox(name));
  }

  /**
   * The number of open suggestions.
   * @param {number} count
   * @param {boolean} more
   */
  showQuestions(count, more) {
    this.questions.hidden = count === 0;
    if (count === 0) return;
    fill(
      this.questions,
      icon("people"),
      el("div", {}, el("strong", {}, t.questions(count, more)), el("p", {}, t.questionsWhy)),
      el("a", { class: "button primary", href: "#/suggestions" }, t.answerThem),
    );
  }

  async #reorder() {
    this.review.order = this.order.value;
    await this.app.attempt(() => this.review.refresh({ reorder: true }));
  }

  // ---------------------------------------------------------------- acting

  /** @param {Event} event */
  #click(event) {
    const done = targetOf(event)?.closest("[data-do]");
    const id = done?.closest(".card")?.getAttribute("data-id");
    if (done && id) this.act(done.getAttribute("data-do"), id);
  }

  /**
   * @param {string | null} what
   * @param {string} id
   */
  act(what, id) {
    const person = this.review.person(id);
    if (!person) return;
    if (what === "assign") openAssign(this.app, [id]);
    else if (what === "invite") openInvite(this.app, id);
    else if (what === "ignore") this.app.decide(decisions.ignore(this.review, id));
    else if (what === "restore") this.app.decide(decisions.restore(this.review, id));
    else if (what === "unlink") this.app.decide(decisions.unlink(this.review, id));
  }

  /** Go through all persons that are not identified yet. */
  identify() {
    const open = this.review.persons().filter(FILTERS.open);
    if (open.length > 0) openAssign(this.app, open.map((person) => person.id), { isQueue: true });
  }

  // ---------------------------------------------------------------- selecting

  /** @param {Event} event */
  #pick(event) {
    const box = targetOf(event);
    const id = box?.closest(".card")?.getAttribute("data-id");
    if (id && box instanceof HTMLInputElement && box.matches(".pick input")) this.#select(id, box.checked);
  }

  /**
   * @param {string} id
   * @param {boolean} on
   */
  #select(id, on) {
    if (on) this.selection.add(id);
    else this.selection.delete(id);
    const person = this.review.person(id);
    if (person) this.#cards.get(id)?.draw(person, on);
    this.#drawBar();
  }

  clear() {
    for (const id of [...this.selection]) this.#select(id, false);
  }

  #clearByHand() {
    this.clear();
    this.heading.focus();
  }

  #drawBar() {
    const persons = [...this.selection].map((id) => this.review.person(id)).filter((person) => person !== undefined);
    this.bar.hidden = persons.length === 0;
    // Only the visible view sets the class.
    if (!this.element.hidden) document.body.classList.toggle("has-bar", persons.length > 0);
    if (persons.length === 0) return;
    const photos = persons.reduce((sum, person) => sum + person.photo_count, 0);
    write(this.barText, t.selected(persons.length, photos));
    write(this.mergeButton.lastChild, persons.length < 2 ? t.mergeNeeds : t.mergeSelected(persons.length));
    this.mergeButton.disabled = persons.length < 2;
    const open = persons.filter((person) => person.status === "pending" || person.status === "invited");
    write(this.ignoreButton.lastChild, t.ignoreSelected(persons.length));
    this.ignoreButton.hidden = open.length < persons.length;
  }

  #ignoreSelection() {
    const made = [...this.selection].map((id) => decisions.ignore(this.review, id));
    this.clear();
    this.app.decideAll(made, t.told.ignore(made.length));
  }

  // ---------------------------------------------------------------- keyboard

  /**
   * Arrow keys move between cards, to the same control of the next card.
   * @param {KeyboardEvent} event
   */
  #walk(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const to = stepTo(event, this.list, ".card")?.to;
    if (to === undefined) return;
    event.preventDefault();
    this.#focusCard(to, targetOf(event)?.getAttribute("data-do") ?? null);
  }

  /**
   * @param {number} index
   * @param {string | null} what
   */
  #focusCard(index, what) {
    const card = this.list.children[index];
    const same = /** @type {HTMLElement | null | undefined} */ (card?.querySelector(`[data-do="${what}"]:not([hidden])`));
    const target = same ?? card?.querySelector("a");
    (target ?? this.heading).focus();
  }

  /** Restore the focus after its card was removed: to the card that is now at that position. */
  takeFocus() {
    const last = this.list.children.length - 1;
    if (this.#gap === null || last < 0) this.heading.focus({ preventScroll: true });
    else this.#focusCard(Math.min(this.#gap, last), null);
  }

  /**
   * Handle a typed letter; returns true if it is a shortcut.
   * @param {KeyboardEvent} event
   */
  key(event) {
    if (isTyping(event.target)) return false;
    const id = targetOf(event)?.closest(".card")?.getAttribute("data-id");
    const person = id && this.review.person(id);
    const key = event.key.toLowerCase();
    if (key === "/") this.search.focus();
    else if (key === "n") this.identify();
    else if (key === "m" && this.selection.size > 1) openMerge(this.app, [...this.selection], { onDone: () => this.clear() });
    else if (key === "escape" && this.selection.size > 0) this.clear();
    else if (!person) return false;
    else if (key === "x") this.#select(person.id, !this.selection.has(person.id));
    else if (key === "a" && person.status !== "linked") this.act("assign", person.id);
    else if (key === "i" && person.status !== "linked") this.act("invite", person.id);
    else if (key === "g" && person.status === "ignored") this.act("restore", person.id);
    else if (key === "g" && person.status !== "linked") this.act("ignore", person.id);
    else return false;
    return true;
  }

  enter() {
    this.#drawBar();
  }

  leave() {
    document.body.classList.remove("has-bar");
  }

  /** Never shown again. */
  end() {
    this.#drawing += 1;
    this.review.removeEventListener("change", this.#follow);
  }
}

/** The buttons of a card, the most likely first. */
/** @type {Record<Status, ("assign" | "invite" | "ignore" | "unlink" | "restore")[]>} */
const ACTIONS = {
  pending: ["assign", "invite", "ignore"],
  invited: ["assign", "unlink", "ignore"],
  linked: ["unlink"],
  ignored: ["restore"],
};

class Card {
  /** @param {Person} person */
  constructor(person) {
    this.image = picture(null);
    this.cover = el("a", { class: "cover", href: `#/person/${person.id}` }, this.image);
    this.box = el("input", { type: "checkbox" });
    this.name = el("p", { class: "name" });
    this.badge = el("span", { class: "badge" });
    this.count = el("span", { class: "count" });
    this.actions = el("div", { class: "actions" });
    this.element = el(
      "li",
      { class: "card", data: { id: person.id } },
      this.cover,
      el("label", { class: "pick", title: t.selectPerson }, this.box),
      el("div", { class: "about" }, this.name, el("p", { class: "facts" }, this.count, this.badge)),
      this.actions,
    );
  }

  /** @type {Person | null} */
  #drawn = null;

  /**
   * @param {Person} person
   * @param {boolean} isSelected
   */
  draw(person, isSelected) {
    if (this.box.checked !== isSelected) this.box.checked = isSelected;
    this.element.classList.toggle("selected", isSelected);
    if (this.#drawn === person) return;
    const before = this.#drawn;
    this.#drawn = person;
    const title = titleOf(person);
    const spoken = `${title}, ${t.photos(person.photo_count)}, ${t.status[person.status]}`;
    write(this.name, title);
    this.name.classList.toggle("open", nameOf(person) === null);
    write(this.count, t.photos(person.photo_count));
    write(this.badge, t.status[person.status]);
    this.cover.setAttribute("aria-label", spoken);
    this.box.setAttribute("aria-label", `${t.selectPerson} : ${title}, ${t.photos(person.photo_count)}`);
    if (before?.cover_url !== person.cover_url) {
      if (person.cover_url) this.image.src = person.cover_url;
      else this.image.classList.add("broken");
    }
    if (before?.status === person.status) return;
    this.element.dataset.status = person.status;
    const words = { ...t, unlink: person.status === "invited" ? t.withdraw : t.unlink };
    fill(
      this.actions,
      ACTIONS[person.status].map((what, index) =>
        el(
          "button",
          {
            type: "button",
            class: `button ${index === 0 && what === "assign" ? "tinted" : "quiet"} do-${what}`,
            data: { do: what },
            "aria-label": `${words[what]} : ${title}, ${t.photos(person.photo_count)}`,
            title: textFor(t.means, what === "unlink" && person.status === "invited" ? "withdraw" : what),
          },
          words[what],
        ),
      ),
    );
  }
}
