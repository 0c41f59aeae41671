"""Lists of weighted pairs of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", np.float32, np.float64)

MEASURED_ROWS = 64
"""Pairs measured at a time, so that the copies of their rows stay in the cache."""

DECIMALS = 13
"""Decimals of exact distances: float64 sums of a few hundred products of unit vectors err by less."""


@dataclass(frozen=True)
class Edges:
    """Pairs of different rows and their cosine distances: int64[m], int64[m], float32[m]."""

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    distance: NDArray[np.float32]

    @classmethod
    def concatenated(cls, parts: Sequence[Edges]) -> Edges:
        """All edges of all parts."""
        return cls(
            np.concatenate([part.left for part in parts]),
            np.concatenate([part.right for part in parts]),
            np.concatenate([part.distance for part in parts]),
        )

    def chosen(self, which: NDArray[np.integer] | NDArray[np.bool_]) -> Edges:
        """Some of the edges, by number or by mask."""
        return Edges(self.left[which], self.right[which], self.distance[which])

    def once_each(self, size: int) -> Edges:
        """Every pair of rows once, whichever way round and however often it comes."""
        low, high = np.minimum(self.left, self.right), np.maximum(self.left, self.right)
        return self.chosen(np.unique(low * size + high, return_index=True)[1])

    def weight(self, core: NDArray[np.floating]) -> NDArray[np.floating]:
        """Mutual reachability distances."""
        weight: NDArray[np.floating] = np.maximum(self.distance, np.maximum(core[self.left], core[self.right]))
        return weight


def measured(rows: NDArray[np.float32], left: NDArray[np.int64], right: NDArray[np.int64]) -> Edges:
    """The cosine distances of pairs of unit rows (float32[n, d]), in float32."""
    return Edges(left, right, np.maximum(1.0 - _products(rows, left, right, np.float32), 0.0))


def measured_exactly(
    rows: NDArray[np.float32], lengths: NDArray[np.float64], left: NDArray[np.int64], right: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The cosine distances of pairs of rows, in float64, float64[m] in [0, 2]; the same for (a, b) and (b, a).

    ``lengths`` are those of the rows, float64[n]. Rounded to ``DECIMALS``: distances that are equal but for the order
    in which a processor sums are equal.
    """
    products = _products(rows, left, right, np.float64)
    return np.clip(np.round(1.0 - products / (lengths[left] * lengths[right]), DECIMALS), 0.0, 2.0)


def exact_lengths(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """The lengths of the rows, float64[n]."""
    lengths = np.empty(rows.shape[0])
    for begin in range(0, rows.shape[0], MEASURED_ROWS):
        exact = rows[begin : begin + MEASURED_ROWS].astype(np.float64)
        np.vecdot(exact, exact, out=lengths[begin : begin + MEASURED_ROWS])
    return np.sqrt(lengths, out=lengths)


def _products(
    rows: NDArray[np.float32], left: NDArray[np.int64], right: NDArray[np.int64], dtype: type[Number]
) -> NDArray[Number]:
    """The products of pairs of rows, computed in ``dtype``, [m]."""
    result = np.empty(left.size, dtype=dtype)
    shape = (min(MEASURED_ROWS, left.size), rows.shape[1])
    taken = np.empty(shape, dtype=np.float32)
    one, other = np.empty(shape, dtype=dtype), np.empty(shape, dtype=dtype)
    for first in range(0, left.size, MEASURED_ROWS):
        block = slice(first, min(first + MEASURED_ROWS, left.size))
        count = block.stop - first
        for side, copied in ((left, one), (right, other)):
            # "clip" as the other modes copy once more; all numbers are in range.
            copied[:count] = rows.take(side[block], axis=0, out=taken[:count], mode="clip")
        np.vecdot(one[:count], other[:count], out=result[block])
    return result


def distance_of_nearest(
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    distance: NDArray[Number],
    copies: NDArray[np.int64],
    wanted: NDArray[np.int64],
) -> NDArray[Number]:
    """For each row, the least distance within which its listed neighbours number ``wanted`` or more, [n].

    ``copies`` int64[n] says how many neighbours each row counts for. Each row must have enough; the result is 0 where
    ``wanted`` (int64[n]) is 0.
    """
    rank = ranks(distance)
    # One whole number for row and rank: these sort several times faster than two keys.
    row = np.concatenate([left, right])
    order = np.argsort(row * rank.size + np.concatenate([rank, rank]))
    other = np.concatenate([right, left])[order]
    row = row[order]
    total = np.concatenate([[0], np.cumsum(copies[other])])
    asked = np.flatnonzero(wanted > 0)
    before = total[np.searchsorted(row, asked)]
    found = order[np.searchsorted(total, before + wanted[asked]) - 1]
    result = np.zeros(wanted.size, dtype=distance.dtype)
    result[asked] = distance[found % rank.size]
    return result


def ranks(weight: NDArray[np.floating]) -> NDArray[np.int64]:
    """The place of each weight in ascending order, int64[m]; equal weights in any order."""
    rank = np.empty(weight.size, dtype=np.int64)
    rank[np.argsort(weight)] = np.arange(weight.size)
    return rank
