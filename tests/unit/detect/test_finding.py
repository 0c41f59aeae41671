"""Which looks are taken at a photo, and what is taken from each; the detector is a hand-written fake."""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from functions.detect.detections import Detections, distinct, turned_back
from functions.detect.finding import CROWD_SIZES, find
from functions.detect.looking import WINDOW_PIXELS
from functions.detect.pyramid import Pyramid
from shared.decode import DecodedPhoto

Floats = npt.NDArray[np.float32]
WIDTH, HEIGHT = 2560, 1920
# left, top, right, bottom, score, in pixels of what is looked at, had it the photo's longer side
Face = tuple[float, float, float, float, float]
LARGE: Face = (1000, 800, 1400, 1300, 0.9)
SMALL: Face = (300, 300, 340, 350, 0.8)
FIRST, CROWD, CROWD_AT_MOST = (128, 640), (CROWD_SIZES[0],), (1024,)
CLOSER, GLANCE_PIXELS = "closer", 32
UPRIGHT_LANDMARKS = np.array([[0.26, 0.36], [0.74, 0.36], [0.5, 0.6], [0.29, 0.78], [0.71, 0.78]])
SQUEEZED = UPRIGHT_LANDMARKS * [0.1, 1.0] + [0.45, 0.0]


class FakeDetector:
    """Finds what a function of the look says, and remembers the looks: the longer sides of their canvases.

    Of glances, which are looks at windows of half the usual size, it remembers the windows.
    """

    def __init__(
        self,
        says: Callable[[tuple[int, ...], bool], list[Face]],
        closer: Callable[[list[tuple[float, float]]], list[float]] = lambda middles: [0.0] * len(middles),
        landmarks: npt.NDArray[np.float64] = UPRIGHT_LANDMARKS,
    ) -> None:
        self.looks: list[tuple[int, ...] | str] = []
        self.glances: list[int] = []
        self.windows = 0
        self._says, self._closer, self._landmarks = says, closer, landmarks

    def detect(
        self, img: npt.NDArray[np.uint8], input_size: list[tuple[int, int]], *, det_thresh: float | None = None
    ) -> tuple[Floats, Floats]:
        height, width = img.shape[:2]
        if input_size == [(width, height)] and width <= 4 * WINDOW_PIXELS:
            return self._look_closer(width, height)
        sizes = tuple(max(size) for size in input_size)
        self.looks.append(sizes)
        rows = [face for face in self._says(sizes, height > width) if face[4] >= (det_thresh or 0.5)]
        faces = np.array(sorted(rows, key=lambda face: -face[4]), dtype=np.float32).reshape(-1, 5)
        scale = max(width, height) / WIDTH
        corners, sides = faces[:, None, :2], (faces[:, 2:4] - faces[:, :2])[:, None]
        landmarks = (corners + sides * self._landmarks) * scale
        return faces * [scale, scale, scale, scale, 1], landmarks.astype(np.float32)

    def _look_closer(self, width: int, height: int) -> tuple[Floats, Floats]:
        if width % WINDOW_PIXELS:
            self.glances.append(width * height // GLANCE_PIXELS**2)
            return np.zeros((0, 5), np.float32), np.zeros((0, 5, 2), np.float32)
        self.looks.append(CLOSER)
        columns, rows = width // WINDOW_PIXELS, height // WINDOW_PIXELS
        self.windows = columns * rows
        middles = [
            ((n % columns + 0.5) * WINDOW_PIXELS, (n // columns + 0.5) * WINDOW_PIXELS) for n in range(self.windows)
        ]
        found = [
            (x - 12, y - 12, x + 12, y + 12, score)
            for (x, y), score in zip(middles, self._closer(middles), strict=True)
            if score
        ]
        return np.array(found, np.float32).reshape(-1, 5), np.zeros((len(found), 5, 2), np.float32)


def run(detector: FakeDetector) -> list[Face]:
    photo = DecodedPhoto(np.zeros((HEIGHT, WIDTH, 3), np.uint8), "png", WIDTH, HEIGHT)
    found = find(detector, Pyramid(photo), 0.5)
    rows = np.column_stack([found.boxes.round(), found.scores.round(2)])
    return [tuple(float(value) for value in row) for row in rows.tolist()]  # type: ignore[misc]


def close(found: list[Face], expected: list[Face]) -> bool:
    return len(found) == len(expected) and bool(np.allclose(found, expected, atol=2))


def test_an_ordinary_photo_takes_one_look() -> None:
    detector = FakeDetector(lambda _sizes, _turned: [LARGE, (2000, 300, 2090, 400, 0.2), (30, 40, 60, 70, 0.07)])
    assert close(run(detector), [LARGE])
    assert detector.looks == [FIRST]
    assert detector.glances == [3], "at the larger trace, from the three other sides"


def test_a_small_face_brings_a_larger_look_and_the_small_faces_it_finds() -> None:
    another: Face = (2000, 400, 2030, 440, 0.6)
    part_of_large: Face = (1050, 900, 1180, 1060, 0.95)
    detector = FakeDetector(
        lambda sizes, _turned: [SMALL, another, part_of_large] if sizes == CROWD else [SMALL, LARGE]
    )
    assert close(run(detector), [SMALL, LARGE, another]), "from left to right, known faces once, no parts of large ones"
    assert detector.looks == [FIRST, CROWD]


def test_a_face_that_is_known_keeps_its_box() -> None:
    better: Face = (302, 298, 342, 352, 0.99)
    assert close(run(FakeDetector(lambda sizes, _turned: [better] if sizes == CROWD else [SMALL])), [SMALL])


@pytest.mark.parametrize("beside", [[], [LARGE]])
def test_small_faces_that_the_first_look_saw_weakly_are_looked_for_whatever_else_it_found(beside: list[Face]) -> None:
    weak: Face = (*SMALL[:4], 0.2)
    detector = FakeDetector(
        lambda sizes, _turned: [SMALL] if sizes == CROWD else [*beside, weak],
        closer=lambda middles: [0.9, *[0.0] * (len(middles) - 1)],
    )
    assert close(run(detector), sorted([SMALL, *beside]))
    assert detector.looks[:3] == [FIRST, CLOSER, CROWD]


def test_weak_places_that_a_closer_look_does_not_confirm_cost_only_that_look() -> None:
    weak: list[Face] = [(100 * n, 100, 100 * n + 30, 130, 0.2) for n in range(1, 25)]
    detector = FakeDetector(lambda _sizes, _turned: [LARGE, *weak], closer=lambda middles: [0.4] * len(middles))
    assert close(run(detector), [LARGE])
    assert detector.looks == [FIRST, CLOSER]
    assert detector.windows == 16, "not one for each of 24"


def test_the_tiniest_faces_are_looked_for_in_tiles_at_the_largest_size() -> None:
    tiny: Face = (1270, 950, 1290, 975, 0.8)
    detector = FakeDetector(lambda sizes, _turned: [tiny] if sizes == FIRST else [])
    assert close(run(detector), [tiny])
    assert detector.looks == [FIRST, *[CROWD_AT_MOST] * 4], "never more than a canvas of 1,280"


def test_a_face_that_two_tiles_show_is_one() -> None:
    boxes = np.array([[10, 10, 30, 30], [200, 10, 230, 40], [12, 11, 31, 30]], np.float32)
    found = Detections(boxes, np.array([0.6, 0.7, 0.8], np.float32), np.zeros((3, 5, 2), np.float32))
    assert distinct(found).boxes.tolist() == boxes[[2, 1]].tolist()


def turned_window(turn: int, windows: int) -> Callable[[list[tuple[float, float]]], list[float]]:
    """A closer look in which the first face scores best when it is turned so."""
    return lambda middles: [0.9 if n == turn else 0.1 for n in range(windows)] + [0.0] * (len(middles) - windows)


def test_a_face_with_squeezed_landmarks_is_looked_at_from_both_sides_and_stays_if_it_is_upright() -> None:
    detector = FakeDetector(lambda _sizes, _turned: [LARGE], closer=turned_window(0, 2), landmarks=SQUEEZED)
    assert close(run(detector), [LARGE])
    assert detector.looks == [FIRST, CLOSER]


def test_a_face_that_stands_on_its_head_is_taken_as_it_is_found_in_the_photo_turned() -> None:
    turned: Face = (WIDTH - 1400, HEIGHT - 1300, WIDTH - 1000, HEIGHT - 800, 0.95)
    looks = iter([[LARGE], [turned]])
    closer = iter([[0.1, 0.9], [0.9], [0.1]])
    detector = FakeDetector(
        lambda _sizes, _turned: next(looks), closer=lambda _middles: next(closer), landmarks=SQUEEZED
    )
    assert close(run(detector), [(*LARGE[:4], 0.95)])
    assert detector.looks == [FIRST, CLOSER, FIRST, CLOSER, CLOSER]


def test_a_turned_landscape_with_half_a_face_in_it_is_no_face() -> None:
    half: Face = (100, 100, 400, 500, 0.65)
    detector = FakeDetector(
        lambda _sizes, turned: [half] if turned else [(900, 900, 1300, 1200, 0.2)],
        closer=lambda middles: [0.1, 0.9, *[0.1] * len(middles)][: len(middles)],
    )
    assert run(detector) == []
    assert FIRST in detector.looks[1:], "the photo was looked at turned"


def test_people_on_their_side_are_found_where_they_are() -> None:
    upright: Face = (500, 1000, 700, 1300, 0.9)
    weak: Face = (1000, HEIGHT - 700, 1300, HEIGHT - 500, 0.2)
    closer = iter([[0.1, 0.9, 0.1, 0.1], [0.9], [0.1]])
    detector = FakeDetector(
        lambda _sizes, turned: [upright] if turned else [weak], closer=lambda _middles: next(closer)
    )
    assert close(run(detector), [(*weak[:4], 0.9)])


@pytest.mark.parametrize("turn", [cv2.ROTATE_90_CLOCKWISE, cv2.ROTATE_180, cv2.ROTATE_90_COUNTERCLOCKWISE])
def test_turning_back_undoes_turning(turn: int) -> None:
    picture = np.zeros((30, 50), np.uint8)
    picture[4:9, 20:33] = 1
    picture[6, 25] = 2
    turned = cv2.rotate(picture, turn)
    rows, columns = np.nonzero(turned)
    (row,), (column,) = np.nonzero(turned == 2)
    box = [[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]]
    found = Detections(
        np.array(box, np.float32), np.ones(1, np.float32), np.array([[[column, row]] * 5], dtype=np.float32)
    )
    back = turned_back(found, turn, 50, 30)
    assert back.boxes.tolist() == [[20, 4, 33, 9]]
    assert back.landmarks[0].tolist() == [[25, 6]] * 5
