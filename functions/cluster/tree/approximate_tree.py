"""Compute upper bounds of all bottleneck distances from an approximate spanning tree.

The tree joins approximate nearest neighbours and landmarks by their true distances. Its core distances and bottlenecks
are therefore never below the exact ones. The quality of the approximation decides how fast the exact pass is
(:mod:`functions.cluster.tree.blocked_tree`), never its result.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from functions.cluster.tree.block_runner import BlockRunner
from functions.cluster.tree.edges import Edges, core_distances, edges_between, ranks
from functions.cluster.tree.hdbscan_tree import dense_spanning_tree
from functions.cluster.tree.neighbours import EXCLUDED, approximate_neighbours
from functions.cluster.tree.spanning_forest import LeafOrder, leaf_order, spanning_forest

MIN_NEIGHBOURS = 4
"""Fewest neighbours searched per row (at least two more than ``min_samples``)."""

SAMPLE_ROWS = 1500
"""Largest sample from which the principal directions are computed, in rows."""

ITERATIONS = 1
"""Steps of the subspace iteration; a second one improves the bounds hardly at all."""

TINY = np.float32(1e-30)
"""Prevents a division by zero for directions of length 0."""

ROWS_PER_LANDMARK = 12
"""One row in this many is a landmark. Landmarks connect distant components."""
MIN_LANDMARKS = 192
MAX_DENSE_LANDMARKS = 2000
"""Largest number of landmarks whose full distance matrix is computed, 32 MB of float64."""

ISOLATED_SHARE = 0.25
"""Share of the rows, those with the largest core distances, that are compared with all landmarks."""

LANDMARK_BATCH_ROWS = 256
"""Rows compared with all landmarks at a time."""


def bottleneck_bounds(
    rows: NDArray[np.float32], core_neighbours: NDArray[np.int64], dimensions: int, runner: BlockRunner
) -> LeafOrder:
    """Return a leaf order whose bottlenecks are upper bounds of the exact ones.

    ``rows`` is float32[n, d] of length 1, n > 1. ``core_neighbours`` is int64[n], each less than n: the number of other
    rows within each core distance (0 for a core distance of 0). Neighbours are searched along the ``dimensions``
    principal directions of the rows; landmarks are compared in all dimensions.

    Every edge weighs at least as much as the core distances of both ends, so no bottleneck of a row is below the
    row's core distance: the order bounds core distances as well.
    """
    size = rows.shape[0]
    projected = rows if dimensions >= rows.shape[1] else rows @ _principal_directions(rows, dimensions)
    edges = _neighbour_edges(rows, projected, max(MIN_NEIGHBOURS, int(core_neighbours.max()) + 2), runner)
    core = _core_bounds(edges, core_neighbours)
    landmarks, landmark_tree = _landmarks(rows, projected, runner)
    to_landmarks = _landmark_edges(rows, edges, core, landmarks)
    edges = Edges.concatenated([edges, landmark_tree, to_landmarks]).without_duplicates(size)
    core = _core_bounds(edges, core_neighbours)
    weight = edges.weight(core)
    tree = spanning_forest(size, edges.left, edges.right, ranks(weight))
    return leaf_order(edges.left[tree], edges.right[tree], weight[tree])


def _principal_directions(rows: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Approximate the first ``count`` principal directions of the rows by subspace iteration, float32[d, count].

    Among all projections to ``count`` dimensions, that to the principal directions preserves products best (Eckart and
    Young 1936).
    """
    size = rows.shape[0]
    sample = rows[:: max(1, size // min(SAMPLE_ROWS, max(size // 4, 2 * count)))]
    directions = rows[np.arange(count) * size // count].T
    for _ in range(ITERATIONS):
        directions = sample.T @ (sample @ directions)
        directions /= np.linalg.norm(directions, axis=0) + TINY
    return np.linalg.qr(directions)[0]


def _neighbour_edges(
    rows: NDArray[np.float32], projected: NDArray[np.float32], count: int, runner: BlockRunner
) -> Edges:
    """Join each row to ``count`` approximate neighbours (all other rows if fewer); each pair once, true distances."""
    size = rows.shape[0]
    count = min(count, size - 1)
    neighbour = approximate_neighbours(projected, count, runner).ravel()
    row = np.repeat(np.arange(size), count)
    pairs = np.unique(np.minimum(row, neighbour) * size + np.maximum(row, neighbour))
    return edges_between(rows, *np.divmod(pairs, size))


def _core_bounds(edges: Edges, core_neighbours: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return upper bounds of the core distances, float32[n]: those within the graph of ``edges``."""
    return core_distances(edges.left, edges.right, edges.distance, np.ones_like(core_neighbours), core_neighbours)


def _landmarks(
    rows: NDArray[np.float32], projected: NDArray[np.float32], runner: BlockRunner
) -> tuple[NDArray[np.int64], Edges]:
    """Choose evenly spaced rows as landmarks, int64[m], and join them by an approximate minimum spanning tree."""
    size = rows.shape[0]
    count = min(size, max(MIN_LANDMARKS, size // ROWS_PER_LANDMARK))
    landmarks = np.arange(count) * size // count
    chosen = rows[landmarks]
    if count <= MAX_DENSE_LANDMARKS:
        order, parent, distance = dense_spanning_tree(np.maximum(1.0 - chosen @ chosen.copy().T, 0.0))
        return landmarks, Edges(landmarks[order[1:]], landmarks[parent], distance.astype(np.float32))
    edges = _neighbour_edges(chosen, projected[landmarks], MIN_NEIGHBOURS, runner)
    coarser, coarser_tree = _landmarks(chosen, projected[landmarks], runner)
    core = _core_bounds(edges, np.ones(count, dtype=np.int64))
    to_coarser = _landmark_edges(chosen, edges, core, coarser)
    edges = Edges.concatenated([edges, coarser_tree, to_coarser]).without_duplicates(count)
    tree = edges.select(spanning_forest(count, edges.left, edges.right, ranks(edges.distance)))
    return landmarks, Edges(landmarks[tree.left], landmarks[tree.right], tree.distance)


def _landmark_edges(
    rows: NDArray[np.float32], edges: Edges, core: NDArray[np.float32], landmarks: NDArray[np.int64]
) -> Edges:
    """Join isolated rows, and one row of each connected component of ``edges``, to their two nearest landmarks."""
    size = rows.shape[0]
    isolated = np.argsort(-core, kind="stable")[: int(ISOLATED_SHARE * size)]
    representatives = np.unique(_components(size, edges), return_index=True)[1]
    queries = np.union1d(isolated, representatives)
    itself = np.searchsorted(landmarks, queries)
    itself = np.where(landmarks[np.minimum(itself, landmarks.size - 1)] == queries, itself, -1)
    nearest = np.empty((2, queries.size), dtype=np.int64)
    distance = np.empty((2, queries.size), dtype=np.float32)
    columns = rows[landmarks].T

    for first in range(0, queries.size, LANDMARK_BATCH_ROWS):
        batch = slice(first, first + LANDMARK_BATCH_ROWS)
        products = rows[queries[batch]] @ columns
        row, own = np.arange(products.shape[0]), itself[batch]
        products[row[own >= 0], own[own >= 0]] = EXCLUDED
        for rank in range(2):
            column = products.argmax(axis=1)
            nearest[rank, batch] = landmarks[column]
            distance[rank, batch] = 1.0 - products[row, column]
            products[row, column] = EXCLUDED
    found = Edges(np.concatenate([queries, queries]), nearest.ravel(), np.maximum(distance.ravel(), 0.0))
    return found.select(distance.ravel() < 1.0 - (EXCLUDED + 1.0))


def _components(size: int, edges: Edges) -> NDArray[np.int64]:
    """Return the number of each row's connected component, int64[n]."""
    graph = coo_array((np.ones(edges.left.size, dtype=np.int8), (edges.left, edges.right)), shape=(size, size))
    return connected_components(graph, directed=False)[1].astype(np.int64)
