"""Choose the threads of BLAS: one where other threads compute or many small products follow each other, else all."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController


def single_threaded_blas() -> AbstractContextManager[object]:
    """Make BLAS compute on the calling thread only, within this context.

    BLAS threads keep spinning for a while after each product and compete with the threads of this process.
    """
    controller, _ = _blas()
    limited: AbstractContextManager[object] = controller.limit(limits=1, user_api="blas")
    return limited


def multi_threaded_blas() -> AbstractContextManager[object]:
    """Let BLAS use as many threads as it would by itself, within this context: for one large product."""
    controller, threads = _blas()
    limited: AbstractContextManager[object] = controller.limit(limits=threads, user_api="blas")
    return limited


@cache
def _blas() -> tuple[ThreadpoolController, int]:
    """Find the loaded BLAS libraries and their number of threads, before any limit; it takes a millisecond or two."""
    controller = ThreadpoolController()
    return controller, max((library["num_threads"] for library in controller.select(user_api="blas").info()), default=1)
