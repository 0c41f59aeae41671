// The signed-in user's events.

import { getAll } from "./api.js";
import { el, fill } from "./dom.js";
import { t } from "./words.js";

/** @import { ShownEvent } from "../types" */
/** @import { App } from "./app.js" */

export class EventsList {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.heading = el("h1", { tabIndex: -1 }, t.eventsTitle);
    this.list = el("ul", { class: "events", "aria-label": t.eventsTitle });
    this.state = el("div", {});
    this.element = el("section", { class: "view" }, el("div", { class: "lead" }, this.heading), this.list, this.state);
  }

  get title() {
    return t.eventsTitle;
  }

  async load() {
    fill(this.state, this.app.stateBox("loading"));
    const events = await getAll("/events", { limit: 100 });
    fill(this.list, events.map((event) => this.#row(event)));
    if (events.length > 0) fill(this.state);
    else fill(this.state, this.app.stateBox("noEvents"));
  }

  /** @param {ShownEvent} event */
  #row(event) {
    const marks = [event.archived && t.archivedMark, !event.archived && !event.face_recognition_enabled && t.consentOffMark, event.role === "member" && t.memberMark];
    return el(
      "li",
      {},
      el(
        "a",
        { class: "event", href: `/events/${event.id}/analyse` },
        el("strong", {}, event.name),
        el("span", { class: "quiet-text" }, event.counts ? t.eventCounts(event.counts) : new Date(event.created_at).toLocaleDateString(t.language, { dateStyle: "long" })),
        marks.filter(Boolean).map((mark) => el("span", { class: "badge" }, mark)),
      ),
    );
  }
}
