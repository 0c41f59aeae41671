"""Whether a person is two people: a question for a human, never a split. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from functions.cluster.parameters import ClusterParameters
from functions.cluster.states import FaceState, SplitSuggestion

Ints = NDArray[np.int64]
Pair = tuple[int, int]

MARGIN = 0.1
"""Asked is where the halves have a mean cosine below ``apart_similarity`` and this: clustering takes such faces for one
person, if barely. With `mini` and people of 4 to 12 good faces of the labelled sets, 3 % of persons that are one are
asked about, and all of 65 that are two look-alikes of one set (mean .06 to .27)."""

FEWEST = 2
"""Faces, and photos, that each half needs: one odd face is a matter of taking it out."""

SAMPLE = 300
"""Of larger persons so many faces, evenly spaced, are divided, and the others go with the nearer half."""


def suggest_splits(
    embeddings: NDArray[np.float32],
    faces: list[FaceState],
    members: Mapping[UUID, list[int]],
    side_by_side: Callable[[Ints], Pair | None],
    parameters: ClusterParameters,
) -> tuple[SplitSuggestion, ...]:
    """Return the persons that may be two people, with the faces of the smaller half; the likeliest first.

    ``embeddings`` float32[n, d] of length 1; ``members`` are rows by person; ``side_by_side`` gives two of the rows
    that stand in one photo as two people do. Where there is no such pair, the best division in two (average linkage)
    counts, if the halves are unlike enough. A half that a human placed whole is no question: they have seen both.
    """
    bound = None if parameters.apart_similarity is None else parameters.apart_similarity + MARGIN
    found: list[SplitSuggestion] = []
    for person_id, listed in members.items():
        rows = np.array(sorted(listed), dtype=np.int64)
        if rows.size < 2 * FEWEST:
            continue
        own = embeddings[rows]
        pair = side_by_side(rows)
        if pair is not None:
            is_second = own @ embeddings[pair[1]] > own @ embeddings[pair[0]]
            between = float(embeddings[pair[0]] @ embeddings[pair[1]])
        elif bound is not None and not _is_one(own, bound):
            is_second = halves(own)
            if is_second.all() or not is_second.any():
                continue  # all are equally unlike each other: no division is better than another
            between = float((own[~is_second] @ own[is_second].T).mean())
            if between >= bound:
                continue
        else:
            continue
        parts = sorted((rows[is_second], rows[~is_second]), key=lambda part: (part.size, -part[0]))
        if all(_is_a_half(part, faces) for part in parts):
            score = float(np.clip(1.0 - between, -1.0, 1.0))
            found.append(SplitSuggestion(person_id, tuple(faces[row].face_id for row in parts[0]), score))
    return tuple(sorted(found, key=lambda suggestion: (-suggestion.score, suggestion.person_id)))


def halves(embeddings: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return the division in two by average linkage of cosine distances, of float32[m, d] with m of 2 or more; bool[m].

    All False where every division is as good as any other.
    """
    step = -(-embeddings.shape[0] // SAMPLE)
    sample = embeddings[::step]
    distance = np.clip(1.0 - sample @ sample.T, 0.0, 2.0)
    np.fill_diagonal(distance, 0.0)
    part = fcluster(linkage(squareform(distance, checks=False), "average"), 2, "maxclust")
    is_second: NDArray[np.bool_] = part != part[0]
    if step == 1 or is_second.all() or not is_second.any():
        return is_second
    means = [sample[half].mean(axis=0) for half in (~is_second, is_second)]
    nearer: NDArray[np.bool_] = embeddings @ means[1] > embeddings @ means[0]
    return nearer


def _is_one(embeddings: NDArray[np.float32], bound: float) -> bool:
    """Whether no two halves can have a mean below ``bound``: all faces are near enough to their mean."""
    mean = embeddings.mean(axis=0)
    nearest = float((embeddings @ mean).min()) / max(float(np.linalg.norm(mean)), 1e-6)
    return bool(nearest >= np.sqrt((1.0 + bound) / 2.0))


def _is_a_half(rows: Ints, faces: list[FaceState]) -> bool:
    photos = {faces[row].media_id for row in rows}
    return len(photos) >= FEWEST and not all(faces[row].placed_by_human for row in rows)
