// The event's decisions, who made them, and how to undo them.

import { get, Refusal } from "./api.js";
import { button, el, fill } from "./dom.js";
import { titleOf } from "./naming.js";
import { picture } from "./photo.js";
import { userId } from "./session.js";
import { t, textFor, when } from "./words.js";

/** @import { DecisionInHistory, Person } from "../types" */
/** @import { App } from "./app.js" */

/** @typedef {{ person_id?: string, faces?: number, kind?: string, merged_person_ids?: string[], user_id?: string }} Subject */

const PAGE = 50;

export class History {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.review = app.review;
    /** @type {DecisionInHistory[]} */
    this.items = [];
    this.heading = el("h1", { tabIndex: -1 }, t.historyTitle);
    this.list = el("ol", { class: "history", "aria-label": t.historyTitle });
    this.state = el("div", {});
    this.more = button(t.loadMore, () => this.#load(this.#cursor), { look: "quiet" });
    this.more.hidden = true;
    this.element = el(
      "section",
      { class: "view" },
      el("div", { class: "lead" }, this.heading, el("p", { class: "quiet-text" }, t.historyText)),
      this.list,
      this.state,
      el("div", { class: "start" }, this.more),
    );
    this.#unfollow = this.review.follow({ settled: () => this.reload(), refused: () => this.reload() });
    fill(this.state, this.app.stateBox("loading"));
    this.reload();
  }

  #unfollow;
  /** @type {number | null} */
  #cursor = null;
  #turn = 0;

  get title() {
    return t.historyTitle;
  }

  async reload() {
    await this.#load(null);
  }

  /** @param {number | null} cursor */
  async #load(cursor) {
    const turn = ++this.#turn;
    try {
      const after = cursor ? `&cursor=${cursor}` : "";
      const { items, next_cursor } = await get(`/event/${this.review.eventId}/decisions?limit=${PAGE}${after}`);
      if (turn !== this.#turn) return;
      this.items = cursor ? [...this.items, ...items] : items;
      this.#cursor = next_cursor;
      this.#draw();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      fill(this.state, this.app.stateBox(this.app.stateOf(error), () => this.reload()));
    }
  }

  #draw() {
    const held = document.activeElement?.closest(".history li")?.getAttribute("data-id");
    this.more.hidden = this.#cursor === null;
    fill(this.list, this.items.map((item) => this.#row(item)));
    if (this.items.length > 0) fill(this.state);
    else fill(this.state, this.app.messageBox(t.noHistory, t.noHistoryText, el("a", { class: "button primary", href: "#/" }, t.review)));
    if (!held) return;
    /** @type {HTMLElement | null} */
    const button = this.list.querySelector(`[data-id="${held}"] button`);
    (button ?? this.heading).focus();
  }

  /** @param {DecisionInHistory} item */
  #row(item) {
    const { person_id: about } = /** @type {Subject} */ (item.subject);
    const person = about ? this.review.person(about) : undefined;
    const words = this.#words(item, person);
    const who = item.actor_id === null ? (item.kind === "decline" ? t.guest : t.somebody) : item.actor_id === userId() ? t.you : item.actor_name || t.somebody;
    return el(
      "li",
      { class: item.undone ? "undone" : "", data: { id: item.id } },
      person ? el("a", { href: `#/person/${person.id}`, "aria-label": titleOf(person) }, picture(person.cover_url, { size: 48 })) : el("span", { class: "no-picture" }),
      el(
        "div",
        { class: "what" },
        el("p", {}, el("strong", {}, who), " ", words),
        el("p", { class: "quiet-text" }, el("time", { dateTime: item.created_at }, when(item.created_at)), item.undone ? ` · ${t.undoneMark}` : null),
      ),
      item.can_undo && button(t.undo, () => this.#undo(item), { look: "quiet", shape: "undo", "aria-label": `${t.undo} : ${words}` }),
    );
  }

  /**
   * @param {DecisionInHistory} item
   * @param {Person | undefined} person
   */
  #words({ kind, subject }, person) {
    const { faces = 0, kind: undone = "", merged_person_ids: merged = [], user_id: user } = /** @type {Subject} */ (subject);
    switch (kind) {
      case "link":
        return t.did.link(person && person.linked_user?.id === user ? titleOf(person) : t.persons(1), faces);
      case "merge":
        return t.did.merge(merged.length + 1, faces);
      case "undo":
        return t.did.undo(textFor(t.kinds, undone) ?? "");
      default:
        return t.did[kind](faces);
    }
  }

  /** @param {DecisionInHistory} item */
  async #undo(item) {
    try {
      await this.review.undoById(item.id);
      this.app.toasts.tell(t.undone);
    } catch {
      // The shell reports it.
    }
  }

  key() {
    return false;
  }

  enter() {}

  leave() {
    this.#unfollow();
  }
}
