"""Choose where the block tasks of large events run: on the threads of this machine, or on a Dask cluster."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial

from functions.cluster.tree import BlockRunner
from shared.errors import SettingsError

Workers = Callable[[], AbstractContextManager[BlockRunner | None]]
"""Gives the workers of one run; None for the threads of this machine."""


def threads() -> AbstractContextManager[BlockRunner | None]:
    """Use the threads of this machine."""
    return nullcontext()


def workers_at(scheduler_address: str | None) -> Workers:
    """Return the workers of the Dask cluster at the address, not connected yet; without an address, threads.

    Raises:
        SettingsError: an address is set and Dask is not installed.
    """
    if scheduler_address is None:
        return threads
    if importlib.util.find_spec("distributed") is None:
        missing = "DASK_SCHEDULER_ADDRESS is set, and the package distributed is not installed: add the extra dask"
        raise SettingsError(missing)
    # Imported only here: it takes most of a second, and most installations have no Dask.
    dask_runner = importlib.import_module("functions.cluster.dask_runner")
    return partial(dask_runner.on_demand, scheduler_address)
