"""Lists of weighted pairs of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MEASURED_ROWS = 4096
"""Pairs measured at a time: two copies of this many rows are held."""


@dataclass(frozen=True)
class Edges:
    """Pairs of different rows and their cosine distances: int64[m], int64[m], float32[m]. A pair may come twice."""

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

    def distinct(self, size: int) -> Edges:
        """Every pair once, with left < right, sorted by ends."""
        low, high = np.minimum(self.left, self.right), np.maximum(self.left, self.right)
        _, first = np.unique(low * size + high, return_index=True)
        return Edges(low[first], high[first], self.distance[first])

    def weight(self, core: NDArray[np.floating]) -> NDArray[np.floating]:
        """Mutual reachability distances."""
        return np.maximum(self.distance, np.maximum(core[self.left], core[self.right]))


def measured(rows: NDArray[np.float32], left: NDArray[np.int64], right: NDArray[np.int64]) -> Edges:
    """The cosine distances of pairs of unit rows (float32[n, d]), in float32."""
    distance = np.empty(left.size, dtype=np.float32)
    for begin in range(0, left.size, MEASURED_ROWS):
        block = slice(begin, begin + MEASURED_ROWS)
        products = np.einsum("ij,ij->i", rows[left[block]], rows[right[block]])
        distance[block] = np.maximum(1.0 - products, 0.0)
    return Edges(left, right, distance)


def measured_exactly(
    rows: NDArray[np.float32], left: NDArray[np.int64], right: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The cosine distances of pairs of rows, in float64, float64[m] in [0, 2]; the same for (a, b) and (b, a)."""
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    distance = np.empty(left.size)
    for begin in range(0, left.size, MEASURED_ROWS):
        a, b = left[begin : begin + MEASURED_ROWS], right[begin : begin + MEASURED_ROWS]
        products = np.einsum("ij,ij->i", rows[a].astype(np.float64), rows[b].astype(np.float64))
        distance[begin : begin + MEASURED_ROWS] = 1.0 - products / (lengths[a] * lengths[b])
    return np.clip(distance, 0.0, 2.0)


def nearest_by_weight(
    row: NDArray[np.integer],
    distance: NDArray[np.floating],
    count: NDArray[np.integer],
    wanted: NDArray[np.integer],
) -> NDArray[np.floating]:
    """For each row, the least distance within which its listed neighbours count ``wanted`` or more.

    ``row`` int[m] lists each row's neighbours with their ``distance`` and how many they ``count``; each row of
    0..n-1 with ``wanted`` > 0 must have enough. 0 where ``wanted`` (int[n]) is 0.
    """
    order = np.lexsort((distance, row))
    row, distance = row[order], distance[order]
    total = np.cumsum(count[order])
    start = np.searchsorted(row, np.arange(wanted.size))
    before = np.where(start > 0, total[np.maximum(start - 1, 0)], 0)
    found = np.searchsorted(total, before + np.maximum(wanted, 1))
    asked = wanted > 0
    result = np.zeros(wanted.size, dtype=distance.dtype)
    result[asked] = distance[found[asked]]
    return result


def ranks(weight: NDArray[np.floating]) -> NDArray[np.int64]:
    """The place of each weight in ascending order, int64[m]; equal weights in the order in which they come."""
    rank = np.empty(weight.size, dtype=np.int64)
    rank[np.argsort(weight, kind="stable")] = np.arange(weight.size)
    return rank
