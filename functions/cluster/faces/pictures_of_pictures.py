"""Photos of photos: a contact sheet, a collage, or a screen that shows pictures of the same event. Pure.

Their faces are the same pictures once more: they join persons and found none, so that they can neither tear a person
apart nor make two left-over faces a person.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from functions.cluster.faces.same_photo import COPY_SIMILARITY, pairs_within_photos

MAYBE_ONE = 0.4
"""From this likeness on two faces of one photo may be one person: nine in ten pairs of a person with `mini`, and one in
a hundred of two strangers."""

BLOCK_ROWS = 1024
"""Rows compared at a time; bounds the memory of a comparison."""


def faces_of_pictures(embeddings: NDArray[np.float32], photos: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Which faces stand in a picture of other photos of the event; bool[n].

    ``embeddings`` float32[n, d] of length 1, ``photos`` int[n]. In such a picture somebody seems to stand twice, both
    times as a copy (:data:`COPY_SIMILARITY`) of a face elsewhere, and nowhere do an original of the one and an original
    of the other stand together. Its copies are meant, and where they are half of its faces or more, all of them: some
    come out too small to be known again. The shots of a burst are none: who stands together in one does so in the next.
    """
    one, other = pairs_within_photos(photos)
    maybe = np.vecdot(embeddings[one], embeddings[other]) >= MAYBE_ONE
    one, other = one[maybe], other[maybe]
    looked_at = np.flatnonzero(np.isin(photos, photos[one]))
    originals = _originals(embeddings, photos, looked_at)
    pictures = {
        int(photos[a])
        for a, b in zip(one.tolist(), other.tolist(), strict=True)
        if originals[a].size and originals[b].size and not _stand_together(originals[a], originals[b], photos)
    }
    result = np.zeros(photos.size, dtype=bool)
    for photo in pictures:
        here = np.flatnonzero(photos == photo)
        copied = np.array([originals[int(row)].size > 0 for row in here])
        result[here] = True if 2 * copied.sum() >= here.size else copied
    return result


def _stand_together(ones: NDArray[np.int64], others: NDArray[np.int64], photos: NDArray[np.integer]) -> bool:
    """Whether a photo holds two different faces, one of ``ones`` and one of ``others``."""
    same_photo = photos[ones][:, None] == photos[others]
    return bool((same_photo & (ones[:, None] != others)).any())


def _originals(
    embeddings: NDArray[np.float32], photos: NDArray[np.integer], rows: NDArray[np.int64]
) -> dict[int, NDArray[np.int64]]:
    """For each of the rows, the faces of other photos that it is a copy of."""
    found: dict[int, NDArray[np.int64]] = {}
    for begin in range(0, rows.size, BLOCK_ROWS):
        some = rows[begin : begin + BLOCK_ROWS]
        one, other = np.nonzero(embeddings[some] @ embeddings.T >= COPY_SIMILARITY)
        elsewhere = photos[some[one]] != photos[other]
        one, other = one[elsewhere], other[elsewhere]
        ends = np.searchsorted(one, np.arange(some.size + 1))
        found |= {int(row): other[ends[k] : ends[k + 1]] for k, row in enumerate(some)}
    return found
