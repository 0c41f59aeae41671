"""Tiny pictures of a chessboard on which guests stand, and an engine that sees them there.

A picture is 8 x 6 squares of 8 pixels: a backdrop of its own, and a coloured square where a guest stands. What is done
to it as to a photo (mirrored, cropped, compressed again) does to the squares what it would do to faces, so that the
engine needs no model and the test knows exactly who is where.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from functions.detect.boxes import Box
from functions.detect.engine import EMBEDDING_SIZE, DetectedFace, DetectionResult
from shared.decode import DecodedPhoto

COLUMNS, ROWS, _SIDE = 8, 6, 8
# The guest's number is in the blue of a square that no backdrop can have: bright red without any green.
_RED, _FIRST_BLUE, _BLUE_STEP = 250, 20, 40
_NOBODY = -1
_THUMBNAIL = b"a thumbnail of guest "
# Two embeddings of one guest are about .9 alike, those of two guests not at all.
_NOISE = 1 / 3
_USUAL_QUALITY, _POOR_QUALITY = 92, 70


@dataclass(frozen=True)
class Picture:
    """``guests``: who stands where, as (column, row, guest). Pictures of two backdrops are alike nowhere."""

    backdrop: int
    guests: tuple[tuple[int, int, int], ...]
    columns: int = COLUMNS
    is_mirrored: bool = False
    quality: int = _USUAL_QUALITY

    @classmethod
    def of(cls, backdrop: int, *guests: int) -> Picture:
        """The guests from left to right, none of them in the middle: mirrored, each stands elsewhere."""
        places = ((1, 2), (6, 2), (3, 4))
        return cls(backdrop, tuple((*places[number], guest) for number, guest in enumerate(guests)))

    def mirrored(self) -> Picture:
        """Left is right."""
        guests = tuple((self.columns - 1 - column, row, guest) for column, row, guest in self.guests)
        return replace(self, guests=guests, is_mirrored=not self.is_mirrored)

    def cropped(self) -> Picture:
        """Without its first column; a guest who stood there is gone. One of two columns stays as it is."""
        if self.columns == 2:
            return self
        guests = tuple((column - 1, row, guest) for column, row, guest in self.guests if column > 0)
        return replace(self, guests=guests, columns=self.columns - 1)

    def compressed_again(self) -> Picture:
        """Other bytes, and the same to the eye."""
        return replace(self, quality=_POOR_QUALITY if self.quality == _USUAL_QUALITY else _USUAL_QUALITY)

    def looks_like(self, other: Picture) -> bool:
        """Whether the two are one picture to the eye, however they are compressed."""
        return replace(self, quality=0) == replace(other, quality=0)

    def faces(self) -> list[tuple[int, Box]]:
        """Guest and box of every face."""
        return [(guest, _box(column, row, self.columns)) for column, row, guest in self.guests]

    def file(self) -> bytes:
        """The picture as JPEG."""
        return _jpeg(self)


def _box(column: int, row: int, columns: int) -> Box:
    return Box(column / columns, row / ROWS, 1 / columns, 1 / ROWS)


@lru_cache(maxsize=1000)
def _jpeg(picture: Picture) -> bytes:
    columns = np.random.default_rng(picture.backdrop).integers(0, 256, (ROWS, COLUMNS)).astype(np.uint8)
    columns = columns[:, ::-1] if picture.is_mirrored else columns
    squares = np.repeat(columns[:, COLUMNS - picture.columns :, None], 3, axis=2)
    for column, row, guest in picture.guests:
        squares[row, column] = (_RED, 0, _FIRST_BLUE + _BLUE_STEP * guest)
    file = io.BytesIO()
    pixels = squares.repeat(_SIDE, axis=0).repeat(_SIDE, axis=1)
    Image.fromarray(pixels).save(file, "JPEG", quality=picture.quality, subsampling=0)
    return file.getvalue()


class Engine:
    """In the place of `functions.detect.engine.Engine`."""

    def detect(self, photo: DecodedPhoto) -> DetectionResult:
        """The guests of the picture, from left to right."""
        seen = _seen(photo)
        rows, columns = seen.shape
        digest = sha256(photo.rgb.tobytes()).digest()
        faces = tuple(
            _face(int(seen[row, column]), column, row, columns, digest)
            for column in range(columns)
            for row in range(rows)
            if seen[row, column] != _NOBODY
        )
        return DetectionResult(faces, {"detect_ms": 0.1}, 0)

    def embed_at(self, photo: DecodedPhoto, landmarks: Sequence[Sequence[float]]) -> NDArray[np.float32] | None:
        """The guest who stands where these landmarks (fractions of the picture) are; None where nobody does."""
        seen = _seen(photo)
        x, y = np.clip(np.mean(landmarks, axis=0), 0, 0.999)
        guest = int(seen[int(y * seen.shape[0]), int(x * seen.shape[1])])
        return None if guest == _NOBODY else embedding(guest, b"here")

    def embed_thumbnail(self, thumbnail: bytes) -> NDArray[np.float32]:
        """The guest of a thumbnail that this engine made."""
        return embedding(int(thumbnail.removeprefix(_THUMBNAIL)), thumbnail)


def _seen(photo: DecodedPhoto) -> NDArray[np.int64]:
    """The guest on every square, int64[rows, columns]; -1 for nobody."""
    height, width = photo.rgb.shape[:2]
    squares = photo.rgb.reshape(height // _SIDE, _SIDE, width // _SIDE, _SIDE, 3).mean(axis=(1, 3))
    guests = np.rint((squares[..., 2] - _FIRST_BLUE) / _BLUE_STEP).astype(np.int64)
    return np.where((squares[..., 0] > _RED - 40) & (squares[..., 1] < 40), guests, _NOBODY)


def _face(guest: int, column: int, row: int, columns: int, picture: bytes) -> DetectedFace:
    box = _box(column, row, columns)
    return DetectedFace(
        box=box,
        landmarks=tuple((box.x + box.w * step / 6, box.y + box.h / 2) for step in range(1, 6)),
        quality_score=0.9,
        sharpness=300.0,
        yaw=0.0,
        pitch=0.0,
        roll=0.0,
        size_px=120,
        embedding=embedding(guest, picture + bytes((column, row))),
        thumbnail=_THUMBNAIL + str(guest).encode(),
    )


def embedding(guest: int, picture: bytes) -> NDArray[np.float32]:
    """The guest's embedding in a picture: float32[512] of length 1."""
    noise = _direction(int.from_bytes(sha256(picture).digest()[:8], "big"))
    return _unit(_direction(guest) + _NOISE * noise)


@lru_cache(maxsize=1000)
def _direction(seed: int) -> NDArray[np.float64]:
    vector = np.random.default_rng(seed).standard_normal(EMBEDDING_SIZE)
    return np.asarray(vector / np.linalg.norm(vector))


def _unit(vector: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)
