"""Compute minimum spanning forests of edge lists, and the bottleneck distances that a tree implies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import leaves_list
from scipy.sparse import csr_array
from scipy.sparse.csgraph import minimum_spanning_tree as sparse_spanning_tree

from functions.cluster.tree.hdbscan_tree import single_linkage


@dataclass(frozen=True)
class LeafOrder:
    """The leaves of a spanning tree's single-linkage dendrogram, and the merge heights between adjacent leaves.

    ``order`` is int64[n], ``height`` float64[n-1]. The bottleneck of the points at positions i < j of ``order`` (the
    heaviest edge on the tree's path between them, their minimax path distance) is ``height[i:j].max()``.
    """

    order: NDArray[np.int64]
    height: NDArray[np.float64]


def spanning_forest(
    size: int, left: NDArray[np.integer], right: NDArray[np.integer], rank: NDArray[np.integer]
) -> NDArray[np.int64]:
    """Return the edge numbers of the minimum spanning forest over ``size`` points, ascending by rank.

    ``rank`` is each edge's position in ascending order of weight, 0..m-1; no two edges join the same points.
    """
    # csgraph interprets 0 as "no edge", so weights start at 1.
    low, high = np.minimum(left, right), np.maximum(left, right)
    graph = csr_array((rank + 1.0, (low, high)), shape=(size, size))
    by_rank = np.empty(rank.size, dtype=np.int64)
    by_rank[rank] = np.arange(rank.size)
    return by_rank[np.sort(sparse_spanning_tree(graph, overwrite=True).data).astype(np.int64) - 1]


def leaf_order(left: NDArray[np.integer], right: NDArray[np.integer], weight: NDArray[np.floating]) -> LeafOrder:
    """Return the leaf order of a spanning tree of two points or more, whose edges come lightest first."""
    size = weight.size + 1
    linkage = single_linkage(left, right, weight)
    order = leaves_list(linkage).astype(np.int64)
    # The first leaf of each node is that of its left child; pointer jumping finds it for all nodes.
    first = np.concatenate([np.arange(size), linkage[:, 0].astype(np.int64)])
    while True:
        jumped = first[first]
        if np.array_equal(jumped, first):
            break
        first = jumped
    position = np.empty(size, dtype=np.int64)
    position[order] = np.arange(size)
    height = np.empty(size - 1)
    # The leaves of a node's two children are adjacent; the node's height stands between them.
    height[position[first[linkage[:, 1].astype(np.int64)]] - 1] = linkage[:, 2]
    return LeafOrder(order=order, height=height)
