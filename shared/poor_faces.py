"""Which faces are too poor to found a person, and why.

Cluster excludes such faces from founding persons; admin shows the reason in the list of faces without a person.
"""

from __future__ import annotations

from typing import Literal

from shared.calibration import ClusterConstants

MIN_SIZE_PX = 20.0
"""The shorter side of the box, in pixels of the photo."""
MAX_YAW = 75.0
"""Degrees sideways. Five landmarks measure up to about 70 degrees: larger values mean that they are not plausible."""
MAX_PITCH = 60.0
"""Degrees up or down."""

Poor = Literal["too_small", "turned_too_far", "too_blurred", "unclear"]


def why_poor(
    constants: ClusterConstants,
    *,
    quality: float,
    sharpness: float | None,
    yaw: float | None,
    pitch: float | None,
    size_px: float,
) -> Poor | None:
    """Return why a face is too poor to found a person; None when it is not. A value that was not measured passes.

    ``quality`` is the detector's confidence in [0, 1], ``sharpness`` is detect's measure (the variance of the
    Laplacian), and angles are in degrees; the limits of quality and sharpness are the pack's ``constants``.
    """
    if size_px < MIN_SIZE_PX:
        return "too_small"
    if (yaw is not None and abs(yaw) > MAX_YAW) or (pitch is not None and abs(pitch) > MAX_PITCH):
        return "turned_too_far"
    least = constants.seed_min_sharpness
    if least is not None and sharpness is not None and sharpness < least:
        return "too_blurred"
    if constants.seed_min_quality is not None and quality < constants.seed_min_quality:
        return "unclear"
    return None
