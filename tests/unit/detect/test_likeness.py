"""Which old faces a new version of a photo still shows, by whatever is left of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import numpy as np
import pytest
from numpy.typing import NDArray

from functions.detect.boxes import Box
from functions.detect.engine import DetectedFace
from functions.detect.likeness import Likeness, StoredFace
from functions.detect.pack_list import PACKS, same_face_of
from functions.detect.redetection import KnownFace
from shared.decode import DecodedPhoto
from shared.errors import Retryable
from tests.arrange import one_hot
from tests.fakes import MemoryObjects

Floats = NDArray[np.float32]
HERE, THERE = Box(0.1, 0.1, 0.2, 0.2), Box(0.6, 0.6, 0.2, 0.2)
FACE = UUID(int=1)
PHOTO = DecodedPhoto(np.zeros((16, 16, 3), dtype=np.uint8), "jpeg", 16, 16)
AMY, SHELDON = one_hot(0), one_hot(1)
LANDMARKS = [[0.1, 0.1], [0.2, 0.1], [0.15, 0.15], [0.1, 0.2], [0.2, 0.2]]


@dataclass
class StubEngine:
    """Sees one face at any landmarks and another in any thumbnail."""

    at_landmarks: Floats | None = None
    in_thumbnail: Floats = field(default_factory=lambda: np.zeros((0, 512), dtype=np.float32))

    def embed_at(self, photo: DecodedPhoto, landmarks: Sequence[Sequence[float]]) -> Floats | None:
        return self.at_landmarks

    def embed_thumbnail(self, thumbnail: bytes) -> Floats:
        return self.in_thumbnail


def like(embedding: Floats, cosine: float) -> Floats:
    """A face whose embedding has that cosine."""
    return np.asarray(cosine * embedding + np.sqrt(1 - cosine**2) * one_hot(511), dtype=np.float32)


def detected(embedding: Floats, box: Box = HERE) -> DetectedFace:
    return DetectedFace(box, (), 0.9, 100.0, 0.0, 0.0, 0.0, 100, embedding, b"")


def found(
    embedding: Floats,
    stored: StoredFace | None,
    *,
    engine: StubEngine | None = None,
    thumbnail: str | None = None,
    objects: MemoryObjects | None = None,
    box: Box = HERE,
) -> bool:
    """Whether the face at HERE is still there, where now somebody with this embedding is."""
    known = KnownFace(FACE, HERE, 1, has_embedding=stored is not None, thumbnail=thumbnail)
    likeness = Likeness(engine or StubEngine(), objects or MemoryObjects(), "derived", 0.85)
    same = likeness.same_faces(PHOTO, [detected(embedding, box)], [known], {} if stored is None else {FACE: stored})
    assert same <= {(0, FACE)}
    return bool(same)


def test_the_same_face_in_the_same_place_is_known_and_another_is_not() -> None:
    assert found(like(AMY, 0.9), StoredFace(AMY, None))
    assert not found(like(AMY, 0.8), StoredFace(AMY, None))
    assert not found(SHELDON, StoredFace(AMY, LANDMARKS), engine=StubEngine(at_landmarks=SHELDON))


def test_the_same_face_elsewhere_is_not_known() -> None:
    assert not found(AMY, StoredFace(AMY, LANDMARKS), box=THERE, engine=StubEngine(at_landmarks=AMY))


def test_a_face_whose_landmarks_were_found_elsewhere_this_time_is_known_by_the_old_ones() -> None:
    assert found(like(AMY, 0.6), StoredFace(AMY, LANDMARKS), engine=StubEngine(at_landmarks=like(AMY, 0.95)))
    assert not found(like(AMY, 0.6), StoredFace(AMY, None), engine=StubEngine(at_landmarks=AMY))
    assert not found(like(AMY, 0.6), StoredFace(AMY, LANDMARKS), engine=StubEngine(at_landmarks=None))


def test_of_another_pack_the_thumbnail_is_compared() -> None:
    objects = MemoryObjects()
    objects.put("derived", "amy.jpg", b"a thumbnail")
    engine = StubEngine(in_thumbnail=np.stack([SHELDON, like(AMY, 0.95)]))
    erased = StoredFace(None, None)
    assert found(AMY, erased, engine=engine, thumbnail="amy.jpg", objects=objects)
    assert not found(one_hot(7), erased, engine=engine, thumbnail="amy.jpg", objects=objects)


def test_where_nothing_is_left_to_compare_it_is_another_face() -> None:
    assert not found(AMY, StoredFace(None, LANDMARKS), engine=StubEngine(at_landmarks=AMY))
    assert not found(AMY, None)
    assert not found(AMY, StoredFace(None, None), thumbnail="gone.jpg")


def test_a_bucket_that_is_away_is_tried_again_and_decides_nothing() -> None:
    objects = MemoryObjects()
    objects.away = True
    with pytest.raises(Retryable):
        found(AMY, StoredFace(None, None), thumbnail="amy.jpg", objects=objects)


def test_the_threshold_is_the_pack_s_and_the_strictest_for_a_pack_that_is_not_listed() -> None:
    for pack in PACKS.values():
        assert same_face_of(pack.model_id) == pack.same_face
        assert 0.5 < pack.same_face < 1
    assert same_face_of("somebody's own") == max(pack.same_face for pack in PACKS.values())
