"""The exact spanning tree of distinct rows, from one pass over the blocks of the similarity matrix.

A rough tree (:mod:`functions.cluster.tree.scout`) bounds every core distance and every bottleneck from above. An edge
heavier than the bottleneck of its ends is in no minimum spanning tree (it is the heaviest of a cycle), and a neighbour
farther than the bound of a core distance does not define it. So from each block of products only the few pairs within
the bounds are taken out, with an allowance for float32 rounding; those are measured in float64, and the tree is built
from them. Memory is a block per thread, the pairs taken out, and a copy of the rows.

The bound of a core distance needs no look of its own: every edge of the rough tree weighs at least as much as those of
its ends, so the bottleneck of two rows is never below either's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from functions.cluster.tree.all_pairs import all_products, light_pairs
from functions.cluster.tree.block_runner import BlockRunner, block_bounds, block_pairs
from functions.cluster.tree.bottlenecks import mark_between, mark_within
from functions.cluster.tree.edges import distance_of_nearest, measured_exactly
from functions.cluster.tree.flood import FLOOD, Pairs, close_pairs, flooded
from functions.cluster.tree.scout import Bounds
from functions.cluster.tree.trees import spanning_forest


@dataclass(frozen=True)
class Problem:
    """n distinct rows, some of which occur several times.

    ``rows`` float32[n, d] of length 1, up to rounding, and their ``lengths`` float64[n]; ``copies`` int64[n], how often
    each occurs; ``wanted`` int64[n], which nearest other occurrence gives its core distance (2: the second), 0 where
    its own copies suffice; ``canonical`` int64[n], different numbers that decide between equally good edges.
    """

    rows: NDArray[np.float32]
    lengths: NDArray[np.float64]
    copies: NDArray[np.int64]
    wanted: NDArray[np.int64]
    canonical: NDArray[np.int64]

    @property
    def size(self) -> int:
        """The number of distinct rows."""
        return int(self.rows.shape[0])

    @property
    def wanted_rows(self) -> NDArray[np.int64]:
        """As ``wanted``, where every distinct other row counts once: gives upper bounds of the core distances."""
        return np.minimum(self.wanted, self.size - 1)

    @property
    def rounding(self) -> float:
        """The most by which a float32 product of two of the rows may differ from the true one, however summed.

        ``d`` products and sums round by 2**-24 each (Higham, Accuracy and Stability of Numerical Algorithms, 3.1); the
        rows' lengths may differ from 1 by 1e-6.
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


def exact_tree(problem: Problem, bounds: Bounds, runner: BlockRunner, block_rows: int) -> ExactTree:
    """The minimum spanning tree of the mutual reachability graph of the rows, given bounds of it.

    Of equally heavy edges the shorter one is taken, then the one of lower canonical numbers.
    """
    order = bounds.chain.order
    rows = problem.rows[order]
    blocks = _chain_blocks(rows, problem.wanted_rows[order], bounds.chain.gap + 2.0 * problem.rounding, block_rows)
    found = [pairs for _, pairs in runner.run(_pairs_within, blocks, block_pairs(len(blocks)))]
    left, right = (np.concatenate(side) for side in zip(*found, strict=True))
    distance = measured_exactly(rows, problem.lengths[order], left, right)
    return _tree_of_pairs(problem, order[left], order[right], distance)


def tree_of_all_pairs(problem: Problem) -> ExactTree:
    """As :func:`exact_tree`, from the whole matrix at once: faster for up to about a thousand rows."""
    left, right = light_pairs(all_products(problem.rows), problem.wanted_rows, 2.0 * problem.rounding)
    if left.size > FLOOD * problem.size:
        side = (problem.rows, problem.wanted_rows, np.arange(problem.size))
        left, right = (np.concatenate(parts) for parts in zip(*close_pairs(side, side), strict=True))
    return _tree_of_pairs(problem, left, right, measured_exactly(problem.rows, problem.lengths, left, right))


def _tree_of_pairs(
    problem: Problem, left: NDArray[np.int64], right: NDArray[np.int64], distance: NDArray[np.float64]
) -> ExactTree:
    """The tree, from pairs (each once) among which are all of its edges and all that define core distances."""
    core = distance_of_nearest(left, right, distance, problem.copies, problem.wanted)
    weight = np.maximum(distance, np.maximum(core[left], core[right]))
    one, other = problem.canonical[left], problem.canonical[right]
    rank = np.empty(weight.size, dtype=np.int64)
    rank[np.lexsort((np.minimum(one, other) * problem.size + np.maximum(one, other), distance, weight))] = np.arange(
        weight.size
    )
    kept = spanning_forest(problem.size, left, right, rank)
    return ExactTree(left[kept], right[kept], distance[kept], core)


@dataclass(frozen=True)
class _Block:
    """Rows that follow each other in the chain.

    ``number`` of the block and the place of its first row, ``begin``; ``wanted`` int64[m] as in Problem; ``gap``
    float32[m-1], between each row and the next; ``bridge`` float32[blocks], the largest gap on the way from this
    block's last row to the first of each later block.
    """

    number: int
    begin: int
    rows: NDArray[np.float32]
    wanted: NDArray[np.int64]
    gap: NDArray[np.float32]
    bridge: NDArray[np.float32]


def _chain_blocks(
    rows: NDArray[np.float32], wanted: NDArray[np.int64], gaps: NDArray[np.float64], block_rows: int
) -> list[_Block]:
    """The rows in the order of the chain, in blocks."""
    gap = gaps.astype(np.float32)
    cuts = block_bounds(rows.shape[0], block_rows)
    blocks = []
    for number, (begin, end) in enumerate(cuts):
        bridge = np.zeros(len(cuts), dtype=np.float32)
        for later in range(number + 1, len(cuts)):
            previous = bridge[later - 1] if later > number + 1 else np.float32(0.0)
            since = cuts[later - 1][0] if later > number + 1 else end - 1
            bridge[later] = max(previous, gap[since : cuts[later][0]].max())
        blocks.append(_Block(number, begin, rows[begin:end], wanted[begin:end], gap[begin : end - 1], bridge))
    return blocks


def _pairs_within(left: _Block, right: _Block) -> Pairs:
    """The pairs between two blocks that are near enough to matter; rows by their place in the chain."""
    shape = (left.rows.shape[0], right.rows.shape[0])
    mask = np.empty(shape, dtype=np.bool_)
    if left.number == right.number:
        mark_within(left.rows @ left.rows.copy().T, left.gap, mask)
    else:
        mark_between(left.rows @ right.rows.T, left.gap, left.bridge[right.number], right.gap, mask)
    pairs = [np.divmod(np.flatnonzero(mask), shape[1])]
    if pairs[0][0].size > FLOOD * min(shape):
        pairs = _without_flood(left, right, mask)
    return (
        np.concatenate([rows for rows, _ in pairs]) + left.begin,
        np.concatenate([columns for _, columns in pairs]) + right.begin,
    )


def _without_flood(left: _Block, right: _Block, mask: NDArray[np.bool_]) -> list[Pairs]:
    """The marked pairs, but of those among very many rows that float32 cannot tell apart, only what float64 leaves."""
    rows, columns = flooded(mask, int(max(left.wanted.max(), right.wanted.max())), same=left.number == right.number)
    mask[np.ix_(rows, columns)] = False
    kept = [np.divmod(np.flatnonzero(mask), mask.shape[1])]
    return [*kept, *close_pairs((left.rows, left.wanted, rows), (right.rows, right.wanted, columns))]
