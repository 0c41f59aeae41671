"""Photos that say who is in them, and an engine that reads it: a fault run is about messages, not about faces.

The file is an uncompressed TIFF, so that a flipped byte is a different picture and not an error: a wrong read that
nobody notices shows in every box of the photo.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from functions.detect.boxes import Box
from functions.detect.engine import EMBEDDING_SIZE, DetectedFace, DetectionResult
from shared.decode import DecodedPhoto

_WIDTH, _HEIGHT = 64, 48
_MOST_FACES = 4
_NOISE = 0.01
Pixels = NDArray[np.uint8]


def coded_photo(name: str, persons: Sequence[int]) -> bytes:
    """A photo (TIFF) of these persons, from left to right; photos of different names differ everywhere."""
    seed = int.from_bytes(sha256(name.encode()).digest()[:8], "big")
    pixels = np.random.default_rng(seed).integers(0, 256, (_HEIGHT, _WIDTH, 3), dtype=np.uint8)
    pixels[0, 0] = len(persons)
    for place, person in enumerate(persons):
        pixels[0, 1 + place] = person
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "TIFF")
    return file.getvalue()


def boxes_of(photo: bytes) -> list[tuple[int, Box]]:
    """The persons of a coded photo, and the box that the engine finds each in."""
    with Image.open(io.BytesIO(photo)) as picture:
        return _read(np.asarray(picture, dtype=np.uint8))


def _read(pixels: Pixels) -> list[tuple[int, Box]]:
    digest = sha256(pixels.tobytes()).digest()
    count = min(int(pixels[0, 0, 0]), _MOST_FACES)
    return [
        (
            int(pixels[0, 1 + place, 0]),
            Box(0.02 + 0.24 * place, 0.1 + digest[2 * place] / 1000, 0.2, 0.3 + digest[2 * place + 1] / 1000),
        )
        for place in range(count)
    ]


@cache
def _thumbnail() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (160, 160), (90, 120, 150)).save(file, "JPEG")
    return file.getvalue()


def _embedding(person: int, noise: np.random.Generator) -> NDArray[np.float32]:
    vector = np.random.default_rng(1000 + person).standard_normal(EMBEDDING_SIZE)
    vector = vector / np.linalg.norm(vector) + _NOISE * noise.standard_normal(EMBEDDING_SIZE)
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


class CodedEngine:
    """In the place of `functions.detect.engine.Engine`."""

    def __init__(self, *_: Any, **__: Any) -> None:
        """Loads nothing."""

    def detect(self, photo: DecodedPhoto) -> DetectionResult:
        """The faces that the photo says it shows."""
        noise = np.random.default_rng(int.from_bytes(sha256(photo.rgb.tobytes()).digest()[:8], "big"))
        faces = tuple(
            DetectedFace(
                box=box,
                landmarks=tuple((box.x + 0.02 * step, box.y + 0.05) for step in range(5)),
                quality_score=0.9,
                sharpness=300.0,
                yaw=0.0,
                pitch=0.0,
                roll=0.0,
                size_px=120,
                embedding=_embedding(person, noise),
                thumbnail=_thumbnail(),
            )
            for person, box in _read(photo.rgb)
        )
        return DetectionResult(faces, {"detect_ms": 0.1}, 0)

    def embed_at(self, photo: DecodedPhoto, landmarks: Sequence[Sequence[float]]) -> NDArray[np.float32] | None:
        """The embedding of the face that has its landmarks there, if there is one."""
        near = (face for face in self.detect(photo).faces if np.allclose(face.landmarks, landmarks, atol=0.01))
        return next((face.embedding for face in near), None)

    def embed_thumbnail(self, thumbnail: bytes) -> NDArray[np.float32]:
        """Nobody is seen in these thumbnails, which are all the same."""
        return np.zeros((0, 512), dtype=np.float32)


def no_verification(*_: Any) -> Path:
    """In the place of `functions.detect.packs.verify`: there is no pack."""
    return Path()
