"""Assign faces that are in no cluster: very similar ones form pairs, then each joins the closest clear match. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from functions.cluster.faces.centroids import centroids
from functions.cluster.faces.same_photo import conflicting
from functions.cluster.labels import NOISE
from functions.cluster.parameters import ClusterParameters

Labels = NDArray[np.int32]

JOIN_ROUNDS = 2
"""How often left-over faces are looked at once pairs have become persons: the third face of a person of two may make
the fourth plain. A third round changed nothing on the labelled sets."""

BLOCK_ROWS = 4096
"""Rows compared with all clusters at a time; bounds the memory of a comparison."""

POOR_LEAD = 0.05
"""With `mini`, on five labelled sets, two of them together and small events: no pair of one person is lost by it (at 0,
.0007 of recall in small events), and the pair of strangers is found that 26 blurred strangers joined (.57, and .71 to
one of them)."""


def place_left_over(
    embeddings: NDArray[np.float32],
    labels: Labels,
    photos: NDArray[np.integer],
    seeds: NDArray[np.bool_],
    parameters: ClusterParameters,
    *,
    poor: NDArray[np.bool_] | None = None,
) -> Labels:
    """Pairs of left-over faces, and joins of both: a pair joins a person as one, and is a person of two otherwise.

    Pairs come first: two photos of a guest who looks a little like somebody with many are more like each other.
    ``poor`` bool[n] are the faces too poor to seed, by default all that do not.
    """
    labels = labels.copy()
    pairs = np.empty((0, 2), dtype=np.int64)
    if parameters.pair_similarity is not None:
        pairs = alike_pairs(embeddings, labels, photos, seeds, parameters.pair_similarity, poor=poor)
    if parameters.join_similarity is not None:
        labels = join(embeddings, labels, photos, seeds, pairs, parameters.join_similarity, parameters)
    alone = pairs[labels[pairs[:, 0]] == NOISE]
    first = int(labels.max(initial=NOISE)) + 1
    labels[alone] = first + np.arange(alone.shape[0], dtype=np.int32)[:, None]
    if parameters.join_similarity is not None:
        for _ in range(JOIN_ROUNDS):
            grown = join(embeddings, labels, photos, seeds, pairs[:0], parameters.join_similarity, parameters)
            if np.array_equal(grown, labels):
                break
            labels = grown
    return labels


def alike_pairs(
    embeddings: NDArray[np.float32],
    labels: Labels,
    photos: NDArray[np.integer],
    seeds: NDArray[np.bool_],
    similarity: float,
    *,
    poor: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """Left-over seeds of different photos that are each other's nearest, and at least so alike; int64[p, 2] rows.

    Two of which one is more alike still, by :data:`POOR_LEAD`, to a left-over face too poor to seed are no pair:
    blurred heads are alike whoever they are, and two strangers' that only just may seed would found a person whom the
    others then join.
    """
    noise = np.flatnonzero((labels == NOISE) & seeds)
    if noise.size <= 1:
        return np.empty((0, 2), dtype=np.int64)
    rows, places = embeddings[noise], photos[noise]
    nearest = np.empty(noise.size, dtype=np.int64)
    nearness = np.empty(noise.size, dtype=np.float32)
    for begin in range(0, noise.size, BLOCK_ROWS):
        block = slice(begin, begin + BLOCK_ROWS)
        likeness = rows[block] @ rows.T
        likeness[places[block, None] == places[None, :]] = -np.inf
        nearest[block] = likeness.argmax(axis=1)
        nearness[block] = likeness.max(axis=1)
    here = np.arange(noise.size)
    chosen = here[(nearest[nearest] == here) & (here < nearest) & (nearness >= similarity)]
    pairs = np.column_stack([noise[chosen], noise[nearest[chosen]]])
    too_poor = np.flatnonzero((labels == NOISE) & (~seeds if poor is None else poor))
    likest_poor = [_likest(embeddings, photos, pairs[:, side], too_poor) for side in (0, 1)]
    alike: NDArray[np.bool_] = nearness[chosen] >= np.maximum(*likest_poor) - POOR_LEAD
    return pairs[alike]


def _likest(
    embeddings: NDArray[np.float32], photos: NDArray[np.integer], rows: NDArray[np.int64], others: NDArray[np.int64]
) -> NDArray[np.float32]:
    """How alike each of the rows is to the most alike of the others in another photo; -inf where there is none."""
    result = np.full(rows.size, -np.inf, dtype=np.float32)
    for begin in range(0, rows.size if others.size else 0, BLOCK_ROWS):
        some = rows[begin : begin + BLOCK_ROWS]
        likeness = embeddings[some] @ embeddings[others].T
        likeness[photos[some][:, None] == photos[others]] = -np.inf
        result[begin : begin + BLOCK_ROWS] = likeness.max(axis=1)
    return result


def join(
    embeddings: NDArray[np.float32],
    labels: Labels,
    photos: NDArray[np.integer],
    seeds: NDArray[np.bool_],
    pairs: NDArray[np.int64],
    similarity: float,
    parameters: ClusterParameters,
) -> Labels:
    """Left-over faces, and ``pairs`` of them as one, join the nearest cluster when it is near, clear and has room.

    "Near" is a cosine to the centroid, in the mean over a pair: ``similarity`` for a cluster of four faces, for others
    as ``parameters.join_evidence`` says; of a pair ``join_margin`` more is asked. "Clear" means ``join_margin`` more
    similar than to the second nearest. "Room" means that no face of the cluster speaks against another one of that
    photo. The most similar goes first, so that of two faces in one photo the better one gets the place.
    """
    labels = labels.copy()
    count = int(labels.max(initial=NOISE)) + 1
    units = _units(labels, pairs)
    if not (units.size and count):
        return labels
    # Blurred faces are alike whoever they are: they join a person, and do not say who it is.
    founders = np.where(seeds, labels, NOISE)
    nearest, best, second = two_nearest(units.mean_of(embeddings), centroids(embeddings, founders, count))
    # A label may have lost all its faces; nothing is near the zero vector that stands for it.
    sizes = np.maximum(np.bincount(founders[founders != NOISE], minlength=count), 1)
    asked = similarity + parameters.join_evidence * (1.0 / sizes - 0.25)
    more = np.where(units.is_pair, parameters.join_margin, 0.0)
    clear = np.flatnonzero((best >= asked[nearest] + more) & (best - second >= parameters.join_margin))
    taken = {(int(label), int(photo)) for label, photo in zip(labels, photos, strict=True) if label != NOISE}
    for index in clear[np.argsort(-best[clear], kind="stable")]:
        label, faces = int(nearest[index]), units.faces_of(int(index))
        places = [(label, int(photo)) for photo in photos[faces]]
        if not taken.intersection(places) or _has_room(embeddings, labels, photos, label, faces, parameters):
            taken.update(places)
            labels[faces] = label
    return labels


@dataclass(frozen=True)
class _Units:
    """What joins as one: ``one`` and ``other`` int64[u], rows of the faces, the same row twice for a single face."""

    one: NDArray[np.int64]
    other: NDArray[np.int64]

    @property
    def size(self) -> int:
        return int(self.one.size)

    @property
    def is_pair(self) -> NDArray[np.bool_]:
        pair: NDArray[np.bool_] = self.one != self.other
        return pair

    def mean_of(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """Not of length 1 again: a product with it is the mean over the faces."""
        return np.asarray((embeddings[self.one] + embeddings[self.other]) / 2, dtype=np.float32)

    def faces_of(self, unit: int) -> NDArray[np.int64]:
        return np.unique([self.one[unit], self.other[unit]])


def _units(labels: Labels, pairs: NDArray[np.int64]) -> _Units:
    """Return the left-over faces: pairs of which neither has joined yet, and the others one by one."""
    open_pairs = pairs[labels[pairs[:, 0]] == NOISE]
    single = np.setdiff1d(np.flatnonzero(labels == NOISE), open_pairs)
    return _Units(np.concatenate([single, open_pairs[:, 0]]), np.concatenate([single, open_pairs[:, 1]]))


def _has_room(
    embeddings: NDArray[np.float32],
    labels: Labels,
    photos: NDArray[np.integer],
    label: int,
    faces: NDArray[np.int64],
    parameters: ClusterParameters,
) -> bool:
    """Whether the faces may join a cluster that is in one of their photos already: as the same person seen twice."""
    members = np.append(np.flatnonzero(labels == label), faces)
    pairs = conflicting(embeddings[members], photos[members], parameters)
    return not (pairs >= members.size - faces.size).any()


def two_nearest(
    embeddings: NDArray[np.float32], centres: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
    """For each row, the nearest centre, its similarity and that of the second nearest (-1 where there is none)."""
    count = embeddings.shape[0]
    nearest = np.empty(count, dtype=np.int64)
    best = np.empty(count, dtype=np.float32)
    second = np.empty(count, dtype=np.float32)
    for begin in range(0, count, BLOCK_ROWS):
        block = slice(begin, begin + BLOCK_ROWS)
        likeness = embeddings[block] @ centres.T
        here = np.arange(likeness.shape[0])
        nearest[block] = likeness.argmax(axis=1)
        best[block] = likeness[here, nearest[block]]
        likeness[here, nearest[block]] = -1.0
        second[block] = likeness.max(axis=1)
    return nearest, best, second
