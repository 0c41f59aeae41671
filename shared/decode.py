"""From the bytes of a file to an upright RGB picture of bounded size; every bad input has a name.

What a file is, is decided by its bytes alone: names and content types may say anything. Formats are JPEG (with
MPO), PNG, WebP, HEIC/HEIF, AVIF, TIFF, GIF and BMP; of files with several frames or pages, the first.

Two errors come out of here, and nothing else: `NotAnImage` for videos, documents and the like, `BadImage` for
pictures that cannot be read or should not be.
"""

import contextlib
import io
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
import numpy.typing as npt
import pillow_heif
import simplejpeg
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageCms,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from shared.sniff import Format, NotAnImage, UnsupportedPicture, looks_cut_short, sniff, webp_canvas

__all__ = [
    "BadImage",
    "BadImageCode",
    "DecodeLimits",
    "DecodedPhoto",
    "NotAnImage",
    "decode",
    "decode_again",
    "pixel_count",
]

# Pillow's settings are global, so they are set once, here, and never changed by a call.
# The limit on pixels is ours: it is checked below from the header, per call and without a warning.
Image.MAX_IMAGE_PIXELS = None
# Pillow warns about untidy metadata (a cut EXIF block); such a photo is decoded all the same.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
# Depth maps, thumbnails and auxiliary pictures inside HEIC are not read. Two threads: one photo does not
# take a whole machine.
pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=2)

# The only readers that Pillow may use, by format. Importing them here registers them, so that no request pays
# for it and no two threads do it at once.
_READERS: Final = {
    Format.JPEG: JpegImagePlugin.JpegImageFile.format,
    Format.PNG: PngImagePlugin.PngImageFile.format,
    Format.WEBP: WebPImagePlugin.WebPImageFile.format,
    Format.HEIF: pillow_heif.HeifImageFile.format,
    Format.AVIF: AvifImagePlugin.AvifImageFile.format,
    Format.TIFF: TiffImagePlugin.TiffImageFile.format,
    Format.GIF: GifImagePlugin.GifImageFile.format,
    Format.BMP: BmpImagePlugin.BmpImageFile.format,
}

# An ordinary progressive JPEG has about ten scans. Each one costs a pass over the whole picture, so a file with
# thousands of them is small and takes minutes.
_MAX_JPEG_SCANS: Final = 100
_JPEG_SCAN_MARKER: Final = b"\xff\xda"

# EXIF tag 274 (0x0112): what has to be done to see the picture upright.
_ORIENTATION_TAG: Final = 0x0112
_UPRIGHT: Final[Mapping[int, Callable[[npt.NDArray[np.void]], npt.NDArray[np.void]]]] = {
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.T,
    6: lambda stored: np.rot90(stored, 3),
    7: lambda stored: stored[::-1, ::-1].T,
    8: np.rot90,
}
_SIDEWAYS: Final = frozenset({5, 6, 7, 8})

_SRGB: Final = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
# Bytes 16 to 20 of an ICC profile name the colours it describes (ICC.1:2022, table 19).
_ICC_COLOUR_SPACES: Final = {"RGB": b"RGB ", "L": b"GRAY", "CMYK": b"CMYK"}


@dataclass(frozen=True)
class DecodeLimits:
    """What is refused and how much is kept.

    `max_pixels` and `max_aspect_ratio` are checked in the header, before anything is decoded. `min_side` is in
    pixels. `max_side` bounds the longer side of the result: a larger photo is reduced while it is decoded.
    """

    max_pixels: int = 100_000_000
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


def decode(data: bytes, limits: DecodeLimits | None = None, *, enough: int | None = None) -> DecodedPhoto:
    """Decode the bytes of one file.

    A photo whose longer side exceeds `limits.max_side` is reduced by a whole factor, a JPEG by libjpeg while
    it decodes (1/2, 1/4, 1/8), which saves most of its time and memory. Boxes and landmarks are normalised, so
    that does not move them. It costs detail in small faces: of a face that is 12 pixels wide on the detector's
    640-pixel canvas, at least 38 pixels are left for the embedding when `max_side` is 4096 (the result is
    between half of it and all of it).

    `enough` is for who can start with less: a JPEG is then reduced further, as long as `enough` pixels are left
    along its longer side, and `decode_again` shows the rest.

    Raises NotAnImage for a file that is not a picture, and BadImage for a picture that is empty, truncated,
    corrupt, too large, too small, absurdly long, or of a format that is not read. Safe to call from many threads.
    """
    limits = limits or DecodeLimits()
    if not data:
        raise BadImage(BadImageCode.EMPTY, "The file is empty (0 bytes). Upload it again.")
    try:
        kind = sniff(data)
    except UnsupportedPicture as error:
        raise BadImage(BadImageCode.UNSUPPORTED_FORMAT, str(error)) from error
    with _decoder_errors_named(kind, data):
        _refuse_expensive_files(kind, data, limits)
        with Image.open(io.BytesIO(data), formats=[_READERS[kind]]) as image:
            if kind is Format.JPEG:
                return _decode_jpeg(image, data, limits, enough)
            return _decode(image, kind, limits)


def decode_again(photo: DecodedPhoto) -> DecodedPhoto:
    """Return the photo with all the pixels that its limits allow; itself where it has them already."""
    return photo if photo.source is None else decode(*photo.source)


def pixel_count(data: bytes) -> int:
    """Return how many pixels a file's header claims, before anything is decoded; 0 for what `decode` will refuse."""
    try:
        kind = sniff(data)
        if kind is Format.WEBP:  # opening it would be expensive already
            width, height = webp_canvas(data) or (0, 0)
            return width * height
        with Image.open(io.BytesIO(data), formats=[_READERS[kind]]) as image:
            return image.width * image.height
    except Exception:  # noqa: BLE001 - whatever is wrong with the file, decode says it in plain words
        return 0


def _decode(image: Image.Image, kind: Format, limits: DecodeLimits) -> DecodedPhoto:
    _check_size(*image.size, limits)
    image.load()
    # libheif knows the size for certain only now, and Pillow has already turned a TIFF upright.
    width, height = image.size
    _check_size(width, height, limits)
    factor = _factor(width, height, limits.max_side)
    orientation = _orientation(image)
    pixels = np.asarray(_in_colour(image, factor, image.info.get("icc_profile")))
    return _upright(pixels, orientation, kind, (width, height), factor)


def _decode_jpeg(image: Image.Image, data: bytes, limits: DecodeLimits, enough: int | None) -> DecodedPhoto:
    width, height = image.size
    _check_size(width, height, limits)
    needed = _libjpeg_scale(width, height, limits.max_side)
    scale = max(needed, _libjpeg_scale_that_leaves(width, height, enough)) if enough else needed
    orientation, profile = _orientation(image), image.info.get("icc_profile")
    read = _read_by_turbojpeg(image, data, scale)
    if read is None:
        if scale > 1:
            image.draft(None, (max(1, width // scale), max(1, height // scale)))
        image.load()
    factor = _factor(math.ceil(width / scale), math.ceil(height / scale), limits.max_side)
    if read is None or factor > 1 or _foreign_profile(image.mode, profile) is not None:
        picture = image if read is None else Image.fromarray(read)
        pixels = np.asarray(_in_colour(picture, factor, profile))
    else:
        pixels = read
    source = (data, limits) if scale > needed else None
    return _upright(pixels, orientation, Format.JPEG, (width, height), scale * factor, source)


def _read_by_turbojpeg(image: Image.Image, data: bytes, scale: int) -> npt.NDArray[np.uint8] | None:
    """Decode an RGB JPEG at 1/`scale` into uint8[height, width, 3]; None when it is for Pillow to read, or to refuse.

    Both call libjpeg-turbo and give the same pixels. Pillow hands it the file in pieces and keeps a fourth byte
    for each pixel, which more than doubles the time (149 and 62 ms for 12 megapixels).
    """
    if image.mode != "RGB":
        return None
    width, height = math.ceil(image.width / scale), math.ceil(image.height / scale)
    try:
        # Strict: a file that is cut short is an error here, and Pillow then names it.
        pixels = simplejpeg.decode_jpeg(
            data, "RGB", min_height=height, min_width=width, min_factor=float(scale), strict=True
        )
    except ValueError:
        return None
    return pixels if pixels.shape == (height, width, 3) else None


def _upright(
    pixels: npt.NDArray[np.uint8],
    orientation: int,
    kind: Format,
    size: tuple[int, int],
    reduction: int,
    source: tuple[bytes, DecodeLimits] | None = None,
) -> DecodedPhoto:
    """Turn pixels as stored, uint8[height, width, 3], and the stored picture's size (width, height) upright."""
    if orientation in _UPRIGHT:
        # A pixel as one item of three bytes: twice as fast to turn as three items.
        whole = np.ascontiguousarray(pixels).view("V3")[..., 0]
        turned = np.ascontiguousarray(_UPRIGHT[orientation](whole))
        pixels = turned.view(np.uint8).reshape(*turned.shape, 3)
    rgb = np.ascontiguousarray(pixels)
    rgb.flags.writeable = False
    width, height = size[::-1] if orientation in _SIDEWAYS else size
    return DecodedPhoto(rgb, kind.value, width, height, reduction, source)


@contextlib.contextmanager
def _decoder_errors_named(kind: Format, data: bytes) -> Iterator[None]:
    """Turn whatever a decoder raises on hostile bytes into BadImage."""
    try:
        yield
    except BadImage:
        raise
    # Decoders raise SyntaxError, struct.error, OverflowError, MemoryError and more on broken files, and none of
    # it says anything but "these bytes are no good": the same bytes will fail the same way for ever.
    except Exception as error:
        if "truncated" in str(error).lower() or looks_cut_short(kind, data):
            reason = f"The {kind.label} file is cut short: its end is missing. Upload it again."
            raise BadImage(BadImageCode.TRUNCATED, reason) from error
        reason = f"The {kind.label} file is damaged and cannot be decoded. Upload it again, or export it as JPEG."
        raise BadImage(BadImageCode.CORRUPT, reason) from error


def _refuse_expensive_files(kind: Format, data: bytes, limits: DecodeLimits) -> None:
    """Refuse what would cost much before its header has even been parsed by the decoder."""
    if kind is Format.WEBP:
        canvas = webp_canvas(data)
        if canvas is not None:
            # libwebp allocates two canvases as soon as the file is opened.
            _check_size(*canvas, limits)
    if kind is Format.JPEG and data.count(_JPEG_SCAN_MARKER) > _MAX_JPEG_SCANS:
        reason = (
            f"The JPEG file has more than {_MAX_JPEG_SCANS} scans, which no camera writes. Export it again as JPEG."
        )
        raise BadImage(BadImageCode.CORRUPT, reason)


def _check_size(width: int, height: int, limits: DecodeLimits) -> None:
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


def _libjpeg_scale(width: int, height: int, max_side: int) -> int:
    """Return 1, 2, 4 or 8: by what libjpeg is to reduce so that no side is longer than `max_side`, if it can."""
    factor = _factor(width, height, max_side)
    return next((scale for scale in (1, 2, 4) if scale >= factor), 8)


def _libjpeg_scale_that_leaves(width: int, height: int, enough: int) -> int:
    """Return the largest of 1, 2, 4 and 8 that leaves `enough` pixels along the longer side; 1 if none does."""
    return next((scale for scale in (8, 4, 2) if max(width, height) >= enough * scale), 1)


def _in_colour(image: Image.Image, factor: int, profile: object) -> Image.Image:
    """Average squares of `factor` x `factor` pixels, and bring what is left to RGB in sRGB, on white."""
    plain = _plain_mode(image)
    return _on_white(_as_srgb(plain.reduce(factor) if factor > 1 else plain, profile))


def _factor(width: int, height: int, max_side: int) -> int:
    return math.ceil(max(width, height) / max_side)


def _orientation(image: Image.Image) -> int:
    """Return EXIF orientation 1 to 8. Broken metadata counts as none."""
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # noqa: BLE001 - Pillow's EXIF reader raises nearly anything on a damaged block
        return 1
    return value if value in _UPRIGHT else 1


def _plain_mode(image: Image.Image) -> Image.Image:
    """Bring any of Pillow's modes to L, RGB, CMYK, RGBA, I or F: those that can be averaged when reducing."""
    if image.mode in {"RGB", "L"} and "transparency" not in image.info:
        return image
    if image.mode in {"CMYK", "RGBA", "I", "F"}:
        return image
    if image.mode.startswith("I;16"):
        # Pillow's own conversion clips at 255 in some versions; the upper byte is what is meant.
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode == "1":
        return image.convert("L")
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _as_srgb(image: Image.Image, profile: object) -> Image.Image:
    """Return RGB or RGBA in sRGB. A profile that is broken or describes other colours is ignored."""
    if image.mode in {"I", "F"}:
        return _eight_bit(image).convert("RGB")
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    colours = image.convert("RGB") if alpha is not None else image
    foreign = _foreign_profile(colours.mode, profile)
    converted = _from_profile(colours, foreign) if foreign is not None else None
    result = converted or (colours if colours.mode == "RGB" else colours.convert("RGB"))
    if alpha is not None:
        result.putalpha(alpha)
    return result


def _foreign_profile(mode: str, profile: object) -> ImageCms.ImageCmsProfile | None:
    """Return an embedded profile that has to be converted from; None for sRGB, and when it is of no use."""
    if not isinstance(profile, bytes) or profile[16:20] != _ICC_COLOUR_SPACES.get(mode):
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return None if ImageCms.getProfileDescription(source).startswith("sRGB") else source
    except Exception:  # noqa: BLE001 - a damaged profile must not cost the photo
        return None


def _from_profile(image: Image.Image, source: ImageCms.ImageCmsProfile) -> Image.Image | None:
    """Convert from a profile to sRGB; None when that cannot be done."""
    try:
        return ImageCms.profileToProfile(image, source, _SRGB, outputMode="RGB")
    except Exception:  # noqa: BLE001 - a damaged profile must not cost the photo
        return None


def _eight_bit(image: Image.Image) -> Image.Image:
    """Scale 32-bit integers and floats to 8 bits by the range their values point to: 1, 255 or 65535."""
    values = np.nan_to_num(np.asarray(image, dtype=np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    highest = float(values.max(initial=0.0))
    unit = image.mode == "F" and highest <= 1.0
    white = 1.0 if unit else next((top for top in (255.0, 65535.0) if highest <= top), highest)
    return Image.fromarray((values.clip(0.0, white) * (255.0 / white)).astype(np.uint8))


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return white
