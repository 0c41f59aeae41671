"""Compute the minimum spanning tree of the mutual reachability graph of embeddings, under the cosine distance.

The mutual reachability distance of two points is ``max(d(i, j), core(i), core(j))``, where ``core`` is the core
distance: that to the ``min_samples``-th nearest *other* point (Campello, Moulavi, Sander 2013; counted as in the
``hdbscan`` package).

Ties are frequent: both edges from a point to its two nearest neighbours usually weigh exactly the point's core
distance. Edges are therefore ordered by ``(mutual reachability distance, cosine distance, row numbers)``, where rows
are numbered in the order of their bytes. This order is total, so the tree is unique, and it does not depend on the
order of the input.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from functions.cluster.blas import single_threaded_blas
from functions.cluster.embeddings import canonical_order
from functions.cluster.tree.approximate_tree import bottleneck_bounds
from functions.cluster.tree.block_runner import BlockRunner, ThreadRunner
from functions.cluster.tree.blocked_tree import DistinctRows, ExactTree, exact_tree, tree_of_all_pairs
from functions.cluster.tree.edges import exact_norms

UNIT_ROUNDING = 1e-6
"""Rows whose norm differs from 1 by no more than this are not normalised again."""

MAX_BLOCK_ROWS = 1300
"""Rows of a block at most: one block of products is 7 MB. A power of two would make access by columns slow."""
MIN_BLOCKS = 3

MAX_ALL_PAIRS = 1400
"""Largest number of rows whose full similarity matrix is computed, in 8 MB of float32 and 16 MB of float64. It is the
faster method up to 3,000 rows, but would need 110 MB per thread there."""

PROJECTED_DIMENSIONS = 48
"""Principal directions along which approximate neighbours are searched; fewer are faster and give looser bounds."""


@dataclass(frozen=True)
class SpanningTree:
    """A minimum spanning tree over ``size`` points: ``size - 1`` edges in canonical order, lightest first.

    ``left`` and ``right`` are int64[n-1], row numbers; ``weight`` is float64[n-1], mutual reachability distances in
    [0, 2]; ``distance`` is float64[n-1], cosine distances in [0, 2].
    """

    size: int
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    weight: NDArray[np.float64]
    distance: NDArray[np.float64]


def minimum_spanning_tree(
    embeddings: NDArray[np.float32],
    min_samples: int,
    *,
    runner: BlockRunner | None = None,
    max_all_pairs: int = MAX_ALL_PAIRS,
    block_rows: int | None = None,
    projected_dimensions: int = PROJECTED_DIMENSIONS,
) -> SpanningTree:
    """Return the minimum spanning tree of ``embeddings`` (float32[n, d], n >= 1, rows of length 1).

    Edges and weights are those of float64 arithmetic. The keyword arguments decide where and how the tree is computed,
    never the result. Up to ``max_all_pairs`` rows, the full similarity matrix is computed at once. Above that,
    ``runner`` executes the block tasks (on threads by default), ``block_rows`` is the size of the blocks, and
    approximate neighbours are searched in ``projected_dimensions`` dimensions.
    """
    embeddings = _without_padding(embeddings)
    order = canonical_order(embeddings)
    first, group, multiplicity = _group_duplicates(embeddings, order)
    total = embeddings.shape[0]
    core_neighbours = np.maximum(min(max(min_samples, 1), max(total - 1, 0)) - (multiplicity - 1), 0)
    rows = embeddings if first.size == total else embeddings[first]
    points = DistinctRows(*_unit(rows), multiplicity, core_neighbours, canonical=group[first])
    if points.size == 1:
        nothing = np.zeros(0, dtype=np.int64)
        tree = ExactTree(nothing, nothing, np.zeros(0), np.zeros(1))
    elif points.size <= max_all_pairs:
        with single_threaded_blas():
            tree = tree_of_all_pairs(points)
    else:
        threads = runner or ThreadRunner()
        size = block_rows or min(MAX_BLOCK_ROWS, -(-points.size // MIN_BLOCKS))
        with single_threaded_blas():
            bounds = bottleneck_bounds(points.rows, points.distinct_core_neighbours, projected_dimensions, threads)
            tree = exact_tree(points, bounds, threads, size)
    return _with_duplicates(tree, order, first, group)


def _without_padding(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """Remove trailing columns that are zero in every row: they take time and do not change the result."""
    used = embeddings.shape[1]
    while used > 1 and not embeddings[:, used - 1].any():
        used -= 1
    return embeddings if used == embeddings.shape[1] else np.ascontiguousarray(embeddings[:, :used])


def _group_duplicates(
    embeddings: NDArray[np.float32], order: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Group equal rows: return the first row of each group, ascending; the group of each row; the size of each group.

    Groups are numbered in canonical order (int64[n], in the order of the rows); sizes come in the order of the first
    result.
    """
    new = np.ones(order.size, dtype=bool)
    # Equal rows are adjacent in the order. Comparing the first columns excludes nearly all other adjacent pairs.
    similar = (embeddings[order[1:], :4] == embeddings[order[:-1], :4]).all(axis=1)
    for position in np.flatnonzero(similar):
        new[position + 1] = not np.array_equal(embeddings[order[position]], embeddings[order[position + 1]])
    group = np.empty(order.size, dtype=np.int64)
    group[order] = np.cumsum(new) - 1
    starts = np.flatnonzero(new)
    first, multiplicity = order[starts], np.diff(starts, append=order.size)
    ascending = np.argsort(first)
    return first[ascending], group, multiplicity[ascending]


def _unit(rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return the rows with norm 1, unchanged if they have it already up to rounding; and their exact norms."""
    norms = exact_norms(rows)
    if np.abs(norms - 1.0).max() <= UNIT_ROUNDING:
        return rows, norms
    rows = np.asarray(rows / norms[:, None], dtype=np.float32)
    return rows, exact_norms(rows)


def _with_duplicates(
    tree: ExactTree, order: NDArray[np.int64], first: NDArray[np.int64], group: NDArray[np.int64]
) -> SpanningTree:
    """Return the tree over all rows: each duplicate is joined to the first row of its group, at distance 0."""
    position = np.empty_like(order)
    position[order] = np.arange(order.size)
    head = np.empty(first.size, dtype=np.int64)
    head[group[first]] = first
    core = np.empty(first.size)
    core[group[first]] = tree.core
    duplicate = np.flatnonzero(head[group] != np.arange(group.size))
    left = np.concatenate([first[tree.left], head[group[duplicate]]])
    right = np.concatenate([first[tree.right], duplicate])
    distance = np.concatenate([tree.distance, np.zeros(duplicate.size)])
    weight = np.maximum(distance, np.maximum(core[group[left]], core[group[right]]))
    low, high = np.minimum(position[left], position[right]), np.maximum(position[left], position[right])
    sequence = np.lexsort((high, low, distance, weight))
    return SpanningTree(
        size=group.size,
        left=order[low[sequence]],
        right=order[high[sequence]],
        weight=weight[sequence],
        distance=distance[sequence],
    )
