"""Which pairs of rows are nearer than their bottleneck, read off the gaps between rows that follow each other."""

from __future__ import annotations

from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", np.float32, np.float64)

SMALLEST_STRETCH = 128
"""Rows of the chain whose bottlenecks are worked out pair by pair."""


def mark_between(
    products: NDArray[Number],
    left: NDArray[Number],
    bridge: Number,
    right: NDArray[Number],
    mask: NDArray[np.bool_],
) -> None:
    """Mark the pairs near enough between two stretches of the chain, each given by its gaps, [m-1].

    The bottleneck of a pair is the largest of: the gaps from the left row on, the bridge between the stretches, and
    the gaps up to the right row. ``products`` and ``mask`` are [left, right].
    """
    onward = np.maximum.accumulate(np.append(left, bridge)[::-1])[::-1]
    upto = np.maximum.accumulate(np.append(bridge, right))
    np.greater_equal(products, (1.0 - onward)[:, None], out=mask)
    # Mostly the bridge is wide enough for all rows on the right, and there is nothing to add.
    wider = np.flatnonzero(upto > onward.min())
    if wider.size > products.shape[1] // 8:
        mask |= products >= 1.0 - upto
    elif wider.size:
        mask[:, wider] |= products[:, wider] >= 1.0 - upto[wider]


def mark_within(products: NDArray[Number], gap: NDArray[Number], mask: NDArray[np.bool_]) -> None:
    """Mark the pairs (row before column) near enough within one stretch of the chain, given by its gaps: by halves."""
    count = gap.size + 1
    if count <= SMALLEST_STRETCH:
        # Up to the row itself nothing is near enough, so that nothing is marked there.
        allowed = np.where(_later(count)[:, 1:], gap, gap.dtype.type(-np.inf))
        np.maximum.accumulate(allowed, axis=1, out=allowed)
        mask[:, 0] = False
        np.greater_equal(products[:, 1:], 1.0 - allowed, out=mask[:, 1:])
        return
    half = count // 2
    mask[half:, :half] = False
    mark_between(products[:half, half:], gap[: half - 1], gap[half - 1], gap[half:], mask[:half, half:])
    mark_within(products[:half, :half], gap[: half - 1], mask[:half, :half])
    mark_within(products[half:, half:], gap[half:], mask[half:, half:])


@lru_cache(maxsize=8)
def _later(count: int) -> NDArray[np.bool_]:
    """Which columns come after which rows, bool[count, count]."""
    return np.triu(np.ones((count, count), dtype=np.bool_), 1)
