"""Tells from its first bytes what a file is, and from its structure whether the end is missing."""

from enum import Enum
from typing import Final


class Format(Enum):
    """A picture format that is read. The value is what a decoded photo says it was."""

    JPEG = "jpeg"
    PNG = "png"
    WEBP = "webp"
    HEIF = "heif"
    AVIF = "avif"
    TIFF = "tiff"
    GIF = "gif"
    BMP = "bmp"
    RAW = "raw"

    @property
    def label(self) -> str:
        """The format as people write it."""
        return {"webp": "WebP", "heif": "HEIC", "raw": "raw"}.get(self.value, self.value.upper())


class NotAnImage(Exception):
    """The file is something other than a picture; `reason` says what."""

    def __init__(self, reason: str) -> None:
        """Keep the reason, in plain words."""
        super().__init__(reason)
        self.reason = reason


class UnsupportedPicture(Exception):
    """The file is a picture in a format that is not read; the text says which and what to do."""


_SIGNATURES: Final = (
    (b"\xff\xd8", Format.JPEG),
    (b"\x89PNG", Format.PNG),
    (b"GIF8", Format.GIF),
    (b"II*\x00", Format.TIFF),
    (b"MM\x00*", Format.TIFF),
    (b"II+\x00", Format.TIFF),
    (b"MM\x00+", Format.TIFF),
)

# Brands of ISO base media files (ISO/IEC 23008-12, AV1 Image File Format).
_HEIF_BRANDS: Final = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
)
_AVIF_BRANDS: Final = frozenset({b"avif", b"avis"})
# Those of still pictures and of sequences of them, which no video has. Others, as "hevc", name what videos use as well.
_PICTURE_BRANDS: Final = _AVIF_BRANDS | {b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2", b"msf1"}
# Major brands that every reader of the format takes.
PICTURE_BRAND: Final = {Format.HEIF: b"mif1", Format.AVIF: b"avif"}

# Sizes of the header that follows "BM" and its 12 bytes: every version of the format.
_BMP_HEADER_SIZES: Final = frozenset({12, 16, 40, 52, 56, 64, 108, 124})

_OTHER_PICTURES: Final = (
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"8BPS", "Photoshop"),
    (b"\x00MRM", "Minolta raw"),
    (b"FOVb", "Sigma raw"),
    (b"II\x1a\x00\x00\x00HEAPCCDR", "Canon raw (CRW)"),
)
# Raw files that do not begin as TIFF does; the others are told from TIFF by their tags (decode/raw.py).
_RAWS: Final = (
    (b"FUJIFILMCCD-RAW", "Fujifilm raw"),
    (b"IIRO", "Olympus raw"),
    (b"IIRS", "Olympus raw"),
    (b"MMOR", "Olympus raw"),
    (b"IIU\x00", "Panasonic raw"),
)
_CANON_RAW: Final = b"crx "

_OTHER_FILES: Final = (
    (0, b"%PDF", "a PDF document"),
    (0, b"PK\x03\x04", "a zip archive or an office document"),
    (0, b"PK\x05\x06", "an empty zip archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (0, b"Rar!", "a RAR archive"),
    (0, b"\x1aE\xdf\xa3", "a video (Matroska or WebM)"),
    (0, b"\x00\x00\x01\xba", "a video (MPEG)"),
    (0, b"\x00\x00\x01\xb3", "a video (MPEG)"),
    (0, b"FLV", "a video (Flash)"),
    (0, b"0&\xb2u\x8ef\xcf\x11", "a video or sound (Windows Media)"),
    (0, b"OggS", "a sound or video (Ogg)"),
    (0, b"ID3", "a sound (MP3)"),
    (0, b"fLaC", "a sound (FLAC)"),
    (0, b"\x7fELF", "a program"),
    (0, b"MZ", "a program"),
    (8, b"AVI ", "a video (AVI)"),
    (8, b"WAVE", "a sound (WAV)"),
    (4, b"ftyp", "a video (MP4 or QuickTime)"),
    (4, b"moov", "a video (QuickTime)"),
    (4, b"mdat", "a video (QuickTime)"),
    (4, b"wide", "a video (QuickTime)"),
)

_TEXT_SAMPLE_BYTES: Final = 512
_TEXT_BYTES: Final = bytes([*b"\t\r\n\f", *range(0x20, 0x7F), *range(0x80, 0x100)])

# How far before its end a file may have its end marker: some writers add a few bytes.
_TAIL_BYTES: Final = 64

# The RIFF header, the first chunk's header, and the frame header with the size.
_WEBP_HEADER_BYTES: Final = 30

# Boxes of ISO base media files (ISO/IEC 14496-12): length and kind, 4 bytes each.
_BOX_HEADER_BYTES: Final = 8
_SIZE_IN_64_BITS: Final = 1
_MAX_FTYP_BYTES: Final = 256


def sniff(data: bytes) -> Format:
    """Return the picture format of a file.

    Raises UnsupportedPicture for picture formats that are not read, NotAnImage for everything else.
    """
    if raw_maker(data) is not None:
        return Format.RAW
    for signature, found in _SIGNATURES:
        if data.startswith(signature):
            return found
    _refuse_other_pictures(data)
    if data[4:8] == b"ftyp":
        return _iso_media(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return Format.WEBP
    if data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in _BMP_HEADER_SIZES:
        return Format.BMP
    for offset, signature, name in _OTHER_FILES:
        if data[offset:].startswith(signature):
            raise NotAnImage(_is(name))
    raise NotAnImage(_is(_kind_of_text(data)))


def _refuse_other_pictures(data: bytes) -> None:
    for signature, name in _OTHER_PICTURES:
        if data.startswith(signature):
            raise UnsupportedPicture(_not_read(name))


def raw_maker(data: bytes) -> str | None:
    """Whose raw a file is that does not begin as TIFF does, in words; None for all others."""
    if data[4:8] == b"ftyp" and data[8:12] == _CANON_RAW:
        return "Canon raw"
    return next((name for signature, name in _RAWS if data.startswith(signature)), None)


def looks_cut_short(kind: Format, data: bytes) -> bool:
    """Say whether a file that could not be decoded lacks its end, as far as the format tells."""
    match kind:
        case Format.PNG:
            short = b"IEND" not in data[-_TAIL_BYTES:]
        case Format.GIF:
            short = not data.endswith(b";")
        case Format.WEBP:
            short = int.from_bytes(data[4:8], "little") + 8 > len(data)
        case Format.BMP:
            short = int.from_bytes(data[2:6], "little") > len(data)
        case Format.HEIF | Format.AVIF:
            short = _iso_boxes_overrun(data)
        case Format.TIFF:
            # The address of the directory, which most writers put behind the pixels.
            address = data[8:16] if b"+" in data[2:4] else data[4:8]
            short = int.from_bytes(address, "big" if data[:1] == b"M" else "little") >= len(data)
        case _:
            short = False
    return short


def has_known_major_brand(data: bytes) -> bool:
    """Say whether the first brand of an ISO base media file is one of HEIC or AVIF."""
    return data[8:12] in _HEIF_BRANDS | _AVIF_BRANDS


def webp_canvas(data: bytes) -> tuple[int, int] | None:
    """Read width and height from a WebP header (RFC 9649); None when it is cut or of no known kind."""
    if len(data) < _WEBP_HEADER_BYTES:
        return None
    chunk = data[12:16]
    if chunk == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if chunk == b"VP8 ":
        return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    if chunk == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return None


def _iso_media(data: bytes) -> Format:
    """Tell HEIC and AVIF from MP4 by the brands in the `ftyp` box.

    The major brand may be any (a camera maker's, for example): whoever knows a compatible one may read the file.
    """
    major = data[8:12]
    end = min(int.from_bytes(data[:4], "big"), _MAX_FTYP_BYTES)
    compatible = {data[start : start + 4] for start in range(16, end, 4)}
    if ({major} | compatible) & _AVIF_BRANDS:
        return Format.AVIF
    if major in _HEIF_BRANDS or compatible & _PICTURE_BRANDS:
        return Format.HEIF
    raise NotAnImage(_is("a video (MP4 or QuickTime)"))


def _iso_boxes_overrun(data: bytes) -> bool:
    """Say whether a top-level box reaches beyond the end of the file."""
    position = 0
    while position + _BOX_HEADER_BYTES <= len(data):
        size = int.from_bytes(data[position : position + 4], "big")
        if size == _SIZE_IN_64_BITS:
            size = int.from_bytes(data[position + 8 : position + 16], "big")
        if size < _BOX_HEADER_BYTES:
            # 0 is "to the end of the file"; 2 to 7 are no sizes at all.
            return False
        position += size
    return position != len(data)


def _kind_of_text(data: bytes) -> str:
    sample = data[:_TEXT_SAMPLE_BYTES]
    head = sample.lstrip(b"\xef\xbb\xbf \t\r\n")
    if b"<svg" in head.lower():
        return "an SVG drawing"
    if head.startswith(b"<"):
        return "a web page or an XML document"
    if head.startswith((b"{", b"[")):
        return "a JSON document"
    if head and not sample.translate(None, _TEXT_BYTES):
        return "a text"
    return "of no kind that is known"


def _is(kind: str) -> str:
    return f"The file is {kind}."


def _not_read(name: str) -> str:
    return f"{name} pictures are not read. Upload the photo as JPEG, PNG, WebP, HEIC, AVIF or TIFF."
