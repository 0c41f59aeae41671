"""Near neighbours of every row, from its largest product in each of many groups of rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from functions.cluster.tree.block_runner import BlockRunner, block_bounds

LARGEST_GROUP = 256
"""Rows of a group at most. Larger groups are looked through faster, and more often hold two near neighbours of one row,
of which the second is not seen."""

GROUPS_FOR_EACH = 4
"""Groups for each neighbour wanted, at least."""

STRIP_ROWS = 640
TILE_COLUMNS = 1280
"""Products are looked at in tiles of so many rows and columns: 3 MB."""

NEVER = np.float32(-9.0)
"""Less than any product of unit rows."""


@dataclass(frozen=True)
class _Strip:
    """The rows from number ``begin`` on, float32[m, k], whose neighbours are looked for."""

    begin: int
    rows: NDArray[np.float32]
    count: int


@dataclass(frozen=True)
class _Groups:
    """All rows, dealt into ``number`` groups of ``size`` places: float32[number * size, k], 0 where a place is empty.

    Row r is in group ``r % number``, so that rows that follow each other (a burst of photos) are in different groups.
    """

    rows: NDArray[np.float32]
    number: int
    size: int
    total: int

    def place(self, row: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where each row is."""
        return (row % self.number) * self.size + row // self.number


def near_neighbours(rows: NDArray[np.float32], count: int, runner: BlockRunner) -> NDArray[np.int64]:
    """For each of the rows (float32[n, k], n > count) ``count`` other rows with large products, int64[n, count].

    Of each group only the nearest row is seen, so these are nearly, not always, the nearest rows.
    """
    total = rows.shape[0]
    size = max(1, min(LARGEST_GROUP, total // (GROUPS_FOR_EACH * (count + 1))))
    groups = _Groups(np.zeros(0, np.float32), -(-total // size), size, total)
    dealt = np.zeros((groups.number * size, rows.shape[1]), dtype=np.float32)
    dealt[groups.place(np.arange(total))] = rows
    groups = _Groups(dealt, groups.number, size, total)
    strips = [_Strip(begin, rows[begin:end], count) for begin, end in block_bounds(total, STRIP_ROWS)]
    near = np.empty((total, count), dtype=np.int64)
    tasks = [(number, len(strips)) for number in range(len(strips))]
    for (number, _), found in runner.run(_near_of_strip, [*strips, groups], tasks):
        begin = strips[number].begin
        near[begin : begin + found.shape[0]] = found
    return near


def _near_of_strip(strip: object, groups: object) -> NDArray[np.int64]:
    """``count`` near neighbours of each row of a _Strip among the _Groups, int64[m, count]."""
    assert isinstance(strip, _Strip)  # noqa: S101 - for the type checker: both come in one list
    assert isinstance(groups, _Groups)  # noqa: S101
    count, size = strip.rows.shape[0], groups.size
    nearness = np.empty((count, groups.number), dtype=np.float32)
    at = np.empty((count, groups.number), dtype=np.int64)
    here = np.arange(strip.begin, strip.begin + count)
    place = groups.place(here)
    last = groups.place(np.arange(groups.total, groups.number * size))
    step = max(1, TILE_COLUMNS // size)
    tile = np.empty(count * step * size, dtype=np.float32)
    for first in range(0, groups.number, step):
        end = min(first + step, groups.number)
        columns = slice(first * size, end * size)
        products = tile[: count * (end - first) * size].reshape(count, -1)
        np.dot(strip.rows, groups.rows[columns].T, out=products)
        own = np.flatnonzero((place >= columns.start) & (place < columns.stop))
        products[own, place[own] - columns.start] = NEVER
        products[:, last[(last >= columns.start) & (last < columns.stop)] - columns.start] = NEVER
        best = products.reshape(-1, size).argmax(axis=1)
        at[:, first:end] = best.reshape(count, -1)
        best += np.arange(0, best.size * size, size)
        nearness[:, first:end] = products.ravel().take(best).reshape(count, -1)
    chosen = np.argpartition(nearness, groups.number - strip.count, axis=1)[:, groups.number - strip.count :]
    return np.take_along_axis(at, chosen, axis=1) * groups.number + chosen
