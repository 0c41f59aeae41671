"""``python -m benchmarks.hard_photos``: crowds of small faces and turned photos, as docs/detection.md has them.

Crowds are group photos side by side, reduced until their median face is so wide, in 4,096 x 3,072 pixels; a far group
is one of them on an enlarged landscape. Turned photos are the labelled ones, which lose their EXIF orientation.
Milliseconds are processor time of one thread.
"""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime
from PIL import Image

from functions.detect import packs
from functions.detect.detections import Detections, overlaps, turned_back
from functions.detect.engine import ENOUGH_TO_DETECT, Engine
from functions.detect.finding import DETECTION_SIZES, find
from functions.detect.looking import look
from functions.detect.pyramid import Pyramid
from shared.decode import DecodedPhoto, decode
from tests.pictures import face_free_pictures, group_photo, labelled_photos

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

_WIDTH, _HEIGHT = 4096, 3072
_WIDTHS = (86, 69, 58, 43, 35, 32, 29)
_TURNS = {
    "90 clockwise": cv2.ROTATE_90_CLOCKWISE,
    "90 counter-clockwise": cv2.ROTATE_90_COUNTERCLOCKWISE,
    "180": cv2.ROTATE_180,
}
_THRESHOLD = 0.5
_SAME_BOX = 0.35


def _read(path: Path) -> Pixels:
    return np.asarray(Image.open(path).convert("RGB"))


def _plain(pixels: Pixels) -> DecodedPhoto:
    pixels = np.ascontiguousarray(pixels)
    return DecodedPhoto(pixels, "png", pixels.shape[1], pixels.shape[0])


def _as_jpeg(pixels: Pixels) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=92)
    return stream.getvalue()


def _groups(engine: Engine) -> list[tuple[Pixels, Floats]]:
    labelled = labelled_photos()
    pictures = [_read(path) for path in (*(labelled.groups if labelled else ()), group_photo().path)]
    return [(picture, find(engine._detector, Pyramid(_plain(picture)), _THRESHOLD).boxes) for picture in pictures]  # noqa: SLF001


def _reduced(group: tuple[Pixels, Floats], face: float) -> tuple[Pixels, Floats]:
    picture, boxes = group
    factor = float(face / np.median((boxes[:, 2:] - boxes[:, :2]).min(axis=1)))
    smaller = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return np.asarray(smaller, dtype=np.uint8), np.asarray(boxes * factor)


def _crowd(groups: Sequence[tuple[Pixels, Floats]], face: float) -> tuple[Pixels, Floats]:
    photo = np.full((_HEIGHT, _WIDTH, 3), 60, np.uint8)
    places, number, y = [], 0, 0
    while y < _HEIGHT:
        x, row = 0, 0
        while x < _WIDTH:
            picture, boxes = _reduced(groups[number % len(groups)], face)
            number += 1
            height, width = picture.shape[:2]
            if x + width <= _WIDTH and y + height <= _HEIGHT:
                photo[y : y + height, x : x + width] = picture
                places.append(boxes + np.array([x, y, x, y], np.float32))
            x, row = x + width, max(row, height)
        y += row
    return photo, np.concatenate(places)


def _far(groups: Sequence[tuple[Pixels, Floats]], face: float) -> list[tuple[Pixels, Floats]]:
    random = np.random.default_rng(7)
    photos = []
    for path in [picture.path for picture in face_free_pictures()[:7:2]]:
        landscape = _read(path)
        factor = max(_WIDTH / landscape.shape[1], _HEIGHT / landscape.shape[0])
        large = cv2.resize(landscape, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)[:_HEIGHT, :_WIDTH]
        for group in groups:
            photo = np.array(large, dtype=np.uint8)
            picture, boxes = _reduced(group, face)
            height, width = picture.shape[:2]
            x, y = int(random.integers(0, _WIDTH - width)), int(random.integers(0, _HEIGHT - height))
            photo[y : y + height, x : x + width] = picture
            photos.append((photo, np.asarray(boxes + np.array([x, y, x, y], np.float32))))
    return photos


def _found(boxes: Floats, found: Detections) -> int:
    return int((overlaps(boxes, found.boxes).max(axis=1, initial=0.0) > _SAME_BOX).sum())


def _row(engine: Engine, photos: Sequence[tuple[Pixels, Floats]]) -> str:
    """Faces, found by the first look alone, found by all, and the milliseconds of both."""
    faces = first = everything = 0
    milliseconds = [0.0, 0.0]
    for pixels, boxes in photos:
        data = _as_jpeg(pixels)
        faces += len(boxes)
        decoded = decode(data, enough=ENOUGH_TO_DETECT)
        started = time.process_time()
        seen = look(engine._detector, Pyramid(decoded), DETECTION_SIZES, least=_THRESHOLD)  # noqa: SLF001
        milliseconds[0] += (time.process_time() - started) * 1000
        first += _found(boxes, seen)
        pyramid = Pyramid(decoded)
        started = time.process_time()
        finer = decode(data)
        decoding = time.process_time() - started
        refined: list[float] = []

        def refine(pyramid: Pyramid = pyramid, finer: DecodedPhoto = finer, refined: list[float] = refined) -> None:
            pyramid.add_finer(finer)
            refined.append(1)

        started = time.process_time()
        seen = find(engine._detector, pyramid, _THRESHOLD, refine=refine)  # noqa: SLF001
        milliseconds[1] += (time.process_time() - started + decoding * bool(refined)) * 1000
        everything += _found(boxes, seen)
    each = [round(taken / len(photos)) for taken in milliseconds]
    return f"{faces:6d} faces: first look {first:5d} in {each[0]:4d} ms, all looks {everything:5d} in {each[1]:5d} ms"


def _turned(engine: Engine) -> None:
    labelled = labelled_photos()
    if labelled is None:
        print("turned photos   no labelled photos on this machine")
        return
    photos = [_read(path) for path in (*labelled.singles, *labelled.groups)]
    upright = [engine.detect(_plain(pixels)) for pixels in photos]
    persons = list(labelled.singles.values())
    gallery = np.stack([result.faces[0].embedding for result in upright[: len(persons)]])
    for name, turn in _TURNS.items():
        cosines, all_faces, more, others = [], 0, 0, 0
        for pixels, reference in zip(photos, upright, strict=True):
            height, width = pixels.shape[:2]
            lying = np.asarray(cv2.rotate(pixels, turn), dtype=np.uint8)
            faces = engine.detect(_plain(lying)).faces
            all_faces += len(reference.faces)
            more += max(0, len(faces) - len(reference.faces))
            size = np.tile(np.array(lying.shape[1::-1], np.float32), 2)
            boxes = np.array([[f.box.x, f.box.y, f.box.x + f.box.w, f.box.y + f.box.h] for f in faces], np.float32)
            places = Detections(
                boxes.reshape(-1, 4) * size, np.ones(len(faces), np.float32), np.zeros((len(faces), 5, 2), np.float32)
            )
            back = turned_back(places, turn, width, height)
            for face in reference.faces:
                box = face.box
                own = np.array([[box.x, box.y, box.x + box.w, box.y + box.h]], np.float32) * np.tile([width, height], 2)
                shared = overlaps(own.astype(np.float32), back.boxes)[0]
                if shared.max(initial=0.0) > _SAME_BOX:
                    embedding = faces[int(shared.argmax())].embedding
                    cosines.append(float(embedding @ face.embedding))
                    nearest = [persons[int((gallery @ vector).argmax())] for vector in (embedding, face.embedding)]
                    others += nearest[0] != nearest[1]
        print(
            f"turned by {name:<22} found {len(cosines)} of {all_faces}, {more} more; mean cosine "
            f"{np.mean(cosines):.3f}, least {min(cosines):.2f}; nearest person another: {others}"
        )


def main() -> None:
    """Measure and print."""
    onnxruntime.set_default_logger_severity(3)
    cv2.setNumThreads(1)
    engine = Engine(packs.fetch("mini"), threads=1)
    groups = _groups(engine)
    for width in _WIDTHS:
        print(f"crowd, {width:3d} px   {_row(engine, [_crowd(groups, width)])}")
    for width in _WIDTHS[2:]:
        print(f"far, {width:3d} px     {_row(engine, _far(groups, width))}")
    _turned(engine)


if __name__ == "__main__":
    main()
