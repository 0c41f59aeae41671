"""Cluster labels: one integer per face, -1 for a face in no cluster."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NOISE = -1
"""The label of a point that belongs to no cluster."""


def relabelled(labels: NDArray[np.integer]) -> NDArray[np.int32]:
    """Renumber the clusters 0, 1, … by their first row; negative labels become -1. The partition is unchanged."""
    labels = np.asarray(labels)
    result = np.full(labels.shape[0], NOISE, dtype=np.int32)
    inside = np.flatnonzero(labels >= 0)
    if inside.size:
        _, first, inverse = np.unique(labels[inside], return_index=True, return_inverse=True)
        number = np.empty(first.shape[0], dtype=np.int32)
        number[np.argsort(first, kind="stable")] = np.arange(first.shape[0], dtype=np.int32)
        result[inside] = number[inverse]
    return result
