"""Find the candidate edges of a minimum spanning tree in the full similarity matrix, for up to a few thousand rows."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from functions.cluster.tree.bottlenecks import mark_within
from functions.cluster.tree.hdbscan_tree import dense_spanning_tree

Number = TypeVar("Number", np.float32, np.float64)

EXCLUDED = -9.0
"""Marks a neighbour that was counted already; less than any product of unit rows."""

_ROWS_IN_CACHE = 128

ON_DIAGONAL = -99.0
"""Marks the diagonal, since a row is not its own neighbour; less than any other entry."""


def similarity_matrix(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the products of all pairs of rows (float32[n, d]), float32[n, n]; one quarter is copied by symmetry.

    The rows are copied so that BLAS does not choose its symmetric kernel, which crashes in some builds.
    """
    half = rows.shape[0] // 2
    columns = rows.copy().T
    products = np.empty((rows.shape[0], rows.shape[0]), dtype=np.float32)
    np.matmul(rows[:half], columns, out=products[:half])
    np.matmul(rows[half:], columns[:, half:], out=products[half:, half:])
    products[half:, :half] = products[:half, half:].T
    return products


def candidate_edges(
    products: NDArray[Number], core_neighbours: NDArray[np.int64], tolerance: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return pairs, each once, that include all edges of the minimum spanning tree and those defining core distances.

    The diagonal of ``products`` [n, n] is overwritten. ``core_neighbours`` int64[n] is the number of other rows within
    each core distance: 0 for a core distance of 0; if there are fewer other rows, all pairs of the row are returned.
    ``tolerance`` is twice the largest error of a product.

    In the order in which Prim's algorithm adds the rows, the bottleneck of two rows is the largest edge weight between
    them.
    """
    np.fill_diagonal(products, ON_DIAGONAL)
    core = _core(products, core_neighbours)
    weights = np.empty(products.shape)
    for start in range(0, core.size, _ROWS_IN_CACHE):
        block = slice(start, start + _ROWS_IN_CACHE)
        reached = np.minimum(products[block], core[block, None])
        np.subtract(1.0, np.minimum(reached, core, out=reached), out=weights[block])
    order, _, heights = dense_spanning_tree(weights)
    mask = np.empty(products.shape, dtype=np.bool_)
    mark_within(products.take(order, axis=0).take(order, axis=1), (heights + tolerance).astype(products.dtype), mask)
    one, other = np.divmod(np.flatnonzero(mask), order.size)
    return order[one], order[other]


def _core(products: NDArray[Number], core_neighbours: NDArray[np.int64]) -> NDArray[Number]:
    """Return each row's product with its ``core_neighbours``-th nearest neighbour, [n], at most 1; 1 for the 0th."""
    row = np.arange(core_neighbours.size)
    core = np.ones(core_neighbours.size, dtype=products.dtype)
    overwritten = []
    for rank in range(1, int(core_neighbours.max()) + 1):
        column = products.argmax(axis=1)
        nearest = products[row, column]
        core = np.where(core_neighbours == rank, np.minimum(nearest, 1.0), core).astype(products.dtype)
        overwritten.append((column, nearest))
        products[row, column] = EXCLUDED
    # Restored in reverse: a row with fewer neighbours than asked for has one column overwritten more than once.
    for column, nearest in reversed(overwritten):
        products[row, column] = nearest
    return core
