"""Where each face goes in one round: anchored faces stay, the others take the best person that will have them."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from functions.cluster.faces.centroids import group_sums, similarity_to_others
from functions.cluster.persons.before import Before
from functions.cluster.persons.matching import NOBODY, Groups, Standing

Ints = NDArray[np.int64]
Conflicts = dict[tuple[int, int], set[int]]
"""By person and face that may be in it: the faces of the same photo that must not be in it as well."""


@dataclass(frozen=True)
class Choices:
    """What speaks for each face's choice, by person number.

    ``target`` int64[n], the person of each face's cluster, or -1; ``own`` float64[n], how alike the face is to the
    others of that person; ``stay`` float64[n], how alike to the others of the person it is in; ``alive`` bool[p], the
    persons that have faces.
    """

    target: Ints
    own: NDArray[np.float64]
    stay: NDArray[np.float64]
    alive: NDArray[np.bool_]


def place_faces(before: Before, people: list[UUID], seen: set[int], standing: Standing, groups: Groups) -> Ints:
    """Return each face's person, int64[n]: a number of ``people``, one beyond for a person yet to be made, or -1.

    ``seen`` are the persons that a human decided something on; faces already in one keep their place before anybody
    comes.
    """
    choices = _choices(before, len(people), standing, groups)
    conflicts = _conflicts(before, choices.target, standing.person)
    result = np.where(before.anchored, standing.person, NOBODY)
    nobody: set[int] = set()
    inside: dict[int, set[int]] = {}  # the faces that each person has so far
    for row in np.flatnonzero(before.anchored & (result != NOBODY)).tolist():
        inside.setdefault(int(result[row]), set()).add(row)
    is_new = ~np.isin(standing.person, sorted(seen))
    for row in np.lexsort((-np.maximum(choices.own, choices.stay), is_new)).tolist():
        if before.anchored[row]:
            continue
        for person in _preferences(before, row, choices, standing, seen):
            if not conflicts.get((person, row), nobody).isdisjoint(inside.get(person, nobody)):
                continue
            if person < len(people) and people[person] in before.rejected[row]:
                continue
            if person < len(people) and standing.held[person]:
                break  # a new face of a held person: nobody's for now, and suggested
            inside.setdefault(person, set()).add(row)
            result[row] = person
            break
    return result


def _choices(before: Before, people: int, standing: Standing, groups: Groups) -> Choices:
    """Compare each face with the persons that it may go to."""
    target = np.where(groups.group >= 0, groups.person[groups.group], NOBODY) if groups.person.size else groups.group
    count = max(people, int(groups.person.max(initial=NOBODY)) + 1)
    # An anchored face stands for its person even where no cluster holds it.
    stands_for = np.where(before.anchored & (standing.person != NOBODY), standing.person, target)
    sums = group_sums(before.embeddings, stands_for, count)
    alive = np.zeros(count, dtype=bool)
    alive[stands_for[stands_for != NOBODY]] = True
    own = similarity_to_others(before.embeddings, sums, stands_for, target)
    return Choices(target, own, _likeness_to_own(before, sums, stands_for, standing, count), alive)


def _conflicts(before: Before, target: Ints, current: Ints) -> Conflicts:
    found: Conflicts = {}
    rows = np.tile(np.arange(target.size), 2)
    person = np.concatenate([target, current])
    claims = np.unique(np.column_stack([person, rows])[person != NOBODY], axis=0)
    for claim in np.split(claims, np.flatnonzero(np.diff(claims[:, 0])) + 1):
        for one, other in before.side_by_side.conflicts(claim[:, 1]):
            found.setdefault((int(claim[0, 0]), one), set()).add(other)
            found.setdefault((int(claim[0, 0]), other), set()).add(one)
    return found


def _likeness_to_own(
    before: Before, sums: NDArray[np.float32], stands_for: Ints, standing: Standing, count: int
) -> NDArray[np.float64]:
    """Compare each face with the others of the person it is in; float64[n], -1 where there are none.

    The faces that a human placed may look like nobody else in there: without them it counts as well.
    """
    whole = similarity_to_others(before.embeddings, sums, stands_for, standing.person)
    if not before.joined:
        return whole
    unplaced = np.where(before.anchored, NOBODY, stands_for)
    rest = group_sums(before.embeddings, unplaced, count)
    return np.maximum(whole, similarity_to_others(before.embeddings, rest, unplaced, standing.person))


def _preferences(before: Before, row: int, choices: Choices, standing: Standing, seen: set[int]) -> list[int]:
    """List the persons a face may go to, the preferred first: its cluster's, and its own, which has a bonus.

    Whoever decided something on a person has seen its faces: none of them leaves for nobody.
    """
    wanted, incumbent = int(choices.target[row]), int(standing.person[row])
    likes: list[tuple[float, int]] = []
    if wanted != NOBODY:
        likes.append((choices.own[row], wanted))
    if incumbent not in (NOBODY, wanted):
        least = before.parameters.keep_similarity
        fits = least is not None and choices.alive[incumbent] and choices.stay[row] >= least
        if fits or incumbent in seen:
            likes.append((choices.stay[row] + before.parameters.keep_bonus, incumbent))
    return [person for _, person in sorted(likes, key=lambda like: -like[0])]
