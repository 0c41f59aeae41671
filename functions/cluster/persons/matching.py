"""Which existing person each cluster is: human decisions first, then the vote of the faces already assigned.

Persons are numbered 0..p-1 here, faces are rows 0..n-1.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from functions.cluster.faces.centroids import centroids

NOBODY = -1

Ints = NDArray[np.int64]
Pair = tuple[int, int]
Meet = Callable[[Ints, Ints], bool]
"""Whether the faces of two groups (rows) stand side by side in a photo, as two people do."""


@dataclass(frozen=True)
class Standing:
    """What holds before the run, by face and by person.

    ``person``: int64[n], the person each face is in, or -1. ``anchored``: bool[n], faces that stay where they are.
    ``held``: bool[p], persons that are linked, invited or ignored. ``joined``: bool[p], persons that a human put
    together: by merging several, or by placing faces in them. ``apart``: pairs of persons (smaller number first) that
    a human told apart.
    """

    person: Ints
    anchored: NDArray[np.bool_]
    held: NDArray[np.bool_]
    joined: NDArray[np.bool_]
    apart: AbstractSet[Pair]


@dataclass(frozen=True)
class Groups:
    """Clusters after human decisions: ``group`` int64[n], -1 for noise; ``person`` int64[g], each group's person.

    Numbers from p on are persons that do not exist yet.
    """

    group: Ints
    person: Ints


def match_groups(
    embeddings: NDArray[np.float32],
    labels: NDArray[np.integer],
    standing: Standing,
    meet: Meet,
    min_overlap: float,
    fragment_similarity: float,
) -> Groups:
    """Split clusters where human decisions say so, and give each resulting group its person.

    A group with anchored faces is their person. The others are matched one-to-one to persons by the faces that stand
    in them already, so that as many faces as possible stay where they are (``min_overlap`` is the part of the smaller
    side they must share); a fragment most of whose faces come from one person stays with it while it is like the rest
    of that person (the cosine of their means is at least ``fragment_similarity``) and does not ``meet`` it in a photo;
    the others are new persons. That faces were put into a person by hand takes none of the person's own faces away.
    """
    group, owner = _split_by_owners(embeddings, labels, standing)
    person_count = standing.held.shape[0]
    person = owner.copy()
    free = np.flatnonzero(owner == NOBODY)
    votes = _votes(group, standing)
    if free.size and votes.size:
        open_votes = votes[np.isin(votes[:, 0], free) & ~standing.held[votes[:, 1]]]
        open_votes = open_votes[open_votes[:, 2] > _own_faces_kept(group, owner, standing)[open_votes[:, 1]]]
        for matched, heir in _one_to_one(open_votes, group, standing, min_overlap):
            person[matched] = heir
        _keep_fragments(embeddings, person, votes, group, standing, meet, fragment_similarity)
    unknown = np.flatnonzero(person == NOBODY)
    person[unknown] = person_count + np.arange(unknown.size)
    return Groups(group=group, person=person)


def _split_by_owners(
    embeddings: NDArray[np.float32], labels: NDArray[np.integer], standing: Standing
) -> tuple[Ints, Ints]:
    """Divide clusters so that each group has at most one owner: int64[n] group per face, int64[g] owner or -1."""
    group = np.full(labels.shape[0], NOBODY, dtype=np.int64)
    owners: list[int] = []
    person_sizes = _person_sizes(standing)
    for label in range(int(labels.max(initial=NOBODY)) + 1):
        members = np.flatnonzero(labels == label)
        if not members.size:
            continue
        parties = _parties(members, standing, person_sizes)
        if len(parties) <= 1:
            group[members] = len(owners)
            owners.append(parties[0] if parties else NOBODY)
            continue
        part = np.searchsorted(parties, standing.person[members])
        known = np.isin(standing.person[members], parties)
        centres = centroids(embeddings[members], np.where(known, part, NOBODY), len(parties))
        part = np.where(known, part, (embeddings[members] @ centres.T).argmax(axis=1))
        group[members] = len(owners) + part
        owners.extend(parties)
    return group, np.array(owners, dtype=np.int64)


def _parties(members: Ints, standing: Standing, person_sizes: Ints) -> list[int]:
    """Return the persons, ascending, among whom a cluster is divided; empty when no human decision touches it.

    These are the persons of its anchored faces, and beside them the persons that a human told apart from another one
    in the cluster, that share it with a held person (whose faces nobody joins without being asked), or whose cluster
    it was: a face that a human put into another person takes no other face along.
    """
    persons, counts = np.unique(standing.person[members], return_counts=True)
    present = {int(person): int(count) for person, count in zip(persons, counts, strict=True) if person != NOBODY}
    owners = {int(person) for person in standing.person[members[standing.anchored[members]]]}
    parties = set(owners)
    if any(standing.held[owner] for owner in owners):
        parties |= present.keys()
    elif owners:
        most = max(present[owner] for owner in owners)
        parties |= {
            person
            for person, faces in present.items()
            if faces > most and (standing.joined[person] or 2 * faces >= person_sizes[person])
        }
    if len(present) > 1 and standing.apart:
        for pair in standing.apart:
            if pair[0] in present and pair[1] in present:
                parties |= set(pair)
    return sorted(parties)


def _person_sizes(standing: Standing) -> Ints:
    """How many faces each person has, int64[p]."""
    return np.bincount(standing.person[standing.person != NOBODY], minlength=standing.held.shape[0])


def _own_faces_kept(group: Ints, owner: Ints, standing: Standing) -> Ints:
    """For each person, the most faces that stay in one of its own groups without being anchored; int64[p].

    That many hold its place: only a group with more of its faces may have the person beside them.
    """
    kept = np.zeros(standing.held.shape[0], dtype=np.int64)
    inside = np.flatnonzero((group != NOBODY) & (standing.person != NOBODY) & ~standing.anchored)
    inside = inside[owner[group[inside]] == standing.person[inside]]
    groups, counts = np.unique(group[inside], return_counts=True)
    np.maximum.at(kept, owner[groups], counts)
    return kept


def _votes(group: Ints, standing: Standing) -> Ints:
    """How many faces of each person each group holds: int64[v, 3], rows of (group, person, faces)."""
    voting = (group != NOBODY) & (standing.person != NOBODY)
    pairs, count = np.unique(np.column_stack([group[voting], standing.person[voting]]), axis=0, return_counts=True)
    return np.column_stack([pairs.reshape(-1, 2), count]).astype(np.int64)


def _one_to_one(open_votes: Ints, group: Ints, standing: Standing, min_overlap: float) -> list[Pair]:
    """Assign groups to persons, of those in ``open_votes``, so that most faces are kept; pairs (group, person)."""
    if not open_votes.size:
        return []
    group_sizes = np.bincount(group[group != NOBODY])
    person_sizes = _person_sizes(standing)
    offset = int(group_sizes.shape[0])
    nodes = offset + person_sizes.shape[0]
    adjacency = coo_array((open_votes[:, 2], (open_votes[:, 0], open_votes[:, 1] + offset)), shape=(nodes, nodes))
    # Groups and persons that share no face cannot be matched: each connected part is its own small problem.
    _, part = connected_components(adjacency, directed=False)
    part_of_vote = part[open_votes[:, 0]]
    order = np.argsort(part_of_vote, kind="stable")
    pairs: list[Pair] = []
    for rows in np.split(order, np.flatnonzero(np.diff(part_of_vote[order])) + 1):
        problem = open_votes[rows]
        groups, row = np.unique(problem[:, 0], return_inverse=True)
        persons, column = np.unique(problem[:, 1], return_inverse=True)
        shared = np.zeros((groups.size, persons.size))
        shared[row, column] = problem[:, 2]
        for i, j in zip(*linear_sum_assignment(shared, maximize=True), strict=True):
            smaller = min(group_sizes[groups[i]], person_sizes[persons[j]])
            if shared[i, j] > 0 and shared[i, j] >= min_overlap * smaller:
                pairs.append((int(groups[i]), int(persons[j])))
    return pairs


def _keep_fragments(
    embeddings: NDArray[np.float32],
    person: Ints,
    votes: Ints,
    group: Ints,
    standing: Standing,
    meet: Meet,
    fragment_similarity: float,
) -> None:
    """Give each group without a person the person that at least half of its faces come from (in place).

    So a person that HDBSCAN breaks in two stays whole, and taking it apart is for humans. But two people whom an early
    run, with few faces to go by, took for one are told apart as soon as HDBSCAN can: their means are not alike, or both
    are in one photo. What a human put together stays together whatever it looks like, also beside many new faces.
    """
    group_sizes = np.bincount(group[group != NOBODY])
    means = centroids(embeddings, group, person.shape[0])
    for orphan in np.flatnonzero(person == NOBODY):
        shares = votes[votes[:, 0] == orphan]
        if not shares.size:
            continue
        _, origin, faces = shares[shares[:, 2].argmax()]
        if standing.held[origin]:
            continue
        if standing.joined[origin]:
            stays = 2 * faces >= shares[:, 2].sum()
        else:
            rest = np.flatnonzero(person == origin)
            likeness = float((means[rest] @ means[orphan]).max(initial=-1.0))
            is_one = not rest.size or (
                likeness >= fragment_similarity
                and not meet(np.flatnonzero(group == orphan), np.flatnonzero(np.isin(group, rest)))
            )
            stays = is_one and 2 * faces >= group_sizes[orphan]
        if stays:
            person[orphan] = origin
