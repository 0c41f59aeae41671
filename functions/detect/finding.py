"""Where the faces of a photo are: which looks the detector takes at it, and what is kept of them.

The first look also says what the detector nearly took for a face. The most promising of that, and the faces whose
landmarks look turned, are looked at closer, all in one small look; only what that confirms is worth a larger look, or
one at the photo turned. So neither depends on what the first look has found.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from functions.detect.detections import (
    SAME_FACE_IOU,
    Detections,
    by_region,
    distinct,
    fragments,
    overlaps,
    ranks,
    within,
)
from functions.detect.looking import WINDOW_PIXELS, Detector, Window, look, look_closer
from functions.detect.pyramid import Pyramid
from functions.detect.quality import rolls

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

# insightface's own default pair: at 640 a group photo's faces are found, at 128 one that fills the picture.
# They are the longer side of the canvas; the shorter is the photo's, rounded up to what the networks need
# (insightface pads to a square, a third of which is black for most photos and is computed all the same).
DETECTION_SIZES: Final = (128, 640)

# A detection smaller than this in the original picture is not kept: five landmarks within so few pixels align
# nothing, and its embedding would match anybody.
MIN_FACE_PIXELS: Final = 12

# Shares of the threshold, measured with mini, whose threshold is 0.5. What the first look is asked for: most of what
# it sees of 500 faces of 32 pixels in 4,096, none of which it finds. What is taken for a trace where faces were found
# (weak); the strongest trace that is worth a few windows (fair) or many (solid); a trace of any size (strong).
WEAKEST: Final = 0.06
_WEAK_SHARE: Final = 0.1
_FAIR_SHARE: Final = 0.25
_SOLID_SHARE: Final = 0.3
_STRONG_SHARE: Final = 0.5

# ---- Crowds. Detectors lose faces below some 9 pixels of the canvas, and some below 32. When a face below 12 was
# found, or a closer look confirms a smaller one, there is a larger look, and only small faces are taken from it, for
# it sees parts of large faces as faces.
CROWD_SIZES: Final = (1280, 1920, 3840)
_CROWD_WHEN_BELOW: Final = 12.0
# Dim faces of 32 pixels in 4,096 leave no trace in the first look, and clutter leaves stronger ones than small faces.
# So a photo so large in which nothing at all was found gets a larger look without any evidence. At 1,280 tight
# portraits of 65 pixels in 6,000 leave no trace before a plain background, at 1,344 they do.
FAR_SIZE: Final = 1344
_LARGE_PHOTO: Final = 2560
# Where so many small faces were found there is a last look, at nearly all the pixels there are: of pages of 600
# portraits with faces of 36 to 55 pixels in 4,096 that at 1,920 shows 414 to 600, that at 3,840 593 to 600.
_MANY_FACES: Final = 60
_SMALL_IN_CROWD: Final = 32.0
_LARGEST_ENLARGEMENT: Final = 1.25
# Of six portraits of 15 pixels of the canvas the first look may find one; the others leave scores of 0.13 to 0.34.
_JUST_SEEN: Final = 20.0
_JUST_NOT_SHARE: Final = 0.2
_SEVERAL: Final = 2
# A photo longer than this many times its width is looked at on longer canvases, as large as those of one of 4:3.
_LONG: Final = 3.0
_USUAL_RATIO: Final = 4 / 3
_CROWD_TAKES_BELOW: Final = 32.0
# Windows for them: a few in most photos; more where there are more promising places, or where nothing was found.
_FEW_WINDOWS: Final = 4
_MANY_WINDOWS: Final = 16
_MANY_PLACES: Final = 8
# After the look at a large photo in which nothing was found: in each of 4 x 4 regions.
_REGIONS: Final = 4
_WINDOWS_A_REGION: Final = 3
# Their side in pixels of the canvas, and of faces: a window of 24 shows a face of 9 on 24 of its 64 pixels.
_CROWD_WINDOW: Final = 24.0
_CROWD_WINDOW_FACES: Final = 2.5


@dataclass(frozen=True)
class _Traces:
    """How many traces are glanced at, from which score (a share of the threshold), and how: turned, cut out, shown."""

    most: int
    least: float
    turns: tuple[int | None, ...]
    side: float
    pixels: int


# ---- Turned faces. A face that lies or stands on its head is often found as an upright one, its landmarks squeezed
# or turned, and its embedding no good (mean cosine 0.34 to the same face upright). Of 146 such faces all had a roll
# beyond 45 degrees, a mouth narrower than a third of the box or eyes nearer than .38 of it; of 72 upright ones 5 had,
# in profile.
_LYING_ROLL: Final = 45.0
_NARROW_MOUTH: Final = 0.33
_NARROW_EYES: Final = 0.38
_LYING_HEIGHT: Final = 1.1
# A found face that scored less than this times the threshold is looked at too, and one of which a photo without any
# other face shows so little is enough for a look at the photo turned.
_DOUBTFUL_SHARE: Final = 1.2
_ALONE_SHARE: Final = 0.7
# The closer look sees them in windows of 1.7 times the box: from all four sides, a high box upright and upside down.
# Of 218 faces, upright and turned, 217 scored best as they should; 2.2 times the box, or more pixels, told them less
# well apart.
_TURNS: Final[tuple[int | None, ...]] = (None, cv2.ROTATE_90_CLOCKWISE, cv2.ROTATE_180, cv2.ROTATE_90_COUNTERCLOCKWISE)
_TURNED_WINDOW: Final = 1.7
_MOST_SUSPECTS: Final = 16
_MOST_SUSPECTS_ALONE: Final = 4
# A turned face that was not found at all, beside found ones: of 136 such portraits that left a trace, 120 left it among
# the four strongest. Seen from their own side in a window of 1.3 times the trace on 32 pixels 118 of them score half
# the threshold and more, and 2.2 times on 128 pixels all but one .6. After a look for small faces there are
# more traces, weaker ones, and windows in which more is seen; upright ones are among them too.
_FEW_TRACES: Final = _Traces(most=3, least=_WEAK_SHARE, turns=_TURNS[1:], side=1.3, pixels=32)
_MANY_TRACES: Final = _Traces(most=12, least=WEAKEST, turns=_TURNS, side=2.2, pixels=64)
# Clutter leaves traces side by side, most of them around faces that were found. Of 87 turned portraits pasted into
# group photos 21 are among the three best traces when one within a width of a found face, or of a better trace, does
# not count, and 18 when it does.
_CLEAR_OF_FACES: Final = 2.0
_CLEAR_OF_TRACES: Final = 0.7
_MOST_TRACES: Final = 48
_GLANCE_SHARE: Final = 0.5
_REGION: Final = 2.2
_REGION_PIXELS: Final = 128
# A face that only the turned look has seen is to be that sure, unless most of the photo's faces are turned like it:
# a motorcycle scored 0.59 on its side, people at least 0.87.
_TURNED_SCORE: Final = 0.7
# A face as it was found upright and as it was found turned overlap less than two findings of one kind.
_TURNED_IOU: Final = 0.2


def find(
    detector: Detector, photo: Pyramid, threshold: float, *, refine: Callable[[], object] = lambda: None
) -> Detections:
    """Find the faces of a photo that score `threshold` and more, from left to right.

    `refine` is called before a look that shows more pixels than the photo has: it may give the photo a finer level.
    Numbers that make no sense (not finite) are passed on: the caller counts them.
    """
    search = _Search(detector, photo, threshold, refine)
    first = DETECTION_SIZES[-1]
    search.see_enough_for(first)
    found, weak = search.looked(DETECTION_SIZES)
    places = search.promising(weak, first, many=not len(found))
    suspects = _suspects(found, weak.chosen(search.canvas_sizes(weak, first) >= _CROWD_WHEN_BELOW), threshold)
    seen = search.closer([*places, *suspects.windows()])
    confirmed = search.confirmed(seen.chosen(np.arange(len(places))))
    found = search.with_turned(found, suspects, suspects.by_turn(seen.scores[len(places) :]))
    confirmed = np.concatenate([confirmed, search.alike(found, weak, first)])
    if len(found):
        found = search.with_lying(found, weak, first, _FEW_TRACES)
    found = search.with_crowd(found, confirmed, first)
    if not len(found) and search.longer_side >= _LARGE_PHOTO:
        search.see_enough_for(FAR_SIZE)
        found, weak = search.looked((FAR_SIZE,))
        confirmed = search.confirmed_twice(search.closer(search.everywhere(weak, FAR_SIZE)))
        # Tissue under a microscope has one face of .55 there, and nothing that a closer look confirms.
        is_sure = bool(len(confirmed)) or bool((found.scores >= _DOUBTFUL_SHARE * threshold).any())
        found = found.chosen(search.small(found) & is_sure)
        if is_sure:
            found = search.with_lying(found, weak, FAR_SIZE, _MANY_TRACES)
        found = search.with_crowd(found, confirmed, FAR_SIZE)
    return found.chosen(np.lexsort((found.boxes[:, 1], found.boxes[:, 0])))


@dataclass(frozen=True, eq=False)
class _Suspects:
    """Faces that may be turned: boxes [n,4], and which of the found faces each is, -1 for one that is only weak."""

    boxes: Floats
    numbers: npt.NDArray[np.intp]

    def _turns(self) -> Mask:
        """Say in which of _TURNS each is to be looked at, [n,4]."""
        tall = (_heights(self.boxes) > _LYING_HEIGHT)[:, None]
        return np.asarray(~tall | [turn in (None, cv2.ROTATE_180) for turn in _TURNS])

    def windows(self) -> list[Window]:
        """Return a window for each box and each rotation to try."""
        return [
            _around(box, turn)
            for box, wanted in zip(self.boxes.tolist(), self._turns(), strict=True)
            for turn, is_wanted in zip(_TURNS, wanted, strict=True)
            if is_wanted
        ]

    def by_turn(self, scores: Floats) -> Floats:
        """Arrange the windows' scores by face and turn, [n,4]; 0 where there was no window."""
        arranged = np.zeros((len(self.boxes), len(_TURNS)), dtype=np.float32)
        arranged[self._turns()] = scores
        return arranged


@dataclass(frozen=True, eq=False)
class _Search:
    """The search through one photo."""

    detector: Detector
    photo: Pyramid
    threshold: float
    refine: Callable[[], object]

    @property
    def longer_side(self) -> int:
        """Of the original photo, in pixels."""
        return self.photo.finest.longer_side * self.photo.finest.step

    @property
    def stretch(self) -> float:
        """By how much longer the canvases are than those of a photo that is not long: 1 for nearly all."""
        height, width = self.photo.finest.pixels.shape[:2]
        ratio = max(height, width) / min(height, width)
        return math.sqrt(ratio / _USUAL_RATIO) if ratio > _LONG else 1.0

    def see_enough_for(self, canvas: int) -> None:
        """Give a long photo, which was reduced by its length, the pixels that a look on this canvas shows."""
        if self.stretch > 1.0 and self.photo.finest.longer_side < canvas * self.stretch:
            self.refine()

    def looked(self, sizes: tuple[int, ...]) -> tuple[Detections, Detections]:
        """Take a look: the faces, and what the detector nearly took for another face, best first."""
        seen = look(self.detector, self.photo, sizes, least=self.threshold * WEAKEST, stretch=self.stretch)
        # NaN compares false with everything: it goes to the faces.
        is_weak = np.asarray(seen.scores < self.threshold)
        found, weak = _kept(seen.chosen(~is_weak)), seen.chosen(is_weak)
        apart = ~within(weak.centres(), found.boxes)
        return found, weak.chosen(np.asarray(apart.all(axis=1)))

    def canvas_sizes(self, detections: Detections, canvas: int) -> Floats:
        """Return the sizes of detections in pixels of a canvas with this longer side."""
        return np.asarray(detections.sizes() * np.float32(canvas * self.stretch / self.longer_side))

    def promising(self, weak: Detections, canvas: int, *, many: bool) -> list[Window]:
        """Windows around the weak detections that are likeliest to be small faces; fewer, unless `many` are wanted."""
        sizes = self.canvas_sizes(weak, canvas)
        tiny = (sizes < _CROWD_WHEN_BELOW) & (weak.scores >= (WEAKEST if many else _WEAK_SHARE) * self.threshold)
        strong = (sizes < _CROWD_TAKES_BELOW) & (weak.scores >= _STRONG_SHARE * self.threshold)
        likely = weak.chosen(np.asarray(tiny | strong))
        pixel = self.longer_side / (canvas * self.stretch)
        windows: list[Window] = []
        for (x, y), size in zip(likely.centres().tolist(), likely.sizes().tolist(), strict=True):
            if all(max(abs(x - other.x), abs(y - other.y)) > _CROWD_WHEN_BELOW * pixel for other in windows):
                windows.append(Window(x, y, max(_CROWD_WINDOW * pixel, _CROWD_WINDOW_FACES * size)))
            if len(windows) == _MANY_WINDOWS:
                break
        surest = float(likely.scores.max(initial=0.0))
        if many or (len(windows) > _MANY_PLACES and surest >= _SOLID_SHARE * self.threshold):
            return windows
        if len(windows) > _MANY_PLACES or surest >= _FAIR_SHARE * self.threshold:
            return windows[:_FEW_WINDOWS]
        return []

    def everywhere(self, weak: Detections, canvas: int) -> list[Window]:
        """Windows around the likeliest small faces of each region."""
        small = weak.chosen(self.canvas_sizes(weak, canvas) < _CROWD_TAKES_BELOW)
        apart = distinct(small)
        best = apart.chosen(ranks(by_region(apart.centres(), _REGIONS)) < _WINDOWS_A_REGION)
        pixel = self.longer_side / (canvas * self.stretch)
        sides = np.maximum(_CROWD_WINDOW * pixel, _CROWD_WINDOW_FACES * best.sizes()).tolist()
        return [Window(x, y, side) for (x, y), side in zip(best.centres().tolist(), sides, strict=True)]

    def closer(self, windows: list[Window], *, pixels: int = WINDOW_PIXELS) -> Detections:
        """Look closer at windows: the best detection in each."""
        return look_closer(self.detector, self.photo, windows, least=self.threshold * WEAKEST, pixels=pixels)

    def confirmed(self, seen: Detections) -> Floats:
        """Return the sizes of the detections that are small faces."""
        sizes = seen.sizes()
        return np.asarray(sizes[(seen.scores >= self.threshold) & (sizes >= MIN_FACE_PIXELS) & self.small(seen)])

    def confirmed_twice(self, seen: Detections) -> Floats:
        """Return the sizes of detections that are small faces at a higher resolution too, unlike most foliage."""
        again = seen.chosen(seen.scores >= self.threshold)
        return self.confirmed(
            self.closer([_around(box, None, _REGION) for box in again.boxes.tolist()], pixels=_REGION_PIXELS)
        )

    def alike(self, found: Detections, weak: Detections, canvas: int) -> Floats:
        """Return the sizes of weak small detections if there are several next to an equally small face."""
        if not (self.canvas_sizes(found, canvas) < _JUST_SEEN).any():
            return np.zeros(0, dtype=np.float32)
        sizes = self.canvas_sizes(weak, canvas)
        is_alike = (
            (sizes >= _CROWD_WHEN_BELOW) & (sizes < _JUST_SEEN) & (weak.scores >= _JUST_NOT_SHARE * self.threshold)
        )
        traces = distinct(weak.chosen(np.asarray(is_alike))).sizes()
        return traces if len(traces) >= _SEVERAL else traces[:0]

    def with_crowd(self, found: Detections, confirmed: Floats, canvas: int) -> Detections:
        """Add what larger looks than the one on this canvas find, as long as there is reason for one."""
        while canvas < CROWD_SIZES[-1]:
            larger = self.larger_canvas(found, confirmed, canvas)
            if larger is None:
                break
            canvas = larger
            more, weak = self.looked((canvas,))
            found = _kept(found.and_also(_new(more.chosen(self.small(more, canvas)), found)))
            found = self.with_lying(found, weak, canvas, _MANY_TRACES)
            if canvas < CROWD_SIZES[-1]:
                confirmed = self.confirmed(self.closer(self.promising(weak, canvas, many=False)))
        return found

    def larger_canvas(self, found: Detections, confirmed: Floats, canvas: int) -> int | None:
        """Return the canvas size for the small faces that were found or confirmed; None if there are none."""
        *usual, last = CROWD_SIZES
        sizes = found.sizes()
        reasons = [*sizes[self.canvas_sizes(found, canvas) < _CROWD_WHEN_BELOW], *confirmed]
        if reasons and canvas < usual[-1]:
            wanted = _CROWD_WHEN_BELOW * self.longer_side / (min(reasons) * self.stretch)
            larger = [size for size in usual if size > canvas]
            chosen = next((size for size in larger if size >= wanted), larger[-1])
        elif canvas >= usual[0] and (self.canvas_sizes(found, canvas) < _SMALL_IN_CROWD).sum() >= _MANY_FACES:
            chosen = last
        else:
            return None
        if self.photo.finest.longer_side < chosen * self.stretch:
            self.refine()
        has_enough = self.photo.finest.longer_side * _LARGEST_ENLARGEMENT >= chosen * self.stretch
        return chosen if chosen < last or has_enough else None

    def small(self, detections: Detections, canvas: int = DETECTION_SIZES[-1]) -> Mask:
        """Mark what may be taken from a look on this canvas: a very large one sees parts of smaller faces."""
        largest = _CROWD_TAKES_BELOW if canvas < CROWD_SIZES[-1] else _CROWD_TAKES_BELOW / 2
        return np.asarray(self.canvas_sizes(detections, DETECTION_SIZES[-1]) < largest)

    def with_turned(self, found: Detections, suspects: _Suspects, scores: Floats) -> Detections:
        """Take the faces that are turned as they are found in the photo turned; `scores` [n,4] are by _TURNS."""
        turns = scores.argmax(axis=1)
        # A trace is no face yet: it has to become one.
        turns[(suspects.numbers < 0) & (scores.max(axis=1, initial=0.0) < _ALONE_SHARE * self.threshold)] = 0
        turned_by = np.zeros(len(found), dtype=np.intp)
        of_found = suspects.numbers >= 0
        turned_by[suspects.numbers[of_found]] = turns[of_found]
        for turn in sorted(set(turns.tolist()) - {0}):
            found, turned_by = self._with_turn(found, turned_by, turn)
        return found

    def with_lying(self, found: Detections, weak: Detections, canvas: int, rule: _Traces) -> Detections:
        """Add faces of which a look on this canvas has seen no more than traces, beside faces that it found.

        The best traces are glanced at from the sides that the rule says, and where one of them shows something, it is
        looked at closer from there.
        """
        boxes = self.traces(found, weak, canvas, rule)
        glanced = self.closer(
            [_around(box, turn, rule.side) for box in boxes for turn in rule.turns], pixels=rule.pixels
        )
        scores = glanced.scores.reshape(-1, len(rule.turns))
        likely = [
            (box, rule.turns[int(row.argmax())])
            for box, row in zip(boxes, scores, strict=True)
            if row.max() >= _GLANCE_SHARE * self.threshold
        ]
        if not likely:
            return found
        seen = self.closer([_around(box, turn, _REGION) for box, turn in likely], pixels=_REGION_PIXELS)
        sure = np.flatnonzero(seen.scores >= _DOUBTFUL_SHARE * self.threshold)
        seen, turns = seen.chosen(sure), [likely[number][1] for number in sure]
        upright = self.closer([_around(likely[number][0], None, _REGION) for number in sure], pixels=_REGION_PIXELS)
        is_upright = np.array([turn is None for turn in turns], dtype=np.bool_)
        seen = _kept(distinct(seen.chosen(np.asarray(is_upright | (seen.scores > upright.scores)))))
        apart = (overlaps(seen.boxes, found.boxes) <= _TURNED_IOU).all(axis=1)
        apart &= ~within(found.centres(), seen.boxes).any(axis=0) & ~within(seen.centres(), found.boxes).any(axis=1)
        return found.and_also(seen.chosen(np.asarray(apart)))

    def traces(self, found: Detections, weak: Detections, canvas: int, rule: _Traces) -> list[list[float]]:
        """Return the boxes of the best weak detections that overlap neither each other nor a found face."""
        is_trace = (self.canvas_sizes(weak, canvas) >= _CROWD_WHEN_BELOW) & (weak.scores >= rule.least * self.threshold)
        traces = weak.chosen(np.flatnonzero(is_trace)[:_MOST_TRACES])
        near = within(traces.centres(), _grown(found.boxes, _CLEAR_OF_FACES)).any(axis=1)
        traces = traces.chosen(np.asarray(~near))
        chosen: list[list[float]] = []
        clear = np.ones(len(traces), dtype=np.bool_)
        while clear.any() and len(chosen) < rule.most:
            best = int(clear.argmax())
            chosen.append(traces.boxes[best].tolist())
            apart = np.abs(traces.centres() - traces.centres()[best]).max(axis=1)
            clear &= apart > _CLEAR_OF_TRACES * np.maximum(traces.sizes(), traces.sizes()[best])
        return chosen

    def _with_turn(
        self, found: Detections, turned_by: npt.NDArray[np.intp], turn: int
    ) -> tuple[Detections, npt.NDArray[np.intp]]:
        """Look at the photo turned: what is a face there rather than upright replaces what was found, or adds to it."""
        seen = _kept(
            look(
                self.detector,
                self.photo,
                DETECTION_SIZES,
                least=self.threshold,
                turn=_TURNS[turn],
                stretch=self.stretch,
            )
        )
        boxes = seen.boxes.tolist()
        turned = self.closer([_around(box, _TURNS[turn]) for box in boxes])
        upright = self.closer([_around(box, None) for box in boxes])
        seen = seen.chosen(turned.scores > upright.scores)
        same = overlaps(found.boxes, seen.boxes) > _TURNED_IOU
        same |= within(found.centres(), seen.boxes)
        better = (turned_by == turn)[:, None] | (seen.scores[None, :] > found.scores[:, None])
        replaced = (same & better).any(axis=1)
        mostly = 2 * int((turned_by == turn).sum()) > len(found)
        sure = seen.scores >= (self.threshold if mostly else max(self.threshold, _TURNED_SCORE))
        taken = same[replaced].any(axis=0) | (sure & ~same[~replaced].any(axis=0))
        # In a photo that is turned, the same holds for what looks upright.
        stays = ~replaced & ~(mostly & (found.scores < _TURNED_SCORE))
        settled = np.full(int(taken.sum()), turn)
        return found.chosen(stays).and_also(seen.chosen(taken)), np.concatenate([turned_by[stays], settled])


def _around(box: list[float], turn: int | None, side: float = _TURNED_WINDOW) -> Window:
    """Return a window of `side` times the box; the default shows best how a face is rotated."""
    left, top, right, bottom = box
    return Window((left + right) / 2, (top + bottom) / 2, side * max(right - left, bottom - top), turn)


def _grown(boxes: Floats, factor: float) -> Floats:
    """Boxes [n,4], so many times as large around their middles."""
    beyond = (boxes[:, 2:] - boxes[:, :2]) * np.float32((factor - 1) / 2)
    return np.concatenate([boxes[:, :2] - beyond, boxes[:, 2:] + beyond], axis=1)


def _kept(found: Detections) -> Detections:
    """Leave out what is too small and what is part of another face."""
    found = found.chosen((found.sizes() >= MIN_FACE_PIXELS) | ~np.isfinite(found.boxes).all(axis=1))
    return found.chosen(~fragments(found.boxes, found.scores))


def _new(found: Detections, known: Detections) -> Detections:
    """Those that overlap none of the known, and are no part of one."""
    apart = (overlaps(found.boxes, known.boxes) <= SAME_FACE_IOU).all(axis=1)
    parts = within(found.centres(), known.boxes) & (2 * found.sizes()[:, None] < known.sizes()[None, :])
    return found.chosen(np.asarray(apart & ~parts.any(axis=1)))


def _suspects(found: Detections, weak: Detections, threshold: float) -> _Suspects:
    """Choose the faces that may be turned: the doubtful of those found; where there are none, the best traces."""
    doubtful = _look_turned(found, _NARROW_MOUTH, _NARROW_EYES) | (found.scores < _DOUBTFUL_SHARE * threshold)
    certain = np.flatnonzero(doubtful)[:_MOST_SUSPECTS]
    perhaps = weak.chosen(weak.scores >= (_WEAK_SHARE * threshold if not len(found) else math.inf))
    perhaps = distinct(perhaps)
    perhaps = perhaps.chosen(np.arange(min(len(perhaps), _MOST_SUSPECTS_ALONE)))
    return _Suspects(
        np.concatenate([found.boxes[certain], perhaps.boxes]),
        np.concatenate([certain, np.full(len(perhaps), -1)]),
    )


def _look_turned(faces: Detections, narrow_mouth: float, narrow_eyes: float) -> Mask:
    """Mark faces that lie, or whose eyes or mouth are narrower than those shares of the box."""
    left_eye, right_eye, _, mouth_left, mouth_right = np.moveaxis(faces.landmarks, 1, 0)
    sizes = faces.sizes()
    eyes = np.linalg.norm(right_eye - left_eye, axis=1) < narrow_eyes * sizes
    mouth = np.linalg.norm(mouth_right - mouth_left, axis=1) < narrow_mouth * sizes
    finite = np.isfinite(faces.landmarks).all(axis=(1, 2)) & np.isfinite(faces.boxes).all(axis=1)
    return np.asarray(finite & (eyes | mouth | (np.abs(rolls(faces.landmarks)) > _LYING_ROLL)))


def _heights(boxes: Floats) -> Floats:
    """Return the aspect ratio (height / width) of each of boxes [n,4]."""
    width, height = (boxes[:, 2:] - boxes[:, :2]).T
    return np.asarray(height / np.maximum(width, np.finfo(np.float32).tiny))
