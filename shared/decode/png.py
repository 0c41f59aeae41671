"""PNG without what is no pixel (PNG, third edition: W3C REC-png-3).

A file is copied chunk by chunk before Pillow sees it: what a picture needs, and nothing else. So no text, no thumbnail
and no wrong checksum of theirs can cost the picture or take memory; of an animation the default image is left.

Two checksums guard the pixels: the CRC-32 of each chunk and the Adler-32 of what all of them unpack to. Where one of
them is right, the pixels are as they were written, and the other one is corrected.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import Final

from shared.decode.essence import Essence
from shared.decode.ifd import exif_orientation

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_CRITICAL: Final = frozenset({b"IHDR", b"PLTE", b"IDAT"})
_END: Final = struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND"))
_CHUNK_OVERHEAD: Final = 12
_ZLIB_HEADER_BYTES, _ADLER_BYTES = 2, 4
_PIECE_BYTES: Final = 2**16
# Numbers that a pixel has, by colour type.
_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# The largest profiles of printers have some megabytes, those of cameras and screens some kilobytes.
_MOST_PROFILE_BYTES: Final = 8 * 2**20
# Bytes that tRNS has to have, by colour type: a grey, a colour, the palette's alphas; other types have none.
_TRANSPARENCY: Final = {0: 2, 2: 6, 3: 1}
_GREY, _RGB, _OF_PALETTE, _RGBA = 0, 2, 3, 6
_BITS: Final = 8
# Bytes that a pixel takes as decoded, and where it has to be converted, measured with 48 megapixels.
_FLAT_GREY, _DEEP_GREY, _COLOUR, _ALPHA, _PALETTE, _CONVERTED = 2, 8, 5, 7, 6, 9


def size(data: bytes) -> tuple[int, int] | None:
    """Width and height of the header, which has to come first; None without one."""
    header = data[8:33]
    if not data.startswith(_SIGNATURE) or header[:8] != b"\0\0\0\x0dIHDR" or len(header) < 8 + 13:
        return None
    width, height = struct.unpack_from(">II", header, 8)
    return width, height


def bytes_a_pixel(data: bytes) -> int:
    """Return the bytes that decoding a pixel takes: Pillow's picture, and a second one if it must be converted."""
    depth, colour_type = data[24:26].ljust(2, b"\0")
    if colour_type == _OF_PALETTE:
        return _PALETTE
    if _has_transparency(data):
        return _CONVERTED
    if colour_type == _GREY:
        return _DEEP_GREY if depth > _BITS else _FLAT_GREY
    return {_RGB: _COLOUR, _RGBA: _ALPHA}.get(colour_type, _CONVERTED)


def essence(data: bytes) -> Essence:
    """Return the chunks of pixels alone, the orientation of eXIf, and the profile of iCCP.

    The header is there: `size` has read it.

    Raises:
        SyntaxError: a chunk that the pixels need has another checksum than it says.
    """
    kept, exif, profile, colour_type = [_SIGNATURE], b"", b"", data[25]
    for kind, start, end in _chunks(data):
        if kind == b"IHDR" and len(kept) > 1:
            continue  # a second header would change the size that was looked at
        if kind in _CRITICAL:
            if end <= len(data) and not _is_intact(data, start, end):
                message = f"wrong checksum in {kind.decode()}"
                raise SyntaxError(message)
            kept.append(data[start:end])
        elif end > len(data) or not _is_intact(data, start, end):
            continue
        elif kind == b"eXIf" and not exif:
            exif = data[start + 8 : end - 4]
        elif kind == b"iCCP" and not profile:
            profile = _profile(data[start + 8 : end - 4])
        elif kind == b"tRNS" and end - start - _CHUNK_OVERHEAD >= _TRANSPARENCY.get(colour_type, len(data)):
            kept.append(data[start:end])
    # Behind data that is cut short an end would only hide that.
    whole = len(kept[-1]) >= _CHUNK_OVERHEAD and _is_complete(kept[-1])
    return Essence(b"".join([*kept, _END] if whole else kept), exif_orientation(exif), profile)


def mended(data: bytes) -> bytes | None:
    """Correct the checksums of the pixels; None if both are wrong or data is missing.

    The header is there: `size` has read it. What the pixels unpack to is looked at piece by piece and not kept.
    """
    pixels = [(start, end) for kind, start, end in _chunks(data) if kind == b"IDAT"]
    if not pixels or pixels[-1][1] > len(data):
        return None
    stream = b"".join(data[start + 8 : end - 4] for start, end in pixels)
    unpacked = _unpacked(stream, _most_unpacked(data))
    if unpacked is None:
        return None
    adler, end_of_pixels = unpacked
    is_told = stream[end_of_pixels : end_of_pixels + _ADLER_BYTES] == adler
    if not is_told and not all(_is_intact(data, start, end) for start, end in pixels):
        return None
    corrected = _chunk(b"IDAT", stream[:end_of_pixels] + adler)
    return b"".join((data[: pixels[0][0]], corrected, data[pixels[-1][1] :]))


def _unpacked(stream: bytes, most: int) -> tuple[bytes, int] | None:
    """Return the Adler-32 of a zlib stream's content, and the position where its data ends.

    None where it does not end, is damaged, or has more than `most` bytes.
    """
    unpacker, adler, length = zlib.decompressobj(-zlib.MAX_WBITS), 1, 0
    try:
        for at in range(_ZLIB_HEADER_BYTES, len(stream), _PIECE_BYTES):
            left = piece = stream[at : at + _PIECE_BYTES]
            while left and not unpacker.eof:
                content = unpacker.decompress(left, _PIECE_BYTES)
                left, adler, length = unpacker.unconsumed_tail, zlib.adler32(content, adler), length + len(content)
                if length > most:
                    return None
            if unpacker.eof:
                return struct.pack(">I", adler), at + len(piece) - len(unpacker.unused_data)
    except zlib.error:
        pass
    return None


def _most_unpacked(data: bytes) -> int:
    """Bytes that the pixels unpack to at most: an interlaced picture has up to two rows more for each of its rows."""
    width, height = size(data) or (0, 0)
    depth, colour_type = data[24:26]
    row = 1 + (width * depth * _CHANNELS.get(colour_type, 0) + 7) // 8
    return height * (row + 4) + row


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, begin and end of each chunk up to IEND; the last may reach beyond the file."""
    at = len(_SIGNATURE)
    while at + 8 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if kind == b"IEND" or not kind.isalpha():
            return
        end = at + _CHUNK_OVERHEAD + length
        yield kind, at, end
        at = end


def _is_intact(data: bytes, start: int, end: int) -> bool:
    return zlib.crc32(memoryview(data)[start + 4 : end - 4]) == int.from_bytes(data[end - 4 : end], "big")


def _is_complete(chunk: bytes) -> bool:
    return len(chunk) == int.from_bytes(chunk[:4], "big") + _CHUNK_OVERHEAD


def _profile(content: bytes) -> bytes:
    """Decompress the profile; empty when it is broken or larger than any profile."""
    _, _, packed = content.partition(b"\0")
    unpacker = zlib.decompressobj()
    try:
        profile = unpacker.decompress(packed[1:], _MOST_PROFILE_BYTES)
    except zlib.error:
        return b""
    return profile if unpacker.eof else b""


def _has_transparency(data: bytes) -> bool:
    return data.find(b"tRNS", 0, max(0, data.find(b"IDAT"))) != -1
