"""Matrices of embeddings: checked before use, and ordered by their contents alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MATRIX = 2
"""Dimensions of a matrix."""

NAMED_ROWS = 10
"""How many bad rows an error names."""

NORM_TOLERANCE = 1e-3
"""How far from 1 the length of an L2-normalised row may be (float32 rounding over 512 dimensions is 1e-6)."""


class EmbeddingsRefusedError(ValueError):
    """The embeddings cannot be clustered; the message names the rows and what is wrong with them."""


def checked_embeddings(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the embeddings as a C-contiguous float32[n, d].

    Raises:
        EmbeddingsRefusedError: they are no matrix, not finite, or not of length 1.
    """
    rows = np.asarray(embeddings)
    if rows.size == 0:
        return np.zeros((rows.shape[0] if rows.ndim else 0, 1), dtype=np.float32)
    if rows.ndim != MATRIX:
        message = f"embeddings must be a matrix [n, d], not an array of shape {rows.shape}"
        raise EmbeddingsRefusedError(message)
    rows = np.ascontiguousarray(rows, dtype=np.float32)
    lengths = np.sqrt(np.vecdot(rows, rows))
    _refuse_rows(~np.isfinite(lengths), "hold NaN or infinite values")
    _refuse_rows(np.abs(lengths - 1.0) > NORM_TOLERANCE, "are not of length 1 (normalise them first)")
    return rows


def canonical_order(embeddings: NDArray[np.float32]) -> NDArray[np.int64]:
    """Row numbers of ``embeddings`` (float32[n, d]) in an order that depends on the rows' contents alone, int64[n].

    The order is that of the rows' bytes; equal rows keep their input order, which no result depends on.
    """
    rows = np.ascontiguousarray(embeddings)
    if rows.size == 0:
        return np.arange(rows.shape[0])
    as_bytes = rows.view(np.dtype((np.void, rows.shape[1] * rows.itemsize))).ravel()
    return np.argsort(as_bytes, kind="stable").astype(np.int64)


def _refuse_rows(refused: NDArray[np.bool_], reason: str) -> None:
    rows = np.flatnonzero(refused)
    if rows.size:
        named = ", ".join(str(row) for row in rows[:NAMED_ROWS])
        more = f" and {rows.size - NAMED_ROWS} more" if rows.size > NAMED_ROWS else ""
        message = f"embedding rows {named}{more} {reason}"
        raise EmbeddingsRefusedError(message)
