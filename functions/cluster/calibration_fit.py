"""Derive the constants of a model pack from labelled faces of real photos. Pure.

The cosines of strangers' faces are modelled as normally distributed: a constant that a given share of strangers' pairs
may exceed lies the corresponding number of standard deviations above their mean. The constants found by experiment for
the pack `mini` correspond to the rates below (docs/clustering.md). Empirical quantiles cannot replace the model in the
tails: .02 % is one pair in 5,000, so a few look-alikes would determine it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from functions.cluster.faces.centroids import centroids
from functions.cluster.faces.rules import group_faces
from functions.cluster.parameters import ClusterParameters
from functions.cluster.states import FaceState
from shared.calibration import (
    AcrossEventsConstants,
    Calibration,
    ClusterConstants,
    PackConstants,
    SearchConstants,
    constants_of,
)

NOBODY = -1

APART_RATE, JOIN_RATE, PAIR_RATE, SAME_FACE_RATE = 0.02, 0.001, 0.0002, 0.00001
"""The share of strangers' pairs that may exceed each constant: mean similarity within a cluster; joining; the distance
cap and pairs; one person seen twice in a photo."""
FRAGMENT_ABOVE_JOIN = 0.1
"""A part of a person that HDBSCAN separates needs this much more similarity to stay than a single face needs to join:
means of several faces are more similar. The value is that of `mini`."""
EVENT_PERSONS, LIKELY_FPIR, POSSIBLE_FPIR = 100, 0.01, 0.05
"""A search compares with the persons of one event; the part of strangers' searches that may find somebody."""
ACROSS_COMPARISONS, ACROSS_RATE, ACROSS_MARGIN = 30 * 20, 0.01, 0.1
"""An event of 30 persons and 20 members who opted in; the part of events in which a stranger may come up."""
FACES_OF_A_MEAN = 8
MISPLACED_MARGIN = 0.1
"""A face that is by this much more similar to another folder's mean than to the others of its own folder is misplaced.
This finds two of 884 labelled faces of five real sets, and 99 % of faces moved to another folder at random."""
LEAST_PEOPLE, LEAST_STRANGERS = 5, 100
"""With fewer people with two photos, or fewer pairs of strangers, the estimates are not reliable."""


class TooLittle(ValueError):
    """There are not enough labelled faces; the message says what to add."""


@dataclass(frozen=True)
class LabelledFaces:
    """Faces, and whose they are.

    ``embeddings`` float32[n, d] of length 1; ``person`` int64[n], the number of each face's person, or -1 if unknown;
    ``photo`` int64[n]; ``states`` as clustering takes them, in the same order.
    """

    embeddings: NDArray[np.float32]
    person: NDArray[np.int64]
    photo: NDArray[np.int64]
    states: Sequence[FaceState]

    def without_rows(self, rows: Sequence[int]) -> LabelledFaces:
        """Return the same faces with these rows unlabelled."""
        person = self.person.copy()
        person[list(rows)] = NOBODY
        return LabelledFaces(self.embeddings, person, self.photo, self.states)

    def without(self, person: int) -> LabelledFaces:
        """Return the same faces with that person's unlabelled."""
        known = np.where(self.person == person, NOBODY, self.person)
        return LabelledFaces(self.embeddings, known, self.photo, self.states)


@dataclass(frozen=True)
class Spread:
    """Cosines of pairs: how many, their mean and standard deviation."""

    pairs: int
    mean: float
    deviation: float

    def passed_by(self, rate: float) -> float:
        """Return the cosine that a share ``rate`` of normally distributed pairs exceeds; at most .99."""
        return round(min(float(self.mean + norm.isf(rate) * self.deviation), 0.99), 3)


@dataclass(frozen=True)
class Likeness:
    """Cosines between faces of one person, between strangers' faces, from faces to means, and between means."""

    one_person: NDArray[np.float32]
    strangers: NDArray[np.float32]
    face_to_mean: NDArray[np.float32]
    """Each face to the means of the other people."""
    own_mean: NDArray[np.float32]
    """Each face to the mean of its own person's others."""
    means: NDArray[np.float32]


@dataclass(frozen=True)
class LeftOut:
    """How well the faces of one person are grouped by constants measured without them: BCubed."""

    person: int
    precision: float
    recall: float


def whose_faces(folders: NDArray[np.str_], photo: NDArray[np.int64], embeddings: NDArray[np.float32]) -> list[str]:
    """Whose each face is, "" where nobody says: in a photo with several faces, the one most like the folder's others.

    Photos with one face come first; a folder without any goes by the mean of all its faces. ``photo`` int64[n].
    """
    whose = [""] * len(folders)
    _, inverse, counts = np.unique(photo, return_inverse=True, return_counts=True)
    alone = counts[inverse] == 1
    for folder in np.unique(folders):
        rows = np.flatnonzero(folders == folder)
        sure = rows[alone[rows]]
        mean = embeddings[sure if sure.size else rows].mean(axis=0)
        for one in np.unique(photo[rows]):
            here = rows[photo[rows] == one]
            whose[int(here[int((embeddings[here] @ mean).argmax())])] = str(folder)
    return whose


@dataclass(frozen=True)
class Misplaced:
    """A face (its ``row``) that is more like the mean of ``other``'s faces than like that of ``person``'s others.

    ``person`` and ``other`` are numbers of people; ``own_cosine`` and ``other_cosine`` are the two cosines.
    """

    row: int
    person: int
    other: int
    own_cosine: float
    other_cosine: float


def misplaced(faces: LabelledFaces) -> list[Misplaced]:
    """Find labelled faces in another person's folder, the most certain first; each is judged without those before.

    Only people with two faces or more are compared. Somebody who has no folder of their own is not found out.
    """
    person = faces.person.copy()
    found: list[Misplaced] = []
    while True:
        surest = _surest_misplaced(faces.embeddings, person)
        if surest is None:
            return found
        person[surest.row] = NOBODY
        found.append(surest)


def _surest_misplaced(embeddings: NDArray[np.float32], person: NDArray[np.int64]) -> Misplaced | None:
    numbers, counts = np.unique(person[person != NOBODY], return_counts=True)
    numbers = numbers[counts > 1]
    if numbers.size < 2:  # noqa: PLR2004 - there is no other
        return None
    rows = np.flatnonzero(np.isin(person, numbers))
    own = np.searchsorted(numbers, person[rows])
    sums = np.stack([embeddings[person == one].sum(axis=0) for one in numbers])
    others = sums[own] - embeddings[rows]
    own_cosine = np.einsum("ij,ij->i", embeddings[rows], others) / np.maximum(np.linalg.norm(others, axis=1), 1e-9)
    to_mean = embeddings[rows] @ (sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)).T
    to_mean[np.arange(rows.size), own] = -1.0
    at = int((to_mean.max(axis=1) - own_cosine).argmax())
    nearest = int(to_mean[at].argmax())
    if to_mean[at, nearest] - own_cosine[at] <= MISPLACED_MARGIN:
        return None
    return Misplaced(
        int(rows[at]), int(numbers[own[at]]), int(numbers[nearest]), float(own_cosine[at]), float(to_mean[at, nearest])
    )


def likeness_of(faces: LabelledFaces) -> Likeness:
    """Compare all labelled faces.

    Raises:
        TooLittle: fewer people or pairs than say anything.
    """
    labelled = np.flatnonzero(faces.person != NOBODY)
    rows, person, photo = faces.embeddings[labelled], faces.person[labelled], faces.photo[labelled]
    first, second = np.triu_indices(labelled.size, 1)
    alike = (rows @ rows.T)[first, second]
    same = (person[first] == person[second]) & (photo[first] != photo[second])
    differ = person[first] != person[second]
    people = [members for one in np.unique(person) if (members := np.flatnonzero(person == one)).size > 1]
    if len(people) < LEAST_PEOPLE or int(differ.sum()) < LEAST_STRANGERS:
        message = (
            f"{len(people)} people with two faces or more and {int(differ.sum())} pairs of strangers: at least "
            f"{LEAST_PEOPLE} and {LEAST_STRANGERS} are needed. Add folders of people with five photos each. Every "
            "folder right below the one that is named counts as one person; files beside them are not looked at"
        )
        raise TooLittle(message)
    group = np.full(labelled.size, NOBODY)
    for number, members in enumerate(people):
        group[members[:FACES_OF_A_MEAN]] = number
    means = centroids(rows, group, len(people))
    owner = np.array([person[members[0]] for members in people])
    to_mean = rows @ means.T
    own = [
        float(rows[member] @ _unit(rows[np.setdiff1d(members[: FACES_OF_A_MEAN + 1], [member])].mean(axis=0)))
        for members in people
        for member in members
    ]
    return Likeness(
        one_person=alike[same],
        strangers=alike[differ],
        face_to_mean=to_mean[person[:, None] != owner[None, :]],
        own_mean=np.array(own, dtype=np.float32),
        means=(means @ means.T)[np.triu_indices(len(people), 1)],
    )


def spread(cosines: NDArray[np.float32]) -> Spread:
    """Their number, mean and standard deviation; ``cosines`` must not be empty."""
    return Spread(int(cosines.size), float(cosines.mean()), float(cosines.std()))


def propose(likeness: Likeness, start: ClusterConstants, source: str) -> PackConstants:
    """Return the constants at the rates above; what labelled faces do not tell stays as in ``start``.

    That is gates, margins, and whether faces are kept in their person (``keep_similarity``).
    """
    strangers, to_mean, means = (spread(one) for one in (likeness.strangers, likeness.face_to_mean, likeness.means))
    apart, join, pair = (strangers.passed_by(rate) for rate in (APART_RATE, JOIN_RATE, PAIR_RATE))
    cluster = start.model_copy(
        update={
            "source": source,
            "measured": True,
            "apart_similarity": apart,
            "conflict_similarity": apart,
            "suggestion_similarity": apart,
            "join_similarity": join,
            "merge_similarity": join,
            "pair_similarity": pair,
            "max_distance": round(1.0 - pair, 3),
            "same_face_similarity": strangers.passed_by(SAME_FACE_RATE),
            "fragment_similarity": round(min(join + FRAGMENT_ABOVE_JOIN, 0.99), 3),
        }
    )
    search = SearchConstants(
        source=f"{source}; events of {EVENT_PERSONS} persons",
        measured=True,
        likely=to_mean.passed_by(_each_of(EVENT_PERSONS, LIKELY_FPIR)),
        possible=to_mean.passed_by(_each_of(EVENT_PERSONS, POSSIBLE_FPIR)),
    )
    across = AcrossEventsConstants(
        source=f"{source}; a stranger in {ACROSS_RATE:.0%} of events with {ACROSS_COMPARISONS} comparisons",
        measured=True,
        similarity=means.passed_by(_each_of(ACROSS_COMPARISONS, ACROSS_RATE)),
        margin=ACROSS_MARGIN,
    )
    return PackConstants(cluster=cluster, search=search, across_events=across)


def calibration_for(pack: str, constants: PackConstants) -> Calibration:
    """Return the value of FACE_CALIBRATION for one pack."""
    return Calibration(version=1, packs={pack: constants})


def leave_one_out(faces: LabelledFaces, pack: str) -> list[LeftOut]:
    """Group all faces once for every person with two faces or more, by constants that were measured without theirs.

    A person without whom too little is left to measure by is passed over.
    """
    start = constants_of(pack).cluster
    results: list[LeftOut] = []
    for person in np.unique(faces.person[faces.person != NOBODY]):
        if np.count_nonzero(faces.person == person) == 1:
            continue
        try:
            constants = propose(likeness_of(faces.without(int(person))), start, "the others").cluster
        except TooLittle:
            continue
        parameters = ClusterParameters(**constants.model_dump(exclude={"measured"}))
        results.append(_scored(faces, group_faces(faces.embeddings, faces.states, parameters).labels, int(person)))
    return results


def _scored(faces: LabelledFaces, labels: NDArray[np.int32], person: int) -> LeftOut:
    """BCubed over the person's faces; a face in no cluster is a cluster of one, faces of nobody known do not count."""
    alone = np.arange(labels.size) + int(labels.max(initial=NOBODY)) + 1
    group = np.where(labels < 0, alone, labels)
    known = faces.person != NOBODY
    own = np.flatnonzero(faces.person == person)
    precision = [np.mean(faces.person[known & (group == group[row])] == person) for row in own]
    recall = [np.mean(group[own] == group[row]) for row in own]
    return LeftOut(person, float(np.mean(precision)), float(np.mean(recall)))


def _each_of(comparisons: int, rate: float) -> float:
    """Return the rate of one comparison at which this many independent comparisons pass at ``rate`` together."""
    return float(1.0 - (1.0 - rate) ** (1.0 / comparisons))


def _unit(row: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(row / max(float(np.linalg.norm(row)), 1e-9), dtype=np.float32)
