"""The pairs that matter for a spanning tree, from the whole matrix of products: for up to a few thousand rows."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from functions.cluster.block_runner import Pair, block_bounds, in_parallel, in_shares, scratch
from functions.cluster.hdbscan_tree import dense_spanning_tree
from functions.cluster.stretches import mark_between, mark_within

Number = TypeVar("Number", np.float32, np.float64)

SHARE_ROWS = 256
"""Rows worth a thread of their own."""

BANDS = 4
"""Bands of rows that the products are computed in. More would leave out more of what is mirrored, in smaller and slower
pieces."""

NEVER = -9.0
"""Less than any product of unit rows."""


def all_products(rows: NDArray[Number]) -> NDArray[Number]:
    """The full matrix of products, [n, n], in memory that the thread's next call uses again.

    Each pair of bands is computed once, and mirrored.
    The copy keeps BLAS off its symmetric kernel, which crashes in some builds.
    """
    products = scratch(f"all products, {rows.dtype}", (rows.shape[0], rows.shape[0]), rows.dtype.type)
    columns = rows.copy().T

    def band(begin: int, end: int) -> None:
        np.matmul(rows[begin:end], columns[:, begin:], out=products[begin:end, begin:])
        products[end:, begin:end] = products[begin:end, end:].T

    in_parallel(band, _bands(rows.shape[0]))
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
    weights = scratch("weights", products.shape, np.float64)
    arranged = scratch(f"arranged, {products.dtype}", products.shape, products.dtype.type).ravel()
    light = scratch("light", products.shape, np.bool_)

    def weigh(begin: int, end: int) -> None:
        share = products[begin:end]
        np.minimum(share, core[begin:end, None], out=share)
        np.minimum(share, core, out=share)
        np.subtract(1.0, share, out=weights[begin:end])

    in_shares(weigh, core.size, SHARE_ROWS)
    order, _, heights = dense_spanning_tree(weights)
    gap: NDArray[Number] = (heights + slack).astype(products.dtype)

    def mark(begin: int, end: int) -> None:
        """Mark the light pairs of a band of the chain with itself and with all that comes later."""
        # The core distances in it do no harm: no bottleneck of a row is below its own.
        band = arranged[begin * core.size :][: (end - begin) * (core.size - begin)].reshape(end - begin, -1)
        products[order[begin:end]].take(order[begin:], axis=1, out=band, mode="clip")
        itself = end - begin
        light[begin:end, :begin] = False
        mark_within(band[:, :itself], gap[begin : end - 1], light[begin:end, begin:end])
        if end < core.size:
            mark_between(band[:, itself:], gap[begin : end - 1], gap[end - 1], gap[end:], light[begin:end, end:])

    in_parallel(mark, _bands(core.size))
    one, other = np.divmod(np.flatnonzero(light), order.size)
    return order[one], order[other]


def _bands(count: int) -> list[Pair]:
    """Bands of rows, (begin, end): with all columns from ``begin`` on, two processors share them evenly."""
    return block_bounds(count, max(SHARE_ROWS, -(-count // BANDS)))


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
