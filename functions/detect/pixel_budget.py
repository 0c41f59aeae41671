"""How many photos are let in, and how many of them are decoded and looked at side by side.

Places bound how many are inside; room, counted in pixels, bounds how many of those are at work. Whoever finds no
place, or waits too long for room, is told that detect is busy, so that the bus slows down.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore, Condition, Lock

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


class PixelBudget:
    """Bounds memory. Photos of ordinary size go through side by side, one of the largest goes alone."""

    def __init__(self, pixels: int, photos: int, patience: float) -> None:
        """Let at most `photos` in at a time, together no more than `pixels`; wait at most `patience` seconds."""
        self._all = pixels
        self._pixels = pixels
        self._photos = photos
        self._patience = patience
        self._room = Condition()
        # Whoever waits for room holds the door, so that small photos do not pass a large one for ever.
        self._door = Lock()

    @contextmanager
    def taken(self, pixels: int) -> Iterator[None]:
        """Hold room for a photo of so many pixels, once there is room; one larger than all of it takes all.

        Raises:
            Busy: there was no room within the patience.
        """
        # A photo of unknown size counts as one pixel: nothing of it is decoded before its size is known.
        needed = max(1, min(pixels, self._all))
        self._enter(needed)
        try:
            yield
        finally:
            with self._room:
                self._pixels += needed
                self._photos += 1
                self._room.notify_all()

    def _enter(self, needed: int) -> None:
        until = time.monotonic() + self._patience
        message = f"there was no room to look at the photo within {self._patience:g} s: try again later"
        if not self._door.acquire(timeout=self._patience):
            raise Busy(message)
        try:
            with self._room:
                if not self._room.wait_for(
                    lambda: self._photos > 0 and self._pixels >= needed, until - time.monotonic()
                ):
                    raise Busy(message)
                self._pixels -= needed
                self._photos -= 1
        finally:
            self._door.release()
