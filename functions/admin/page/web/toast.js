// A message with an undo button: shown for a while, and as long as the pointer or the focus is on it.

import { button, el, fill, iconButton } from "./dom.js";
import { t } from "./words.js";

const SECONDS = 12;

export class Toasts {
  constructor() {
    this.element = el("div", { class: "toasts", role: "region" });
    // One region for status messages, one for errors; both exist from the start, so that screen readers announce changes.
    this.polite = el("div", { class: "visually-hidden", role: "status" });
    this.urgent = el("div", { class: "visually-hidden", role: "alert" });
    this.#rename();
  }

  #timer = 0;
  #rename() {
    this.element.setAttribute("aria-label", t.history);
  }

  /**
   * Announce a text to screen readers only.
   * @param {string} text
   */
  announce(text) {
    // The same text again must be announced too.
    this.polite.textContent = this.polite.textContent === text ? `${text}\u00a0` : text;
  }

  /**
   * Show `text`; with `undo`, an undo button too.
   * @param {string} text
   * @param {{ undo?: (() => unknown) | null, wrong?: boolean }} [options]
   */
  tell(text, { undo = null, wrong = false } = {}) {
    this.#rename();
    clearTimeout(this.#timer);
    const toast = el(
      "div",
      { class: `toast ${wrong ? "wrong" : ""}` },
      el("p", {}, text),
      undo && button(t.undo, () => this.#undo(undo), { look: "on-dark", shape: "undo" }),
      iconButton("close", t.close, () => this.hide()),
    );
    fill(this.element, toast);
    if (wrong) this.urgent.textContent = this.urgent.textContent === text ? `${text}\u00a0` : text;
    else this.announce(text);
    this.#wait(toast);
  }

  /** @param {HTMLElement} toast */
  #wait(toast) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (toast.matches(":hover") || toast.contains(document.activeElement)) this.#wait(toast);
      else this.hide();
    }, SECONDS * 1000);
  }

  /** @param {() => unknown} undo */
  #undo(undo) {
    this.hide();
    undo();
  }

  hide() {
    clearTimeout(this.#timer);
    const held = this.element.contains(document.activeElement);
    fill(this.element);
    if (held) document.dispatchEvent(new Event("lost-focus"));
  }
}
