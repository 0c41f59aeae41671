"""A photo as a page shows it: upright, sRGB, small, and without what the camera wrote into it."""

from __future__ import annotations

import io
from typing import Final

from PIL import Image

from shared.decode import DecodeLimits, decode
from shared.sniff import Format, NotAnImage, UnsupportedPicture, sniff

# Sizes that are made, in pixels of the longer side: few, so that caches hit.
STEPS: Final = (64, 128, 256, 384, 512, 768, 1024, 1536, 2048)
_QUALITY: Final = 82
# One photo may take about this much memory while it is decoded, which leaves admin the rest of 512 MiB ...
_BYTES: Final = 360_000_000
# ... and this is what a pixel takes, measured with 48 and 60 megapixels (a progressive JPEG keeps its coefficients,
# WebP two canvases with alpha). The largest photos of phones have 50 megapixels, in JPEG or HEIC.
_BYTES_PER_PIXEL: Final[dict[Format | None, int]] = {Format.JPEG: 6, Format.HEIF: 7, Format.WEBP: 16}
_BYTES_PER_OTHER_PIXEL: Final = 8


def step(width: int) -> int:
    """The largest size that is made and is at most ``width`` (64 or more)."""
    return max(size for size in STEPS if size <= width)


def preview(data: bytes, longer_side: int) -> bytes:
    """The photo as JPEG, neither side longer than ``longer_side``, and never larger than it was.

    Raises:
        NotAnImage, BadImage: the file is no picture, or one that cannot be read; their ``reason`` says why.
    """
    limits = DecodeLimits(
        max_pixels=_BYTES // _BYTES_PER_PIXEL.get(_format(data), _BYTES_PER_OTHER_PIXEL),
        min_side=1,
        max_aspect_ratio=100,
        # Decoding reduces by whole factors: to between one and two times what is wanted.
        max_side=2 * longer_side,
    )
    picture = Image.fromarray(decode(data, limits).rgb)
    picture.thumbnail((longer_side, longer_side), Image.Resampling.BICUBIC)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=_QUALITY, optimize=True)
    return stream.getvalue()


def _format(data: bytes) -> Format | None:
    try:
        return sniff(data)
    except (NotAnImage, UnsupportedPicture):
        return None  # decoding says so in words
