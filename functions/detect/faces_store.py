"""Rows of a photo's faces: which are known, and making them those that were detected."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

import numpy as np
from psycopg.types.json import Jsonb

from functions.detect import store
from functions.detect.boxes import Box
from functions.detect.engine import DetectedFace
from functions.detect.likeness import StoredFace
from functions.detect.objects import Photo
from functions.detect.redetection import KnownFace, KnownFaces, Picture, Redetection, Tombstone
from shared.database import Connection

_PICTURE = "SELECT faces_crc32c, faces_picture_hash FROM media WHERE id = %s"
_FACES = """
SELECT id, bbox, object_generation, thumbnail_object,
    embedding IS NOT NULL AND embedding_model = %(model)s AS has_embedding
FROM faces WHERE media_id = %(media_id)s ORDER BY id
"""
_TOMBSTONES = """
SELECT bbox, crc32c, picture_hash FROM face_tombstones JOIN media ON media.id = media_id
WHERE media_id = %s AND media.event_id = face_tombstones.event_id ORDER BY face_tombstones.id
"""
_STORED = """
SELECT id, CASE WHEN embedding_model = %(model)s THEN embedding::real[] END AS embedding, landmarks
FROM faces WHERE id = ANY(%(ids)s)
"""
# Identity, person and what people decided are not among them.
MEASURED = (
    "object_generation", "bbox", "embedding", "embedding_model", "quality_score", "landmarks", "sharpness", "yaw",
    "pitch", "roll", "size_px", "thumbnail_object",
)  # fmt: skip
"""The columns of ``faces`` that a detection measures: all are written anew when any of them differs."""
_UPSERT_FACE = f"""
INSERT INTO faces (id, media_id, event_id, {", ".join(MEASURED)})
VALUES (%(id)s, %(media_id)s, %(event_id)s, {", ".join(f"%({column})s" for column in MEASURED)})
ON CONFLICT (id) DO UPDATE SET {", ".join(f"{column} = excluded.{column}" for column in MEASURED)}, updated_at = now()
WHERE ({", ".join(f"faces.{column}" for column in MEASURED)})
    IS DISTINCT FROM ({", ".join(f"excluded.{column}" for column in MEASURED)})
"""  # noqa: S608 - names of columns, above
# A face that a human placed stays when the same bytes are looked at again and it is not found this time.
_STAY = """
UPDATE faces SET object_generation = %(generation)s WHERE id = ANY(%(ids)s) AND placed_by_human RETURNING id
"""
# A tag shows where its face is.
_TAGS_FOLLOW = """
UPDATE media_tags SET bbox = faces.bbox FROM faces
WHERE faces.id = media_tags.face_id AND faces.id = ANY(%(ids)s) AND media_tags.bbox <> faces.bbox
"""
_NOTE_PICTURE = """
UPDATE media SET faces_crc32c = %(crc32c)s, faces_picture_hash = %(hash)s
WHERE id = %(media_id)s AND (faces_crc32c, faces_picture_hash) IS DISTINCT FROM (%(crc32c)s, %(hash)s::bytea)
"""


def known_faces(connection: Connection, media_id: UUID, model: str) -> KnownFaces:
    """Return the photo's faces, the picture they were found in, and the faces that were purged from it."""
    picture = connection.execute(_PICTURE, (media_id,)).fetchone()
    faces = connection.execute(_FACES, {"media_id": media_id, "model": model}).fetchall()
    tombstones = connection.execute(_TOMBSTONES, (media_id,)).fetchall()
    return KnownFaces(
        picture=Picture(picture["faces_crc32c"], picture["faces_picture_hash"]) if picture else Picture(),
        faces=tuple(
            KnownFace(
                row["id"], Box(**row["bbox"]), row["object_generation"], row["has_embedding"], row["thumbnail_object"]
            )
            for row in faces
        ),
        tombstones=tuple(
            Tombstone(Box(**row["bbox"]), Picture(row["crc32c"], row["picture_hash"])) for row in tombstones
        ),
    )


def stored_faces(connection: Connection, face_ids: Collection[UUID], model: str) -> dict[UUID, StoredFace]:
    """How some faces look; embeddings of another model are left out."""
    rows = connection.execute(_STORED, {"ids": list(face_ids), "model": model}).fetchall()
    return {
        row["id"]: StoredFace(
            None if row["embedding"] is None else np.array(row["embedding"], dtype=np.float32), row["landmarks"]
        )
        for row in rows
    }


def write_faces(  # noqa: PLR0913 - what was found, and in what
    connection: Connection,
    photo: Photo,
    generation: int,
    picture: Picture,
    detected: Sequence[DetectedFace],
    redetection: Redetection,
    *,
    in_same_bytes: frozenset[UUID],
    model: str,
    derived_bucket: str,
) -> bool:
    """Make the photo's faces those detected, and note in what they were found; True when any face changed.

    Faces that are gone go with their tags and thumbnails, but for those that a human placed in these bytes.
    """
    changed = 0
    for face, face_id in zip(detected, redetection.face_ids, strict=True):
        if face_id is not None:
            values = _face_values(photo, generation, face, face_id, model)
            changed += connection.execute(_UPSERT_FACE, values).rowcount
    missed = {"ids": sorted(redetection.gone & in_same_bytes), "generation": generation}
    staying = {row["id"] for row in connection.execute(_STAY, missed).fetchall()}
    changed += store.remove_faces(connection, sorted(redetection.gone - staying), derived_bucket)
    connection.execute(_TAGS_FOLLOW, {"ids": sorted(redetection.known)})
    connection.execute(
        _NOTE_PICTURE,
        {"media_id": photo.media_id, "crc32c": picture.crc32c, "hash": picture.perceptual_hash},
    )
    if changed:
        store.count_change(connection, photo.event_id)
    return changed > 0


def _face_values(photo: Photo, generation: int, face: DetectedFace, face_id: UUID, model: str) -> dict[str, Any]:
    return {
        "id": face_id,
        "media_id": photo.media_id,
        "event_id": photo.event_id,
        "object_generation": generation,
        "bbox": Jsonb(asdict(face.box)),
        "embedding": face.embedding,
        "embedding_model": model,
        "quality_score": face.quality_score,
        "landmarks": Jsonb([list(point) for point in face.landmarks]),
        "sharpness": face.sharpness,
        "yaw": face.yaw,
        "pitch": face.pitch,
        "roll": face.roll,
        "size_px": face.size_px,
        "thumbnail_object": store.thumbnail_name(photo.event_id, photo.media_id, face_id),
    }
