"""Choose the threads of BLAS: one where other threads compute or many small products follow each other, else all."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController


def single_threaded_blas() -> AbstractContextManager[object]:
    """Make BLAS compute on the calling thread only, within this context.

    BLAS threads keep spinning for a while after each product and compete with the threads of this process.
    """
    limited: AbstractContextManager[object] = _blas().limit(limits=1, user_api="blas")
    return limited


def multi_threaded_blas() -> AbstractContextManager[object]:
    """Let BLAS use all processors of this process, within this context: for one large product."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limited: AbstractContextManager[object] = _blas().limit(limits=processors, user_api="blas")
    return limited


@cache
def _blas() -> ThreadpoolController:
    """Find the loaded BLAS libraries, once; it takes a millisecond or two."""
    return ThreadpoolController()
