"""Makes picture files in memory: a card with four coloured corners, in any format, and files that are broken."""

import io
import struct
import zlib

import numpy as np
import numpy.typing as npt
import pillow_heif
from PIL import Image

pillow_heif.register_heif_opener()

WIDTH, HEIGHT = 96, 64

# Top left, top right, bottom left, bottom right. All corners differ in brightness too, for grey formats.
CORNERS = ((220, 40, 40), (40, 200, 60), (40, 60, 220), (250, 240, 90))


def card(width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    """Draw the card: RGB, each quarter in one colour."""
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    top, left = height // 2, width // 2
    pixels[:top, :left], pixels[:top, left:] = CORNERS[0], CORNERS[1]
    pixels[top:, :left], pixels[top:, left:] = CORNERS[2], CORNERS[3]
    return Image.fromarray(pixels)


def corner_colours(rgb: npt.NDArray[np.uint8]) -> list[list[int]]:
    """Return the colour in the middle of each quarter."""
    height, width = rgb.shape[:2]
    rows, columns = (height // 4, height * 3 // 4), (width // 4, width * 3 // 4)
    return [rgb[row, column].astype(int).tolist() for row in rows for column in columns]


def encode(image: Image.Image, file_format: str, **options: object) -> bytes:
    """Save an image to bytes."""
    stream = io.BytesIO()
    image.save(stream, format=file_format, **options)
    return stream.getvalue()


def every_format() -> dict[str, bytes]:
    """Return the card in every format that is read, lossy ones at a quality that keeps the colours."""
    picture = card()
    return {
        "jpeg": encode(picture, "JPEG", quality=95),
        "png": encode(picture, "PNG"),
        "webp": encode(picture, "WEBP", quality=95),
        "heif": encode(picture, "HEIF", quality=95),
        "avif": encode(picture, "AVIF", quality=95),
        "tiff": encode(picture, "TIFF"),
        "gif": encode(picture.quantize(16), "GIF"),
        "bmp": encode(picture, "BMP"),
    }


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """Make one PNG chunk with its length and checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_with_chunk(kind: bytes, content: bytes) -> bytes:
    """Return the card as PNG with one more chunk right after its header."""
    plain = encode(card(), "PNG")
    end_of_header = 8 + 25
    return plain[:end_of_header] + png_chunk(kind, content) + plain[end_of_header:]


def png_bomb(side: int) -> bytes:
    """Return a real black-and-white PNG of side x side pixels: a few kilobytes that want `side`² pixels."""
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    row = b"\0" + bytes((side + 7) // 8)
    packer = zlib.compressobj(9)
    body = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    signature = b"\x89PNG\r\n\x1a\n"
    return signature + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", body) + png_chunk(b"IEND", b"")


def tall_jpeg(width: int, height: int) -> bytes:
    """Return a baseline JPEG of any height at the cost of 128 rows: its rows begin anew, so they can be repeated."""
    band = encode(card(width, 128), "JPEG", quality=60, restart_marker_rows=1)
    frame, scan = band.index(b"\xff\xc0"), band.index(b"\xff\xda")
    pixels = scan + 2 + int.from_bytes(band[scan + 2 : scan + 4], "big")
    rows = band[pixels:-2]  # eight rows of blocks with RST0 to RST6 between them
    head = band[: frame + 5] + height.to_bytes(2, "big") + band[frame + 7 : pixels]
    every = (rows + b"\xff\xd7") * -(-height // 128)
    # As many rows of 16 as the height says, and nothing behind the last.
    last = [place for place in range(len(every) - 1) if every[place] == 0xFF and 0xD0 <= every[place + 1] <= 0xD7]
    return head + every[: last[-(-height // 16) - 1]] + b"\xff\xd9"
