"""Search approximate nearest neighbours: for each row, the largest products over many groups of rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from functions.cluster.tree.block_runner import BlockRunner, block_bounds

LARGEST_GROUP = 256
"""Rows of a group at most. Larger groups are searched faster, but more often contain two near neighbours of one row, of
which only the nearer one is found."""

MIN_GROUPS_PER_NEIGHBOUR = 4
"""Fewest groups for each neighbour to find."""

QUERY_ROWS = 640
TILE_COLUMNS = 1280
"""Rows and columns of the tiles in which products are computed: 3 MB."""

EXCLUDED = np.float32(-9.0)
"""Marks a row that is not a neighbour; less than any product of unit rows."""


@dataclass(frozen=True)
class _QueryBlock:
    """The rows from number ``begin`` on, float32[m, k], for each of which ``count`` neighbours are searched."""

    begin: int
    rows: NDArray[np.float32]
    count: int


@dataclass(frozen=True)
class _Groups:
    """All ``total`` rows in ``number`` groups of ``size`` slots: float32[number * size, k], 0 where a slot is empty.

    Row r is in group ``r % number``, so that consecutive rows (a burst of photos) are in different groups.
    """

    rows: NDArray[np.float32]
    number: int
    size: int
    total: int

    def slot(self, row: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the slot of each row."""
        return (row % self.number) * self.size + row // self.number


def approximate_neighbours(rows: NDArray[np.float32], count: int, runner: BlockRunner) -> NDArray[np.int64]:
    """Return ``count`` approximate nearest neighbours of each row (float32[n, k], n > count), int64[n, count].

    Nearness is the product of two rows. Only the nearest row of each group is considered, so a true nearest neighbour
    can be missed.
    """
    total = rows.shape[0]
    size = max(1, min(LARGEST_GROUP, total // (MIN_GROUPS_PER_NEIGHBOUR * (count + 1))))
    groups = _Groups(np.zeros(0, np.float32), -(-total // size), size, total)
    grouped = np.zeros((groups.number * size, rows.shape[1]), dtype=np.float32)
    grouped[groups.slot(np.arange(total))] = rows
    groups = _Groups(grouped, groups.number, size, total)
    queries = [_QueryBlock(begin, rows[begin:end], count) for begin, end in block_bounds(total, QUERY_ROWS)]
    neighbours = np.empty((total, count), dtype=np.int64)
    tasks = [(number, len(queries)) for number in range(len(queries))]
    for (number, _), found in runner.run(_nearest_per_group, [*queries, groups], tasks):
        begin = queries[number].begin
        neighbours[begin : begin + found.shape[0]] = found
    return neighbours


def _nearest_per_group(query: object, groups: object) -> NDArray[np.int64]:
    """Return ``count`` approximate neighbours of each row of a _QueryBlock among the _Groups, int64[m, count]."""
    assert isinstance(query, _QueryBlock)  # noqa: S101 - for the type checker: one list holds both types
    assert isinstance(groups, _Groups)  # noqa: S101
    count, size = query.rows.shape[0], groups.size
    nearness = np.empty((count, groups.number), dtype=np.float32)
    at = np.empty((count, groups.number), dtype=np.int64)
    itself = groups.slot(np.arange(query.begin, query.begin + count))
    empty = groups.slot(np.arange(groups.total, groups.number * size))
    step = max(1, TILE_COLUMNS // size)
    tile = np.empty(count * step * size, dtype=np.float32)
    for first in range(0, groups.number, step):
        end = min(first + step, groups.number)
        columns = slice(first * size, end * size)
        products = tile[: count * (end - first) * size].reshape(count, -1)
        np.dot(query.rows, groups.rows[columns].T, out=products)
        own = np.flatnonzero((itself >= columns.start) & (itself < columns.stop))
        products[own, itself[own] - columns.start] = EXCLUDED
        products[:, empty[(empty >= columns.start) & (empty < columns.stop)] - columns.start] = EXCLUDED
        best = products.reshape(-1, size).argmax(axis=1)
        at[:, first:end] = best.reshape(count, -1)
        best += np.arange(0, best.size * size, size)
        nearness[:, first:end] = products.ravel().take(best).reshape(count, -1)
    chosen = np.argpartition(nearness, groups.number - query.count, axis=1)[:, groups.number - query.count :]
    return np.take_along_axis(at, chosen, axis=1) * groups.number + chosen
