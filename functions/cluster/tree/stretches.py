"""Which pairs of rows are nearer than their bottleneck, read off the gaps between rows that follow each other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Generic, TypeVar

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


@dataclass(frozen=True)
class Stretches(Generic[Number]):
    """The least of a row of values and of every stretch of it, by a table of stretches whose lengths are powers of 2.

    Bender, Farach-Colton: The LCA Problem Revisited (2000), 3. For at most 40,000 values, as places are int32.
    """

    least: Number
    _table: NDArray[Number]
    """The least of 2**level values from each on, [level, value], one level after the other."""
    _level: NDArray[np.int32]
    """Where in the table the level begins that covers a stretch of each length."""
    _step: NDArray[np.int32]
    """How many values that level covers at once."""

    @classmethod
    def of(cls, values: NDArray[Number]) -> Stretches[Number]:
        """The stretches of ``values``, [m], m >= 1."""
        count = values.size
        rows = [values]
        while (step := 1 << (len(rows) - 1)) * 2 <= count:
            rows.append(np.minimum(rows[-1][:-step], rows[-1][step:]))
        table = np.zeros((len(rows), count), dtype=values.dtype)
        for row, least in zip(table, rows, strict=True):
            row[: least.size] = least
        level = np.frexp(np.arange(count + 1))[1].astype(np.int32) - 1
        return cls(values.min(), table.ravel(), level * np.int32(count), np.int32(1) << np.maximum(level, 0))

    def between(self, begin: NDArray[np.int32], end: NDArray[np.int32]) -> NDArray[Number]:
        """The least of the values ``begin`` to ``end - 1`` for each stretch, int32[k] each, begin < end; [k]."""
        length = end - begin
        begin = begin + self._level.take(length)
        least = self._table.take(begin)
        begin += length
        begin -= self._step.take(length)
        return np.minimum(least, self._table.take(begin), out=least)
