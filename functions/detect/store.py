"""Detect's rows: the photo, its job, its faces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid5

from psycopg.types.json import Jsonb

from functions.detect.boxes import Box
from functions.detect.engine import DetectedFace
from functions.detect.redetection import Redetection
from shared import consent, job_ledger, outbox
from shared.database import Connection
from shared.errors import Permanent
from shared.job_ledger import Job

_NO_PHOTO = UUID("8f0c2c1e-1c3d-4a8e-9f57-5a3f3d2b7a10")


@dataclass(frozen=True)
class Photo:
    """A photo's row, locked. ``generation`` is None until an object is known."""

    media_id: UUID
    event_id: UUID
    bucket: str | None
    object_name: str | None
    generation: int | None
    deleted_generation: int


# Without naming an index: two at once may meet in any of the table's unique ones.
_CREATE_PHOTO = "INSERT INTO media (id, event_id) VALUES (%s, %s) ON CONFLICT DO NOTHING"
_LOCK_PHOTO = """
SELECT id AS media_id, event_id, bucket, object_name, object_generation AS generation, deleted_generation
FROM media WHERE id = %s FOR NO KEY UPDATE
"""
_SET_OBJECT = "UPDATE media SET bucket = %s, object_name = %s, object_generation = %s WHERE id = %s"
_SET_DELETED = "UPDATE media SET deleted_generation = greatest(deleted_generation, %s) WHERE id = %s"


def lock_photo(connection: Connection, media_id: UUID, event_id: UUID, *, create: bool = True) -> Photo | None:
    """The photo's row, locked (after its event's), made where the host app has not done so.

    Raises:
        Permanent: the media id belongs to a photo of another event.
    """
    consent.event_exists(connection, event_id)
    if create:
        connection.execute(_CREATE_PHOTO, (media_id, event_id))
    row = connection.execute(_LOCK_PHOTO, (media_id,)).fetchone()
    if row is None:
        return None
    if row["event_id"] != event_id:
        raise Permanent("wrong_event", "this media id belongs to a photo of another event")
    return Photo(**row)


def set_object(connection: Connection, photo: Photo, bucket: str, object_name: str, generation: int) -> None:
    """Note which object is the photo's now."""
    connection.execute(_SET_OBJECT, (bucket, object_name, generation, photo.media_id))


def set_deleted(connection: Connection, photo: Photo, generation: int) -> None:
    """Note that the object is gone up to ``generation``."""
    connection.execute(_SET_DELETED, (generation, photo.media_id))


# ---------------------------------------------------------------- jobs

_CREATE_JOB = """
INSERT INTO ml_jobs (job_type, event_id, media_ids, object_generation, released_at)
VALUES ('detect', %(event_id)s, ARRAY[%(media_id)s::uuid], %(generation)s, now()) ON CONFLICT DO NOTHING
"""
_JOB_OF_OBJECT = """
SELECT id FROM ml_jobs WHERE job_type = 'detect' AND event_id IS NOT NULL
    AND media_ids[1] = %(media_id)s AND object_generation = %(generation)s
"""
# A job made before the object was known takes on the generation, unless another job has it already.
_ADOPT_GENERATION = """
UPDATE ml_jobs SET object_generation = %(generation)s WHERE id = %(job_id)s AND NOT EXISTS (
    SELECT FROM ml_jobs AS other WHERE other.job_type = 'detect' AND other.event_id IS NOT NULL
        AND other.media_ids[1] = %(media_id)s AND other.object_generation = %(generation)s AND other.id <> %(job_id)s
)
"""
# One that was asked for before the object was known (by the sweep) is this object's job as well.
_ADOPT_EARLIER_JOB = """
UPDATE ml_jobs SET object_generation = %(generation)s WHERE id = (
    SELECT id FROM ml_jobs WHERE job_type = 'detect' AND event_id = %(event_id)s AND media_ids[1] = %(media_id)s
        AND object_generation = 0 AND status IN ('pending', 'processing')
)
"""
_CREATE_UNPLACED = """
INSERT INTO ml_jobs (id, job_type, event_id, status, error_code, error, result, started_at, completed_at)
VALUES (%(id)s, 'detect', NULL, 'failed', %(code)s, %(reason)s, %(result)s, now(), now()) ON CONFLICT (id) DO NOTHING
"""


def job_of_object(connection: Connection, photo: Photo, generation: int) -> Job:
    """The job of one generation of the photo's object, made on its first message, locked."""
    key = {"event_id": photo.event_id, "media_id": photo.media_id, "generation": generation}
    found = connection.execute(_JOB_OF_OBJECT, key).fetchone()
    if found is None:
        if not connection.execute(_ADOPT_EARLIER_JOB, key).rowcount:
            connection.execute(_CREATE_JOB, key)
        found = connection.execute(_JOB_OF_OBJECT, key).fetchone()
    job = job_ledger.lock(connection, found["id"]) if found else None
    if job is None:
        message = "the job vanished while its photo was locked"
        raise RuntimeError(message)
    return job


def adopt_generation(connection: Connection, job: Job, generation: int) -> bool:
    """Tie a job that was made before its object was known to the object; False when another job has it."""
    return bool(
        connection.execute(
            _ADOPT_GENERATION, {"job_id": job.id, "media_id": job.media_id, "generation": generation}
        ).rowcount
    )


def record_unplaced_refusal(connection: Connection, key: str, refusal: Permanent, claims: Mapping[str, Any]) -> None:
    """Record the refusal of an object that belongs to no event, once per object generation."""
    connection.execute(
        _CREATE_UNPLACED,
        {
            "id": uuid5(_NO_PHOTO, key),
            "code": refusal.code,
            "reason": refusal.reason,
            "result": Jsonb(dict(claims)),
        },
    )


_SUPERSEDE_OPEN = """
SELECT id FROM ml_jobs WHERE job_type = 'detect' AND media_ids @> ARRAY[%(media_id)s::uuid]
    AND object_generation <= %(generation)s AND status IN ('pending', 'processing')
    AND id IS DISTINCT FROM %(except_id)s
ORDER BY id
"""


def end_open_jobs(
    connection: Connection, media_id: UUID, up_to_generation: int, skipped: str, *, but: UUID | None = None
) -> None:
    """Complete the photo's open jobs whose object is no longer there: nobody waits for them any more."""
    rows = connection.execute(
        _SUPERSEDE_OPEN, {"media_id": media_id, "generation": up_to_generation, "except_id": but}
    ).fetchall()
    for row in rows:
        job = job_ledger.lock(connection, row["id"])
        if job is not None and job.status in ("pending", "processing"):
            job_ledger.complete(connection, job, {"skipped": skipped})


# ---------------------------------------------------------------- faces

_MAKE_COUNTERS = "INSERT INTO event_counters (event_id) VALUES (%s) ON CONFLICT DO NOTHING"
_EVENT_MODEL = "SELECT embedding_model FROM event_counters WHERE event_id = %s FOR NO KEY UPDATE"
_HOLDS_ANOTHER = """
SELECT embedding_model FROM event_counters
WHERE event_id = %(event_id)s AND embedding_model <> %(model)s
    AND EXISTS (SELECT FROM faces WHERE event_id = %(event_id)s)
"""
_CLAIM_MODEL = """
UPDATE event_counters SET embedding_model = %(model)s
WHERE event_id = %(event_id)s
    AND (embedding_model IS NULL OR NOT EXISTS (SELECT FROM faces WHERE event_id = %(event_id)s))
"""
_FACES = "SELECT id, bbox FROM faces WHERE media_id = %s ORDER BY id"
_TOMBSTONES = "SELECT bbox FROM face_tombstones WHERE media_id = %s ORDER BY id"
# Named columns twice rather than a clever update: identity, person and decisions are not among them.
_UPSERT_FACE = """
INSERT INTO faces (id, media_id, event_id, object_generation, bbox, embedding, embedding_model, quality_score,
    landmarks, sharpness, yaw, pitch, roll, size_px, thumbnail_object)
VALUES (%(id)s, %(media_id)s, %(event_id)s, %(generation)s, %(bbox)s, %(embedding)s, %(model)s, %(quality_score)s,
    %(landmarks)s, %(sharpness)s, %(yaw)s, %(pitch)s, %(roll)s, %(size_px)s, %(thumbnail_object)s)
ON CONFLICT (id) DO UPDATE SET object_generation = excluded.object_generation, bbox = excluded.bbox,
    embedding = excluded.embedding, embedding_model = excluded.embedding_model,
    quality_score = excluded.quality_score, landmarks = excluded.landmarks, sharpness = excluded.sharpness,
    yaw = excluded.yaw, pitch = excluded.pitch, roll = excluded.roll, size_px = excluded.size_px,
    thumbnail_object = excluded.thumbnail_object, updated_at = now()
WHERE (faces.object_generation, faces.bbox, faces.embedding, faces.embedding_model)
    IS DISTINCT FROM (excluded.object_generation, excluded.bbox, excluded.embedding, excluded.embedding_model)
"""
_REMOVE_TAGS = "DELETE FROM media_tags WHERE face_id = ANY(%s) AND source <> 'manual'"
_REMOVE_FACES = "DELETE FROM faces WHERE id = ANY(%s) RETURNING thumbnail_object"
_REMOVE_PHOTO_TAGS = "DELETE FROM media_tags WHERE media_id = %s"
# A face that a human placed stays when the same picture is looked at again and it is not found this time.
_MAY_GO = """
SELECT id FROM faces WHERE id = ANY(%(ids)s) AND NOT (placed_by_human AND object_generation = %(generation)s)
ORDER BY id
"""
_OF_EARLIER_OBJECTS = "SELECT id FROM faces WHERE media_id = %s AND object_generation < %s ORDER BY id"
# Before faces go, as whoever else writes faces and persons does: else two would wait for each other.
_LOCK_COUNTERS = "SELECT FROM event_counters WHERE event_id = %s FOR NO KEY UPDATE"
_REFERENCED = "SELECT thumbnail_object FROM faces WHERE thumbnail_object = ANY(%s)"
# Longer than any detection takes: what is uploaded and not written by then belongs to one that died.
_UPLOAD_TO_WRITE = timedelta(hours=1)
_COUNT_CHANGE = """
INSERT INTO event_counters (event_id, changed_photos, first_change_at) VALUES (%(event_id)s, 1, clock_timestamp())
ON CONFLICT (event_id) DO UPDATE SET changed_photos = event_counters.changed_photos + 1,
    first_change_at = coalesce(event_counters.first_change_at, excluded.first_change_at)
"""


def refuse_known_other_model(connection: Connection, event_id: UUID, model: str) -> None:
    """As `refuse_other_model`, before the work: it waits for nobody who writes the event's faces, and claims nothing.

    Raises:
        Permanent: the event holds embeddings of another model.
    """
    row = connection.execute(_HOLDS_ANOTHER, {"event_id": event_id, "model": model}).fetchone()
    if row is not None:
        raise _other_model(row["embedding_model"], model)


def refuse_other_model(connection: Connection, event_id: UUID, model: str) -> None:
    """Keep embeddings of different models apart: an event holds those of one model.

    The first face decides. An event whose faces are all gone may change its model.

    Raises:
        Permanent: the event holds embeddings of another model.
    """
    connection.execute(_MAKE_COUNTERS, (event_id,))
    row = connection.execute(_EVENT_MODEL, (event_id,)).fetchone()
    held = row["embedding_model"] if row else None
    if held != model and not connection.execute(_CLAIM_MODEL, {"event_id": event_id, "model": model}).rowcount:
        raise _other_model(held, model)


def _other_model(held: str | None, model: str) -> Permanent:
    reason = (
        f"the event holds embeddings of {held}, this function makes those of {model}, and the two are not "
        "comparable: set FACE_PACK back, or erase the event's faces and detect all of its photos again"
    )
    return Permanent("model_mismatch", reason)


def known_faces(connection: Connection, media_id: UUID) -> tuple[dict[UUID, Box], list[Box]]:
    """The photo's faces by id, and the boxes of faces that were purged from it."""
    faces = connection.execute(_FACES, (media_id,)).fetchall()
    tombstones = connection.execute(_TOMBSTONES, (media_id,)).fetchall()
    return {row["id"]: Box(**row["bbox"]) for row in faces}, [Box(**row["bbox"]) for row in tombstones]


def thumbnail_name(event_id: UUID, media_id: UUID, face_id: UUID) -> str:
    """The thumbnail's object in the derived bucket: everything of an event or a photo shares a prefix."""
    return f"{thumbnail_prefix(event_id, media_id)}{face_id}.jpg"


def thumbnail_prefix(event_id: UUID, media_id: UUID) -> str:
    """The prefix of all of a photo's thumbnails."""
    return f"events/{event_id}/{media_id}/"


def write_faces(
    connection: Connection,
    photo: Photo,
    generation: int,
    detected: Sequence[DetectedFace],
    redetection: Redetection,
    *,
    model: str,
    derived_bucket: str,
) -> bool:
    """Make the photo's faces those detected; True when anything changed.

    Faces that are gone go with their tags and thumbnails, but for those that a human placed in this picture.
    """
    changed = 0
    for face, face_id in zip(detected, redetection.face_ids, strict=True):
        if face_id is not None:
            values = _face_values(photo, generation, face, face_id, model)
            changed += connection.execute(_UPSERT_FACE, values).rowcount
    gone = connection.execute(_MAY_GO, {"ids": list(redetection.gone), "generation": generation}).fetchall()
    changed += remove_faces(connection, [row["id"] for row in gone], derived_bucket)
    if changed:
        connection.execute(_COUNT_CHANGE, {"event_id": photo.event_id})
    return changed > 0


def remove_faces_of_earlier_objects(connection: Connection, photo: Photo, generation: int, derived_bucket: str) -> None:
    """Delete the faces found in what the photo was before: what it is now shows nobody."""
    connection.execute(_LOCK_COUNTERS, (photo.event_id,))
    earlier = connection.execute(_OF_EARLIER_OBJECTS, (photo.media_id, generation)).fetchall()
    if remove_faces(connection, [row["id"] for row in earlier], derived_bucket):
        connection.execute(_COUNT_CHANGE, {"event_id": photo.event_id})


def announce_thumbnails(connection: Connection, derived_bucket: str, names: Sequence[str]) -> None:
    """Before thumbnails are uploaded: see to it that those that no face comes to refer to are erased.

    `settle_thumbnails` takes that back; where it is never called because the process died, the erasure comes due.
    """
    for name in _unreferenced(connection, names):
        outbox.add_deletion(connection, derived_bucket, name, after=_UPLOAD_TO_WRITE)


def settle_thumbnails(connection: Connection, derived_bucket: str, names: Sequence[str]) -> None:
    """After the faces are written, or are not going to be: erase those that no face refers to, keep the others."""
    outbox.take_back_deletions(connection, derived_bucket, names)
    for name in _unreferenced(connection, names):
        outbox.add_deletion(connection, derived_bucket, name)


def _unreferenced(connection: Connection, names: Sequence[str]) -> list[str]:
    rows = connection.execute(_REFERENCED, (list(names),)).fetchall()
    return sorted(set(names) - {row["thumbnail_object"] for row in rows})


def _face_values(photo: Photo, generation: int, face: DetectedFace, face_id: UUID, model: str) -> dict[str, Any]:
    return {
        "id": face_id,
        "media_id": photo.media_id,
        "event_id": photo.event_id,
        "generation": generation,
        "bbox": Jsonb(asdict(face.box)),
        "embedding": face.embedding,
        "model": model,
        "quality_score": face.quality_score,
        "landmarks": Jsonb([list(point) for point in face.landmarks]),
        "sharpness": face.sharpness,
        "yaw": face.yaw,
        "pitch": face.pitch,
        "roll": face.roll,
        "size_px": face.size_px,
        "thumbnail_object": thumbnail_name(photo.event_id, photo.media_id, face_id),
    }


def remove_faces(connection: Connection, face_ids: Sequence[UUID], derived_bucket: str) -> int:
    """Delete faces with the tags they gave and their thumbnails; returns how many there were."""
    if not face_ids:
        return 0
    connection.execute(_REMOVE_TAGS, (list(face_ids),))
    removed = connection.execute(_REMOVE_FACES, (list(face_ids),)).fetchall()
    for row in removed:
        if row["thumbnail_object"]:
            outbox.add_deletion(connection, derived_bucket, row["thumbnail_object"])
    return len(removed)


def remove_photo_traces(connection: Connection, photo: Photo, derived_bucket: str) -> bool:
    """Delete the photo's faces, tags and thumbnails; True when faces were among them."""
    connection.execute(_LOCK_COUNTERS, (photo.event_id,))
    existing, _ = known_faces(connection, photo.media_id)
    removed = remove_faces(connection, sorted(existing), derived_bucket)
    connection.execute(_REMOVE_PHOTO_TAGS, (photo.media_id,))
    # By prefix as well: a run that died before its commit may have left thumbnails that no row names.
    outbox.add_deletion(connection, derived_bucket, thumbnail_prefix(photo.event_id, photo.media_id))
    if removed:
        connection.execute(_COUNT_CHANGE, {"event_id": photo.event_id})
    return removed > 0
