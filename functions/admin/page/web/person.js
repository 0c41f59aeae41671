// The page of one person: all faces, or whole photos, and actions for wrong faces.

import { get, newKey, post, Refusal } from "./api.js";
import { openAssign } from "./assign.js";
import { confirm } from "./dialog.js";
import { breathe, button, el, fill, icon, iconButton, isTyping, stepTo, targetOf, write } from "./dom.js";
import { openInvite } from "./invite_dialog.js";
import { openMerge, openPicker } from "./merge.js";
import { titleOf } from "./naming.js";
import { framedPhoto, openViewer, picture } from "./photo.js";
import * as decisions from "./review.js";
import { t } from "./words.js";

/** @import { Face, Person, Status, ToldDraft } from "../types" */
/** @import { App } from "./app.js" */
/** @import { Shape } from "./dom.js" */
/** @import { Review } from "./review.js" */

const PAGE = 100;
const AT_ONCE = 30;
const VIEW = "trombi.view";

export class PersonPage {
  /**
   * @param {App} app
   * @param {string} id
   */
  constructor(app, id) {
    this.app = app;
    this.review = app.review;
    this.id = id;
    /** @type {Face[]} */
    this.faces = [];
    /** @type {Set<string>} */
    this.selection = new Set();
    this.view = sessionStorage.getItem(VIEW) ?? "faces";
    this.heading = el("h1", { tabIndex: -1 });
    this.cover = picture(null, { size: 160, eager: true });
    this.facts = el("p", { class: "facts" });
    this.invited = el("p", { class: "quiet-text" });
    this.acts = el("div", { class: "acts" });
    const views = ["faces", "photos"].map((view) =>
      el(
        "button",
        { type: "button", class: "chip", data: { view }, on: { click: () => this.#setView(view) } },
        view === "faces" ? t.facesTitle : t.photosTitle,
      ),
    );
    this.views = el("div", { class: "chips", role: "group", "aria-label": t.view }, views);
    this.selectAll = button(t.selectAll, () => this.#selectAll(), { look: "quiet" });
    this.list = el("ul", { class: "tiles", "aria-label": t.facesTitle });
    this.list.addEventListener("click", (event) => this.#click(event));
    this.list.addEventListener("keydown", (event) => this.#walk(event));
    this.more = button(t.loadMore, () => this.#load(), { look: "quiet" });
    this.more.hidden = true;
    this.state = el("div", {});
    this.barText = el("p", { role: "status" });
    /** @param {string} name @param {string} title @param {() => unknown} onClick @param {string} look @param {Shape} shape */
    const act = (name, title, onClick, look, shape) => button(name, onClick, { look, title, shape });
    this.rejectButton = act(t.reject, t.rejectMeans, () => this.#decide("reject"), "primary", "close");
    this.moveButton = act(t.move, t.moveMeans, () => this.#move(), "quiet", "user");
    this.splitButton = act(t.split, t.splitMeans, () => this.#decide("split"), "quiet", "people");
    this.coverButton = act(t.cover, t.cover, () => this.#setCover(), "quiet", "check");
    this.bar = el(
      "div",
      { class: "bar", role: "region", "aria-label": t.facesTitle },
      this.barText,
      this.rejectButton,
      this.moveButton,
      this.splitButton,
      this.coverButton,
      iconButton("close", t.clearSelection, () => this.#clearByHand()),
    );
    this.bar.hidden = true;
    this.element = el(
      "section",
      { class: "view person" },
      el("a", { class: "back", href: "#/" }, icon("back"), t.review),
      el("div", { class: "person-head" }, this.cover, el("div", {}, this.heading, this.facts, this.invited, this.acts)),
      el("div", { class: "tools" }, this.views, this.selectAll, el("p", { class: "quiet-text pointer-only" }, t.selectHint)),
      this.list,
      this.state,
      el("div", { class: "start" }, this.more),
      this.bar,
    );
    this.observer = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && this.#load(), {
      rootMargin: "800px",
    });
    this.observer.observe(this.more);
    this.#unfollow = this.review.follow({
      change: () => this.#drawHead(),
      refused: ({ detail }) => detail.decision.faces && this.reload(),
      undone: ({ detail }) => detail.faces && this.reload(),
      settled: ({ detail }) => ["merge", "undo"].includes(detail.kind) && this.reload(),
    });
    this.#drawHead();
    this.reload();
  }

  #unfollow;
  /** @type {string | null} */
  #cursor = null;
  #loading = 0;
  /** @type {string | null} */
  #anchor = null;
  /** @type {object | null} */
  #invitation = null;
  /** @type {Person | null} */
  #drawn = null;
  /** @type {object | null} */
  #drawing = null;

  get title() {
    const person = this.review.person(this.id);
    return person ? titleOf(person) : t.person("");
  }

  // ---------------------------------------------------------------- who it is

  #drawHead() {
    const person = this.review.person(this.id);
    if (!person) {
      if (this.review.loaded && this.faces.length === 0) this.#drawEmpty();
      return;
    }
    if (this.#drawn === person) return;
    const before = this.#drawn;
    this.#drawn = person;
    write(this.heading, titleOf(person));
    this.app.setTitle(titleOf(person));
    if (before?.cover_url !== person.cover_url && person.cover_url) this.cover.src = person.cover_url;
    fill(
      this.facts,
      `${t.faces(person.face_count)} · ${t.photos(person.photo_count)} `,
      el("span", { class: "badge", data: { status: person.status } }, t.status[person.status]),
    );
    if (before?.status !== person.status) this.#drawActs(person);
  }

  /** @param {Person} person */
  #drawActs(person) {
    const { status } = person;
    const isOpen = status === "pending" || status === "invited";
    /** @param {string} name @param {string} means @param {() => unknown} onClick @param {Shape} shape */
    const act = (name, means, onClick, shape, look = "quiet") =>
      el("div", { class: "act" }, button(name, onClick, { look, shape }), el("small", {}, means));
    /** @param {(review: Review, id: string) => ToldDraft} make */
    const decide = (make) => () => this.app.decide(make(this.review, this.id));
    const wasOpen = this.acts.querySelector("details")?.open ?? false;
    fill(
      this.acts,
      isOpen && button(t.assign, () => openAssign(this.app, [this.id]), { look: "primary", shape: "user" }),
      isOpen && button(status === "invited" ? t.inviteAgain : t.invite, () => openInvite(this.app, this.id), { look: "quiet", shape: "mail" }),
      status === "ignored" && button(t.restore, decide(decisions.restore), { look: "primary", shape: "undo" }),
      el(
        "details",
        { class: "more-acts", open: wasOpen },
        el("summary", {}, t.more),
        el(
          "div",
          {},
          act(t.mergeWith, t.means.mergeWith, () => this.#mergeWith(), "merge"),
          status === "linked" && act(t.unlink, t.means.unlink, decide(decisions.unlink), "close"),
          status === "invited" && act(t.withdraw, t.means.withdraw, decide(decisions.unlink), "close"),
          isOpen && act(t.ignore, t.means.ignore, decide(decisions.ignore), "eyeOff"),
          act(t.erase, t.means.erase, () => this.#erase(), "close", "danger-quiet"),
        ),
      ),
    );
    this.#drawInvitation(status);
  }

  /** @param {Status} status */
  async #drawInvitation(status) {
    this.invited.textContent = "";
    if (status !== "invited") return;
    const asked = {};
    this.#invitation = asked;
    try {
      const { state, mail, email } = await get(`/person/${this.id}/invitation`);
      if (asked !== this.#invitation) return;
      const lines = [state === "open" ? t.mailStates[mail] : null, t.invitationStates[state]].filter(Boolean);
      this.invited.textContent = `${email} · ${lines.join(" · ")}`;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error; // not sent yet, or away: the badge says enough
    }
  }

  async #mergeWith() {
    const alike = await this.app.alikeTo(this.id);
    openPicker(this.app, {
      title: t.mergePick,
      text: t.mergePickText,
      without: [this.id],
      alike,
      onPick: (other) =>
        openMerge(this.app, [this.id, other], {
          onDone: (stays) => {
            if (stays !== this.id) location.replace(`#/person/${stays}`);
          },
        }),
    });
  }

  async #erase() {
    const person = this.review.person(this.id);
    if (!person) return;
    const texts = [t.eraseText(person.face_count, person.photo_count), t.eraseNoUndo, t.eraseInstead];
    const sure = await confirm({ title: t.eraseTitle, texts, yes: t.eraseConfirm, dangerous: true });
    if (!sure) return;
    const done = await this.app.attempt(() =>
      post("/privacy/purge", { event_id: this.review.eventId, person_id: this.id }, newKey()),
    );
    if (!done) return;
    this.review.last = this.review.last.filter((decision) => decision.about !== this.id);
    await this.app.attempt(() => this.review.refresh());
    location.replace("#/");
    this.app.toasts.tell(t.erased);
  }

  // ---------------------------------------------------------------- the faces

  /** Load the faces again. */
  async reload() {
    this.#cursor = null;
    await this.#load({ anew: true });
  }

  async #load({ anew = false } = {}) {
    if (!anew && (this.#loading > 0 || !this.#cursor)) return;
    const turn = ++this.#turn;
    this.#loading += 1;
    try {
      const cursor = anew || !this.#cursor ? "" : `&cursor=${encodeURIComponent(this.#cursor)}`;
      const { items, next_cursor } = await get(`/person/${this.id}/faces?limit=${PAGE}${cursor}`);
      if (turn !== this.#turn) return;
      this.faces = anew ? items : [...this.faces, ...items];
      this.#cursor = next_cursor;
      this.more.hidden = next_cursor === null;
      await this.#drawFaces();
    } catch (error) {
      if (error instanceof Refusal && error.status === 404) this.#drawEmpty();
      else if (error instanceof Refusal) fill(this.state, this.app.stateBox(this.app.stateOf(error), () => this.reload()));
      else throw error;
    } finally {
      this.#loading -= 1;
    }
  }

  #turn = 0;
  /** @type {Map<string, HTMLElement>} */
  #tiles = new Map();

  /** @param {string} view */
  #setView(view) {
    this.view = view;
    sessionStorage.setItem(VIEW, view);
    this.#tiles.clear();
    this.#drawFaces();
  }

  async #drawFaces() {
    const drawing = {};
    this.#drawing = drawing;
    for (const chip of this.views.children) chip.setAttribute("aria-pressed", String(chip.getAttribute("data-view") === this.view));
    this.list.classList.toggle("as-photos", this.view === "photos");
    const wanted = new Set(this.faces.map((face) => face.id));
    for (const id of this.selection) if (!wanted.has(id)) this.selection.delete(id);
    for (const [id, tile] of this.#tiles) {
      if (wanted.has(id)) continue;
      tile.remove();
      this.#tiles.delete(id);
    }
    if (this.#tiles.size === 0) fill(this.list);
    let made = 0;
    for (const [index, face] of this.faces.entries()) {
      let tile = this.#tiles.get(face.id);
      if (!tile) {
        tile = this.#makeTile(face, index);
        this.#tiles.set(face.id, tile);
        made += 1;
      }
      if (this.list.children[index] !== tile) this.list.insertBefore(tile, this.list.children[index] ?? null);
      if (made === AT_ONCE) {
        made = 0;
        await breathe();
        if (drawing !== this.#drawing) return;
      }
    }
    if (this.faces.length === 0) this.#drawEmpty();
    else fill(this.state);
    this.#drawBar();
  }

  /**
   * @param {Face} face
   * @param {number} index
   */
  #makeTile(face, index) {
    const shown =
      this.view === "photos" ? framedPhoto(face, { ratio: 4 / 3 }) : picture(face.thumbnail_url, { eager: index < 12 });
    return el(
      "li",
      { class: "tile", data: { id: face.id } },
      el("button", { type: "button", class: "see", "aria-label": t.showFace(index + 1) }, shown),
      el("label", { class: "pick" }, el("input", { type: "checkbox", "aria-label": t.selectFace(index + 1), checked: this.selection.has(face.id) })),
      face.placed_by_human && el("span", { class: "mark", title: t.placed }, icon("check"), el("span", { class: "visually-hidden" }, t.placed)),
    );
  }

  #drawEmpty() {
    fill(this.list);
    this.#tiles.clear();
    fill(this.state, this.app.messageBox(t.noFaces, t.noFacesText, el("a", { class: "button primary", href: "#/history" }, t.history)));
    this.#drawBar();
  }

  // ---------------------------------------------------------------- selecting

  /** @param {MouseEvent} event */
  #click(event) {
    const target = targetOf(event);
    const id = target?.closest(".tile")?.getAttribute("data-id");
    const index = this.faces.findIndex((face) => face.id === id);
    if (index < 0) return;
    if (target instanceof HTMLInputElement) {
      this.#select(index, target.checked, event.shiftKey);
    } else if (target?.closest(".see")) {
      if (event.shiftKey) {
        event.preventDefault();
        this.#select(index, true, true);
      } else openViewer(this.faces, index, { onMove: (to) => this.#tiles.get(this.faces[to].id)?.scrollIntoView({ block: "nearest" }) });
    }
  }

  /**
   * Select one face, or with Shift the range from the last selected face to this one.
   * @param {number} index
   * @param {boolean} on
   */
  #select(index, on, isRange = false) {
    const from = this.faces.findIndex((face) => face.id === this.#anchor);
    const range = isRange && from >= 0 ? [Math.min(from, index), Math.max(from, index)] : [index, index];
    for (let at = range[0]; at <= range[1]; at += 1) {
      const { id } = this.faces[at];
      if (on) this.selection.add(id);
      else this.selection.delete(id);
    }
    this.#anchor = this.faces[index].id;
    this.#drawBar();
  }

  #selectAll() {
    for (const face of this.faces) this.selection.add(face.id);
    this.#drawBar();
  }

  clear() {
    this.selection.clear();
    this.#drawBar();
  }

  #clearByHand() {
    this.clear();
    this.heading.focus();
  }

  #drawBar() {
    const count = this.selection.size;
    for (const [id, tile] of this.#tiles) {
      const on = this.selection.has(id);
      tile.classList.toggle("selected", on);
      /** @type {HTMLInputElement | null} */
      const box = tile.querySelector(".pick input");
      if (box && box.checked !== on) box.checked = on;
    }
    this.bar.hidden = count === 0;
    document.body.classList.toggle("has-bar", count > 0);
    const total = this.review.person(this.id)?.face_count ?? this.faces.length;
    write(this.barText, count > 0 ? t.facesSelected(count, total) : "");
    this.coverButton.hidden = count !== 1;
    this.splitButton.hidden = count >= total;
  }

  #take() {
    const faces = this.faces.filter((face) => this.selection.has(face.id)).map((face) => face.id);
    this.clear();
    return faces;
  }

  /** @param {string} kind */
  #decide(kind) {
    const faces = this.#take();
    if (faces.length === 0) return;
    if (kind === "reject") this.app.decide(decisions.reject(this.review, faces, this.id));
    else this.app.decide(decisions.split(this.review, this.id, faces));
    this.#drop(faces);
  }

  async #move() {
    const alike = await this.app.alikeTo(this.id, [...this.selection]);
    openPicker(this.app, {
      title: t.moveTitle(this.selection.size),
      without: [this.id],
      alike,
      onPick: (to) => {
        const faces = this.#take();
        this.app.decide(decisions.move(this.review, faces, this.id, to));
        this.#drop(faces);
      },
      // Splitting off all faces would create the same person again.
      onNew: this.splitButton.hidden ? null : () => this.#decide("split"),
    });
  }

  #setCover() {
    const [face] = this.#take();
    if (face) this.app.decide(decisions.cover(this.review, this.id, face));
  }

  /** @param {string[]} faces */
  #drop(faces) {
    const gone = new Set(faces);
    this.faces = this.faces.filter((face) => !gone.has(face.id));
    this.#drawFaces();
    document.dispatchEvent(new Event("lost-focus"));
  }

  // ---------------------------------------------------------------- keyboard

  /** @param {KeyboardEvent} event */
  #walk(event) {
    const target = targetOf(event);
    const tile = target?.closest(".tile");
    if (!tile || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key.toLowerCase() === "x" && this.app.letters) {
      const at = [...this.list.children].indexOf(tile);
      this.#select(at, !this.selection.has(this.faces[at].id), event.shiftKey);
      event.preventDefault();
      event.stopPropagation();
      return;
    }
    const step = stepTo(event, this.list, ".tile");
    if (!step) return;
    event.preventDefault();
    const { at, to, item } = step;
    /** @type {HTMLElement | null} */
    const same = item.querySelector(target?.matches("input") ? ".pick input" : ".see");
    same?.focus();
    if (event.shiftKey) {
      if (this.#anchor === null) this.#select(at, true);
      this.#select(to, true, true);
    }
  }

  /**
   * Handle a typed letter; returns true if it is a shortcut.
   * @param {KeyboardEvent} event
   */
  key(event) {
    if (isTyping(event.target)) return false;
    const key = event.key.toLowerCase();
    const status = this.review.person(this.id)?.status;
    const isOpen = status === "pending" || status === "invited";
    if (key === "escape" && this.selection.size > 0) this.clear();
    else if (key === "escape") location.hash = "#/";
    else if (key === "a" && isOpen) openAssign(this.app, [this.id]);
    else if (key === "i" && isOpen) openInvite(this.app, this.id);
    else if (key === "g" && isOpen) this.app.decide(decisions.ignore(this.review, this.id));
    else if (key === "g" && status === "ignored") this.app.decide(decisions.restore(this.review, this.id));
    else if (key === "m") this.#mergeWith();
    else return false;
    return true;
  }

  enter() {}

  leave() {
    this.#unfollow();
    this.observer.disconnect();
    document.body.classList.remove("has-bar");
  }
}
