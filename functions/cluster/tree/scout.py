"""A first, rough spanning tree: upper bounds that let the exact pass look at very few pairs closely.

Nothing here decides the result. Whatever neighbours the scout finds, their distances are real ones, so that its core
distances and its tree bound the true ones from above; the better it guesses, the faster the exact pass.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from functions.cluster.tree.block_runner import BlockRunner
from functions.cluster.tree.edges import Edges, distance_of_nearest, measured, ranks
from functions.cluster.tree.hdbscan_tree import dense_spanning_tree
from functions.cluster.tree.neighbours import NEVER, near_neighbours
from functions.cluster.tree.trees import Chain, chain_of_tree, spanning_forest

SCOUT_NEIGHBOURS = 4
"""Neighbours looked for per row (at least two more than ``min_samples``)."""

SAMPLE_ROWS = 1500
"""Rows from which the principal directions are taken, at most."""

ITERATIONS = 1
"""Of the search for principal directions; a second changes next to nothing."""

TINY = np.float32(1e-30)
"""Keeps a direction of length 0 from being divided by it."""

LANDMARKS_SHARE = 12
"""One row in so many is a landmark, but not fewer than below; landmarks tie far-apart groups together."""
FEWEST_LANDMARKS = 192
MOST_AT_ONCE = 2000
"""The largest number of landmarks whose similarity matrix is held, 32 MB of float64."""

LONELY_SHARE = 0.25
"""This part of the rows, those with the farthest neighbours, is compared with all landmarks."""

COMPARED_ROWS = 256
"""Rows compared with all landmarks at a time."""


@dataclass(frozen=True)
class Bounds:
    """Upper bounds: ``chain`` of the bottlenecks. No core distance is larger than any bottleneck of its row."""

    chain: Chain


def scout(rows: NDArray[np.float32], wanted: NDArray[np.int64], dimensions: int, runner: BlockRunner) -> Bounds:
    """Bounds from near neighbours along the rows' ``dimensions`` principal directions, and from landmarks in all.

    ``rows`` is float32[n, d] of length 1, n > 1; ``wanted`` int64[n], each less than n, says which nearest other row
    gives each core distance (0 for a core distance of 0).
    """
    size = rows.shape[0]
    projected = rows if dimensions >= rows.shape[1] else rows @ _principal_directions(rows, dimensions)
    edges = _near_edges(rows, projected, max(SCOUT_NEIGHBOURS, int(wanted.max()) + 2), runner)
    core = _core_bounds(edges, wanted)
    landmarks, ties = _landmarks(rows, projected, runner)
    edges = Edges.concatenated([edges, ties, _to_landmarks(rows, edges, core, landmarks)]).once_each(size)
    core = _core_bounds(edges, wanted)
    weight = edges.weight(core)
    tree = spanning_forest(size, edges.left, edges.right, ranks(weight))
    return Bounds(chain_of_tree(edges.left[tree], edges.right[tree], weight[tree]))


def _principal_directions(rows: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """About the ``count`` directions along which the rows are longest, float32[d, count], by subspace iteration.

    Products along these are the nearest to the rows' own that so few numbers can give (Eckart and Young).
    """
    size = rows.shape[0]
    sample = rows[:: max(1, size // min(SAMPLE_ROWS, max(size // 4, 2 * count)))]
    directions = rows[np.arange(count) * size // count].T
    for _ in range(ITERATIONS):
        directions = sample.T @ (sample @ directions)
        directions /= np.linalg.norm(directions, axis=0) + TINY
    return np.linalg.qr(directions)[0]


def _near_edges(rows: NDArray[np.float32], projected: NDArray[np.float32], count: int, runner: BlockRunner) -> Edges:
    """Each row with ``count`` near neighbours, or all where there are fewer; each pair once, its true distance."""
    size = rows.shape[0]
    count = min(count, size - 1)
    near = near_neighbours(projected, count, runner).ravel()
    row = np.repeat(np.arange(size), count)
    pairs = np.unique(np.minimum(row, near) * size + np.maximum(row, near))
    return measured(rows, *np.divmod(pairs, size))


def _core_bounds(edges: Edges, wanted: NDArray[np.int64]) -> NDArray[np.float32]:
    """The distance to the ``wanted``-th nearest of each row's listed neighbours, 0 where 0 is wanted; float32[n]."""
    return distance_of_nearest(edges.left, edges.right, edges.distance, np.ones_like(wanted), wanted)


def _landmarks(
    rows: NDArray[np.float32], projected: NDArray[np.float32], runner: BlockRunner
) -> tuple[NDArray[np.int64], Edges]:
    """Rows spread over the whole, int64[m], and a short spanning tree of them."""
    size = rows.shape[0]
    count = min(size, max(FEWEST_LANDMARKS, size // LANDMARKS_SHARE))
    landmarks = np.arange(count) * size // count
    chosen = rows[landmarks]
    if count <= MOST_AT_ONCE:
        order, joined, distance = dense_spanning_tree(np.maximum(1.0 - chosen @ chosen.copy().T, 0.0))
        return landmarks, Edges(landmarks[order[1:]], landmarks[joined], distance.astype(np.float32))
    edges = _near_edges(chosen, projected[landmarks], SCOUT_NEIGHBOURS, runner)
    fewer, ties = _landmarks(chosen, projected[landmarks], runner)
    lonely = _to_landmarks(chosen, edges, _core_bounds(edges, np.ones(count, dtype=np.int64)), fewer)
    edges = Edges.concatenated([edges, ties, lonely]).once_each(count)
    tree = edges.chosen(spanning_forest(count, edges.left, edges.right, ranks(edges.distance)))
    return landmarks, Edges(landmarks[tree.left], landmarks[tree.right], tree.distance)


def _to_landmarks(
    rows: NDArray[np.float32], edges: Edges, core: NDArray[np.float32], landmarks: NDArray[np.int64]
) -> Edges:
    """The lonely rows, and one row of each group that the edges tie together, with their two nearest landmarks."""
    size = rows.shape[0]
    lonely = np.argsort(-core, kind="stable")[: int(LONELY_SHARE * size)]
    one_each = np.unique(_components(size, edges), return_index=True)[1]
    asking = np.union1d(lonely, one_each)
    itself = np.searchsorted(landmarks, asking)
    itself = np.where(landmarks[np.minimum(itself, landmarks.size - 1)] == asking, itself, -1)
    nearest = np.empty((2, asking.size), dtype=np.int64)
    distance = np.empty((2, asking.size), dtype=np.float32)
    columns = rows[landmarks].T

    for first in range(0, asking.size, COMPARED_ROWS):
        block = slice(first, first + COMPARED_ROWS)
        products = rows[asking[block]] @ columns
        here, own = np.arange(products.shape[0]), itself[block]
        products[here[own >= 0], own[own >= 0]] = NEVER
        for turn in range(2):
            column = products.argmax(axis=1)
            nearest[turn, block] = landmarks[column]
            distance[turn, block] = 1.0 - products[here, column]
            products[here, column] = NEVER
    found = Edges(np.concatenate([asking, asking]), nearest.ravel(), np.maximum(distance.ravel(), 0.0))
    return found.chosen(distance.ravel() < 1.0 - (NEVER + 1.0))


def _components(size: int, edges: Edges) -> NDArray[np.int64]:
    """The connected component of each row, int64[n]."""
    graph = coo_array((np.ones(edges.left.size, dtype=np.int8), (edges.left, edges.right)), shape=(size, size))
    return connected_components(graph, directed=False)[1].astype(np.int64)
