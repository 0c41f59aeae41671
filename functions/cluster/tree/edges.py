"""Lists of edges (pairs of rows) with their cosine distances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", np.float32, np.float64)

PAIRS_PER_BATCH = 64
"""Pairs whose products are computed at a time, so that the copies of their rows stay in the cache."""

DECIMALS = 13
"""Decimals of exact distances; float64 sums of a few hundred products of unit vectors have smaller errors."""


@dataclass(frozen=True)
class Edges:
    """Pairs of different rows and their cosine distances: int64[m], int64[m], float32[m]."""

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    distance: NDArray[np.float32]

    @classmethod
    def concatenated(cls, parts: Sequence[Edges]) -> Edges:
        """Join several lists of edges."""
        return cls(
            np.concatenate([part.left for part in parts]),
            np.concatenate([part.right for part in parts]),
            np.concatenate([part.distance for part in parts]),
        )

    def select(self, which: NDArray[np.integer] | NDArray[np.bool_]) -> Edges:
        """Return the edges selected by number or by mask."""
        return Edges(self.left[which], self.right[which], self.distance[which])

    def without_duplicates(self, size: int) -> Edges:
        """Return every pair of rows once, whatever its direction, for edges over ``size`` rows."""
        low, high = np.minimum(self.left, self.right), np.maximum(self.left, self.right)
        return self.select(np.unique(low * size + high, return_index=True)[1])

    def weight(self, core: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return the mutual reachability distances of the edges, given core distances [n]."""
        weight: NDArray[np.floating] = np.maximum(self.distance, np.maximum(core[self.left], core[self.right]))
        return weight


def edges_between(rows: NDArray[np.float32], left: NDArray[np.int64], right: NDArray[np.int64]) -> Edges:
    """Return edges with the cosine distances of pairs of unit rows (float32[n, d]), computed in float32."""
    return Edges(left, right, np.maximum(1.0 - _products(rows, left, right, np.float32), 0.0))


def exact_distances(
    rows: NDArray[np.float32], norms: NDArray[np.float64], left: NDArray[np.int64], right: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the cosine distances of pairs of rows, computed in float64: float64[m] in [0, 2], symmetric.

    ``norms`` are those of the rows, float64[n]. The distances are rounded to ``DECIMALS``, so that they do not depend
    on the order in which a processor sums.
    """
    products = _products(rows, left, right, np.float64)
    return np.clip(np.round(1.0 - products / (norms[left] * norms[right]), DECIMALS), 0.0, 2.0)


def exact_norms(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the Euclidean norms of the rows, computed in float64, float64[n]."""
    norms = np.empty(rows.shape[0])
    for begin in range(0, rows.shape[0], PAIRS_PER_BATCH):
        exact = rows[begin : begin + PAIRS_PER_BATCH].astype(np.float64)
        np.vecdot(exact, exact, out=norms[begin : begin + PAIRS_PER_BATCH])
    return np.sqrt(norms, out=norms)


def _products(
    rows: NDArray[np.float32], left: NDArray[np.int64], right: NDArray[np.int64], dtype: type[Number]
) -> NDArray[Number]:
    """Return the dot products of pairs of rows, computed in ``dtype``, [m]."""
    result = np.empty(left.size, dtype=dtype)
    shape = (min(PAIRS_PER_BATCH, left.size), rows.shape[1])
    taken = np.empty(shape, dtype=np.float32)
    one, other = np.empty(shape, dtype=dtype), np.empty(shape, dtype=dtype)
    for first in range(0, left.size, PAIRS_PER_BATCH):
        block = slice(first, min(first + PAIRS_PER_BATCH, left.size))
        count = block.stop - first
        for side, copied in ((left, one), (right, other)):
            # The other modes make another copy; no index is out of range.
            copied[:count] = rows.take(side[block], axis=0, out=taken[:count], mode="clip")
        np.vecdot(one[:count], other[:count], out=result[block])
    return result


def core_distances(
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    distance: NDArray[Number],
    multiplicity: NDArray[np.int64],
    core_neighbours: NDArray[np.int64],
) -> NDArray[Number]:
    """Return each row's core distance within a list of edges, [n].

    That is the smallest distance within which a row has ``core_neighbours`` (int64[n]) neighbours, and 0 where that
    number is 0. ``multiplicity`` int64[n] is the number of neighbours that each row counts as. Every row must have
    enough neighbours.
    """
    rank = ranks(distance)
    # Row and rank are combined in one integer, which sorts several times faster than two keys.
    row = np.concatenate([left, right])
    order = np.argsort(row * rank.size + np.concatenate([rank, rank]))
    other = np.concatenate([right, left])[order]
    row = row[order]
    total = np.concatenate([[0], np.cumsum(multiplicity[other])])
    asked = np.flatnonzero(core_neighbours > 0)
    before = total[np.searchsorted(row, asked)]
    found = order[np.searchsorted(total, before + core_neighbours[asked]) - 1]
    result = np.zeros(core_neighbours.size, dtype=distance.dtype)
    result[asked] = distance[found % rank.size]
    return result


def ranks(weight: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return the position of each weight in ascending order, int64[m]; equal weights come in any order."""
    rank = np.empty(weight.size, dtype=np.int64)
    rank[np.argsort(weight)] = np.arange(weight.size)
    return rank
