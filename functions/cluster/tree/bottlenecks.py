"""Select the pairs of rows that are no farther apart than their bottleneck (minimax path) distance.

Rows come in the leaf order of a dendrogram (:class:`functions.cluster.tree.spanning_forest.LeafOrder`), or in the order
of Prim's algorithm: in both, the bottleneck of two rows is the largest height between them. A segment is a run of
consecutive rows in that order.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", np.float32, np.float64)

SMALLEST_SEGMENT = 128
"""Largest segment, in rows, whose bottlenecks are computed for each pair; longer ones are halved recursively."""


def mark_between(
    products: NDArray[Number],
    left: NDArray[Number],
    between: Number,
    right: NDArray[Number],
    mask: NDArray[np.bool_],
) -> None:
    """Mark the pairs within their bottleneck between two segments, each given by its merge heights, [m-1].

    The bottleneck of a pair is the maximum of the heights after the left row, the largest height ``between`` the
    segments, and the heights before the right row. ``products`` and ``mask`` are [left, right].
    """
    suffix_max = np.maximum.accumulate(np.append(left, between)[::-1])[::-1]
    prefix_max = np.maximum.accumulate(np.append(between, right))
    np.greater_equal(products, (1.0 - suffix_max)[:, None], out=mask)
    # Usually the height between the segments exceeds those on the right, and no column needs a second comparison.
    higher = np.flatnonzero(prefix_max > suffix_max.min())
    if higher.size > products.shape[1] // 8:
        mask |= products >= 1.0 - prefix_max
    elif higher.size:
        mask[:, higher] |= products[:, higher] >= 1.0 - prefix_max[higher]


def mark_within(products: NDArray[Number], height: NDArray[Number], mask: NDArray[np.bool_]) -> None:
    """Mark the pairs (row before column) within their bottleneck in one segment, given by its heights, recursively."""
    count = height.size + 1
    if count <= SMALLEST_SEGMENT:
        # Minus infinity on and below the diagonal, so that no pair is marked there.
        allowed = np.where(_later(count)[:, 1:], height, height.dtype.type(-np.inf))
        np.maximum.accumulate(allowed, axis=1, out=allowed)
        mask[:, 0] = False
        np.greater_equal(products[:, 1:], 1.0 - allowed, out=mask[:, 1:])
        return
    half = count // 2
    mask[half:, :half] = False
    mark_between(products[:half, half:], height[: half - 1], height[half - 1], height[half:], mask[:half, half:])
    mark_within(products[:half, :half], height[: half - 1], mask[:half, :half])
    mark_within(products[half:, half:], height[half:], mask[half:, half:])


@lru_cache(maxsize=8)
def _later(count: int) -> NDArray[np.bool_]:
    """Return the mask of the pairs in which the column comes after the row, bool[count, count]."""
    return np.triu(np.ones((count, count), dtype=np.bool_), 1)
