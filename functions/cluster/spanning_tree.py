"""The minimum spanning tree of the mutual reachability graph of embeddings, under the cosine distance.

Mutual reachability of two points is ``max(d(i, j), core(i), core(j))``, where ``core`` is the distance to the
``min_samples``-th *other* point (Campello, Moulavi, Sander 2013; the counting of the ``hdbscan`` package).

That maximum ties by construction: both edges from a point to its two nearest neighbours usually weigh exactly the
point's core distance. Edges are therefore ordered by ``(mutual reachability, cosine distance, row numbers)``, where rows
are numbered in the order of their own bytes. The order is total, so the tree is unique, and it does not depend on the
order of the input.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from functions.cluster.block_runner import BlockRunner, ThreadRunner
from functions.cluster.blocked_tree import ExactTree, Problem, dense_pairs, exact_tree, tree_of_pairs
from functions.cluster.scout import scout

DENSE_ROWS = 2000
"""Up to here the whole similarity matrix is held, 16 MB at most; above, blocks of it."""

BLOCK_ROWS = 1300
"""Rows of a block: one block of products is 7 MB, and not a power of two."""

SCOUT_DIMENSIONS = 64
"""Coordinates the scout looks at."""


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


def canonical_order(embeddings: NDArray[np.float32]) -> NDArray[np.int64]:
    """Row numbers of ``embeddings`` (float32[n, d]) in an order that depends on the rows' contents alone, int64[n].

    The order is that of the rows' bytes; equal rows keep their input order, which no result depends on.
    """
    rows = np.ascontiguousarray(embeddings)
    if rows.size == 0:
        return np.arange(rows.shape[0])
    as_bytes = rows.view(np.dtype((np.void, rows.shape[1] * rows.itemsize))).ravel()
    return np.argsort(as_bytes, kind="stable").astype(np.int64)


def minimum_spanning_tree(
    embeddings: NDArray[np.float32],
    min_samples: int,
    *,
    runner: BlockRunner | None = None,
    dense_rows: int = DENSE_ROWS,
    block_rows: int = BLOCK_ROWS,
    scout_dimensions: int = SCOUT_DIMENSIONS,
) -> SpanningTree:
    """The minimum spanning tree of ``embeddings`` (float32[n, d], n >= 1, rows of length 1).

    Edges and weights are those of float64 arithmetic. The keyword arguments decide where and how it is computed, never
    the result: ``runner`` runs the block tasks (threads by default), ``dense_rows`` is the largest number of rows
    whose similarity matrix is held at once.
    """
    order = canonical_order(embeddings)
    # Padding costs time and changes nothing.
    used = np.flatnonzero(embeddings.any(axis=0))
    rows = embeddings[order, : used[-1] + 1] if used.size else embeddings[order]
    first, group, copies = _distinct(rows)
    total = rows.shape[0]
    wanted = np.maximum(min(max(min_samples, 1), max(total - 1, 0)) - (copies - 1), 0)
    problem = Problem(_unit(rows[first]), copies, wanted)
    if problem.size == 1:
        tree = ExactTree(*(np.zeros(0, dtype=np.int64),) * 2, np.zeros(0), np.zeros(1))
    elif problem.size <= dense_rows:
        tree = tree_of_pairs(problem, dense_pairs(problem))
    else:
        threads = runner or ThreadRunner()
        bounds = scout(problem.rows, problem.wanted_rows, scout_dimensions, threads, block_rows)
        tree = exact_tree(problem, bounds, threads, block_rows)
    return _with_copies(tree, order, first, group)


def _distinct(rows: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Of sorted rows: the first of each run of equal ones, the run each row is in, and the length of each run."""
    new = np.concatenate([[True], (rows[1:] != rows[:-1]).any(axis=1)])
    first = np.flatnonzero(new)
    return first, np.cumsum(new) - 1, np.diff(np.append(first, rows.shape[0]))


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    return (rows / lengths[:, None]).astype(np.float32)


def _with_copies(
    tree: ExactTree, order: NDArray[np.int64], first: NDArray[np.int64], group: NDArray[np.int64]
) -> SpanningTree:
    """The tree over all rows: each copy hangs on the first of its kind, at distance 0 and their core distance."""
    copy = np.flatnonzero(first[group] != np.arange(group.size))
    left = np.concatenate([first[tree.left], first[group[copy]]])
    right = np.concatenate([first[tree.right], copy])
    distance = np.concatenate([tree.distance, np.zeros(copy.size)])
    weight = np.maximum(distance, np.maximum(tree.core[group[left]], tree.core[group[right]]))
    low, high = np.minimum(left, right), np.maximum(left, right)
    sequence = np.lexsort((high, low, distance, weight))
    return SpanningTree(
        size=group.size,
        left=order[low[sequence]],
        right=order[high[sequence]],
        weight=weight[sequence],
        distance=distance[sequence],
    )
