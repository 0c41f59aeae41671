"""Every bad input has a name and a reason that says what to do, and costs next to nothing."""

import contextlib
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from shared.decode import BadImage, BadImageCode, DecodeLimits, NotAnImage, decode, memory_needed
from shared.decode.jpeg_file import count_scans, read_header
from tests.unit.shared.photo_files import (
    card,
    encode,
    every_format,
    png_bomb,
    png_chunk,
    png_with_chunk,
)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

FILES = every_format()


def refusal(data: bytes, limits: DecodeLimits | None = None) -> BadImage:
    with pytest.raises(BadImage) as caught:
        decode(data, limits)
    assert caught.value.reason == str(caught.value)
    assert caught.value.reason.endswith(".")
    assert "Traceback" not in caught.value.reason
    assert "0x" not in caught.value.reason
    return caught.value


def test_an_empty_file() -> None:
    error = refusal(b"")
    assert error.code is BadImageCode.EMPTY
    assert "0 bytes" in error.reason


@pytest.mark.parametrize("name", sorted(FILES))
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_file_without_its_end_is_truncated(name: str, share: float) -> None:
    # Noise, so that the pixels fill the file and the cut goes through them.
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (128, 128, 3), dtype=np.uint8))
    data = encode(noise, name) if name != "gif" else encode(noise.quantize(), name)
    decode(data)
    error = refusal(data[: int(len(data) * share)])
    assert error.code is BadImageCode.TRUNCATED
    assert "its end is missing" in error.reason


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_header_alone_is_a_bad_image_and_not_another_kind_of_file(name: str) -> None:
    assert refusal(FILES[name][:20]).code in {BadImageCode.TRUNCATED, BadImageCode.CORRUPT}


@pytest.mark.parametrize("name", sorted(set(FILES) - {"bmp", "tiff", "gif"}))
def test_a_file_with_rubbish_inside_is_corrupt(name: str) -> None:
    data = FILES[name]
    # The structure stays whole: the compressed pixels are overwritten, or the Huffman tables they need (JPEG).
    before = {"jpeg": b"\xff\xc4", "png": b"IDAT", "webp": b"VP8 ", "heif": b"mdat", "avif": b"mdat"}[name]
    start = data.index(before) + len(before) + 4
    length = min(60, len(data) - start - 16)
    damaged = data[:start] + bytes([0x5A]) * length + data[start + length :]
    assert refusal(damaged).code is BadImageCode.CORRUPT


@pytest.mark.parametrize(
    "signature",
    [b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"II*\0", b"MM\0*", b"RIFF\xff\0\0\0WEBPVP8 "],
)
def test_a_signature_followed_by_rubbish_is_a_bad_image(signature: bytes) -> None:
    refusal(signature + b"\x5a" * 200)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41" + b"\0" * 50, "video"),
        (b"\0\0\0\x14ftypqt  \0\0\x02\0qt  " + b"\0" * 50, "video"),
        (b"\0\0\0\x08wide\0\0\x10\0mdat" + b"\0" * 50, "video"),
        (b"\x1aE\xdf\xa3" + b"\0" * 50, "video"),
        (b"RIFF\0\0\0\0AVI LIST", "video"),
        (b"RIFF\0\0\0\0WAVEfmt ", "sound"),
        (b"%PDF-1.7\n%\xe2\xe3", "PDF"),
        (b"PK\x03\x04" + b"\0" * 50, "zip"),
        (b"Hello, I am a text.\n", "text"),
        ("Grüße, auch ein Text\n".encode(), "text"),
        (b'{"a": 1}', "JSON"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"<!doctype html><html>", "web page"),
        (b"BM stands for Bowls Magazine, a text", "text"),
        (b"\x01\x02\x03\x04\x05", "no kind that is known"),
        (b"\0", "no kind that is known"),
    ],
)
def test_other_files_are_not_images_and_the_reason_says_what_they_are(data: bytes, said: str) -> None:
    with pytest.raises(NotAnImage) as caught:
        decode(data)
    assert said in caught.value.reason


@pytest.mark.parametrize(
    "data", [b"\xff\x0a\x00\x10", b"\0\0\0\x0cJXL \r\n\x87\n", b"\0\0\0\x0cjP  \r\n\x87\n", b"8BPS\0\1"]
)
def test_a_picture_in_a_format_that_is_not_read_fails_and_says_which_are(data: bytes) -> None:
    error = refusal(data + b"\0" * 50)
    assert error.code is BadImageCode.UNSUPPORTED_FORMAT
    assert "JPEG" in error.reason
    assert "HEIC" in error.reason


def test_what_a_file_is_does_not_depend_on_where_it_says_it_comes_from() -> None:
    # There is no name or content type to believe: a PNG uploaded as photo.jpg reaches decode as these bytes.
    assert decode(FILES["png"]).format == "png"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("png", lambda: png_bomb(20_000)),
        ("jpeg", FILES["jpeg"]),
        ("gif", FILES["gif"]),
        ("bmp", FILES["bmp"]),
        ("webp", b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff\x3f\0" * 2 + b"\0" * 8),
        ("webp lossless", b"RIFF\x1e\0\0\0WEBPVP8L\x0a\0\0\0\x2f\xff\xff\xff\x0f" + b"\0" * 8),
        ("heif", FILES["heif"]),
        ("avif", FILES["avif"]),
        ("tiff", lambda: encode(Image.new("1", (20_000, 20_000)), "TIFF", compression="group4")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bomb_is_refused_by_its_header(name: str, data: bytes | Callable[[], bytes]) -> None:
    bomb = _with_huge_header(name, data if isinstance(data, bytes) else data())
    tracemalloc.start()
    started = time.perf_counter()
    error = refusal(bomb)
    took = time.perf_counter() - started
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert error.code is BadImageCode.TOO_MANY_PIXELS
    assert "the limit is 250" in error.reason
    assert took < 0.5
    assert peak < 20e6


@pytest.mark.parametrize("first", [b"VP4X", b"junk"])
def test_a_webp_whose_size_is_not_in_its_first_chunk_is_not_even_opened(first: bytes) -> None:
    # libwebp would make two canvases of 256 megapixels, whatever the header in front says.
    lossless = b"VP8L\x0a\0\0\0\x2f\xff\xff\xff\x0f" + b"\0" * 5
    body = b"WEBP" + first + b"\x0a\0\0\0" + bytes(10) + lossless
    data = b"RIFF" + struct.pack("<I", len(body)) + body
    assert refusal(data).code is BadImageCode.CORRUPT
    assert memory_needed(data) == 0


@pytest.mark.parametrize(
    ("kind", "before"), [(b"zTXt", b"Comment\0\0"), (b"iTXt", b"Comment\0\1\0\0\0"), (b"iCCP", b"profile\0\0")]
)
def test_a_zip_bomb_in_a_png_chunk_is_not_unpacked(kind: bytes, before: bytes) -> None:
    data = png_with_chunk(kind, before + zlib.compress(bytes(80_000_000), 9))
    tracemalloc.start()
    with contextlib.suppress(BadImage):
        decode(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20e6


def test_a_bomb_of_many_small_texts_is_not_unpacked() -> None:
    chunk = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(1_000_000), 9))
    plain = FILES["png"]
    tracemalloc.start()
    assert decode(plain[:33] + chunk * 80 + plain[33:]).rgb.shape == (64, 96, 3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20e6


def test_a_jpeg_with_thousands_of_scans_is_refused_quickly() -> None:
    data = encode(card(), "JPEG", progressive=True)
    start = data.rindex(b"\xff\xda")
    scan = data[start:-2]
    started = time.perf_counter()
    error = refusal(data[:start] + scan * 5000 + b"\xff\xd9")
    assert "scans" in error.reason
    assert time.perf_counter() - started < 0.5


def test_following_the_markers_of_a_12_megapixel_photo_costs_no_time() -> None:
    # Processor time, the least of some: the scans of a progressive photo; of a baseline one only the header is read.
    noise = np.random.default_rng(1).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise).resize((4000, 3000)), "JPEG", quality=80, progressive=True)
    times = []
    for _ in range(9):
        started = time.thread_time()
        header = read_header(data)
        assert header is not None
        assert (header.width, header.keeps_coefficients, 5 < count_scans(data) < 15) == (4000, True, True)
        times.append(time.thread_time() - started)
    assert min(times) < 0.002


@pytest.mark.parametrize("size", [(20, 500), (500, 20), (16, 4000)])
def test_an_absurd_aspect_ratio_is_refused(size: tuple[int, int]) -> None:
    error = refusal(encode(Image.new("RGB", size), "PNG"))
    assert error.code is BadImageCode.ABSURD_ASPECT_RATIO
    assert f"{size[0]} x {size[1]}" in error.reason


@pytest.mark.parametrize("size", [(1, 1), (5, 900), (900, 5), (15, 15)])
def test_a_picture_too_small_for_a_face_is_refused(size: tuple[int, int]) -> None:
    assert refusal(encode(Image.new("RGB", size), "PNG")).code is BadImageCode.TOO_SMALL


def test_a_panorama_is_not_absurd() -> None:
    assert decode(encode(Image.new("RGB", (2000, 100)), "PNG")).rgb.shape == (100, 2000, 3)


def test_limits_are_the_callers() -> None:
    limits = DecodeLimits(max_pixels=96 * 64 - 1)
    assert refusal(FILES["png"], limits).code is BadImageCode.TOO_MANY_PIXELS
    assert decode(FILES["png"], DecodeLimits(max_pixels=96 * 64)).rgb.shape == (64, 96, 3)


# Small, so that a mutated header cannot ask for much and the examples run fast.
FUZZ_LIMITS = DecodeLimits(max_pixels=1_000_000)


@pytest.mark.parametrize("name", sorted(FILES))
@settings(max_examples=150, deadline=3000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=8), st.integers(0, 8)), min_size=1, max_size=6))
@example(edits=[(0.0, b"", 8)])
@example(edits=[(1.0, b"\xff" * 8, 8)])
def test_any_mutation_of_a_picture_is_decoded_or_named(name: str, edits: list[tuple[float, bytes, int]]) -> None:
    data = FILES[name]
    for where, inserted, removed in edits:
        position = int(where * len(data))
        data = data[:position] + inserted + data[position + removed :]
    _decode_or_name(data)


@pytest.mark.parametrize("name", sorted(FILES))
@settings(max_examples=50, deadline=3000)
@given(share=st.floats(0, 1))
def test_any_beginning_of_a_picture_is_decoded_or_named(name: str, share: float) -> None:
    _decode_or_name(FILES[name][: int(share * len(FILES[name]))])


@settings(max_examples=300, deadline=3000)
@given(st.binary(max_size=200))
def test_any_bytes_are_named(data: bytes) -> None:
    _decode_or_name(data)


def _decode_or_name(data: bytes) -> None:
    try:
        shape = decode(data, FUZZ_LIMITS).rgb.shape
    except (BadImage, NotAnImage) as error:
        shape = (0, 0, 3 if error.reason else 0)
    assert shape[2] == 3, "a picture in colours, or a reason"


def _with_huge_header(name: str, data: bytes) -> bytes:
    """Write a size of hundreds of megapixels into a file's header."""
    content = bytearray(data)
    match name:
        case "gif":
            content[6:10] = struct.pack("<HH", 60_000, 60_000)
        case "bmp":
            content[18:26] = struct.pack("<ii", 60_000, 60_000)
        case "jpeg":
            frame = data.index(b"\xff\xc0")
            content[frame + 5 : frame + 9] = struct.pack(">HH", 60_000, 60_000)
        case "heif" | "avif":
            box = data.index(b"ispe")
            content[box + 8 : box + 16] = struct.pack(">II", 16_000, 16_000)
    return bytes(content)
