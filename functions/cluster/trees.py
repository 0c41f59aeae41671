"""Spanning trees of edge lists, and the bottleneck distances they imply."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import minimum_spanning_tree as sparse_spanning_tree


@dataclass(frozen=True)
class Chain:
    """The points of a spanning tree in an order in which bottlenecks are read off.

    ``order`` is int64[n]. The bottleneck of two points (the heaviest edge on the tree's path between them) is the
    largest of the ``gap`` values (float64[n-1]) from the place of the first up to just before that of the second.
    """

    order: NDArray[np.int64]
    gap: NDArray[np.float64]

    def place(self) -> NDArray[np.int64]:
        """Where each point is in the order, int64[n]."""
        place = np.empty_like(self.order)
        place[self.order] = np.arange(self.order.size)
        return place


def spanning_forest(
    size: int, left: NDArray[np.integer], right: NDArray[np.integer], rank: NDArray[np.integer]
) -> NDArray[np.int64]:
    """The edges (their numbers, ascending by rank) of the minimum spanning forest over ``size`` points.

    ``rank`` holds a different positive whole number for every edge; of two edges between the same points only the
    one of lower rank counts.
    """
    low, high = np.minimum(left, right).astype(np.int64), np.maximum(left, right).astype(np.int64)
    order = np.argsort(rank, kind="stable")
    _, first = np.unique(low[order] * size + high[order], return_index=True)
    edges = order[first]
    # csgraph takes 0 for "no edge": weights start at 1.
    graph = coo_array((rank[edges] + 1.0, (low[edges], high[edges])), shape=(size, size)).tocsr()
    chosen = sparse_spanning_tree(graph).tocoo()
    ranks = np.sort(chosen.data)
    return order[np.searchsorted(rank[order] + 1.0, ranks)]


def chain_of_tree(left: NDArray[np.integer], right: NDArray[np.integer], weight: NDArray[np.floating]) -> Chain:
    """The chain of a spanning tree whose edges come lightest first: each edge ties the chains of its two ends."""
    size = weight.size + 1
    root = list(range(size))
    head, tail = list(range(size)), list(range(size))
    following = [0] * size
    gap_after = [0.0] * size
    # A plain loop: indexing lists is several times faster than indexing arrays.
    for one, other, height in zip(left.tolist(), right.tolist(), weight.tolist(), strict=True):
        while root[one] != one:
            root[one] = one = root[root[one]]
        while root[other] != other:
            root[other] = other = root[root[other]]
        last = tail[one]
        following[last] = head[other]
        gap_after[last] = height
        tail[one] = tail[other]
        root[other] = one
    order = np.empty(size, dtype=np.int64)
    point = head[one] if size > 1 else 0
    for place in range(size):
        order[place] = point
        point = following[point]
    return Chain(order=order, gap=np.array(gap_after)[order][:-1])


def bottlenecks(chain: Chain, left: NDArray[np.integer], right: NDArray[np.integer]) -> NDArray[np.float64]:
    """The bottleneck of each pair of different points, float64[m]: range maxima by a sparse table."""
    place = chain.place()
    begin = np.minimum(place[left], place[right])
    length = np.maximum(place[left], place[right]) - begin
    level = np.frexp(length)[1] - 1
    result = np.zeros(length.size)
    table = chain.gap.copy()
    for power in range(int(level.max(initial=0)) + 1):
        here = np.flatnonzero(level == power)
        step = 1 << power
        result[here] = np.maximum(table[begin[here]], table[begin[here] + length[here] - step])
        if table.size > step:
            table = np.maximum(table[:-step], table[step:])
    return result
