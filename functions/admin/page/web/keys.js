// The keys, shown with "?"; letters can be switched off, since who dictates text types letters without meaning to.

import { openDialog } from "./dialog.js";
import { el } from "./dom.js";
import { t } from "./words.js";

const LETTERS = "trombi.letters";

/** Whether single letters do something. */
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
