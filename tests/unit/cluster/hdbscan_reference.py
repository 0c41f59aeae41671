"""What the ``hdbscan`` package says of a precomputed float64 cosine matrix, with a canonical order where distances tie.

``hdbscan`` lets the order of the rows decide ties, and mutual reachability ties by construction: both edges from a
point to its two nearest neighbours weigh exactly its core distance. To compare labels, ties must be decided the same
way on both sides: by the plain cosine distance, then by the order of the rows' bytes.
"""

from __future__ import annotations

import hdbscan
import numpy as np
from hdbscan._hdbscan_linkage import label, mst_linkage_core
from hdbscan._hdbscan_reachability import mutual_reachability
from hdbscan.hdbscan_ import _tree_to_labels
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

from functions.cluster.embeddings import canonical_order
from functions.cluster.tree.edges import exact_distances, exact_norms
from functions.cluster.tree.spanning_tree import SpanningTree

Embeddings = NDArray[np.float32]
Labels = NDArray[np.integer]


def agreement(one: Labels, other: Labels) -> float:
    """The adjusted Rand index."""
    return float(adjusted_rand_score(one, other))


def cosine_matrix(embeddings: Embeddings) -> NDArray[np.float64]:
    """All cosine distances in float64: symmetric, 0 between equal rows."""
    rows = embeddings.astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    distances = 1.0 - rows @ rows.copy().T
    distances = np.maximum(distances, distances.T)
    distances[distances < 1e-12] = 0.0
    np.fill_diagonal(distances, 0.0)
    return distances


def plain_hdbscan(embeddings: Embeddings, min_cluster_size: int, min_samples: int, epsilon: float) -> Labels:
    """``hdbscan.HDBSCAN`` as it comes."""
    model = hdbscan.HDBSCAN(
        metric="precomputed",
        min_cluster_size=min_cluster_size,
        min_samples=min_samples,
        cluster_selection_epsilon=epsilon,
    )
    return np.asarray(model.fit(cosine_matrix(embeddings)).labels_)


def hdbscan_without_ties(embeddings: Embeddings, min_cluster_size: int, min_samples: int, epsilon: float) -> Labels:
    """``hdbscan.HDBSCAN`` as it comes, on mutual reachability distances in which the plain distance breaks the ties.

    With ``min_samples=1`` the package takes the matrix as it is: the nearest other point of each is nearer than
    anything else already.
    """
    distances = cosine_matrix(embeddings)
    reachability = mutual_reachability(distances.copy(), min_samples)
    model = hdbscan.HDBSCAN(
        metric="precomputed", min_cluster_size=min_cluster_size, min_samples=1, cluster_selection_epsilon=epsilon
    )
    return np.asarray(model.fit(reachability + 1e-11 * distances).labels_)


def hdbscan_in_canonical_order(
    embeddings: Embeddings, min_cluster_size: int, min_samples: int, epsilon: float
) -> Labels:
    """The package's own parts, where the matrix of edge weights is replaced by the canonical ranks of the edges.

    For inputs whose distances tie exactly; all pairs are sorted, so n should be a few hundred at most.
    """
    count = embeddings.shape[0]
    order = np.argsort([row.tobytes() for row in embeddings], kind="stable")
    distances = cosine_matrix(embeddings[order])
    # Distances that are equal but for the last bits of their computation are equal.
    distances = np.round(distances, 13)
    reachability = mutual_reachability(distances.copy(), min_samples)
    low, high = np.triu_indices(count, 1)
    sequence = np.lexsort((high, low, distances[low, high], reachability[low, high]))
    ranks = np.zeros((count, count))
    ranks[low[sequence], high[sequence]] = ranks[high[sequence], low[sequence]] = 1.0 + np.arange(low.size)
    tree = mst_linkage_core(ranks)
    tree = tree[np.argsort(tree[:, 2])]
    one, other = tree[:, 0].astype(int), tree[:, 1].astype(int)
    tree[:, 2] = reachability[one, other]
    labels = np.asarray(
        _tree_to_labels(None, label(tree), min_cluster_size, "eom", False, False, epsilon)[0]  # noqa: FBT003
    )
    result = np.empty(count, dtype=np.int64)
    result[order] = labels
    return result


def spanning_tree_of_all_pairs(embeddings: Embeddings, min_samples: int) -> SpanningTree:
    """The canonical minimum spanning tree by the textbook: all pairs sorted, each taken unless it closes a ring.

    Sums are our own (:func:`exact_distances`), so that the trees can be compared bit by bit.
    """
    count = embeddings.shape[0]
    order = canonical_order(embeddings)
    rows = embeddings[order]
    low, high = np.triu_indices(count, 1)
    distance = exact_distances(rows, exact_norms(rows), low, high)
    square = np.zeros((count, count))
    square[low, high] = square[high, low] = distance
    core = np.sort(square, axis=1)[:, min(min_samples, count - 1)]
    weight = np.maximum(distance, np.maximum(core[low], core[high]))
    root = list(range(count))

    def find(point: int) -> int:
        while root[point] != point:
            root[point] = point = root[root[point]]
        return point

    taken = []
    for pair in np.lexsort((high, low, distance, weight)).tolist():
        one, other = find(int(low[pair])), find(int(high[pair]))
        if one != other:
            root[other] = one
            taken.append(pair)
    kept = np.array(taken, dtype=np.int64)
    return SpanningTree(count, order[low[kept]], order[high[kept]], weight[kept], distance[kept])
