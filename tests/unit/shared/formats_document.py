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

The tables list the kinds of files that Trombi reads, refuses or skips. They are generated from the test cases
(`make formats`; `tests/unit/shared/format_cases.py` and `test_formats.py`), and each row is one test. Detect, which
analyses photos, and admin, which shows them, use the same decoder and the same limits.

- **File type.** The bytes of a file determine its type. Names and content types are ignored.
- **Orientation.** Only the EXIF orientation is applied, as in browsers. HEIC and AVIF have their own orientation
  property, and TIFF its tag. The XMP property `tiff:Orientation` is ignored. Browsers ignore it too; on a page that
  shows the original photo, the boxes would otherwise be in the wrong places.
- **Damaged metadata does not make a photo unreadable.** Metadata is removed before a decoder reads the file. A photo
  counts as damaged only if its pixels are damaged, or the data needed to decode them.
  A wrong checksum alone is not damage: one of the two checksums that protect the pixels of a PNG must be correct.
- **Raw files.** Most cameras embed a full-size JPEG, and this JPEG is read. Its longer side must have at least two
  thirds of the length of the sensor's picture, or 1,280 pixels if that length is unknown. Smaller previews are not
  searched for faces.
"""

_SIZES = """
## Sizes

A photo may have at most {pixels} megapixels (`MAX_PHOTO_PIXELS`), need at most {memory} MiB of memory while it is
decoded (`MAX_PHOTO_MEMORY`), and be at most {files} MiB as a file (`MAX_PHOTO_BYTES`). The memory per pixel depends on
the format. With the defaults, the largest photos have about:

| format | megapixels |
|---|---|
{rows}

A baseline JPEG is reduced while it is decoded, so only the limit on pixels applies. A progressive JPEG needs the
coefficients of the whole picture first. All photos that an instance decodes at the same time share this memory. If
there is not enough, detect answers 429, and admin answers 503 with `Retry-After`.
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
    """The most megapixels within the limits, rounded down. The result, whose size is bounded, is counted separately."""
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
