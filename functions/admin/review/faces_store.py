"""Rows of faces and photos, as they are shown. Embeddings and landmarks are not read here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from shared.database import Connection

Row = dict[str, Any]


@dataclass(frozen=True)
class AfterFace:
    """Where the page before ended."""

    quality: float
    after_id: UUID


_FACES_OF_PERSON = """
SELECT id, media_id, face_person_id AS person_id, bbox, quality_score AS quality, placed_by_human
FROM faces WHERE event_id = %(event_id)s AND face_person_id = %(person_id)s AND (
    %(after_id)s::uuid IS NULL OR quality_score < %(quality)s::real
    OR (quality_score = %(quality)s::real AND id > %(after_id)s)
)
ORDER BY quality_score DESC, id LIMIT %(limit)s
"""
# Of faces whose picture was erased there is nothing to show.
_FACES_OF_NOBODY = """
SELECT id, media_id, face_person_id AS person_id, bbox, quality_score AS quality, placed_by_human,
    sharpness, yaw, pitch, size_px, embedding_model,
    EXISTS (SELECT FROM face_suggestions WHERE face_suggestions.face_id = faces.id) AS is_asked_about,
    NOT EXISTS (
        SELECT FROM cluster_runs AS run WHERE run.event_id = faces.event_id AND run.created_at >= faces.created_at
    ) AS is_new
FROM faces WHERE event_id = %(event_id)s AND face_person_id IS NULL AND thumbnail_object IS NOT NULL AND (
    %(after_id)s::uuid IS NULL OR quality_score < %(quality)s::real
    OR (quality_score = %(quality)s::real AND id > %(after_id)s)
)
ORDER BY quality_score DESC, id LIMIT %(limit)s
"""
_FACES = """
SELECT id, media_id, face_person_id AS person_id, bbox, quality_score AS quality, placed_by_human
FROM faces WHERE event_id = %s AND id = ANY(%s)
"""
_THUMBNAIL = """
SELECT event_id, thumbnail_object, object_generation, embedding_model, bbox FROM faces
WHERE event_id = %s AND id = %s
"""
_PHOTO = """
SELECT bucket, object_name, object_generation FROM media
WHERE event_id = %s AND id = %s AND bucket IS NOT NULL AND object_name IS NOT NULL
    AND deleted_generation < object_generation
"""


def faces_of_person(
    connection: Connection, event_id: UUID, person_id: UUID, after: AfterFace | None, limit: int
) -> list[Row]:
    """Up to ``limit`` faces of a person, the best first."""
    position = {"quality": None, "after_id": None} if after is None else asdict(after)
    values = {"event_id": event_id, "person_id": person_id, **position, "limit": limit}
    return connection.execute(_FACES_OF_PERSON, values).fetchall()


def faces_of_nobody(connection: Connection, event_id: UUID, after: AfterFace | None, limit: int) -> list[Row]:
    """Up to ``limit`` of the event's faces that are in no person, the best first, with what says why."""
    position = {"quality": None, "after_id": None} if after is None else asdict(after)
    return connection.execute(_FACES_OF_NOBODY, {"event_id": event_id, **position, "limit": limit}).fetchall()


def faces(connection: Connection, event_id: UUID, face_ids: Sequence[UUID]) -> dict[UUID, Row]:
    """Return the faces with these ids, of one event."""
    return {row["id"]: row for row in connection.execute(_FACES, (event_id, list(face_ids))).fetchall()}


def thumbnail(connection: Connection, event_id: UUID, face_id: UUID) -> Row | None:
    """Where the face's thumbnail is, and what it was made from; None when there is no such face."""
    return connection.execute(_THUMBNAIL, (event_id, face_id)).fetchone()


def photo(connection: Connection, event_id: UUID, media_id: UUID) -> Row | None:
    """Return the photo's object; None when it has none."""
    return connection.execute(_PHOTO, (event_id, media_id)).fetchone()
