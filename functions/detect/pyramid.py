"""One photo at several sizes, so that every step takes the smallest that has enough pixels for it.

Places are given in pixels of the original upright photo, whatever the size they are looked up in. The centre of a
pixel is at its index: pixel 0 of a level whose pixels stand for two of the original lies at 0.5.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from shared.decode import DecodedPhoto

Pixels = npt.NDArray[np.uint8]
Points = npt.NDArray[np.floating]

# Bilinear resizing looks at 2 x 2 pixels. Up to this many times smaller it leaves little out; beyond, pixels are
# averaged first. insightface never averages: with at most 2.5 its own detections come out (docs/detection.md).
_LARGEST_STEP: Final = 2.5
_SMALLEST_SIDE: Final = 2


@dataclass(frozen=True, eq=False)
class Level:
    """The photo at one size: uint8[height, width, 3], each pixel standing for `step` x `step` of the original."""

    pixels: Pixels
    step: int

    @property
    def longer_side(self) -> int:
        """In pixels of this level."""
        height, width = self.pixels.shape[:2]
        return int(max(height, width))

    def place(self, points: Points) -> npt.NDArray[np.float64]:
        """Return where points [n, 2] of the original are in this level."""
        return np.asarray((points + 0.5) / self.step - 0.5)


class Pyramid:
    """The sizes of one photo: what was decoded, and halves of it, each made when it is first asked for."""

    def __init__(self, photo: DecodedPhoto) -> None:
        self._levels = [Level(photo.rgb, photo.reduction)]

    @property
    def finest(self) -> Level:
        """The level with the most pixels."""
        return self._levels[0]

    def add_finer(self, photo: DecodedPhoto) -> None:
        """Put the photo, decoded once more with more pixels, below the levels that there are."""
        if photo.reduction < self.finest.step:
            self._levels.insert(0, Level(photo.rgb, photo.reduction))

    def for_canvas(self, side: int) -> Level:
        """Return the finest level that bilinear resizing can bring to a longer side of `side` pixels."""
        return self._first(lambda level: level.longer_side <= _LARGEST_STEP * side)

    def for_crop(self, scale: float) -> Level:
        """Return the coarsest level as fine as a crop that has `scale` pixels per original pixel."""
        return self._first(lambda level: 2 * level.step * scale > 1.0)

    def _first(self, fits: Callable[[Level], bool]) -> Level:
        """Return the finest level that fits; the coarsest that can be made, when none does."""
        level = self.finest
        while not fits(level) and min(level.pixels.shape[:2]) >= 2 * _SMALLEST_SIDE:
            level = self._coarser_than(level)
        return level

    def _coarser_than(self, level: Level) -> Level:
        """Return the next level; at half the size of this one where there is none yet."""
        position = self._levels.index(level) + 1
        if position == len(self._levels):
            self._levels.append(Level(_halved(level.pixels), 2 * level.step))
        return self._levels[position]


def _halved(pixels: Pixels) -> Pixels:
    """Average squares of 2 x 2 pixels; an odd last row or column is left out, for with it cv2 is ten times slower."""
    height, width = (side // 2 for side in pixels.shape[:2])
    even = pixels[: 2 * height, : 2 * width]
    return np.asarray(cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
