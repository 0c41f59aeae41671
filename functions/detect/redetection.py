"""Match detected faces to the known and the purged faces of a photo (pure).

The position of a face identifies it only within one picture. In the same bytes the position alone decides; in other
bytes the face must be the same too. A tombstone holds no biometric data, so it applies to its own picture only.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid5

from functions.detect.boxes import Box, box_iou
from functions.detect.picture_hash import is_same_picture

# Two boxes with a larger intersection over union are at the same position.
SAME_PLACE_IOU = 0.5
_NAMESPACE = UUID("5c1f8f6e-6f0a-4c57-9d63-0f6d1f3f4d11")


@dataclass(frozen=True)
class Picture:
    """Identifies a photo's bytes and its picture; None for faces found before this was recorded.

    ``crc32c`` is Cloud Storage's checksum (base64), ``perceptual_hash`` that of picture_hash.py.
    """

    crc32c: str | None = None
    perceptual_hash: bytes | None = None


@dataclass(frozen=True)
class KnownFace:
    """A stored face of the photo: its box, the object generation it was found in, and what to compare it by."""

    face_id: UUID
    box: Box
    generation: int
    has_embedding: bool
    thumbnail: str | None


@dataclass(frozen=True)
class Tombstone:
    """The box of a purged face, and the picture it was purged from."""

    box: Box
    picture: Picture


@dataclass(frozen=True)
class KnownFaces:
    """The known faces of a photo; ``picture`` is the one in which they were last found."""

    picture: Picture
    faces: tuple[KnownFace, ...]
    tombstones: tuple[Tombstone, ...]

    def in_same_bytes(self, seen: Picture, generation: int) -> frozenset[UUID]:
        """Return the faces that were found in exactly these bytes, where the position alone identifies a face."""
        return frozenset(
            face.face_id
            for face in self.faces
            if (face.generation == generation if self.picture.crc32c is None else self.picture.crc32c == seen.crc32c)
        )

    def purged_places(self, seen: Picture) -> tuple[Box, ...]:
        """Return the boxes of faces that were purged from this picture."""
        return tuple(stone.box for stone in self.tombstones if _is_of(stone.picture, seen))


@dataclass(frozen=True)
class Redetection:
    """What a new detection means for the faces that the photo had.

    Attributes:
        face_ids: per detection its face id, or None for one that was purged and must not come back.
        known: the ids among ``face_ids`` that the photo had before.
        gone: ids that the photo had and that were not found again.
    """

    face_ids: tuple[UUID | None, ...]
    known: frozenset[UUID]
    gone: frozenset[UUID]


def in_same_place(detected: Sequence[Box], existing: Mapping[UUID, Box]) -> list[tuple[int, UUID]]:
    """Return pairs of a detection and a known face whose boxes overlap enough, the largest overlap first."""
    overlaps = sorted(
        (
            (-box_iou(box, known_box), index, face_id)
            for index, box in enumerate(detected)
            for face_id, known_box in existing.items()
            if box_iou(box, known_box) > SAME_PLACE_IOU
        ),
        key=lambda overlap: (overlap[0], overlap[1], str(overlap[2])),
    )
    return [(index, face_id) for _, index, face_id in overlaps]


def recognise_known_faces(
    media_id: UUID,
    generation: int,
    detected: Sequence[Box],
    existing: Mapping[UUID, Box],
    purged: Iterable[Box],
    *,
    is_same_face: Callable[[int, UUID], bool],
) -> Redetection:
    """Match detections to the photo's faces one to one, by largest intersection over union first.

    ``is_same_face`` is called with a detection (its index) and a known face at the same position. ``purged`` are the
    boxes of faces that were purged from this picture.

    A new face's id is derived from photo, generation and box, so that a repetition after a crash gives the same ids
    (and overwrites the same thumbnails instead of leaving some behind). It never equals an id that the photo has.
    """
    ids: dict[int, UUID] = {}
    taken: set[UUID] = set()
    for index, face_id in in_same_place(detected, existing):
        if index not in ids and face_id not in taken and is_same_face(index, face_id):
            ids[index] = face_id
            taken.add(face_id)
    stones = tuple(purged)
    used = set(existing)
    face_ids: list[UUID | None] = []
    for index, box in enumerate(detected):
        if index in ids:
            face_ids.append(ids[index])
        elif any(box_iou(box, stone) > SAME_PLACE_IOU for stone in stones):
            face_ids.append(None)
        else:
            new_id = _new_id(media_id, generation, box, used)
            used.add(new_id)
            face_ids.append(new_id)
    return Redetection(tuple(face_ids), frozenset(taken), frozenset(existing) - taken)


def _is_of(purged_from: Picture, seen: Picture) -> bool:
    if purged_from.crc32c is None:
        return True  # purged before pictures were recorded: only the position is known
    if purged_from.crc32c == seen.crc32c:
        return True
    hashes = (purged_from.perceptual_hash, seen.perceptual_hash)
    return hashes[0] is not None and hashes[1] is not None and is_same_picture(hashes[0], hashes[1])


def _new_id(media_id: UUID, generation: int, box: Box, used: Collection[UUID]) -> UUID:
    """Return an unused id for a face at this position in the photo."""
    place = f"{media_id}/{generation}/{box.x:.4f},{box.y:.4f},{box.w:.4f},{box.h:.4f}"
    face_id, number = uuid5(_NAMESPACE, place), 1
    while face_id in used:
        number += 1
        face_id = uuid5(_NAMESPACE, f"{place}/{number}")
    return face_id
