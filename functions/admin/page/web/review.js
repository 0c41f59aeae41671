// The state of one event's review: the server's last answers, and on top of them the decisions made here that are not
// answered yet. The page always shows both together, so that a refusal reverts only the refused decision.

import { get, getAll, newKey, post, Refusal } from "./api.js";

/** @import { Bodies, Decision, DecisionAnswer, Draft, Emitter, Guest, Member, Person, Persons, PersonState, ReviewEvents } from "../types" */
/** @import { ShownPerson, ToldDraft, Trouble } from "../types" */
/** @import { Words } from "../../../../shared/languages/words" */

const FIRST_WAIT = 1000;
const LONGEST_WAIT = 15000;

const Target = /** @type {new () => Emitter<ReviewEvents>} */ (EventTarget);

export class Review extends Target {
  /** @param {string} eventId */
  constructor(eventId) {
    super();
    this.eventId = eventId;
    this.order = "photos";
    this.loaded = false;
    /** @type {Trouble} why decisions wait */
    this.trouble = null;
    /** @type {Decision[]} those of this page that can be undone, the newest last */
    this.last = [];
    addEventListener("online", () => this.#wake());
  }

  /** @type {Persons} */
  #confirmed = new Map();
  /** @type {Decision[]} */
  #queue = [];
  /** @type {Persons} */
  #shown = new Map();
  #pumping = false;
  /** @type {(() => void) | null} */
  #wakeUp = null;
  /** @type {Promise<void> | null} */
  #refreshing = null;
  #again = false;

  /**
   * Register `listeners` by event name. Returns a function that removes them.
   * @param {{ [Name in keyof ReviewEvents]?: (event: ReviewEvents[Name]) => void }} listeners
   */
  follow(listeners) {
    const all = /** @type {[keyof ReviewEvents, () => void][]} */ (Object.entries(listeners));
    for (const [type, listener] of all) this.addEventListener(type, listener);
    return () => {
      for (const [type, listener] of all) this.removeEventListener(type, listener);
    };
  }

  // ---------------------------------------------------------------- reading

  /**
   * A person as shown, or undefined: also for one that was merged away.
   * @param {string} id
   */
  person(id) {
    return this.#shown.get(id);
  }

  /** All persons as shown, in the order of the list. */
  persons() {
    return [...this.#shown.values()];
  }

  /** The number of decisions that are not answered yet. */
  get waiting() {
    return this.#queue.length;
  }

  /**
   * Load all persons again. The displayed order stays and new persons come last, unless `reorder` is set.
   * @returns {Promise<void>}
   */
  async refresh({ reorder = false } = {}) {
    if (this.#refreshing) {
      this.#again = true;
      return this.#refreshing;
    }
    this.#refreshing = this.#load(reorder).finally(() => {
      this.#refreshing = null;
    });
    await this.#refreshing;
    if (this.#again) {
      this.#again = false;
      await this.refresh();
    }
    return undefined;
  }

  /**
   * @param {boolean} reorder
   * @returns {Promise<void>}
   */
  async #load(reorder) {
    /** @type {`/event/${string}/face-persons?order=${string}`} */
    const path = `/event/${this.eventId}/face-persons?order=${this.order}`;
    const answered = this.answered;
    /** @param {ShownPerson[]} items @param {boolean} more */
    const onPage = (items, more) => {
      // Show the first page while the others are loading.
      if (!this.loaded && more) this.#take(items, true);
    };
    const items = await getAll(path, { onPage });
    if (this.answered !== answered) return this.#load(reorder); // decided meanwhile: the list may be older than that
    this.#take(items, reorder || !this.loaded);
    this.loaded = true;
    this.#changed();
    return undefined;
  }

  answered = 0;

  /**
   * @param {ShownPerson[]} items
   * @param {boolean} reorder
   */
  #take(items, reorder) {
    const found = new Map(items.filter(isNotMerged).map((person) => [person.id, person]));
    const before = reorder ? [] : [...this.#confirmed.keys()];
    this.#confirmed = new Map();
    for (const id of [...before, ...found.keys()]) {
      const person = found.get(id);
      if (person) this.#confirmed.set(id, person);
    }
    this.#changed();
  }

  /**
   * Load one person again; a person that no longer exists is removed from the list.
   * @param {string} id
   */
  async refreshPerson(id) {
    try {
      this.#put(await get(`/person/${id}`));
    } catch (error) {
      if (!(error instanceof Refusal) || error.status !== 404) throw error;
      this.#confirmed.delete(id);
    }
    this.#changed();
  }

  /**
   * @param {PersonState} answered
   * @param {string | null} [after]
   */
  #put(answered, after = null) {
    // The answer to a decision does not contain the URL of the cover.
    const person = { ...answered, cover_url: answered.cover_face_id && `/face/${answered.cover_face_id}/thumbnail` };
    if (!isNotMerged(person) || person.face_count === 0) {
      this.#confirmed.delete(person.id);
      return;
    }
    if (this.#confirmed.has(person.id) || after === null) {
      this.#confirmed.set(person.id, person);
      return;
    }
    // A new person is placed next to the one that it was split off from.
    const entries = [...this.#confirmed];
    const place = entries.findIndex(([id]) => id === after);
    entries.splice(place + 1, 0, [person.id, person]);
    this.#confirmed = new Map(entries);
  }

  #changed() {
    const shown = new Map(this.#confirmed);
    for (const decision of this.#queue) decision.show(shown);
    this.#shown = shown;
    this.dispatchEvent(new Event("change"));
  }

  // ---------------------------------------------------------------- deciding

  /**
   * Make a decision: shown at once, sent in order, repeated until it is answered, reverted if it is refused.
   *
   * `path` and `body` make the request (`body` is called when it is sent, so that versions are those of that moment);
   * `show(persons)` changes the map of persons as the decision will; `about` is the person it is about, `alsoChanges`
   * other persons that the answer will not hold; `told` makes what people are told. Returns the decision, whose `done`
   * is a promise of the answer.
   * @param {Draft} draft
   * @returns {Decision}
   */
  decide({ show = () => {}, about = null, undoable = true, ...rest }) {
    /** @type {(answer: DecisionAnswer) => void} */
    let resolve = () => {};
    /** @type {(error: unknown) => void} */
    let reject = () => {};
    /** @type {Promise<DecisionAnswer>} */
    const done = new Promise((...both) => {
      [resolve, reject] = both;
    });
    const before = new Map(this.#shown);
    const decision = { ...rest, show, about, undoable, key: newKey(), sent: false, before, done, resolve, reject };
    decision.done.catch(() => {}); // told by the event below
    this.#queue.push(decision);
    if (undoable) this.last.push(decision);
    this.#changed();
    this.#tell("decided", decision);
    this.#pump();
    return decision;
  }

  /**
   * The person's version that the server confirmed last: decisions are sent for this version.
   * @param {string} id
   */
  version(id) {
    return this.#confirmed.get(id)?.version;
  }

  async #pump() {
    if (this.#pumping) return;
    this.#pumping = true;
    let wait = FIRST_WAIT;
    while (this.#queue.length > 0) {
      const decision = this.#queue[0];
      decision.sent = true;
      try {
        // The body is created once: the same key always belongs to the same request.
        decision.request ??= decision.body();
        const answer = /** @type {DecisionAnswer} */ (await post(decision.path(), decision.request, decision.key));
        this.#settle(decision, answer);
        wait = FIRST_WAIT;
        await this.#catchUp(decision);
      } catch (error) {
        if (error instanceof Refusal && error.mayPass) {
          this.#setTrouble(error.status === 0 ? "offline" : error.code === "unauthenticated" ? "signed-out" : "busy");
          await this.#pause(wait);
          wait = Math.min(2 * wait, LONGEST_WAIT);
        } else {
          this.#refuse(decision, error);
        }
      }
    }
    this.#pumping = false;
    this.#setTrouble(null);
  }

  /**
   * Update versions that a decision changed without listing them in its answer, for the next decision.
   * @param {Decision} decision
   */
  async #catchUp(decision) {
    try {
      if (decision.kind === "undo") await this.refresh();
      else await Promise.all((decision.alsoChanges ?? []).map((id) => this.refreshPerson(id)));
    } catch {
      // The next refresh updates it.
    }
  }

  /**
   * @param {Decision} decision
   * @param {DecisionAnswer} answer
   */
  #settle(decision, answer) {
    this.#queue.shift();
    this.answered += 1;
    decision.answer = answer;
    const shown = new Map(this.#confirmed);
    decision.show(shown);
    this.#confirmed = shown;
    if (answer.person) this.#put(answer.person, decision.about);
    if (answer.made) this.#put(answer.made, decision.about);
    for (const source of answer.sources ?? []) this.#put(source, decision.about);
    this.#changed();
    decision.resolve(answer);
    this.#tell("settled", decision);
  }

  /**
   * @param {Decision} decision
   * @param {unknown} error
   */
  #refuse(decision, error) {
    this.#queue = this.#queue.filter((other) => other !== decision && other.undoes !== decision);
    this.answered += 1;
    this.last = this.last.filter((other) => other !== decision);
    if (error instanceof Refusal) {
      if (error.body.current) this.#put(error.body.current);
      if (error.body.linked_person) this.#put(error.body.linked_person);
    }
    this.#changed();
    decision.reject(error);
    this.dispatchEvent(new CustomEvent("refused", { detail: { decision, error } }));
    if (error instanceof Refusal && error.status === 404) this.refresh().catch(() => {});
  }

  /**
   * @param {keyof ReviewEvents & string} type
   * @param {Decision} decision
   */
  #tell(type, decision) {
    this.dispatchEvent(new CustomEvent(type, { detail: decision }));
  }

  /** @param {Trouble} trouble */
  #setTrouble(trouble) {
    if (this.trouble === trouble) return;
    const before = this.trouble;
    this.trouble = trouble;
    this.dispatchEvent(new CustomEvent("trouble", { detail: { trouble, before } }));
  }

  /** @param {number} milliseconds */
  #pause(milliseconds) {
    /** @type {Promise<void>} */
    const paused = new Promise((resume) => {
      const timer = setTimeout(resume, milliseconds);
      this.#wakeUp = () => {
        clearTimeout(timer);
        resume();
      };
    });
    return paused;
  }

  #wake() {
    this.#wakeUp?.();
  }

  /** Send pending decisions now that there is a new token. */
  signedIn() {
    this.#wake();
  }

  // ---------------------------------------------------------------- undoing

  /** Undo the newest decision of this page; false when there is none. */
  undoLast() {
    const decision = this.last.at(-1);
    if (!decision) return false;
    this.undo(decision);
    return true;
  }

  /**
   * Undo a decision of this page. A decision that was never sent is simply dropped.
   * @param {Decision} decision
   */
  undo(decision) {
    this.last = this.last.filter((other) => other !== decision);
    if (!decision.sent) {
      this.#queue = this.#queue.filter((other) => other !== decision);
      this.#changed();
      decision.reject(new Refusal(0, "withdrawn"));
      this.#tell("undone", decision);
      return Promise.resolve();
    }
    // Shown in its previous state until the list is loaded again.
    const touched = [...decision.before.keys()].filter((id) => decision.before.get(id) !== undefined);
    const affected = this.#affected(decision, touched);
    const undo = this.decide({
      kind: "undo",
      path: () => `/decisions/${decision.answer?.decision_id}/undo`,
      body: () => ({}),
      show: (persons) => {
        for (const [id, person] of affected) {
          if (person) persons.set(id, person);
          else persons.delete(id);
        }
      },
      undoable: false,
      undoes: decision,
    });
    return undo.done.then(() => this.#tell("undone", decision)).catch(() => {});
  }

  /**
   * @param {Decision} decision
   * @param {string[]} ids
   */
  #affected(decision, ids) {
    const after = new Map(decision.before);
    decision.show(after);
    /** @type {Map<string, Person | undefined>} */
    const changed = new Map();
    for (const id of ids) if (after.get(id) !== decision.before.get(id)) changed.set(id, decision.before.get(id));
    const made = decision.answer?.made?.id;
    if (made) changed.set(made, undefined);
    return changed;
  }

  /**
   * Undo a decision of the history.
   * @param {string} id
   */
  undoById(id) {
    this.last = this.last.filter((decision) => decision.answer?.decision_id !== id);
    const undo = this.decide({ kind: "undo", path: () => `/decisions/${id}/undo`, body: () => ({}), undoable: false });
    return undo.done;
  }
}

// ---------------------------------------------------------------- the decisions

/**
 * @param {string} id
 * @param {Partial<Person>} changes
 */
const change = (id, changes) => (/** @type {Persons} */ persons) => {
  const person = persons.get(id);
  if (person) persons.set(id, { ...person, ...changes });
};

/**
 * Link a person to a member.
 * @param {Review} review
 * @param {string} id
 * @param {Pick<Member, "id" | "display_name" | "email">} user
 * @returns {ToldDraft}
 */
export function link(review, id, user, { again = false } = {}) {
  return {
    kind: "link",
    about: id,
    path: () => `/person/${id}/link-user`,
    body: () => /** @satisfies {Bodies["LinkUser"]} */ ({ user_id: user.id, version: review.version(id), ...(again && { again }) }),
    show: change(id, { status: "linked", linked_user: { id: user.id, display_name: user.display_name } }),
    told: (t) => t.told.link(user.display_name || user.email || t.nameless),
    user,
  };
}

/**
 * Unlink a person, or withdraw the invitation.
 * @param {Review} review
 * @param {string} id
 * @returns {ToldDraft}
 */
export function unlink(review, id) {
  const withdraws = review.person(id)?.status === "invited";
  return {
    kind: "unlink",
    about: id,
    path: () => `/person/${id}/unlink`,
    body: () => /** @satisfies {Bodies["OnPerson"]} */ ({ version: review.version(id) }),
    show: change(id, { status: "pending", linked_user: null, invitation_email: null }),
    told: (t) => (withdraws ? t.told.withdraw() : t.told.unlink()),
  };
}

/**
 * @param {Review} review
 * @param {string} id
 * @param {Guest} guest
 * @returns {ToldDraft}
 */
export function invite(review, id, { email, message, language, again = false }) {
  return {
    kind: "invite",
    about: id,
    path: () => `/person/${id}/invite`,
    body: () => /** @satisfies {Bodies["InviteGuest"]} */ ({
      email,
      message: message || null,
      language,
      version: review.version(id),
      ...(again && { again }),
    }),
    show: change(id, { status: "invited", invitation_email: email, linked_user: null }),
    told: (t) => t.told.invite(email),
    guest: { email, message, language },
  };
}

/**
 * @param {Review} review
 * @param {string} id
 * @returns {ToldDraft}
 */
export function ignore(review, id) {
  return {
    kind: "ignore",
    about: id,
    path: () => `/person/${id}/ignore`,
    body: () => /** @satisfies {Bodies["OnPerson"]} */ ({ version: review.version(id) }),
    show: change(id, { status: "ignored", invitation_email: null }),
    told: (t) => t.told.ignore(),
  };
}

/**
 * @param {Review} review
 * @param {string} id
 * @returns {ToldDraft}
 */
export function restore(review, id) {
  return {
    kind: "restore",
    about: id,
    path: () => `/person/${id}/restore`,
    body: () => /** @satisfies {Bodies["OnPerson"]} */ ({ version: review.version(id) }),
    show: change(id, { status: "pending" }),
    told: (t) => t.told.restore(),
  };
}

/**
 * Merge `others` into `into`.
 * @param {Review} review
 * @param {string} into
 * @param {string[]} others
 * @returns {ToldDraft}
 */
export function merge(review, into, others) {
  return {
    kind: "merge",
    about: into,
    path: () => `/person/${into}/merge`,
    body: () => /** @satisfies {Bodies["Merge"]} */ ({ from: others, version: review.version(into) }),
    show: (persons) => {
      const all = [into, ...others].map((id) => persons.get(id)).filter((person) => person !== undefined);
      const survivor = persons.get(into);
      if (!survivor) return;
      const named = all.find((person) => person.status === "linked") ?? all.find((person) => person.status === "invited");
      for (const id of others) persons.delete(id);
      persons.set(into, {
        ...survivor,
        ...(named && {
          status: named.status,
          linked_user: named.linked_user,
          invitation_email: named.invitation_email,
        }),
        face_count: all.reduce((sum, person) => sum + person.face_count, 0),
        photo_count: all.reduce((sum, person) => sum + person.photo_count, 0),
      });
    },
    told: (t) => t.told.merge(others.length + 1),
  };
}

/**
 * @param {string} id
 * @param {number} count
 */
function without(id, count) {
  return (/** @type {Persons} */ persons) => {
    const person = persons.get(id);
    if (!person) return;
    const left = person.face_count - count;
    if (left <= 0) persons.delete(id);
    else persons.set(id, { ...person, face_count: left, photo_count: Math.min(person.photo_count, left) });
  };
}

/**
 * Split faces of a person off into a new person.
 * @param {Review} review
 * @param {string} id
 * @param {string[]} faces
 * @returns {ToldDraft}
 */
export function split(review, id, faces) {
  return {
    kind: "split",
    about: id,
    path: () => `/person/${id}/split`,
    body: () => /** @satisfies {Bodies["SomeFaces"]} */ ({ face_ids: faces, version: review.version(id) }),
    show: without(id, faces.length),
    told: (t) => t.told.split(faces.length),
    faces,
  };
}

/**
 * Move faces of `from` (null: of no person) to `to` (null: a new person).
 * @param {Review} review
 * @param {string[]} faces
 * @param {string | null} from
 * @param {string | null} to
 * @param {{ told?: (words: Words) => string }} [options]
 * @returns {ToldDraft}
 */
export function move(review, faces, from, to, { told } = {}) {
  const take = from ? without(from, faces.length) : () => {};
  return {
    kind: "move",
    about: from ?? to,
    path: () => `/face/${faces[0]}/move`,
    body: () => /** @satisfies {Bodies["MoveFace"]} */ ({ person_id: to, face_ids: faces.slice(1), ...(to && { version: review.version(to) }) }),
    show: (persons) => {
      take(persons);
      const target = to && persons.get(to);
      if (target) persons.set(to, { ...target, face_count: target.face_count + faces.length });
    },
    told: told ?? ((t) => t.told.move(faces.length)),
    faces,
  };
}

/**
 * Reject faces from this person; `isTheirs`: they are in the person now, not only suggested.
 * @param {Review} review
 * @param {string[]} faces
 * @param {string} id
 * @param {{ isTheirs?: boolean, told?: (words: Words) => string }} [options]
 * @returns {ToldDraft}
 */
export function reject(review, faces, id, { isTheirs = true, told } = {}) {
  return {
    kind: "reject",
    about: id,
    path: () => `/face/${faces[0]}/reject`,
    body: () => /** @satisfies {Bodies["RejectFace"]} */ ({ person_id: id, face_ids: faces.slice(1), version: review.version(id) }),
    show: isTheirs ? without(id, faces.length) : () => {},
    told: told ?? ((t) => t.told.reject(faces.length)),
    faces,
  };
}

/**
 * @param {Review} review
 * @param {string} id
 * @param {string} face
 * @returns {ToldDraft}
 */
export function cover(review, id, face) {
  return {
    kind: "cover",
    about: id,
    path: () => `/person/${id}/cover`,
    body: () => /** @satisfies {Bodies["OneFace"]} */ ({ face_id: face, version: review.version(id) }),
    show: change(id, { cover_face_id: face, cover_url: `/face/${face}/thumbnail` }),
    told: (t) => t.told.cover(),
  };
}

/**
 * Record that a person is one person, not two; the question is not repeated.
 * @param {Review} review
 * @param {string} id
 * @returns {ToldDraft}
 */
export function onePerson(review, id) {
  return {
    kind: "one_person",
    about: id,
    path: () => `/person/${id}/one-person`,
    body: () => /** @satisfies {Bodies["OnPerson"]} */ ({ version: review.version(id) }),
    told: (t) => t.told.onePerson(),
  };
}

/**
 * Record that two persons are different people.
 * @param {Review} review
 * @param {string} id
 * @param {string} other
 * @returns {ToldDraft}
 */
export function distinct(review, id, other) {
  return {
    kind: "distinct",
    about: id,
    path: () => `/person/${id}/distinct`,
    body: () => /** @satisfies {Bodies["OtherPerson"]} */ ({ person_id: other, version: review.version(id) }),
    told: (t) => t.told.no(),
    alsoChanges: [other],
  };
}

/**
 * Whether lists show the person.
 * @param {ShownPerson} person
 * @returns {person is Person}
 */
function isNotMerged(person) {
  return person.status !== "merged";
}
