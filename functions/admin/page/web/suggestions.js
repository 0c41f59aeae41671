// Questions that no computer should answer: is this face that person, are these two one, is this one two? Or later.

import { get, Refusal } from "./api.js";
import { button, el, fill, isTyping } from "./dom.js";
import { nameOf, strongest, titleOf } from "./naming.js";
import { framedPhoto, picture } from "./photo.js";
import * as decisions from "./review.js";
import { t } from "./words.js";

const FACES = 4;

export class Suggestions {
  constructor(app) {
    this.app = app;
    this.review = app.review;
    this.questions = [];
    this.skipped = [];
    this.#build();
    this.#follow = {
      undone: ({ detail }) => this.#ask(detail.question),
      refused: ({ detail }) => this.#ask(detail.decision.question),
      change: () => this.#drawIfGone(),
    };
    for (const [type, listener] of Object.entries(this.#follow)) this.review.addEventListener(type, listener);
    this.reload();
  }

  #follow;
  #faces = new Map();

  get title() {
    return t.suggestionsTitle;
  }

  #build() {
    this.heading = el("h1", { tabIndex: -1 }, t.suggestionsTitle);
    this.place = el("p", { class: "quiet-text", role: "status" });
    this.stage = el("div", { class: "question" });
    this.element = el("section", { class: "view suggestions" }, el("div", { class: "lead" }, this.heading, this.place), this.stage);
  }

  async reload() {
    fill(this.stage, this.app.stateBox("loading"));
    try {
      const { items } = await get(`/event/${this.review.eventId}/suggestions?limit=100`);
      this.questions = items;
      this.app.countQuestions(items.length, false);
      this.#draw();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      fill(this.stage, this.app.stateBox(this.app.stateOf(error), () => this.reload()));
    }
  }

  /** Questions about persons who are not there any more ask nothing. */
  #stillOpen(question) {
    if (!this.review.loaded) return true;
    if (question.person) return this.review.person(question.person.id) !== undefined;
    return question.persons.every((person) => this.review.person(person.id) !== undefined);
  }

  #draw({ focus = false } = {}) {
    this.questions = this.questions.filter((question) => this.#stillOpen(question));
    const [question] = this.questions;
    this.question = question ?? null;
    if (!question) {
      this.place.textContent = "";
      const again =
        this.skipped.length > 0 &&
        button(t.askAgain, () => {
          this.questions = this.skipped;
          this.skipped = [];
          this.#draw({ focus: true });
        }, { look: "primary" });
      const text = this.skipped.length > 0 ? t.skipped(this.skipped.length) : t.noSuggestionsText;
      fill(this.stage, this.app.messageBox(t.noSuggestions, text, again || el("a", { class: "button primary", href: "#/" }, t.review)));
      if (focus) this.heading.focus();
      return;
    }
    this.place.textContent = t.questionPlace(this.questions.length);
    const isFace = question.kind === "face";
    const isSplit = question.kind === "split";
    const persons = (question.person ? [question.person] : question.persons).map((person) => this.review.person(person.id) ?? person);
    const words = {
      face: () => [t.sameFace(nameOf(persons[0])), t.sameFaceText],
      merge: () => [t.samePerson, t.samePersonText],
      split: () => [t.oneOrTwo(nameOf(persons[0])), t.oneOrTwoText(persons[0].face_count, question.face_ids.length)],
    }[question.kind]();
    const title = el("h2", { tabIndex: -1 }, words[0]);
    const sides = {
      face: () => [this.#candidate(question.face), this.#side(persons[0])],
      merge: () => persons.map((person) => this.#side(person)),
      split: () => question.faces.map((face, index) => this.#candidate(face, t.half(index + 1))),
    }[question.kind]();
    fill(
      this.stage,
      title,
      el("p", { class: "quiet-text" }, words[1]),
      el("div", { class: "sides" }, sides),
      isSplit && el("a", { class: "button quiet", href: `#/person/${persons[0].id}` }, t.allFaces),
      el(
        "div",
        { class: "answers" },
        button(isSplit ? t.onePerson : t.yes, () => this.#answer("yes"), { look: "primary large", shape: "check", "aria-keyshortcuts": t.yesKey }),
        button(isSplit ? t.twoPeople : t.no, () => this.#answer("no"), { look: "outline large", shape: isSplit ? "people" : "close", "aria-keyshortcuts": "n" }),
        button(t.later, () => this.#answer("later"), { look: "quiet large", shape: "next", "aria-keyshortcuts": "j" }),
        isFace && button(t.someoneElse, () => this.#answer("new"), { look: "quiet" }),
      ),
    );
    if (focus) title.focus();
    for (const next of this.questions.slice(1, 2)) this.#facesOf((next.person ?? next.persons[0]).id);
  }

  /** What somebody else decided took the question that is shown away. */
  #drawIfGone() {
    if (this.question && !this.#stillOpen(this.question)) this.#draw();
  }

  #candidate(face, name = t.candidate) {
    return el(
      "figure",
      { class: "side" },
      picture(face.thumbnail_url, { eager: true, alt: name }),
      el("div", { class: "context" }, framedPhoto(face, { width: 768, ratio: 4 / 3, eager: true, alt: t.photoOf(1) })),
      el("figcaption", {}, name),
    );
  }

  #side(person) {
    const faces = el("div", { class: "mini-faces large" });
    this.#facesOf(person.id).then((items) =>
      fill(
        faces,
        items.filter((face) => face.id !== person.cover_face_id).slice(0, FACES).map((face) => picture(face.thumbnail_url, { size: 96 })),
      ),
    );
    return el(
      "figure",
      { class: "side" },
      picture(person.cover_url, { eager: true }),
      faces,
      el("figcaption", {}, el("strong", {}, titleOf(person)), ` · ${t.photos(person.photo_count)}`),
    );
  }

  #facesOf(id) {
    if (!this.#faces.has(id)) {
      const asked = get(`/person/${id}/faces?limit=${FACES + 1}`).then(({ items }) => items, () => []);
      this.#faces.set(id, asked);
    }
    return this.#faces.get(id);
  }

  #answer(said) {
    const question = this.questions.shift();
    if (!question) return;
    if (said === "later") this.skipped.push(question);
    else this.app.decide({ ...this.#decision(question, said), question });
    this.app.countQuestions(this.questions.length, false);
    this.#draw({ focus: true });
  }

  #decision(question, said) {
    const { review } = this;
    if (question.kind === "merge") {
      const persons = question.persons.map((person) => review.person(person.id) ?? person);
      const stays = strongest(persons).id;
      const other = persons.find((person) => person.id !== stays).id;
      return said === "yes" ? { ...decisions.merge(review, stays, [other]), told: (words) => words.told.yes() } : decisions.distinct(review, stays, other);
    }
    const { face, person } = question;
    if (question.kind === "split") return said === "yes" ? decisions.onePerson(review, person.id) : decisions.split(review, person.id, question.face_ids);
    if (said === "no") return decisions.reject(review, [face.id], person.id, { isTheirs: false, told: (words) => words.told.no() });
    const to = said === "yes" ? person.id : null;
    return decisions.move(review, [face.id], face.person_id, to, { told: (words) => (to ? words.told.yes() : words.told.split(1)) });
  }

  /** A question comes back: its answer was taken back, or refused. */
  #ask(question) {
    if (!question) return;
    this.questions.unshift(question);
    this.app.countQuestions(this.questions.length, false);
    this.#draw();
  }

  key(event) {
    if (isTyping(event.target) || !this.question) return false;
    const key = event.key.toLowerCase();
    const said = { [t.yesKey]: "yes", n: "no", j: "later", arrowright: "later" }[key];
    if (!said) return false;
    this.#answer(said);
    return true;
  }

  enter() {}

  leave() {
    for (const [type, listener] of Object.entries(this.#follow)) this.review.removeEventListener(type, listener);
  }
}
