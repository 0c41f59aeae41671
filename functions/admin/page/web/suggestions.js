// Questions for a human: is this face that person, are these two persons one, is this person two? Each can be skipped.

import { get, Refusal } from "./api.js";
import { button, el, fill, isTyping } from "./dom.js";
import { nameOf, strongest, titleOf } from "./naming.js";
import { framedPhoto, picture } from "./photo.js";
import * as decisions from "./review.js";
import { t } from "./words.js";

/** @import { Face, Question, ShownPerson, ToldDraft } from "../types" */
/** @import { App } from "./app.js" */

const FACES = 4;

export class Suggestions {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.review = app.review;
    /** @type {Question[]} */
    this.questions = [];
    /** @type {Question[]} */
    this.skipped = [];
    /** @type {Question | null} the one that is shown */
    this.question = null;
    this.heading = el("h1", { tabIndex: -1 }, t.suggestionsTitle);
    this.place = el("p", { class: "quiet-text", role: "status" });
    this.stage = el("div", { class: "question" });
    this.element = el("section", { class: "view suggestions" }, el("div", { class: "lead" }, this.heading, this.place), this.stage);
    this.#unfollow = this.review.follow({
      undone: ({ detail }) => this.#ask(detail.question),
      refused: ({ detail }) => this.#ask(detail.decision.question),
      change: () => this.#drawIfGone(),
    });
    this.reload();
  }

  #unfollow;
  /** @type {Map<string, Promise<Face[]>>} */
  #faces = new Map();

  get title() {
    return t.suggestionsTitle;
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

  /**
   * Questions about persons that no longer exist are dropped.
   * @param {Question} question
   */
  #stillOpen(question) {
    if (!this.review.loaded) return true;
    return personsOf(question).every((person) => this.review.person(person.id) !== undefined);
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
    const persons = personsOf(question).map((person) => this.review.person(person.id) ?? person);
    const [heading, text] = this.#words(question, persons);
    const title = el("h2", { tabIndex: -1 }, heading);
    fill(
      this.stage,
      title,
      el("p", { class: "quiet-text" }, text),
      el("div", { class: "sides" }, this.#sides(question, persons)),
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
    for (const next of this.questions.slice(1, 2)) this.#facesOf(personsOf(next)[0].id);
  }

  /**
   * The question, and a sentence that explains it.
   * @param {Question} question
   * @param {ShownPerson[]} persons
   */
  #words(question, [person]) {
    if (question.kind === "merge") return [t.samePerson, t.samePersonText];
    if (question.kind === "face") return [t.sameFace(nameOf(person)), t.sameFaceText];
    return [t.oneOrTwo(nameOf(person)), t.oneOrTwoText(person.face_count, question.face_ids.length)];
  }

  /**
   * The pictures to compare.
   * @param {Question} question
   * @param {ShownPerson[]} persons
   */
  #sides(question, persons) {
    if (question.kind === "merge") return persons.map((person) => this.#side(person));
    if (question.kind === "face") return [this.#candidate(question.face), this.#side(persons[0])];
    return question.faces.map((face, index) => this.#candidate(face, t.half(index + 1)));
  }

  /** Somebody else's decision has answered the displayed question. */
  #drawIfGone() {
    if (this.question && !this.#stillOpen(this.question)) this.#draw();
  }

  /**
   * @param {Face} face
   * @param {string} [name]
   */
  #candidate(face, name = t.candidate) {
    return el(
      "figure",
      { class: "side" },
      picture(face.thumbnail_url, { eager: true, alt: name }),
      el("div", { class: "context" }, framedPhoto(face, { width: 768, ratio: 4 / 3, eager: true, alt: t.photoOf(1) })),
      el("figcaption", {}, name),
    );
  }

  /** @param {ShownPerson} person */
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

  /** @param {string} id */
  #facesOf(id) {
    let asked = this.#faces.get(id);
    if (!asked) {
      asked = get(`/person/${id}/faces?limit=${FACES + 1}`).then(({ items }) => items, () => []);
      this.#faces.set(id, asked);
    }
    return asked;
  }

  /** @param {string} said */
  #answer(said) {
    const question = this.questions.shift();
    if (!question) return;
    if (said === "later") this.skipped.push(question);
    else this.app.decide({ ...this.#decision(question, said), question });
    this.app.countQuestions(this.questions.length, false);
    this.#draw({ focus: true });
  }

  /**
   * @param {Question} question
   * @param {string} said
   * @returns {ToldDraft}
   */
  #decision(question, said) {
    const { review } = this;
    if (question.kind === "merge") {
      const persons = question.persons.map((person) => review.person(person.id) ?? person);
      const stays = strongest(persons).id;
      const [other] = persons.map((person) => person.id).filter((id) => id !== stays);
      if (said !== "yes") return decisions.distinct(review, stays, other);
      return { ...decisions.merge(review, stays, [other]), told: (words) => words.told.yes() };
    }
    const { person } = question;
    if (question.kind === "split") return said === "yes" ? decisions.onePerson(review, person.id) : decisions.split(review, person.id, question.face_ids);
    const { face } = question;
    if (said === "no") return decisions.reject(review, [face.id], person.id, { isTheirs: false, told: (words) => words.told.no() });
    const to = said === "yes" ? person.id : null;
    return decisions.move(review, [face.id], face.person_id, to, { told: (words) => (to ? words.told.yes() : words.told.split(1)) });
  }

  /**
   * Show a question again whose answer was undone or refused.
   * @param {Question | undefined} question
   */
  #ask(question) {
    if (!question) return;
    this.questions.unshift(question);
    this.app.countQuestions(this.questions.length, false);
    this.#draw();
  }

  /** @param {KeyboardEvent} event */
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
    this.#unfollow();
  }
}

/**
 * The persons that a question is about.
 * @param {Question} question
 * @returns {ShownPerson[]}
 */
function personsOf(question) {
  return question.kind === "merge" ? question.persons : [question.person];
}
