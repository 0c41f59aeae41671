"""Whether two files show the same picture: a perceptual hash of the whole photo. Pure.

The 16 x 16 lowest frequencies of the photo, averaged down to 64 x 64 grey pixels, each as one bit: above the median or
not (Zauner, "Implementation and benchmarking of perceptual image hash functions", 2010; the package imagehash calls it
phash). 256 bits of a whole photo hold no biometric: a face in it is a few of them. Figures: docs/detection.md.
"""

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

_FREQUENCIES: Final = 16
_SIDE: Final = 4 * _FREQUENCIES
# Of more pixels along the shorter side only some are looked at: at least 16 for each that is hashed.
_ENOUGH: Final = 4 * _SIDE

# Of 256 bits. Measured on 67 photos, 40 of them tight portraits in similar framing (docs/detection.md): JPEG of quality
# 50 to 95, WebP, PNG, half and twelve times the size differ in at most 10; another picture in at least 78, the mirror
# image in at least 116.
SAME_PICTURE_BITS: Final = 24


def picture_hash(rgb: npt.NDArray[np.uint8]) -> bytes:
    """Return the 32 bytes of an upright photo, uint8[height, width, 3]."""
    step = max(1, min(rgb.shape[:2]) // _ENOUGH)
    small = cv2.resize(
        np.ascontiguousarray(rgb[step // 2 :: step, step // 2 :: step]), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA
    )
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    lowest = cv2.dct(grey)[:_FREQUENCIES, :_FREQUENCIES]
    return np.packbits(lowest > np.median(lowest)).tobytes()


def is_same_picture(one: bytes, other: bytes) -> bool:
    """Say whether two hashes are of one picture: re-encoded, resized, or slightly brightened."""
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count() <= SAME_PICTURE_BITS
