"""The nearest neighbours of every row, from blocked products."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from functions.cluster.block_runner import BlockRunner, Pair, block_bounds, block_pairs, scratch
from functions.cluster.edges import distance_keys

FARTHEST = np.float32(4.0)
"""More than any cosine distance."""

ROUNDING = np.float32(1e-4)
"""More than two computations of one product differ by, however each sums its few hundred terms."""

SAMPLE_COLUMNS = 192
"""Columns looked at for each of the first thresholds; more make the first blocks cheaper, and the start dearer."""


@dataclass(frozen=True)
class _Neighbours:
    """Rows, some of their neighbours (numbers in the matrix, int64[m] each) and the distances to them, float32[m]."""

    row: NDArray[np.int64]
    other: NDArray[np.int64]
    distance: NDArray[np.float32]


@dataclass(frozen=True)
class _Block:
    """Rows from number ``begin`` on; a neighbour must be nearer than ``limit`` float32[m] (shared, ever falling)."""

    begin: int
    rows: NDArray[np.float32]
    limit: NDArray[np.float32]
    count: int


def nearest_neighbours(
    rows: NDArray[np.float32], count: int, runner: BlockRunner, block_rows: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The ``count`` nearest *other* rows of each row: distances ``1 - product`` and numbers, [n, count] each.

    ``rows`` is float32[n, d] with n > count. Every product is computed once; from each block only those are taken out
    that are nearer than the ``count``-th nearest seen so far.
    """
    pairs = block_pairs(len(block_bounds(rows.shape[0], block_rows)))
    return nearer_neighbours(rows, _first_limits(rows, count), count, pairs, runner, block_rows)


def nearer_neighbours(
    rows: NDArray[np.float32],
    limit: NDArray[np.float32],
    count: int,
    pairs: Sequence[Pair],
    runner: BlockRunner,
    block_rows: int,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """As :func:`nearest_neighbours`, for neighbours within ``limit`` (float32[n]) and in some pairs of blocks only.

    Where fewer than ``count`` are found, the distance is FARTHEST and the number means nothing.
    """
    size = rows.shape[0]
    distance = np.full((size, count), FARTHEST, dtype=np.float32)
    other = np.zeros((size, count), dtype=np.int64)
    limit = limit.astype(np.float32)
    bounds = block_bounds(size, block_rows)
    blocks = [_Block(begin, rows[begin:end], limit[begin:end], count) for begin, end in bounds]
    for _, found in runner.run(_block_neighbours, blocks, pairs):
        for neighbours in found:
            _merge(distance, other, limit, neighbours)
    return distance, other


def _first_limits(rows: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """A distance within which each row has at least ``count`` others, found in a sample of columns; float32[n].

    The columns are dealt into ``count`` groups: the nearest of each group are ``count`` different rows.
    """
    size = rows.shape[0]
    width = min(SAMPLE_COLUMNS, size // count)
    farthest = np.full(size, -FARTHEST, dtype=np.float32)
    for group in range(count):
        columns = np.arange(width) * size // width + group
        columns = columns[columns < size]
        products = rows @ rows[columns].T
        products[columns, np.arange(columns.size)] = -FARTHEST
        np.maximum(farthest, 1.0 - products.max(axis=1), out=farthest)
    return farthest + ROUNDING


def _block_neighbours(left: _Block, right: _Block) -> list[_Neighbours]:
    """What two blocks hold of interest for the rows of the left one, and for those of the right one."""
    shape = (left.rows.shape[0], right.rows.shape[0])
    products, mask = scratch("products", shape, np.float32), scratch("mask", shape, np.bool_)
    if left.begin == right.begin:
        np.dot(left.rows, left.rows.copy().T, out=products)
        np.fill_diagonal(products, -FARTHEST)
        np.greater(products, (1.0 - left.limit)[:, None], out=mask)
        row, column = np.divmod(np.flatnonzero(mask), shape[1])
        return [_nearest(row, column, 1.0 - products[row, column], left, right)]
    np.dot(left.rows, right.rows.T, out=products)
    np.greater(products, (1.0 - left.limit)[:, None], out=mask)
    row, column = np.divmod(np.flatnonzero(mask), shape[1])
    down = _nearest(row, column, 1.0 - products[row, column], left, right)
    np.greater(products, 1.0 - right.limit, out=mask)
    row, column = np.divmod(np.flatnonzero(mask), shape[1])
    return [down, _nearest(column, row, 1.0 - products[row, column], right, left)]


def _nearest(
    row: NDArray[np.int64], other: NDArray[np.int64], distance: NDArray[np.float32], block: _Block, others: _Block
) -> _Neighbours:
    """Of each row's neighbours in one block the ``count`` nearest, sorted by row and distance."""
    order = np.argsort(distance_keys(row, distance))
    row = row[order]
    kept = np.ones(row.size, dtype=bool)
    kept[block.count :] = row[block.count :] != row[: -block.count]
    order = order[kept]
    return _Neighbours(row[kept] + block.begin, other[order] + others.begin, distance[order])


def _merge(
    distance: NDArray[np.float32], other: NDArray[np.int64], limit: NDArray[np.float32], found: _Neighbours
) -> None:
    """Take what was found into the lists of nearest neighbours, in place."""
    if not found.row.size:
        return
    count = distance.shape[1]
    starts = np.flatnonzero(np.concatenate([[True], found.row[1:] != found.row[:-1]]))
    rows = found.row[starts]
    lengths = np.diff(np.append(starts, found.row.size))
    place = np.repeat(np.arange(rows.size), lengths)
    rank = np.arange(found.row.size) - np.repeat(starts, lengths)
    distances = np.full((rows.size, 2 * count), FARTHEST, dtype=np.float32)
    others = np.zeros((rows.size, 2 * count), dtype=np.int64)
    distances[:, :count], others[:, :count] = distance[rows], other[rows]
    distances[place, count + rank], others[place, count + rank] = found.distance, found.other
    nearest = np.argsort(distances, axis=1)[:, :count]
    distance[rows] = np.take_along_axis(distances, nearest, axis=1)
    other[rows] = np.take_along_axis(others, nearest, axis=1)
    limit[rows] = np.minimum(limit[rows], distance[rows, -1])
