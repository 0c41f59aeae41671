"""Split clusters below a mean similarity, and separate faces of one photo that show two people. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from functions.cluster.faces.same_photo import Pairs, of_same_photo
from functions.cluster.labels import NOISE
from functions.cluster.parameters import ClusterParameters

Labels = NDArray[np.int32]

LARGEST_LINKAGE = 4096
"""Largest cluster whose average linkage is computed, in 300 MB. Larger clusters lose the faces whose mean similarity to
the others is below the threshold."""

NEVER = 1e12
"""The distance of pairs that must not be joined: any average that contains it is above every threshold."""


def hold_together(
    embeddings: NDArray[np.float32], labels: Labels, photos: NDArray[np.integer], parameters: ClusterParameters
) -> Labels:
    """Clusters whose faces are alike in the mean and in which no faces of one photo speak for two people.

    ``labels`` int32[n]; the result's are new, not in order. What is taken out, and parts below ``min_cluster_size``,
    are left over.
    """
    labels = labels.copy()
    following = int(labels.max(initial=NOISE)) + 1
    waiting = members_by_label(labels)
    while waiting:
        members = waiting.pop()
        labels[members] = NOISE
        # What was set aside may have hidden what faces of one photo say of the others: parts are looked at again.
        for part in _parts(embeddings[members], photos[members], parameters):
            if part.size == members.size:
                labels[members] = following
                following += 1
            elif part.size >= parameters.min_cluster_size:
                waiting.append(members[part])
    return labels


def members_by_label(labels: Labels) -> list[NDArray[np.int64]]:
    """Row numbers of each cluster, in the order of the labels."""
    inside = np.flatnonzero(labels != NOISE)
    inside = inside[np.argsort(labels[inside], kind="stable")]
    return np.split(inside, np.flatnonzero(np.diff(labels[inside])) + 1) if inside.size else []


def average_linkage(embeddings: NDArray[np.float32], apart: Pairs, similarity: float) -> NDArray[np.int64]:
    """Average linkage down to a mean ``similarity``, in which the pairs ``apart`` never come together; int64[m] parts.

    The distance of such a pair is so great that so is every average that contains it.
    """
    if embeddings.shape[0] == 1:
        return np.zeros(1, dtype=np.int64)
    # The product of a row with itself, or with its copy, may be a rounding above 1.
    distance = np.maximum(1.0 - (embeddings @ embeddings.copy().T).astype(np.float64), 0.0)
    distance[apart[:, 0], apart[:, 1]] = distance[apart[:, 1], apart[:, 0]] = NEVER
    dendrogram = linkage(squareform(distance, checks=False), method="average")
    return fcluster(dendrogram, 1.0 - similarity, criterion="distance").astype(np.int64) - 1


def _parts(
    embeddings: NDArray[np.float32], photos: NDArray[np.integer], parameters: ClusterParameters
) -> list[NDArray[np.int64]]:
    """Return the rows of each part that a cluster is divided into; a single part may lack conflicting faces."""
    everything = np.arange(embeddings.shape[0])
    same_photo = of_same_photo(embeddings, photos, parameters) if parameters.conflict_similarity is not None else None
    dividing = same_photo.dividing if same_photo else np.empty((0, 2), dtype=np.int64)
    asked = [parameters.apart_similarity, parameters.conflict_similarity if dividing.size else None]
    similarity = max((one for one in asked if one is not None), default=None)
    if similarity is not None and (dividing.size or not _holds(embeddings, similarity)):
        if embeddings.shape[0] > LARGEST_LINKAGE:
            return [everything[_mean_likeness(embeddings) >= similarity]]
        part = average_linkage(embeddings, dividing, similarity)
        if part.max() > 0:
            order = np.argsort(part, kind="stable")
            return np.split(order, np.flatnonzero(np.diff(part[order])) + 1)
    if same_photo and same_photo.conflicting.size:
        return [_without_conflicts(embeddings, photos, same_photo.conflicting)]
    return [everything]


def _holds(embeddings: NDArray[np.float32], similarity: float) -> bool:
    """Whether no average of products is below ``similarity`` for certain: all faces lie near the centroid.

    Two rows within an angle a of a third are within 2a of each other, and cos 2a = 2 cos² a - 1.
    """
    total = embeddings.sum(axis=0)
    least = float((embeddings @ total).min())
    return bool(least >= np.sqrt((1.0 + similarity) / 2.0) * float(np.linalg.norm(total)))


def _mean_likeness(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """How alike each row is to the others in the mean, float32[m], m >= 2."""
    mean: NDArray[np.float32] = (embeddings @ embeddings.sum(axis=0) - 1.0) / np.float32(embeddings.shape[0] - 1)
    return mean


def _without_conflicts(
    embeddings: NDArray[np.float32], photos: NDArray[np.integer], conflicts: Pairs
) -> NDArray[np.int64]:
    """Remove one face of each conflicting pair: the one less similar to the faces of the other photos."""
    involved = np.unique(conflicts)
    total = embeddings.sum(axis=0)
    own = np.stack([embeddings[photos == photos[row]].sum(axis=0) for row in involved])
    likeness = np.vecdot(embeddings[involved], total - own)
    opponents: dict[int, set[int]] = {}
    for one, other in conflicts.tolist():
        opponents.setdefault(one, set()).add(other)
        opponents.setdefault(other, set()).add(one)
    kept: set[int] = set()
    for row in involved[np.argsort(-likeness, kind="stable")].tolist():
        if not opponents[row] & kept:
            kept.add(row)
    return np.array(sorted(set(range(embeddings.shape[0])) - (set(involved.tolist()) - kept)), dtype=np.int64)
