"""Which face stands for a person: one documented score."""

from __future__ import annotations

from math import cos, radians

from functions.cluster.states import FaceState

FULL_SIZE_PX = 112.0
"""A face needs no more pixels than the embedding model's input has (ArcFace: 112 x 112)."""

HALF_SHARPNESS = 100.0
"""The variance of the Laplacian (of detect, on the aligned crop) at which a face counts as half sharp. Of 23 faces in
group photos the median is 346, one is below 100 (27, plainly blurred), and the sharpest is at 1001."""

RIGHT_ANGLE = 90.0

UNKNOWN = 0.5
"""Stands for a measure that was not taken: such a face neither wins nor loses by it."""


def cover_score(face: FaceState) -> float:
    """How well a face stands for its person, in [0, 1]: ``quality * frontality * sharpness * size``.

    - quality: the detector's confidence, as it is;
    - frontality: ``cos(yaw) * cos(pitch)``, 0 from a right angle on; roll is undone by alignment;
    - sharpness: ``s / (s + HALF_SHARPNESS)``, which saturates;
    - size: the shorter side of the box over ``FULL_SIZE_PX``, at most 1.

    A product, so that a face that fails in one respect is not saved by the others.
    """
    sharpness = UNKNOWN if face.sharpness is None else face.sharpness / (face.sharpness + HALF_SHARPNESS)
    size = min(1.0, face.size_px / FULL_SIZE_PX)
    return face.quality_score * _facing(face.yaw) * _facing(face.pitch) * sharpness * size


def best_cover(faces: list[FaceState]) -> FaceState:
    """The face with the highest :func:`cover_score`; the smallest id among equals. Needs at least one face."""
    return min(faces, key=lambda face: (-cover_score(face), face.face_id))


def _facing(angle: float | None) -> float:
    if angle is None:
        return UNKNOWN
    return cos(radians(angle)) if abs(angle) < RIGHT_ANGLE else 0.0
