"""How good a face is for recognising: sharpness, pose and size. Pure: arrays in, numbers out."""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from functions.detect.boxes import Box

# A face that looks into the camera, in pixels of ArcFace's 112-pixel crop: x to the right of the picture, y down,
# z away from the camera. Eyes and mouth are where ArcFace's alignment template has them (insightface,
# utils/face_align.py: arcface_dst), made symmetrical. The nose's tip is lower than there, at 0.58 of the way from
# the eyes to the mouth, as measured: with it the median pitch of 69 faces of an event's photos is 0, with the
# template's 0.49 it is 16 degrees. Depths: the eyes are 35.2 pixels apart, 63 mm on a grown-up's face, so a pixel
# is 1.8 mm; the tip of the nose is about 25 mm in front of the eyes, the corners of the mouth about 4 mm.
FACE_MODEL: Final[npt.NDArray[np.float64]] = np.array(
    [
        [-17.6, -20.1, 0.0],
        [17.6, -20.1, 0.0],
        [0.0, 3.7, -14.0],
        [-14.6, 20.6, -2.2],
        [14.6, 20.6, -2.2],
    ]
)
_CENTRED_MODEL: Final = FACE_MODEL - FACE_MODEL.mean(axis=0)
_INVERSE_MODEL: Final = np.linalg.pinv(_CENTRED_MODEL)

# Sharpness is measured here, in pixels of the 112-pixel crop: eyes, nose and mouth, without hair and background.
_CENTRE: Final = slice(16, 96)

# Luma of ITU-R BT.601.
_LUMA: Final = np.array([0.299, 0.587, 0.114], dtype=np.float32)


@dataclass(frozen=True)
class Pose:
    """Head pose in degrees, (0, 0, 0) for a face that looks into the camera.

    `yaw` in [-90, 90]: positive when the nose points to the right of the picture. `pitch` in [-180, 180]:
    positive when the face looks up. `roll` in [-180, 180]: positive when the head is tilted clockwise as seen.
    """

    yaw: float
    pitch: float
    roll: float


def sharpness(aligned: npt.NDArray[np.uint8], shown: npt.NDArray[np.bool_]) -> float:
    """Return the variance of the Laplacian in the middle of an aligned crop, uint8[112, 112, 3] RGB.

    `shown`, bool[112, 112], are the pixels that show the photo. The others are black, and the edge where they begin
    would be the sharpest of all: it does not count. 0 where nothing is shown.
    The scale is that of 8-bit grey values squared: measured on real faces, under 30 is visibly blurred or a
    face of less than about 40 pixels that was enlarged, 100 to 1000 is usual. The measure is Pech-Pacheco et
    al., "Diatom autofocusing in brightfield microscopy", 2000.
    """
    grey = aligned[_CENTRE, _CENTRE].astype(np.float32) @ _LUMA
    laplacian = _around(grey).sum(axis=0) - 4.0 * grey[1:-1, 1:-1]
    middle = shown[_CENTRE, _CENTRE]
    counted = laplacian[middle[1:-1, 1:-1] & _around(middle).all(axis=0)]
    return float(counted.var()) if counted.size else 0.0


def _around(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the four neighbours of every inner pixel of [h, w], [4, h - 2, w - 2]."""
    return np.stack([pixels[:-2, 1:-1], pixels[2:, 1:-1], pixels[1:-1, :-2], pixels[1:-1, 2:]])


def pose(landmarks: npt.NDArray[np.floating]) -> Pose:
    """Estimate head pose from five landmarks, float[5, 2] in pixels (both axes of equal scale).

    Order: the eye on the picture's left, the one on the right, the nose's tip, the corners of the mouth on the
    left and on the right. The landmarks are taken as a scaled orthographic projection of FACE_MODEL (the first
    step of DeMenthon and Davis, "Model-based object pose in 25 lines of code", 1995), made a rotation by the
    nearest orthonormal rows, and read as roll after yaw after pitch. Faces differ, so single angles are good
    to about 10 degrees; order and sign are reliable. All zero when the landmarks coincide.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    projection = (_INVERSE_MODEL @ (points - points.mean(axis=0))).T
    left, scales, right = np.linalg.svd(projection, full_matrices=False)
    if not np.isfinite(scales).all() or scales[1] < np.finfo(np.float64).eps:
        return Pose(0.0, 0.0, 0.0)
    rows = left @ right
    rotation = np.vstack([rows, np.cross(rows[0], rows[1])])
    # rotation = Rz(roll) Ry(-yaw) Rx(-pitch) in the axes of FACE_MODEL, where y points down and z away.
    return Pose(
        yaw=math.degrees(math.asin(max(-1.0, min(1.0, rotation[2, 0])))),
        pitch=math.degrees(math.atan2(-rotation[2, 1], rotation[2, 2])),
        roll=math.degrees(math.atan2(rotation[1, 0], rotation[0, 0])),
    )


def rolls(landmarks: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return the roll of each of [n, 5, 2] landmarks in degrees, as `pose` has it, from four points and coarsely.

    The way from left to right (eyes, mouth), and a quarter turn from the way down from the eyes to the mouth, point
    in the same direction in an upright face; their sum says how far it is turned, for landmarks in any disorder too.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    left_eye, right_eye, _, mouth_left, mouth_right = np.moveaxis(points, 1, 0)
    across = (right_eye - left_eye) + (mouth_right - mouth_left)
    down = (mouth_left + mouth_right) - (left_eye + right_eye)
    return np.asarray(np.degrees(np.arctan2(across[:, 1] - down[:, 0], across[:, 0] + down[:, 1])))


def size_in_pixels(box: Box, original_width: int, original_height: int) -> int:
    """Return the shorter side of a box in pixels of the original upright photo."""
    return round(min(box.w * original_width, box.h * original_height))
