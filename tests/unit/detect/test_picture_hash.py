"""One picture, however it is written, has one hash; other pictures have others."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageOps

from functions.detect.engine import ENOUGH_TO_DETECT
from functions.detect.picture_hash import SAME_PICTURE_BITS, is_same_picture, picture_hash
from local.demo.sample_event import make_sample_event
from shared.decode import decode
from tests.pictures import LabelledPhotos, labelled_photos

LABELLED = labelled_photos()
of_labelled_photos = pytest.mark.parametrize(
    "labelled", [LABELLED] if LABELLED else [], ids=["sitcom"] if LABELLED else []
)


def written(picture: Image.Image, kind: str, **options: int) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def scaled(picture: Image.Image, by: float) -> Image.Image:
    return picture.resize((round(picture.width * by), round(picture.height * by)), Image.Resampling.LANCZOS)


def hash_of(data: bytes) -> bytes:
    return picture_hash(decode(data, enough=ENOUGH_TO_DETECT).rgb)


@pytest.fixture(scope="module")
def event(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Image.Image]:
    """Portraits of seven people in one framing, three shots each, groups and landscapes."""
    return {path.stem: Image.open(path).convert("RGB") for path in make_sample_event(tmp_path_factory.mktemp("sample"))}


@pytest.fixture(scope="module")
def originals(event: dict[str, Image.Image]) -> dict[str, bytes]:
    """The hashes of some of them."""
    return {name: hash_of(written(event[name], "PNG", compress_level=1)) for name in list(event)[::6]}


COPIES: dict[str, Callable[[Image.Image], bytes]] = {
    "JPEG 95": lambda picture: written(picture, "JPEG", quality=95),
    "JPEG 75": lambda picture: written(picture, "JPEG", quality=75),
    "JPEG 50": lambda picture: written(picture, "JPEG", quality=50),
    "PNG": lambda picture: written(picture, "PNG"),
    "WebP 80": lambda picture: written(picture, "WEBP", quality=80),
    "half the size": lambda picture: written(scaled(picture, 0.5), "JPEG", quality=85),
    "four times the size, reduced while it is read": lambda picture: written(scaled(picture, 4), "JPEG", quality=85),
}


@pytest.mark.parametrize("copy", COPIES)
def test_a_copy_is_the_same_picture(event: dict[str, Image.Image], originals: dict[str, bytes], copy: str) -> None:
    for name, original in originals.items():
        assert is_same_picture(original, hash_of(COPIES[copy](event[name]))), name


def test_portraits_of_different_people_in_one_framing_are_different_pictures(event: dict[str, Image.Image]) -> None:
    hashes = {name: picture_hash(np.asarray(picture)) for name, picture in event.items() if name.startswith("guest")}
    for one, its in hashes.items():
        for other, theirs in hashes.items():
            if one.split("-")[1] != other.split("-")[1]:
                assert distance(its, theirs) > 1.5 * SAME_PICTURE_BITS, (one, other)


def test_a_mirrored_picture_is_another(event: dict[str, Image.Image]) -> None:
    for name, picture in event.items():
        mirrored = picture_hash(np.asarray(ImageOps.mirror(picture)))
        assert distance(picture_hash(np.asarray(picture)), mirrored) > 1.5 * SAME_PICTURE_BITS, name


@of_labelled_photos
def test_tight_portraits_are_told_apart_and_their_copies_are_not(labelled: LabelledPhotos) -> None:
    photos = [*labelled.singles, *labelled.groups]
    pictures = [Image.open(path).convert("RGB") for path in photos]
    hashes = [picture_hash(np.asarray(picture)) for picture in pictures]
    for number, one in enumerate(hashes):
        nearest = min(distance(one, other) for place, other in enumerate(hashes) if place != number)
        assert nearest > 3 * SAME_PICTURE_BITS, photos[number].name
        worst = distance(one, hash_of(written(pictures[number], "JPEG", quality=50)))
        assert worst <= SAME_PICTURE_BITS / 2, photos[number].name


def distance(one: bytes, other: bytes) -> int:
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()
