// Dialogs: the browser's own, so that they trap the focus, close with Escape, and make the page behind them inert.

import { button, el, iconButton } from "./dom.js";
import { t } from "./words.js";

/** @import { Child } from "../types" */

let count = 0;

/**
 * Open a modal dialog. `body` are its nodes, `foot` its buttons; `first` gets the focus (default: the heading, so that
 * screen readers begin with it). `onClose` is called once, however it is closed. Returns {element, heading, close}.
 * @param {object} options
 * @param {string} options.title
 * @param {string | null} [options.note]
 * @param {Child[]} [options.body]
 * @param {Child[]} [options.foot]
 * @param {string} [options.look]
 * @param {HTMLElement | null} [options.first]
 * @param {() => void} [options.onClose]
 */
export function openDialog({ title, note = null, body = [], foot = [], look = "", first = null, onClose = () => {} }) {
  const opener = document.activeElement;
  const id = `dialog-${++count}`;
  const heading = el("h2", { id, tabIndex: -1 }, title);
  const place = el("p", { class: "dialog-note" }, note ?? "");
  place.hidden = !note;
  const content = el("div", { class: "dialog-body" }, body);
  const footer = el("div", { class: "dialog-foot" }, foot);
  footer.hidden = foot.length === 0;
  /** @type {HTMLDialogElement} */
  const element = el(
    "dialog",
    { class: `dialog ${look}`, "aria-labelledby": id },
    el("div", { class: "dialog-head" }, el("div", {}, heading, place), iconButton("close", t.close, () => element.close())),
    content,
    footer,
  );
  element.addEventListener("close", () => {
    element.remove();
    onClose();
    // The element that opened the dialog may have been removed by the decision made in it.
    if (!opener?.isConnected || opener.closest("[hidden]")) document.dispatchEvent(new Event("lost-focus"));
  });
  element.addEventListener("click", (event) => {
    // A click on the backdrop, which is the dialog element outside of its box.
    if (event.target !== element) return;
    const box = element.getBoundingClientRect();
    const inside =
      event.clientX >= box.left && event.clientX <= box.right && event.clientY >= box.top && event.clientY <= box.bottom;
    if (!inside) element.close();
  });
  document.body.append(element);
  element.showModal();
  (first ?? heading).focus();
  return { element, heading, note: place, content, footer, close: () => element.close() };
}

/**
 * Ask for confirmation of an action that is hard to undo; resolves to whether it was confirmed.
 * @param {object} options
 * @param {string} options.title
 * @param {string[]} options.texts
 * @param {string} options.yes
 * @param {boolean} [options.dangerous]
 * @returns {Promise<boolean>}
 */
export function confirm({ title, texts, yes, dangerous = false }) {
  return new Promise((answer) => {
    let confirmed = false;
    const no = button(t.cancel, () => dialog.close(), { look: "quiet" });
    const go = button(
      yes,
      () => {
        confirmed = true;
        dialog.close();
      },
      { look: dangerous ? "danger" : "primary" },
    );
    const dialog = openDialog({
      title,
      body: texts.map((text) => el("p", {}, text)),
      foot: [no, go],
      look: "small",
      first: no,
      onClose: () => answer(confirmed),
    });
  });
}
