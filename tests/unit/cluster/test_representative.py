"""Which face stands for a person."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from functions.cluster.persons.representative import best_cover, cover_score
from functions.cluster.states import FaceState

GOOD = FaceState(
    UUID(int=5), UUID(int=1), quality_score=0.9, sharpness=400.0, yaw=5.0, pitch=3.0, roll=0.0, size_px=150
)


@pytest.mark.parametrize(
    "worse",
    [
        {"quality_score": 0.6},
        {"sharpness": 20.0},
        {"yaw": -50.0},
        {"pitch": 40.0},
        {"size_px": 40},
        {"sharpness": None},
        {"yaw": None},
    ],
)
def test_quality_frontality_sharpness_and_size_all_count(worse: dict[str, float | None]) -> None:
    assert cover_score(replace(GOOD, **worse)) < cover_score(GOOD)  # type: ignore[arg-type]


@pytest.mark.parametrize("same", [{"roll": 80.0}, {"size_px": 900}, {"yaw": -5.0}])
def test_roll_extra_pixels_and_the_side_turned_to_do_not(same: dict[str, float]) -> None:
    assert cover_score(replace(GOOD, **same)) == pytest.approx(cover_score(GOOD))  # type: ignore[arg-type]


def test_scores_are_between_nothing_and_one() -> None:
    assert cover_score(replace(GOOD, yaw=120.0)) == 0.0
    assert 0.0 < cover_score(GOOD) < 1.0


def test_the_best_is_chosen_and_the_smallest_id_among_equals() -> None:
    twin = replace(GOOD, face_id=UUID(int=3))
    blurred = replace(GOOD, face_id=UUID(int=1), sharpness=1.0)
    assert best_cover([GOOD, blurred, twin]) == twin
