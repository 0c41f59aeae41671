"""WebP without what is no pixel (RFC 9649)."""

import struct
from collections.abc import Iterator
from typing import Final

from shared.decode.essence import Essence
from shared.decode.ifd import exif_orientation

_PIXELS: Final = frozenset({b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF"})
_CHUNKS_AT: Final = 12
# Flags of VP8X that promise a profile, EXIF and XMP: bits 5, 3 and 2.
_METADATA_FLAGS: Final = 0x2C


def essence(data: bytes) -> Essence:
    """Return the chunks of pixels alone, the orientation of EXIF, and the profile of ICCP."""
    kept, orientation, profile = list[bytes](), 1, b""
    for kind, start, end in _chunks(data):
        content = data[start + 8 : end]
        if kind == b"VP8X" and content:
            kept.append(data[start : start + 8] + bytes([content[0] & ~_METADATA_FLAGS]) + content[1:])
        elif kind in _PIXELS:
            kept.append(data[start : end + (end & 1)])
        elif kind == b"EXIF":
            orientation = exif_orientation(content.removeprefix(b"Exif\0\0"))
        elif kind == b"ICCP":
            profile = content
    body = b"WEBP" + b"".join(kept)
    # Where the pixels are cut short, the length goes on saying so.
    missing = max(0, _promised(data) - len(data)) if kept and _is_cut(kept[-1]) else 0
    return Essence(b"RIFF" + struct.pack("<I", min(len(body) + missing, 0xFFFFFFFF)) + body, orientation, profile)


def _promised(data: bytes) -> int:
    return int.from_bytes(data[4:8], "little") + 8


def _is_cut(chunk: bytes) -> bool:
    return len(chunk) < 8 + int.from_bytes(chunk[4:8], "little")


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, begin and end of each chunk, without its padding; the last may reach beyond the file."""
    at = _CHUNKS_AT
    while at + 8 <= len(data):
        end = at + 8 + int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], at, end
        at = end + (end & 1)
