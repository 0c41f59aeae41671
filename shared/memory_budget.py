"""Limit the memory that photos decoded concurrently use together.

A photo of ordinary size needs a tenth of the memory of the largest accepted photo: several of them are decoded
concurrently, and the largest photos one at a time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition, Lock

from shared.errors import Busy


class MemoryBudget:
    """Limits the memory, in bytes, and the number of photos that share it."""

    def __init__(self, size: int, photos: int, patience: float) -> None:
        """Admit at most `photos` at a time, with `size` bytes together; a photo waits at most `patience` seconds."""
        self._total = size
        self._free = size
        self._free_slots = photos
        self._patience = patience
        self._changed = Condition()
        # Held by the photo that waits first, so that small photos cannot overtake a large one for ever.
        self._turn = Lock()

    @contextmanager
    def taken(self, size: int) -> Iterator[None]:
        """Reserve ``size`` bytes for a photo within the block, waiting for them if necessary.

        A photo larger than the whole budget reserves all of it.

        Raises:
            Busy: the memory did not become free in time.
        """
        # A photo that is refused because of its header needs almost no memory.
        needed = max(1, min(size, self._total))
        self._enter(needed)
        try:
            yield
        finally:
            with self._changed:
                self._free += needed
                self._free_slots += 1
                self._changed.notify_all()

    def _enter(self, needed: int) -> None:
        until = time.monotonic() + self._patience
        message = f"no memory became free to process the photo within {self._patience:g} s: try again later"
        if not self._turn.acquire(timeout=self._patience):
            raise Busy(message)
        try:
            with self._changed:
                fits = self._changed.wait_for(
                    lambda: self._free_slots > 0 and self._free >= needed, until - time.monotonic()
                )
                if not fits:
                    raise Busy(message)
                self._free -= needed
                self._free_slots -= 1
        finally:
            self._turn.release()
