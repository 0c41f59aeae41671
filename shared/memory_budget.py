"""How much memory the photos that are decoded side by side may take together.

A photo of ordinary size takes a tenth of what one of the largest takes: so they go through side by side, and the
largest go alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition, Lock

from shared.errors import Busy


class MemoryBudget:
    """Bounds memory, in bytes, and how many photos share it."""

    def __init__(self, size: int, photos: int, patience: float) -> None:
        """Let at most `photos` in at a time, together with no more than `size`; wait at most `patience` seconds."""
        self._all = size
        self._free = size
        self._photos = photos
        self._patience = patience
        self._room = Condition()
        # Whoever waits for room holds the door, so that small photos do not pass a large one for ever.
        self._door = Lock()

    @contextmanager
    def taken(self, size: int) -> Iterator[None]:
        """Hold room for a photo that takes so many bytes, once there is room; one larger than all of it takes all.

        Raises:
            Busy: there was no room within the patience.
        """
        # What is refused by its header takes next to nothing.
        needed = max(1, min(size, self._all))
        self._enter(needed)
        try:
            yield
        finally:
            with self._room:
                self._free += needed
                self._photos += 1
                self._room.notify_all()

    def _enter(self, needed: int) -> None:
        until = time.monotonic() + self._patience
        message = f"there was no room to look at the photo within {self._patience:g} s: try again later"
        if not self._door.acquire(timeout=self._patience):
            raise Busy(message)
        try:
            with self._room:
                if not self._room.wait_for(lambda: self._photos > 0 and self._free >= needed, until - time.monotonic()):
                    raise Busy(message)
                self._free -= needed
                self._photos -= 1
        finally:
            self._door.release()
