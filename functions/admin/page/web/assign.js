// The dialog that asks who a person is: a few photos, a list of members that is filtered while typing, and an invitation for
// people who are not members. With a queue of persons, it continues with the next one.

import { get, Refusal } from "./api.js";
import { openDialog } from "./dialog.js";
import { button, el, fill, icon, targetOf, write } from "./dom.js";
import { openInvite } from "./invite_dialog.js";
import { openMerge } from "./merge.js";
import { hasWords } from "./naming.js";
import { framedPhoto, initials, picture } from "./photo.js";
import * as decisions from "./review.js";
import { t } from "./words.js";

/** @import { Face, Member } from "../types" */
/** @import { App } from "./app.js" */

const PREVIEWS = 5;
const TYPING_PAUSE = 120;
const MAIL = /^[^\s@<>]+@[^\s@<>]+\.[^\s@<>]+$/;

/**
 * @param {App} app
 * @param {string[]} ids
 */
export function openAssign(app, ids, { isQueue = false } = {}) {
  return new AssignDialog(app, ids, isQueue);
}

class AssignDialog {
  /**
   * @param {App} app
   * @param {string[]} ids
   * @param {boolean} isQueue
   */
  constructor(app, ids, isQueue) {
    this.app = app;
    this.review = app.review;
    this.ids = ids;
    this.isQueue = isQueue;
    this.at = 0;
    /** @type {Map<string, Promise<Face[]>>} */
    this.faces = new Map();
    /** @type {Map<string, Member>} */
    this.members = new Map();
    /** @type {Member[]} */
    this.options = [];
    this.active = -1;
    this.previews = el("ul", { class: "previews", "aria-label": t.previews });
    this.status = el("p", { class: "visually-hidden", role: "status" });
    this.input = el("input", {
      id: "who",
      class: "input",
      type: "text",
      role: "combobox",
      autocomplete: "off",
      autocapitalize: "words",
      spellcheck: false,
      enterKeyHint: "done",
      "aria-autocomplete": "list",
      "aria-expanded": "true",
      "aria-controls": "who-list",
      "aria-describedby": "who-hint",
    });
    this.input.addEventListener("input", () => this.#search());
    this.input.addEventListener("keydown", (event) => this.#key(event));
    this.list = el("ul", { id: "who-list", class: "options", role: "listbox", "aria-label": t.members });
    this.list.addEventListener("click", (event) => {
      const option = targetOf(event)?.closest("[role=option]");
      if (option) this.#choose(Number(option.getAttribute("data-index")));
    });
    // Pressing an option keeps the focus in the field.
    this.list.addEventListener("pointerdown", (event) => event.preventDefault());
    this.none = el("p", { class: "quiet-text" });
    this.inviteButton = button(t.inviteOther, () => this.#invite(), { look: "quiet", shape: "mail" });
    this.ignoreButton = button(t.ignore, () => this.#ignore(), { look: "quiet", shape: "eyeOff", title: t.means.ignore });
    this.skipButton = button(t.skipPerson, () => this.#next(), { look: "quiet", shape: "next" });
    this.skipButton.hidden = !this.isQueue;
    // On a phone, the keyboard would cover the faces at once.
    const hasKeyboard = matchMedia("(hover: hover)").matches;
    this.dialog = openDialog({
      title: t.assignTitle,
      look: "assign",
      body: [
        this.previews,
        el(
          "div",
          { class: "chooser" },
          el("label", { class: "label", htmlFor: "who" }, t.assignInput),
          this.input,
          el("p", { id: "who-hint", class: "visually-hidden" }, t.assignHint),
          this.status,
          this.none,
          this.list,
        ),
      ],
      foot: [this.inviteButton, this.ignoreButton, this.skipButton],
      first: hasKeyboard ? this.input : null,
    });
    this.hasKeyboard = hasKeyboard;
    this.#show();
  }

  /** @type {AbortController | null} */
  #asking = null;
  #timer = 0;

  get id() {
    return this.ids[this.at];
  }

  // ---------------------------------------------------------------- one person

  async #show() {
    const id = this.id;
    if (this.isQueue) {
      this.dialog.note.textContent = t.assignPlace(this.at + 1, this.ids.length);
      this.dialog.note.hidden = false;
    }
    this.input.value = "";
    this.#search();
    const person = this.review.person(id);
    this.ignoreButton.hidden = person?.status !== "pending" && person?.status !== "invited";
    fill(this.previews, person?.cover_url && el("li", {}, picture(person.cover_url, { eager: true })));
    const faces = await this.#facesOf(id);
    if (id !== this.id || !this.dialog.element.isConnected) return;
    const others = faces.filter((face) => face.id !== person?.cover_face_id);
    const shown = (others.length > 0 ? others : faces).slice(0, PREVIEWS - 1);
    fill(
      this.previews,
      person?.cover_url && el("li", {}, picture(person.cover_url, { eager: true })),
      shown.map((face, index) =>
        el("li", {}, framedPhoto(face, { zoom: 2.8, eager: true, alt: t.preview(index + 1, shown.length) })),
      ),
    );
    if (this.isQueue && this.at + 1 < this.ids.length) this.#facesOf(this.ids[this.at + 1]);
  }

  /** @param {string} id */
  async #facesOf(id) {
    let asked = this.faces.get(id);
    if (!asked) {
      asked = get(`/person/${id}/faces?limit=${PREVIEWS}`).then(({ items }) => items);
      this.faces.set(id, asked);
      asked.catch(() => this.faces.delete(id));
    }
    return asked.catch(() => []);
  }

  /** Show the next person of the queue; close the dialog after the last one, or without a queue. */
  #next() {
    do this.at += 1;
    while (this.at < this.ids.length && this.review.person(this.id)?.status !== "pending");
    if (this.at >= this.ids.length) {
      this.dialog.close();
      return;
    }
    this.#show();
    (this.hasKeyboard ? this.input : this.dialog.heading).focus();
    if (!this.hasKeyboard) this.app.toasts.announce(t.assignPlace(this.at + 1, this.ids.length));
  }

  // ---------------------------------------------------------------- the members

  #search() {
    const query = this.input.value.trim();
    // Show the members that are loaded already; the answer may add more.
    this.#list([...this.members.values()].filter((member) => this.#fits(member, query)), query, false);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ask(query), this.members.size > 0 && query ? TYPING_PAUSE : 0);
  }

  /**
   * @param {Member} member
   * @param {string} query
   */
  #fits(member, query) {
    return !query || hasWords(member.display_name ?? "", query) || (member.email ?? "").toLowerCase().startsWith(query.toLowerCase());
  }

  /** @param {string} query */
  async #ask(query) {
    this.#asking?.abort();
    this.#asking = new AbortController();
    try {
      const asked = encodeURIComponent(query.slice(0, 100));
      const { items } = await get(`/event/${this.review.eventId}/members?q=${asked}`, { signal: this.#asking.signal });
      for (const member of items) this.members.set(member.id, member);
      this.#list(items, query, true);
    } catch (error) {
      if (error instanceof Refusal) this.#list([...this.members.values()].filter((member) => this.#fits(member, query)), query, true);
      else if (!(error instanceof DOMException && error.name === "AbortError")) throw error;
    }
  }

  /**
   * @param {Member[]} members
   * @param {string} query
   * @param {boolean} isAnswer
   */
  #list(members, query, isAnswer) {
    const chosen = this.options[this.active]?.id;
    // Members who are not linked to a person yet come first.
    /** @param {Member} member */
    const isNew = (member) => this.#personOf(member) === undefined;
    this.options = [...members.filter(isNew), ...members.filter((member) => !isNew(member))];
    fill(
      this.list,
      this.options.map((member, index) => this.#option(member, index)),
    );
    this.list.hidden = this.options.length === 0;
    this.input.setAttribute("aria-expanded", String(this.options.length > 0));
    const kept = this.options.findIndex((member) => member.id === chosen);
    this.#activate(kept >= 0 && !isAnswer ? kept : query && this.options.length > 0 ? 0 : -1);
    this.none.textContent = isAnswer && this.options.length === 0 ? (query ? t.noMember : t.noMembers) : "";
    if (isAnswer && query) this.status.textContent = t.membersFound(this.options.length);
    write(this.inviteButton.lastChild, MAIL.test(query) ? t.inviteThis(query) : t.inviteOther);
  }

  /**
   * The person that a member is linked to, unless it is the person in question.
   * @param {Member} member
   */
  #personOf(member) {
    const linked = this.review.persons().find((person) => person.linked_user?.id === member.id);
    if (linked && linked.id !== this.id) return linked.id;
    return linked ? undefined : member.person_ids.find((id) => id !== this.id && this.review.person(id)?.status === "linked");
  }

  /**
   * @param {Member} member
   * @param {number} index
   */
  #option(member, index) {
    const other = this.#personOf(member);
    const person = other === undefined ? undefined : this.review.person(other);
    const name = member.display_name || member.email || t.nameless;
    return el(
      "li",
      { id: `who-${index}`, role: "option", class: "option", "aria-selected": "false", data: { index } },
      person?.cover_url ? picture(person.cover_url, { size: 44, eager: true }) : initials(name),
      el(
        "span",
        { class: "option-text" },
        el("strong", {}, name),
        member.email && member.display_name && el("small", {}, member.email),
        other && el("small", {}, person ? t.alreadyPerson(person.photo_count) : t.alreadyPersonShort),
      ),
      other && icon("merge"),
    );
  }

  /** @param {number} index */
  #activate(index) {
    this.active = index;
    for (const [at, option] of [...this.list.children].entries()) option.setAttribute("aria-selected", String(at === index));
    const option = this.list.children[index];
    if (option) {
      this.input.setAttribute("aria-activedescendant", option.id);
      option.scrollIntoView({ block: "nearest" });
    } else this.input.removeAttribute("aria-activedescendant");
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const last = this.options.length - 1;
    if (event.key === "ArrowDown") this.#activate(Math.min(this.active + 1, last));
    else if (event.key === "ArrowUp") this.#activate(Math.max(this.active - 1, 0));
    else if (event.key === "Enter" && this.active >= 0) this.#choose(this.active);
    else if (event.key === "Enter" && MAIL.test(this.input.value.trim())) this.#invite();
    else if (event.key !== "Enter") return;
    event.preventDefault();
  }

  // ---------------------------------------------------------------- answers

  /** @param {number} index */
  #choose(index) {
    const member = this.options[index];
    const other = this.#personOf(member);
    if (other && this.review.person(other)) {
      openMerge(this.app, [this.id, other], { into: other, onDone: () => this.#next() });
      return;
    }
    this.app.decide(decisions.link(this.review, this.id, member));
    this.#next();
  }

  #ignore() {
    this.app.decide(decisions.ignore(this.review, this.id));
    this.#next();
  }

  #invite() {
    const text = this.input.value.trim();
    openInvite(this.app, this.id, { email: text.includes("@") ? text : "", onDone: () => this.#next() });
  }
}
