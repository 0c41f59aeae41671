"""Image file directories: the tables of tags that TIFF, EXIF and most raw formats are made of (TIFF 6.0, BigTIFF).

Nothing here raises on hostile bytes: what lies outside the file, or is too long to be what it says, is not there.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

ORIENTATION: Final = 0x0112
SUB_DIRECTORIES: Final = 0x014A

_ORIENTATIONS: Final = range(1, 9)
_SHORT: Final = 3
# Bytes of one value, by type: byte, text, short, long, rational, their signed kinds, float, double, offset of a
# directory, and BigTIFF's three of 64 bits.
_SIZES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_INTEGERS: Final = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
# A camera writes about ten directories. More than this many are not looked at, in whatever circles they point.
_MOST_DIRECTORIES: Final = 64
_MOST_SUB_DIRECTORIES: Final = 16
_MOST_VALUES: Final = 1 << 20
_CLASSIC_HEADER, _CLASSIC_ENTRY = 8, 12
_BIG_HEADER, _BIG_ENTRY = 16, 20
_BIG_VERSION: Final = 43


@dataclass(frozen=True)
class Entry:
    """One tag as stored: its raw bytes, and where its value begins in the file."""

    raw: bytes
    kind: int
    count: int
    start: int

    @property
    def length(self) -> int:
        """Bytes of the value; 0 for a type that does not exist."""
        return _SIZES.get(self.kind, 0) * self.count


@dataclass(frozen=True)
class Directory:
    """One directory: its entries by tag, and where the next one is (0: nowhere)."""

    data: bytes
    order: Literal["<", ">"]
    entries: dict[int, Entry]
    following: int

    def numbers(self, tag: int) -> tuple[int, ...]:
        """Return the integers of a tag; none if it is absent, of another type, or beyond the end of the file."""
        entry = self.entries.get(tag)
        if entry is None or entry.kind not in _INTEGERS or not 0 < entry.count <= _MOST_VALUES:
            return ()
        if entry.start + entry.length > len(self.data):
            return ()
        return struct.unpack_from(f"{self.order}{entry.count}{_INTEGERS[entry.kind]}", self.data, entry.start)

    def number(self, tag: int, default: int = 0) -> int:
        """Return the first integer of a tag, or the default."""
        return next(iter(self.numbers(tag)), default)

    def content(self, tag: int) -> bytes:
        """Return the bytes of a tag, whatever its type; none if some are missing."""
        entry = self.entries.get(tag)
        if entry is None or entry.start + entry.length > len(self.data):
            return b""
        return self.data[entry.start : entry.start + entry.length]

    def text(self, tag: int) -> str:
        """Return the text of a tag, up to its NUL."""
        return self.content(tag).split(b"\0", 1)[0].decode("ascii", "replace").strip()

    @property
    def orientation(self) -> int:
        """1 to 8; 1 where none is told."""
        told = self.number(ORIENTATION, 1)
        return told if told in _ORIENTATIONS else 1


@dataclass(frozen=True)
class Layout:
    """How a file's header says that it is to be read."""

    order: Literal["<", ">"]
    first: int
    is_big: bool = False


def layout(data: bytes) -> Layout | None:
    """Read the header; None when it is cut, or has no byte order. The number behind the order may be any maker's."""
    order: Literal["<", ">"] | None = "<" if data[:2] == b"II" else ">" if data[:2] == b"MM" else None
    if order is None or len(data) < _CLASSIC_HEADER:
        return None
    if struct.unpack_from(f"{order}H", data, 2) != (_BIG_VERSION,):
        return Layout(order, struct.unpack_from(f"{order}I", data, 4)[0])
    if len(data) < _BIG_HEADER:
        return None
    return Layout(order, struct.unpack_from(f"{order}Q", data, 8)[0], is_big=True)


def directory(data: bytes, made: Layout, start: int, *, may_be_cut: bool = False) -> Directory | None:
    """Read the directory at `start`; None when it is not all in the file. Of a tag that is there twice, the first.

    With `may_be_cut`, a directory that is cut has the entries that are there.
    """
    counted, entry_size = ("Q", _BIG_ENTRY) if made.is_big else ("H", _CLASSIC_ENTRY)
    value, offset = (8, "Q") if made.is_big else (4, "I")
    head = struct.calcsize(f"<{counted}")
    if start < head or start + head > len(data):
        return None
    (count,) = struct.unpack_from(f"{made.order}{counted}", data, start)
    if may_be_cut:
        count = min(count, (len(data) - start - head) // entry_size)
    end = start + head + count * entry_size
    if end > len(data):
        return None
    entries: dict[int, Entry] = {}
    for at in range(start + head, end, entry_size):
        tag, kind, values = struct.unpack_from(f"{made.order}HH{offset}", data, at)
        inside = at + entry_size - value
        fits = _SIZES.get(kind, 0) * values <= value
        begins = inside if fits else struct.unpack_from(f"{made.order}{offset}", data, inside)[0]
        entries.setdefault(tag, Entry(data[at : at + entry_size], kind, values, begins))
    following = struct.unpack_from(f"{made.order}{offset}", data, end)[0] if end + value <= len(data) else 0
    return Directory(data, made.order, entries, following)


def directories(data: bytes) -> Iterator[Directory]:
    """Go through a file's directories, each followed by those below it. Circles and crowds end the walk."""
    made = layout(data)
    if made is None:
        return
    waiting, seen = [made.first], set[int]()
    while waiting and len(seen) < _MOST_DIRECTORIES:
        start = waiting.pop()
        if start in seen:
            continue
        seen.add(start)
        found = directory(data, made, start)
        if found is None:
            continue
        yield found
        below = found.numbers(SUB_DIRECTORIES)[:_MOST_SUB_DIRECTORIES]
        waiting += [found.following, *reversed(below)] if found.following else list(reversed(below))


def exif_orientation(block: bytes) -> int:
    """Return the orientation of an EXIF block (a TIFF header and its directories): 1 to 8; 1 if there is none.

    As in browsers, EXIF alone counts, XMP's `tiff:Orientation` does not; the tag is one SHORT, as EXIF says, or it is
    not looked at; and a directory that is cut tells what is left of it. Other damaged metadata counts as none.
    """
    made = layout(block)
    first = directory(block, made, made.first, may_be_cut=True) if made is not None else None
    told = first.entries.get(ORIENTATION) if first is not None else None
    if first is None or told is None or (told.kind, told.count) != (_SHORT, 1):
        return 1
    return first.orientation
