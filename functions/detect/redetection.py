"""Which detected faces are the ones already known (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid5

from functions.detect.boxes import Box, box_iou

# Two boxes that share more than half of their union are the same face of the same photo.
SAME_FACE_IOU = 0.5
_NAMESPACE = UUID("5c1f8f6e-6f0a-4c57-9d63-0f6d1f3f4d11")


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


def recognise_known_faces(
    media_id: UUID,
    generation: int,
    detected: Sequence[Box],
    existing: Mapping[UUID, Box],
    tombstones: Sequence[Box],
) -> Redetection:
    """Match detections to the photo's faces one to one, by largest intersection over union first.

    A new face's id follows from photo, generation and box, so that doing it again after a crash gives the
    same ids (and overwrites the same thumbnails instead of leaving some behind).
    """
    overlaps = sorted(
        (
            (-box_iou(box, known_box), index, face_id)
            for index, box in enumerate(detected)
            for face_id, known_box in existing.items()
            if box_iou(box, known_box) > SAME_FACE_IOU
        ),
        key=lambda overlap: (overlap[0], overlap[1], str(overlap[2])),
    )
    ids: dict[int, UUID] = {}
    taken: set[UUID] = set()
    for _, index, face_id in overlaps:
        if index not in ids and face_id not in taken:
            ids[index] = face_id
            taken.add(face_id)
    purged = {
        index
        for index, box in enumerate(detected)
        if index not in ids and any(box_iou(box, tombstone) > SAME_FACE_IOU for tombstone in tombstones)
    }
    face_ids = tuple(
        None if index in purged else ids.get(index) or _new_id(media_id, generation, box)
        for index, box in enumerate(detected)
    )
    return Redetection(face_ids, frozenset(taken), frozenset(existing) - taken)


def _new_id(media_id: UUID, generation: int, box: Box) -> UUID:
    place = f"{box.x:.4f},{box.y:.4f},{box.w:.4f},{box.h:.4f}"
    return uuid5(_NAMESPACE, f"{media_id}/{generation}/{place}")
