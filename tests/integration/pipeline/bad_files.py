"""Every kind of bad input, made here, with the end that its job must come to."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from tests.unit.shared.photo_files import card, encode, png_bomb


@dataclass(frozen=True)
class BadFile:
    """Makes a file; and its job's end: an error code for a failed one; None: completed, ``skipped: not an image``."""

    make: Callable[[], bytes]
    code: str | None
    said: str


def _noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 255, (300, 400, 3), dtype=np.uint8))


def _half(file_format: str) -> bytes:
    data = encode(_noise(), file_format)
    return data[: len(data) // 2]


def _corrupt_jpeg() -> bytes:
    data = bytearray(encode(card(), "JPEG"))
    start = data.index(b"\xff\xc4") + 6
    data[start : start + 60] = bytes([0x5A]) * 60
    return bytes(data)


def _jpeg_bomb() -> bytes:
    data = bytearray(encode(card(), "JPEG"))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = b"\xea\x60\xea\x60"
    return bytes(data)


def _wide_webp() -> bytes:
    return b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff\x3f\0" * 2 + b"\0" * 8


def _tiff_bomb() -> bytes:
    return encode(Image.new("1", (20_000, 20_000)), "TIFF", compression="group4")


def bad_files() -> dict[str, BadFile]:
    """By name; a PNG named photo.jpg is no bad file, since names are not believed."""
    return {
        "empty": BadFile(lambda: b"", "empty", "0 bytes"),
        "truncated JPEG": BadFile(lambda: _half("JPEG"), "truncated", "cut short"),
        "truncated PNG": BadFile(lambda: _half("PNG"), "truncated", "cut short"),
        "truncated HEIC": BadFile(lambda: _half("HEIF"), "truncated", "cut short"),
        "truncated WebP": BadFile(lambda: _half("WEBP"), "truncated", "cut short"),
        "corrupt JPEG": BadFile(_corrupt_jpeg, "corrupt", "damaged"),
        "mislabelled: rubbish behind a JPEG's signature": BadFile(
            lambda: b"\xff\xd8\xff\xe0" + b"\x5a" * 500, "truncated", "cut short"
        ),
        "PNG bomb": BadFile(lambda: png_bomb(20_000), "too_many_pixels", "megapixels"),
        "JPEG bomb": BadFile(_jpeg_bomb, "too_many_pixels", "megapixels"),
        "WebP bomb": BadFile(_wide_webp, "too_many_pixels", "megapixels"),
        "TIFF bomb": BadFile(_tiff_bomb, "too_many_pixels", "megapixels"),
        "absurdly wide": BadFile(
            lambda: encode(Image.new("RGB", (16_000, 20)), "PNG"), "absurd_aspect_ratio", "times as long"
        ),
        "absurdly tall": BadFile(
            lambda: encode(Image.new("RGB", (20, 16_000)), "PNG"), "absurd_aspect_ratio", "times as long"
        ),
        "tiny": BadFile(lambda: encode(Image.new("RGB", (5, 5)), "PNG"), "too_small", "5 x 5"),
        "too long a strip": BadFile(lambda: encode(Image.new("RGB", (5, 900)), "PNG"), "too_small", "5 x 900"),
        "JPEG XL": BadFile(lambda: b"\0\0\0\x0cJXL \r\n\x87\n" + b"\0" * 60, "unsupported_format", "HEIC"),
        "too large a file": BadFile(lambda: encode(card(), "JPEG") + b"\0" * (3 * 2**20), "too_large", "MiB"),
        "text": BadFile("Grüße, ein Text\n".encode, None, "text"),
        "PDF": BadFile(lambda: b"%PDF-1.7\n%\xe2\xe3\n" + b"x" * 100, None, "PDF"),
        "zip": BadFile(lambda: b"PK\x03\x04" + zlib.compress(bytes(100)), None, "zip"),
        "MP4": BadFile(lambda: b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41" + b"\0" * 500, None, "video"),
        "QuickTime": BadFile(lambda: b"\0\0\0\x14ftypqt  \0\0\x02\0qt  " + b"\0" * 500, None, "video"),
        "Matroska": BadFile(lambda: b"\x1aE\xdf\xa3" + b"\0" * 500, None, "video"),
        "SVG": BadFile(lambda: b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', None, "SVG"),
        "rubbish": BadFile(lambda: bytes(range(1, 200)), None, "no kind that is known"),
    }


def good_files() -> dict[str, Callable[[bytes], bytes]]:
    """Makes of a photo (JPEG) every format and mode that is read, some of them mislabelled by their name."""
    return {
        "jpeg": lambda photo: photo,
        "png": lambda photo: encode(_opened(photo), "PNG"),
        "webp": lambda photo: encode(_opened(photo), "WEBP", quality=90),
        "heic": lambda photo: encode(_opened(photo), "HEIF", quality=90),
        "avif": lambda photo: encode(_opened(photo), "AVIF", quality=90, speed=10),
        "tiff": lambda photo: encode(_opened(photo), "TIFF"),
        "grayscale": lambda photo: encode(_opened(photo).convert("L"), "JPEG", quality=92),
        "cmyk": lambda photo: encode(_opened(photo).convert("CMYK"), "JPEG", quality=92),
        "16 bit": lambda photo: encode(_deep(_opened(photo)), "PNG"),
        "alpha": lambda photo: encode(_opened(photo).convert("RGBA"), "PNG"),
        "animated": lambda photo: encode(_opened(photo), "GIF", save_all=True, append_images=[_black(photo)]),
    }


def _opened(photo: bytes) -> Image.Image:
    return Image.open(io.BytesIO(photo)).convert("RGB")


def _deep(picture: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)


def _black(photo: bytes) -> Image.Image:
    return Image.new("RGB", _opened(photo).size)
