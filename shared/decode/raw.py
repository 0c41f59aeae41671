"""Raw files of cameras: their own JPEG in full size is read, where there is one; the sensor's numbers are not.

Most are TIFF with a thumbnail first, a JPEG further on and the sensor's page somewhere; Fujifilm and Canon (CR3) have
containers of their own. A file without such a JPEG is refused as what it is: nobody is looked for on a thumbnail.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from shared.decode import iso_media
from shared.decode.ifd import ORIENTATION, Directory, directories, exif_orientation
from shared.decode.jpeg_file import read_header
from shared.decode.tiff import COMPRESSION, Page, picture_of

_MAKE, _DNG_VERSION = 271, 50706
_JPEG_START, _JPEG_LENGTH = 513, 514
_STRIP_STARTS, _STRIP_LENGTHS = 273, 279
_PANASONIC_JPEG, _PANASONIC_WIDTH, _PANASONIC_HEIGHT = 0x002E, 0x0002, 0x0003
# Photometric interpretation: colour filter array, and DNG's linear raw.
_SENSOR: Final = frozenset({32803, 34892})
# Compressions that only raws have: Sony, Samsung, Nikon, Kodak, Pentax.
_RAW_COMPRESSIONS: Final = frozenset({32767, 32770, 34713, 65000, 65535})
_RENDERED: Final = frozenset({2, 6})
_CANON_CR2: Final = b"CR"

# The JPEG in full size is at times a few pixels smaller than the sensor's page, Olympus' has seven tenths of its side.
# Reviewing sizes have a half and less.
_SHARE_OF_SIDE: Final = 2 / 3
# Where the sensor's size is not known: what detection wants of any photo.
_ENOUGH_SIDE: Final = 1280
_JPEG_BITS: Final = 8
_LOSSLESS: Final = frozenset({0xC3, 0xC7, 0xCB, 0xCF})

_BRANDS: Final = (
    {"nikon": "Nikon", "canon": "Canon", "sony": "Sony", "pentax": "Pentax", "ricoh": "Ricoh"}
    | {"olympus": "Olympus", "om digital": "Olympus", "panasonic": "Panasonic", "samsung": "Samsung", "leica": "Leica"}
    | {"hasselblad": "Hasselblad", "phase one": "Phase One", "kodak": "Kodak", "epson": "Epson", "mamiya": "Mamiya"}
)


@dataclass(frozen=True)
class Preview:
    """A JPEG, or a page of a TIFF, that shows the whole photo, and how it has to be turned (None: as the JPEG says)."""

    content: bytes | Page
    orientation: int | None


def kind_of_raw(data: bytes, found: list[Page]) -> str | None:
    """Whose raw a TIFF-like file is, in words; None for a TIFF."""
    first = next(directories(data), None)
    if first is None:
        return None
    if any(_DNG_VERSION in page.directory.entries for page in found) or _DNG_VERSION in first.entries:
        return "DNG raw"
    is_raw = any(
        page.photometric in _SENSOR or page.directory.number(COMPRESSION) in _RAW_COMPRESSIONS for page in found
    )
    if data[8:10] == _CANON_CR2 or is_raw:
        make = first.text(_MAKE).lower()
        return f"{next((name for start, name in _BRANDS.items() if make.startswith(start)), 'camera')} raw"
    return None


def preview_of_tiff(data: bytes, found: list[Page]) -> Preview | None:
    """Return the largest rendered picture of a TIFF-like raw file; None when none has full size."""
    every = list(directories(data))
    orientation = every[0].orientation if every and ORIENTATION in every[0].entries else None
    sensor = max((max(page.width, page.height) for page in found if page.photometric in _SENSOR), default=0)
    sensor = sensor or max((_panasonic_side(one) for one in every), default=0)
    pictures = [(_longer_side(jpeg), jpeg) for one in every for jpeg in _jpegs(data, one)]
    longest, jpeg = max(pictures, key=lambda sized: sized[0], default=(0, b""))
    page = picture_of([page for page in found if page.photometric in _RENDERED and not _is_jpeg_stream(data, page)])
    if page is not None and max(page.width, page.height) > longest:
        longest = max(page.width, page.height)
        return Preview(page, orientation) if _is_full(longest, sensor) else None
    return Preview(jpeg, orientation) if _is_full(longest, sensor) else None


def preview_of_fujifilm(data: bytes) -> Preview | None:
    """Return the JPEG that a RAF's header points to (bytes 84 to 92); None when it does not have full size."""
    start, length = (int.from_bytes(data[at : at + 4], "big") for at in (84, 88))
    jpeg = data[start : start + length]
    return Preview(jpeg, None) if length == len(jpeg) and _is_full(_longer_side(jpeg), 0) else None


def preview_of_canon(data: bytes) -> Preview | None:
    """Return the largest JPEG among the tracks of a CR3; None when it does not have full size."""
    jpegs = [data[start:end] for start, end in iso_media.canon_previews(data)]
    longest, jpeg = max(((_longer_side(jpeg), jpeg) for jpeg in jpegs), key=lambda sized: sized[0], default=(0, b""))
    directory = iso_media.canon_directory(data)
    orientation = exif_orientation(directory) if directory else None
    return Preview(jpeg, orientation) if _is_full(longest, 0) else None


def _jpegs(data: bytes, directory: Directory) -> Iterator[bytes]:
    """Yield the JPEG files that a directory points to: a thumbnail's tags, its only strip, or Panasonic's tag."""
    for starts, lengths in ((_JPEG_START, _JPEG_LENGTH), (_STRIP_STARTS, _STRIP_LENGTHS)):
        start, length = directory.numbers(starts), directory.numbers(lengths)
        if len(start) == len(length) == 1:
            yield data[start[0] : start[0] + length[0]]
    if _PANASONIC_JPEG in directory.entries:
        yield directory.content(_PANASONIC_JPEG)


def _is_jpeg_stream(data: bytes, page: Page) -> bool:
    return any(_longer_side(jpeg) for jpeg in _jpegs(data, page.directory))


def _longer_side(jpeg: bytes) -> int:
    """In pixels; 0 for what is no ordinary JPEG, as the lossless ones that hold a sensor's numbers."""
    header = read_header(jpeg) if jpeg.startswith(b"\xff\xd8") else None
    if header is None or header.bits != _JPEG_BITS or header.frame in _LOSSLESS:
        return 0
    return max(header.width, header.height)


def _panasonic_side(directory: Directory) -> int:
    if _PANASONIC_JPEG not in directory.entries:
        return 0
    return max(directory.number(_PANASONIC_WIDTH), directory.number(_PANASONIC_HEIGHT))


def _is_full(longest: int, sensor: int) -> bool:
    return longest >= (sensor * _SHARE_OF_SIDE if sensor else _ENOUGH_SIDE)
