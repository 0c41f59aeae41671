"""Rows that tests start from, and the whole database as one value that can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import numpy as np
from numpy.typing import NDArray
from psycopg import sql
from psycopg.types.json import Jsonb

from shared.database import Connection

MODEL = "test-model"
PHOTOS_BUCKET = "photos"
DERIVED_BUCKET = "derived"
BOX = {"x": 0.1, "y": 0.1, "w": 0.2, "h": 0.2}


def user(connection: Connection) -> UUID:
    """A user."""
    user_id = uuid4()
    connection.execute("INSERT INTO users (id, display_name) VALUES (%s, 'somebody')", (user_id,))
    return user_id


def event(connection: Connection, *, consents: bool = True, language: str = "fr", archived: bool = False) -> UUID:
    """An event, with consent if not said otherwise."""
    event_id = uuid4()
    connection.execute(
        """
        INSERT INTO events (id, name, language, face_recognition_enabled, consent_text_version, consented_at,
            archived_at)
        VALUES (%s, 'an event', %s, %s, '1', now(), CASE WHEN %s THEN now() END)
        """,
        (event_id, language, consents, archived),
    )
    return event_id


def withdraw_consent(connection: Connection, event_id: UUID) -> None:
    """Switch face recognition off."""
    connection.execute("UPDATE events SET face_recognition_enabled = false WHERE id = %s", (event_id,))


def member(connection: Connection, event_id: UUID, role: str = "member") -> UUID:
    """A user who belongs to the event."""
    user_id = user(connection)
    connection.execute("INSERT INTO event_members VALUES (%s, %s, %s)", (event_id, user_id, role))
    return user_id


def photo(
    connection: Connection,
    event_id: UUID,
    *,
    generation: int | None = 1,
    named: bool = True,
    age: timedelta = timedelta(0),
) -> UUID:
    """A photo. ``generation`` None: announced, not uploaded; ``named`` False: its object is not known either."""
    media_id = uuid4()
    connection.execute(
        """
        INSERT INTO media (id, event_id, bucket, object_name, object_generation, created_at)
        VALUES (%s, %s, %s, %s, %s, now() - %s)
        """,
        (
            media_id,
            event_id,
            PHOTOS_BUCKET if named else None,
            f"events/{event_id}/{media_id}/photo.jpg" if named else None,
            generation,
            age,
        ),
    )
    return media_id


def counters(connection: Connection, event_id: UUID, *, changed: int = 0, ago: timedelta = timedelta(0)) -> None:
    """The event's counters: ``changed`` photos, the first of them ``ago``."""
    connection.execute(
        """
        INSERT INTO event_counters (event_id, embedding_model, changed_photos, first_change_at)
        VALUES (%(event)s, %(model)s, %(changed)s, CASE WHEN %(changed)s > 0 THEN clock_timestamp() - %(ago)s END)
        ON CONFLICT (event_id) DO UPDATE SET embedding_model = excluded.embedding_model,
            changed_photos = excluded.changed_photos, first_change_at = excluded.first_change_at
        """,
        {"event": event_id, "model": MODEL, "changed": changed, "ago": ago},
    )


def face(
    connection: Connection,
    event_id: UUID,
    media_id: UUID,
    embedding: NDArray[np.float32] | Sequence[float] | None = None,
    *,
    person_id: UUID | None = None,
    placed_by_human: bool = False,
    quality: float = 0.9,
) -> UUID:
    """A face, large and sharp and frontal; by default with an embedding of its own."""
    connection.execute(
        "INSERT INTO event_counters (event_id, embedding_model) VALUES (%s, %s) ON CONFLICT DO NOTHING",
        (event_id, MODEL),
    )
    face_id = uuid4()
    vector = one_hot(face_id.int % 512) if embedding is None else np.asarray(embedding, dtype=np.float32)
    connection.execute(
        """
        INSERT INTO faces (id, media_id, event_id, object_generation, face_person_id, placed_by_human, bbox,
            embedding, embedding_model, quality_score, landmarks, sharpness, yaw, pitch, roll, size_px)
        VALUES (%s, %s, %s, 1, %s, %s, %s, %s::vector, %s, %s, '[[0.1, 0.1]]', 300, 0, 0, 0, 150)
        """,
        (
            face_id,
            media_id,
            event_id,
            person_id,
            placed_by_human,
            Jsonb(BOX),
            str(vector.tolist()),
            MODEL,
            quality,
        ),
    )
    return face_id


def one_hot(place: int) -> NDArray[np.float32]:
    """A unit vector along one of 512 axes."""
    vector = np.zeros(512, dtype=np.float32)
    vector[place] = 1
    return vector


def portraits(persons: int, each: int, *, seed: int = 0, first: int = 0) -> NDArray[np.float32]:
    """Embeddings of well separated people: float32[persons, each, 512] of length 1; cosine .8 within, 0 between.

    ``first`` numbers the people, so that another call with the next number makes others.
    """
    rng = np.random.default_rng(seed)
    result = np.empty((persons, each, 512), dtype=np.float32)
    for person in range(persons):
        rows = one_hot(first + person) + 0.5 * _unit(rng.standard_normal((each, 512)))
        result[person] = _unit(rows)
    return result


def _unit(rows: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), dtype=np.float32)


def person(
    connection: Connection,
    event_id: UUID,
    *,
    status: str = "pending",
    linked_user_id: UUID | None = None,
    merged_into_id: UUID | None = None,
    label: int | None = None,
    edits: int = 0,
) -> UUID:
    """A person, as people or an earlier run left it."""
    person_id = uuid4()
    connection.execute(
        """
        INSERT INTO face_persons (id, event_id, status, linked_user_id, merged_into_id, cluster_label, metadata)
        VALUES (%s, %s, %s, %s, %s, %s, %s)
        """,
        (person_id, event_id, status, linked_user_id, merged_into_id, label, Jsonb({"manual_edits": edits})),
    )
    return person_id


def detect_job(
    connection: Connection,
    event_id: UUID,
    media_id: UUID,
    *,
    status: str = "pending",
    generation: int = 1,
    priority: str = "normal",
    attempts: int = 0,
    released: bool = True,
    age: timedelta = timedelta(0),
    error: str | None = None,
    error_code: str | None = None,
) -> UUID:
    """A detect job whose times are all ``age`` ago."""
    return _job(
        connection,
        "detect",
        event_id,
        [media_id],
        status=status,
        generation=generation,
        priority=priority,
        attempts=attempts,
        released=released,
        age=age,
        error=error,
        error_code=error_code,
    )


def cluster_job(
    connection: Connection,
    event_id: UUID,
    *,
    status: str = "pending",
    attempts: int = 0,
    age: timedelta = timedelta(0),
    error: str | None = None,
    error_code: str | None = None,
) -> UUID:
    """A cluster job whose times are all ``age`` ago."""
    return _job(
        connection,
        "cluster",
        event_id,
        [],
        status=status,
        generation=0,
        priority="normal",
        attempts=attempts,
        released=True,
        age=age,
        error=error,
        error_code=error_code,
    )


def _job(
    connection: Connection,
    job_type: str,
    event_id: UUID,
    media_ids: list[UUID],
    *,
    status: str,
    generation: int,
    priority: str,
    attempts: int,
    released: bool,
    age: timedelta,
    error: str | None,
    error_code: str | None,
) -> UUID:
    job_id = uuid4()
    failed = status == "failed"
    connection.execute(
        """
        INSERT INTO ml_jobs (id, job_type, event_id, media_ids, object_generation, status, priority, attempts,
            error_code, error, result, created_at, released_at, started_at, completed_at)
        VALUES (%(id)s, %(job_type)s, %(event)s, %(media)s, %(generation)s, %(status)s, %(priority)s, %(attempts)s,
            %(code)s, %(error)s, %(result)s, clock_timestamp() - %(age)s,
            CASE WHEN %(released)s THEN clock_timestamp() - %(age)s END,
            CASE WHEN %(status)s <> 'pending' THEN clock_timestamp() - %(age)s END,
            CASE WHEN %(status)s IN ('completed', 'failed') THEN clock_timestamp() - %(age)s END)
        """,
        {
            "id": job_id,
            "job_type": job_type,
            "event": event_id,
            "media": media_ids,
            "generation": generation,
            "status": status,
            "priority": priority,
            "attempts": attempts,
            "code": error_code or ("corrupt" if failed else None),
            "error": error or ("it is broken" if failed else None),
            "result": Jsonb({}) if status == "completed" else None,
            "age": age,
            "released": released,
        },
    )
    return job_id


def job_row(connection: Connection, job_id: UUID) -> dict[str, Any]:
    """The job's row."""
    row = connection.execute("SELECT * FROM ml_jobs WHERE id = %s", (job_id,)).fetchone()
    assert row is not None
    return row


def rows(connection: Connection, table: str) -> list[dict[str, Any]]:
    """All rows of a table, in an order of their own."""
    statement = sql.SQL("SELECT * FROM {table} ORDER BY {table}::text").format(table=sql.Identifier(table))
    return connection.execute(statement).fetchall()


TABLES = (
    "cluster_runs",
    "dead_letters",
    "decisions",
    "event_counters",
    "events",
    "face_persons",
    "face_rejections",
    "face_suggestions",
    "face_tombstones",
    "faces",
    "media",
    "media_tags",
    "merge_suggestions",
    "ml_jobs",
    "outbox",
    "split_suggestions",
)


def snapshot(connection: Connection, *without: str) -> dict[str, list[str]]:
    """Every row of every table as text: equal when nothing at all changed (``without`` names tables left out)."""
    return {
        table: [
            row["content"]
            for row in connection.execute(
                sql.SQL("SELECT {table}::text AS content FROM {table} ORDER BY 1").format(table=sql.Identifier(table))
            ).fetchall()
        ]
        for table in TABLES
        if table not in without
    }
