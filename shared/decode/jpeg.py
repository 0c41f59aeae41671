"""JPEG: read by libjpeg-turbo, reduced while it decodes, as many times as the limits and the caller ask for."""

import io
import math
from typing import Final

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image, JpegImagePlugin

from shared.decode.ifd import exif_orientation
from shared.decode.jpeg_file import JpegFile, count_scans, read_header
from shared.decode.outcome import (
    BadImage,
    BadImageCode,
    DecodedPhoto,
    DecodeLimits,
    check_memory,
    check_size,
)
from shared.decode.pixels import factor_for, foreign_profile, in_colour, memory_of_result, upright

# An ordinary progressive JPEG has about ten scans. Each one costs a pass over the whole picture, 1 to 4 ns a pixel,
# so that a small file of many scans would take minutes ...
_MAX_SCANS: Final = 100
# ... and this many pixels of all scans together some ten seconds.
_MAX_PIXELS_OF_SCANS: Final = 2_500_000_000
_COLOURS: Final = 3
_BITS: Final = 8
_BYTES_A_COEFFICIENT: Final = 2
# libjpeg's warnings of files whose pixels are not all there; its others, as of a few extraneous bytes, cost none.
_LOST_PIXELS: Final = ("premature end of data segment", "bad Huffman code")


def decode_jpeg(
    data: bytes, limits: DecodeLimits, enough: int | None, *, name: str = "jpeg", orientation: int | None = None
) -> DecodedPhoto:
    """Decode a JPEG; `orientation` outranks its own. Raises BadImage, and whatever a decoder raises on broken files."""
    header = _checked_header(data, limits)
    width, height = header.width, header.height
    needed = _libjpeg_scale(width, height, limits.max_side)
    scale = max(needed, _libjpeg_scale_that_leaves(width, height, enough)) if enough else needed
    read = _read_by_turbojpeg(header, data, scale)
    factor = factor_for(math.ceil(width / scale), math.ceil(height / scale), limits.max_side)
    if read is None:
        with _open(header, data) as image:
            if scale > 1:
                image.draft(None, (max(1, width // scale), max(1, height // scale)))
            image.load()
            pixels = np.asarray(in_colour(image, factor, header.profile))
    elif factor > 1 or foreign_profile("RGB", header.profile) is not None:
        pixels = np.asarray(in_colour(Image.fromarray(read), factor, header.profile))
    else:
        pixels = read
    turned = exif_orientation(header.exif) if orientation is None else orientation
    source = (data, limits) if scale > needed else None
    return upright(pixels, turned, name, (width, height), scale * factor, source)


def memory_of_jpeg(header: JpegFile, limits: DecodeLimits) -> int:
    """Bytes that decoding takes beside the file: the reduced picture, and the coefficients where all are kept."""
    scale = _libjpeg_scale(header.width, header.height, limits.max_side)
    coefficients = _coefficients(header) * _BYTES_A_COEFFICIENT if header.keeps_coefficients else 0
    return memory_of_result(header.width, header.height, scale) + coefficients


def _checked_header(data: bytes, limits: DecodeLimits) -> JpegFile:
    header = read_header(data)
    if header is None:
        message = "no frame, or no scan"
        raise SyntaxError(message)
    if header.bits != _BITS:
        reason = f"The JPEG file has {header.bits} bits a colour, which is not read. Export it with {_BITS}."
        raise BadImage(BadImageCode.UNSUPPORTED_FORMAT, reason)
    if header.height == 0:
        reason = (
            "The JPEG file does not say in its header how high the picture is, but in a DNL marker behind the pixels, "
            "which is not read. Export it again as JPEG."
        )
        raise BadImage(BadImageCode.UNSUPPORTED_FORMAT, reason)
    check_size(header.width, header.height, limits)
    what = "a progressive JPEG" if header.keeps_coefficients else "a JPEG"
    check_memory(what, header.width, header.height, memory_of_jpeg(header, limits), limits)
    if header.keeps_coefficients:
        _refuse_many_scans(data, header.width * header.height)
    return header


def _refuse_many_scans(data: bytes, pixels: int) -> None:
    most = min(_MAX_SCANS, _MAX_PIXELS_OF_SCANS // pixels)
    if count_scans(data) > most:
        reason = (
            f"The JPEG file has more than {most} scans of {pixels / 1e6:.1f} megapixels each, which no camera writes "
            "and takes too long to read. Export it again as JPEG, not progressive."
        )
        raise BadImage(BadImageCode.CORRUPT, reason)


def _coefficients(header: JpegFile) -> int:
    """Of all components: one for each of its pixels, the picture filled up to whole blocks."""
    across = max(horizontal for horizontal, _ in header.components) or 1
    down = max(vertical for _, vertical in header.components) or 1
    units = math.ceil(header.width / (8 * across)) * math.ceil(header.height / (8 * down))
    return units * 64 * sum(horizontal * vertical for horizontal, vertical in header.components)


def _read_by_turbojpeg(header: JpegFile, data: bytes, scale: int) -> npt.NDArray[np.uint8] | None:
    """Decode a JPEG of three colours at 1/`scale` into uint8[height, width, 3]; None when it is for Pillow to read.

    Both call libjpeg-turbo and give the same pixels. Pillow hands it the file in pieces and keeps a fourth byte
    for each pixel, which more than doubles the time (149 and 62 ms for 12 megapixels).
    """
    if len(header.components) not in {1, _COLOURS}:
        return None
    colours = "GRAY" if len(header.components) == 1 else "RGB"
    width, height = math.ceil(header.width / scale), math.ceil(header.height / scale)
    try:
        # Strict: a file that is cut short is an error here, and Pillow then names it.
        pixels = simplejpeg.decode_jpeg(
            data, colours, min_height=height, min_width=width, min_factor=float(scale), strict=True
        )
    except ValueError as error:
        # Pillow would fill the rest with grey, and say nothing.
        if any(words in str(error) for words in _LOST_PIXELS):
            raise SyntaxError(str(error)) from None
        return None
    return pixels if pixels.shape == (height, width, _COLOURS) else None


def _open(header: JpegFile, data: bytes) -> Image.Image:
    """Open with Pillow, which does not see the metadata: it would refuse the file for what is wrong there."""
    essence = header.essential + data[header.scan :]
    return Image.open(io.BytesIO(essence), formats=[JpegImagePlugin.JpegImageFile.format])


def _libjpeg_scale(width: int, height: int, max_side: int) -> int:
    """Return 1, 2, 4 or 8: by what libjpeg is to reduce so that no side is longer than `max_side`, if it can."""
    factor = factor_for(width, height, max_side)
    return next((scale for scale in (1, 2, 4) if scale >= factor), 8)


def _libjpeg_scale_that_leaves(width: int, height: int, enough: int) -> int:
    """Return the largest of 1, 2, 4 and 8 that leaves `enough` pixels along the longer side; 1 if none does."""
    return next((scale for scale in (8, 4, 2) if max(width, height) >= enough * scale), 1)
