"""The picture of a TIFF file: its largest full page, and nothing of what is written beside it (TIFF 6.0, BigTIFF).

A file may hold its picture at several sizes, and thumbnails come first as often as last. The page that is read is given
to Pillow as the only one, with the tags that its pixels need: neither other pages nor metadata can cost the picture.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from shared.decode.essence import Essence
from shared.decode.ifd import Directory, Layout, directories, layout

NEW_SUBFILE_TYPE, SUBFILE_TYPE = 254, 255
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
SAMPLES, PLANES, SAMPLE_FORMAT, PROFILE = 277, 284, 339, 34675

# Strips, tiles, palette, predictor, fax options, extra samples, JPEG tables and YCbCr: what readers need for pixels.
_ABOUT_PIXELS: Final = frozenset(
    {WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, SAMPLES, SAMPLE_FORMAT}
    | {PLANES, 266, 273, 278, 279, 292, 293, 317, 320, 322, 323, 324, 325, 332, 338, 340, 341, 347}
    | set(range(512, 522))
    | {529, 530, 531, 532}
)
_REDUCED, _MASK = 1, 4
_OLD_REDUCED: Final = 2
# Transparency masks, and the depth maps and masks of DNG 1.5 and 1.6.
_NO_PICTURES: Final = frozenset({4, 51177, 52527})
_SIGNED, _FLOATING_POINT = 2, 3
_MOST_BITS: Final = 16
_BYTE_BITS: Final = 8
_UNCOMPRESSED, _SEPARATE = 1, 2
# Pillow does not read these.
_BIG_ENDIAN_BIG: Final = b"MM\0+"


@dataclass(frozen=True)
class Page:
    """A directory that holds a picture of some size."""

    directory: Directory
    width: int
    height: int

    @property
    def is_reduced(self) -> bool:
        """Whether it says that it is a smaller version of another page."""
        kind = self.directory.number(NEW_SUBFILE_TYPE)
        return bool(kind & _REDUCED) or self.directory.number(SUBFILE_TYPE) == _OLD_REDUCED

    @property
    def photometric(self) -> int:
        """What its numbers mean."""
        return self.directory.number(PHOTOMETRIC, -1)

    @property
    def sample_bytes(self) -> int:
        """Bytes of one pixel as stored, uncompressed."""
        bits = self.directory.number(BITS, 1)
        return max(1, self.directory.number(SAMPLES, 1)) * max(1, (bits + 7) // 8)


def pages(data: bytes) -> Iterator[Page]:
    """All pages, of every depth, without masks and depth maps."""
    for found in directories(data):
        width, height = found.number(WIDTH), found.number(HEIGHT)
        page = Page(found, width, height)
        is_mask = found.number(NEW_SUBFILE_TYPE) & _MASK or page.photometric in _NO_PICTURES
        if width > 0 and height > 0 and not is_mask:
            yield page


def picture_of(found: list[Page]) -> Page | None:
    """Return the largest full page (the first of equals), or the largest reduced page if there is no full one."""
    full = [page for page in found if not page.is_reduced] or found
    return max(full, key=lambda page: page.width * page.height, default=None)


def essence(data: bytes, page: Page) -> Essence:
    """Make a file of one page: the same bytes, followed by a new directory that a new header points to."""
    made = layout(data)
    if made is None:
        return Essence(data)
    padding = b"\0" * (len(data) % 2)
    header = _header(made, len(data) + len(padding))
    alone = b"".join((header, memoryview(data)[len(header) :], padding, _directory(made, page.directory)))
    return Essence(alone, page.directory.orientation, page.directory.content(PROFILE))


def why_misread(page: Page) -> str | None:
    """Say why Pillow would silently misread a page's pixels; None if it would not.

    It reads every plane of uncompressed 16-bit colours as one of 8 bits.
    """
    told = page.directory
    is_deep = max(told.numbers(BITS), default=1) > _BYTE_BITS
    is_apart = told.number(PLANES) == _SEPARATE and told.number(SAMPLES, 1) > 1
    if is_deep and is_apart and told.number(COMPRESSION, _UNCOMPRESSED) == _UNCOMPRESSED:
        return f"uncompressed colours of more than {_BYTE_BITS} bits in separate planes"
    return None


def why_not_read(page: Page) -> str | None:
    """Say which of a page's numbers exceeds the limits; None if none does."""
    if page.directory.data.startswith(_BIG_ENDIAN_BIG):
        return "the pixels of a BigTIFF whose numbers are big-endian"
    if _FLOATING_POINT in page.directory.numbers(SAMPLE_FORMAT):
        return "floating-point colours"
    if _SIGNED in page.directory.numbers(SAMPLE_FORMAT):
        return "pixels that are signed numbers"
    if max(page.directory.numbers(BITS), default=1) > _MOST_BITS:
        return f"colours of more than {_MOST_BITS} bits"
    return None


def _header(made: Layout, first: int) -> bytes:
    order = b"II" if made.order == "<" else b"MM"
    if made.is_big:
        return order + struct.pack(f"{made.order}HHHQ", 43, 8, 0, first)
    return order + struct.pack(f"{made.order}HI", 42, first)


def _directory(made: Layout, directory: Directory) -> bytes:
    kept = [entry.raw for tag, entry in sorted(directory.entries.items()) if tag in _ABOUT_PIXELS]
    count, end = ("Q", 8) if made.is_big else ("H", 4)
    return struct.pack(f"{made.order}{count}", len(kept)) + b"".join(kept) + bytes(end)
