// What was decided in the event, by whom, and the way back.

import { get, Refusal } from "./api.js";
import { button, el, fill } from "./dom.js";
import { titleOf } from "./naming.js";
import { picture } from "./photo.js";
import { userId } from "./session.js";
import { t, when } from "./words.js";

const PAGE = 50;

export class History {
  constructor(app) {
    this.app = app;
    this.review = app.review;
    this.items = [];
    this.#build();
    this.#follow = { settled: () => this.reload(), refused: () => this.reload() };
    for (const [type, listener] of Object.entries(this.#follow)) this.review.addEventListener(type, listener);
    fill(this.state, this.app.stateBox("loading"));
    this.reload();
  }

  #follow;
  #cursor = null;
  #turn = 0;

  get title() {
    return t.historyTitle;
  }

  #build() {
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
  }

  async reload() {
    await this.#load(null);
  }

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
    const held = document.activeElement?.closest?.(".history li")?.dataset.id;
    this.more.hidden = this.#cursor === null;
    fill(this.list, this.items.map((item) => this.#row(item)));
    if (this.items.length > 0) fill(this.state);
    else fill(this.state, this.app.messageBox(t.noHistory, t.noHistoryText, el("a", { class: "button primary", href: "#/" }, t.review)));
    if (held) (this.list.querySelector(`[data-id="${held}"] button`) ?? this.heading).focus();
  }

  #row(item) {
    const person = this.review.person(item.subject.person_id);
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

  #words({ kind, subject }, person) {
    const { faces = 0 } = subject;
    switch (kind) {
      case "link":
        return t.did.link(person?.linked_user?.id === subject.user_id ? titleOf(person) : t.persons(1), faces);
      case "merge":
        return t.did.merge((subject.merged_person_ids?.length ?? 0) + 1, faces);
      case "undo":
        return t.did.undo(t.kinds[subject.kind] ?? "");
      default:
        return t.did[kind](faces);
    }
  }

  async #undo(item) {
    try {
      await this.review.undoById(item.id);
      this.app.toasts.tell(t.undone);
    } catch {
      // Told by the shell.
    }
  }

  key() {
    return false;
  }

  enter() {}

  leave() {
    for (const [type, listener] of Object.entries(this.#follow)) this.review.removeEventListener(type, listener);
  }
}
