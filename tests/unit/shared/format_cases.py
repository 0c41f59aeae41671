"""Kinds of files, and what comes of each: the cases of the tests, and the rows of docs/formats.md."""

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import pillow_heif
from PIL import Image

from shared.decode import BadImageCode
from tests.unit.shared.container_files import (
    LONG,
    SHORT,
    Page,
    box,
    canon_raw,
    exif,
    fujifilm_raw,
    jpeg_segment,
    jpeg_with,
    page_of,
    raw_file,
    sensor_page,
    tiff_file,
    tiff_of_planes,
    xmp_orientation,
)
from tests.unit.shared.photo_files import card, encode, png_chunk

_LARGE = 200_000  # bytes of rubbish that look like a video: many hundred scan markers
_SIDEWAYS = 6
_SOFTWARE = b"a program's name that is long enough to be written behind its directory"


@dataclass(frozen=True)
class Read:
    """The card comes out upright."""

    @property
    def told(self) -> str:
        """As the document says it."""
        return "read"


@dataclass(frozen=True)
class Refused:
    """The job fails with this code, and its reason holds these words."""

    code: BadImageCode
    words: str

    @property
    def told(self) -> str:
        """As the document says it."""
        return f"refused, `{self.code}`: “… {self.words} …”"


@dataclass(frozen=True)
class Skipped:
    """The job is completed without faces: the file is no picture."""

    words: str

    @property
    def told(self) -> str:
        """As the document says it."""
        return f"skipped: “The file is {self.words}”"


Outcome = Read | Refused | Skipped


@dataclass(frozen=True)
class Case:
    """A kind of file, and one of it."""

    group: str
    what: str
    outcome: Outcome
    make: Callable[[], bytes]


READ = Read()


def _damaged(words: str = "damaged") -> Refused:
    return Refused(BadImageCode.CORRUPT, words)


def _cut() -> Refused:
    return Refused(BadImageCode.TRUNCATED, "cut short")


def _unread(words: str) -> Refused:
    return Refused(BadImageCode.UNSUPPORTED_FORMAT, words)


def _lying(width: int = 96, height: int = 64) -> Image.Image:
    """The card as a camera stores it that was held sideways: EXIF orientation 6 turns it upright."""
    return card(width, height).transpose(Image.Transpose.ROTATE_90)


@cache
def _jpeg() -> bytes:
    return encode(card(), "JPEG", quality=95)


@cache
def _png() -> bytes:
    return encode(card(), "PNG")


def _png_with(kind: bytes, content: bytes, plain: bytes | None = None, *, last: bool = False) -> bytes:
    """A chunk put before the pixels, or as the last."""
    data = plain or _png()
    place = data.index(b"IEND" if last else b"IDAT") - 4
    return data[:place] + png_chunk(kind, content) + data[place:]


def _flipped(data: bytes, place: int) -> bytes:
    place %= len(data)
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def _zlib_stream(data: bytes | None = None) -> bytes:
    """What the one chunk of pixels holds."""
    plain = data or _png()
    start = plain.index(b"IDAT")
    return plain[start + 4 : start + 4 + int.from_bytes(plain[start - 4 : start], "big")]


def _png_of(stream: bytes, *, chunk: int = 10**6, plain: bytes | None = None) -> bytes:
    """The card with other compressed pixels, in chunks of so many bytes whose own checksums are right."""
    data = plain or _png()
    before, behind = data.index(b"IDAT") - 4, data.index(b"IEND") - 4
    pieces = [png_chunk(b"IDAT", stream[at : at + chunk]) for at in range(0, len(stream), chunk)]
    return data[:before] + b"".join(pieces) + data[behind:]


def _turned_with_wrong_adler() -> bytes:
    plain = _with_exif("PNG")
    return _png_of(_flipped(_zlib_stream(plain), -1), plain=plain)


def _large_jpeg(mode: str = "RGB") -> bytes:
    return encode(card().convert(mode).resize((1200, 900)), "JPEG", quality=95)


def _cut_with_end(share: float, mode: str = "RGB") -> bytes:
    data = _large_jpeg(mode)
    return data[: int(len(data) * share)] + b"\xff\xd9"


def _without_its_middle() -> bytes:
    data = _large_jpeg()
    return data[: len(data) // 2] + data[len(data) // 2 + len(data) // 10 :]


def _damaged_stream() -> bytes:
    middle = len(_zlib_stream()) // 2
    return _zlib_stream()[:middle] + bytes(8) + _zlib_stream()[middle + 8 :]


def _video() -> bytes:
    rubbish = np.random.default_rng(5).integers(0, 256, _LARGE, dtype=np.uint8).tobytes()
    return box(b"ftyp", b"mp42\0\0\0\0isommp42") + box(b"mdat", rubbish + b"\xff\xda" * 200 + b"\xff\xd8")


def _many_scans(size: tuple[int, int], scans: int) -> bytes:
    data = encode(Image.new("RGB", size), "JPEG", progressive=True)
    start = data.rindex(b"\xff\xda")
    return data[:start] + data[start:-2] * scans + b"\xff\xd9"


def _twelve_bits() -> bytes:
    frame = _jpeg().index(b"\xff\xc0")
    return _jpeg()[: frame + 1] + b"\xc1" + _jpeg()[frame + 2 : frame + 4] + b"\x0c" + _jpeg()[frame + 5 :]


def _height_behind() -> bytes:
    height = _jpeg().index(b"\xff\xc0") + 5
    first_scan_ends = len(_jpeg()) - 2
    told = jpeg_segment(0xDC, _jpeg()[height : height + 2])
    return _jpeg()[:height] + b"\0\0" + _jpeg()[height + 2 : first_scan_ends] + told + b"\xff\xd9"


def _short_segments() -> bytes:
    names = ((0xE0, b"JFIF\0"), (0xED, b"Photoshop 3.0\0" + b"8BIM\3\xed"), (0xEE, b"Adobe"), (0xE2, b"ICC_PROFILE\0"))
    return jpeg_with(b"".join(jpeg_segment(marker, content) for marker, content in names), _jpeg())


def _deep(bits: int) -> bytes:
    """The card as 16-bit grey of which only `bits` are used."""
    grey = np.asarray(card().convert("L")).astype(np.uint16)
    return encode(Image.fromarray(grey << (bits - 8)), "TIFF")


def _deep_planes(*, compressed: bool) -> bytes:
    """The card in 16 bits a colour, the three colours one behind the other."""
    planes = [(plane.astype("<u2") * 257).tobytes() for plane in np.moveaxis(np.asarray(card()), 2, 0)]
    return tiff_of_planes([zlib.compress(plane) if compressed else plane for plane in planes], compressed=compressed)


def _big_endian(data: bytes) -> bytes:
    """A little-endian BigTIFF of one directory, its header and directory written the other way round."""
    (first,) = struct.unpack_from("<Q", data, 8)
    (count,) = struct.unpack_from("<Q", data, first)
    end = first + 8 + 20 * count
    entries = b""
    for at in range(first + 8, end, 20):
        tag, kind, values = struct.unpack_from("<HHQ", data, at)
        item = {3: "H", 4: "I"}[kind]
        numbers = struct.unpack_from(f"<{values}{item}", data, at + 12)
        entries += struct.pack(">HHQ", tag, kind, values) + struct.pack(f">{values}{item}", *numbers).ljust(8, b"\0")
    head = b"MM\0+" + struct.pack(">HHQ", 8, 0, first)
    return head + data[16:first] + struct.pack(">Q", count) + entries + data[end:]


def _float_colours() -> bytes:
    values = struct.pack(f"<{96 * 64 * 3}f", *(np.asarray(card()).ravel() / 255))
    page = page_of(card(), t258=(SHORT, [32, 32, 32]), t339=(SHORT, [3, 3, 3]))
    return tiff_file([Page(page.tags, strip=values)])


def _exif_item_beyond_the_end(data: bytes) -> bytes:
    """Cut the EXIF block of a HEIC or AVIF away: it is the last thing in the file."""
    block = data.rindex(b"Exif\0\0")
    return data[: block - 4]


def _with_damaged_exif(data: bytes) -> bytes:
    block = data.rindex(_SOFTWARE) - 20
    return data[:block] + b"\xff" * 20 + data[block + 20 :]


def _exif_with_software() -> bytes:
    block = Image.Exif()
    block[0x0131] = _SOFTWARE.decode()
    return block.tobytes()


def _with_major_brand(data: bytes, brand: bytes) -> bytes:
    assert data[4:8] == b"ftyp"
    return data[:8] + brand + data[12:]


def _heic_with_exif_alone() -> bytes:
    data = encode(card(), "HEIF", quality=95, exif=exif(1))
    entry = b"\x01\x12\x00\x03\x00\x00\x00\x01\x00"
    place = data.index(entry) + len(entry)
    return data[:place] + b"\3" + data[place + 1 :]


def _ten_bits() -> bytes:
    deep = np.asarray(card()).astype(np.uint16) * 257
    heif = pillow_heif.from_bytes(mode="RGB;16", size=card().size, data=deep.tobytes())
    stream = io.BytesIO()
    heif.save(stream, quality=95)
    return stream.getvalue()


def _apng() -> bytes:
    return encode(card(), "PNG", save_all=True, append_images=[Image.new("RGB", card().size)])


def _apng_with_another_still() -> bytes:
    other = [Image.new("RGB", card().size, colour) for colour in ("black", "white")]
    return encode(card(), "PNG", save_all=True, append_images=other, default_image=True)


def _broken_apng() -> bytes:
    data = _apng()
    return _flipped(data, data.index(b"fcTL") + 7)


def _sixteen_bits() -> bytes:
    encoded, data = cv2.imencode(".png", np.asarray(card()).astype(np.uint16)[..., ::-1] * 257)
    assert encoded
    return data.tobytes()


def _iccp(profile: bytes) -> bytes:
    return _png_with(b"iCCP", b"profile\0\0" + zlib.compress(profile))


def _webp(**options: object) -> bytes:
    return encode(card(), "WEBP", quality=95, **options)


def _with_exif(name: str, **options: object) -> bytes:
    return encode(_lying(), name, exif=exif(_SIDEWAYS), **options)


def _turned_by(*, kind: int = SHORT, stored: Image.Image | None = None, cut: bool = False) -> bytes:
    """A JPEG whose EXIF holds the orientation alone, as a tag of this type; or says that there are more tags."""
    entry = struct.pack("<HHII", 274, kind, 1, _SIDEWAYS)
    block = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 9 if cut else 1) + entry
    return jpeg_with(jpeg_segment(0xE1, block), encode(stored or _lying(), "JPEG", quality=95))


_OTHERS = [Image.new("RGB", (96, 64), colour) for colour in ("black", "white")]
_FULL = (1344, 896)


def _jpeg_cases() -> list[tuple[str, Outcome, Callable[[], bytes]]]:
    xmp = b"http://ns.adobe.com/xap/1.0/\0" + xmp_orientation(_SIDEWAYS)
    return [
        ("baseline", READ, _jpeg),
        ("progressive", READ, lambda: encode(card(), "JPEG", quality=95, progressive=True)),
        ("colours that are RGB as they are (Adobe)", READ, lambda: encode(card(), "JPEG", quality=95, keep_rgb=True)),
        ("CMYK, inverted as Adobe writes it", READ, lambda: encode(card().convert("CMYK"), "JPEG", quality=95)),
        ("turned by EXIF", READ, lambda: _with_exif("JPEG", quality=95)),
        ("turned by XMP alone: as stored", READ, lambda: jpeg_with(jpeg_segment(0xE1, xmp), _jpeg())),
        ("damaged EXIF", READ, lambda: encode(card(), "JPEG", quality=95, exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff")),
        ("a colour profile that is none", READ, lambda: encode(card(), "JPEG", quality=95, icc_profile=b"none")),
        ("turned by EXIF whose directory is cut behind that tag", READ, lambda: _turned_by(cut=True)),
        ("turned by an EXIF tag that is no SHORT: as stored", READ, lambda: _turned_by(kind=LONG, stored=card())),
        ("segments of programs that are too short for what they are", READ, _short_segments),
        ("motion photo: a video behind the picture, with what looks like scans", READ, lambda: _jpeg() + _video()),
        (
            "several pictures in one file (MPO, gain maps): the first",
            READ,
            lambda: encode(card(), "MPO", quality=95, save_all=True, append_images=_OTHERS),
        ),
        ("anything behind the end", READ, lambda: _jpeg() + bytes(range(256)) * 40),
        ("cut in the middle", _cut(), lambda: _jpeg()[: len(_jpeg()) // 2]),
        ("without its end marker", _cut(), lambda: _jpeg()[:-2]),
        ("cut in the middle, an end marker behind it", _damaged(), lambda: _cut_with_end(0.5)),
        ("cut near its end, an end marker behind it", _damaged(), lambda: _cut_with_end(0.9)),
        ("grey, cut near its end, an end marker behind it", _damaged(), lambda: _cut_with_end(0.9, "L")),
        ("bytes missing in the middle", _damaged(), _without_its_middle),
        ("cut in the middle, a video behind it", _damaged(), lambda: _jpeg()[:-200] + b"\xff\x05" + _video()),
        ("more than 100 scans", _damaged("more than 100 scans"), lambda: _many_scans((96, 64), 120)),
        ("many scans of many pixels", _damaged("takes too long"), lambda: _many_scans((6000, 6000), 70)),
        ("more than 8 bits a colour", _unread("12 bits a colour"), _twelve_bits),
        ("its height told behind the pixels (DNL)", _unread("how high the picture is"), _height_behind),
    ]


def _png_cases() -> list[tuple[str, Outcome, Callable[[], bytes]]]:
    text = b"Raw profile type xmp\0\0" + zlib.compress(b"x" * 2_000_000)
    history = b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b"<x>" + b"y" * 2_000_000)
    xmp = b"XML:com.adobe.xmp\0\0\0\0\0" + xmp_orientation(_SIDEWAYS)
    return [
        ("8 bits, colours", READ, _png),
        ("16 bits, colours", READ, _sixteen_bits),
        ("palette", READ, lambda: encode(card().quantize(8), "PNG")),
        ("turned by EXIF before the pixels", READ, lambda: _with_exif("PNG")),
        (
            "turned by EXIF behind the pixels",
            READ,
            lambda: encode(_lying(), "PNG")[:-12] + png_chunk(b"eXIf", exif(_SIDEWAYS)[6:]) + _png()[-12:],
        ),
        (
            "turned by EXIF, beside more than 1 MB of text",
            READ,
            lambda: _png_with(b"zTXt", text, _with_exif("PNG")),
        ),
        (
            "turned by the first of two EXIF",
            READ,
            lambda: _png_with(b"eXIf", exif(3)[6:], _with_exif("PNG"), last=True),
        ),
        ("turned by XMP alone: as stored", READ, lambda: _png_with(b"iTXt", xmp)),
        ("more than 1 MB of compressed text", READ, lambda: _png_with(b"zTXt", text)),
        ("more than 1 MB of compressed XMP", READ, lambda: _png_with(b"iTXt", history)),
        ("more than 1 MB of colour profile that is none", READ, lambda: _iccp(bytes(2_000_000))),
        ("damaged EXIF", READ, lambda: _png_with(b"eXIf", b"\xff" * 30)),
        ("transparency that is cut", READ, lambda: _png_with(b"tRNS", b"\0")),
        (
            "a comment with a wrong checksum",
            READ,
            lambda: _png_with(b"tEXt", b"Comment\0hello").replace(b"hello", b"jello"),
        ),
        ("a wrong checksum of the end", READ, lambda: _flipped(_png(), len(_png()) - 1)),
        ("without an end", READ, lambda: _png()[:-12]),
        ("cut in a text behind the pixels", READ, lambda: _png()[:-12] + png_chunk(b"tEXt", b"Comment\0hello")[:-8]),
        ("animated: the still picture", READ, _apng),
        ("animated, the still picture not among its frames: the still picture", READ, _apng_with_another_still),
        ("animated, its frames damaged: the still picture", READ, _broken_apng),
        ("a wrong Adler-32 of all pixels", READ, lambda: _png_of(_flipped(_zlib_stream(), -1))),
        ("the same, in many chunks", READ, lambda: _png_of(_flipped(_zlib_stream(), -1), chunk=50)),
        ("the same, turned by EXIF", READ, _turned_with_wrong_adler),
        ("a wrong checksum of a chunk of pixels", READ, lambda: _flipped(_png(), len(_png()) - 13)),
        ("wrong pixels, so that both checksums are wrong", _damaged(), lambda: _flipped(_png(), len(_png()) - 17)),
        ("pixels that end early", _cut(), lambda: _png_of(zlib.compress(zlib.decompress(_zlib_stream())[:-600]))),
        (
            "pixels that end early, and a wrong Adler-32",
            _damaged(),
            lambda: _png_of(_flipped(zlib.compress(zlib.decompress(_zlib_stream())[:-600]), -1)),
        ),
        ("pixels whose compressed data is damaged", _damaged(), lambda: _png_of(_damaged_stream())),
        ("wrong checksum of the header", _damaged(), lambda: _flipped(_png(), 32)),
        ("cut in the pixels", _cut(), lambda: _png()[: len(_png()) - 60]),
    ]


def _webp_cases() -> list[tuple[str, Outcome, Callable[[], bytes]]]:
    long = exif(1) + bytes(400)
    return [
        ("lossy", READ, _webp),
        ("lossless", READ, lambda: encode(card(), "WEBP", lossless=True)),
        ("animated: the first frame", READ, lambda: _webp(save_all=True, append_images=_OTHERS)),
        ("turned by EXIF", READ, lambda: _with_exif("WEBP", quality=95)),
        ("turned by XMP alone: as stored", READ, lambda: _webp(xmp=xmp_orientation(_SIDEWAYS))),
        ("damaged EXIF", READ, lambda: _webp(exif=b"Exif\0\0" + b"\xff" * 30)),
        ("cut in the EXIF behind the pixels", READ, lambda: _webp(exif=long)[:-200]),
        ("cut in the pixels", _cut(), lambda: _webp()[:-100]),
    ]


def _iso_cases(name: str) -> list[tuple[str, Outcome, Callable[[], bytes]]]:
    def made(**options: object) -> bytes:
        return encode(card(), name, quality=95, **options)

    return [
        ("8 bits", READ, made),
        ("turned by its own property (`irot`, `imir`)", READ, lambda: _with_exif(name, quality=95)),
        # The encoders would make their own property of it.
        (
            "turned by XMP alone: as stored",
            READ,
            lambda: made(xmp=xmp_orientation(1)).replace(b'tion="1"', b'tion="6"'),
        ),
        ("damaged EXIF", READ, lambda: _with_damaged_exif(made(exif=_exif_with_software()))),
        ("a motion photo's video behind it", READ, lambda: made() + box(b"mpvd", _video())),
        ("several pictures: the main one", READ, lambda: made(save_all=True, append_images=_OTHERS)),
        (
            "its first brand that of a camera or a program: by its compatible brands",
            READ,
            lambda: _with_major_brand(made(), b"XYZ1"),
        ),
        ("cut in the pixels", _cut(), lambda: made()[:-100]),
    ]


def _tiff_cases() -> list[tuple[str, Outcome, Callable[[], bytes]]]:
    thumbnail = page_of(card(24, 16), reduced=True)
    unmarked = page_of(card(24, 16))
    black = page_of(Image.new("RGB", (96, 64)))
    return [
        ("uncompressed", READ, lambda: encode(card(), "TIFF")),
        *(
            (f"compressed ({name})", READ, lambda name=name: encode(card(), "TIFF", compression=name))
            for name in ("tiff_lzw", "tiff_deflate", "jpeg")
        ),
        ("BigTIFF", READ, lambda: encode(card(), "TIFF", big_tiff=True)),
        ("CMYK", READ, lambda: encode(card().convert("CMYK"), "TIFF")),
        ("12 bits of 16, grey", READ, lambda: _deep(12)),
        ("several pages of one size: the first", READ, lambda: tiff_file([page_of(card()), black])),
        ("a thumbnail as its first page: the largest full page", READ, lambda: tiff_file([thumbnail, page_of(card())])),
        ("the same, not marked as a thumbnail", READ, lambda: tiff_file([unmarked, page_of(card())])),
        (
            "the full page below the thumbnail (SubIFD)",
            READ,
            lambda: tiff_file([page_of(card(24, 16), reduced=True, below=[page_of(card())])]),
        ),
        (
            "reduced pages that are larger than the full one: the full one",
            READ,
            lambda: tiff_file([page_of(Image.new("RGB", (192, 128)), reduced=True), page_of(card())]),
        ),
        ("turned by its tag 274", READ, lambda: tiff_file([page_of(_lying(), t274=(SHORT, [_SIDEWAYS]))])),
        (
            "turned by XMP alone: as stored",
            READ,
            lambda: tiff_file([page_of(card(), t700=(1, xmp_orientation(_SIDEWAYS)))]),
        ),
        ("EXIF that points nowhere", READ, lambda: tiff_file([page_of(card(), t34665=(LONG, [0xFFFFFF]))])),
        ("a colour profile that is none", READ, lambda: tiff_file([page_of(card(), t34675=(7, b"none" * 40))])),
        ("damaged tags of programs", READ, lambda: tiff_file([page_of(card(), t700=(99, b"abcdefgh"))])),
        ("floating-point colours", _unread("floating-point colours"), _float_colours),
        (
            "signed numbers of 8 bits",
            _unread("signed numbers"),
            lambda: tiff_file([page_of(card(), t339=(SHORT, [2, 2, 2]))]),
        ),
        (
            "16 bits, colours in separate planes, uncompressed",
            _unread("in separate planes"),
            lambda: _deep_planes(compressed=False),
        ),
        ("the same, compressed", READ, lambda: _deep_planes(compressed=True)),
        (
            "BigTIFF with big-endian numbers",
            _unread("big-endian"),
            lambda: _big_endian(encode(card(), "TIFF", big_tiff=True)),
        ),
        ("without its directory", _cut(), lambda: encode(card(), "TIFF")[:-400][:200]),
    ]


def _raw_cases() -> list[tuple[str, Outcome, Callable[[], bytes]]]:
    def jpeg(image: Image.Image, **options: object) -> bytes:
        return encode(image, "JPEG", quality=95, **options)

    def strip(make: bytes) -> bytes:
        return tiff_file([Page({**sensor_page(card()).tags, 271: (2, make)}, strip=bytes(96 * 64 * 2))])

    full = card(192, 128)
    large = card(*_FULL)
    return [
        ("DNG with a JPEG in full size", READ, lambda: raw_file("Apple", preview=full, dng=True)),
        (
            "the same, turned by the raw's tag 274",
            READ,
            lambda: raw_file("Apple", preview=_lying(192, 128), orientation=_SIDEWAYS, dng=True),
        ),
        ("DNG without", _unread("a DNG raw without a preview"), lambda: raw_file("Apple", preview=None, dng=True)),
        (
            "DNG with a JPEG of half the side",
            _unread("a DNG raw without a preview"),
            lambda: raw_file("Apple", preview=card(), dng=True),
        ),
        ("Nikon (NEF) with a JPEG in full size", READ, lambda: raw_file("NIKON CORPORATION", preview=full)),
        ("Nikon (NEF) without", _unread("a Nikon raw without"), lambda: raw_file("NIKON CORPORATION", preview=None)),
        ("Sony (ARW) without", _unread("a Sony raw without"), lambda: raw_file("SONY", preview=None)),
        ("Pentax (PEF) without", _unread("a Pentax raw without"), lambda: strip(b"PENTAX\0")),
        (
            "a raw whose preview in full size is an uncompressed page",
            READ,
            lambda: tiff_file([page_of(card(24, 16), reduced=True, below=[page_of(full), sensor_page(full)])]),
        ),
        (
            "Canon (CR2) with a JPEG in full size",
            READ,
            lambda: _cr2(tiff_file([Page({271: (2, b"Canon\0")}, jpeg=jpeg(large))])),
        ),
        ("Canon (CR3) with a JPEG in full size", READ, lambda: canon_raw(jpeg(large))),
        ("the same, turned by its EXIF", READ, lambda: canon_raw(jpeg(_lying(*_FULL)), _SIDEWAYS)),
        ("Canon (CR3) without", _unread("a Canon raw without"), lambda: canon_raw(b"sensor")),
        (
            "Fujifilm (RAF) with a JPEG in full size, turned by that JPEG's EXIF",
            READ,
            lambda: fujifilm_raw(jpeg(_lying(*_FULL), exif=exif(_SIDEWAYS))),
        ),
        ("Fujifilm (RAF) without", _unread("a Fujifilm raw without"), lambda: fujifilm_raw(jpeg(card()))),
        (
            "Panasonic (RW2) with a JPEG in full size",
            READ,
            lambda: tiff_file([Page({2: (SHORT, [128]), 3: (SHORT, [192]), 46: (7, jpeg(full))})], start=b"IIU\0"),
        ),
        (
            "Olympus (ORF) without",
            _unread("an Olympus raw without"),
            lambda: tiff_file([Page({}, jpeg=b"none")], start=b"IIRO"),
        ),
        (
            "Canon (CRW), Minolta (MRW), Sigma (X3F)",
            _unread("are not read"),
            lambda: b"II\x1a\0\0\0HEAPCCDR" + bytes(99),
        ),
    ]


def _cr2(tiff: bytes) -> bytes:
    return tiff[:8] + b"CR\2\0" + tiff[12:]


def _other_cases() -> list[tuple[str, Outcome, Callable[[], bytes]]]:
    mov = box(b"ftyp", b"qt  \0\0\2\0qt  ")
    return [
        (
            "GIF, animated: the first frame",
            READ,
            lambda: encode(card().quantize(8), "GIF", save_all=True, append_images=_OTHERS),
        ),
        ("BMP", READ, lambda: encode(card(), "BMP")),
        ("JPEG XL", _unread("JPEG XL pictures are not read"), lambda: b"\xff\x0a" + bytes(50)),
        ("JPEG 2000", _unread("JPEG 2000 pictures are not read"), lambda: encode(card(), "JPEG2000")),
        ("Photoshop (PSD)", _unread("Photoshop pictures are not read"), lambda: b"8BPS\0\1" + bytes(99)),
        ("a Live Photo's video (MOV, MP4)", Skipped("a video"), lambda: mov),
        (
            "a video whose first brand is that of a camera",
            Skipped("a video"),
            lambda: box(b"ftyp", b"XAVC\0\0\0\0XAVCisommp42iso6hvc1hevc"),
        ),
        ("XMP beside a photo", Skipped("a web page or an XML document"), lambda: xmp_orientation(1)),
        (
            "Apple's edits beside a photo (AAE)",
            Skipped("a web page or an XML"),
            lambda: b'<?xml version="1.0"?><plist/>',
        ),
        ("JSON beside a photo (Google Takeout)", Skipped("a JSON document"), lambda: b'{"title": "photo.jpg"}'),
        ("SVG", Skipped("an SVG drawing"), lambda: b'<svg xmlns="http://www.w3.org/2000/svg"/>'),
        ("PDF", Skipped("a PDF document"), lambda: b"%PDF-1.7\n" + bytes(50)),
        ("an empty file", Refused(BadImageCode.EMPTY, "0 bytes"), bytes),
        ("a photo whose name says another format", READ, _png),
        ("line breaks before the picture, as broken websites send it", Skipped("of no kind"), lambda: b"\n" + _jpeg()),
    ]


def _grouped() -> list[Case]:
    heic: list[tuple[str, Outcome, Callable[[], bytes]]] = [
        *_iso_cases("HEIF"),
        ("10 bits", READ, _ten_bits),
        ("turned by EXIF alone: as stored", READ, _heic_with_exif_alone),
        (
            "cut in the EXIF behind the pixels",
            READ,
            lambda: _exif_item_beyond_the_end(encode(card(), "HEIF", quality=95, exif=exif(1) + bytes(60))),
        ),
    ]
    groups = {
        "JPEG": _jpeg_cases(),
        "PNG": _png_cases(),
        "WebP": _webp_cases(),
        "HEIC": heic,
        "AVIF": _iso_cases("AVIF"),
        "TIFF": _tiff_cases(),
        "Raw": _raw_cases(),
        "Others": _other_cases(),
    }
    return [Case(group, what, outcome, make) for group, cases in groups.items() for what, outcome, make in cases]


CASES = _grouped()
