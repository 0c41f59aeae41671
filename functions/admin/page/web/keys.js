// Keyboard shortcuts, listed with "?". Single letters can be switched off for users who dictate text.

import { openDialog } from "./dialog.js";
import { el } from "./dom.js";
import { t } from "./words.js";

const LETTERS = "trombi.letters";

/** Whether single-letter shortcuts are on. */
export function lettersAreOn() {
  return localStorage.getItem(LETTERS) !== "off";
}

export function openKeys() {
  const box = el("input", { type: "checkbox", checked: lettersAreOn() });
  box.addEventListener("change", () => localStorage.setItem(LETTERS, box.checked ? "on" : "off"));
  openDialog({
    title: t.keysTitle,
    look: "small",
    body: [
      el("label", { class: "switch" }, box, el("span", {}, el("strong", {}, t.keysLetters), el("small", {}, t.keysOn))),
      el(
        "dl",
        { class: "keys" },
        Object.entries(t.keys).map(([key, text]) => el("div", {}, el("dt", {}, el("kbd", {}, key)), el("dd", {}, text))),
      ),
    ],
  });
}
