"""The pairs that matter for a spanning tree, from the whole matrix of products: for up to a few thousand rows."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from functions.cluster.block_runner import in_shares
from functions.cluster.hdbscan_tree import dense_spanning_tree
from functions.cluster.stretches import mark_within

Number = TypeVar("Number", np.float32, np.float64)

SHARE_ROWS = 256
"""Rows worth a thread of their own."""

NEVER = -9.0
"""Less than any product of unit rows."""


def all_products(rows: NDArray[Number]) -> NDArray[Number]:
    """The full matrix of products, [n, n].

    The copy keeps BLAS off its symmetric kernel, which crashes in some builds.
    """
    products = np.empty((rows.shape[0], rows.shape[0]), dtype=rows.dtype)
    columns = rows.copy().T

    def share(begin: int, end: int) -> None:
        np.dot(rows[begin:end], columns, out=products[begin:end])

    in_shares(share, rows.shape[0], SHARE_ROWS)
    return products


def light_pairs(
    products: NDArray[Number], wanted: NDArray[np.int64], slack: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The pairs, each once, among which are all edges of the minimum spanning tree and all that give core distances.

    ``products`` [n, n] is overwritten; ``wanted`` int64[n] says which nearest other row gives each core distance (0 for
    one of 0; where there are fewer others, all pairs of the row are light); ``slack`` is twice what a
    product may differ from the true one.
    """
    np.fill_diagonal(products, NEVER)
    core = _core(products, wanted)
    weights = np.subtract(1.0, products, out=products)
    np.maximum(weights, core[:, None], out=weights)
    np.maximum(weights, core, out=weights)
    order, _, gap = dense_spanning_tree(weights)
    # In the order of the chain. The core distances in the weights do no harm: no bottleneck of a row is below its own.
    products = weights[order].take(order, axis=1)
    np.subtract(1.0, products, out=products)
    mask = np.empty(products.shape, dtype=np.bool_)
    mark_within(products, (gap + slack).astype(products.dtype), mask)
    one, other = np.divmod(np.flatnonzero(mask), order.size)
    return order[one], order[other]


def _core(products: NDArray[Number], wanted: NDArray[np.int64]) -> NDArray[Number]:
    """The distance to the ``wanted``-th nearest of each row of a full matrix, [n]; at least 0."""
    here = np.arange(wanted.size)
    core = np.zeros(wanted.size, dtype=products.dtype)
    taken = []
    for turn in range(1, int(wanted.max()) + 1):
        column = products.argmax(axis=1)
        nearest = products[here, column]
        core = np.where(wanted == turn, np.maximum(1.0 - nearest, 0.0), core).astype(products.dtype)
        taken.append((column, nearest))
        products[here, column] = NEVER
    # The last first: where a row has fewer neighbours than wanted, the same column is taken again, as NEVER.
    for column, nearest in reversed(taken):
        products[here, column] = nearest
    return core
