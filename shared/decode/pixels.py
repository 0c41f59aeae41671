"""From a decoder's pixels to an upright photo: RGB in sRGB, reduced, on white where it was transparent."""

import io
import math
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from shared.decode.outcome import DecodedPhoto, DecodeLimits

# EXIF tag 274 (0x0112): what has to be done to see the picture upright.
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
_BITS: Final = (8, 10, 12, 14, 16)

# Bytes that a pixel of the result takes at most while it is made, measured: Pillow's picture in sRGB, its alpha, the
# white below it, numpy's copy, and one more while it is turned.
_BYTES_OF_RESULT: Final = 16


def in_colour(image: Image.Image, factor: int, profile: bytes) -> Image.Image:
    """Average squares of `factor` x `factor` pixels, and bring what is left to RGB in sRGB, on white."""
    plain = _plain_mode(image)
    return _on_white(_as_srgb(plain.reduce(factor) if factor > 1 else plain, profile))


def factor_for(width: int, height: int, max_side: int) -> int:
    """By how much both sides are divided so that neither is longer than `max_side`."""
    return math.ceil(max(width, height) / max_side)


def memory_of_result(width: int, height: int, factor: int) -> int:
    """Bytes that `in_colour` and `upright` take at most beside the decoder's pixels."""
    return math.ceil(width / factor) * math.ceil(height / factor) * _BYTES_OF_RESULT


def upright(
    pixels: npt.NDArray[np.uint8],
    orientation: int,
    name: str,
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
    return DecodedPhoto(rgb, name, width, height, reduction, source)


def _plain_mode(image: Image.Image) -> Image.Image:
    """Bring any of Pillow's modes to L, RGB, CMYK, RGBA, I or F: those that can be averaged when reducing."""
    if image.mode in {"RGB", "L"} and "transparency" not in image.info:
        return image
    if image.mode in {"CMYK", "RGBA", "I", "F"}:
        return image
    if image.mode.startswith("I;16"):
        # Pillow's own conversion clips at 255 in some versions.
        return _upper_bits(image)
    if image.mode == "1":
        return image.convert("L")
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _as_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Return RGB or RGBA in sRGB. A profile that is broken or describes other colours is ignored."""
    if image.mode in {"I", "F"}:
        return _eight_bit(image).convert("RGB")
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    colours = image.convert("RGB") if alpha is not None else image
    foreign = foreign_profile(colours.mode, profile)
    converted = _from_profile(colours, foreign) if foreign is not None else None
    result = converted or (colours if colours.mode == "RGB" else colours.convert("RGB"))
    if alpha is not None:
        result.putalpha(alpha)
    return result


def foreign_profile(mode: str, profile: bytes) -> ImageCms.ImageCmsProfile | None:
    """Return an embedded profile that has to be converted from; None for sRGB, and when it is of no use."""
    if profile[16:20] != _ICC_COLOUR_SPACES.get(mode, b"none"):
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


def _upper_bits(image: Image.Image) -> Image.Image:
    """Bring 16 bits to 8, of which sensors of 10, 12 and 14 bits may leave the upper ones empty."""
    values = np.asarray(image)
    used = int(values.max(initial=0)).bit_length()
    bits = next(bits for bits in _BITS if used <= bits)
    return Image.fromarray((values >> (bits - 8)).astype(np.uint8))


def _eight_bit(image: Image.Image) -> Image.Image:
    """Scale 32-bit integers and floats to 8 bits by the range their values point to: 1, or all of some bits."""
    values = np.nan_to_num(np.array(image, dtype=np.float32), copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    highest = float(values.max(initial=0.0))
    unit = image.mode == "F" and highest <= 1.0
    white = 1.0 if unit else next((top for bits in _BITS if highest <= (top := float(2**bits - 1))), highest)
    return Image.fromarray((values.clip(0.0, white) * (255.0 / white)).astype(np.uint8))


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return white
