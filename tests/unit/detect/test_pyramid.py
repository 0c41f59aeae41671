"""Every step gets the smallest size of a photo that has enough pixels for it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.detect.pyramid import Pyramid
from shared.decode import DecodedPhoto


def photo(width: int, height: int, reduction: int = 1) -> DecodedPhoto:
    pixels = np.zeros((height, width, 3), np.uint8)
    return DecodedPhoto(pixels, "jpeg", width * reduction, height * reduction, reduction)


@settings(deadline=None)  # how long it takes is the machine's business
@given(st.integers(2, 600), st.integers(2, 600), st.floats(0.01, 4))
def test_a_crop_gets_a_pixel_for_each_of_its_own_and_not_four(width: int, height: int, scale: float) -> None:
    pyramid = Pyramid(photo(width, height))
    level = pyramid.for_crop(scale)
    if level is not pyramid.finest:
        assert level.step * scale <= 1
    if min(level.pixels.shape[:2]) >= 4:
        assert 2 * level.step * scale > 1


@settings(deadline=None)
@given(st.integers(2, 3000), st.integers(2, 300), st.sampled_from([128, 640]))
def test_a_canvas_is_never_reached_by_skipping_many_pixels(width: int, height: int, side: int) -> None:
    level = Pyramid(photo(width, height)).for_canvas(side)
    assert max(level.pixels.shape[:2]) <= 2.5 * side or min(level.pixels.shape[:2]) < 4
    assert max(level.pixels.shape[:2]) >= min(max(width, height), 1.2 * side)


@pytest.mark.parametrize("reduction", [1, 2, 4])
def test_a_place_is_the_same_place_at_every_size(reduction: int) -> None:
    pixels = np.zeros((900, 1200, 3), np.uint8)
    pixels[240:280, 400:480] = 200
    pyramid = Pyramid(DecodedPhoto(pixels, "jpeg", 1200 * reduction, 900 * reduction, reduction))
    middle = np.array([[440.0, 260.0]]) * reduction - 0.5
    steps = set()
    for scale in (1.0, 0.4, 0.2, 0.1):
        level = pyramid.for_crop(scale / reduction)
        steps.add(level.step)
        rows, columns = np.nonzero(level.pixels[..., 0] > 100)
        np.testing.assert_allclose(level.place(middle), [[columns.mean(), rows.mean()]], atol=1e-9)
    assert steps == {reduction * step for step in (1, 2, 4, 8)}


def test_a_finer_photo_goes_below_what_there_is() -> None:
    pyramid = Pyramid(photo(300, 200, 4))
    assert pyramid.for_crop(1.0).step == 4
    pyramid.add_finer(photo(600, 400, 2))
    assert pyramid.finest.step == 2
    assert [pyramid.for_crop(scale).step for scale in (1.0, 0.5, 0.25, 0.125)] == [2, 2, 4, 8]


def test_the_same_photo_again_changes_nothing() -> None:
    pyramid = Pyramid(photo(300, 200))
    finest = pyramid.finest
    pyramid.add_finer(photo(300, 200))
    assert pyramid.finest is finest
