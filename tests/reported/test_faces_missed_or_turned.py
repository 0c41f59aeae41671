"""Small faces are not missed for want of a larger one, and turned faces are not taken for upright ones."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from functions.detect.detections import Detections, overlaps
from functions.detect.engine import ENOUGH_TO_DETECT, DetectionResult, Engine
from functions.detect.finding import find
from functions.detect.pyramid import Pyramid
from shared.decode import DecodedPhoto, decode
from tests.pictures import face_free_pictures, group_photo, labelled_photos, portraits

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
TURNS = (cv2.ROTATE_90_CLOCKWISE, cv2.ROTATE_180, cv2.ROTATE_90_COUNTERCLOCKWISE)


@pytest.fixture(scope="module")
def engine(mini_pack: Path) -> Engine:
    return Engine(mini_pack, threads=2)


def found_in(engine: Engine, photo: Pixels) -> Detections:
    """Where the faces of a photo are, as detect sees it when it comes as a JPEG; without embeddings."""
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(photo, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 92])
    data = encoded.tobytes()
    pyramid = Pyramid(decode(data, enough=ENOUGH_TO_DETECT))
    return find(engine._detector, pyramid, 0.5, refine=lambda: pyramid.add_finer(decode(data)))


def looked_at(engine: Engine, photo: Pixels) -> DetectionResult:
    pixels = np.ascontiguousarray(photo)
    return engine.detect(DecodedPhoto(pixels, "png", pixels.shape[1], pixels.shape[0]))


@cache
def read(path: Path) -> Pixels:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def resized(picture: Pixels, factor: float) -> Pixels:
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, None, fx=factor, fy=factor, interpolation=way), dtype=np.uint8)


def turned(picture: Pixels, turn: int) -> Pixels:
    return np.asarray(cv2.rotate(picture, turn), dtype=np.uint8)


def landscape(width: int, height: int, number: int = 0) -> Pixels:
    """One of the packages' pictures without people, enlarged: lines and blossoms by default."""
    picture = read(face_free_pictures()[number].path)
    factor = max(width / picture.shape[1], height / picture.shape[0])
    return resized(picture, factor)[:height, :width].copy()


def of_face_width(engine: Engine, pixels: float) -> tuple[Pixels, Floats]:
    """The group photo, reduced until its median face has that width, and its boxes."""
    picture = read(group_photo().path)
    boxes = find(engine._detector, Pyramid(DecodedPhoto(picture, "png", 1280, 886)), 0.5).boxes
    factor = float(pixels / np.median(boxes[:, 2] - boxes[:, 0]))
    return resized(picture, factor), np.asarray(boxes * factor)


def portrait_pictures() -> Sequence[Pixels]:
    """Labelled portraits where they are, else faces cut out of what packages ship."""
    labelled = labelled_photos()
    if labelled is not None:
        return [read(path) for path in labelled.singles]
    return [read(portraits()[0].path)[:300, 60:360], read(portraits()[1].path)]


def sheet(columns: int, rows: int, width: int, height: int, share: float, grey: int) -> Pixels:
    page = np.full((height, width, 3), grey, np.uint8)
    pictures = portrait_pictures()
    step_x, step_y = width // columns, height // rows
    side = int(min(step_x, step_y) * share)
    for number in range(columns * rows):
        x, y = number % columns * step_x + step_x // 8, number // columns * step_y + step_y // 8
        page[y : y + side, x : x + side] = cv2.resize(pictures[number % len(pictures)], (side, side))
    return page


@pytest.mark.parametrize(("columns", "rows", "grey"), [(20, 10, 51), (16, 10, 255), (25, 15, 51), (30, 18, 255)])
def test_a_page_of_portraits_does_not_lose_half_of_them(engine: Engine, columns: int, rows: int, grey: int) -> None:
    found = found_in(engine, sheet(columns, rows, 4000, 2400, 0.75, grey))
    assert len(found) == columns * rows


@pytest.mark.parametrize("width", [33, 45, 60])
def test_a_crowd_in_which_every_face_is_small_is_not_empty(engine: Engine, width: float) -> None:
    group, boxes = of_face_width(engine, width)
    height, across = group.shape[:2]
    columns, rows = min(8, 4096 // across), min(5, 3072 // height)
    photo = np.full((3072, 4096, 3), 60, np.uint8)
    photo[: rows * height, : columns * across] = np.tile(group, (rows, columns, 1))
    found = found_in(engine, photo)
    assert len(boxes) * columns * rows * 0.95 <= len(found) <= len(boxes) * columns * rows * 1.02


@pytest.mark.parametrize("beside_a_portrait", [False, True])
@pytest.mark.parametrize(("width", "place"), [(40, (150, 2500)), (55, (3200, 1700))])
def test_a_few_far_faces_are_not_missed_alone_or_beside_a_large_one(
    engine: Engine, width: float, place: tuple[int, int], *, beside_a_portrait: bool
) -> None:
    photo = landscape(4096, 3072)
    if beside_a_portrait:
        portrait = resized(read(portraits()[0].path), 4.0)
        photo[100:2148, 900:2948] = portrait
    group, boxes = of_face_width(engine, width)
    (x, y), (high, wide) = place, group.shape[:2]
    photo[y : y + high, x : x + wide] = group
    found = found_in(engine, photo)
    seen = overlaps(boxes + np.array([x, y, x, y], np.float32), found.boxes) > 0.35
    assert seen.any(axis=1).all()
    assert len(found) == len(boxes) + beside_a_portrait


def test_large_pictures_without_a_face_show_none_from_any_side(engine: Engine) -> None:
    for picture in face_free_pictures()[:7]:
        pixels = read(picture.path)
        large = resized(pixels, 2400 / max(pixels.shape[:2]))
        assert not len(found_in(engine, large)), picture.path.name
        assert not len(found_in(engine, turned(large, cv2.ROTATE_180))), picture.path.name


def montage(pictures: Sequence[Pixels], turns: Sequence[int | None], side: int = 500) -> Pixels:
    """Pictures side by side on a meadow, each turned as it says."""
    photo = landscape(len(pictures) * (side + 60) + 60, side + 500)
    for number, (picture, turn) in enumerate(zip(pictures, turns, strict=True)):
        square = np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
        x = 60 + number * (side + 60)
        photo[250 : 250 + side, x : x + side] = square if turn is None else turned(square, turn)
    return photo


@pytest.mark.parametrize("turn", TURNS)
def test_two_people_who_lie_or_stand_on_their_heads_beside_others_are_not_one_person(engine: Engine, turn: int) -> None:
    pictures = [read(portraits()[0].path), read(portraits()[1].path), *people_of_the_group(engine)]
    upright = looked_at(engine, montage(pictures, [None] * 4)).faces
    mixed = looked_at(engine, montage(pictures, [None, turn, turn, None])).faces
    assert len(upright) == len(mixed) == 4
    likeness = np.stack([face.embedding for face in upright]) @ np.stack([face.embedding for face in mixed]).T
    assert np.diagonal(likeness).min() > 0.8, "each is as like as turning back makes them"
    assert likeness[~np.eye(4, dtype=bool)].max() < 0.4
    rolls = [abs(face.roll) for face in mixed]
    assert max(rolls[0], rolls[3]) < 30
    assert min(rolls[1:3]) > 60


def people_of_the_group(engine: Engine) -> list[Pixels]:
    """Two of the group photo's six people, cut out with what is around them."""
    photo = read(group_photo().path)
    height, width = photo.shape[:2]
    cuts = []
    for face in looked_at(engine, photo).faces[2:4]:
        x, y = (face.box.x + face.box.w / 2) * width, (face.box.y + face.box.h / 2) * height
        half = int(0.8 * max(face.box.w * width, face.box.h * height))
        cuts.append(photo[max(0, int(y) - half) : int(y) + half, max(0, int(x) - half) : int(x) + half])
    return cuts


@pytest.mark.parametrize("turn", TURNS)
def test_a_group_photo_that_is_turned_without_a_word_shows_the_same_people(engine: Engine, turn: int) -> None:
    photo = read(group_photo().path)
    upright, lying = looked_at(engine, photo).faces, looked_at(engine, turned(photo, turn)).faces
    assert len(upright) == len(lying) == 6
    likeness = np.stack([face.embedding for face in upright]) @ np.stack([face.embedding for face in lying]).T
    assert likeness.max(axis=1).min() > 0.95


LABELLED = labelled_photos()


@pytest.mark.parametrize("labelled", [LABELLED] if LABELLED else [], ids=["sitcom"] if LABELLED else [])
def test_a_labelled_photo_turned_upside_down_names_the_same_people(engine: Engine, labelled: object) -> None:
    assert LABELLED is not None
    assert labelled is LABELLED
    for path in [*list(LABELLED.groups), *list(LABELLED.singles)[::4]]:
        photo = read(path)
        upright, lying = looked_at(engine, photo).faces, looked_at(engine, turned(photo, cv2.ROTATE_180)).faces
        likeness = np.stack([face.embedding for face in upright]) @ np.stack([face.embedding for face in lying]).T
        assert likeness.max(axis=1).min() > 0.9, path.name
        assert len(upright) <= len(lying) <= len(upright) + 1, path.name


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("side", [300, 120])
def test_one_turned_portrait_among_upright_ones_is_not_missed(engine: Engine, turn: int, side: int) -> None:
    photo, pictures = np.full((3000, 4000, 3), (153, 153, 119), np.uint8), portrait_pictures()
    for number in range(6):
        portrait = np.asarray(cv2.resize(pictures[number * 5 % len(pictures)], (side, side)), dtype=np.uint8)
        x = 200 + 600 * number
        photo[1200 : 1200 + side, x : x + side] = turned(portrait, turn) if number == 3 else portrait
    assert len(found_in(engine, photo)) == 6


@pytest.mark.parametrize("side", [120, 300])
def test_portraits_in_a_row_as_long_as_a_panorama_are_not_lost(engine: Engine, side: int) -> None:
    assert len(found_in(engine, sheet(20, 1, 16000, 1000, side / 800, 51))) == 20


def test_a_page_of_600_portraits_does_not_lose_the_smallest(engine: Engine) -> None:
    found = found_in(engine, sheet(30, 20, 4096, 2720, 0.45, 221))
    assert 600 * 0.95 <= len(found) <= 600 * 1.01


@pytest.mark.parametrize(("picture", "side"), [(0, 140), (1, 90)])
def test_a_few_small_faces_in_a_corner_of_clutter_are_not_missed(engine: Engine, picture: int, side: int) -> None:
    photo, pictures = landscape(6000, 4000, picture), portrait_pictures()
    for number in range(8):
        x = 40 + (side + 20) * number
        photo[3800 - side : 3800, x : x + side] = cv2.resize(pictures[number * 4 % len(pictures)], (side, side))
    assert 7 <= len(found_in(engine, photo)) <= 8


def test_tissue_in_a_large_picture_is_no_face(engine: Engine) -> None:
    (tissue,) = [picture.path for picture in face_free_pictures() if picture.path.stem == "ihc"]
    large = resized(read(tissue), 4096 / 512)
    assert not len(found_in(engine, turned(large, cv2.ROTATE_90_CLOCKWISE)))
