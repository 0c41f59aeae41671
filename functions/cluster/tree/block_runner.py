"""Run a function over pairs of blocks of rows, on the threads of this machine or elsewhere."""

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
    """Executes block tasks. Results may come in any order, and callers must not depend on it."""

    def run(
        self, function: Callable[[Block, Block], Result], blocks: Sequence[Block], pairs: Sequence[Pair]
    ) -> Iterator[tuple[Pair, Result]]:
        """Yield ``(i, j), function(blocks[i], blocks[j])`` for every pair."""
        ...


class ThreadRunner:
    """Executes block tasks on one thread per processor, each with a single-threaded BLAS.

    numpy releases the interpreter's lock during large operations.
    """

    def __init__(self, workers: int | None = None) -> None:
        """``workers`` is the number of threads; by default that of the processors this process may use."""
        self._workers = workers or available_processors()

    def run(
        self, function: Callable[[Block, Block], Result], blocks: Sequence[Block], pairs: Sequence[Pair]
    ) -> Iterator[tuple[Pair, Result]]:
        """Yield the results in the order of ``pairs``."""
        with single_threaded_blas(), ThreadPoolExecutor(self._workers) as pool:
            results = pool.map(lambda pair: function(blocks[pair[0]], blocks[pair[1]]), pairs)
            yield from zip(pairs, results, strict=True)


def available_processors() -> int:
    """Return the number of processors this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def block_pairs(count: int) -> list[Pair]:
    """Return all pairs (i, j) of ``count`` blocks with i <= j, those with i = j first."""
    return [(i, i) for i in range(count)] + [(i, j) for i in range(count) for j in range(i + 1, count)]


def block_bounds(count: int, block_rows: int) -> list[Pair]:
    """Divide ``count`` rows evenly into blocks of at most ``block_rows``; return (begin, end) of each."""
    blocks = max(1, -(-count // block_rows))
    size = -(-count // blocks)
    return [(begin, min(begin + size, count)) for begin in range(0, count, size)]
