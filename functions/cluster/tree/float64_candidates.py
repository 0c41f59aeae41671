"""Find candidate edges among near-duplicate rows in float64.

Among thousands of nearly identical rows (a burst of one face, a wall covered with the same poster), every pair is
within the tolerance for float32 rounding. A spanning tree of any subset of the rows bounds the bottlenecks of the whole
from above. The argument of :mod:`functions.cluster.tree.blocked_tree` therefore holds within each subset, in float64.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from functions.cluster.tree.all_pairs import candidate_edges
from functions.cluster.tree.block_runner import block_bounds

MAX_CANDIDATES_PER_ROW = 96
"""Candidates per row of a block above which its pairs are compared in float64; faces of people give two to eight."""

PART_ROWS = 700
"""Rows of each side that are compared at a time: their matrix of float64 is 16 MB."""

TOLERANCE = 1e-12
"""Upper bound of the difference between two float64 computations of one distance."""

Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]
Side = tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]
"""The rows of a block, float32[m, d]; the number of neighbours within each core distance, int64[m]; selected rows."""


def dense_rows(mask: NDArray[np.bool_], core_neighbours: int, *, same: bool) -> Pairs:
    """Return the rows and the columns of ``mask`` in which very many pairs are marked.

    ``core_neighbours`` is the largest number of neighbours within a core distance. With ``same``, rows and columns are
    those of one block, only pairs above the diagonal are marked, and both results are equal.
    """
    limit = MAX_CANDIDATES_PER_ROW // 2 + 2 * core_neighbours
    rows, columns = np.count_nonzero(mask, axis=1), np.count_nonzero(mask, axis=0)
    if same:
        both = np.flatnonzero(rows + columns > limit)
        return both, both
    return np.flatnonzero(rows > limit), np.flatnonzero(columns > limit)


def candidates_in_float64(left: Side, right: Side) -> Iterator[Pairs]:
    """Yield the candidate edges between the selected rows of both sides, which may be one and the same."""
    same = left[0] is right[0]
    if not (left[2].size and right[2].size):
        return
    for i, (begin, end) in enumerate(block_bounds(left[2].size, PART_ROWS)):
        for j, (first, last) in enumerate(block_bounds(right[2].size, PART_ROWS)):
            if not same or i < j:
                yield _candidates_of_part(left, left[2][begin:end], right, right[2][first:last])
            elif i == j:
                yield _candidates_of_part(left, left[2][begin:end], right, left[2][:0])


def _candidates_of_part(left: Side, rows: NDArray[np.int64], right: Side, columns: NDArray[np.int64]) -> Pairs:
    """Return the candidate edges between rows and columns, or among the rows when there are no columns."""
    if rows.size + columns.size <= 1:
        return rows[:0], rows[:0]
    vectors = np.concatenate([left[0][rows], right[0][columns]]).astype(np.float64)
    core_neighbours = np.concatenate([left[1][rows], right[1][columns]])
    vectors /= np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]
    one, other = candidate_edges(vectors @ vectors.copy().T, core_neighbours, TOLERANCE)
    low, high = np.minimum(one, other), np.maximum(one, other)
    if not columns.size:
        return rows[low], rows[high]
    between = (low < rows.size) & (high >= rows.size)
    return rows[low[between]], columns[high[between] - rows.size]
