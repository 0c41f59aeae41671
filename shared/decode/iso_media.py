"""Boxes of ISO base media files (ISO/IEC 14496-12): HEIC, AVIF, and Canon's raw.

HEIC and AVIF carry their orientation as a property of the picture (`irot`, `imir`), and readers, browsers among them,
go by that and not by EXIF (ISO/IEC 23008-12). So EXIF and XMP are made unknown items before the file is decoded: with a
damaged block the libraries would refuse the file.
"""

from collections.abc import Iterator
from typing import Final

from shared.sniff import PICTURE_BRAND, Format, has_known_major_brand

_HEADER: Final = 8
_LARGE_HEADER: Final = 16
_SIZE_IN_64_BITS: Final = 1
_TO_THE_END: Final = 0
_MOST_BOXES: Final = 4096
_METADATA: Final = frozenset({b"Exif", b"mime", b"uri "})
_UNKNOWN: Final = b"none"

# Canon's boxes inside `moov`: a UUID whose CMT1 is the first directory of EXIF.
_CANON: Final = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """Kind of each box between two places, and where its content begins and ends; what reaches beyond is left out."""
    end = len(data) if end is None else end
    for _ in range(_MOST_BOXES):
        if start + _HEADER > end:
            return
        size, kind, content = int.from_bytes(data[start : start + 4], "big"), data[start + 4 : start + 8], _HEADER
        if size == _SIZE_IN_64_BITS:
            size, content = int.from_bytes(data[start + 8 : start + 16], "big"), _LARGE_HEADER
        elif size == _TO_THE_END:
            size = end - start
        if size < content or start + size > end:
            return
        yield kind, start + content, start + size
        start += size


def essence(data: bytes, kind: Format) -> bytes:
    """Return the file as every reader takes it; nothing moves.

    EXIF and XMP items are renamed, so that no reader looks into them. A major brand that is none of HEIC or AVIF is
    replaced by one that is: readers go by it, and a file says by its compatible brands that it may be read so.
    """
    changes = dict.fromkeys(_metadata_items(data), _UNKNOWN)
    if not has_known_major_brand(data):
        changes[_HEADER] = PICTURE_BRAND[kind]
    if not changes:
        return data
    changed = bytearray(data)
    for place, name in changes.items():
        changed[place : place + 4] = name
    return bytes(changed)


def _metadata_items(data: bytes) -> Iterator[int]:
    """Where the types of items stand that are metadata (`meta` / `iinf` / `infe`, versions 2 and 3)."""
    for kind, start, end in boxes(data):
        if kind != b"meta":
            continue
        for inner, inner_start, inner_end in boxes(data, start + 4, end):
            if inner != b"iinf":
                continue
            first = inner_start + (6 if data[inner_start : inner_start + 1] == b"\0" else 8)
            for item, item_start, item_end in boxes(data, first, inner_end):
                place = item_start + (8 if data[item_start : item_start + 1] == b"\2" else 10)
                if item == b"infe" and place + 4 <= item_end and data[place : place + 4] in _METADATA:
                    yield place


def canon_previews(data: bytes) -> Iterator[tuple[int, int]]:
    """Begin and end of the first sample of each track of a Canon raw (CR3): one is the JPEG in full size."""
    for track in _below(data, (b"moov", b"trak")):
        table = list(_below(data, (b"mdia", b"minf", b"stbl"), *track))
        for start, end in table:
            found = {kind: (a, b) for kind, a, b in boxes(data, start, end)}
            size = _first_size(data, found.get(b"stsz"))
            offset = _first_offset(data, found.get(b"co64"), 8) or _first_offset(data, found.get(b"stco"), 4)
            if size and offset and offset + size <= len(data):
                yield offset, offset + size


def canon_directory(data: bytes) -> bytes:
    """EXIF's first directory as a TIFF structure; empty without one."""
    for start, end in _below(data, (b"moov", b"uuid")):
        if data[start : start + 16] == _CANON:
            return next((data[a:b] for kind, a, b in boxes(data, start + 16, end) if kind == b"CMT1"), b"")
    return b""


def _below(data: bytes, path: tuple[bytes, ...], start: int = 0, end: int | None = None) -> Iterator[tuple[int, int]]:
    """Contents of all boxes at a path."""
    for kind, inner_start, inner_end in boxes(data, start, end):
        if kind == path[0]:
            if len(path) == 1:
                yield inner_start, inner_end
            else:
                yield from _below(data, path[1:], inner_start, inner_end)


def _first_size(data: bytes, box: tuple[int, int] | None) -> int:
    """Return the size of a track's first sample: one size for all, or the first of a table."""
    start, end = box or (0, 0)
    numbers = data[start + 4 : min(start + 16, end)]  # one for all, how many, the first
    return int.from_bytes(numbers[:4], "big") or int.from_bytes(numbers[8:], "big")


def _first_offset(data: bytes, box: tuple[int, int] | None, width: int) -> int:
    if box is None or box[1] - box[0] < 8 + width:
        return 0
    return int.from_bytes(data[box[0] + 8 : box[0] + 8 + width], "big")
