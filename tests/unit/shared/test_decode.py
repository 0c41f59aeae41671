"""Every format, every orientation and every kind of pixel comes out as an upright RGB picture."""

import io
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms

from shared.decode import DecodeLimits, decode, decode_again, memory_needed
from tests.unit.shared.photo_files import (
    CORNERS,
    HEIGHT,
    WIDTH,
    card,
    corner_colours,
    encode,
    every_format,
    png_with_chunk,
)

# Pillow warns about damaged EXIF, decode.py silences that for the process, pytest undoes it for its tests.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

FORMATS = sorted(every_format())
LOSSY_TOLERANCE = 24

# What was done to the upright picture so that the tag's instruction brings it back.
STORED_AS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def assert_is_the_card(data: bytes, tolerance: int = LOSSY_TOLERANCE) -> None:
    photo = decode(data)
    assert photo.rgb.shape == (HEIGHT, WIDTH, 3)
    assert photo.rgb.dtype == np.uint8
    assert photo.rgb.flags["C_CONTIGUOUS"]
    assert (photo.original_width, photo.original_height) == (WIDTH, HEIGHT)
    np.testing.assert_allclose(corner_colours(photo.rgb), CORNERS, atol=tolerance)


def grey_levels(data: bytes) -> list[int]:
    colours = corner_colours(decode(data).rgb)
    assert all(len(set(colour)) == 1 for colour in colours), "grey is grey in all three channels"
    return [colour[0] for colour in colours]


CARD_IN_GREY = [int(value) for value in np.asarray(card().convert("L"))[[16, 16, 48, 48], [24, 72, 24, 72]]]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_read_and_named(name: str) -> None:
    data = every_format()[name]
    assert_is_the_card(data)
    assert decode(data).format == name


@pytest.mark.parametrize("orientation", sorted(STORED_AS))
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF", "HEIF", "AVIF"])
def test_every_orientation_comes_out_upright(name: str, orientation: int) -> None:
    stored = card()
    transposition = STORED_AS[orientation]
    if transposition is not None:
        stored = stored.transpose(transposition)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {} if name in {"PNG", "TIFF"} else {"quality": 95}
    assert_is_the_card(encode(stored, name, exif=exif.tobytes(), **options))


def test_a_heic_that_libheif_has_turned_is_not_turned_again_by_its_exif() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(card().transpose(Image.Transpose.ROTATE_90), "HEIF", exif=exif.tobytes(), quality=95)
    assert b"irot" in data, "the file carries its own rotation"
    assert_is_the_card(_with_exif_orientation(data, 6))


def test_a_heic_without_its_own_rotation_is_left_as_it_is() -> None:
    # ISO/IEC 23008-12: readers of HEIF go by the file's transformations and ignore EXIF's orientation.
    exif = Image.Exif()
    exif[0x0112] = 1
    data = encode(card(), "HEIF", exif=exif.tobytes(), quality=95)
    assert b"irot" not in data
    assert_is_the_card(_with_exif_orientation(data, 3))


@pytest.mark.parametrize("orientation", [0, 9, 4711])
def test_an_orientation_that_does_not_exist_is_ignored(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert_is_the_card(encode(card(), "JPEG", exif=exif, quality=95))


def test_damaged_exif_does_not_cost_the_photo() -> None:
    exif = b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\xee" * 40
    assert_is_the_card(encode(card(), "JPEG", exif=exif, quality=95))


@pytest.mark.parametrize("name", ["JPEG", "PNG", "TIFF"])
def test_grey_pictures(name: str) -> None:
    np.testing.assert_allclose(grey_levels(encode(card().convert("L"), name)), CARD_IN_GREY, atol=3)


def test_black_and_white_pictures() -> None:
    assert grey_levels(encode(card().convert("L").point(lambda v: 255 * (v > 120)).convert("1"), "PNG")) == [
        255 if level > 120 else 0 for level in CARD_IN_GREY
    ]


@pytest.mark.parametrize("name", ["PNG", "TIFF"])
def test_sixteen_bit_grey_keeps_its_brightness(name: str) -> None:
    deep = np.asarray(card().convert("L")).astype(np.uint16) * 257
    np.testing.assert_allclose(grey_levels(encode(Image.fromarray(deep), name)), CARD_IN_GREY, atol=1)


def test_sixteen_bit_big_endian_grey_tiff() -> None:
    deep = np.asarray(card().convert("L")).astype(np.uint16) * 257
    data = encode(Image.frombytes("I;16B", (WIDTH, HEIGHT), deep.astype(">u2").tobytes()), "TIFF")
    np.testing.assert_allclose(grey_levels(data), CARD_IN_GREY, atol=1)


def test_sixteen_bit_colour_png() -> None:
    deep = np.asarray(card()).astype(np.uint16)[..., ::-1] * 257
    encoded, data = cv2.imencode(".png", deep)
    assert encoded
    assert data[24] == 16, "the header's bit depth"
    assert_is_the_card(data.tobytes(), tolerance=1)


def test_ten_bit_heic() -> None:
    deep = np.asarray(card()).astype(np.uint16) * 257
    heif = pillow_heif.from_bytes(mode="RGB;16", size=(WIDTH, HEIGHT), data=deep.tobytes())
    stream = io.BytesIO()
    heif.save(stream, quality=95)
    assert_is_the_card(stream.getvalue())


@pytest.mark.parametrize("highest", [1.0, 255.0])
def test_floating_point_tiff(highest: float) -> None:
    values = np.asarray(card().convert("L")).astype(np.float32) / 255 * highest
    np.testing.assert_allclose(grey_levels(encode(Image.fromarray(values), "TIFF")), CARD_IN_GREY, atol=2)


@pytest.mark.parametrize("name", ["JPEG", "TIFF"])
def test_cmyk_without_a_profile(name: str) -> None:
    assert_is_the_card(encode(card().convert("CMYK"), name))


def test_cmyk_jpeg_written_inverted_as_adobe_does() -> None:
    data = encode(card().convert("CMYK"), "JPEG", quality=95)
    assert b"Adobe" in data, "the marker that says the inks are inverted"
    assert_is_the_card(data)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparent_parts_become_white(mode: str) -> None:
    picture = card().convert("RGBA")
    picture.paste((0, 0, 0, 0), (0, 0, WIDTH // 2, HEIGHT // 2))
    data = encode(picture.convert(mode) if mode != "PA" else picture.quantize(16), "PNG")
    assert corner_colours(decode(data).rgb)[0] == [255, 255, 255]


def test_half_transparent_parts_are_mixed_with_white() -> None:
    picture = Image.new("RGBA", (WIDTH, HEIGHT), (0, 0, 0, 128))
    np.testing.assert_allclose(corner_colours(decode(encode(picture, "WEBP", lossless=True)).rgb), 127, atol=2)


def test_a_transparent_colour_of_an_opaque_mode_becomes_white() -> None:
    data = encode(card(), "PNG", transparency=CORNERS[1])
    assert corner_colours(decode(data).rgb)[1] == [255, 255, 255]


def test_palette_pictures() -> None:
    assert_is_the_card(encode(card().quantize(8), "PNG"))


def test_an_embedded_profile_is_converted_to_srgb() -> None:
    # With a linear profile a stored 55 is a light that sRGB writes as 128.
    linear = _profile_with_gamma(1.0)
    picture = Image.new("RGB", (WIDTH, HEIGHT), (55, 55, 55))
    for name in ("JPEG", "PNG", "TIFF", "WEBP"):
        options = {"lossless": True} if name == "WEBP" else {}
        data = encode(picture, name, icc_profile=linear, **options)
        np.testing.assert_allclose(corner_colours(decode(data).rgb), 128, atol=6)


def test_transparency_survives_an_embedded_profile() -> None:
    picture = Image.new("RGBA", (WIDTH, HEIGHT), (55, 55, 55, 255))
    picture.paste((55, 55, 55, 0), (0, 0, WIDTH // 2, HEIGHT // 2))
    colours = corner_colours(decode(encode(picture, "PNG", icc_profile=_profile_with_gamma(1.0))).rgb)
    assert colours[0] == [255, 255, 255]
    np.testing.assert_allclose(colours[3], 128, atol=6)


@pytest.mark.parametrize("profile", [b"not a profile", b"\0" * 200])
def test_a_broken_profile_is_ignored(profile: bytes) -> None:
    assert_is_the_card(encode(card(), "JPEG", icc_profile=profile, quality=95))


def test_a_profile_that_is_cut_or_for_other_colours_is_ignored() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert_is_the_card(encode(card(), "JPEG", icc_profile=profile[:200], quality=95))
    grey = encode(card().convert("L"), "PNG", icc_profile=profile)
    np.testing.assert_allclose(grey_levels(grey), CARD_IN_GREY, atol=1)


@pytest.mark.parametrize("name", ["GIF", "PNG", "WEBP", "AVIF", "HEIF", "TIFF"])
def test_of_several_frames_the_first_is_taken(name: str) -> None:
    other = [Image.new("RGB", (WIDTH, HEIGHT), colour) for colour in ("black", "white")]
    data = encode(card(), name, save_all=True, append_images=other)
    assert_is_the_card(data, tolerance=40)


def test_a_jpeg_with_a_second_picture_behind_it_is_a_jpeg() -> None:
    data = encode(card(), "MPO", save_all=True, append_images=[Image.new("RGB", (WIDTH, HEIGHT))], quality=95)
    assert_is_the_card(data)
    assert decode(data).format == "jpeg"


def test_a_progressive_jpeg() -> None:
    assert_is_the_card(encode(card(), "JPEG", progressive=True, quality=95))


@pytest.mark.parametrize("name", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_large_photo_is_reduced_and_keeps_its_original_size(name: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = card(1000, 600).transpose(Image.Transpose.ROTATE_90)
    photo = decode(encode(stored, name, exif=exif), DecodeLimits(max_side=300))
    height, width = photo.rgb.shape[:2]
    assert 150 <= width <= 300
    assert width / height == pytest.approx(1000 / 600, rel=0.02)
    assert (photo.original_width, photo.original_height) == (1000, 600)
    np.testing.assert_allclose(corner_colours(photo.rgb), CORNERS, atol=LOSSY_TOLERANCE)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "I;16", "CMYK", "1"])
def test_every_kind_of_pixel_can_be_reduced(mode: str) -> None:
    picture = card(1000, 600)
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
    data = encode(picture.convert(mode), "TIFF" if mode == "CMYK" else "PNG")
    assert decode(data, DecodeLimits(max_side=300)).rgb.shape == (150, 250, 3)


def test_small_texts_in_a_png_are_no_reason_to_refuse_it() -> None:
    assert_is_the_card(png_with_chunk(b"tEXt", b"Comment\0a small text"))


def test_decoding_from_many_threads_gives_what_one_thread_gives() -> None:
    files = list(every_format().values()) * 4
    alone = [decode(data).rgb for data in files]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda data: decode(data).rgb, files))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("orientation", sorted(STORED_AS))
def test_who_can_start_with_less_gets_a_reduced_jpeg_and_the_rest_on_demand(orientation: int) -> None:
    stored = card(1000, 600)
    transposition = STORED_AS[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(stored.transpose(transposition) if transposition is not None else stored, "JPEG", exif=exif)
    photo = decode(data, enough=250)
    assert (photo.rgb.shape, photo.reduction) == ((150, 250, 3), 4)
    assert (photo.original_width, photo.original_height) == (1000, 600)
    np.testing.assert_allclose(corner_colours(photo.rgb), CORNERS, atol=LOSSY_TOLERANCE)
    again = decode_again(photo)
    assert (again.rgb.shape, again.reduction, again.source) == ((600, 1000, 3), 1, None)
    np.testing.assert_array_equal(again.rgb, decode(data).rgb)
    assert decode_again(again) is again


def test_what_is_shown_on_demand_keeps_within_the_limits() -> None:
    limits = DecodeLimits(max_side=600)
    photo = decode(encode(card(1000, 600), "JPEG"), limits, enough=200)
    assert photo.reduction == 4
    assert decode_again(photo).reduction == 2
    assert decode(encode(card(1000, 600), "JPEG"), limits, enough=500).source is None


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "jpeg"])
def test_only_a_jpeg_is_reduced_for_who_can_start_with_less(name: str) -> None:
    photo = decode(every_format()[name], enough=16)
    assert (photo.reduction, photo.source) == (1, None)


def test_turbojpeg_gives_pillows_pixels() -> None:
    noise = np.random.default_rng(3).integers(0, 255, (123, 187, 3), dtype=np.uint8)
    for subsampling in ("4:4:4", "4:2:2", "4:2:0"):
        data = encode(Image.fromarray(noise), "JPEG", quality=85, subsampling=subsampling)
        for scale in (1, 2, 4, 8):
            with Image.open(io.BytesIO(data)) as image:
                image.draft(None, (187 // scale, 123 // scale))
                expected = np.asarray(image)
            np.testing.assert_array_equal(decode(data, DecodeLimits(max_side=-(-187 // scale))).rgb, expected)


@pytest.mark.parametrize("name", FORMATS)
def test_the_memory_that_a_file_takes_is_known_from_its_header(name: str) -> None:
    assert WIDTH * HEIGHT <= memory_needed(every_format()[name]) <= 40 * WIDTH * HEIGHT


@pytest.mark.parametrize("data", [b"", b"no picture", b"\xff\xd8\xff\xe0 nor this"])
def test_what_is_no_picture_takes_no_memory(data: bytes) -> None:
    assert memory_needed(data) == 0


def _with_exif_orientation(data: bytes, orientation: int) -> bytes:
    """Overwrite the orientation in a file's big-endian EXIF block, and nothing else."""
    entry = b"\x01\x12\x00\x03\x00\x00\x00\x01\x00"
    position = data.index(entry) + len(entry)
    return data[:position] + bytes([orientation]) + data[position + 1 :]


def _profile_with_gamma(gamma: float) -> bytes:
    """Return sRGB's profile with its tone curves replaced by a power: a curve of one u8Fixed8 number."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = int.from_bytes(profile[128:132], "big")
    for index in range(tags):
        entry = 132 + 12 * index
        if bytes(profile[entry : entry + 4]) in {b"rTRC", b"gTRC", b"bTRC"}:
            offset = int.from_bytes(profile[entry + 4 : entry + 8], "big")
            curve = b"curv\0\0\0\0" + (1).to_bytes(4, "big") + round(gamma * 256).to_bytes(2, "big")
            profile[offset : offset + len(curve)] = curve
            profile[entry + 8 : entry + 12] = len(curve).to_bytes(4, "big")
    # The description would otherwise still say that this is sRGB.
    return bytes(profile).replace("sRGB".encode("utf-16-be"), "test".encode("utf-16-be"))
