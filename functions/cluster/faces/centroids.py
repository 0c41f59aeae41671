"""Mean directions of groups of faces."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

SHORTEST_SUM = 1e-3
"""Sums of unit vectors shorter than this are rounding, and point nowhere."""


def group_sums(embeddings: NDArray[np.float32], groups: NDArray[np.integer], group_count: int) -> NDArray[np.float32]:
    """Sum the rows of each group, float32[group_count, d]; ``groups`` is int[n], negative for none."""
    inside = np.flatnonzero(groups >= 0)
    membership = csr_array(
        (np.ones(inside.shape[0], dtype=np.float32), (groups[inside], inside)),
        shape=(group_count, embeddings.shape[0]),
    )
    return np.asarray(membership @ embeddings, dtype=np.float32).reshape(group_count, embeddings.shape[1])


def centroids(embeddings: NDArray[np.float32], groups: NDArray[np.integer], group_count: int) -> NDArray[np.float32]:
    """Return the unit mean vector of each group, float32[group_count, d]; ``groups`` is int[n], negative for none.

    A group without rows, or whose rows cancel out, has the zero vector: similarity 0 to everything.
    """
    sums = group_sums(embeddings, groups, group_count)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    result: NDArray[np.float32] = np.divide(sums, lengths, out=np.zeros_like(sums), where=lengths > SHORTEST_SUM)
    return result


def similarity_to_others(
    embeddings: NDArray[np.float32],
    sums: NDArray[np.float32],
    groups: NDArray[np.integer],
    paired: NDArray[np.integer],
) -> NDArray[np.float64]:
    """How alike each face (row of length 1) is to the mean of the *other* faces of the group it is paired with.

    ``sums`` are those of ``groups`` (:func:`group_sums`); ``paired`` is int[n], negative for none. float64[n] in
    [-1, 1]; -1 where a face is paired with no group, or with one that has no other face.
    """
    result = np.full(paired.shape[0], -1.0)
    rows = np.flatnonzero(paired >= 0)
    others = sums[paired[rows]] - np.where(groups[rows] == paired[rows], 1.0, 0.0)[:, None] * embeddings[rows]
    lengths = np.linalg.norm(others, axis=1)
    products = np.einsum("ij,ij->i", embeddings[rows], others)
    result[rows] = np.divide(products, lengths, out=np.full(rows.shape[0], -1.0), where=lengths > SHORTEST_SUM)
    return result
