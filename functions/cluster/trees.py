"""Spanning trees of edge lists, and the bottleneck distances they imply."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
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

    ``rank`` is the place of each edge in ascending order of weight, 0..m-1; no two edges join the same points.
    """
    # csgraph takes 0 for "no edge": weights start at 1.
    low, high = np.minimum(left, right), np.maximum(left, right)
    graph = csr_array((rank + 1.0, (low, high)), shape=(size, size))
    by_rank = np.empty(rank.size, dtype=np.int64)
    by_rank[rank] = np.arange(rank.size)
    return by_rank[np.sort(sparse_spanning_tree(graph).data).astype(np.int64) - 1]


def single_linkage(
    left: NDArray[np.integer], right: NDArray[np.integer], weight: NDArray[np.floating]
) -> NDArray[np.float64]:
    """The dendrogram of a spanning tree whose edges come lightest first, in scipy's linkage format, float64[n-1, 4]."""
    size = weight.size + 1
    root = list(range(size))
    cluster, members = list(range(size)), [1] * size
    merged: list[tuple[int, int, int]] = []
    # A plain loop: indexing lists is several times faster than indexing arrays.
    for one, other in zip(left.tolist(), right.tolist(), strict=True):
        first, second = one, other
        while root[first] != first:
            root[first] = first = root[root[first]]
        while root[second] != second:
            root[second] = second = root[root[second]]
        total = members[first] + members[second]
        merged.append((cluster[first], cluster[second], total))
        if members[first] < members[second]:
            first, second = second, first
        root[second] = first
        members[first] = total
        cluster[first] = size + len(merged) - 1
    linkage = np.empty((size - 1, 4))
    linkage[:, [0, 1, 3]] = np.array(merged, dtype=np.float64).reshape(-1, 3)
    linkage[:, 2] = weight
    return linkage


def chain_of_tree(left: NDArray[np.integer], right: NDArray[np.integer], weight: NDArray[np.floating]) -> Chain:
    """The chain of a spanning tree whose edges come lightest first: each edge ties the chains of its two ends."""
    size = weight.size + 1
    root = list(range(size))
    head, tail = list(range(size)), list(range(size))
    following = [0] * size
    gap_after = [0.0] * size
    for one, other, height in zip(left.tolist(), right.tolist(), weight.tolist(), strict=True):
        first, second = one, other
        while root[first] != first:
            root[first] = first = root[root[first]]
        while root[second] != second:
            root[second] = second = root[root[second]]
        last = tail[first]
        following[last] = head[second]
        gap_after[last] = height
        tail[first] = tail[second]
        root[second] = first
    order = np.empty(size, dtype=np.int64)
    point = head[first] if size > 1 else 0
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
