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

from functions.cluster.block_runner import BlockRunner, Pair, block_bounds
from functions.cluster.edges import Edges, measured, ranks
from functions.cluster.hdbscan_tree import dense_spanning_tree
from functions.cluster.neighbours import FARTHEST, nearer_neighbours, nearest_neighbours
from functions.cluster.trees import Chain, chain_of_tree, spanning_forest

SCOUT_NEIGHBOURS = 4
"""Neighbours looked for per row (at least two more than ``min_samples``)."""

LANDMARKS_SHARE = 12
"""One row in so many is a landmark, but not fewer than below; landmarks tie far-apart groups together."""
FEWEST_LANDMARKS = 512
MOST_AT_ONCE = 2000
"""The largest number of landmarks whose similarity matrix is held, 32 MB of float64."""

CLOSE_GAP = 0.5
"""A group of rows that hangs together within this distance and fills several blocks is looked at whole."""

LONELY_SHARE = 0.25
"""This part of the rows, those with the farthest neighbours, is compared with all landmarks."""


@dataclass(frozen=True)
class Bounds:
    """Upper bounds: ``core`` float32[n] of the core distances, ``chain`` of the bottlenecks."""

    core: NDArray[np.float32]
    chain: Chain


def scout(
    rows: NDArray[np.float32], wanted: NDArray[np.int64], dimensions: int, runner: BlockRunner, block_rows: int
) -> Bounds:
    """Bounds from near neighbours in the first ``dimensions`` coordinates, and from landmarks in all.

    ``rows`` is float32[n, d] of length 1, n > 1; ``wanted`` int64[n], each less than n, says which nearest other row
    gives each core distance (0 for a core distance of 0).
    """
    size = rows.shape[0]
    count = min(max(SCOUT_NEIGHBOURS, int(wanted.max()) + 2), size - 1)
    landmarks = _landmarks(rows, runner, block_rows)
    if dimensions >= rows.shape[1]:
        distance, other = nearest_neighbours(rows, count, runner, block_rows)
        return _bounds(rows, wanted, distance, other, landmarks)
    _, other = nearest_neighbours(np.ascontiguousarray(rows[:, :dimensions]), count, runner, block_rows)
    distance = measured(rows, np.repeat(np.arange(size), count), other.ravel()).distance.reshape(size, count)
    rough = _bounds(rows, wanted, distance, other, landmarks)
    # Rows that belong together now follow each other: among them neighbours are sought in all coordinates.
    order = rough.chain.order
    limit = _core_bounds(_once_each(distance, other), np.full(size, count))[order]
    pairs = _close_blocks(rough.chain, block_rows)
    near, beside = nearer_neighbours(rows[order], limit, count, pairs, runner, block_rows)
    place = rough.chain.place()
    distance = np.concatenate([distance, near[place]], axis=1)
    other = np.concatenate([other, order[beside[place]]], axis=1)
    return _bounds(rows, wanted, distance, other, landmarks)


def _close_blocks(chain: Chain, block_rows: int) -> list[Pair]:
    """Each block of the chain with itself, and the pairs between which no gap is wide: those of very large groups."""
    bounds = block_bounds(chain.order.size, block_rows)
    pairs = [(i, i) for i in range(len(bounds))]
    for i, (_, end) in enumerate(bounds):
        for j in range(i + 1, len(bounds)):
            if chain.gap[end - 1 : bounds[j][0]].max() > CLOSE_GAP:
                break
            pairs.append((i, j))
    return pairs


def _bounds(
    rows: NDArray[np.float32],
    wanted: NDArray[np.int64],
    distance: NDArray[np.float32],
    other: NDArray[np.int64],
    landmarks: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
) -> Bounds:
    """Bounds from the neighbours found of each row, ``distance`` and ``other`` [n, k], and from the landmarks."""
    size = rows.shape[0]
    distance = _once_each(distance, other)
    core = _core_bounds(distance, wanted)
    edges = Edges(np.repeat(np.arange(size), other.shape[1]), other.ravel(), distance.ravel())
    edges = edges.chosen(edges.distance < FARTHEST)
    asking, nearest, far = _nearest_landmarks(rows, edges, core, landmarks[0])
    distance, other = distance.copy(), other.copy()
    widened = _once_each(
        np.concatenate([distance[asking], far], axis=1), np.concatenate([other[asking], nearest], axis=1)
    )
    core[asking] = _core_bounds(widened, wanted[asking])
    ties = measured(rows, landmarks[1], landmarks[2])
    lonely = Edges(np.repeat(asking, nearest.shape[1]), nearest.ravel(), far.ravel())
    edges = Edges.concatenated([edges, ties, lonely]).once_each(size)
    weight = edges.weight(core)
    tree = spanning_forest(size, edges.left, edges.right, ranks(weight))
    return Bounds(core, chain_of_tree(edges.left[tree], edges.right[tree], weight[tree]))


def _once_each(distance: NDArray[np.float32], other: NDArray[np.int64]) -> NDArray[np.float32]:
    """The distances, where those to a neighbour that a row lists again are made larger than any; float32[n, k]."""
    order = np.argsort(other, axis=1, kind="stable")
    sorted_other = np.take_along_axis(other, order, axis=1)
    again = np.zeros(other.shape, dtype=bool)
    np.put_along_axis(again, order[:, 1:], sorted_other[:, 1:] == sorted_other[:, :-1], axis=1)
    return np.where(again, FARTHEST, distance)


def _landmarks(
    rows: NDArray[np.float32], runner: BlockRunner, block_rows: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Rows spread over the whole, int64[m], and a short spanning tree of them, int64[m-1] twice."""
    size = rows.shape[0]
    count = min(size, max(FEWEST_LANDMARKS, size // LANDMARKS_SHARE))
    landmarks = np.unique(np.arange(count) * size // count)
    chosen = rows[landmarks]
    if landmarks.size <= MOST_AT_ONCE:
        order, joined, _ = dense_spanning_tree(1.0 - chosen @ chosen.copy().T)
        return landmarks, landmarks[order[1:]], landmarks[joined]
    nobody = np.zeros(landmarks.size, dtype=np.int64)
    _, other = nearest_neighbours(chosen, SCOUT_NEIGHBOURS, runner, block_rows)
    rough = Edges(
        np.repeat(np.arange(landmarks.size), SCOUT_NEIGHBOURS),
        other.ravel(),
        measured(chosen, np.repeat(np.arange(landmarks.size), SCOUT_NEIGHBOURS), other.ravel()).distance,
    )
    fewer = _landmarks(chosen, runner, block_rows)
    asking, nearest, _ = _nearest_landmarks(chosen, rough, nobody.astype(np.float32), fewer[0])
    left = np.concatenate([rough.left, fewer[1], np.repeat(asking, nearest.shape[1])])
    right = np.concatenate([rough.right, fewer[2], nearest.ravel()])
    edges = measured(chosen, left, right).once_each(landmarks.size)
    tree = spanning_forest(landmarks.size, edges.left, edges.right, ranks(edges.distance))
    return landmarks, landmarks[edges.left[tree]], landmarks[edges.right[tree]]


def _nearest_landmarks(
    rows: NDArray[np.float32], edges: Edges, core: NDArray[np.float32], landmarks: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """The lonely rows, and one row of each group that the edges tie together, with their two nearest landmarks."""
    size = rows.shape[0]
    lonely = np.argsort(-core, kind="stable")[: int(LONELY_SHARE * size)]
    one_each = np.unique(_components(size, edges), return_index=True)[1]
    asking = np.union1d(lonely, one_each)
    itself = np.searchsorted(landmarks, asking)
    itself = np.where(landmarks[np.minimum(itself, landmarks.size - 1)] == asking, itself, -1)
    nearest = np.empty((asking.size, 2), dtype=np.int64)
    distance = np.empty((asking.size, 2), dtype=np.float32)
    for begin in range(0, asking.size, 1024):
        asked = asking[begin : begin + 1024]
        products = rows[asked] @ rows[landmarks].T
        here = np.arange(asked.size)
        own = itself[begin : begin + 1024]
        products[here[own >= 0], own[own >= 0]] = -FARTHEST
        for turn in range(2):
            column = products.argmax(axis=1)
            nearest[begin : begin + 1024, turn] = landmarks[column]
            distance[begin : begin + 1024, turn] = np.maximum(1.0 - products[here, column], 0.0)
            products[here, column] = -FARTHEST
    return asking, nearest, distance


def _core_bounds(distance: NDArray[np.float32], wanted: NDArray[np.int64]) -> NDArray[np.float32]:
    """The ``wanted``-th smallest of each row of ``distance`` (float32[n, k]), 0 where 0 is wanted; float32[n]."""
    nearest = np.sort(distance, axis=1)[np.arange(wanted.size), np.maximum(wanted - 1, 0)]
    return np.where(wanted > 0, np.maximum(nearest, 0.0), 0.0).astype(np.float32)


def _components(size: int, edges: Edges) -> NDArray[np.int64]:
    """The connected component of each row, int64[n]."""
    graph = coo_array((np.ones(edges.left.size, dtype=np.int8), (edges.left, edges.right)), shape=(size, size))
    return connected_components(graph, directed=False)[1].astype(np.int64)
