// Names of persons, and which person is preferred when persons are merged.

import { t } from "./words.js";

/** @import { ShownPerson } from "../types" */

/**
 * The name of a person that has one, else null.
 * @param {ShownPerson} person
 */
export function nameOf(person) {
  if (person.status === "linked") return person.linked_user?.display_name || t.nameless;
  if (person.status === "invited") return person.invitation_email;
  return null;
}

/**
 * The title of a person's card.
 * @param {ShownPerson} person
 */
export function titleOf(person) {
  return nameOf(person) ?? t.unknown;
}

/**
 * Text without accents and case, for searching.
 * @param {string} text
 */
export function folded(text) {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}

/**
 * Whether each word of `query` begins a word of `text`.
 * @param {string} text
 * @param {string} query
 */
export function hasWords(text, query) {
  const words = folded(text).split(/[\s.@_-]+/);
  return folded(query)
    .split(/\s+/)
    .filter(Boolean)
    .every((wanted) => words.some((word) => word.startsWith(wanted)) || folded(text).startsWith(wanted));
}

const STRENGTH = { linked: 3, invited: 2, pending: 1, ignored: 0, merged: 0 };

/**
 * The person that should remain after a merge: one with a name, then the one with the most photos.
 * @param {ShownPerson[]} persons
 */
export function strongest(persons) {
  return persons.toSorted(
    (a, b) => STRENGTH[b.status] - STRENGTH[a.status] || b.photo_count - a.photo_count || (a.id < b.id ? -1 : 1),
  )[0];
}
