"""Exact HDBSCAN under the cosine distance. The result does not depend on the order of the input.

The condensed tree and the cluster selection come from the ``hdbscan`` and scikit-learn packages
(:mod:`functions.cluster.tree.hdbscan_tree`); the minimum spanning tree is computed in
:mod:`functions.cluster.tree.spanning_tree`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from functions.cluster.embeddings import checked_embeddings
from functions.cluster.labels import NOISE, relabelled
from functions.cluster.tree.block_runner import BlockRunner
from functions.cluster.tree.hdbscan_tree import select_clusters, single_linkage
from functions.cluster.tree.spanning_tree import SpanningTree, minimum_spanning_tree

SMALLEST_CLUSTER = 2
"""HDBSCAN does not define clusters of one point."""


@dataclass(frozen=True)
class Clustering:
    """The result of HDBSCAN for n rows.

    ``labels``: int32[n], 0..k-1 in the order of each cluster's first row, or -1 for noise.
    ``probabilities``: float32[n] in [0, 1], the strength of each row's membership in its cluster; 0 for noise.
    """

    labels: NDArray[np.int32]
    probabilities: NDArray[np.float32]


def cluster(
    embeddings: NDArray[np.float32],
    *,
    min_cluster_size: int = 3,
    min_samples: int = 2,
    cluster_selection_epsilon: float = 0.4,
    max_distance: float | None = None,
    runner: BlockRunner | None = None,
) -> Clustering:
    """Run HDBSCAN (excess of mass) with the cosine distance over ``embeddings`` (float32[n, d], rows of length 1).

    ``max_distance`` cuts the tree at that distance (:func:`label_tree`); None gives the clusters of plain HDBSCAN.
    ``min_samples`` does not count the point itself, as in the ``hdbscan`` package. The result is exact,
    deterministic, and independent of the order of the rows: ties between mutual reachability distances are broken by
    the cosine distance, then by the contents of the rows. ``runner`` computes the blocks of large inputs, by default on
    the threads of this machine; the labels do not depend on it. n may be 0; fewer than ``min_cluster_size`` rows are
    all noise.

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
        max_distance=max_distance,
    )


def label_tree(
    tree: SpanningTree,
    *,
    min_cluster_size: int,
    min_samples: int,
    cluster_selection_epsilon: float,
    max_distance: float | None = None,
) -> Clustering:
    """Select clusters from a spanning tree with hdbscan's condensed tree, excess of mass and epsilon search.

    With ``max_distance`` None, the result is that of plain HDBSCAN. Otherwise the tree is cut at that mutual
    reachability distance: its longer edges are replaced by edges of exactly that length, so that all components
    separate at the same level. An artificial cluster is added at that level as well. It makes every real cluster
    a descendant of the root. HDBSCAN never selects the root, and would otherwise split a single cluster (an event with
    one person) or label it noise.
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


def _cut(edges: NDArray[np.float64], size: int, min_cluster_size: int, max_distance: float) -> NDArray[np.float64]:
    """Replace edges longer than ``max_distance`` by edges of exactly that length between whole components.

    Components large enough to be clusters, and the artificial one, are joined first, the small ones last: the small
    ones then split off at the root of the tree and belong to no cluster.
    """
    kept = edges[edges[:, 2] <= max_distance]
    adjacency = coo_array(
        (np.ones(kept.shape[0], dtype=np.int8), (kept[:, 0].astype(np.int64), kept[:, 1].astype(np.int64))),
        shape=(size, size),
    )
    _, component = connected_components(adjacency, directed=False)
    _, anchors, sizes = np.unique(component, return_index=True, return_counts=True)
    anchors = anchors[np.lexsort((anchors, sizes < min_cluster_size))]
    artificial = np.arange(size, size + min_cluster_size)
    # The points of the artificial cluster are at half the cut distance: nearer to each other than to any real point.
    inner = np.column_stack([artificial[:-1], artificial[1:], np.full(min_cluster_size - 1, max_distance / 2.0)])
    joining = np.column_stack(
        [np.concatenate([[size], anchors[:-1]]), anchors, np.full(anchors.shape[0], max_distance)]
    )
    short = np.concatenate([inner, kept])
    return np.concatenate([short[np.argsort(short[:, 2], kind="stable")], joining])


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
