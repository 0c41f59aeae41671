"""One event on real Postgres and real storage, and the detection that works on it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, TypeVar
from uuid import UUID, uuid4

import numpy as np
from google.cloud import storage
from numpy.typing import NDArray

from functions.detect.engine import DetectionResult, Engine
from functions.detect.pipeline import Detection
from functions.detect.settings import DetectSettings
from shared.contracts import DetectRequested, JobFinished, StorageNotification
from shared.database import Connection, Database
from shared.decode import DecodedPhoto
from shared.outbox import Outbox
from shared.storage import CloudStorage, StoredObject

MODEL = "mini-of-this-test"
_Seen = TypeVar("_Seen")


class SimulatedCrash(BaseException):
    """The process dies here: nobody may catch this."""


@dataclass
class Steps:
    """Every side effect passes by here, before and after; at the step ``crash_at`` the process dies."""

    crash_at: int | None = None
    passed: list[str] = field(default_factory=list)

    def take(self, name: str) -> None:
        self.passed.append(name)
        if self.crash_at is not None and len(self.passed) - 1 == self.crash_at:
            raise SimulatedCrash(name)


class RecordingPublisher:
    """Takes every message."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self.messages: list[tuple[str, bytes, dict[str, str]]] = []

    def publish(self, topic: str, data: bytes, attributes: Mapping[str, str]) -> None:
        self._steps.take("before publish")
        self.messages.append((topic, data, dict(attributes)))
        self._steps.take("after publish")

    def finished(self) -> list[JobFinished]:
        return [
            JobFinished.parse(data, attributes)
            for topic, data, attributes in self.messages
            if topic == JobFinished.topic
        ]

    def requests(self) -> list[DetectRequested]:
        """What detection is asked for."""
        return [
            DetectRequested.parse(data, attributes)
            for topic, data, attributes in self.messages
            if topic == DetectRequested.topic
        ]


class WatchedStore(CloudStorage):
    """The real storage; counts what is read and lets a test step in."""

    def __init__(self, project: str, steps: Steps) -> None:
        super().__init__(project)
        self._steps = steps
        self.reads: list[str] = []
        self.before_read: Callable[[], None] = lambda: None
        self.before_write: Callable[[], None] = lambda: None
        self.after_read: Callable[[], None] = lambda: None

    def generation(self, bucket: str, name: str) -> int:
        self.reads.append(name)
        return super().generation(bucket, name)

    def read(self, bucket: str, name: str, generation: int, *, max_bytes: int) -> bytes:
        self._steps.take("before read")
        self.reads.append(name)
        self.before_read()
        data = super().read(bucket, name, generation, max_bytes=max_bytes)
        self.after_read()
        self._steps.take("after read")
        return data

    def list_objects(self, bucket: str, prefix: str, *, most: int) -> list[StoredObject]:
        self._steps.take("before listing")
        listed = super().list_objects(bucket, prefix, most=most)
        self._steps.take("after listing")
        return listed

    def write(self, bucket: str, name: str, data: bytes, *, content_type: str) -> None:
        self._steps.take("before write of a thumbnail")
        self.before_write()
        super().write(bucket, name, data, content_type=content_type)
        self._steps.take("after write of a thumbnail")

    def delete_prefix(self, bucket: str, prefix: str) -> int:
        self._steps.take("before deletion of thumbnails")
        deleted = super().delete_prefix(bucket, prefix)
        self._steps.take("after deletion of thumbnails")
        return deleted


class WatchedDatabase(Database):
    """The real database; each transaction is three steps."""

    def __init__(self, url: str, steps: Steps) -> None:
        super().__init__(url, pool_size=8)
        self.steps = steps

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        self.steps.take("before transaction")
        with super().transaction() as connection:
            yield connection
            self.steps.take("before commit")
        self.steps.take("after commit")


class RememberingEngine:
    """The real engine, which looks at the same picture only once in a session."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: dict[object, Any] = {}
        self._lock = Lock()

    def detect(self, photo: DecodedPhoto) -> DetectionResult:
        key = ("detect", hashlib.sha256(photo.rgb.tobytes()).digest())
        return self._once(key, lambda: self._engine.detect(photo))

    def embed_at(self, photo: DecodedPhoto, landmarks: Sequence[Sequence[float]]) -> NDArray[np.float32] | None:
        key = ("embed", hashlib.sha256(photo.rgb.tobytes()).digest(), np.asarray(landmarks).tobytes())
        return self._once(key, lambda: self._engine.embed_at(photo, landmarks))

    def embed_thumbnail(self, thumbnail: bytes) -> NDArray[np.float32]:
        return self._once(("thumbnail", thumbnail), lambda: self._engine.embed_thumbnail(thumbnail))

    def _once(self, key: object, look: Callable[[], _Seen]) -> _Seen:
        with self._lock:
            if key not in self._known:
                self._known[key] = look()
            seen: _Seen = self._known[key]
            return seen


@dataclass(frozen=True)
class Buckets:
    """The emulated storage and two buckets of this test's own."""

    client: storage.Client
    project: str
    photos: str
    derived: str

    def thumbnails(self) -> set[str]:
        return {blob.name for blob in self.client.list_blobs(self.derived)}


class Scene:
    """An event that consents, its photos, and the detection."""

    def __init__(self, database_url: str, connection: Connection, buckets: Buckets, engine: RememberingEngine) -> None:
        self.database_url = database_url
        self.connection = connection
        self.buckets = buckets
        self.engine = engine
        self.event_id = self.make_event()
        self.steps = Steps()
        self.database = WatchedDatabase(database_url, self.steps)
        self.restart()

    def restart(self, *, crash_at: int | None = None, model: str = MODEL, **settings: Any) -> None:
        """Start the function anew: nothing that it held in memory is left.

        Connections, which hold nothing between transactions, are new only if it may have died with them.
        """
        may_have_died = self.steps.crash_at is not None
        self.steps = Steps(crash_at)
        if may_have_died:
            self.close()
            self.database = WatchedDatabase(self.database_url, self.steps)
        self.database.steps = self.steps
        self.store = WatchedStore(self.buckets.project, self.steps)
        self.publisher = RecordingPublisher(self.steps)
        self.outbox = Outbox(self.database, self.publisher, self.store, self.buckets.derived)
        self.detection = Detection(
            self.database,
            self.store,
            self.outbox,
            self.engine,  # type: ignore[arg-type]  # as the engine, but it remembers
            model,
            DetectSettings(
                database_url=self.database_url,
                google_cloud_project=self.buckets.project,
                photos_bucket=self.buckets.photos,
                derived_bucket=self.buckets.derived,
                **settings,
            ),
        )

    def close(self) -> None:
        self.database.close()

    # ------------------------------------------------------------ the host app

    def make_event(self, *, consents: bool = True, archived: bool = False) -> UUID:
        event_id = uuid4()
        self.connection.execute(
            """
            INSERT INTO events (id, name, face_recognition_enabled, consent_text_version, consented_at, archived_at)
            VALUES (%s, 'a test', %s, '1', now(), CASE WHEN %s THEN now() END)
            """,
            (event_id, consents, archived),
        )
        return event_id

    def withdraw_consent(self) -> None:
        self.connection.execute("UPDATE events SET face_recognition_enabled = false WHERE id = %s", (self.event_id,))

    def upload(
        self,
        data: bytes,
        media_id: UUID | None = None,
        *,
        event_id: UUID | None = None,
        name: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> StorageNotification:
        """Put a photo into the bucket; returns what storage says of it."""
        name = name or f"events/{event_id or self.event_id}/{media_id or uuid4()}/photo.jpg"
        blob = self.buckets.client.bucket(self.buckets.photos).blob(name)
        blob.metadata = dict(metadata or {})
        blob.upload_from_string(data, content_type="image/jpeg")
        return StorageNotification(
            event_type="OBJECT_FINALIZE",
            bucket=self.buckets.photos,
            object_name=name,
            generation=int(blob.generation),
            overwritten_by_generation=None,
            metadata=dict(metadata or {}),
            uploaded_at=blob.time_created,
        )

    def remove(self, uploaded: StorageNotification) -> StorageNotification:
        """Delete the photo from the bucket; returns what storage says of it."""
        self.buckets.client.bucket(self.buckets.photos).blob(uploaded.object_name).delete()
        return deleted(uploaded)

    def ask(self, media_id: UUID) -> DetectRequested:
        """What enqueueing with force does: the newest job of the photo is asked for again."""
        row = self.connection.execute(
            """
            UPDATE ml_jobs SET status = 'pending', run = run + 1, attempts = 0, completed_at = NULL, result = NULL,
                error = NULL, error_code = NULL
            WHERE id = (
                SELECT id FROM ml_jobs WHERE media_ids[1] = %s ORDER BY object_generation DESC LIMIT 1
            ) RETURNING id, run, event_id
            """,
            (media_id,),
        ).fetchone()
        assert row is not None
        return DetectRequested(job_id=row["id"], run=row["run"], event_id=row["event_id"], media_id=media_id)

    def announce(self, uploaded: StorageNotification) -> DetectRequested:
        """The host made the photo's row, and the sweep, which has seen no upload of it, asks for it."""
        media_id = media_of(uploaded)
        self.connection.execute(
            "INSERT INTO media (id, event_id, bucket, object_name) VALUES (%s, %s, %s, %s)",
            (media_id, self.event_id, uploaded.bucket, uploaded.object_name),
        )
        (job,) = self.rows(
            "INSERT INTO ml_jobs (job_type, event_id, media_ids) VALUES ('detect', %s, ARRAY[%s::uuid]) RETURNING id",
            self.event_id,
            media_id,
        )
        return DetectRequested(job_id=job["id"], run=1, event_id=self.event_id, media_id=media_id)

    # ------------------------------------------------------------ looking

    def rows(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        return self.connection.execute(statement, values).fetchall()

    def job(self) -> dict[str, Any]:
        """The newest detect job."""
        return self.rows("SELECT * FROM ml_jobs WHERE job_type = 'detect' ORDER BY created_at DESC LIMIT 1")[0]

    def job_of(self, uploaded: StorageNotification) -> dict[str, Any]:
        return self.rows(
            "SELECT * FROM ml_jobs WHERE media_ids[1] = %s AND object_generation = %s",
            media_of(uploaded),
            uploaded.generation,
        )[0]

    def faces(self, media_id: UUID | None = None) -> list[dict[str, Any]]:
        return self.rows(
            "SELECT * FROM faces WHERE %s::uuid IS NULL OR media_id = %s ORDER BY (bbox ->> 'x')::float8",
            media_id,
            media_id,
        )

    def settle(self) -> None:
        """What the tick does for the outbox."""
        self.outbox.drain()

    def an_hour_later(self) -> None:
        """Every entry of the outbox is due, and the tick has come by."""
        self.connection.execute("UPDATE outbox SET due_at = least(due_at, now())")
        self.settle()

    def dump(self) -> dict[str, Any]:
        """The whole database but for times, counted attempts and rows of the bus; and the bucket's thumbnails."""
        jobs = self.rows(
            """
            SELECT id, job_type, event_id, media_ids, object_generation, status, run, error_code, error,
                result #- '{milliseconds}' AS result FROM ml_jobs ORDER BY media_ids, object_generation, error
            """
        )
        faces = self.rows("SELECT * FROM faces ORDER BY id")
        for row in faces:
            row.pop("created_at"), row.pop("updated_at")
            row["embedding"] = str(row["embedding"])
        # A job's id is chance where the job is made by its message.
        names = {row["id"]: (tuple(row["media_ids"]), row["object_generation"]) for row in jobs}
        for row in jobs:
            row["id"] = names[row["id"]]
        return {
            "jobs": jobs,
            "faces": faces,
            "media": self.rows(
                "SELECT id, event_id, bucket, object_name, object_generation, deleted_generation FROM media ORDER BY id"
            ),
            "tags": self.rows(
                "SELECT media_id, tagged_user_id, source, face_id FROM media_tags ORDER BY media_id, tagged_user_id"
            ),
            "counters": self.rows(
                "SELECT event_id, embedding_model, changed_photos FROM event_counters ORDER BY event_id"
            ),
            "outbox": self.rows("SELECT kind, topic, data, bucket, object_prefix, last_error FROM outbox ORDER BY id"),
            "thumbnails": sorted(self.buckets.thumbnails()),
        }

    def clear(self) -> None:
        """Empty the database and the derived bucket, but not the events."""
        # Not TRUNCATE, which would build every index anew.
        for statement in (
            "DELETE FROM media",
            "DELETE FROM deleted_photos",
            "DELETE FROM ml_jobs",
            "DELETE FROM outbox",
            "DELETE FROM event_counters",
        ):
            self.connection.execute(statement)
        for name in self.buckets.thumbnails():
            self.buckets.client.bucket(self.buckets.derived).blob(name).delete()


def media_of(uploaded: StorageNotification) -> UUID:
    """The photo that an upload belongs to."""
    return uploaded.photo_ids()[1]


def deleted(uploaded: StorageNotification, overwritten_by: int | None = None) -> StorageNotification:
    """What storage says when that very object goes."""
    return uploaded.model_copy(update={"event_type": "OBJECT_DELETE", "overwritten_by_generation": overwritten_by})


def boxes(faces: Sequence[Mapping[str, Any]]) -> list[str]:
    """The faces' boxes, in order."""
    return [json.dumps(face["bbox"], sort_keys=True) for face in faces]
