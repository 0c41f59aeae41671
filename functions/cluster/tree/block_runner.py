"""Runs a function over pairs of blocks of rows: on the threads of this machine or elsewhere."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from functions.cluster.blas import single_threaded_blas

Block = TypeVar("Block")
Result = TypeVar("Result")
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
