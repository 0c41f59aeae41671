"""Wrap the compiled routines of ``hdbscan`` and scikit-learn. No other module imports these packages.

scikit-learn is a dependency of ``hdbscan``.
"""

from __future__ import annotations

import numpy as np
from hdbscan._hdbscan_linkage import mst_linkage_core
from hdbscan._hdbscan_tree import compute_stability, get_clusters
from numpy.typing import NDArray
from sklearn.cluster._hdbscan._tree import HIERARCHY_dtype, _condense_tree
from sklearn.cluster._hierarchical_fast import single_linkage_label

_CONDENSED = np.dtype([("parent", np.intp), ("child", np.intp), ("lambda_val", np.float64), ("child_size", np.intp)])
"""An edge of the condensed tree, with hdbscan's field names; scikit-learn's type has the same memory layout."""


def dense_spanning_tree(
    weights: NDArray[np.floating],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Run Prim's algorithm from point 0 over a full symmetric matrix of weights, [n, n], n >= 2.

    Returns the points in the order in which they are added, int64[n]; the point that each of them except the first is
    connected to, int64[n-1]; and the weights of these edges, float64[n-1].
    """
    tree = np.asarray(mst_linkage_core(np.ascontiguousarray(weights, dtype=np.float64)))
    added, parent = tree[:, 1].astype(np.int64), tree[:, 0].astype(np.int64)
    return np.concatenate([[0], added]), parent, tree[:, 2]


def single_linkage(
    left: NDArray[np.number], right: NDArray[np.number], weight: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return the dendrogram of a spanning tree in scipy's linkage format, float64[n-1, 4]; lightest edges first."""
    # scikit-learn's version: hdbscan's gives the same result, but creates a Python object per step (20 ms for 10,000
    # points).
    return np.asarray(single_linkage_label(np.column_stack([left, right, weight]).astype(np.float64)))


def select_clusters(
    linkage: NDArray[np.float64], min_cluster_size: int, cluster_selection_epsilon: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Condense a dendrogram and select clusters by excess of mass, then by epsilon.

    Returns labels int64[n] (-1 for noise) and membership probabilities float64[n] in [0, 1].
    """
    hierarchy = np.empty(linkage.shape[0], dtype=HIERARCHY_dtype)
    for name, column in zip(HIERARCHY_dtype.names, linkage.T, strict=True):
        hierarchy[name] = column
    # scikit-learn's version: hdbscan's gives the same tree and takes three times as long.
    condensed = np.asarray(_condense_tree(hierarchy, min_cluster_size)).view(_CONDENSED)
    labels, probabilities, _ = get_clusters(
        condensed,
        compute_stability(condensed),
        cluster_selection_method="eom",
        cluster_selection_epsilon=float(cluster_selection_epsilon),
    )
    return np.asarray(labels, dtype=np.int64), np.asarray(probabilities, dtype=np.float64)
