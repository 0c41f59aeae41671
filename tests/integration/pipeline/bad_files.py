"""Every kind of bad input, made here, with the end that its job must come to."""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

from tests.unit.shared.photo_files import card, encode, png_bomb


@dataclass(frozen=True)
class BadFile:
    """A file and its job's end: an error code for a failed one; None: completed, ``skipped: not an image``."""

    data: bytes
    code: str | None
    said: str


def _noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 255, (300, 400, 3), dtype=np.uint8))


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
    jpeg, png = encode(_noise(), "JPEG"), encode(_noise(), "PNG")
    heif, webp = encode(_noise(), "HEIF"), encode(_noise(), "WEBP")
    return {
        "empty": BadFile(b"", "empty", "0 bytes"),
        "truncated JPEG": BadFile(jpeg[: len(jpeg) // 2], "truncated", "cut short"),
        "truncated PNG": BadFile(png[: len(png) // 2], "truncated", "cut short"),
        "truncated HEIC": BadFile(heif[: len(heif) // 2], "truncated", "cut short"),
        "truncated WebP": BadFile(webp[: len(webp) // 2], "truncated", "cut short"),
        "corrupt JPEG": BadFile(_corrupt_jpeg(), "corrupt", "damaged"),
        "mislabelled: rubbish behind a JPEG's signature": BadFile(
            b"\xff\xd8\xff\xe0" + b"\x5a" * 500, "truncated", "cut short"
        ),
        "PNG bomb": BadFile(png_bomb(20_000), "too_many_pixels", "megapixels"),
        "JPEG bomb": BadFile(_jpeg_bomb(), "too_many_pixels", "megapixels"),
        "WebP bomb": BadFile(_wide_webp(), "too_many_pixels", "megapixels"),
        "TIFF bomb": BadFile(_tiff_bomb(), "too_many_pixels", "megapixels"),
        "absurdly wide": BadFile(encode(Image.new("RGB", (16_000, 20)), "PNG"), "absurd_aspect_ratio", "times as long"),
        "absurdly tall": BadFile(encode(Image.new("RGB", (20, 16_000)), "PNG"), "absurd_aspect_ratio", "times as long"),
        "tiny": BadFile(encode(Image.new("RGB", (5, 5)), "PNG"), "too_small", "5 x 5"),
        "too long a strip": BadFile(encode(Image.new("RGB", (5, 900)), "PNG"), "too_small", "5 x 900"),
        "JPEG XL": BadFile(b"\0\0\0\x0cJXL \r\n\x87\n" + b"\0" * 60, "unsupported_format", "HEIC"),
        "too large a file": BadFile(encode(card(), "JPEG") + b"\0" * (3 * 2**20), "too_large", "MiB"),
        "text": BadFile("Grüße, ein Text\n".encode(), None, "text"),
        "PDF": BadFile(b"%PDF-1.7\n%\xe2\xe3\n" + b"x" * 100, None, "PDF"),
        "zip": BadFile(b"PK\x03\x04" + zlib.compress(bytes(100)), None, "zip"),
        "MP4": BadFile(b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41" + b"\0" * 500, None, "video"),
        "QuickTime": BadFile(b"\0\0\0\x14ftypqt  \0\0\x02\0qt  " + b"\0" * 500, None, "video"),
        "Matroska": BadFile(b"\x1aE\xdf\xa3" + b"\0" * 500, None, "video"),
        "SVG": BadFile(b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', None, "SVG"),
        "rubbish": BadFile(bytes(range(1, 200)), None, "no kind that is known"),
    }


def good_files(photo: bytes) -> dict[str, bytes]:
    """The photo in every format and mode that is read, some of them mislabelled by their name."""
    picture = Image.open(io.BytesIO(photo)).convert("RGB")
    wide = np.asarray(picture.convert("L")).astype(np.uint16) * 257
    return {
        "jpeg": photo,
        "png": encode(picture, "PNG"),
        "webp": encode(picture, "WEBP", quality=90),
        "heic": encode(picture, "HEIF", quality=90),
        "avif": encode(picture, "AVIF", quality=90),
        "tiff": encode(picture, "TIFF"),
        "grayscale": encode(picture.convert("L"), "JPEG", quality=92),
        "cmyk": encode(picture.convert("CMYK"), "JPEG", quality=92),
        "16 bit": encode(Image.fromarray(wide), "PNG"),
        "alpha": encode(picture.convert("RGBA"), "PNG"),
        "animated": encode(picture, "GIF", save_all=True, append_images=[Image.new("RGB", picture.size)]),
    }
