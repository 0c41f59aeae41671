"""Runs a function over pairs of blocks of rows: on the threads of this machine or elsewhere."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cache
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

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
        with single_threaded_blas(), ThreadPoolExecutor(self._workers) as pool:
            results = pool.map(lambda pair: function(blocks[pair[0]], blocks[pair[1]]), pairs)
            yield from zip(pairs, results, strict=True)


def single_threaded_blas() -> AbstractContextManager[object]:
    """While in this context, BLAS computes on the calling thread only.

    Its own threads go on spinning for a while after each product, and take the processor from ours.
    """
    limited: AbstractContextManager[object] = _blas().limit(limits=1, user_api="blas")
    return limited


@cache
def _blas() -> ThreadpoolController:
    """The loaded BLAS libraries. Finding them takes a millisecond or two."""
    return ThreadpoolController()


_buffers = threading.local()


def scratch(name: str, shape: tuple[int, int], dtype: type[Number]) -> NDArray[Number]:
    """An uninitialised C-contiguous array that this thread uses again under the same name: fresh pages are dear."""
    size = shape[0] * shape[1]
    kept: NDArray[Number] | None = getattr(_buffers, name, None)
    if kept is None or kept.size < size:
        kept = np.empty(size, dtype=dtype)
        setattr(_buffers, name, kept)
    return kept[:size].reshape(shape)


def in_shares(function: Callable[[int, int], None], count: int, smallest: int) -> None:
    """Call ``function(begin, end)`` on all processors, for even shares of ``count`` things, at least ``smallest``."""
    in_parallel(function, block_bounds(count, max(smallest, -(-count // available_processors()))))


def in_parallel(function: Callable[[int, int], None], shares: Sequence[Pair]) -> None:
    """Call ``function(begin, end)`` for every share, on all processors.

    This thread works through the shares as well, so that it never waits for helpers that are busy elsewhere.
    """
    waiting = iter(shares)

    def work() -> None:
        for begin, end in waiting:
            function(begin, end)

    wanted = min(len(shares), available_processors()) - 1
    helpers = [_helpers().submit(work) for _ in range(wanted)]
    try:
        work()
    finally:
        for helper in helpers:
            if not helper.cancel():
                helper.result()


@cache
def _helpers() -> ThreadPoolExecutor:
    """Threads that outlive a call: starting one takes a tenth of a millisecond."""
    return ThreadPoolExecutor(available_processors() - 1, thread_name_prefix="cluster")


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
