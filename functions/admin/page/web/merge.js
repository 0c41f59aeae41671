// Merging: shows the persons side by side and asks which of them remains.

import { get } from "./api.js";
import { openDialog } from "./dialog.js";
import { button, el, fill } from "./dom.js";
import { folded, nameOf, strongest, titleOf } from "./naming.js";
import { picture } from "./photo.js";
import * as decisions from "./review.js";
import { t } from "./words.js";

/** @import { Person } from "../types" */
/** @import { App } from "./app.js" */

const FACES = 4;

/**
 * Ask whether the persons are one, and which of them remains (default: `into`, else the strongest).
 * @param {App} app
 * @param {string[]} ids
 * @param {{ into?: string | null, onDone?: (stays: string) => unknown }} [options]
 */
export function openMerge(app, ids, { into = null, onDone = () => {} } = {}) {
  const { review } = app;
  const persons = ids.map((id) => review.person(id)).filter((person) => person !== undefined);
  if (persons.length < 2) return;
  let stays = into ?? strongest(persons).id;
  const problem = refusal(persons);
  const text = el("p", { role: "status" });
  const columns = persons.map((person) => column(person, () => keep(person.id)));
  const swap = button(
    t.mergeSwap,
    () => keep(persons.find((person) => person.id !== stays)?.id ?? stays),
    { look: "quiet", shape: "swap" },
  );
  swap.hidden = persons.length !== 2;
  const go = button(
    t.mergeConfirm(persons.length),
    () => {
      const gone = persons.map((person) => person.id).filter((id) => id !== stays);
      app.decide(decisions.merge(review, stays, gone));
      dialog.close();
      onDone(stays);
    },
    { look: "primary", shape: "merge" },
  );
  go.disabled = problem !== null;
  const dialog = openDialog({
    title: t.mergeTitle(persons.length),
    look: "merge",
    body: [
      el("div", { class: "columns" }, columns.map(({ element }) => element)),
      swap,
      text,
      problem && el("p", { class: "wrong-text", role: "alert" }, problem),
    ],
    foot: [button(t.cancel, () => dialog.close(), { look: "quiet" }), go],
    first: problem ? null : go,
  });

  /** @param {string} id */
  function keep(id) {
    stays = id;
    draw();
  }

  function draw() {
    for (const { draw: drawColumn } of columns) drawColumn(stays);
    const named = persons.find((person) => nameOf(person) !== null);
    const photos = persons.reduce((sum, person) => sum + person.photo_count, 0);
    text.textContent = t.mergeText(persons.length - 1, photos, (named && nameOf(named)) ?? t.thisPerson);
  }
  draw();
}

/** @param {Person[]} persons */
function refusal(persons) {
  /** @param {(string | null | undefined)[]} values */
  const distinct = (values) => new Set(values.filter(Boolean)).size;
  const linked = persons.filter((person) => person.status === "linked");
  if (distinct(linked.map((person) => person.linked_user?.id)) > 1) return t.mergeTwoPeople;
  if (linked.length === 0 && distinct(persons.map((person) => person.invitation_email?.toLowerCase())) > 1) return t.mergeTwoInvitations;
  return null;
}

/**
 * @param {Person} person
 * @param {() => void} choose
 */
function column(person, choose) {
  const mark = el("span", { class: "badge" });
  const radio = el("input", { type: "radio", name: "stays", value: person.id, on: { change: choose } });
  const faces = el("div", { class: "mini-faces" });
  get(`/person/${person.id}/faces?limit=${FACES + 1}`).then(
    ({ items }) => {
      const others = items.filter((face) => face.id !== person.cover_face_id).slice(0, FACES);
      fill(faces, others.map((face) => picture(face.thumbnail_url, { size: 56 })));
    },
    () => {},
  );
  const element = el(
    "label",
    { class: "column" },
    picture(person.cover_url, { eager: true }),
    el("strong", { class: "column-name" }, titleOf(person)),
    el("span", { class: "quiet-text" }, t.photos(person.photo_count)),
    faces,
    el("span", { class: "choice" }, radio, mark),
  );
  return {
    element,
    /** @param {string} stays */
    draw(stays) {
      const isKept = stays === person.id;
      radio.checked = isKept;
      element.classList.toggle("kept", isKept);
      mark.textContent = isKept ? t.mergeKept : t.mergeGone;
    },
  };
}

/**
 * Choose a person. `alike` are ids in the order in which they are shown, before all others. `onNew` offers a new person
 * too. Resolves through `onPick(id)`.
 * @param {App} app
 * @param {object} options
 * @param {string} options.title
 * @param {string} [options.text]
 * @param {string[]} [options.without]
 * @param {string[]} [options.alike]
 * @param {(id: string) => unknown} options.onPick
 * @param {(() => unknown) | null} [options.onNew]
 */
export function openPicker(app, { title, text = "", without = [], alike = [], onPick, onNew = null }) {
  const { review } = app;
  const rank = new Map(alike.map((id, index) => [id, index]));
  const persons = review
    .persons()
    .filter((person) => !without.includes(person.id))
    .toSorted((a, b) => (rank.get(a.id) ?? Infinity) - (rank.get(b.id) ?? Infinity) || Number(a.status === "ignored") - Number(b.status === "ignored") || 0);
  const list = el("ul", { class: "picks" });
  const search = el("input", {
    type: "search",
    class: "input",
    placeholder: t.search,
    "aria-label": t.search,
    autocomplete: "off",
    on: { input: () => draw() },
  });
  const dialog = openDialog({
    title,
    note: [text, alike.length > 1 && t.alikeFirst].filter(Boolean).join(" ") || null,
    look: "picker",
    body: [search, list],
    first: matchMedia("(hover: hover)").matches ? search : null,
  });
  const makeNew = () => {
    dialog.close();
    onNew?.();
  };
  /** @param {string} id */
  const pick = (id) => {
    dialog.close();
    onPick(id);
  };

  function draw() {
    const query = folded(search.value.trim());
    const shown = query ? persons.filter((person) => folded(nameOf(person) ?? "").includes(query)) : persons;
    fill(
      list,
      onNew &&
        !query &&
        el(
          "li",
          {},
          el("button", { type: "button", class: "pick-person new", on: { click: makeNew } }, el("span", { class: "plus" }, "+"), el("span", {}, t.newPerson)),
        ),
      shown.map((person) =>
        el(
          "li",
          {},
          el(
            "button",
            { type: "button", class: "pick-person", on: { click: () => pick(person.id) } },
            picture(person.cover_url, { size: 96 }),
            el("span", { class: "pick-name" }, titleOf(person)),
            el("span", { class: "quiet-text" }, t.photos(person.photo_count)),
          ),
        ),
      ),
    );
    if (shown.length === 0) fill(list, el("li", { class: "quiet-text" }, t.states.noneFound[0]));
  }
  draw();
}
