"""Boxes relative to the upright photo."""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Box:
    """Top left corner, width and height as fractions of the upright photo: all in [0, 1], x + w and y + h too."""

    x: float
    y: float
    w: float
    h: float

    @classmethod
    def from_corners(cls, corners: tuple[float, float, float, float], width: float, height: float) -> Self:
        """Normalise (left, top, right, bottom) in pixels of a `width` x `height` picture, cut at its edges."""
        left, right = (min(max(value / width, 0.0), 1.0) for value in (corners[0], corners[2]))
        top, bottom = (min(max(value / height, 0.0), 1.0) for value in (corners[1], corners[3]))
        return cls(left, top, max(right - left, 0.0), max(bottom - top, 0.0))

    @property
    def area(self) -> float:
        """The share of the photo that the box covers."""
        return self.w * self.h


def box_iou(one: Box, other: Box) -> float:
    """Return intersection over union in [0, 1]; 0 when a box is empty."""
    width = min(one.x + one.w, other.x + other.w) - max(one.x, other.x)
    height = min(one.y + one.h, other.y + other.h) - max(one.y, other.y)
    if width <= 0 or height <= 0:
        return 0.0
    intersection = width * height
    union = one.area + other.area - intersection
    # Rounding may lift two equal boxes a hair above 1.
    return min(intersection / union, 1.0) if union > 0 else 0.0
