"""Very many rows that are alike up to float32 rounding: the pairs among them that matter, told apart in float64.

Where thousands of rows are nearly one (a burst of one face, a wall of the same poster), every pair of them is within
the allowance for rounding. Among any part of the rows a spanning tree of that part alone bounds the bottlenecks of the
whole from above, so the same argument as in :mod:`functions.cluster.tree.blocked_tree` holds in float64 within each
part.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from functions.cluster.tree.all_pairs import light_pairs
from functions.cluster.tree.block_runner import block_bounds

FLOOD = 96
"""Pairs for each row of a block from which its pairs are looked at in float64; people give two to eight."""

PART_ROWS = 700
"""Rows of each side looked at together: their matrix of float64 is 16 MB."""

SLACK = 1e-12
"""More than two float64 computations of one distance differ by."""

Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]
Side = tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]
"""All rows of a block, float32[m, d]; which nearest other gives each core distance, int64[m]; the rows concerned."""


def flooded(mask: NDArray[np.bool_], wanted: int, *, same: bool) -> Pairs:
    """The rows and columns with very many marks; ``wanted`` is the most neighbours a core distance asks for.

    With ``same``, rows and columns are one block, only pairs above the diagonal are marked, and both results are equal.
    """
    many = FLOOD // 2 + 2 * wanted
    rows, columns = np.count_nonzero(mask, axis=1), np.count_nonzero(mask, axis=0)
    if same:
        both = np.flatnonzero(rows + columns > many)
        return both, both
    return np.flatnonzero(rows > many), np.flatnonzero(columns > many)


def close_pairs(left: Side, right: Side) -> Iterator[Pairs]:
    """The pairs between the rows concerned on both sides that may matter; the sides may be one and the same."""
    same = left[0] is right[0]
    if not (left[2].size and right[2].size):
        return
    for i, (begin, end) in enumerate(block_bounds(left[2].size, PART_ROWS)):
        for j, (first, last) in enumerate(block_bounds(right[2].size, PART_ROWS)):
            if not same or i < j:
                yield _close_pairs(left, left[2][begin:end], right, right[2][first:last])
            elif i == j:
                yield _close_pairs(left, left[2][begin:end], right, left[2][:0])


def _close_pairs(left: Side, rows: NDArray[np.int64], right: Side, columns: NDArray[np.int64]) -> Pairs:
    """The pairs between some rows and columns; all pairs of rows where there are no columns."""
    if rows.size + columns.size <= 1:
        return rows[:0], rows[:0]
    vectors = np.concatenate([left[0][rows], right[0][columns]]).astype(np.float64)
    wanted = np.concatenate([left[1][rows], right[1][columns]])
    vectors /= np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]
    one, other = light_pairs(vectors @ vectors.copy().T, wanted, SLACK)
    low, high = np.minimum(one, other), np.maximum(one, other)
    if not columns.size:
        return rows[low], rows[high]
    between = (low < rows.size) & (high >= rows.size)
    return rows[low[between]], columns[high[between] - rows.size]
