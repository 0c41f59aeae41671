"""Restrict BLAS to the calling thread, where other threads compute or many small products follow each other."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController


def single_threaded_blas() -> AbstractContextManager[object]:
    """Make BLAS compute on the calling thread only, within this context.

    BLAS threads keep spinning for a while after each product and compete with the threads of this process.
    """
    limited: AbstractContextManager[object] = _blas().limit(limits=1, user_api="blas")
    return limited


@cache
def _blas() -> ThreadpoolController:
    """Find the loaded BLAS libraries, once; it takes a millisecond or two."""
    return ThreadpoolController()
