"""Where the faces of a photo are: which passes the detector makes over it, and what is kept of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from functions.detect.pyramid import Pyramid
from functions.detect.quality import pose

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

# insightface's own default pair: at 640 a group photo's faces are found, at 128 one that fills the picture.
# They are the longer side of the canvas; the shorter is the photo's, rounded up to what the networks need
# (insightface pads to a square, a third of which is black for most photos and is computed all the same).
DETECTION_SIZES: Final = (128, 640)
_CANVAS_STEP: Final = 32

# A detection smaller than this in the original picture is not kept: five landmarks within so few pixels align
# nothing, and its embedding would match anybody.
MIN_FACE_PIXELS: Final = 12

# How much of a box lies in a better one when it is only a part of that face. Four of 40 pictures that a face
# fills had such a part, with shares from 0.76 to 1; a face in front of another leaves it more than 0.3 to see.
_FRAGMENT_SHARE: Final = 0.7

# A crowd gets one more pass at twice the size. Detectors lose faces below some 9 pixels of the 640-pixel canvas:
# when the smallest that was found is near that, there are probably others. Only small faces are taken from it,
# for the larger size sees parts of large faces as faces.
CROWD_SIZE: Final = 1280
_CROWD_WHEN_BELOW: Final = 12.0
_CROWD_TAKES_BELOW: Final = 24.0

# A photo in which nothing is found is looked at lying on either side, small: enough to tell whether it is to be
# turned. What shows a face then is looked at again at full size. A turned landscape must not become a face, so the
# detector has to be sure: a motorcycle scored 0.59 that way, people on their side at least 0.87.
_TURNED_SIZE: Final = 320
_TURNED_SCORE: Final = 0.7
_ON_ITS_SIDE: Final = (cv2.ROTATE_90_CLOCKWISE, cv2.ROTATE_90_COUNTERCLOCKWISE)

# The same, and upside down, where the faces that were found lie: their landmarks, and with them the embeddings, are
# no good (mean cosine 0.34 to the same faces upright). The median roll of upright photos went up to 23 degrees.
_LYING_ROLL: Final = 45.0

# Overlap (intersection over union) from which two detections are one face: insightface's own.
_SAME_FACE_IOU: Final = 0.4


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
        """These, then the others."""
        return Detections(
            np.concatenate([self.boxes, others.boxes]),
            np.concatenate([self.scores, others.scores]),
            np.concatenate([self.landmarks, others.landmarks]),
        )

    def sizes(self) -> Floats:
        """The shorter side of each box."""
        return np.asarray((self.boxes[:, 2:] - self.boxes[:, :2]).min(axis=1, initial=np.inf), dtype=np.float32)


class Detector(Protocol):
    """insightface's detector: BGR uint8[height, width, 3] → boxes with score [n,5] and landmarks [n,5,2]."""

    def detect(self, img: Pixels, input_size: list[tuple[int, int]]) -> tuple[Floats, Floats]:
        """Look for faces on canvases of these sizes (width, height), and drop those found twice."""


def find(detector: Detector, photo: Pyramid) -> Detections:
    """Find the faces of a photo, from left to right.

    Numbers that make no sense (not finite) are passed on: the caller counts them.
    """
    longer = photo.finest.longer_side * photo.finest.step
    found = _kept(_look(detector, photo, DETECTION_SIZES))
    # NaN compares false with everything.
    if bool((found.sizes() * DETECTION_SIZES[-1] < _CROWD_WHEN_BELOW * longer).any()):
        more = _look(detector, photo, (CROWD_SIZE,))
        small = more.sizes() * DETECTION_SIZES[-1] < _CROWD_TAKES_BELOW * longer
        found = _kept(found.and_also(_new(more.chosen(small), found)))
    if not len(found):
        found = _find_turned(detector, photo, _ON_ITS_SIDE) or found
    elif _lies(found):
        found = _find_turned(detector, photo, (*_ON_ITS_SIDE, cv2.ROTATE_180), float(found.scores.max())) or found
    return found.chosen(np.lexsort((found.boxes[:, 1], found.boxes[:, 0])))


def _look(detector: Detector, photo: Pyramid, sizes: tuple[int, ...], turn: int | None = None) -> Detections:
    """One pass at these sizes over the photo, turned by one of cv2's rotations; places are those of the turned."""
    level = photo.for_canvas(max(sizes))
    blue_first = cv2.cvtColor(level.pixels, cv2.COLOR_RGB2BGR)
    if turn is not None:
        blue_first = cv2.rotate(blue_first, turn)
    height, width = blue_first.shape[:2]
    found, landmarks = detector.detect(np.asarray(blue_first, dtype=np.uint8), canvases(width, height, sizes))
    return Detections(found[:, :4] * level.step, found[:, 4], landmarks * level.step)


def _kept(found: Detections) -> Detections:
    """Leave out what is too small and what is part of another face."""
    found = found.chosen((found.sizes() >= MIN_FACE_PIXELS) | ~np.isfinite(found.boxes).all(axis=1))
    return found.chosen(~fragments(found.boxes, found.scores))


def _new(found: Detections, known: Detections) -> Detections:
    """Those that overlap none of the known."""
    return found.chosen(np.asarray((_overlaps(found.boxes, known.boxes) <= _SAME_FACE_IOU).all(axis=1)))


def _lies(found: Detections) -> bool:
    """Say whether at least half of the faces are tilted so far that the photo may be turned."""
    rolls = [abs(pose(landmarks).roll) for landmarks in found.landmarks if np.isfinite(landmarks).all()]
    return bool(rolls) and float(np.median(rolls)) > _LYING_ROLL


def _find_turned(
    detector: Detector, photo: Pyramid, turns: tuple[int, ...], score: float = _TURNED_SCORE
) -> Detections | None:
    """Find faces that lie on their side, as in a photo that lost its EXIF orientation.

    Their places are those of the photo as it is; landmarks keep the order of the upright face. None unless a face
    scores more than `score` in one of the turns.
    """
    sizes = (DETECTION_SIZES[0], _TURNED_SIZE)
    surest = {turn: float(_look(detector, photo, sizes, turn).scores.max(initial=0.0)) for turn in turns}
    best = max(surest, key=surest.__getitem__)
    if surest[best] < max(score, _TURNED_SCORE):
        return None
    level = photo.for_canvas(DETECTION_SIZES[-1])
    height, width = (side * level.step for side in level.pixels.shape[:2])
    found = turned_back(_kept(_look(detector, photo, DETECTION_SIZES, best)), best, width, height)
    return found if len(found) else None


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


def canvases(width: int, height: int, sizes: tuple[int, ...] = DETECTION_SIZES) -> list[tuple[int, int]]:
    """Return (width, height) of the detector's canvases for a picture of that size, multiples of 32."""
    longer = max(width, height)
    return [(_canvas_side(width * size / longer), _canvas_side(height * size / longer)) for size in sizes]


def _canvas_side(pixels: float) -> int:
    return max(1, math.ceil(pixels / _CANVAS_STEP)) * _CANVAS_STEP


def fragments(boxes: Floats, scores: Floats) -> npt.NDArray[np.bool_]:
    """Mark boxes [n,4] that are part of another face: 70 % inside a larger box with a higher score.

    A face that fills the picture is found whole at 128, and sometimes an eye and the nose of it at 640 too, as
    a smaller face that overlaps too little for non-maximum suppression (intersection over union).
    """
    areas = _areas(boxes)
    inside = _shared_areas(boxes, boxes) >= _FRAGMENT_SHARE * areas[:, None]
    better = (areas[None, :] > areas[:, None]) & (scores[None, :] > scores[:, None])
    return np.asarray((inside & better).any(axis=1))


def _areas(boxes: Floats) -> Floats:
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).prod(axis=1))


def _shared_areas(boxes: Floats, others: Floats) -> Floats:
    """Return the area that each of boxes [n,4] shares with each of others [m,4]: [n,m]."""
    top_left = np.maximum(boxes[:, None, :2], others[None, :, :2])
    bottom_right = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    return np.asarray(np.clip(bottom_right - top_left, 0.0, None).prod(axis=2))


def _overlaps(boxes: Floats, others: Floats) -> Floats:
    """Return the intersection over union of each of boxes [n,4] with each of others [m,4]: [n,m]."""
    shared = _shared_areas(boxes, others)
    union = _areas(boxes)[:, None] + _areas(others)[None, :] - shared
    return np.asarray(shared / np.maximum(union, np.finfo(np.float32).tiny))
