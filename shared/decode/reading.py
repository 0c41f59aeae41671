"""From the bytes of a file to an upright RGB picture of bounded size; every bad input has a name.

What a file is, is decided by its bytes alone: names and content types may say anything. Formats are JPEG (with
MPO), PNG, WebP, HEIC/HEIF, AVIF, TIFF, GIF and BMP, and the previews of raw files; of files with several frames the
first, of TIFF the largest page. docs/formats.md lists what comes of each.

Two errors come out of here, and nothing else: `NotAnImage` for videos, documents and the like, `BadImage` for
pictures that cannot be read or should not be.
"""

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import pillow_heif
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from shared.decode import iso_media, png, raw, tiff, webp
from shared.decode.essence import Essence
from shared.decode.ifd import exif_orientation
from shared.decode.jpeg import decode_jpeg, memory_of_jpeg
from shared.decode.jpeg_file import is_cut_short, read_header
from shared.decode.outcome import BadImage, BadImageCode, DecodedPhoto, DecodeLimits, check_memory, check_size
from shared.decode.pixels import factor_for, in_colour, memory_of_result, upright
from shared.sniff import Format, UnsupportedPicture, looks_cut_short, raw_maker, sniff, webp_canvas

# Pillow's settings are global, so they are set once, here, and never changed by a call.
# The limit on pixels is ours: it is checked below from the header, per call and without a warning.
Image.MAX_IMAGE_PIXELS = None
# Pillow warns about untidy metadata (a cut EXIF block); such a photo is decoded all the same.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
# Depth maps, thumbnails and auxiliary pictures inside HEIC are not read. Two threads: one photo does not
# take a whole machine.
pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=2)

# The only readers that Pillow may use, by format. Importing them here registers them, so that no request pays
# for it and no two threads do it at once.
_READERS: Final = {
    Format.PNG: PngImagePlugin.PngImageFile.format,
    Format.WEBP: WebPImagePlugin.WebPImageFile.format,
    Format.HEIF: pillow_heif.HeifImageFile.format,
    Format.AVIF: AvifImagePlugin.AvifImageFile.format,
    Format.TIFF: TiffImagePlugin.TiffImageFile.format,
    Format.GIF: GifImagePlugin.GifImageFile.format,
    Format.BMP: BmpImagePlugin.BmpImageFile.format,
}
_RAW: Final = "raw"
_EXPORT: Final = "Export it as JPEG and upload that."


def decode(data: bytes, limits: DecodeLimits | None = None, *, enough: int | None = None) -> DecodedPhoto:
    """Decode the bytes of one file.

    A photo whose longer side exceeds `limits.max_side` is reduced by a whole factor, a JPEG by libjpeg while
    it decodes (1/2, 1/4, 1/8), which saves most of its time and memory. Boxes and landmarks are normalised, so
    that does not move them. It costs detail in small faces: of a face that is 12 pixels wide on the detector's
    640-pixel canvas, at least 38 pixels are left for the embedding when `max_side` is 4096 (the result is
    between half of it and all of it).

    `enough` is for who can start with less: a JPEG is then reduced further, as long as `enough` pixels are left
    along its longer side, and `decode_again` shows the rest.

    Photos are turned as browsers turn them: by EXIF's orientation, or HEIC's and AVIF's own, and never by XMP.

    Raises NotAnImage for a file that is not a picture, and BadImage for a picture that is empty, truncated,
    corrupt, too large, too small, absurdly long, or of a format that is not read. Safe to call from many threads.
    """
    limits = limits or DecodeLimits()
    if not data:
        raise BadImage(BadImageCode.EMPTY, "The file is empty (0 bytes). Upload it again.")
    try:
        kind = sniff(data)
    except UnsupportedPicture as error:
        raise BadImage(BadImageCode.UNSUPPORTED_FORMAT, str(error)) from error
    with _decoder_errors_named(kind, data):
        match kind:
            case Format.JPEG:
                return decode_jpeg(data, limits, enough)
            case Format.RAW:
                return _decode_raw(data, limits, enough)
            case Format.TIFF:
                return _decode_tiff(data, limits, enough)
            case _:
                return _decode_whole(kind, data, limits)


def decode_again(photo: DecodedPhoto) -> DecodedPhoto:
    """Return the photo with all the pixels that its limits allow; itself where it has them already."""
    return photo if photo.source is None else decode(*photo.source)


def memory_needed(data: bytes, limits: DecodeLimits | None = None) -> int:
    """Return how many bytes decoding a file takes, by its header; 0 for what `decode` will refuse."""
    limits = limits or DecodeLimits()
    try:
        kind = sniff(data)
        content = data
        if kind in {Format.TIFF, Format.RAW}:
            found = list(tiff.pages(data))
            name = raw_maker(data) or raw.kind_of_raw(data, found)
            preview = _preview(data, found, name) if name is not None else None
            page = preview.content if preview is not None else tiff.picture_of(found)
            if isinstance(page, tiff.Page):
                return _memory_of_page(data, page, limits)
            kind, content = Format.JPEG, page or b""
        if kind is Format.JPEG:
            header = read_header(content)
            return 0 if header is None else memory_of_jpeg(header, limits)
        size = _SIZES[kind](data) if kind in _SIZES else None
        if kind not in _SIZES:
            with _open(kind, iso_media.essence(data, kind) if kind in _ISO_MEDIA else data) as image:
                size = image.size
        return 0 if size is None else _memory(kind, data, size, limits)
    except Exception:  # noqa: BLE001 - whatever is wrong with the file, decode says it in plain words
        return 0


def _decode_whole(kind: Format, data: bytes, limits: DecodeLimits) -> DecodedPhoto:
    """Decode what Pillow reads at its full size and reduces afterwards."""
    if kind in _SIZES:
        size = _SIZES[kind](data)
        if size is None:
            message = "no header"
            raise SyntaxError(message)
        _check(kind, data, size, limits)
    try:
        return _decode_essence(kind, data, limits)
    except (OSError, SyntaxError):
        mended = png.mended(data) if kind is Format.PNG else None
        if mended is not None:
            # If it cannot be read even so, the first error says why.
            with contextlib.suppress(OSError, SyntaxError):
                return _decode_essence(kind, mended, limits)
        raise


def _decode_essence(kind: Format, data: bytes, limits: DecodeLimits) -> DecodedPhoto:
    essence = _ESSENCES.get(kind, Essence)(data)
    with _open(kind, essence.file) as image:
        _check(kind, data, image.size, limits)
        profile = image.info.get("icc_profile") if kind in _ISO_MEDIA else essence.profile
        # Pillow writes an AVIF's own orientation over that of its EXIF.
        own = image.info.get("exif", b"") if kind is Format.AVIF else b""
        orientation = exif_orientation(own.removeprefix(b"Exif\0\0")) if own else essence.orientation
        return _reduced(image, kind.value, limits, orientation, profile or b"")


def _decode_tiff(data: bytes, limits: DecodeLimits, enough: int | None) -> DecodedPhoto:
    found = list(tiff.pages(data))
    name = raw.kind_of_raw(data, found)
    if name is not None:
        return _decode_preview(_preview(data, found, name), name, data, limits, enough)
    page = tiff.picture_of(found)
    if page is None:
        message = "no page"
        raise SyntaxError(message)
    return _decode_page(page, Format.TIFF.value, data, limits, page.directory.orientation)


def _decode_raw(data: bytes, limits: DecodeLimits, enough: int | None) -> DecodedPhoto:
    name = raw_maker(data) or _RAW
    return _decode_preview(_preview(data, list(tiff.pages(data)), name), name, data, limits, enough)


def _preview(data: bytes, found: list[tiff.Page], name: str) -> raw.Preview | None:
    if name == "Fujifilm raw":
        return raw.preview_of_fujifilm(data)
    if name == "Canon raw" and data[4:8] == b"ftyp":
        return raw.preview_of_canon(data)
    return raw.preview_of_tiff(data, found)


def _decode_preview(
    preview: raw.Preview | None, name: str, data: bytes, limits: DecodeLimits, enough: int | None
) -> DecodedPhoto:
    if preview is None:
        article = "an" if name[0] in "AEIOU" else "a"
        reason = (
            f"The file is {article} {name} without a preview in full size, and raw pictures themselves are not read. "
        )
        raise BadImage(BadImageCode.UNSUPPORTED_FORMAT, reason + _EXPORT)
    if isinstance(preview.content, tiff.Page):
        return _decode_page(preview.content, _RAW, data, limits, preview.orientation or 1)
    return decode_jpeg(preview.content, limits, enough, name=_RAW, orientation=preview.orientation)


def _decode_page(page: tiff.Page, name: str, data: bytes, limits: DecodeLimits, orientation: int) -> DecodedPhoto:
    check_size(page.width, page.height, limits)
    check_memory("a TIFF", page.width, page.height, _memory_of_page(data, page, limits), limits)
    misread = tiff.why_misread(page)
    if misread is not None:
        raise _unread_colours(misread)
    essence = tiff.essence(data, page)
    try:
        image = _open(Format.TIFF, essence.file)
    except UnidentifiedImageError:
        unread = tiff.why_not_read(page)
        if unread is None:
            raise
        raise _unread_colours(unread) from None
    with image:
        check_size(*image.size, limits)
        return _reduced(image, name, limits, orientation, essence.profile)


def _unread_colours(what: str) -> BadImage:
    reason = f"The TIFF file holds {what}, which are not read. Export it as JPEG, or as TIFF with 8 bits a colour."
    return BadImage(BadImageCode.UNSUPPORTED_FORMAT, reason)


def _reduced(image: Image.Image, name: str, limits: DecodeLimits, orientation: int, profile: bytes) -> DecodedPhoto:
    image.load()
    # libheif knows the size for certain only now.
    width, height = image.size
    check_size(width, height, limits)
    factor = factor_for(width, height, limits.max_side)
    pixels = np.asarray(in_colour(image, factor, profile))
    return upright(pixels, orientation, name, (width, height), factor)


def _open(kind: Format, data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data), formats=[_READERS[kind]])


_ISO_MEDIA: Final = frozenset({Format.HEIF, Format.AVIF})
_ESSENCES: Final[dict[Format, Callable[[bytes], Essence]]] = {
    Format.PNG: png.essence,
    Format.WEBP: webp.essence,
    Format.HEIF: lambda data: Essence(iso_media.essence(data, Format.HEIF)),
    Format.AVIF: lambda data: Essence(iso_media.essence(data, Format.AVIF)),
}
# Headers that are read here: libwebp allocates two canvases as soon as a file is opened.
_SIZES: Final[dict[Format, Callable[[bytes], tuple[int, int] | None]]] = {
    Format.PNG: png.size,
    Format.WEBP: webp_canvas,
}
# What a pixel takes while it is decoded, measured with 48 megapixels: libheif's and libavif's planes, the picture made
# of them, and Pillow's; WebP's two canvases with alpha; a GIF's colours beside its numbers.
_BYTES_A_PIXEL: Final = {Format.WEBP: 16, Format.HEIF: 10, Format.AVIF: 12, Format.GIF: 10, Format.BMP: 8}
_BYTES_OF_PAGE: Final = 5


def _memory(kind: Format, data: bytes, size: tuple[int, int], limits: DecodeLimits) -> int:
    """Bytes: the decoder's pixels, the file's copy without metadata, and the result."""
    each = png.bytes_a_pixel(data) if kind is Format.PNG else _BYTES_A_PIXEL[kind]
    return size[0] * size[1] * each + len(data) + memory_of_result(*size, factor_for(*size, limits.max_side))


def _memory_of_page(data: bytes, page: tiff.Page, limits: DecodeLimits) -> int:
    """Bytes: Pillow's picture and a strip that may be all of it, the file's copy without metadata, and the result."""
    size = page.width, page.height
    each = page.sample_bytes + _BYTES_OF_PAGE
    return size[0] * size[1] * each + len(data) + memory_of_result(*size, factor_for(*size, limits.max_side))


def _check(kind: Format, data: bytes, size: tuple[int, int], limits: DecodeLimits) -> None:
    check_size(*size, limits)
    check_memory(kind.label, *size, _memory(kind, data, size, limits), limits)


@contextlib.contextmanager
def _decoder_errors_named(kind: Format, data: bytes) -> Iterator[None]:
    """Turn whatever a decoder raises on hostile bytes into BadImage."""
    try:
        yield
    except BadImage:
        raise
    # Decoders raise SyntaxError, struct.error, OverflowError, MemoryError and more on broken files, and none of
    # it says anything but "these bytes are no good": the same bytes will fail the same way for ever.
    except Exception as error:
        cut = is_cut_short(data) if kind is Format.JPEG else looks_cut_short(kind, data)
        if cut or "truncated" in str(error).lower():
            reason = f"The {kind.label} file is cut short: its end is missing. Upload it again."
            raise BadImage(BadImageCode.TRUNCATED, reason) from error
        reason = f"The {kind.label} file is damaged and cannot be decoded. Upload it again, or export it as JPEG."
        raise BadImage(BadImageCode.CORRUPT, reason) from error
