"""Spanning trees of edge lists, and the bottleneck distances they imply."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import leaves_list
from scipy.sparse import csr_array
from scipy.sparse.csgraph import minimum_spanning_tree as sparse_spanning_tree

from functions.cluster.tree.hdbscan_tree import single_linkage


@dataclass(frozen=True)
class Chain:
    """The points of a spanning tree in an order in which bottlenecks are read off.

    ``order`` is int64[n]. The bottleneck of two points (the heaviest edge on the tree's path between them) is the
    largest of the ``gap`` values (float64[n-1]) from the place of the first up to just before that of the second.
    """

    order: NDArray[np.int64]
    gap: NDArray[np.float64]


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
    return by_rank[np.sort(sparse_spanning_tree(graph, overwrite=True).data).astype(np.int64) - 1]


def chain_of_tree(left: NDArray[np.integer], right: NDArray[np.integer], weight: NDArray[np.floating]) -> Chain:
    """The chain of a spanning tree of two points or more whose edges come lightest first: its dendrogram's leaves."""
    size = weight.size + 1
    linkage = single_linkage(left, right, weight)
    order = leaves_list(linkage).astype(np.int64)
    # The first leaf of each node is that of its left child: pointers are doubled until they all arrive.
    first = np.concatenate([np.arange(size), linkage[:, 0].astype(np.int64)])
    while True:
        further = first[first]
        if np.array_equal(further, first):
            break
        first = further
    place = np.empty(size, dtype=np.int64)
    place[order] = np.arange(size)
    gap = np.empty(size - 1)
    # A node's two children stand side by side, and its height is the gap between them.
    gap[place[first[linkage[:, 1].astype(np.int64)]] - 1] = linkage[:, 2]
    return Chain(order=order, gap=gap)
