"""One look of the detector: at a whole photo, or at many small windows of it side by side on one canvas."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from typing import Any, Final, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from functions.detect.detections import Detections, distinct, turned_back, within
from functions.detect.pyramid import Pyramid

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

_CANVAS_STEP: Final = 32

# A window is shown on so many pixels: a face of a third of it has 21, well above what a detector needs (some 9).
# 16 windows are a fifth of the 640 x 480 pixels of an ordinary look, and take a fifth of its time.
WINDOW_PIXELS: Final = 64
# As many of them stand in a row as leaves the fewest squares of the canvas empty.
_WINDOWS_A_ROW: Final = (1, 2, 3, 4)
# What was looked for is in the middle of its window; a detector sees it at most this share of the window beside.
_BESIDE: Final = 0.3

# At most so many pixels along the longer side of one canvas; a larger look is made in tiles. SCRFD-10GF takes
# 390 MiB at 1,344 x 1,008 and 655 at 1,920 x 1,440. Tiles overlap by the largest face that is taken from them.
_LARGEST_CANVAS: Final = 1344
_TILE_OVERLAP: Final = 96


class Detector(Protocol):
    """insightface's detector: BGR uint8[height, width, 3] → boxes with score [n,5] and landmarks [n,5,2]."""

    def detect(
        self, img: Pixels, input_size: list[tuple[int, int]], *, det_thresh: float | None = None
    ) -> tuple[Floats, Floats]:
        """Look for faces on canvases of these sizes (width, height): best score first, each face once.

        What scores less than `det_thresh` is left out; by default the threshold is the detector's own.
        """


@dataclass(frozen=True)
class Window:
    """A square of the photo to look at: its middle and its side in pixels of the original, and how to turn it."""

    x: float
    y: float
    side: float
    turn: int | None = None


def look(
    detector: Detector,
    photo: Pyramid,
    sizes: tuple[int, ...],
    *,
    least: float,
    turn: int | None = None,
    stretch: float = 1.0,
) -> Detections:
    """Look at the photo on canvases of these longer sides, times `stretch`, and return what scores `least` or more.

    `turn` is one of cv2's rotations: the photo is looked at turned; places are those of the photo itself.
    """
    most = _LARGEST_CANVAS * stretch
    sizes = tuple(round(size * stretch) for size in sizes)
    level = photo.for_canvas(max(sizes))
    blue_first = np.asarray(cv2.cvtColor(level.pixels, cv2.COLOR_RGB2BGR), dtype=np.uint8)
    if turn is not None:
        blue_first = np.asarray(cv2.rotate(blue_first, turn), dtype=np.uint8)
    if max(sizes) > most:
        found = _look_in_tiles(detector, blue_first, max(sizes), least, most)
    else:
        found = _look_once(detector, blue_first, sizes, least)
    if turn is not None:
        height, width = level.pixels.shape[:2]
        found = turned_back(found, turn, width, height)
    return Detections(found.boxes * level.step, found.scores, found.landmarks * level.step)


def _look_once(detector: Detector, blue_first: Pixels, sizes: tuple[int, ...], least: float) -> Detections:
    height, width = blue_first.shape[:2]
    found, landmarks = detector.detect(blue_first, canvases(width, height, sizes), det_thresh=least)
    return Detections(found[:, :4], found[:, 4], landmarks)


def _look_in_tiles(detector: Detector, blue_first: Pixels, size: int, least: float, most: float) -> Detections:
    """Look at overlapping parts, each on a canvas of its own of about `most` pixels or fewer along a side."""
    height, width = blue_first.shape[:2]
    scale = size / max(height, width)
    found = []
    for top, bottom in _parts(height, scale, most):
        for left, right in _parts(width, scale, most):
            part = np.ascontiguousarray(blue_first[top:bottom, left:right])
            longer = round(max(part.shape[:2]) * scale)
            found.append(_look_once(detector, part, (longer,), least).moved(left, top))
    return distinct(reduce(Detections.and_also, found))


def _parts(side: int, scale: float, most: float) -> list[tuple[int, int]]:
    """Cut a side into equal overlapping parts; a short one (in canvas pixels) stays whole."""
    if side * scale <= most:
        return [(0, side)]
    count, overlap = math.ceil(side * scale / (most - _TILE_OVERLAP)), _TILE_OVERLAP / scale / 2
    cuts = [side * number / count for number in range(count + 1)]
    return [(max(0, math.floor(begin - overlap)), min(side, math.ceil(end + overlap))) for begin, end in pairwise(cuts)]


def canvases(width: int, height: int, sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Return (width, height) of the detector's canvases for a picture of that size, multiples of 32."""
    longer = max(width, height)
    return [(_canvas_side(width * size / longer), _canvas_side(height * size / longer)) for size in sizes]


def _canvas_side(pixels: float) -> int:
    return max(1, math.ceil(pixels / _CANVAS_STEP)) * _CANVAS_STEP


def look_closer(
    detector: Detector, photo: Pyramid, windows: Sequence[Window], *, least: float, pixels: int = WINDOW_PIXELS
) -> Detections:
    """Look at windows of the photo, all on one canvas, and return the best detection in the middle of each [n].

    Each window is shown on `pixels` x `pixels`, a multiple of 32. Places are those of the photo itself, also where the
    window was turned. Where nothing scores `least` or more, all numbers are 0.
    """
    best = Detections(
        *(np.zeros((len(windows), *shape), dtype=np.float32) for shape in ((4,), (), (5, 2))),
    )
    if not windows:
        return best
    columns = min(_WINDOWS_A_ROW, key=lambda columns: (math.ceil(len(windows) / columns) * columns, -columns))
    rows = math.ceil(len(windows) / columns)
    canvas = np.zeros((rows * pixels, columns * pixels, 3), dtype=np.uint8)
    corners = np.array([divmod(number, columns)[::-1] for number in range(len(windows))], np.float32) * pixels
    for window, (x, y) in zip(windows, corners.astype(int), strict=True):
        canvas[y : y + pixels, x : x + pixels] = _shown(photo, window, pixels)
    found, landmarks = detector.detect(canvas[..., ::-1].copy(), [canvas.shape[1::-1]], det_thresh=least)
    seen = Detections(found[:, :4], found[:, 4], landmarks)
    middle = (0.5 - _BESIDE) * pixels, (0.5 + _BESIDE) * pixels
    boxes = np.concatenate([corners + middle[0], corners + middle[1]], axis=1)
    for number, (window, corner) in enumerate(zip(windows, corners, strict=True)):
        here = np.flatnonzero(within(seen.centres(), boxes[number : number + 1])[:, 0])
        if len(here):
            chosen = seen.chosen(here[[seen.scores[here].argmax()]]).moved(*-corner)
            there = _from_window(chosen, window, pixels)
            best.boxes[number], best.scores[number], best.landmarks[number] = (
                there.boxes[0],
                there.scores[0],
                there.landmarks[0],
            )
    return best


def _from_window(found: Detections, window: Window, pixels: int) -> Detections:
    """Return where detections in a window as it is shown are in the photo."""
    if window.turn is not None:
        found = turned_back(found, window.turn, pixels, pixels)
    step = np.float32(window.side / pixels)
    left, top = window.x - window.side / 2, window.y - window.side / 2
    return Detections(found.boxes * step, found.scores, found.landmarks * step).moved(left, top)


def _shown(photo: Pyramid, window: Window, pixels: int) -> npt.NDArray[Any]:
    """Cut a window out, uint8[pixels, pixels, 3] RGB; black beyond the photo's edge."""
    level = photo.for_crop(pixels / window.side)
    ((x, y),) = level.place(np.array([[window.x, window.y]]))
    scale = pixels * level.step / window.side
    middle = (pixels - 1) / 2
    matrix = np.array([[scale, 0, middle - scale * x], [0, scale, middle - scale * y]])
    shown = cv2.warpAffine(level.pixels, matrix, (pixels, pixels))
    return shown if window.turn is None else cv2.rotate(shown, window.turn)
