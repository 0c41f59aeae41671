"""Which faces of one photo speak for two people, and which are one person seen twice. Pure.

A person stands several times in a photo by a mirror, a screen, a collage, a contact sheet or a strip from a photo
booth. Nothing else than likeness tells that from two people who look alike and stand side by side.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from functions.cluster.parameters import ClusterParameters


def conflicting(
    embeddings: NDArray[np.float32], photos: NDArray[np.integer], parameters: ClusterParameters
) -> NDArray[np.int64]:
    """The pairs of faces that must not be in one person, int64[k, 2]: rows of one photo, lower row first, ascending.

    ``embeddings`` float32[m, d] of length 1 are the faces that are, or would be, one person; ``photos`` int[m] says
    which share a photo. Two faces of a photo that are nearly the same (``parameters.same_face_similarity``; None: no
    two are) are one person seen twice.
    """
    one, other = same_photo_pairs(photos)
    if parameters.same_face_similarity is not None and one.size:
        differ = np.einsum("ij,ij->i", embeddings[one], embeddings[other]) < parameters.same_face_similarity
        one, other = one[differ], other[differ]
    return np.column_stack([one, other])


def same_photo_pairs(photos: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All pairs of rows of one photo, the lower row first, ascending; int64[k] each."""
    order = np.argsort(photos, kind="stable").astype(np.int64)
    pairs: list[tuple[int, int]] = []
    for rows in np.split(order, np.flatnonzero(np.diff(photos[order])) + 1):
        for place in range(rows.size - 1):
            pairs += [(int(rows[place]), int(later)) for later in rows[place + 1 :]]
    found = np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]
