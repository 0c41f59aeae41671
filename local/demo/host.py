"""The host app's part: it makes the event, announces its photos, uploads them, and follows what becomes of them."""

from __future__ import annotations

import mimetypes
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from psycopg.rows import DictRow, dict_row

from local.cloud.state import Addresses

CONSENT_TEXT_VERSION = "demo-1"
_UPLOADS_AT_ONCE = 4


@dataclass(frozen=True)
class Photo:
    """A photo of the event: its name in the folder, and its file."""

    media_id: UUID
    name: str
    path: Path


@dataclass(frozen=True)
class Progress:
    """Where an event stands. ``settled``: nothing waits and nothing is to come."""

    photos: int
    done: int
    failed: int
    faces: int
    persons: int
    settled: bool


_MAKE_EVENT = """
WITH creator AS (
    INSERT INTO users (display_name, email) VALUES ('Organiser', 'organiser@example.org') RETURNING id
),
event AS (
    INSERT INTO events (id, name, creator_id, language, face_recognition_enabled, consent_text_version, consented_at)
    SELECT %(event_id)s, %(name)s, id, 'en', true, %(consent)s, now() FROM creator RETURNING id, creator_id
)
INSERT INTO event_members (event_id, user_id, role) SELECT id, creator_id, 'owner' FROM event
"""
_MAKE_MEMBER = """
WITH made AS (INSERT INTO users (display_name) VALUES (%s) RETURNING id)
INSERT INTO event_members (event_id, user_id) SELECT %s, id FROM made
"""
_OWNER = "SELECT user_id FROM event_members WHERE event_id = %s AND role = 'owner'"
_ANNOUNCE = "INSERT INTO media (id, event_id, bucket, object_name) VALUES (%s, %s, %s, %s)"
# The newest job of each photo tells its state.
_PROGRESS = """
WITH latest AS (
    SELECT media.id, ml_jobs.status
    FROM media LEFT JOIN ml_jobs ON ml_jobs.job_type = 'detect' AND ml_jobs.event_id IS NOT NULL
        AND ml_jobs.media_ids[1] = media.id AND ml_jobs.object_generation = coalesce(media.object_generation, 0)
    WHERE media.event_id = %(event_id)s AND media.deleted_generation < coalesce(media.object_generation, 1)
)
SELECT count(*) AS photos,
    count(*) FILTER (WHERE status IN ('completed', 'failed')) AS done,
    count(*) FILTER (WHERE status = 'failed') AS failed,
    (SELECT count(*) FROM faces WHERE event_id = %(event_id)s) AS faces,
    (SELECT count(DISTINCT face_person_id) FROM faces WHERE event_id = %(event_id)s) AS persons,
    NOT EXISTS (SELECT FROM event_counters WHERE event_id = %(event_id)s AND changed_photos > 0)
        AND NOT EXISTS (
            SELECT FROM ml_jobs WHERE event_id = %(event_id)s AND job_type = 'cluster'
                AND status IN ('pending', 'processing')
        ) AS nothing_to_cluster
FROM latest
"""
_JOBS = """
SELECT media.id AS media_id, ml_jobs.status, ml_jobs.error, ml_jobs.result ->> 'skipped' AS skipped
FROM media LEFT JOIN ml_jobs ON ml_jobs.job_type = 'detect' AND ml_jobs.event_id IS NOT NULL
    AND ml_jobs.media_ids[1] = media.id AND ml_jobs.object_generation = coalesce(media.object_generation, 0)
WHERE media.event_id = %s
"""
_FACES = """
SELECT id, media_id, face_person_id, bbox, quality_score, thumbnail_object FROM faces
WHERE event_id = %s ORDER BY media_id, (bbox ->> 'x')::float8, (bbox ->> 'y')::float8
"""
_PERSONS = """
SELECT id, cluster_label, representative_face_id,
    (SELECT count(*) FROM faces WHERE face_person_id = face_persons.id) AS face_count
FROM face_persons WHERE event_id = %s AND status <> 'merged'
ORDER BY face_count DESC, cluster_label
"""


def storage_client(addresses: Addresses) -> storage.Client:
    """Make a storage client of one emulated cloud, without changing this process's environment."""
    return storage.Client(
        project=addresses.project,
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": addresses.storage_url},
    )


class HostApp:
    """A host app that talks to one cloud."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses
        self._storage = storage_client(addresses)

    def make_event(self, name: str) -> UUID:
        """Create an event whose organiser has switched face recognition on; return its id."""
        event_id = uuid4()
        with self._connect() as connection:
            connection.execute(_MAKE_EVENT, {"event_id": event_id, "name": name, "consent": CONSENT_TEXT_VERSION})
        return event_id

    def invite_members(self, event_id: UUID, names: Sequence[str]) -> None:
        """Members of the event with these names."""
        with self._connect() as connection, connection.cursor() as cursor:
            cursor.executemany(_MAKE_MEMBER, [(name, event_id) for name in names])

    def organiser(self, event_id: UUID) -> UUID:
        """Who made the event."""
        with self._connect() as connection:
            row = connection.execute(_OWNER, (event_id,)).fetchone()
        if row is None:
            message = "an event that was made here has an owner"
            raise RuntimeError(message)
        owner: UUID = row["user_id"]
        return owner

    def announce(self, event_id: UUID, files: Mapping[str, Path]) -> list[Photo]:
        """Make a media row for every file, by its name, so that it is known before it is uploaded."""
        photos = [Photo(uuid4(), name, path) for name, path in files.items()]
        bucket = self._addresses.photos_bucket
        with self._connect() as connection, connection.cursor() as cursor:
            cursor.executemany(
                _ANNOUNCE,
                [(photo.media_id, event_id, bucket, object_name(event_id, photo)) for photo in photos],
            )
        return photos

    def upload(self, event_id: UUID, photos: Sequence[Photo], on_uploaded: Callable[[], None] = lambda: None) -> None:
        """Upload the files, several at once; ``on_uploaded`` is called after each."""
        bucket = self._storage.bucket(self._addresses.photos_bucket)

        def upload_one(photo: Photo) -> None:
            content_type = mimetypes.guess_type(photo.path.name)[0] or "application/octet-stream"
            bucket.blob(object_name(event_id, photo)).upload_from_filename(str(photo.path), content_type=content_type)
            on_uploaded()

        with ThreadPoolExecutor(_UPLOADS_AT_ONCE) as pool:
            list(pool.map(upload_one, photos))

    def progress(self, event_id: UUID) -> Progress:
        """Where the event stands now."""
        with self._connect() as connection:
            row = connection.execute(_PROGRESS, {"event_id": event_id}).fetchone()
        if row is None:
            message = "a count always answers"
            raise RuntimeError(message)
        settled = row.pop("nothing_to_cluster") and row["done"] == row["photos"]
        return Progress(**row, settled=settled)

    def report(self, event_id: UUID, photos: Sequence[Photo]) -> dict[str, Any]:
        """Photos with their faces, persons, and how many faces are in none: as JSON values."""
        with self._connect() as connection:
            jobs = {row["media_id"]: row for row in connection.execute(_JOBS, (event_id,)).fetchall()}
            faces = connection.execute(_FACES, (event_id,)).fetchall()
            persons = connection.execute(_PERSONS, (event_id,)).fetchall()
        return {
            "photos": [
                {
                    "name": photo.name,
                    "status": jobs[photo.media_id]["status"] or "pending",
                    "error": _problem_of(jobs[photo.media_id]),
                    "faces": [
                        {
                            "id": str(face["id"]),
                            "bbox": face["bbox"],
                            "quality": round(face["quality_score"], 4),
                            "person": str(face["face_person_id"]) if face["face_person_id"] else None,
                        }
                        for face in faces
                        if face["media_id"] == photo.media_id
                    ],
                }
                for photo in photos
            ],
            "persons": [
                {
                    "id": str(person["id"]),
                    "label": f"Person {number}",
                    "face_count": person["face_count"],
                    "representative": str(person["representative_face_id"] or ""),
                }
                for number, person in enumerate(persons, start=1)
            ],
            "noise": sum(face["face_person_id"] is None for face in faces),
        }

    def thumbnails(self, event_id: UUID) -> dict[str, bytes]:
        """Download the thumbnails (JPEG) of the event's faces, by face id."""
        bucket = self._storage.bucket(self._addresses.derived_bucket)
        with self._connect() as connection:
            faces = connection.execute(_FACES, (event_id,)).fetchall()
        return {
            str(face["id"]): bucket.blob(face["thumbnail_object"]).download_as_bytes()
            for face in faces
            if face["thumbnail_object"]
        }

    def _connect(self) -> psycopg.Connection[DictRow]:
        return psycopg.connect(self._addresses.database_url, row_factory=dict_row)


def object_name(event_id: UUID, photo: Photo) -> str:
    """Return the photo's object in the photos bucket."""
    return f"events/{event_id}/{photo.media_id}/{photo.path.name}"


def _problem_of(job: Mapping[str, Any]) -> str | None:
    skipped = job["skipped"]
    return f"skipped: {skipped}" if skipped else job["error"]
