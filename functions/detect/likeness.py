"""Whether a photo's new version shows the faces of the old one where they were: what to compare, and comparing it.

An old face is known by its embedding, or, where that is erased or another pack's, by its thumbnail, which is embedded
anew. It is compared with the face that was detected in its place, and with what the new version shows at the old
landmarks: on a tight portrait a landmark may jump between two encodings of one picture, and the cosine with it (.99 to
.6), while the same cut of both stays above .85.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

import numpy as np
import numpy.typing as npt

from functions.detect.engine import DetectedFace
from functions.detect.redetection import KnownFace, in_same_place
from shared.decode import DecodedPhoto
from shared.errors import Permanent
from shared.storage import ObjectMissing, ObjectStore

Floats = npt.NDArray[np.float32]
Landmarks = Sequence[Sequence[float]]

# Detect writes some 10 kB.
_MAX_THUMBNAIL_BYTES = 2**20


class Embedder(Protocol):
    """What of the engine is needed here."""

    def embed_at(self, photo: DecodedPhoto, landmarks: Landmarks) -> Floats | None:
        """See `Engine.embed_at`."""
        ...

    def embed_thumbnail(self, thumbnail: bytes) -> Floats:
        """See `Engine.embed_thumbnail`."""
        ...


@dataclass(frozen=True, eq=False)
class StoredFace:
    """What is stored of how an old face looks: float32[512] of norm 1 by the pack at hand, and where its landmarks are.

    Landmarks are fractions of the upright photo. Each is None where it is erased, or of another pack.
    """

    embedding: Floats | None
    landmarks: Landmarks | None


@dataclass(frozen=True)
class Likeness:
    """Compares by one pack: ``threshold`` is the cosine from which two faces in the same place are one."""

    engine: Embedder
    objects: ObjectStore
    derived_bucket: str
    threshold: float

    def same_faces(
        self,
        photo: DecodedPhoto,
        detected: Sequence[DetectedFace],
        known: Sequence[KnownFace],
        stored: Mapping[UUID, StoredFace],
    ) -> frozenset[tuple[int, UUID]]:
        """Return the pairs of a detection (its index) and a known face that are in the same place, and one face.

        Raises:
            Retryable: the bucket of the thumbnails is away.
        """
        by_id = {face.face_id: face for face in known}
        pairs = in_same_place([face.box for face in detected], {face.face_id: face.box for face in known})
        looks = {face_id: self._looks(by_id[face_id], stored.get(face_id)) for face_id in {pair[1] for pair in pairs}}
        same = {pair for pair in pairs if self._is_alike(looks[pair[1]], detected[pair[0]].embedding)}
        unlike = {face_id for index, face_id in pairs if (index, face_id) not in same and len(looks[face_id])}
        for face_id in unlike:
            landmarks = stored[face_id].landmarks if face_id in stored else None
            there = None if landmarks is None else self.engine.embed_at(photo, landmarks)
            if there is not None and self._is_alike(looks[face_id], there):
                same |= {pair for pair in pairs if pair[1] == face_id}
        return frozenset(same)

    def _looks(self, face: KnownFace, stored: StoredFace | None) -> Floats:
        """Embeddings of an old face by the pack at hand, [n, 512]; none where there is nothing to compare."""
        if stored is not None and stored.embedding is not None:
            return stored.embedding[None]
        thumbnail = None if face.thumbnail is None else self._thumbnail(face.thumbnail)
        return np.zeros((0, 512), dtype=np.float32) if thumbnail is None else self.engine.embed_thumbnail(thumbnail)

    def _thumbnail(self, name: str) -> bytes | None:
        try:
            generation = self.objects.generation(self.derived_bucket, name)
            return self.objects.read(self.derived_bucket, name, generation, max_bytes=_MAX_THUMBNAIL_BYTES)
        except (ObjectMissing, Permanent):
            return None

    def _is_alike(self, looks: Floats, embedding: Floats) -> bool:
        return bool((looks @ embedding >= self.threshold).any())
