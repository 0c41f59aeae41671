"""Makes the containers that photos come in: TIFF and what is like it, JPEG segments, boxes of ISO media."""

import io
import struct
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from tests.unit.shared.photo_files import card, encode

BYTE, TEXT, SHORT, LONG, FLOAT, UNDEFINED = 1, 2, 3, 4, 11, 7
_FORMATS = {BYTE: "B", SHORT: "H", LONG: "I", FLOAT: "f"}
Tag = tuple[int, Sequence[int] | bytes]
# Photometric interpretations.
GREY, RGB, YCBCR, SENSOR = 1, 2, 6, 32803


class Page:
    """One directory: its tags, and what they point to (strip, thumbnail's JPEG, directories below)."""

    def __init__(
        self, tags: Mapping[int, Tag], *, strip: bytes = b"", jpeg: bytes = b"", below: Sequence["Page"] = ()
    ) -> None:
        self.tags, self.strip, self.jpeg, self.below = dict(tags), strip, jpeg, below


def tiff_file(pages: Sequence[Page], *, start: bytes = b"II*\0", behind_header: bytes = b"") -> bytes:
    """Write a little-endian TIFF, or what begins otherwise and is built like it (`start` is four bytes).

    `behind_header` stands at 16.
    """
    stream = io.BytesIO(start + bytes(12) + behind_header)
    stream.seek(0, io.SEEK_END)
    following = 0
    for page in reversed(pages):
        following = _write_page(stream, page, following)
    content = bytearray(stream.getvalue())
    content[4:8] = struct.pack("<I", following)
    return bytes(content)


def _write_page(stream: io.BytesIO, page: Page, following: int) -> int:
    tags = dict(page.tags)
    if page.strip:
        tags |= {273: (LONG, [_append(stream, page.strip)]), 279: (LONG, [len(page.strip)])}
    if page.jpeg:
        tags |= {513: (LONG, [_append(stream, page.jpeg)]), 514: (LONG, [len(page.jpeg)])}
    if page.below:
        tags |= {330: (LONG, [_write_page(stream, below, 0) for below in page.below])}
    entries = b""
    for tag, (kind, values) in sorted(tags.items()):
        raw = values if isinstance(values, bytes) else struct.pack(f"<{len(values)}{_FORMATS[kind]}", *values)
        held = raw.ljust(4, b"\0") if len(raw) <= 4 else struct.pack("<I", _append(stream, raw))
        entries += struct.pack("<HHI", tag, kind, len(values)) + held
    return _append(stream, struct.pack("<H", len(tags)) + entries + struct.pack("<I", following))


def _append(stream: io.BytesIO, content: bytes) -> int:
    place = stream.tell() + stream.tell() % 2
    stream.seek(place)
    stream.write(content)
    return place


def page_of(image: Image.Image, *, reduced: bool = False, below: Sequence[Page] = (), **more: Tag) -> Page:
    """An uncompressed RGB page; `more` are further tags, as t274=(SHORT, [6])."""
    tags: dict[int, Tag] = {
        **_size(image),
        254: (LONG, [int(reduced)]),
        258: (SHORT, [8, 8, 8]),
        259: (SHORT, [1]),
        262: (SHORT, [RGB]),
        277: (SHORT, [3]),
        278: (LONG, [image.height]),
    } | {int(name[1:]): tag for name, tag in more.items()}
    return Page(tags, strip=image.tobytes(), below=below)


def tiff_of_planes(planes: Sequence[bytes], *, compressed: bool) -> bytes:
    """A TIFF of the card's size whose 16-bit colours are one behind the other, each in a strip (deflated, or not)."""
    width, height = card().size
    ends = np.cumsum([16, *map(len, planes)]).tolist()
    tags: dict[int, Tag] = {
        256: (LONG, [width]),
        257: (LONG, [height]),
        258: (SHORT, [16] * len(planes)),
        259: (SHORT, [8 if compressed else 1]),
        262: (SHORT, [RGB]),
        273: (LONG, ends[:-1]),
        277: (SHORT, [len(planes)]),
        278: (LONG, [height]),
        279: (LONG, [len(plane) for plane in planes]),
        284: (SHORT, [2]),
    }
    return tiff_file([Page(tags)], behind_header=b"".join(planes))


def sensor_page(image: Image.Image) -> Page:
    """A page of a sensor's 16-bit numbers, as raws have it."""
    grey = image.convert("L")
    deep = b"".join(bytes((0, value)) for value in grey.tobytes())
    tags: dict[int, Tag] = {
        **_size(image),
        254: (LONG, [0]),
        258: (SHORT, [16]),
        259: (SHORT, [1]),
        262: (SHORT, [SENSOR]),
        277: (SHORT, [1]),
        278: (LONG, [image.height]),
    }
    return Page(tags, strip=deep)


def jpeg_page(image: Image.Image, *, reduced: bool = True) -> Page:
    """A page whose only strip is a whole JPEG, as previews of raws are stored."""
    tags: dict[int, Tag] = {
        **_size(image),
        254: (LONG, [int(reduced)]),
        258: (SHORT, [8, 8, 8]),
        259: (SHORT, [7]),
        262: (SHORT, [YCBCR]),
        277: (SHORT, [3]),
        278: (LONG, [image.height]),
    }
    return Page(tags, strip=encode(image, "JPEG", quality=95))


def _size(image: Image.Image) -> dict[int, Tag]:
    return {256: (LONG, [image.width]), 257: (LONG, [image.height])}


def raw_file(make: str, *, preview: Image.Image | None, orientation: int = 1, dng: bool = False) -> bytes:
    """A raw as most cameras write it: a thumbnail first, below it the preview (if any) and the sensor's page."""
    below = [*([jpeg_page(preview)] if preview is not None else []), sensor_page(card(192, 128))]
    more: dict[str, Tag] = {"t271": (TEXT, make.encode() + b"\0"), "t274": (SHORT, [orientation])}
    if dng:
        more["t50706"] = (BYTE, [1, 4, 0, 0])
    return tiff_file([page_of(card(24, 16), reduced=True, below=below, **more)])


def jpeg_segment(marker: int, content: bytes) -> bytes:
    """One segment with its length."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def jpeg_with(segments: bytes, jpeg: bytes) -> bytes:
    """A JPEG with segments put first."""
    return jpeg[:2] + segments + jpeg[2:]


def xmp_orientation(orientation: int) -> bytes:
    """An XMP packet that says how the picture is to be turned, and nothing else."""
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="{orientation}"/>'
        "</rdf:RDF></x:xmpmeta>"
    ).encode()


def exif(orientation: int) -> bytes:
    """An EXIF block that says how the picture is to be turned, with its name in front."""
    block = Image.Exif()
    block[0x0112] = orientation
    return block.tobytes()


def box(kind: bytes, content: bytes) -> bytes:
    """One box of ISO media."""
    return struct.pack(">I", len(content) + 8) + kind + content


def canon_raw(jpeg: bytes, orientation: int = 1) -> bytes:
    """A CR3: EXIF's first directory in Canon's box, and the JPEG as the only sample of a track."""
    directory = tiff_file([Page({274: (SHORT, [orientation])})])
    canon = box(b"uuid", bytes.fromhex("85c0b687820f11e08111f4ce462b6a48") + box(b"CMT1", directory))

    def moov(offset: int) -> bytes:
        sizes = box(b"stsz", struct.pack(">III", 0, len(jpeg), 1))
        table = box(b"stbl", sizes + box(b"co64", struct.pack(">IIQ", 0, 1, offset)))
        return box(b"moov", canon + box(b"trak", box(b"mdia", box(b"minf", table))))

    start = box(b"ftyp", b"crx \0\0\0\1crx isom")
    return start + moov(len(start) + len(moov(0)) + 8) + box(b"mdat", jpeg)


def fujifilm_raw(jpeg: bytes) -> bytes:
    """A RAF: its header points to the JPEG."""
    header = b"FUJIFILMCCD-RAW 0201FF129502".ljust(84, b"\0") + struct.pack(">II", 160, len(jpeg))
    return header.ljust(160, b"\0") + jpeg + b"sensor"
