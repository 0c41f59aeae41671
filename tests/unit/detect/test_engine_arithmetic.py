"""The engine's arithmetic, without a network."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.detect.detections import MOST_WEAK, fragments, sure_and_weak
from functions.detect.engine import EMBEDDING_SIZE, normalised
from functions.detect.looking import canvases


@given(width=st.integers(16, 20_000), height=st.integers(16, 20_000))
def test_canvases_are_multiples_of_32_as_long_as_asked_and_no_wider_than_needed(width: int, height: int) -> None:
    for (canvas_width, canvas_height), longer in zip(canvases(width, height, (128, 640)), (128, 640), strict=True):
        assert canvas_width % 32 == canvas_height % 32 == 0
        assert max(canvas_width, canvas_height) == longer
        scale = longer / max(width, height)
        assert -1e-6 < canvas_width - width * scale < 32 + 1e-6
        assert -1e-6 < canvas_height - height * scale < 32 + 1e-6


def test_embeddings_get_512_values_and_norm_1_and_keep_their_cosine() -> None:
    raw = np.random.default_rng(0).normal(0, 40, (3, 192)).astype(np.float32)
    unit, usable = normalised(raw)
    assert unit.shape == (3, EMBEDDING_SIZE)
    assert unit.dtype == np.float32
    assert usable.all()
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-6)
    cosine = raw[0] @ raw[1] / np.linalg.norm(raw[0]) / np.linalg.norm(raw[1])
    assert unit[0] @ unit[1] == pytest.approx(cosine, abs=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_embedding_that_is_not_finite_is_unusable_and_spoils_no_other(bad: float) -> None:
    raw = np.ones((3, 512), dtype=np.float32)
    raw[1, 100] = bad
    unit, usable = normalised(raw)
    assert usable.tolist() == [True, False, True]
    assert np.isfinite(unit).all()


def test_an_embedding_of_norm_zero_is_unusable() -> None:
    _, usable = normalised(np.zeros((2, 192), dtype=np.float32))
    assert not usable.any()


def test_no_embeddings_are_no_trouble() -> None:
    unit, usable = normalised(np.zeros((0, 192), dtype=np.float32))
    assert unit.shape == (0, EMBEDDING_SIZE)
    assert usable.shape == (0,)


def test_a_part_of_a_better_face_is_a_fragment() -> None:
    boxes = np.array([[0, 0, 100, 100], [20, 20, 70, 110], [90, 90, 200, 200]], dtype=np.float32)
    assert fragments(boxes, np.array([0.9, 0.6, 0.5], dtype=np.float32)).tolist() == [False, True, False]


def test_a_better_face_inside_a_worse_one_stays() -> None:
    boxes = np.array([[0, 0, 100, 100], [20, 20, 70, 90]], dtype=np.float32)
    assert not fragments(boxes, np.array([0.6, 0.9], dtype=np.float32)).any()


def test_a_face_half_hidden_behind_another_stays() -> None:
    boxes = np.array([[0, 0, 100, 100], [60, 10, 140, 90]], dtype=np.float32)
    assert not fragments(boxes, np.array([0.9, 0.6], dtype=np.float32)).any()


def test_what_is_sure_is_suppressed_as_before_and_what_is_weak_is_told_once_and_nowhere_in_it() -> None:
    sure = [[100, 100, 200, 200, 0.9], [105, 100, 205, 200, 0.8]]
    weak = [[110, 110, 150, 150, 0.4], [300, 300, 320, 320, 0.3], [301, 300, 321, 320, 0.2], [500, 100, 540, 150, 0.1]]
    candidates = np.array([*sure, *weak], dtype=np.float32)
    assert sure_and_weak(candidates, 0.5, lambda dets: [0] if len(dets) == 2 else [-1]) == [0, 3, 5]


def test_of_thousands_of_weak_candidates_a_bounded_number_is_told() -> None:
    corners = np.random.default_rng(3).uniform(0, 4000, (9000, 2))
    scores = np.linspace(0.4, 0.03, 9000)[:, None]
    candidates = np.hstack([corners, corners + 20, scores]).astype(np.float32)
    told = sure_and_weak(candidates, 0.5, lambda _dets: [])
    assert told == sorted(set(told))
    assert told[0] == 0
    assert len(told) == MOST_WEAK
