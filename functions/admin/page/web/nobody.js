// The tray below the grid: faces that are in no person, and why.

import { get, Refusal } from "./api.js";
import { button, el, fill } from "./dom.js";
import { openViewer, picture } from "./photo.js";
import { t } from "./words.js";

/** @import { FaceOfNobody } from "../types" */
/** @import { App } from "./app.js" */

const PAGE = 60;

/** Closed at first, so that no faces are read needlessly. */
export class FacesOfNobody {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.list = el("ul", { class: "tiles", "aria-label": t.nobody.title });
    this.state = el("p", { class: "quiet-text", role: "status" });
    this.more = button(t.loadMore, () => this.#load(this.#cursor), { look: "quiet" });
    this.more.hidden = true;
    /** @type {HTMLDetailsElement} */
    this.element = el(
      "details",
      { class: "nobody", on: { toggle: () => this.element.open && this.#load(null) } },
      el("summary", {}, t.nobody.title),
      el("p", { class: "quiet-text" }, t.nobody.text),
      this.list,
      this.state,
      el("div", { class: "start" }, this.more),
    );
  }

  /** @type {FaceOfNobody[]} */
  #faces = [];
  /** @type {string | null} */
  #cursor = null;
  #turn = 0;

  /** @param {string | null} cursor */
  async #load(cursor) {
    const turn = ++this.#turn;
    this.state.textContent = t.states.loading[0];
    try {
      const after = cursor ? `&cursor=${encodeURIComponent(cursor)}` : "";
      const { items, next_cursor } = await get(`/event/${this.app.eventId}/faces-of-nobody?limit=${PAGE}${after}`);
      if (turn !== this.#turn) return;
      if (!cursor) {
        fill(this.list);
        this.#faces = [];
      }
      for (const face of items) {
        this.list.append(this.#tile(face, this.#faces.length));
        this.#faces.push(face);
      }
      this.#cursor = next_cursor;
      this.more.hidden = next_cursor === null;
      this.state.textContent = this.list.childElementCount > 0 ? "" : t.nobody.none;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (turn === this.#turn) this.state.textContent = t.states[this.app.stateOf(error)].join(". ");
    }
  }

  /**
   * Make the face a button that shows its photo, with the reason below.
   * @param {FaceOfNobody} face
   * @param {number} index
   */
  #tile(face, index) {
    const reason = t.nobody.reasons[face.reason] ?? t.nobody.reasons.alone;
    const show = el(
      "button",
      { type: "button", class: "see", "aria-label": t.nobody.show(index + 1, reason), on: { click: () => openViewer(this.#faces, index) } },
      picture(face.thumbnail_url),
    );
    // The button's name has the reason already.
    const caption = el("figcaption", { class: "quiet-text", "aria-hidden": "true" }, reason);
    return el("li", { data: { id: face.id } }, el("figure", {}, show, caption));
  }
}
