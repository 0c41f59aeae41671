"""Crops are those that insightface's networks were trained on."""

import warnings

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from insightface.utils import face_align

from functions.detect.align import (
    ALIGNED_SIDE,
    ARCFACE_TEMPLATE,
    THUMBNAIL_SIDE,
    aligned_crop,
    portrait,
    shown_in_crop,
    similarity,
)


def smooth_picture(width: int = 400, height: int = 300, wave: int = 10) -> npt.NDArray[np.uint8]:
    noise = np.random.default_rng(3).integers(0, 255, (height // wave, width // wave, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def landmarks_at(scale: float, angle: float, shift: tuple[float, float]) -> npt.NDArray[np.float32]:
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    wobble = np.random.default_rng(5).normal(0, 1, (5, 2))
    return np.asarray((ARCFACE_TEMPLATE + wobble - 56) @ turn.T * scale + shift, dtype=np.float32)


@given(scale=st.floats(0.1, 10), angle=st.floats(-3.1, 3.1), x=st.floats(-500, 500), y=st.floats(-500, 500))
def test_a_similarity_is_found_exactly(scale: float, angle: float, x: float, y: float) -> None:
    matrix = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    target = ARCFACE_TEMPLATE @ matrix.T + [x, y]
    found = similarity(ARCFACE_TEMPLATE, target)
    np.testing.assert_allclose(found, np.column_stack([matrix, [x, y]]), atol=1e-6 * max(scale, 1) * 1000)


@pytest.mark.parametrize(("scale", "angle"), [(0.5, 0.0), (1.0, 0.4), (1.9, -2.5)])
def test_a_crop_equals_insightfaces(scale: float, angle: float) -> None:
    picture = smooth_picture()
    landmarks = landmarks_at(scale, angle, (180, 140))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        expected = face_align.norm_crop(picture, landmarks)
    difference = np.abs(aligned_crop(picture, landmarks).astype(int) - expected)
    # cv2 works with 1/32 of a pixel, so the last digit of the matrix may move a value by one step.
    assert difference.max() <= 2
    assert difference.mean() < 0.05


def test_a_large_face_is_averaged_and_stays_where_it_was() -> None:
    picture = smooth_picture(2000, 1600, wave=200)
    grain = np.random.default_rng(7).integers(-60, 60, picture.shape)
    grained = np.clip(picture + grain, 0, 255).astype(np.uint8)
    landmarks = landmarks_at(9.0, 0.3, (1000, 800))
    clean, averaged = aligned_crop(picture, landmarks), aligned_crop(grained, landmarks)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        sampled = face_align.norm_crop(grained, landmarks)
        expected = face_align.norm_crop(picture, landmarks)
    assert np.abs(clean.astype(int) - expected).mean() < 2, "no shift against insightface's crop"
    assert np.abs(averaged.astype(int) - clean).mean() < np.abs(sampled.astype(int) - expected).mean() / 2


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_crops_at_the_edge_have_their_size(scale: float) -> None:
    picture = smooth_picture()
    landmarks = landmarks_at(scale, 0.0, (0, 0))
    crop = aligned_crop(picture, landmarks)
    assert crop.shape == (ALIGNED_SIDE, ALIGNED_SIDE, 3)
    assert not crop[0, 0].any(), "black outside the photo, as in training"
    shown = portrait(picture, landmarks)
    assert shown.shape == (THUMBNAIL_SIDE, THUMBNAIL_SIDE, 3)
    assert shown[0, 0].any(), "a thumbnail repeats the edge"


@pytest.mark.parametrize(
    ("scale", "angle", "shift"), [(1.0, 0.4, (20, 40)), (0.4, -2.0, (390, 10)), (3.0, 0.0, (200, 150))]
)
def test_what_a_crop_shows_of_the_photo_is_known(scale: float, angle: float, shift: tuple[float, float]) -> None:
    white = np.full((300, 400, 3), 255, dtype=np.uint8)
    landmarks = landmarks_at(scale, angle, shift)
    crop = aligned_crop(white, landmarks).min(axis=2)
    shown = shown_in_crop(landmarks, 400, 300)
    assert 0.1 < shown.mean() < 1.0
    assert (crop[shown] >= 254).all()
    assert (crop[~shown] < 255).mean() > 0.85, "all but a seam"


def test_a_portrait_shows_more_than_the_crop() -> None:
    picture = np.zeros((600, 600, 3), dtype=np.uint8)
    landmarks = (ARCFACE_TEMPLATE + 200).astype(np.float32)
    picture[195:200, 200:312] = 255  # just above the crop
    assert not aligned_crop(picture, landmarks)[4:].any()
    assert portrait(picture, landmarks).any()
