"""How well clusters are told apart: the silhouette, sampled for large events."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SAMPLE = 5000
"""Above this many faces in clusters, every k-th is scored (against the means of all)."""


def sampled_silhouette(embeddings: NDArray[np.float32], labels: NDArray[np.integer]) -> float | None:
    """Mean silhouette under the cosine distance, in [-1, 1], over the faces in clusters (label >= 0).

    ``embeddings`` is float32[n, d] with rows of length 1. The mean cosine distance of a row to a cluster is 1 minus
    its product with the sum of the cluster's rows over their number, so no pairwise matrix is needed (Rousseeuw
    1987, exact for the cosine distance). None with fewer than two clusters.
    """
    inside = np.flatnonzero(labels >= 0)
    names, cluster, sizes = np.unique(labels[inside], return_inverse=True, return_counts=True)
    if names.size <= 1:
        return None
    rows = embeddings[inside]
    sums = np.add.reduceat(rows[np.argsort(cluster, kind="stable")], np.cumsum(sizes) - sizes, dtype=np.float64)
    step = -(-inside.size // SAMPLE)
    total, count = 0.0, 0
    for begin in range(0, inside.size, 4096 * step):
        chosen = np.arange(begin, min(begin + 4096 * step, inside.size), step)
        here, own = np.arange(chosen.size), cluster[chosen]
        products = rows[chosen].astype(np.float64) @ sums.T
        distances = 1.0 - products / sizes
        self_product = np.einsum("ij,ij->i", rows[chosen], rows[chosen], dtype=np.float64)
        others = np.maximum(sizes[own] - 1, 1)
        within = 1.0 - (products[here, own] - self_product) / others
        distances[here, own] = np.inf
        nearest = distances.min(axis=1)
        larger = np.maximum(within, nearest)
        scores = np.divide(nearest - within, larger, out=np.zeros_like(larger), where=larger > 0)
        total += float(np.where(sizes[own] > 1, scores, 0.0).sum())
        count += chosen.size
    return total / count
