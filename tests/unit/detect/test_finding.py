"""Which passes are made over a photo, and what is taken from each; the detector is a hand-written fake."""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from functions.detect.finding import CROWD_SIZE, Detections, canvases, find, turned_back
from functions.detect.pyramid import Pyramid
from shared.decode import DecodedPhoto

Floats = npt.NDArray[np.float32]
WIDTH, HEIGHT = 2560, 1920
# left, top, right, bottom, score, in pixels of the photo
Face = tuple[float, float, float, float, float]
LARGE: Face = (1000, 800, 1400, 1300, 0.9)
SMALL: Face = (300, 300, 340, 350, 0.8)


class FakeDetector:
    """Finds what a function of the pass says, and remembers the passes: the longer sides of their canvases."""

    def __init__(self, says: Callable[[tuple[int, ...], bool], list[Face]]) -> None:
        self.passes: list[tuple[int, ...]] = []
        self._says = says

    def detect(
        self, img: npt.NDArray[np.uint8], input_size: list[tuple[int, int]]
    ) -> tuple[Floats, npt.NDArray[np.float32]]:
        sizes = tuple(max(size) for size in input_size)
        self.passes.append(sizes)
        height, width = img.shape[:2]
        assert canvases(width, height, sizes) == input_size
        turned = height > width
        faces = np.array(self._says(sizes, turned), dtype=np.float32).reshape(-1, 5)
        scale = max(width, height) / WIDTH
        landmarks = np.stack([(faces[:, :2] + faces[:, 2:4]) / 2] * 5, axis=1) * scale
        return faces * [scale, scale, scale, scale, 1], landmarks.astype(np.float32)


def run(detector: FakeDetector) -> list[Face]:
    photo = DecodedPhoto(np.zeros((HEIGHT, WIDTH, 3), np.uint8), "png", WIDTH, HEIGHT)
    found = find(detector, Pyramid(photo))
    rows = np.column_stack([found.boxes.round(), found.scores.round(2)])
    return [tuple(float(value) for value in row) for row in rows.tolist()]  # type: ignore[misc]


def close(found: list[Face], expected: list[Face]) -> bool:
    return len(found) == len(expected) and bool(np.allclose(found, expected, atol=2))


def test_an_ordinary_photo_takes_one_pass() -> None:
    detector = FakeDetector(lambda _sizes, _turned: [LARGE])
    assert close(run(detector), [LARGE])
    assert detector.passes == [(128, 640)]


def test_a_small_face_brings_one_more_pass_and_the_small_faces_it_finds() -> None:
    another: Face = (2000, 400, 2030, 440, 0.6)
    part_of_large: Face = (1050, 900, 1200, 1100, 0.95)
    detector = FakeDetector(
        lambda sizes, _turned: [SMALL, another, part_of_large] if CROWD_SIZE in sizes else [SMALL, LARGE]
    )
    assert close(run(detector), [SMALL, LARGE, another]), "from left to right, known faces once, no large ones"
    assert detector.passes == [(128, 640), (CROWD_SIZE,)]


def test_a_face_that_is_known_keeps_its_box() -> None:
    better: Face = (302, 298, 342, 352, 0.99)
    detector = FakeDetector(lambda sizes, _turned: [better] if CROWD_SIZE in sizes else [SMALL])
    assert close(run(detector), [SMALL])


def test_where_nothing_is_found_the_photo_is_tried_on_both_sides_at_a_small_size() -> None:
    detector = FakeDetector(lambda _sizes, _turned: [])
    assert run(detector) == []
    assert detector.passes == [(128, 640), (128, 320), (128, 320)]


def test_a_turned_landscape_with_half_a_face_in_it_is_no_face() -> None:
    detector = FakeDetector(lambda _sizes, turned: [(100, 100, 400, 500, 0.65)] if turned else [])
    assert run(detector) == []


def test_people_on_their_side_are_found_where_they_are() -> None:
    upright: Face = (500, 1000, 700, 1300, 0.9)
    detector = FakeDetector(lambda _sizes, turned: [upright] if turned else [])
    assert close(run(detector), [(1000, HEIGHT - 700, 1300, HEIGHT - 500, 0.9)])
    assert detector.passes[-1] == (128, 640)


@pytest.mark.parametrize("turn", [cv2.ROTATE_90_CLOCKWISE, cv2.ROTATE_90_COUNTERCLOCKWISE])
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
