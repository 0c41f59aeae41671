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

from functions.cluster.block_runner import BlockRunner
from functions.cluster.edges import Edges, measured, nearest_by_weight, ranks
from functions.cluster.neighbours import nearest_neighbours
from functions.cluster.trees import Chain, chain_of_tree, prim, spanning_forest

SCOUT_NEIGHBOURS = 4
"""Neighbours looked for per row (at least two more than ``min_samples``)."""

LANDMARKS_SHARE = 12
"""One row in so many is a landmark, within the limits below; landmarks tie far-apart groups together."""
FEWEST_LANDMARKS = 512
MOST_LANDMARKS = 4096

LONELY_SHARE = 0.25
"""This part of the rows, those with the farthest neighbours, is compared with all landmarks."""


@dataclass(frozen=True)
class Bounds:
    """Upper bounds: ``core`` float32[n] of the core distances, ``chain`` of the bottlenecks, and the edges they rest on."""

    core: NDArray[np.float32]
    chain: Chain
    edges: Edges


def scout(
    rows: NDArray[np.float32], wanted: NDArray[np.int64], dimensions: int, runner: BlockRunner, block_rows: int
) -> Bounds:
    """Bounds from near neighbours in the first ``dimensions`` coordinates, and from landmarks in all.

    ``rows`` is float32[n, d] of length 1, n > 1; ``wanted`` int64[n], each less than n, says which nearest other row
    gives each core distance (0 for a core distance of 0).
    """
    size = rows.shape[0]
    count = min(max(SCOUT_NEIGHBOURS, int(wanted.max()) + 2), size - 1)
    short = rows if dimensions >= rows.shape[1] else np.ascontiguousarray(rows[:, :dimensions])
    _, nearest = nearest_neighbours(short, count, runner, block_rows)
    edges = measured(rows, np.repeat(np.arange(size), count), nearest.ravel().astype(np.int64))
    edges = Edges.concatenated([edges, _landmark_edges(rows, edges, _core_bounds(edges, wanted))])
    core = _core_bounds(edges, wanted)
    weight = edges.weight(core)
    tree = spanning_forest(size, edges.left, edges.right, ranks(weight))
    return Bounds(core, chain_of_tree(edges.left[tree], edges.right[tree], weight[tree]), edges)


def _landmark_edges(rows: NDArray[np.float32], edges: Edges, core: NDArray[np.float32]) -> Edges:
    """Edges that tie everything together: the landmarks' own spanning tree, and from each lonely row, and from one row
    of each group without a landmark, the nearest landmarks."""
    size = rows.shape[0]
    count = min(size, MOST_LANDMARKS, max(FEWEST_LANDMARKS, size // LANDMARKS_SHARE))
    landmarks = np.unique(np.arange(count) * size // count)
    joining, joined, _ = prim(1.0 - rows[landmarks] @ rows[landmarks].copy().T)
    group = _components(size, edges)
    lonely = np.argsort(-core, kind="stable")[: int(LONELY_SHARE * size)]
    asking = np.unique(np.concatenate([lonely, np.unique(group, return_index=True)[1]]))
    asking = asking[~np.isin(asking, landmarks)]
    left, right = [landmarks[joining[1:]]], [landmarks[joined]]
    for begin in range(0, asking.size, 2048):
        asked = asking[begin : begin + 2048]
        products = rows[asked] @ rows[landmarks].T
        here = np.arange(asked.size)
        for _ in range(2):
            nearest = products.argmax(axis=1)
            products[here, nearest] = -3.0
            left.append(asked)
            right.append(landmarks[nearest])
    return measured(rows, np.concatenate(left), np.concatenate(right))


def _components(size: int, edges: Edges) -> NDArray[np.int64]:
    """The connected component of each row, int64[n]."""
    graph = coo_array((np.ones(edges.left.size, dtype=np.int8), (edges.left, edges.right)), shape=(size, size))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def _core_bounds(edges: Edges, wanted: NDArray[np.int64]) -> NDArray[np.float32]:
    """The distance to the ``wanted``-th nearest of the different rows each row has an edge to, float32[n]."""
    size = wanted.size
    row = np.concatenate([edges.left, edges.right])
    other = np.concatenate([edges.right, edges.left])
    distance = np.concatenate([edges.distance, edges.distance])
    key, first = np.unique(row * size + other, return_index=True)
    core = nearest_by_weight(key // size, distance[first], np.ones(first.size, dtype=np.int64), wanted)
    return core.astype(np.float32)
