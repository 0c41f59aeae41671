// The event's progress, updated automatically: by a stream from the server, or else by polling every few seconds.

import { get, listen, Refusal } from "./api.js";
import { el, fill, write } from "./dom.js";
import { t, textFor } from "./words.js";

/** @import { Emitter, Progress as State, ProgressEvents } from "../types" */

const POLL = 4000;
const STREAM_AGAIN = 1000;
const LONGEST_WAIT = 15000;
const POLLS_BEFORE_STREAM = 15;

const Target = /** @type {new () => Emitter<ProgressEvents>} */ (EventTarget);

export class Progress extends Target {
  /** @param {string} eventId */
  constructor(eventId) {
    super();
    /** @type {`/event/${string}/progress`} */
    this.path = `/event/${eventId}/progress`;
    /** @type {State | null} */
    this.state = null;
    this.text = el("p", { class: "progress-text" });
    this.found = el("p", { class: "progress-found" });
    this.bar = el("progress", { max: 1, value: 0 });
    this.failures = el("details", { class: "failures" });
    this.failures.hidden = true;
    this.spoken = el("p", { class: "visually-hidden", role: "status" });
    this.element = el("div", { class: "progress" }, this.text, this.found, this.bar, this.failures, this.spoken);
    this.element.hidden = true;
  }

  /** @type {AbortController | null} */
  #stop = null;

  /** Follow the progress until `stop`; a hidden page does not follow. */
  start() {
    if (this.#stop || document.hidden) return;
    this.#stop = new AbortController();
    this.#follow(this.#stop.signal);
  }

  stop() {
    this.#stop?.abort();
    this.#stop = null;
  }

  /** @param {AbortSignal} signal */
  async #follow(signal) {
    let wait = STREAM_AGAIN;
    let polls = 0;
    while (!signal.aborted) {
      try {
        if (polls > 0) {
          this.#take(await get(this.path, { signal }));
          polls -= 1;
          await pause(POLL, signal);
        } else {
          await listen(this.path, (state) => this.#take(/** @type {State} */ (state)), signal);
          await pause(STREAM_AGAIN, signal);
        }
        wait = STREAM_AGAIN;
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof Refusal && error.code === "too_many_streams") {
          polls = POLLS_BEFORE_STREAM;
        } else if (error instanceof Refusal && !error.mayPass) {
          this.dispatchEvent(new CustomEvent("refused", { detail: error }));
          return;
        } else {
          await pause(wait, signal);
          wait = Math.min(2 * wait, LONGEST_WAIT);
        }
      }
    }
  }

  /** @param {State} state */
  #take(state) {
    const before = this.state;
    this.state = state;
    this.draw();
    const changed =
      !before ||
      JSON.stringify(before.persons) !== JSON.stringify(state.persons) ||
      before.clustering.last_at !== state.clustering.last_at ||
      before.faces !== state.faces;
    if (changed) this.dispatchEvent(new Event("persons"));
    this.dispatchEvent(new Event("change"));
  }

  get isRunning() {
    return this.state !== null && (this.state.photos.waiting > 0 || this.state.clustering.running);
  }

  /** The state to show on a page without persons. */
  emptyState() {
    if (!this.state) return "loading";
    if (this.state.photos.total === 0) return "empty";
    return this.isRunning ? "working" : "nobody";
  }

  draw() {
    if (!this.state) return;
    const { photos, persons, clustering, failures } = this.state;
    const wasHidden = this.element.hidden;
    this.element.hidden = photos.total === 0;
    const looked = photos.done + photos.failed;
    const isAnalysing = photos.waiting > 0;
    const line = isAnalysing ? t.analysing(looked, photos.total) : clustering.running ? t.grouping : t.analysed(photos.total);
    write(this.text, line);
    write(this.found, t.found(persons.found, persons.identified));
    const settled = persons.identified + persons.invited + persons.ignored;
    this.bar.max = Math.max(1, isAnalysing ? photos.total : persons.found);
    this.bar.value = isAnalysing ? looked : settled;
    this.bar.setAttribute("aria-label", isAnalysing ? line : t.found(persons.found, persons.identified));
    this.element.classList.toggle("running", isAnalysing || clustering.running);
    this.#drawFailures(photos.failed, failures);
    // Announced to screen readers at the beginning and the end, not for every photo.
    if (wasHidden || !isAnalysing) write(this.spoken, `${line}. ${t.found(persons.found, persons.identified)}`);
  }

  /**
   * @param {number} count
   * @param {State["failures"]} failures
   */
  #drawFailures(count, failures) {
    this.failures.hidden = count === 0;
    if (count === 0) return;
    const open = this.failures.open;
    /** @type {Map<string, number>} */
    const byReason = new Map();
    for (const { code } of failures) {
      const reason = textFor(t.failureReason, code) ?? t.failureReason.other;
      byReason.set(reason, (byReason.get(reason) ?? 0) + 1);
    }
    fill(
      this.failures,
      el("summary", {}, t.failures(count)),
      el(
        "ul",
        {},
        [...byReason].map(([reason, number]) => el("li", {}, `${reason} : ${t.photos(number)}`)),
        count > failures.length && el("li", {}, t.failuresMore(count - failures.length)),
      ),
      el("p", {}, t.failureAdvice),
    );
    this.failures.open = open;
  }
}

/**
 * @param {number} milliseconds
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
function pause(milliseconds, signal) {
  return new Promise((resume) => {
    const timer = setTimeout(resume, milliseconds);
    const end = () => {
      clearTimeout(timer);
      resume();
    };
    signal.addEventListener("abort", end, { once: true });
    addEventListener("online", end, { once: true });
  });
}
