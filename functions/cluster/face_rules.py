"""What is true of faces and not of points: rules applied around HDBSCAN, each of which can be switched off.

In order: faces too poor to found a person do not seed; the spanning tree is capped; clusters that hold two people
who stand side by side in photos are split; left-over faces join the person they clearly belong to; two left-over
faces that are very alike become a person of two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from functions.cluster.block_runner import BlockRunner
from functions.cluster.centroids import centroids
from functions.cluster.hdbscan_cosine import NOISE, checked_embeddings, label_tree, relabelled
from functions.cluster.parameters import DEFAULTS, ClusterParameters
from functions.cluster.spanning_tree import canonical_order, minimum_spanning_tree
from functions.cluster.states import FaceState

Labels = NDArray[np.int32]

JOIN_ROUNDS = 2
"""How often left-over faces are looked at; a third round changes next to nothing."""

BLOCK_ROWS = 4096
"""Rows compared with all clusters at a time; bounds the memory of a comparison."""


@dataclass(frozen=True)
class Grouping:
    """Who is with whom: ``labels`` int32[n], 0..k-1, -1 for a face that is in no person; milliseconds by stage."""

    labels: Labels
    milliseconds: dict[str, float]


def group_faces(
    embeddings: NDArray[np.float32],
    faces: Sequence[FaceState],
    parameters: ClusterParameters = DEFAULTS,
    *,
    runner: BlockRunner | None = None,
    clock: Callable[[], float] = perf_counter,
) -> Grouping:
    """Group the faces of one event by person, from scratch: HDBSCAN and the face rules.

    ``embeddings`` is float32[n, d] with rows of length 1, in the order of ``faces``; n may be 0. The grouping does
    not depend on that order, nor on where the blocks of a large event run (``runner``, by default the threads of this
    machine). Human decisions play no part here (:func:`functions.cluster.persons.plan_persons`).

    Raises EmbeddingsRefusedError for embeddings that are not finite and normalised, ValueError when the number of
    faces differs from the number of rows.
    """
    rows = checked_embeddings(embeddings)
    if rows.shape[0] != len(faces):
        message = f"{rows.shape[0]} embeddings for {len(faces)} faces"
        raise ValueError(message)
    if not faces:
        return Grouping(np.zeros(0, dtype=np.int32), {})
    order = _order_of_faces(rows, faces)
    rows = rows[order]
    photos = _numbered([faces[index].media_id for index in order])
    seeds = np.array([may_seed(faces[index], parameters) for index in order], dtype=bool)

    stages = {"start": clock()}
    labels = np.full(len(faces), NOISE, dtype=np.int32)
    tree = minimum_spanning_tree(rows[seeds], parameters.min_samples, runner=runner) if seeds.any() else None
    stages["tree"] = clock()
    if tree is not None:
        labels[seeds] = label_tree(
            tree,
            min_cluster_size=parameters.min_cluster_size,
            min_samples=parameters.min_samples,
            cluster_selection_epsilon=parameters.cluster_selection_epsilon,
            max_distance=parameters.max_distance,
        ).labels
    stages["labels"] = clock()
    labels = apply_face_rules(rows, labels, photos, seeds, parameters)
    stages["rules"] = clock()

    result = np.empty_like(labels)
    result[order] = labels
    times = list(stages.items())
    milliseconds = {stage: 1000.0 * (end - begin) for (_, begin), (stage, end) in pairwise(times)}
    return Grouping(relabelled(result), milliseconds)


def may_seed(face: FaceState, parameters: ClusterParameters) -> bool:
    """Whether a face is large, sharp and frontal enough to found a person; what was not measured does not count."""
    return not (
        _below(face.size_px, parameters.seed_min_size_px)
        or _below(face.sharpness, parameters.seed_min_sharpness)
        or _beyond(face.yaw, parameters.seed_max_yaw)
        or _beyond(face.pitch, parameters.seed_max_pitch)
    )


def apply_face_rules(
    embeddings: NDArray[np.float32],
    labels: Labels,
    photos: NDArray[np.integer],
    seeds: NDArray[np.bool_],
    parameters: ClusterParameters,
) -> Labels:
    """The rules that follow HDBSCAN, over its ``labels`` (int32[n]); ``photos`` (int[n]) says which faces share one."""
    if parameters.conflict_similarity is not None:
        labels = split_same_photo(
            embeddings, labels, photos, parameters.conflict_similarity, parameters.min_cluster_size
        )
    if parameters.join_similarity is not None:
        labels = join_noise(
            embeddings, labels, photos, parameters.join_similarity, parameters.join_margin, parameters.join_evidence
        )
    if parameters.pair_similarity is not None:
        labels = pair_noise(embeddings, labels, photos, seeds, parameters.pair_similarity)
    return relabelled(labels)


def split_same_photo(
    embeddings: NDArray[np.float32],
    labels: Labels,
    photos: NDArray[np.integer],
    similarity: float,
    min_cluster_size: int,
) -> Labels:
    """Clusters in which no two faces come from one photo.

    A cluster with several such pairs holds people who look alike and stand together: it is built anew by average
    linkage that never joins faces of one photo. A single odd pair (a mirror, a picture of a picture) only loses the
    face that is less like the rest.
    """
    labels = labels.copy()
    following = int(labels.max(initial=NOISE)) + 1
    for members in _members_by_label(labels):
        repeated = members.shape[0] - np.unique(photos[members]).shape[0]
        if repeated >= max(2, 0.02 * members.shape[0]):
            parts = constrained_average_linkage(embeddings[members], photos[members], similarity)
            sizes = np.bincount(parts)
            labels[members] = np.where(sizes[parts] >= min_cluster_size, parts + following, NOISE)
            following += sizes.shape[0]
        elif repeated:
            labels[members[_less_alike(embeddings[members], photos[members])]] = NOISE
    return labels


def constrained_average_linkage(
    embeddings: NDArray[np.float32], photos: NDArray[np.integer], similarity: float
) -> NDArray[np.int64]:
    """Average linkage down to a mean ``similarity``, in which faces of one photo never come together; int64[m] parts.

    A forbidden pair is minus infinity, and so is every average that contains one.
    """
    count = embeddings.shape[0]
    likeness = (embeddings @ embeddings.copy().T).astype(np.float64)
    likeness[photos[:, None] == photos[None, :]] = -np.inf
    sizes = np.ones(count)
    parts = np.arange(count)
    nearest = likeness.argmax(axis=1)
    nearness = likeness[np.arange(count), nearest]
    while True:
        kept = int(nearness.argmax())
        if nearness[kept] < similarity:
            return np.unique(parts, return_inverse=True)[1]
        gone = int(nearest[kept])
        total = sizes[kept] + sizes[gone]
        merged = (sizes[kept] * likeness[kept] + sizes[gone] * likeness[gone]) / total
        merged[[kept, gone]] = -np.inf
        likeness[kept] = likeness[:, kept] = merged
        likeness[gone] = likeness[:, gone] = -np.inf
        sizes[kept] = total
        parts[parts == gone] = kept
        nearness[gone] = -np.inf
        # An average is never more than the larger of its parts: only rows that pointed here must look again.
        stale = np.flatnonzero((nearest == kept) | (nearest == gone))
        stale = np.append(stale[(stale != gone) & (stale != kept)], kept)
        nearest[stale] = likeness[stale].argmax(axis=1)
        nearness[stale] = likeness[stale, nearest[stale]]


def join_noise(
    embeddings: NDArray[np.float32],
    labels: Labels,
    photos: NDArray[np.integer],
    similarity: float,
    margin: float,
    evidence: float = 0.0,
) -> Labels:
    """Left-over faces join the cluster whose centroid is nearest, when that is near, clear and not in the photo yet.

    "Near" is a cosine of ``similarity`` for a cluster of four faces, and as ``evidence`` says for others (see
    ClusterParameters). "Clear" means ``margin`` more similar than the second nearest. The most similar face goes first,
    so that of two faces in one photo the better one gets the place. A second round looks again with the centroids of
    the grown clusters.
    """
    labels = labels.copy()
    for _ in range(JOIN_ROUNDS):
        noise = np.flatnonzero(labels == NOISE)
        count = int(labels.max(initial=NOISE)) + 1
        if not (noise.size and count):
            return labels
        nearest, best, second = _two_nearest(embeddings[noise], centroids(embeddings, labels, count))
        # A label may have lost all its faces; nothing is near the zero vector that stands for it.
        sizes = np.maximum(np.bincount(labels[labels != NOISE], minlength=count), 1)
        asked = similarity + evidence * (1.0 / sizes - 0.25)
        clear = np.flatnonzero((best >= asked[nearest]) & (best - second >= margin))
        taken = {(int(label), int(photo)) for label, photo in zip(labels, photos, strict=True) if label != NOISE}
        joined = 0
        for index in clear[np.argsort(-best[clear], kind="stable")]:
            face = noise[index]
            place = (int(nearest[index]), int(photos[face]))
            if place not in taken:
                taken.add(place)
                labels[face] = nearest[index]
                joined += 1
        if not joined:
            return labels
    return labels


def pair_noise(
    embeddings: NDArray[np.float32],
    labels: Labels,
    photos: NDArray[np.integer],
    seeds: NDArray[np.bool_],
    similarity: float,
) -> Labels:
    """Left-over faces of different photos that are each other's nearest, and very alike, become clusters of two."""
    labels = labels.copy()
    noise = np.flatnonzero((labels == NOISE) & seeds)
    if noise.size <= 1:
        return labels
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
    first = int(labels.max(initial=NOISE)) + 1
    labels[noise[chosen]] = labels[noise[nearest[chosen]]] = first + np.arange(chosen.size, dtype=np.int32)
    return labels


def _order_of_faces(rows: NDArray[np.float32], faces: Sequence[FaceState]) -> NDArray[np.int64]:
    """An order of the faces that does not depend on the one they came in: by embedding, then by id."""
    by_id = np.array(sorted(range(len(faces)), key=lambda index: faces[index].face_id), dtype=np.int64)
    return by_id[canonical_order(rows[by_id])]


def _numbered(names: Sequence[object]) -> NDArray[np.int64]:
    """Equal names get equal numbers, in order of appearance; int64[n]."""
    numbers: dict[object, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64)


def _members_by_label(labels: Labels) -> list[NDArray[np.int64]]:
    """Row numbers of each cluster, in the order of the labels."""
    inside = np.flatnonzero(labels != NOISE)
    inside = inside[np.argsort(labels[inside], kind="stable")]
    return np.split(inside, np.flatnonzero(np.diff(labels[inside])) + 1) if inside.size else []


def _less_alike(embeddings: NDArray[np.float32], photos: NDArray[np.integer]) -> NDArray[np.int64]:
    """Of the faces that share a photo, all but the one nearest to the mean of all rows."""
    likeness = embeddings @ embeddings.mean(axis=0)
    order: NDArray[np.int64] = np.lexsort((-likeness, photos))
    repeats: NDArray[np.bool_] = photos[order][1:] == photos[order][:-1]
    return order[1:][repeats]


def _two_nearest(
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


def _below(value: float | None, limit: float | None) -> bool:
    return value is not None and limit is not None and value < limit


def _beyond(angle: float | None, limit: float | None) -> bool:
    return angle is not None and limit is not None and abs(angle) > limit
