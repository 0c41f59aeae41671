"""Detect's rows: the photo, its job, its faces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from functions.detect.objects import SECOND_PICTURE, Outcome, Photo
from shared import consent, job_ledger, outbox
from shared.database import Connection, one_row
from shared.errors import Permanent
from shared.job_ledger import Job, PhotoObject

_NO_PHOTO = UUID("8f0c2c1e-1c3d-4a8e-9f57-5a3f3d2b7a10")

# Without naming an index: two at once may meet in any of the table's unique ones. Asked again whether the photo was
# deleted: this may have waited for just that.
_CREATE_PHOTO = """
INSERT INTO media (id, event_id) SELECT %(media_id)s, %(event_id)s
WHERE NOT trombi_was_deleted(%(media_id)s, %(event_id)s, %(generation)s, %(uploaded_at)s) ON CONFLICT DO NOTHING
"""
# In place of a generation, of what comes after a deletion and is no newer version of the photo.
OLDER_THAN_ANY = 0
_IS_OF_DELETED = """
SELECT EXISTS (SELECT FROM deleted_photos WHERE media_id = %(id)s)
    AND NOT EXISTS (SELECT FROM media WHERE id = %(id)s) AS is_of_deleted
"""
_WAS_DELETED = "SELECT trombi_was_deleted(%s, %s, %s, %s) AS was_deleted"
_LOCK_PHOTO = """
SELECT id AS media_id, event_id, bucket, object_name, object_generation AS generation, deleted_generation
FROM media WHERE id = %s FOR NO KEY UPDATE
"""
# Generations of different names are not compared: what was known of another name's deletion says nothing of this one.
_SET_OBJECT = """
UPDATE media SET bucket = %(bucket)s, object_name = %(object_name)s, object_generation = %(generation)s,
    deleted_generation = CASE
        WHEN (bucket, object_name) IS DISTINCT FROM (%(bucket)s, %(object_name)s) THEN 0 ELSE deleted_generation END
WHERE id = %(media_id)s
"""
_SET_DELETED = "UPDATE media SET deleted_generation = greatest(deleted_generation, %s) WHERE id = %s"


def lock_photo(connection: Connection, media_id: UUID, event_id: UUID) -> Photo | None:
    """Return the photo's row, locked after its event's; None when there is none.

    Raises:
        Permanent: the media id belongs to a photo of another event.
    """
    consent.event_exists(connection, event_id)
    row = connection.execute(_LOCK_PHOTO, (media_id,)).fetchone()
    if row is None:
        return None
    if row["event_id"] != event_id:
        raise Permanent("wrong_event", "this media id belongs to a photo of another event")
    return Photo(**row)


def make_photo(
    connection: Connection, media_id: UUID, event_id: UUID, generation: int, uploaded_at: datetime | None
) -> Photo | None:
    """As `lock_photo`, made where the host app has not done so.

    None when the host app deleted the row after this generation was uploaded: a deleted photo stays deleted.

    Raises:
        Permanent: the media id belongs to a photo of another event.
    """
    photo = lock_photo(connection, media_id, event_id)
    if photo is None:
        connection.execute(
            _CREATE_PHOTO,
            {"media_id": media_id, "event_id": event_id, "generation": generation, "uploaded_at": uploaded_at},
        )
        photo = lock_photo(connection, media_id, event_id)
    return photo


def was_deleted(
    connection: Connection, media_id: UUID, event_id: UUID, generation: int, uploaded_at: datetime | None
) -> bool:
    """Whether the host app deleted the photo's row, or its event, after this generation was uploaded."""
    return bool(one_row(connection, _WAS_DELETED, (media_id, event_id, generation, uploaded_at))["was_deleted"])


def is_of_deleted_photo(connection: Connection, media_id: UUID) -> bool:
    """Whether the host app deleted the photo's row, and it was not made again."""
    return bool(one_row(connection, _IS_OF_DELETED, {"id": media_id})["is_of_deleted"])


def set_object(connection: Connection, photo: Photo, bucket: str, object_name: str, generation: int) -> None:
    """Note which object is the photo's now."""
    connection.execute(
        _SET_OBJECT,
        {"bucket": bucket, "object_name": object_name, "generation": generation, "media_id": photo.media_id},
    )


def set_deleted(connection: Connection, photo: Photo, generation: int) -> None:
    """Note that the object is gone up to ``generation``."""
    connection.execute(_SET_DELETED, (generation, photo.media_id))


# ---------------------------------------------------------------- jobs

_OUTCOMES = """
SELECT object_generation, status, error_code, result ->> 'skipped' AS skipped FROM ml_jobs
WHERE job_type = 'detect' AND event_id IS NOT NULL AND media_ids[1] = %s
"""
_REFUSED_BESIDE = """
SELECT result ->> 'object' AS object_name, object_generation AS generation FROM ml_jobs
WHERE job_type = 'detect' AND event_id IS NOT NULL AND media_ids[1] = %(media_id)s AND status = 'failed'
    AND error_code = %(code)s AND result ? 'object' ORDER BY object_generation
"""


def outcomes(connection: Connection, media_id: UUID) -> dict[int, Outcome]:
    """How the jobs of the photo's objects stand, by generation."""
    rows = connection.execute(_OUTCOMES, (media_id,)).fetchall()
    return {row.pop("object_generation"): Outcome(**row) for row in rows}


def refused_beside(connection: Connection, media_id: UUID) -> dict[str, int]:
    """Return the objects that were refused because another one is the photo: name and generation."""
    rows = connection.execute(_REFUSED_BESIDE, {"media_id": media_id, "code": SECOND_PICTURE}).fetchall()
    return {row["object_name"]: row["generation"] for row in rows}


def job_of_object(connection: Connection, photo: Photo, generation: int, *, is_the_photo: bool = True) -> Job:
    """Return the job of one generation of an object, locked; it is created at the first message.

    A job that was asked for before the photo's object was known is taken over, if this ``is_the_photo``.
    """
    job = job_ledger.job_of_object(connection, photo.media_id, generation)
    if job is None:
        made = PhotoObject(photo.event_id, photo.media_id, generation)
        if not is_the_photo or not job_ledger.adopt_earlier_job(connection, made):
            job_ledger.make_detections(connection, [made])
        job = job_ledger.job_of_object(connection, photo.media_id, generation)
    if job is None:
        message = "the job vanished while its photo was locked"
        raise RuntimeError(message)
    return job


def record_unplaced_refusal(connection: Connection, key: str, refusal: Permanent, claims: Mapping[str, Any]) -> None:
    """Record the refusal of an object that belongs to no event, once per object generation."""
    job_ledger.record_unplaced(connection, uuid5(_NO_PHOTO, key), "detect", refusal.code, refusal.reason, claims)


_SUPERSEDE_OPEN = """
SELECT id FROM ml_jobs WHERE job_type = 'detect' AND event_id IS NOT NULL AND media_ids[1] = %(media_id)s
    AND object_generation = ANY(%(generations)s) AND status IN ('pending', 'processing')
ORDER BY id
"""


def end_open_jobs(connection: Connection, media_id: UUID, generations: Sequence[int | None], skipped: str) -> None:
    """Complete the open jobs of just these generations, whose object is no longer the photo's or no longer there."""
    known = [generation for generation in generations if generation is not None]
    rows = connection.execute(_SUPERSEDE_OPEN, {"media_id": media_id, "generations": known}).fetchall()
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
    AND EXISTS (SELECT FROM faces WHERE event_id = %(event_id)s AND embedding IS NOT NULL)
"""
_CLAIM_MODEL = """
UPDATE event_counters SET embedding_model = %(model)s
WHERE event_id = %(event_id)s
    AND (embedding_model IS NULL OR NOT EXISTS (
        SELECT FROM faces WHERE event_id = %(event_id)s AND embedding IS NOT NULL))
"""
_FACE_IDS = "SELECT id FROM faces WHERE media_id = %s ORDER BY id"
_REMOVE_TAGS = "DELETE FROM media_tags WHERE face_id = ANY(%s) AND source <> 'manual'"
# The tag is a human's and stays; the place was the face's.
_TAGS_LOSE_PLACE = "UPDATE media_tags SET face_id = NULL, bbox = NULL WHERE face_id = ANY(%s)"
_REMOVE_FACES = "DELETE FROM faces WHERE id = ANY(%s) RETURNING thumbnail_object"
_REMOVE_PHOTO_TAGS = "DELETE FROM media_tags WHERE media_id = %s"
# What faces were found in is of no use once there are none.
_FORGET_PICTURE = """
UPDATE media SET faces_crc32c = NULL, faces_picture_hash = NULL
WHERE id = %s AND NOT EXISTS (SELECT FROM faces WHERE media_id = media.id)
"""
# In place of a generation in a face's row: the object that the face was found in was deleted.
OBJECT_DELETED = -1
_NOTE_DELETED_OBJECT = "UPDATE faces SET object_generation = %s WHERE media_id = %s"
_FACE_IDS_OF = "SELECT id FROM faces WHERE media_id = %s AND object_generation = %s ORDER BY id"
_HAS_TRACES = """
SELECT EXISTS (SELECT FROM faces WHERE media_id = %(media_id)s)
    OR EXISTS (SELECT FROM media_tags WHERE media_id = %(media_id)s) AS has_traces
"""
_HAS_FACES_OF = "SELECT EXISTS (SELECT FROM faces WHERE media_id = %s AND object_generation = %s) AS has_faces"
_KEEPS_FACES = "SELECT EXISTS (SELECT FROM faces WHERE media_id = %s AND object_generation <> %s) AS keeps_faces"
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


def count_change(connection: Connection, event_id: UUID) -> None:
    """Count one more photo whose faces changed: clustering is asked for by it."""
    connection.execute(_COUNT_CHANGE, {"event_id": event_id})


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

    The first face decides. An event whose embeddings are all gone may change its model; faces that are still there
    without one are relabelled with it.

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
        "comparable: set FACE_PACK and FACE_MIRRORED back; or erase the event's embeddings and detect all photos again"
    )
    return Permanent("model_mismatch", reason)


def thumbnail_name(event_id: UUID, media_id: UUID, face_id: UUID) -> str:
    """Return the thumbnail's object in the derived bucket: all objects of an event or photo share a prefix."""
    return f"{thumbnail_prefix(event_id, media_id)}{face_id}.jpg"


def thumbnail_prefix(event_id: UUID, media_id: UUID) -> str:
    """Return the prefix of all of a photo's thumbnails."""
    return f"events/{event_id}/{media_id}/"


def note_deleted_object_of_faces(connection: Connection, photo: Photo) -> None:
    """Note that the object that the photo's faces were found in is gone: they wait for what another one shows."""
    connection.execute(_LOCK_COUNTERS, (photo.event_id,))
    connection.execute(_NOTE_DELETED_OBJECT, (OBJECT_DELETED, photo.media_id))


def remove_faces_of_deleted_objects(connection: Connection, photo: Photo, derived_bucket: str) -> None:
    """Delete the faces that waited for another object, which shows no photo."""
    connection.execute(_LOCK_COUNTERS, (photo.event_id,))
    waiting = connection.execute(_FACE_IDS_OF, (photo.media_id, OBJECT_DELETED)).fetchall()
    if remove_faces(connection, [row["id"] for row in waiting], derived_bucket):
        count_change(connection, photo.event_id)
    connection.execute(_FORGET_PICTURE, (photo.media_id,))


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


def remove_faces(connection: Connection, face_ids: Sequence[UUID], derived_bucket: str) -> int:
    """Delete faces with the tags they gave and their thumbnails; returns how many there were."""
    if not face_ids:
        return 0
    connection.execute(_REMOVE_TAGS, (list(face_ids),))
    connection.execute(_TAGS_LOSE_PLACE, (list(face_ids),))
    removed = connection.execute(_REMOVE_FACES, (list(face_ids),)).fetchall()
    for row in removed:
        if row["thumbnail_object"]:
            outbox.add_deletion(connection, derived_bucket, row["thumbnail_object"])
    return len(removed)


def has_traces(connection: Connection, photo: Photo) -> bool:
    """Whether there are faces or tags of the photo."""
    return bool(one_row(connection, _HAS_TRACES, {"media_id": photo.media_id})["has_traces"])


def has_faces_of(connection: Connection, photo: Photo, generation: int) -> bool:
    """Whether the photo's faces were found in this generation."""
    return bool(one_row(connection, _HAS_FACES_OF, (photo.media_id, generation))["has_faces"])


def keeps_faces(connection: Connection, photo: Photo) -> bool:
    """Whether there are faces that were found in what the photo is, or was until a newer object took its place."""
    return bool(one_row(connection, _KEEPS_FACES, (photo.media_id, OBJECT_DELETED))["keeps_faces"])


def remove_photo_traces(connection: Connection, photo: Photo, derived_bucket: str) -> bool:
    """Delete the photo's faces, tags and thumbnails; True when faces were among them."""
    connection.execute(_LOCK_COUNTERS, (photo.event_id,))
    existing = connection.execute(_FACE_IDS, (photo.media_id,)).fetchall()
    removed = remove_faces(connection, [row["id"] for row in existing], derived_bucket)
    connection.execute(_REMOVE_PHOTO_TAGS, (photo.media_id,))
    # By prefix as well: a run that died before its commit may have left thumbnails that no row names.
    outbox.add_deletion(connection, derived_bucket, thumbnail_prefix(photo.event_id, photo.media_id))
    connection.execute(_FORGET_PICTURE, (photo.media_id,))
    if removed:
        count_change(connection, photo.event_id)
    return removed > 0
