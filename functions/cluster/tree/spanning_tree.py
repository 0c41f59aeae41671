"""The minimum spanning tree of the mutual reachability graph of embeddings, under the cosine distance.

Mutual reachability of two points is ``max(d(i, j), core(i), core(j))``, where ``core`` is the distance to the
``min_samples``-th *other* point (Campello, Moulavi, Sander 2013; the counting of the ``hdbscan`` package).

That maximum ties by construction: both edges from a point to its two nearest neighbours usually weigh exactly the
point's core distance. Edges are therefore ordered by ``(mutual reachability, cosine distance, row numbers)``, where
rows are numbered in the order of their own bytes. The order is total, so the tree is unique, and it does not depend on
the order of the input.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from functions.cluster.blas import single_threaded_blas
from functions.cluster.embeddings import canonical_order
from functions.cluster.tree.block_runner import BlockRunner, ThreadRunner
from functions.cluster.tree.blocked_tree import ExactTree, Problem, exact_tree, tree_of_all_pairs
from functions.cluster.tree.edges import exact_lengths
from functions.cluster.tree.scout import scout

UNIT_ROUNDING = 1e-6
"""Rows whose length differs from 1 by no more than this are not normalised again."""

MOST_BLOCK_ROWS = 1300
"""Rows of a block at most: one block of products is 7 MB. Not a power of two, which would be slow to read across."""
FEWEST_BLOCKS = 3

ALL_PAIRS = 1400
"""Rows whose whole similarity matrix is held, in 8 MB of float32 and 16 MB of float64. It is the faster way up to 3,000
rows, but each thread would keep 110 MB for it."""

SCOUT_DIMENSIONS = 48
"""Directions the scout looks along; fewer make it faster and its bounds looser."""


@dataclass(frozen=True)
class SpanningTree:
    """A minimum spanning tree over ``size`` points: ``size - 1`` edges in canonical order, lightest first.

    ``left`` and ``right`` are int64[n-1] row numbers; ``weight`` is float64[n-1], the mutual reachability of the
    edge in [0, 2]; ``distance`` is float64[n-1], its plain cosine distance in [0, 2].
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
    all_pairs_up_to: int = ALL_PAIRS,
    block_rows: int | None = None,
    scout_dimensions: int = SCOUT_DIMENSIONS,
) -> SpanningTree:
    """The minimum spanning tree of ``embeddings`` (float32[n, d], n >= 1, rows of length 1).

    Edges and weights are those of float64 arithmetic. The keyword arguments decide where and how it is computed, never
    the result. Of up to ``all_pairs_up_to`` rows the whole matrix is held at once. Of more, ``runner`` runs the block
    tasks (threads by default), ``block_rows`` is the size of the blocks, and the scout looks along ``scout_dimensions``
    directions.
    """
    embeddings = _without_padding(embeddings)
    order = canonical_order(embeddings)
    first, group, copies = _distinct(embeddings, order)
    total = embeddings.shape[0]
    wanted = np.maximum(min(max(min_samples, 1), max(total - 1, 0)) - (copies - 1), 0)
    rows = embeddings if first.size == total else embeddings[first]
    problem = Problem(*_unit(rows), copies, wanted, canonical=group[first])
    if problem.size == 1:
        nothing = np.zeros(0, dtype=np.int64)
        tree = ExactTree(nothing, nothing, np.zeros(0), np.zeros(1))
    elif problem.size <= all_pairs_up_to:
        with single_threaded_blas():
            tree = tree_of_all_pairs(problem)
    else:
        threads = runner or ThreadRunner()
        size = block_rows or min(MOST_BLOCK_ROWS, -(-problem.size // FEWEST_BLOCKS))
        with single_threaded_blas():
            bounds = scout(problem.rows, problem.wanted_rows, scout_dimensions, threads)
            tree = exact_tree(problem, bounds, threads, size)
    return _with_copies(tree, order, first, group)


def _without_padding(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """Without the columns at the end that are zero in every row: they cost time and change nothing."""
    used = embeddings.shape[1]
    while used > 1 and not embeddings[:, used - 1].any():
        used -= 1
    return embeddings if used == embeddings.shape[1] else np.ascontiguousarray(embeddings[:, :used])


def _distinct(
    embeddings: NDArray[np.float32], order: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """One row of each kind of equal rows, ascending; the canonical number of each row's kind; each kind's size.

    Sizes come in the order of the first result, numbers in that of the rows.
    """
    new = np.ones(order.size, dtype=bool)
    # Equal rows are neighbours in the order, and few neighbours agree even in the first columns.
    alike = (embeddings[order[1:], :4] == embeddings[order[:-1], :4]).all(axis=1)
    for place in np.flatnonzero(alike):
        new[place + 1] = not np.array_equal(embeddings[order[place]], embeddings[order[place + 1]])
    kind = np.empty(order.size, dtype=np.int64)
    kind[order] = np.cumsum(new) - 1
    heads = np.flatnonzero(new)
    first, copies = order[heads], np.diff(heads, append=order.size)
    ascending = np.argsort(first)
    return first[ascending], kind, copies[ascending]


def _unit(rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """The rows brought to length 1, the very same ones when they are that already, up to rounding; their lengths."""
    lengths = exact_lengths(rows)
    if np.abs(lengths - 1.0).max() <= UNIT_ROUNDING:
        return rows, lengths
    rows = np.asarray(rows / lengths[:, None], dtype=np.float32)
    return rows, exact_lengths(rows)


def _with_copies(
    tree: ExactTree, order: NDArray[np.int64], first: NDArray[np.int64], kind: NDArray[np.int64]
) -> SpanningTree:
    """The tree over all rows: each copy hangs on the first of its kind, at distance 0 and their core distance."""
    place = np.empty_like(order)
    place[order] = np.arange(order.size)
    head = np.empty(first.size, dtype=np.int64)
    head[kind[first]] = first
    core = np.empty(first.size)
    core[kind[first]] = tree.core
    copy = np.flatnonzero(head[kind] != np.arange(kind.size))
    left = np.concatenate([first[tree.left], head[kind[copy]]])
    right = np.concatenate([first[tree.right], copy])
    distance = np.concatenate([tree.distance, np.zeros(copy.size)])
    weight = np.maximum(distance, np.maximum(core[kind[left]], core[kind[right]]))
    low, high = np.minimum(place[left], place[right]), np.maximum(place[left], place[right])
    sequence = np.lexsort((high, low, distance, weight))
    return SpanningTree(
        size=kind.size,
        left=order[low[sequence]],
        right=order[high[sequence]],
        weight=weight[sequence],
        distance=distance[sequence],
    )
