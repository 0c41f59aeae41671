"""Cuts faces out of a photo, upright and of one size. Pure."""

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

ALIGNED_SIDE: Final = 112
THUMBNAIL_SIDE: Final = 160

# Where ArcFace's networks expect the eyes, the nose and the corners of the mouth in a 112-pixel crop
# (insightface, utils/face_align.py: arcface_dst).
ARCFACE_TEMPLATE: Final = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
)

# A thumbnail shows up to this much more than the aligned crop, so that a person is recognised by hair and chin
# too, and less where the photo ends.
_PORTRAIT_MARGINS: Final = (1.4, 1.3, 1.2, 1.1, 1.0)

# Bilinear sampling looks at 2 x 2 pixels, so a face is first averaged down to less than twice the crop's scale.
_MAX_REDUCTION: Final = 2.0


def similarity(source: npt.NDArray[np.floating], target: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return the [2, 3] matrix of scale, rotation and shift that best maps points [n, 2] on points [n, 2].

    Least squares after Umeyama, "Least-squares estimation of transformation parameters between two point
    patterns", 1991. In the plane its rotation and scale are one complex number, which needs no SVD.
    """
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    x, y = (source - source_mean).T.astype(np.float64)
    u, v = (target - target_mean).T.astype(np.float64)
    spread = float((x * x + y * y).sum())
    cosine = float((x * u + y * v).sum()) / spread
    sine = float((x * v - y * u).sum()) / spread
    rotation = np.array([[cosine, -sine], [sine, cosine]])
    shift = target_mean - rotation @ source_mean
    return np.column_stack([rotation, shift])


def aligned_crop(rgb: Pixels, landmarks: npt.NDArray[np.floating]) -> Pixels:
    """Return the uint8[112, 112, 3] crop that ArcFace networks are fed, black outside the photo.

    Equal to insightface's norm_crop, except that a face much larger than the crop is averaged down and not
    sampled, which would leave aliasing in the embedding and in the sharpness. `landmarks` are [5, 2] in pixels.
    """
    return _warp(rgb, similarity(landmarks, ARCFACE_TEMPLATE), ALIGNED_SIDE, cv2.BORDER_CONSTANT)


def shown_in_crop(landmarks: npt.NDArray[np.floating], width: int, height: int) -> npt.NDArray[np.bool_]:
    """Return which pixels of the aligned crop show nothing but the photo, of width x height pixels.

    bool[112, 112]; `landmarks` are [5, 2] in the photo's pixels. A pixel at the edge, where black blends in, does not.
    """
    matrix = similarity(landmarks, ARCFACE_TEMPLATE)
    # The way back into the photo is linear in the crop's column and row.
    back = np.linalg.inv(matrix[:, :2])
    start = -back @ matrix[:, 2]
    along = np.arange(ALIGNED_SIDE)
    x = start[0] + back[0, 0] * along + back[0, 1] * along[:, None]
    y = start[1] + back[1, 0] * along + back[1, 1] * along[:, None]
    seam = float(np.hypot(back[0, 0], back[1, 0]))
    return np.asarray((x >= seam) & (x <= width - 1 - seam) & (y >= seam) & (y <= height - 1 - seam))


def portrait(rgb: Pixels, landmarks: npt.NDArray[np.floating]) -> Pixels:
    """Return uint8[160, 160, 3]: the upright face with as much hair and chin as the photo has.

    What even the narrowest cut shows outside the photo repeats its edge.
    """
    matrices = [_portrait_matrix(landmarks, margin) for margin in _PORTRAIT_MARGINS]
    inside = (matrix for matrix in matrices if _shows_only_photo(matrix, rgb.shape[1], rgb.shape[0]))
    return _warp(rgb, next(inside, matrices[-1]), THUMBNAIL_SIDE, cv2.BORDER_REPLICATE)


def crops_of_portrait(rgb: Pixels) -> list[Pixels]:
    """Return what a portrait was cut around: uint8[112, 112, 3] for each of the margins that it may have."""
    return [aligned_crop(rgb, _portrait_template(margin)) for margin in _PORTRAIT_MARGINS]


def _portrait_matrix(landmarks: npt.NDArray[np.floating], margin: float) -> npt.NDArray[np.float64]:
    return similarity(landmarks, _portrait_template(margin))


def _portrait_template(margin: float) -> npt.NDArray[np.float64]:
    """Return where a portrait of 160 pixels has the landmarks, [5, 2]."""
    border = ALIGNED_SIDE * (margin - 1.0) / 2
    return np.asarray((ARCFACE_TEMPLATE + border) * (THUMBNAIL_SIDE / (ALIGNED_SIDE * margin)))


def _shows_only_photo(matrix: npt.NDArray[np.float64], width: int, height: int) -> bool:
    corners = _seen_corners(matrix, THUMBNAIL_SIDE)
    return bool((corners >= 0).all() and (corners <= [width - 1, height - 1]).all())


def _seen_corners(matrix: npt.NDArray[np.float64], side: int) -> npt.NDArray[np.float64]:
    """Return where in the photo the corners of a crop lie, [4, 2]."""
    corners = np.array([[0, 0], [side, 0], [0, side], [side, side]], dtype=np.float64)
    return np.asarray((corners - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T)


def _warp(rgb: Pixels, matrix: npt.NDArray[np.float64], side: int, border: int) -> Pixels:
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if scale * _MAX_REDUCTION < 1.0:
        rgb, matrix = _averaged_down(rgb, matrix, side, 1.0 / (scale * _MAX_REDUCTION))
    warped = cv2.warpAffine(rgb, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=border)
    return np.ascontiguousarray(warped, dtype=np.uint8)


def _averaged_down(
    rgb: Pixels, matrix: npt.NDArray[np.float64], side: int, factor: float
) -> tuple[Pixels, npt.NDArray[np.float64]]:
    """Cut out what the crop will show, reduce it by about `factor`, and return it with the matrix for it."""
    seen = _seen_corners(matrix, side)
    height, width = rgb.shape[:2]
    left, top = np.clip(np.floor(seen.min(axis=0)) - 1, 0, [width - 1, height - 1]).astype(int)
    right, bottom = np.clip(np.ceil(seen.max(axis=0)) + 1, [left + 1, top + 1], [width, height]).astype(int)
    region = rgb[top:bottom, left:right]
    size = np.maximum(1, np.round(np.array([right - left, bottom - top]) / factor)).astype(int)
    reduced = cv2.resize(region, (int(size[0]), int(size[1])), interpolation=cv2.INTER_AREA)
    # A pixel's centre is at its index, so a reduced pixel p shows (p + 0.5) * step - 0.5 of the region.
    step = np.array([right - left, bottom - top]) / size
    offset = (step - 1.0) / 2 + np.array([left, top])
    moved = np.column_stack([matrix[:, :2] * step, matrix[:, :2] @ offset + matrix[:, 2]])
    return np.asarray(reduced, dtype=np.uint8), moved
