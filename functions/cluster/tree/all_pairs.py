"""The pairs that matter for a spanning tree, from the whole matrix of products: for up to a few thousand rows."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from functions.cluster.tree.block_runner import Pair, block_bounds, in_parallel, scratch
from functions.cluster.tree.hdbscan_tree import dense_spanning_tree
from functions.cluster.tree.stretches import Stretches

Number = TypeVar("Number", np.float32, np.float64)

SHARE_ROWS = 256
"""Rows worth a thread of their own."""

CACHED_ROWS = 128
"""Rows of a matrix that a processor's own cache holds."""

BANDS = 4
"""Bands of rows that the products are computed in. More would leave out more of what is mirrored, in smaller and slower
pieces."""

NEVER = -9.0
"""Less than any product of unit rows."""

ITSELF = -99.0
"""Less than any other product: a row is no neighbour of its own."""


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
    np.fill_diagonal(products, ITSELF)
    core = _core(products, wanted)
    weights = scratch("weights", products.shape, np.float64)

    def weigh(begin: int, end: int) -> None:
        share = products[begin:end]
        np.minimum(share, core[begin:end, None], out=share)
        np.minimum(share, core, out=share)
        np.subtract(1.0, share, out=weights[begin:end])

    in_parallel(weigh, block_bounds(core.size, CACHED_ROWS))
    order, _, heights = dense_spanning_tree(weights)
    place = np.empty(order.size, dtype=np.int32)
    place[order] = np.arange(order.size, dtype=np.int32)
    needed = Stretches.of((1.0 - heights - slack).astype(products.dtype))
    found: dict[int, tuple[NDArray[np.int32], NDArray[np.int32]]] = {}

    def find(begin: int, end: int) -> None:
        """The light pairs of a band of rows with all that come later."""
        # Most products are less than any bottleneck asks for.
        near = np.flatnonzero(products[begin:end, begin:] >= needed.least).astype(np.int32)
        one, other = np.divmod(near, np.int32(order.size - begin))
        one += np.int32(begin)
        other += np.int32(begin)
        here, there = place.take(one), place.take(other)
        asked = needed.between(np.minimum(here, there), np.maximum(here, there))
        # The core distances in the products do no harm: no bottleneck of a row is below its own.
        light = np.flatnonzero((products.take(one * np.int32(order.size) + other) >= asked) & (one < other))
        found[begin] = one[light], other[light]

    in_parallel(find, _bands(order.size))
    left, right = zip(*(found[begin] for begin in sorted(found)), strict=True)
    return np.concatenate(left, dtype=np.int64), np.concatenate(right, dtype=np.int64)


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
