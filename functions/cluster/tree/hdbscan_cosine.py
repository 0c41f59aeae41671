"""Exact HDBSCAN under the cosine metric, the same for every order of its input.

The condensed tree and the selection of clusters are those of the ``hdbscan`` package
(:mod:`functions.cluster.tree.hdbscan_tree`); the spanning tree is our own
(:mod:`functions.cluster.tree.spanning_tree`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from functions.cluster.tree.block_runner import BlockRunner
from functions.cluster.tree.hdbscan_tree import select_clusters, single_linkage
from functions.cluster.tree.spanning_tree import SpanningTree, minimum_spanning_tree

NOISE = -1
"""The label of a point that belongs to no cluster."""

SMALLEST_CLUSTER = 2
"""HDBSCAN knows no clusters of one."""

MATRIX = 2
"""Dimensions of a matrix."""

NAMED_ROWS = 10
"""How many bad rows an error names."""

NORM_TOLERANCE = 1e-3
"""How far from 1 the length of an L2-normalised row may be (float32 rounding over 512 dimensions is 1e-6)."""


class EmbeddingsRefusedError(ValueError):
    """The embeddings cannot be clustered; the message names the rows and what is wrong with them."""


@dataclass(frozen=True)
class Clustering:
    """What HDBSCAN says of each of n rows.

    ``labels``: int32[n], 0..k-1 in the order of each cluster's first row, or -1 for noise.
    ``probabilities``: float32[n] in [0, 1], how firmly the row sits in its cluster; 0 for noise.
    """

    labels: NDArray[np.int32]
    probabilities: NDArray[np.float32]


def cluster(
    embeddings: NDArray[np.float32],
    *,
    min_cluster_size: int = 3,
    min_samples: int = 2,
    cluster_selection_epsilon: float = 0.4,
    runner: BlockRunner | None = None,
) -> Clustering:
    """HDBSCAN (excess of mass) with the cosine distance over ``embeddings`` (float32[n, d], rows of length 1).

    ``min_samples`` counts the other points, as the ``hdbscan`` package does. Exact, deterministic, and independent
    of the order of the rows: where distances tie, the plain cosine distance decides, then the rows' contents.
    ``runner`` is where blocks of large events run, the threads of this machine by default; labels do not depend on it.
    Any n from 0 up; fewer than ``min_cluster_size`` rows are all noise.

    Raises EmbeddingsRefusedError for rows that are not finite or not of length 1, and ValueError for parameters
    out of range.
    """
    rows = checked_embeddings(embeddings)
    if rows.shape[0] < max(min_cluster_size, SMALLEST_CLUSTER):
        _check_parameters(min_cluster_size, min_samples, cluster_selection_epsilon)
        return _all_noise(rows.shape[0])
    tree = minimum_spanning_tree(rows, min_samples, runner=runner)
    return label_tree(
        tree,
        min_cluster_size=min_cluster_size,
        min_samples=min_samples,
        cluster_selection_epsilon=cluster_selection_epsilon,
    )


def checked_embeddings(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """The embeddings as a C-contiguous float32[n, d], or EmbeddingsRefusedError naming what is wrong and where."""
    rows = np.asarray(embeddings)
    if rows.size == 0:
        return np.zeros((rows.shape[0] if rows.ndim else 0, 1), dtype=np.float32)
    if rows.ndim != MATRIX:
        message = f"embeddings must be a matrix [n, d], not an array of shape {rows.shape}"
        raise EmbeddingsRefusedError(message)
    rows = np.ascontiguousarray(rows, dtype=np.float32)
    lengths = np.sqrt(np.vecdot(rows, rows))
    _refuse_rows(~np.isfinite(lengths), "hold NaN or infinite values")
    _refuse_rows(np.abs(lengths - 1.0) > NORM_TOLERANCE, "are not of length 1 (normalise them first)")
    return rows


def label_tree(
    tree: SpanningTree,
    *,
    min_cluster_size: int,
    min_samples: int,
    cluster_selection_epsilon: float,
    max_distance: float | None = None,
) -> Clustering:
    """Clusters from a spanning tree: hdbscan's condensed tree, excess of mass and epsilon search.

    With ``max_distance`` None, the result is HDBSCAN's own. Otherwise the tree is cut at that mutual reachability:
    what hangs together only by longer edges falls apart all at once, and a far-away phantom cluster takes the
    tree's root with it, so that one single cluster (an event with one person) is found where HDBSCAN, which never
    selects the root, would break it up or call it noise.
    """
    _check_parameters(min_cluster_size, min_samples, cluster_selection_epsilon)
    if tree.size < max(min_cluster_size, SMALLEST_CLUSTER):
        return _all_noise(tree.size)
    edges = np.column_stack([tree.left, tree.right, tree.weight])
    if max_distance is not None:
        edges = _cut(edges, tree.size, min_cluster_size, max_distance)
    linkage = single_linkage(edges[:, 0], edges[:, 1], edges[:, 2])
    labels, probabilities = select_clusters(linkage, min_cluster_size, cluster_selection_epsilon)
    labels, probabilities = labels[: tree.size], probabilities[: tree.size]
    return Clustering(
        labels=relabelled(labels),
        probabilities=np.where(labels >= 0, probabilities, 0.0).astype(np.float32),
    )


def relabelled(labels: NDArray[np.integer]) -> NDArray[np.int32]:
    """The same partition with clusters numbered 0, 1, … by their first row; every negative label becomes -1."""
    labels = np.asarray(labels)
    result = np.full(labels.shape[0], NOISE, dtype=np.int32)
    inside = np.flatnonzero(labels >= 0)
    if inside.size:
        _, first, inverse = np.unique(labels[inside], return_index=True, return_inverse=True)
        number = np.empty(first.shape[0], dtype=np.int32)
        number[np.argsort(first, kind="stable")] = np.arange(first.shape[0], dtype=np.int32)
        result[inside] = number[inverse]
    return result


def _cut(edges: NDArray[np.float64], size: int, min_cluster_size: int, max_distance: float) -> NDArray[np.float64]:
    """Replace edges longer than ``max_distance`` by joints of exactly that length, between whole components.

    Components that can be clusters (and the phantom one) are joined first, the small ones last: those then leave
    from the root of the tree and belong to no cluster.
    """
    kept = edges[edges[:, 2] <= max_distance]
    adjacency = coo_array(
        (np.ones(kept.shape[0], dtype=np.int8), (kept[:, 0].astype(np.int64), kept[:, 1].astype(np.int64))),
        shape=(size, size),
    )
    _, component = connected_components(adjacency, directed=False)
    _, anchors, sizes = np.unique(component, return_index=True, return_counts=True)
    anchors = anchors[np.lexsort((anchors, sizes < min_cluster_size))]
    phantoms = np.arange(size, size + min_cluster_size)
    # The phantoms sit together at half the cut: nearer than anything they are joined to, at any epsilon.
    inner = np.column_stack([phantoms[:-1], phantoms[1:], np.full(min_cluster_size - 1, max_distance / 2.0)])
    joints = np.column_stack([np.concatenate([[size], anchors[:-1]]), anchors, np.full(anchors.shape[0], max_distance)])
    near = np.concatenate([inner, kept])
    return np.concatenate([near[np.argsort(near[:, 2], kind="stable")], joints])


def _all_noise(count: int) -> Clustering:
    return Clustering(np.full(count, NOISE, dtype=np.int32), np.zeros(count, dtype=np.float32))


def _check_parameters(min_cluster_size: int, min_samples: int, cluster_selection_epsilon: float) -> None:
    if min_cluster_size < SMALLEST_CLUSTER:
        message = f"min_cluster_size must be at least {SMALLEST_CLUSTER}, not {min_cluster_size}"
        raise ValueError(message)
    if min_samples < 1:
        message = f"min_samples must be at least 1, not {min_samples}"
        raise ValueError(message)
    if not 0.0 <= cluster_selection_epsilon < np.inf:
        message = f"cluster_selection_epsilon must be 0 or more, not {cluster_selection_epsilon}"
        raise ValueError(message)


def _refuse_rows(refused: NDArray[np.bool_], reason: str) -> None:
    rows = np.flatnonzero(refused)
    if rows.size:
        named = ", ".join(str(row) for row in rows[:NAMED_ROWS])
        more = f" and {rows.size - NAMED_ROWS} more" if rows.size > NAMED_ROWS else ""
        message = f"embedding rows {named}{more} {reason}"
        raise EmbeddingsRefusedError(message)
