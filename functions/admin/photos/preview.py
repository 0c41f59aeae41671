"""A photo as a page shows it: upright, sRGB, small, and without what the camera wrote into it."""

from __future__ import annotations

import dataclasses
import io
from typing import Final

from PIL import Image

from shared.decode import DecodeLimits, decode

# Sizes that are made, in pixels of the longer side: few, so that caches hit.
STEPS: Final = (64, 128, 256, 384, 512, 768, 1024, 1536, 2048)
_QUALITY: Final = 82


def step(width: int) -> int:
    """Return the largest available size that is at most ``width`` (64 or more)."""
    return max(size for size in STEPS if size <= width)


def preview_limits(limits: DecodeLimits, longer_side: int) -> DecodeLimits:
    """Return detect's limits with a smaller result, so that every photo that detect reads is shown.

    Decoding reduces by whole factors: to between one and two times what is wanted.
    """
    return dataclasses.replace(limits, max_side=2 * longer_side)


def preview(data: bytes, longer_side: int, limits: DecodeLimits) -> bytes:
    """Render the photo as JPEG, neither side longer than ``longer_side``, never enlarged.

    Raises:
        NotAnImage, BadImage: the file is no picture, or one that cannot be read; their ``reason`` says why.
    """
    picture = Image.fromarray(decode(data, preview_limits(limits, longer_side)).rgb)
    picture.thumbnail((longer_side, longer_side), Image.Resampling.BICUBIC)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=_QUALITY, optimize=True)
    return stream.getvalue()
