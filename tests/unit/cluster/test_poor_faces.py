"""The gate of clustering and what admin says of it are one."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.cluster.faces.rules import may_seed
from functions.cluster.parameters import parameters_of
from functions.cluster.states import FaceState
from shared.calibration import constants_of
from shared.poor_faces import why_poor
from tests.examples import examples

NOBODY = UUID(int=1)
angles = st.none() | st.floats(-95, 95)


@pytest.mark.parametrize("pack", ["mini", "buffalo_l", "a pack of tomorrow"])
@given(
    quality=st.floats(0, 1),
    sharpness=st.none() | st.floats(0, 40),
    yaw=angles,
    pitch=angles,
    size_px=st.integers(1, 60),
)
@settings(max_examples=examples(60), deadline=None, derandomize=True)
def test_a_face_that_may_not_found_a_person_has_a_reason_and_no_other_has(
    pack: str, quality: float, sharpness: float | None, yaw: float | None, pitch: float | None, size_px: int
) -> None:
    face = FaceState(NOBODY, NOBODY, quality_score=quality, sharpness=sharpness, yaw=yaw, pitch=pitch, size_px=size_px)
    reason = why_poor(
        constants_of(pack).cluster, quality=quality, sharpness=sharpness, yaw=yaw, pitch=pitch, size_px=size_px
    )
    assert may_seed(face, parameters_of(pack)) == (reason is None)


def test_a_face_that_is_poor_in_several_ways_is_told_the_plainest() -> None:
    constants = constants_of("mini").cluster
    assert why_poor(constants, quality=0.1, sharpness=1, yaw=80, pitch=0, size_px=10) == "too_small"
    assert why_poor(constants, quality=0.1, sharpness=1, yaw=0, pitch=0, size_px=100) == "too_blurred"
    assert why_poor(constants, quality=0.1, sharpness=99, yaw=0, pitch=0, size_px=100) == "unclear"
