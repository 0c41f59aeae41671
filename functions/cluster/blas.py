"""Keeps BLAS on the calling thread where other threads work, or where many small products follow each other."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController


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
