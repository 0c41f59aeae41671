"""What decoding gives: a photo, or the name and the reason of why not; and the limits that decide about the latter."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class DecodeLimits:
    """What is refused and how much is kept.

    All but `max_side` are checked in the header, before anything is decoded. `max_bytes` is the memory that decoding
    may take, by the estimates of memory.py: what a pixel costs depends on the format. `min_side` is in pixels.
    `max_side` bounds the longer side of the result: a larger photo is reduced while it is decoded.
    """

    max_pixels: int = 250_000_000
    max_bytes: int = 2**30
    max_aspect_ratio: float = 20.0
    min_side: int = 16
    max_side: int = 4096


@dataclass(frozen=True)
class DecodedPhoto:
    """A photo as the eye sees it.

    `rgb` is uint8[height, width, 3], contiguous and read-only, sRGB, upright, on white where it was transparent.
    `original_width` and `original_height` are those of the upright photo before any reduction, and `reduction` is
    how many of its pixels, along each side, one of `rgb` stands for. `source` is the file's content and the limits
    it was decoded with, where decoding it again would show more (see `decode_again`).
    """

    rgb: npt.NDArray[np.uint8]
    format: str
    original_width: int
    original_height: int
    reduction: int = 1
    source: tuple[bytes, DecodeLimits] | None = None


class BadImageCode(StrEnum):
    """Why a picture was refused."""

    EMPTY = "empty"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_SMALL = "too_small"
    ABSURD_ASPECT_RATIO = "absurd_aspect_ratio"
    UNSUPPORTED_FORMAT = "unsupported_format"


class BadImage(Exception):
    """A picture that cannot be read, or should not be: final, trying again changes nothing.

    `reason` says in plain words what is wrong and what to do.
    """

    def __init__(self, code: BadImageCode, reason: str) -> None:
        """Keep the code for programs and the reason for people."""
        super().__init__(reason)
        self.code = code
        self.reason = reason


def check_size(width: int, height: int, limits: DecodeLimits) -> None:
    """Refuse a picture by its size in pixels. Raises BadImage."""
    size = f"{width} x {height}"
    if width * height > limits.max_pixels:
        reason = (
            f"The picture is {size}, which is {width * height / 1e6:.0f} megapixels; "
            f"the limit is {limits.max_pixels / 1e6:.0f}. Upload a smaller version."
        )
        raise BadImage(BadImageCode.TOO_MANY_PIXELS, reason)
    shorter, longer = sorted((width, height))
    if shorter < limits.min_side:
        reason = (
            f"The picture is {size} pixels; no face can be found in less than {limits.min_side}. "
            "Upload a larger version."
        )
        raise BadImage(BadImageCode.TOO_SMALL, reason)
    if longer > limits.max_aspect_ratio * shorter:
        reason = (
            f"The picture is {size}: more than {limits.max_aspect_ratio:g} times as long as it is wide. "
            "Upload the part that shows people."
        )
        raise BadImage(BadImageCode.ABSURD_ASPECT_RATIO, reason)


def check_memory(what: str, width: int, height: int, needed: int, limits: DecodeLimits) -> None:
    """Refuse a picture for the memory, in bytes, that decoding it would take. Raises BadImage."""
    if needed > limits.max_bytes:
        reason = (
            f"The picture is {width} x {height}, which is {width * height / 1e6:.0f} megapixels: to read that from "
            f"{what} takes {needed / 2**20:,.0f} MiB of memory, and the limit is {limits.max_bytes / 2**20:,.0f}. "
            "Upload a smaller version, or a JPEG that is not progressive."
        )
        raise BadImage(BadImageCode.TOO_MANY_PIXELS, reason)
