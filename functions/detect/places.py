"""How many photos are let in.

Places bound how many are inside; room (shared/memory_budget.py) bounds how many of those are at work. Whoever finds no
place, or waits too long for room, is told that detect is busy, so that the bus slows down.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from shared.errors import Busy


class Places:
    """Bounds how many photos are inside: read, waiting for room, at work, or written."""

    def __init__(self, photos: int) -> None:
        self._photos = photos
        self._free = BoundedSemaphore(photos)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Hold a place.

        Raises:
            Busy: all are taken; nobody waits here.
        """
        if not self._free.acquire(blocking=False):
            message = f"{self._photos} photos are being looked at, and there is no place for more: try again later"
            raise Busy(message)
        try:
            yield
        finally:
            self._free.release()
