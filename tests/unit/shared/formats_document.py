"""Writes docs/formats.md from the cases of the tests: python -m tests.unit.shared.formats_document (make formats)."""

import dataclasses
import itertools
from pathlib import Path

import numpy as np
from PIL import Image

from shared.decode import DecodeLimits, memory_needed
from tests.unit.shared.format_cases import CASES
from tests.unit.shared.photo_files import encode

PATH = Path(__file__).resolve().parents[3] / "docs" / "formats.md"
_SIDE = 512

_HEAD = """# Formats

What comes of each kind of file, written from the cases of the tests (`make formats`;
`tests/unit/shared/format_cases.py` and `test_formats.py`): one row a test. Detect reads a photo and admin shows it with
the same code and the same limits.

- **What a file is** is decided by its bytes; names and content types may say anything.
- **Orientation** is EXIF's alone, as in browsers; of HEIC and AVIF their own property, of TIFF its tag. XMP's
  `tiff:Orientation` is not looked at: boxes would lie elsewhere on a page that shows the photo itself.
- **Metadata never costs the picture.** It is taken away before a decoder sees the file. Damage of pixels, or of what
  says how to read them, is damage. A wrong checksum alone is none: of the two that guard the pixels of a PNG, one has
  to be right.
- **Raw files** are read from the JPEG in full size that most cameras put in: at least two thirds as long as the
  sensor's picture, or 1,280 pixels where that is not known. Nobody is looked for on a thumbnail.
"""

_SIZES = """
## Sizes

At most {pixels} megapixels (`MAX_PHOTO_PIXELS`) and {memory} MiB of memory (`MAX_PHOTO_MEMORY`) a photo, and {files}
MiB a file (`MAX_PHOTO_BYTES`). What a pixel takes depends on the format, so with the defaults the largest photos have
about:

| format | megapixels |
|---|---|
{rows}

A baseline JPEG is reduced while it is decoded, so only the limit on pixels holds; a progressive one needs the whole
picture's coefficients first. Photos that are decoded side by side share the same memory: who finds no room is answered
429 by detect, and 503 with `Retry-After` by admin.
"""


def document() -> str:
    """The whole document."""
    parts = [_HEAD]
    for group, cases in itertools.groupby(CASES, key=lambda case: case.group):
        rows = "\n".join(f"| {case.what} | {case.outcome.told} |" for case in cases)
        parts.append(f"\n## {group}\n\n| file | what happens |\n|---|---|\n{rows}\n")
    limits = DecodeLimits()
    rows = "\n".join(f"| {name} | {_largest(data, limits)} |" for name, data in _samples().items())
    memory = f"{limits.max_bytes // 2**20:,}"
    parts.append(_SIZES.format(pixels=limits.max_pixels // 10**6, memory=memory, files=100, rows=rows))
    return "".join(parts)


def _samples() -> dict[str, bytes]:
    picture = Image.new("RGB", (_SIDE, _SIDE))
    deep = Image.fromarray(np.zeros((_SIDE, _SIDE), dtype=np.uint16))
    return {
        "JPEG, baseline": encode(picture, "JPEG"),
        "JPEG, progressive, colours in half the pixels each way (4:2:0)": encode(picture, "JPEG", progressive=True),
        "JPEG, progressive, colours in full (4:4:4)": encode(picture, "JPEG", progressive=True, subsampling=0),
        "PNG, colours, with or without transparency": encode(picture, "PNG"),
        "PNG, 16-bit grey": encode(deep, "PNG"),
        "WebP": encode(picture, "WEBP"),
        "HEIC": encode(picture, "HEIF"),
        "AVIF": encode(picture, "AVIF"),
        "TIFF, 8-bit colours, JPEG-compressed": encode(picture, "TIFF", compression="jpeg"),
    }


def _largest(data: bytes, limits: DecodeLimits) -> int:
    """Megapixels, rounded down: what a pixel takes beside the result, which has a largest size."""
    reduced = dataclasses.replace(limits, max_side=_SIDE // 4)
    whole = dataclasses.replace(limits, max_side=_SIDE)
    of_result = (memory_needed(data, whole) - memory_needed(data, reduced)) / (1 - 1 / 16)
    each = (memory_needed(data, whole) - of_result - _overhead(data)) / _SIDE**2
    largest_result = of_result / _SIDE**2 * limits.max_side**2
    pixels = (limits.max_bytes - largest_result) / each if each > 0 else limits.max_pixels
    return int(min(pixels, limits.max_pixels) / 1e6)


def _overhead(data: bytes) -> int:
    return 0 if data.startswith(b"\xff\xd8") else len(data)


if __name__ == "__main__":
    PATH.write_text(document(), encoding="utf-8")
