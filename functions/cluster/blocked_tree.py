"""The exact spanning tree of distinct rows, from one pass over the blocks of the similarity matrix.

A rough tree (:mod:`functions.cluster.scout`) bounds every core distance and every bottleneck from above. An edge
heavier than the bottleneck of its ends is in no minimum spanning tree (it is the heaviest of a cycle), and a neighbour
farther than the bound of a core distance does not define it. So from each block of products only the few pairs within
the bounds are taken out, with an allowance for float32 rounding; those are measured in float64, and the tree is built
from them. Memory is a block per thread, the pairs taken out, and a copy of the rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from functions.cluster.block_runner import BlockRunner, all_products, block_bounds, block_pairs, scratch
from functions.cluster.edges import Distance, Edges, distance_keys, distance_of_nearest, measured_exactly, ranks
from functions.cluster.hdbscan_tree import dense_spanning_tree
from functions.cluster.scout import Bounds
from functions.cluster.trees import bottlenecks, chain_of_tree, spanning_forest

SMALLEST_STRETCH = 64
"""Rows of the chain whose bottlenecks are worked out pair by pair."""


@dataclass(frozen=True)
class Problem:
    """n distinct rows, some of which occur several times.

    ``rows`` float32[n, d] of length 1; ``copies`` int64[n], how often each occurs; ``wanted`` int64[n], the how-manieth
    nearest other occurrence gives its core distance, 0 where its own copies suffice; ``canonical`` int64[n], different
    numbers that decide between equally good edges.
    """

    rows: NDArray[np.float32]
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
    blocks = _chain_blocks(problem, bounds, block_rows)
    found = [pairs for _, pairs in runner.run(_pairs_within, blocks, block_pairs(len(blocks)))]
    pairs = Edges.concatenated(found)
    return tree_of_pairs(problem, Edges(order[pairs.left], order[pairs.right], pairs.distance))


def dense_pairs(problem: Problem) -> Edges:
    """The pairs :func:`tree_of_pairs` needs, from the whole similarity matrix at once: for a few thousand rows."""
    products = all_products(problem.rows)
    np.fill_diagonal(products, -np.inf)
    core = _rough_core(products, problem.wanted_rows)
    weights = np.subtract(1.0, products, dtype=np.float64)
    np.maximum(weights, core, out=weights)
    np.maximum(weights, core[:, None], out=weights)
    order, _, gap = dense_spanning_tree(weights)
    slack = np.float32(2.0 * problem.rounding)
    products = products[order].take(order, axis=1)
    mask = np.empty(products.shape, dtype=np.bool_)
    _mark_within(products, core[order] + slack, gap.astype(np.float32) + slack, mask)
    pairs = _taken(products, mask, 0, 0)
    return Edges(order[pairs.left], order[pairs.right], pairs.distance)


def _rough_core(products: NDArray[np.float32], wanted: NDArray[np.int64]) -> NDArray[np.float32]:
    """The distance to the ``wanted``-th nearest of each row of a full matrix with -inf on its diagonal, float32[n]."""
    here = np.arange(wanted.size)
    core = np.zeros(wanted.size, dtype=np.float32)
    columns = []
    for turn in range(1, int(wanted.max()) + 1):
        column = products.argmax(axis=1)
        nearest = products[here, column]
        core = np.where(wanted == turn, np.maximum(1.0 - nearest, 0.0), core)
        columns.append((column, nearest))
        products[here, column] = -np.inf
    for column, nearest in columns:
        products[here, column] = nearest
    return core.astype(np.float32)


def tree_of_pairs(problem: Problem, pairs: Edges) -> ExactTree:
    """The minimum spanning tree, given pairs (each once) with all of its edges and all that define core distances.

    float32 tells which pairs may matter, up to rounding; those are measured in float64 and decide.
    """
    slack = 2.0 * problem.rounding
    rough = _core(problem, pairs.left, pairs.right, pairs.distance)
    weight = np.maximum(pairs.distance, np.maximum(rough[pairs.left], rough[pairs.right]))
    tree = spanning_forest(problem.size, pairs.left, pairs.right, ranks(weight))
    chain = chain_of_tree(pairs.left[tree], pairs.right[tree], weight[tree])
    light = weight <= bottlenecks(chain, pairs.left, pairs.right) + slack
    near = pairs.distance <= np.maximum(rough[pairs.left], rough[pairs.right]) + slack
    chosen = np.flatnonzero(light | near)
    left, right, light = pairs.left[chosen], pairs.right[chosen], light[chosen]
    distance = measured_exactly(problem.rows, left, right)
    core = _core(problem, left, right, distance)

    left, right, distance = left[light], right[light], distance[light]
    one, other = problem.canonical[left], problem.canonical[right]
    exact = np.maximum(distance, np.maximum(core[left], core[right]))
    rank = np.empty(exact.size, dtype=np.int64)
    rank[np.lexsort((np.maximum(one, other), np.minimum(one, other), distance, exact))] = np.arange(exact.size)
    kept = spanning_forest(problem.size, left, right, rank)
    return ExactTree(left[kept], right[kept], distance[kept], core)


def _core(
    problem: Problem, left: NDArray[np.int64], right: NDArray[np.int64], distance: NDArray[Distance]
) -> NDArray[Distance]:
    """Core distances, [n], from pairs that hold each row's nearest neighbours."""
    row, other = np.concatenate([left, right]), np.concatenate([right, left])
    both = np.concatenate([distance, distance])
    order = np.argsort(distance_keys(row, both)) if both.dtype == np.float32 else np.lexsort((both, row))
    return distance_of_nearest(order, row, both, problem.copies[other], problem.wanted)


@dataclass(frozen=True)
class _Block:
    """Rows that follow each other in the chain, and how far away a row may be to be of interest to them.

    ``number`` of the block and the place of its first row, ``begin``; ``reach`` float32[m], the bound of each core
    distance; ``gap`` float32[m-1], between each row and the next; ``bridge`` float32[blocks], the largest gap on the
    way from this block's last row to the first of each later block.
    """

    number: int
    begin: int
    rows: NDArray[np.float32]
    reach: NDArray[np.float32]
    gap: NDArray[np.float32]
    bridge: NDArray[np.float32]


def _chain_blocks(problem: Problem, bounds: Bounds, block_rows: int) -> list[_Block]:
    """The rows in the order of the chain, in blocks; distances allow for rounding on both sides of a comparison."""
    order = bounds.chain.order
    gap = (bounds.chain.gap + 2.0 * problem.rounding).astype(np.float32)
    reach = bounds.core[order] + np.float32(2.0 * problem.rounding)
    cuts = block_bounds(problem.size, block_rows)
    rows = problem.rows[order]
    blocks = []
    for number, (begin, end) in enumerate(cuts):
        bridge = np.zeros(len(cuts), dtype=np.float32)
        for later in range(number + 1, len(cuts)):
            previous = bridge[later - 1] if later > number + 1 else np.float32(0.0)
            since = cuts[later - 1][0] if later > number + 1 else end - 1
            bridge[later] = max(previous, gap[since : cuts[later][0]].max())
        blocks.append(_Block(number, begin, rows[begin:end], reach[begin:end], gap[begin : end - 1], bridge))
    return blocks


def _pairs_within(left: _Block, right: _Block) -> Edges:
    """The pairs between two blocks that are near enough to matter; rows by their place in the chain."""
    shape = (left.rows.shape[0], right.rows.shape[0])
    products, mask = scratch("products", shape, np.float32), scratch("mask", shape, np.bool_)
    if left.number == right.number:
        np.dot(left.rows, left.rows.copy().T, out=products)
        _mark_within(products, left.reach, left.gap, mask)
    else:
        np.dot(left.rows, right.rows.T, out=products)
        _mark_between(products, (left.reach, left.gap), left.bridge[right.number], (right.reach, right.gap), mask)
    return _taken(products, mask, left.begin, right.begin)


def _mark_between(
    products: NDArray[np.float32],
    left: tuple[NDArray[np.float32], NDArray[np.float32]],
    bridge: np.float32,
    right: tuple[NDArray[np.float32], NDArray[np.float32]],
    mask: NDArray[np.bool_],
) -> None:
    """Mark the pairs near enough between two stretches of the chain, each given by its reaches and its gaps.

    The bottleneck of a pair is the largest of: the gaps from the left row on, the bridge between the stretches, and
    the gaps up to the right row.
    """
    onward = np.maximum.accumulate(np.append(left[1], np.float32(0.0))[::-1])[::-1]
    upto = np.maximum.accumulate(np.append(np.float32(0.0), right[1]))
    allowed_left = np.maximum(np.maximum(left[0], onward), bridge)
    allowed_right = np.maximum(right[0], upto)
    np.greater_equal(products, (1.0 - allowed_left)[:, None], out=mask)
    # Mostly the bridge is wide enough for all rows on the right, and there is nothing to add.
    wider = np.flatnonzero(allowed_right > allowed_left.min())
    if wider.size > products.shape[1] // 8:
        mask |= products >= 1.0 - allowed_right
    elif wider.size:
        mask[:, wider] |= products[:, wider] >= 1.0 - allowed_right[wider]


def _mark_within(
    products: NDArray[np.float32], reach: NDArray[np.float32], gap: NDArray[np.float32], mask: NDArray[np.bool_]
) -> None:
    """Mark the pairs (row before column) near enough within one stretch of the chain: by halves."""
    count = reach.size
    if count <= SMALLEST_STRETCH:
        allowed = np.zeros((count, count), dtype=np.float32)
        allowed[:, 1:] = gap
        allowed = np.maximum.accumulate(np.triu(allowed, 1), axis=1)
        np.maximum(allowed, np.maximum(reach[:, None], reach), out=allowed)
        mask[...] = np.triu(products >= 1.0 - allowed, 1)
        return
    half = count // 2
    mask[half:, :half] = False
    _mark_between(
        products[:half, half:],
        (reach[:half], gap[: half - 1]),
        gap[half - 1],
        (reach[half:], gap[half:]),
        mask[:half, half:],
    )
    _mark_within(products[:half, :half], reach[:half], gap[: half - 1], mask[:half, :half])
    _mark_within(products[half:, half:], reach[half:], gap[half:], mask[half:, half:])


def _taken(products: NDArray[np.float32], mask: NDArray[np.bool_], row: int, column: int) -> Edges:
    places = np.flatnonzero(mask)
    rows, columns = np.divmod(places, products.shape[1])
    distance = np.maximum(1.0 - products.ravel()[places], 0.0)
    return Edges(rows + row, columns + column, distance)
