"""Detect with a stub in place of the model: what a photo shows is written in it, so that the result is known.

The bus and the database are then what is measured.

A photo is a grey picture of 64 x 64 pixels whose 8 x 8 squares are the bits of two numbers: the event's and the
photo's. From these follow its faces. Everything but the engine is detect as it is deployed.
"""

from __future__ import annotations

import io
import random
from functools import cache

import flask
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from functions.detect import main as detect
from functions.detect.boxes import Box
from functions.detect.engine import EMBEDDING_SIZE, DetectedFace, DetectionResult
from shared.decode import DecodedPhoto

PERSONS = 20  # of each event
_SQUARES, _SIDE = 8, 8
_BITS = 24
_FACES = (0, 1, 2, 2, 2, 3, 4)  # two on average
_NOISE = 0.6  # the cosine of two faces of one person is .74


def picture(event: int, photo: int) -> bytes:
    """Encode these two numbers as a photo, a JPEG of one kilobyte."""
    bits = [number >> place & 1 for number in (event, photo) for place in range(_BITS)]
    squares = np.zeros(_SQUARES * _SQUARES, dtype=np.uint8)
    squares[: len(bits)] = np.array(bits, dtype=np.uint8) * 255
    pixels = np.kron(squares.reshape(_SQUARES, _SQUARES), np.ones((_SIDE, _SIDE), dtype=np.uint8))
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def numbers(rgb: NDArray[np.uint8]) -> tuple[int, int]:
    """Read the two numbers that a photo, uint8[64, 64, 3], holds."""
    grey = rgb[..., 0].reshape(_SQUARES, _SIDE, _SQUARES, _SIDE).mean(axis=(1, 3)).ravel()
    bits = (grey > 127).astype(int).tolist()  # noqa: PLR2004 - nearer to white than to black
    event = sum(bit << place for place, bit in enumerate(bits[:_BITS]))
    photo = sum(bit << place for place, bit in enumerate(bits[_BITS : 2 * _BITS]))
    return event, photo


def persons_of(event: int, photo: int) -> list[int]:
    """Who is in the photo: numbers below `PERSONS`, each once."""
    chance = random.Random(event << _BITS | photo)  # noqa: S311 - the same at every run
    return sorted(chance.sample(range(PERSONS), chance.choice(_FACES)))


def place_of(person: int) -> float:
    """Return the left edge of that person's box, which identifies the person in the database."""
    return round(0.01 + person * 0.02, 2)


@cache
def _identity(event: int, person: int) -> NDArray[np.float32]:
    return _unit(np.random.default_rng((event, person)).standard_normal(EMBEDDING_SIZE))


def _unit(vector: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


@cache
def _thumbnail() -> bytes:
    stream = io.BytesIO()
    Image.effect_noise((160, 160), 30).convert("RGB").save(stream, "JPEG", quality=88)
    return stream.getvalue()


def _face(event: int, photo: int, person: int) -> DetectedFace:
    noise = _unit(np.random.default_rng((event, photo, person)).standard_normal(EMBEDDING_SIZE))
    left = place_of(person)
    return DetectedFace(
        box=Box(left, 0.1, 0.015, 0.2),
        landmarks=((left, 0.15), (left + 0.01, 0.15), (left + 0.005, 0.2), (left, 0.25), (left + 0.01, 0.25)),
        quality_score=0.9,
        sharpness=300.0,
        yaw=0.0,
        pitch=0.0,
        roll=0.0,
        size_px=150,
        embedding=_unit(_identity(event, person) + _NOISE * noise),
        thumbnail=_thumbnail(),
    )


class StubEngine:
    """As `functions.detect.engine.Engine`, but it reads the faces off the photo."""

    def __init__(self, *_: object, **__: object) -> None:
        """Take what the engine takes."""

    def detect(self, photo: DecodedPhoto) -> DetectionResult:
        """Return the faces that are encoded in the photo."""
        event, number = numbers(photo.rgb)
        faces = tuple(_face(event, number, person) for person in persons_of(event, number))
        return DetectionResult(faces, {"detect_ms": 0.0, "embed_ms": 0.0, "thumbnail_ms": 0.0}, dropped=0)

    def embed_at(self, photo: DecodedPhoto, landmarks: object) -> None:
        """No photo is replaced here."""

    def embed_thumbnail(self, thumbnail: bytes) -> NDArray[np.float32]:
        """No pack changes here."""
        raise NotImplementedError


detect.Engine = StubEngine  # type: ignore[assignment,attr-defined]  # the only thing that is not as it is deployed


def main(request: flask.Request) -> flask.Response:
    """Handle a push as detect does, with the stub engine."""
    return detect.service().answer(request)
