"""The pairs that matter for a spanning tree, from the whole matrix of products: for up to a few thousand rows."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from functions.cluster.tree.bottlenecks import mark_within
from functions.cluster.tree.hdbscan_tree import dense_spanning_tree

Number = TypeVar("Number", np.float32, np.float64)

NEVER = -9.0
"""Less than any product of unit rows."""

ITSELF = -99.0
"""Less than any other product: a row is no neighbour of its own."""


def all_products(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the matrix of products of the rows (float32[n, d]), float32[n, n]; a quarter of it is mirrored.

    The copy keeps BLAS off its symmetric kernel, which crashes in some builds.
    """
    half = rows.shape[0] // 2
    columns = rows.copy().T
    products = np.empty((rows.shape[0], rows.shape[0]), dtype=np.float32)
    np.matmul(rows[:half], columns, out=products[:half])
    np.matmul(rows[half:], columns[:, half:], out=products[half:, half:])
    products[half:, :half] = products[:half, half:].T
    return products


def light_pairs(
    products: NDArray[Number], wanted: NDArray[np.int64], slack: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return pairs, each once, that include all edges of the minimum spanning tree and all that give core distances.

    The diagonal of ``products`` [n, n] is overwritten; ``wanted`` int64[n] says which nearest other row gives each core
    distance (0 for a core distance of 0; where there are fewer others, all pairs of the row are light); ``slack`` is
    twice what a product may differ from the true one.

    Prim's algorithm gives the rows in an order in which the bottleneck of two rows is the largest height between them.
    """
    np.fill_diagonal(products, ITSELF)
    core = _core(products, wanted)
    reached = np.minimum(products, core[:, None])
    np.minimum(reached, core, out=reached)
    order, _, heights = dense_spanning_tree(np.subtract(1.0, reached, dtype=np.float64))
    near = np.empty(products.shape, dtype=np.bool_)
    mark_within(products.take(order, axis=0).take(order, axis=1), (heights + slack).astype(products.dtype), near)
    one, other = np.divmod(np.flatnonzero(near), order.size)
    return order[one], order[other]


def _core(products: NDArray[Number], wanted: NDArray[np.int64]) -> NDArray[Number]:
    """The product of each row of a full matrix with its ``wanted``-th nearest, [n]: at most 1, and 1 for the 0th."""
    here = np.arange(wanted.size)
    core = np.ones(wanted.size, dtype=products.dtype)
    taken = []
    for turn in range(1, int(wanted.max()) + 1):
        column = products.argmax(axis=1)
        nearest = products[here, column]
        core = np.where(wanted == turn, np.minimum(nearest, 1.0), core).astype(products.dtype)
        taken.append((column, nearest))
        products[here, column] = NEVER
    # The last first: where a row has fewer neighbours than wanted, the same column is taken again, as NEVER.
    for column, nearest in reversed(taken):
        products[here, column] = nearest
    return core
