// The state of one event's review: what the server said last, and on top of it what was decided here and is not
// answered yet. What is shown is always the two together, so that a refusal takes back just what was refused.

import { get, getAll, newKey, post, Refusal } from "./api.js";

const FIRST_WAIT = 1000;
const LONGEST_WAIT = 15000;

/** One person as shown: the server's state, with `index`, their place in the list. */

export class Review extends EventTarget {
  constructor(eventId) {
    super();
    this.eventId = eventId;
    this.order = "photos";
    this.loaded = false;
    this.trouble = null; // "offline" or "busy" while decisions wait
    this.last = []; // decisions of this page that can be undone, the newest last
    this.#confirmed = new Map();
    this.#queue = [];
    this.#shown = new Map();
    addEventListener("online", () => this.#wake());
  }

  #confirmed;
  #queue;
  #shown;
  #pumping = false;
  #wakeUp = null;
  #refreshing = null;
  #again = false;

  // ---------------------------------------------------------------- reading

  /** A person as shown, or undefined: also for one that was merged away. */
  person(id) {
    return this.#shown.get(id);
  }

  /** All persons as shown, in the order of the list. */
  persons() {
    return [...this.#shown.values()];
  }

  /** How many decisions wait to be answered. */
  get waiting() {
    return this.#queue.length;
  }

  /** Ask for all persons anew. The order that people have seen stays; new persons come last, unless `reorder`. */
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

  async #load(reorder) {
    const path = `/event/${this.eventId}/face-persons?order=${this.order}`;
    const answered = this.answered;
    const onPage = (items, more) => {
      // The first page is shown while the others are on their way.
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

  #take(items, reorder) {
    const found = new Map(items.map((person) => [person.id, person]));
    const before = reorder ? [] : [...this.#confirmed.keys()].filter((id) => found.has(id));
    this.#confirmed = new Map(before.map((id) => [id, found.get(id)]));
    for (const [id, person] of found) this.#confirmed.set(id, person);
    this.#changed();
  }

  /** Ask for one person anew; one that is gone leaves the list. */
  async refreshPerson(id) {
    try {
      this.#put(await get(`/person/${id}`));
    } catch (error) {
      if (!(error instanceof Refusal) || error.status !== 404) throw error;
      this.#confirmed.delete(id);
    }
    this.#changed();
  }

  #put(person, after = null) {
    if (person.status === "merged" || person.face_count === 0) {
      this.#confirmed.delete(person.id);
      return;
    }
    // The answer of a decision has no address of the cover's picture.
    const cover_url = person.cover_face_id && `/face/${person.cover_face_id}/thumbnail`;
    if (this.#confirmed.has(person.id) || after === null) {
      this.#confirmed.set(person.id, { ...person, cover_url });
      return;
    }
    // A new person stands beside the one that it came out of.
    const entries = [...this.#confirmed];
    const place = entries.findIndex(([id]) => id === after);
    entries.splice(place + 1, 0, [person.id, { ...person, cover_url }]);
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
   * Decide: shown at once, sent in order, sent again until it is answered, taken back when it is refused.
   *
   * `path` and `body` make the request (`body` is called when it is sent, so that versions are those of that moment);
   * `show(persons)` changes the map of persons as the decision will; `about` is the person it is about, `alsoChanges`
   * other persons that the answer will not hold; `told` makes what people are told. Returns the decision, whose `done`
   * is a promise of the answer.
   */
  decide({ show = () => {}, about = null, undoable = true, ...rest }) {
    const decision = { ...rest, show, about, undoable, key: newKey(), sent: false };
    decision.before = new Map(this.#shown);
    decision.done = new Promise((resolve, reject) => {
      decision.resolve = resolve;
      decision.reject = reject;
    });
    decision.done.catch(() => {}); // told by the event below
    this.#queue.push(decision);
    if (undoable) this.last.push(decision);
    this.#changed();
    this.#tell("decided", decision);
    this.#pump();
    return decision;
  }

  /** The person's version that the server confirmed last: the one that a decision is about when it is sent. */
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
        // The body is made once: the same key always comes with the same request.
        decision.request ??= decision.body();
        const answer = await post(decision.path(), decision.request, decision.key);
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

  /** What a decision changed that its answer does not tell: the next decision is about the newest versions. */
  async #catchUp(decision) {
    try {
      if (decision.kind === "undo") await this.refresh();
      else await Promise.all((decision.alsoChanges ?? []).map((id) => this.refreshPerson(id)));
    } catch {
      // The next refresh tells.
    }
  }

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
    if (error.status === 404) this.refresh().catch(() => {});
  }

  #tell(type, decision) {
    this.dispatchEvent(new CustomEvent(type, { detail: decision }));
  }

  #setTrouble(trouble) {
    if (this.trouble === trouble) return;
    const before = this.trouble;
    this.trouble = trouble;
    this.dispatchEvent(new CustomEvent("trouble", { detail: { trouble, before } }));
  }

  #pause(milliseconds) {
    return new Promise((resume) => {
      const timer = setTimeout(resume, milliseconds);
      this.#wakeUp = () => {
        clearTimeout(timer);
        resume();
      };
    });
  }

  #wake() {
    this.#wakeUp?.();
  }

  /** Send what waits now: a new token is there. */
  signedIn() {
    this.#wake();
  }

  // ---------------------------------------------------------------- undoing

  /** Take back the newest decision of this page; false when there is none. */
  undoLast() {
    const decision = this.last.at(-1);
    if (!decision) return false;
    this.undo(decision);
    return true;
  }

  /** Take a decision of this page back. One that was never sent was never taken. */
  undo(decision) {
    this.last = this.last.filter((other) => other !== decision);
    if (!decision.sent) {
      this.#queue = this.#queue.filter((other) => other !== decision);
      this.#changed();
      decision.reject(new Refusal(0, "withdrawn"));
      this.#tell("undone", decision);
      return Promise.resolve();
    }
    // Shown as it was before, until the list says how it is.
    const touched = [...decision.before.keys()].filter((id) => decision.before.get(id) !== undefined);
    const affected = this.#affected(decision, touched);
    const undo = this.decide({
      kind: "undo",
      path: () => `/decisions/${decision.answer.decision_id}/undo`,
      body: () => ({}),
      show: (persons) => {
        for (const [id, person] of affected) person ? persons.set(id, person) : persons.delete(id);
      },
      undoable: false,
      undoes: decision,
    });
    return undo.done.then(() => this.#tell("undone", decision)).catch(() => {});
  }

  #affected(decision, ids) {
    const after = new Map(decision.before);
    decision.show(after);
    const changed = new Map(ids.filter((id) => after.get(id) !== decision.before.get(id)).map((id) => [id, decision.before.get(id)]));
    const made = decision.answer?.made?.id;
    if (made) changed.set(made, undefined);
    return changed;
  }

  /** Undo a decision of the history. */
  undoById(id) {
    this.last = this.last.filter((decision) => decision.answer?.decision_id !== id);
    const undo = this.decide({ kind: "undo", path: () => `/decisions/${id}/undo`, body: () => ({}), undoable: false });
    return undo.done;
  }
}

// ---------------------------------------------------------------- the decisions

const change = (id, changes) => (persons) => {
  const person = persons.get(id);
  if (person) persons.set(id, { ...person, ...changes });
};

/** Who a person is. */
export function link(review, id, user, { again = false } = {}) {
  return {
    kind: "link",
    about: id,
    path: () => `/person/${id}/link-user`,
    body: () => ({ user_id: user.id, version: review.version(id), ...(again && { again }) }),
    show: change(id, { status: "linked", linked_user: { id: user.id, display_name: user.display_name } }),
    told: (t) => t.told.link(user.display_name || user.email || t.nameless),
    user,
  };
}

/** Nobody known again: the name, or the invitation, is taken off. */
export function unlink(review, id) {
  const withdraws = review.person(id)?.status === "invited";
  return {
    kind: "unlink",
    about: id,
    path: () => `/person/${id}/unlink`,
    body: () => ({ version: review.version(id) }),
    show: change(id, { status: "pending", linked_user: null, invitation_email: null }),
    told: (t) => (withdraws ? t.told.withdraw() : t.told.unlink()),
  };
}

export function invite(review, id, { email, message, language, again = false }) {
  return {
    kind: "invite",
    about: id,
    path: () => `/person/${id}/invite`,
    body: () => ({
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

export function ignore(review, id) {
  return {
    kind: "ignore",
    about: id,
    path: () => `/person/${id}/ignore`,
    body: () => ({ version: review.version(id) }),
    show: change(id, { status: "ignored", invitation_email: null }),
    told: (t) => t.told.ignore(),
  };
}

export function restore(review, id) {
  return {
    kind: "restore",
    about: id,
    path: () => `/person/${id}/restore`,
    body: () => ({ version: review.version(id) }),
    show: change(id, { status: "pending" }),
    told: (t) => t.told.restore(),
  };
}

/** Several persons are one: `others` become `into`. */
export function merge(review, into, others) {
  return {
    kind: "merge",
    about: into,
    path: () => `/person/${into}/merge`,
    body: () => ({ from: others, version: review.version(into) }),
    show: (persons) => {
      const all = [into, ...others].map((id) => persons.get(id)).filter(Boolean);
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

function without(id, count) {
  return (persons) => {
    const person = persons.get(id);
    if (!person) return;
    const left = person.face_count - count;
    if (left <= 0) persons.delete(id);
    else persons.set(id, { ...person, face_count: left, photo_count: Math.min(person.photo_count, left) });
  };
}

/** Some faces of a person are somebody new. */
export function split(review, id, faces) {
  return {
    kind: "split",
    about: id,
    path: () => `/person/${id}/split`,
    body: () => ({ face_ids: faces, version: review.version(id) }),
    show: without(id, faces.length),
    told: (t) => t.told.split(faces.length),
    faces,
  };
}

/** Some faces of `from` (null: of nobody) are `to` (null: somebody new). */
export function move(review, faces, from, to, { told } = {}) {
  const take = from ? without(from, faces.length) : () => {};
  return {
    kind: "move",
    about: from ?? to,
    path: () => `/face/${faces[0]}/move`,
    body: () => ({ person_id: to, face_ids: faces.slice(1), ...(to && { version: review.version(to) }) }),
    show: (persons) => {
      take(persons);
      const target = to && persons.get(to);
      if (target) persons.set(to, { ...target, face_count: target.face_count + faces.length });
    },
    told: told ?? ((t) => t.told.move(faces.length)),
    faces,
  };
}

/** Some faces are not this person's; `isTheirs`: they are in it now, not only suggested. */
export function reject(review, faces, id, { isTheirs = true, told } = {}) {
  return {
    kind: "reject",
    about: id,
    path: () => `/face/${faces[0]}/reject`,
    body: () => ({ person_id: id, face_ids: faces.slice(1), version: review.version(id) }),
    show: isTheirs ? without(id, faces.length) : () => {},
    told: told ?? ((t) => t.told.reject(faces.length)),
    faces,
  };
}

export function cover(review, id, face) {
  return {
    kind: "cover",
    about: id,
    path: () => `/person/${id}/cover`,
    body: () => ({ face_id: face, version: review.version(id) }),
    show: change(id, { cover_face_id: face, cover_url: `/face/${face}/thumbnail` }),
    told: (t) => t.told.cover(),
  };
}

/** A person is one, not two: not asked again. */
export function onePerson(review, id) {
  return {
    kind: "one_person",
    about: id,
    path: () => `/person/${id}/one-person`,
    body: () => ({ version: review.version(id) }),
    told: (t) => t.told.onePerson(),
  };
}

/** Two persons are not one, however alike. */
export function distinct(review, id, other) {
  return {
    kind: "distinct",
    about: id,
    path: () => `/person/${id}/distinct`,
    body: () => ({ person_id: other, version: review.version(id) }),
    told: (t) => t.told.no(),
    alsoChanges: [other],
  };
}
