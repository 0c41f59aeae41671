"""Sharpness, pose and size behave as their words say."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.detect.boxes import Box, box_iou
from functions.detect.quality import FACE_MODEL, pose, rolls, sharpness, size_in_pixels

angles = st.floats(-60, 60)
unit = st.floats(0, 1)
boxes = st.builds(
    lambda x1, x2, y1, y2: Box(min(x1, x2), min(y1, y2), abs(x1 - x2), abs(y1 - y2)), unit, unit, unit, unit
)


EVERYTHING = np.ones((112, 112), dtype=np.bool_)


def seen_landmarks(yaw: float, pitch: float, roll: float, scale: float = 1.0) -> npt.NDArray[np.float64]:
    """Turn the model face by yaw (to the picture's right), pitch (up) and roll (clockwise), and project it."""
    y, p, r = (math.radians(angle) for angle in (yaw, pitch, roll))
    nod = np.array([[1, 0, 0], [0, math.cos(p), math.sin(p)], [0, -math.sin(p), math.cos(p)]])
    turn = np.array([[math.cos(y), 0, -math.sin(y)], [0, 1, 0], [math.sin(y), 0, math.cos(y)]])
    tilt = np.array([[math.cos(r), -math.sin(r), 0], [math.sin(r), math.cos(r), 0], [0, 0, 1]])
    return np.asarray((FACE_MODEL @ (tilt @ turn @ nod).T)[:, :2] * scale + [300.0, 200.0])


@given(yaw=angles, pitch=angles, roll=st.floats(-179, 179), scale=st.floats(0.2, 20))
def test_the_pose_of_a_turned_head_is_recovered(yaw: float, pitch: float, roll: float, scale: float) -> None:
    found = pose(seen_landmarks(yaw, pitch, roll, scale))
    assert found.yaw == pytest.approx(yaw, abs=1e-4)
    assert found.pitch == pytest.approx(pitch, abs=1e-4)
    assert found.roll == pytest.approx(roll, abs=1e-4)


def test_the_signs_are_what_an_onlooker_sees() -> None:
    straight = seen_landmarks(0, 0, 0)
    nose_right, nose_up = straight.copy(), straight.copy()
    nose_right[2, 0] += 8
    nose_up[2, 1] -= 8
    right_eye_lower = straight.copy()
    right_eye_lower[[1, 4], 1] += 8
    assert pose(nose_right).yaw > 15
    assert pose(nose_up).pitch > 15
    assert pose(right_eye_lower).roll > 5


def test_a_mirrored_face_looks_the_other_way() -> None:
    landmarks = seen_landmarks(25, 10, 5)
    mirrored = (landmarks * [-1, 1])[[1, 0, 2, 4, 3]]
    assert pose(mirrored).yaw == pytest.approx(-25, abs=1e-4)
    assert pose(mirrored).roll == pytest.approx(-5, abs=1e-4)
    assert pose(mirrored).pitch == pytest.approx(10, abs=1e-4)


@pytest.mark.parametrize("landmarks", [np.zeros((5, 2)), np.full((5, 2), 7.0)])
def test_landmarks_in_one_point_have_no_pose(landmarks: npt.NDArray[np.float64]) -> None:
    found = pose(landmarks)
    assert (found.yaw, found.pitch, found.roll) == (0, 0, 0)


def test_blurring_lowers_sharpness() -> None:
    rng = np.random.default_rng(1)
    sharp = rng.integers(0, 255, (112, 112, 3), dtype=np.uint8)
    once = _blurred(sharp)
    twice = _blurred(once)
    assert sharpness(sharp, EVERYTHING) > 2 * sharpness(once, EVERYTHING) > 4 * sharpness(twice, EVERYTHING) > 0


def test_a_flat_crop_has_no_sharpness() -> None:
    flat = np.full((112, 112, 3), 120, dtype=np.uint8)
    assert sharpness(flat, EVERYTHING) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("beyond", [5, 30, 60])
def test_what_lies_beyond_the_photo_s_edge_adds_no_sharpness(beyond: int) -> None:
    rng = np.random.default_rng(2)
    soft = 120 + rng.integers(0, 8, (112, 112, 3), dtype=np.uint8)
    at_the_edge, shown = soft.copy(), EVERYTHING.copy()
    at_the_edge[:beyond] = 0
    shown[:beyond] = False
    assert sharpness(at_the_edge, shown) == pytest.approx(sharpness(soft, EVERYTHING), rel=0.2)


def test_a_crop_that_shows_nothing_of_the_photo_has_no_sharpness() -> None:
    assert sharpness(np.zeros((112, 112, 3), dtype=np.uint8), ~EVERYTHING) == 0


def test_size_is_the_shorter_side_in_pixels_of_the_original() -> None:
    assert size_in_pixels(Box(0.1, 0.1, 0.1, 0.3), 4000, 1000) == 300
    assert size_in_pixels(Box(0.1, 0.1, 0.1, 0.3), 1000, 4000) == 100


@given(
    corners=st.tuples(*[st.floats(-500, 1500)] * 4),
    width=st.integers(1, 1000),
    height=st.integers(1, 1000),
)
def test_a_box_never_leaves_the_photo(corners: tuple[float, float, float, float], width: int, height: int) -> None:
    box = Box.from_corners(corners, width, height)
    assert 0 <= box.x <= 1
    assert 0 <= box.y <= 1
    assert 0 <= box.w <= 1
    assert 0 <= box.h <= 1
    assert box.x + box.w <= 1 + 1e-12
    assert box.y + box.h <= 1 + 1e-12


def test_a_box_inside_the_photo_is_only_normalised() -> None:
    assert Box.from_corners((10, 20, 60, 40), 100, 200) == Box(0.1, 0.1, 0.5, 0.1)


@given(boxes, boxes)
def test_iou_is_symmetric_and_within_bounds(one: Box, other: Box) -> None:
    assert box_iou(one, other) == box_iou(other, one)
    assert 0 <= box_iou(one, other) <= 1


def test_iou_of_known_boxes() -> None:
    box = Box(0.2, 0.2, 0.4, 0.4)
    assert box_iou(box, box) == 1
    assert box_iou(box, Box(0.4, 0.2, 0.4, 0.4)) == pytest.approx(1 / 3)
    assert box_iou(box, Box(0.7, 0.2, 0.3, 0.4)) == 0
    assert box_iou(box, Box(0.3, 0.3, 0.0, 0.0)) == 0


def _blurred(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    wide = pixels.astype(np.float32)
    shifted = [np.roll(wide, (dy, dx), axis=(0, 1)) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    return np.asarray(np.mean(shifted, axis=0), dtype=np.uint8)


@given(yaw=st.floats(-40, 40), pitch=st.floats(-20, 20), roll=st.floats(-179, 179))
def test_the_roll_of_many_faces_at_once_is_near_that_of_each(yaw: float, pitch: float, roll: float) -> None:
    (found,) = rolls(seen_landmarks(yaw, pitch, roll)[None])
    assert abs((found - roll + 180) % 360 - 180) < 15
