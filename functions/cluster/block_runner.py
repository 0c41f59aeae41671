"""Runs a function over pairs of blocks of rows: on the threads of this machine or elsewhere."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

Block = TypeVar("Block")
Result = TypeVar("Result")
Number = TypeVar("Number", bound=np.generic)
Pair = tuple[int, int]


class BlockRunner(Protocol):
    """Where block tasks run. Results come in any order: nothing may depend on it."""

    def run(
        self, function: Callable[[Block, Block], Result], blocks: Sequence[Block], pairs: Sequence[Pair]
    ) -> Iterator[tuple[Pair, Result]]:
        """Yield ``(i, j), function(blocks[i], blocks[j])`` for every pair."""
        ...


class ThreadRunner:
    """One thread per processor, each with a single-threaded BLAS; numpy frees the interpreter in large operations."""

    def __init__(self, workers: int | None = None) -> None:
        """``workers``: threads; by default as many as processors this process may use."""
        self._workers = workers or available_processors()

    def run(
        self, function: Callable[[Block, Block], Result], blocks: Sequence[Block], pairs: Sequence[Pair]
    ) -> Iterator[tuple[Pair, Result]]:
        """Yield the results in the order of ``pairs``."""
        with threadpool_limits(1, "blas"), ThreadPoolExecutor(self._workers) as pool:
            results = pool.map(lambda pair: function(blocks[pair[0]], blocks[pair[1]]), pairs)
            yield from zip(pairs, results, strict=True)


_buffers = threading.local()


def scratch(name: str, shape: tuple[int, int], dtype: type[Number]) -> NDArray[Number]:
    """An uninitialised C-contiguous array that this thread uses again under the same name: fresh pages are dear."""
    size = shape[0] * shape[1]
    kept: NDArray[Number] | None = getattr(_buffers, name, None)
    if kept is None or kept.size < size:
        kept = np.empty(size, dtype=dtype)
        setattr(_buffers, name, kept)
    return kept[:size].reshape(shape)


def all_products(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The full matrix of products, float32[n, n], a share of the rows on each processor.

    Threads of our own wait for each other without spinning, which BLAS's do not: on a busy machine that is twice as
    fast. The copy keeps BLAS off its symmetric kernel, which crashes on large inputs in some builds.
    """
    products = np.empty((rows.shape[0], rows.shape[0]), dtype=np.float32)
    columns = rows.copy().T
    workers = available_processors()
    shares = block_bounds(rows.shape[0], max(1, -(-rows.shape[0] // workers)))
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda share: np.dot(rows[slice(*share)], columns, out=products[slice(*share)]), shares))
    return products


def available_processors() -> int:
    """The number of processors this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def block_pairs(count: int) -> list[Pair]:
    """All pairs (i, j) of ``count`` blocks with i <= j, those of a block with itself first."""
    return [(i, i) for i in range(count)] + [(i, j) for i in range(count) for j in range(i + 1, count)]


def block_bounds(count: int, block_rows: int) -> list[Pair]:
    """Even cuts of ``count`` rows into blocks of at most about ``block_rows``: (begin, end) of each."""
    blocks = max(1, -(-count // block_rows))
    size = -(-count // blocks)
    return [(begin, min(begin + size, count)) for begin in range(0, count, size)]
