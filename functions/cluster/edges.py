"""Lists of weighted pairs of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Distance = TypeVar("Distance", np.float32, np.float64)

MEASURED_ROWS = 256
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
    distance = np.empty(left.size, dtype=np.float32)
    for begin in range(0, left.size, MEASURED_ROWS):
        block = slice(begin, begin + MEASURED_ROWS)
        products = np.einsum("ij,ij->i", rows[left[block]], rows[right[block]])
        distance[block] = np.maximum(1.0 - products, 0.0)
    return Edges(left, right, distance)


def measured_exactly(
    rows: NDArray[np.float32], left: NDArray[np.int64], right: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The cosine distances of pairs of rows, in float64, float64[m] in [0, 2]; the same for (a, b) and (b, a).

    Rounded to ``DECIMALS``: distances that are equal but for the order in which a processor sums are equal.
    """
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    distance = np.empty(left.size)
    for begin in range(0, left.size, MEASURED_ROWS):
        a, b = left[begin : begin + MEASURED_ROWS], right[begin : begin + MEASURED_ROWS]
        products = np.einsum("ij,ij->i", rows[a].astype(np.float64), rows[b].astype(np.float64))
        distance[begin : begin + MEASURED_ROWS] = 1.0 - products / (lengths[a] * lengths[b])
    return np.clip(np.round(distance, DECIMALS), 0.0, 2.0)


def distance_keys(row: NDArray[np.int64], distance: NDArray[np.float32]) -> NDArray[np.int64]:
    """One whole number for each (row, distance), in the order of both; the sign of -0.0 and below counts as 0.

    The bits of floats that are not negative order like the floats, and whole numbers sort much faster than two keys.
    """
    return (row.astype(np.int64) << 32) | np.maximum(distance, np.float32(0.0)).view(np.int32)


def distance_of_nearest(
    order: NDArray[np.int64],
    row: NDArray[np.int64],
    distance: NDArray[Distance],
    copies: NDArray[np.int64],
    wanted: NDArray[np.int64],
) -> NDArray[Distance]:
    """For each row, the least distance within which its listed neighbours number ``wanted`` or more.

    ``row`` int[m] lists neighbours by whose they are, with their ``distance`` and how many ``copies`` each is, and
    ``order`` sorts the list by row, then distance. Each row of 0..n-1 must have enough; the result is 0 where
    ``wanted`` (int[n]) is 0.
    """
    total = np.concatenate([[0], np.cumsum(copies[order])])
    asked = np.flatnonzero(wanted > 0)
    before = total[np.searchsorted(row[order], asked)]
    result = np.zeros(wanted.size, dtype=distance.dtype)
    result[asked] = distance[order[np.searchsorted(total, before + wanted[asked]) - 1]]
    return result


def ranks(weight: NDArray[np.floating]) -> NDArray[np.int64]:
    """The place of each weight in ascending order, int64[m]; equal weights in the order in which they come."""
    rank = np.empty(weight.size, dtype=np.int64)
    rank[np.argsort(weight, kind="stable")] = np.arange(weight.size)
    return rank
