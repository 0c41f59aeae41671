"""Limit the number of photos that detect accepts at a time.

This limit covers photos that are being read, wait for memory, are processed or are written; the memory budget
(shared/memory_budget.py) limits how many of them are processed. A delivery beyond the limit, or one that waits too long
for memory, is answered "busy", so that the bus slows down.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from shared.errors import Busy


class Places:
    """A limit on photos in progress: being read, waiting for memory, processed, or written."""

    def __init__(self, photos: int) -> None:
        self._photos = photos
        self._free = BoundedSemaphore(photos)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Occupy one of the slots.

        Raises:
            Busy: all slots are occupied; this never waits.
        """
        if not self._free.acquire(blocking=False):
            message = f"{self._photos} photos are being looked at, and there is no place for more: try again later"
            raise Busy(message)
        try:
            yield
        finally:
            self._free.release()
