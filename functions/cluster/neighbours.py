"""The nearest neighbours of every row, from blocked products."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from functions.cluster.block_runner import BlockRunner, block_bounds, block_pairs

NONE_YET = -3.0
"""Less than any cosine."""

ROUNDING = np.float32(1e-4)
"""More than two computations of one product differ by, however each sums its few hundred terms."""

SAMPLE_COLUMNS = 192
"""Columns looked at for each of the k first thresholds; more make the first blocks cheaper, and the start dearer."""


@dataclass(frozen=True)
class Found:
    """Products above a threshold in one block: global row and column int32[m], product float32[m]."""

    row: NDArray[np.int32]
    column: NDArray[np.int32]
    product: NDArray[np.float32]


@dataclass(frozen=True)
class _Block:
    """Rows ``begin`` .. of the matrix, and the product each must exceed to be of interest (shared, ever rising)."""

    begin: int
    rows: NDArray[np.float32]
    threshold: NDArray[np.float32]


def nearest_neighbours(
    rows: NDArray[np.float32], count: int, runner: BlockRunner, block_rows: int
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """The ``count`` largest products of each row with the *other* rows, and whose they are: [n, count] each.

    ``rows`` is float32[n, d] with n > count. Largest first. Every product is computed once; from each block only
    those are taken out that exceed the ``count``-th best seen so far.
    """
    size = rows.shape[0]
    best = np.full((size, count), NONE_YET, dtype=np.float32)
    index = np.zeros((size, count), dtype=np.int32)
    threshold = _first_thresholds(rows, count)
    blocks = [
        _Block(begin, rows[begin:end], threshold[begin:end]) for begin, end in block_bounds(size, block_rows)
    ]
    for (i, j), (down, across) in runner.run(_block_neighbours, blocks, block_pairs(len(blocks))):
        for found in (down, across) if i != j else (down,):
            _merge(best, index, threshold, found)
    return best, index


def _first_thresholds(rows: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """A product that at least ``count`` others reach or exceed, found in a sample of columns; float32[n].

    The columns are dealt into ``count`` groups: the largest products of the groups are ``count`` different ones.
    """
    size = rows.shape[0]
    width = min(SAMPLE_COLUMNS, size // count)
    threshold = np.full(size, np.inf, dtype=np.float32)
    for group in range(count):
        columns = np.arange(width) * size // width + group
        columns = columns[columns < size]
        products = rows @ rows[columns].T
        products[columns, np.arange(columns.size)] = NONE_YET
        np.minimum(threshold, products.max(axis=1), out=threshold)
    return threshold - ROUNDING


def _block_neighbours(left: _Block, right: _Block) -> tuple[Found, Found]:
    """What two blocks hold of interest for the rows of the left one, and for those of the right one."""
    products = left.rows @ right.rows.T
    if left.begin == right.begin:
        np.fill_diagonal(products, NONE_YET)
        return _found(products, products > left.threshold[:, None], left.begin, right.begin), _NOTHING
    down = _found(products, products > left.threshold[:, None], left.begin, right.begin)
    across = _found(products, products > right.threshold, left.begin, right.begin)
    return down, Found(across.column, across.row, across.product)


def _found(products: NDArray[np.float32], mask: NDArray[np.bool_], row: int, column: int) -> Found:
    places = np.flatnonzero(mask)
    rows, columns = np.divmod(places, products.shape[1])
    return Found(
        (rows + row).astype(np.int32), (columns + column).astype(np.int32), products.ravel()[places]
    )


def _merge(
    best: NDArray[np.float32], index: NDArray[np.int32], threshold: NDArray[np.float32], found: Found
) -> None:
    """Take what was found into the lists of best products, in place."""
    if not found.row.size:
        return
    count = best.shape[1]
    order = np.lexsort((found.column, -found.product, found.row))
    row = found.row[order]
    starts = np.flatnonzero(np.concatenate([[True], row[1:] != row[:-1]]))
    rank = np.arange(row.size) - np.repeat(starts, np.diff(np.append(starts, row.size)))
    kept = rank < count
    rows = row[starts]
    place = np.searchsorted(rows, row[kept])
    products = np.full((rows.size, 2 * count), NONE_YET, dtype=np.float32)
    columns = np.zeros((rows.size, 2 * count), dtype=np.int32)
    products[:, :count], columns[:, :count] = best[rows], index[rows]
    products[place, count + rank[kept]] = found.product[order][kept]
    columns[place, count + rank[kept]] = found.column[order][kept]
    winners = np.argsort(-products, axis=1, kind="stable")[:, :count]
    best[rows] = np.take_along_axis(products, winners, axis=1)
    index[rows] = np.take_along_axis(columns, winners, axis=1)
    threshold[rows] = np.maximum(threshold[rows], best[rows, -1])


_NOTHING = Found(np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.float32))
