"""Compute the exact minimum spanning tree of distinct rows in one pass over the blocks of the similarity matrix.

An approximate tree (:mod:`functions.cluster.tree.approximate_tree`) gives upper bounds of all core distances and all
bottlenecks. An edge heavier than the bottleneck of its ends is in no minimum spanning tree (it is the heaviest edge of
a cycle), and a neighbour farther away than the bound of a core distance does not define it. Each block of products
therefore contributes only the few pairs within the bounds, with a tolerance for float32 rounding: the candidate edges.
Their distances are computed in float64, and the tree is built from them. The memory needed is a block per thread, the
candidate edges, and a copy of the rows.

Core distances need no separate comparison: every edge of the approximate tree weighs at least as much as the core
distances of its ends, so the bottleneck of two rows is never below either's core distance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from functions.cluster.tree.all_pairs import candidate_edges, similarity_matrix
from functions.cluster.tree.block_runner import BlockRunner, block_bounds, block_pairs
from functions.cluster.tree.bottlenecks import mark_between, mark_within
from functions.cluster.tree.edges import core_distances, exact_distances
from functions.cluster.tree.float64_candidates import MAX_CANDIDATES_PER_ROW, Pairs, candidates_in_float64, dense_rows
from functions.cluster.tree.spanning_forest import LeafOrder, spanning_forest


@dataclass(frozen=True)
class DistinctRows:
    """n distinct rows, each of which stands for one or more equal points.

    ``rows``: float32[n, d] of length 1, up to rounding. ``norms``: float64[n]. ``multiplicity``: int64[n], the number
    of points that each row stands for. ``core_neighbours``: int64[n], the number of points of other rows within the
    core distance (2: up to the second nearest), 0 where the row's own duplicates suffice. ``canonical``: int64[n],
    distinct numbers that break ties between edges.
    """

    rows: NDArray[np.float32]
    norms: NDArray[np.float64]
    multiplicity: NDArray[np.int64]
    core_neighbours: NDArray[np.int64]
    canonical: NDArray[np.int64]

    @property
    def size(self) -> int:
        """The number of distinct rows."""
        return int(self.rows.shape[0])

    @property
    def distinct_core_neighbours(self) -> NDArray[np.int64]:
        """As ``core_neighbours``, with each other row counted once: this gives upper bounds of the core distances."""
        return np.minimum(self.core_neighbours, self.size - 1)

    @property
    def rounding(self) -> float:
        """The largest error of a float32 product of two rows, for any order of summation.

        Each of ``d`` products and sums is rounded by at most 2**-24 (Higham, Accuracy and Stability of Numerical
        Algorithms, 3.1); the norms of the rows may differ from 1 by 1e-6.
        """
        return (int(self.rows.shape[1]) + 8) * 2.0**-24 + 4e-6


@dataclass(frozen=True)
class ExactTree:
    """The minimum spanning tree of n distinct rows, and their core distances.

    ``left``, ``right`` int64[n-1]; ``distance`` float64[n-1], cosine distances; ``core`` float64[n].
    """

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    distance: NDArray[np.float64]
    core: NDArray[np.float64]


def exact_tree(points: DistinctRows, bounds: LeafOrder, runner: BlockRunner, block_rows: int) -> ExactTree:
    """Return the minimum spanning tree of the mutual reachability graph of the rows.

    ``bounds`` gives upper bounds of the bottlenecks. Ties between weights are broken by the cosine distance, then by
    the canonical numbers.
    """
    order = bounds.order
    rows = points.rows[order]
    heights = bounds.height + 2.0 * points.rounding
    blocks = _blocks(rows, points.distinct_core_neighbours[order], heights, block_rows)
    found = [pairs for _, pairs in runner.run(_candidates_of_blocks, blocks, block_pairs(len(blocks)))]
    left, right = (np.concatenate(side) for side in zip(*found, strict=True))
    distance = exact_distances(rows, points.norms[order], left, right)
    return _tree_of_candidates(points, order[left], order[right], distance)


def tree_of_all_pairs(points: DistinctRows) -> ExactTree:
    """Return the tree as :func:`exact_tree` does, from the full similarity matrix; faster for about a thousand rows."""
    left, right = candidate_edges(
        similarity_matrix(points.rows), points.distinct_core_neighbours, 2.0 * points.rounding
    )
    if left.size > MAX_CANDIDATES_PER_ROW * points.size:
        side = (points.rows, points.distinct_core_neighbours, np.arange(points.size))
        left, right = (np.concatenate(parts) for parts in zip(*candidates_in_float64(side, side), strict=True))
    return _tree_of_candidates(points, left, right, exact_distances(points.rows, points.norms, left, right))


def _tree_of_candidates(
    points: DistinctRows, left: NDArray[np.int64], right: NDArray[np.int64], distance: NDArray[np.float64]
) -> ExactTree:
    """Return the tree, given pairs (each once) that include all of its edges and those defining core distances."""
    core = core_distances(left, right, distance, points.multiplicity, points.core_neighbours)
    weight = np.maximum(distance, np.maximum(core[left], core[right]))
    one, other = points.canonical[left], points.canonical[right]
    rank = np.empty(weight.size, dtype=np.int64)
    rank[np.lexsort((np.minimum(one, other) * points.size + np.maximum(one, other), distance, weight))] = np.arange(
        weight.size
    )
    kept = spanning_forest(points.size, left, right, rank)
    return ExactTree(left[kept], right[kept], distance[kept], core)


@dataclass(frozen=True)
class _Block:
    """m consecutive rows of the leaf order.

    ``number``: that of the block. ``begin``: the position of its first row. ``core_neighbours``: int64[m], as in
    :class:`DistinctRows`. ``height``: float32[m-1], the merge heights between adjacent rows. ``between``:
    float32[blocks], the largest height between this block's last row and the first row of each later block.
    """

    number: int
    begin: int
    rows: NDArray[np.float32]
    core_neighbours: NDArray[np.int64]
    height: NDArray[np.float32]
    between: NDArray[np.float32]


def _blocks(
    rows: NDArray[np.float32], core_neighbours: NDArray[np.int64], heights: NDArray[np.float64], block_rows: int
) -> list[_Block]:
    """Divide the rows, which come in leaf order, into blocks."""
    height = heights.astype(np.float32)
    cuts = block_bounds(rows.shape[0], block_rows)
    blocks = []
    for number, (begin, end) in enumerate(cuts):
        between = np.zeros(len(cuts), dtype=np.float32)
        for later in range(number + 1, len(cuts)):
            previous = between[later - 1] if later > number + 1 else np.float32(0.0)
            since = cuts[later - 1][0] if later > number + 1 else end - 1
            between[later] = max(previous, height[since : cuts[later][0]].max())
        blocks.append(
            _Block(number, begin, rows[begin:end], core_neighbours[begin:end], height[begin : end - 1], between)
        )
    return blocks


def _candidates_of_blocks(left: _Block, right: _Block) -> Pairs:
    """Return the candidate edges between two blocks; rows are given by their positions in the leaf order."""
    shape = (left.rows.shape[0], right.rows.shape[0])
    mask = np.empty(shape, dtype=np.bool_)
    if left.number == right.number:
        mark_within(left.rows @ left.rows.copy().T, left.height, mask)
    else:
        mark_between(left.rows @ right.rows.T, left.height, left.between[right.number], right.height, mask)
    pairs = [np.divmod(np.flatnonzero(mask), shape[1])]
    if pairs[0][0].size > MAX_CANDIDATES_PER_ROW * min(shape):
        pairs = _candidates_of_near_duplicates(left, right, mask)
    return (
        np.concatenate([rows for rows, _ in pairs]) + left.begin,
        np.concatenate([columns for _, columns in pairs]) + right.begin,
    )


def _candidates_of_near_duplicates(left: _Block, right: _Block, mask: NDArray[np.bool_]) -> list[Pairs]:
    """Return the marked pairs, except that rows with very many of them are compared in float64 instead."""
    core_neighbours = int(max(left.core_neighbours.max(), right.core_neighbours.max()))
    rows, columns = dense_rows(mask, core_neighbours, same=left.number == right.number)
    mask[np.ix_(rows, columns)] = False
    kept = [np.divmod(np.flatnonzero(mask), mask.shape[1])]
    return [
        *kept,
        *candidates_in_float64((left.rows, left.core_neighbours, rows), (right.rows, right.core_neighbours, columns)),
    ]
