"""Faces as a detector gives them, and how their boxes lie to each other. Pure: arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

# How much of a box lies in a better one when it is only a part of that face. Four of 40 pictures that a face
# fills had such a part, with shares from 0.76 to 1; a face in front of another leaves it more than 0.3 to see.
_FRAGMENT_SHARE: Final = 0.7

# Overlap (intersection over union) from which two detections are one face: insightface's own.
SAME_FACE_IOU: Final = 0.4

# Weak detections that are kept, of each region, and candidates that are looked through for them. By regions, since
# clutter in one of them would otherwise leave no room for faces in another.
MOST_WEAK: Final = 256
_REGIONS_A_SIDE: Final = 4
_MOST_CANDIDATES: Final = 4096
_FAR: Final = 1 << 20


@dataclass(frozen=True, eq=False)
class Detections:
    """Boxes [n,4] (left, top, right, bottom) and landmarks [n,5,2] in pixels of the original, scores [n]."""

    boxes: Floats
    scores: Floats
    landmarks: Floats

    def __len__(self) -> int:
        return len(self.scores)

    def chosen(self, which: npt.NDArray[Any]) -> Detections:
        """Those at these places, or where the mask is true."""
        return Detections(self.boxes[which], self.scores[which], self.landmarks[which])

    def and_also(self, others: Detections) -> Detections:
        """Return these detections followed by the others."""
        return Detections(
            np.concatenate([self.boxes, others.boxes]),
            np.concatenate([self.scores, others.scores]),
            np.concatenate([self.landmarks, others.landmarks]),
        )

    def moved(self, x: float, y: float) -> Detections:
        """Return the detections moved right and down by this many pixels."""
        there = np.array([x, y], dtype=np.float32)
        return Detections(self.boxes + np.tile(there, 2), self.scores, self.landmarks + there)

    def sizes(self) -> Floats:
        """Return the shorter side of each box."""
        return np.asarray((self.boxes[:, 2:] - self.boxes[:, :2]).min(axis=1, initial=np.inf), dtype=np.float32)

    def centres(self) -> Floats:
        """Return the middle of each box, [n,2]."""
        return np.asarray((self.boxes[:, :2] + self.boxes[:, 2:]) / 2)


def distinct(found: Detections) -> Detections:
    """Keep of detections that overlap by more than SAME_FACE_IOU the best: non-maximum suppression."""
    found = found.chosen(np.argsort(-found.scores, kind="stable"))
    same = overlaps(found.boxes, found.boxes) > SAME_FACE_IOU
    kept = np.ones(len(found), dtype=np.bool_)
    for number in range(len(found)):
        if kept[number]:
            kept[number + 1 :] &= ~same[number, number + 1 :]
    return found.chosen(kept)


def sure_and_weak(candidates: Floats, threshold: float, exact: Callable[[Floats], list[int]]) -> list[int]:
    """Suppress non-maxima among candidates [n,5], best first: those that reach the threshold by `exact`.

    Of the others at most MOST_WEAK are kept, from each sixteenth of the picture its best, and none whose middle lies in
    one that was kept before.
    """
    sure = int((candidates[:, 4] >= threshold).sum())
    kept = exact(candidates[:sure])
    weak = candidates[sure : sure + _MOST_CANDIDATES]
    middles = (weak[:, :2] + weak[:, 2:4]) / 2
    free = np.flatnonzero(~within(middles, candidates[np.asarray(kept, dtype=np.intp), :4]).any(axis=1))
    # Of those whose middles lie in one cell of half their size, the first is the best.
    octaves = np.floor(np.log2(np.maximum((weak[free, 2:4] - weak[free, :2]).min(axis=1), 1.0)))
    cells = np.floor(middles[free] / (2.0 ** (octaves - 1))[:, None])
    _, first = np.unique((cells[:, 0] + 1j * cells[:, 1]) + octaves * _FAR, return_index=True)
    weak_ones = free[np.sort(first)]
    if len(weak_ones) > MOST_WEAK:
        weak_ones = np.sort(
            weak_ones[ranks(by_region(middles[weak_ones], _REGIONS_A_SIDE)) < MOST_WEAK // _REGIONS_A_SIDE**2]
        )
    return [*kept, *(sure + weak_ones)]


def by_region(middles: npt.NDArray[np.floating], a_side: int) -> npt.NDArray[np.intp]:
    """Return the number of each point's region [n]: the extent of points [n,2] is divided into `a_side` x `a_side`."""
    if not len(middles):
        return np.zeros(0, dtype=np.intp)
    middles = np.clip(np.nan_to_num(middles), -_FAR, _FAR)
    begin, span = middles.min(axis=0), np.ptp(middles, axis=0) + 1.0
    columns, rows = ((middles - begin) * a_side / span).astype(np.intp).T
    return np.asarray(rows * a_side + columns)


def ranks(groups: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """How many before it are of the same group, of each of [n]."""
    order = np.argsort(groups, kind="stable")
    grouped = groups[order]
    begins = np.searchsorted(grouped, grouped)
    places = np.empty_like(order)
    places[order] = np.arange(len(groups)) - begins
    return places


def turned_back(found: Detections, turn: int, width: int, height: int) -> Detections:
    """Return where detections in a picture turned by `turn` are in the picture of `width` x `height` itself."""
    left, top, right, bottom = found.boxes.T
    x, y = found.landmarks[..., 0], found.landmarks[..., 1]
    if turn == cv2.ROTATE_90_CLOCKWISE:
        boxes, landmarks = (top, height - right, bottom, height - left), (y, height - 1 - x)
    elif turn == cv2.ROTATE_180:
        boxes, landmarks = (width - right, height - bottom, width - left, height - top), (width - 1 - x, height - 1 - y)
    else:
        boxes, landmarks = (width - bottom, left, width - top, right), (width - 1 - y, x)
    return Detections(np.stack(boxes, axis=1), found.scores, np.stack(landmarks, axis=-1))


def fragments(boxes: Floats, scores: Floats) -> Mask:
    """Mark boxes [n,4] that are part of another face: 70 % inside a larger box with a higher score.

    A face that fills the picture is found whole at 128, and sometimes an eye and the nose of it at 640 too, as
    a smaller face that overlaps too little for non-maximum suppression (intersection over union).
    """
    areas = _areas(boxes)
    inside = _shared_areas(boxes, boxes) >= _FRAGMENT_SHARE * areas[:, None]
    better = (areas[None, :] > areas[:, None]) & (scores[None, :] > scores[:, None])
    return np.asarray((inside & better).any(axis=1))


def within(points: npt.NDArray[np.floating], boxes: Floats) -> Mask:
    """Say of each of points [n,2] in which of boxes [m,4] it lies: [n,m]."""
    beyond_top_left = (points[:, None] > boxes[None, :, :2]).all(axis=2)
    return np.asarray(beyond_top_left & (points[:, None] < boxes[None, :, 2:]).all(axis=2))


def overlaps(boxes: Floats, others: Floats) -> Floats:
    """Return the intersection over union of each of boxes [n,4] with each of others [m,4]: [n,m]."""
    shared = _shared_areas(boxes, others)
    union = _areas(boxes)[:, None] + _areas(others)[None, :] - shared
    return np.asarray(shared / np.maximum(union, np.finfo(np.float32).tiny))


def _areas(boxes: Floats) -> Floats:
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).prod(axis=1))


def _shared_areas(boxes: Floats, others: Floats) -> Floats:
    """Return the area that each of boxes [n,4] shares with each of others [m,4]: [n,m]."""
    top_left = np.maximum(boxes[:, None, :2], others[None, :, :2])
    bottom_right = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    return np.asarray(np.clip(bottom_right - top_left, 0.0, None).prod(axis=2))
