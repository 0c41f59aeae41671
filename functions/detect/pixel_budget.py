"""How many photos are decoded and looked at side by side: as many as fit into a number of pixels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition, Lock


class PixelBudget:
    """Bounds memory. Photos of ordinary size go through side by side, one of the largest goes alone."""

    def __init__(self, pixels: int, photos: int) -> None:
        """Let at most `photos` in at a time, and together no more than `pixels`."""
        self._all = pixels
        self._pixels = pixels
        self._photos = photos
        self._room = Condition()
        # Whoever waits for room holds the door, so that small photos do not pass a large one for ever.
        self._door = Lock()

    @contextmanager
    def taken(self, pixels: int) -> Iterator[None]:
        """Hold room for a photo of so many pixels, once there is room; one larger than all of it takes all."""
        # A photo of unknown size counts as one pixel: nothing of it is decoded before its size is known.
        needed = max(1, min(pixels, self._all))
        with self._door, self._room:
            self._room.wait_for(lambda: self._photos > 0 and self._pixels >= needed)
            self._pixels -= needed
            self._photos -= 1
        try:
            yield
        finally:
            with self._room:
                self._pixels += needed
                self._photos += 1
                self._room.notify_all()
