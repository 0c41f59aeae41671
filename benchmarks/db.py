"""``make bench-db``: the twenty hottest statements at two sizes of the database, and which grow with what is kept.

Fills an embedded Postgres with synthetic events of equal size, first with a tenth of them and then with all: 1 million
faces and 300,000 photos. At both sizes the stores' own functions are called for the first event; each statement that
they execute is explained (``EXPLAIN (ANALYZE, BUFFERS)``) with its own values and rights, and taken back. Since the
event stays the same, a statement that reads more pages at the second size grows with what is kept.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import numpy as np
import psycopg
from pgvector.psycopg import register_vector
from psycopg.rows import dict_row

from functions.admin.events import store as events_store
from functions.admin.invitations import store as invitations_store
from functions.admin.operations import store as operations_store
from functions.admin.review import decisions_store, faces_store, persons_store
from functions.admin.review.persons_store import PersonFilter
from functions.callback import retention
from functions.callback import store as callback_store
from functions.cluster import store as cluster_store
from functions.detect import faces_store as detected_store
from functions.detect import store as detect_store
from functions.detect.boxes import Box
from functions.detect.engine import DetectedFace
from functions.detect.objects import Photo
from functions.detect.redetection import Picture, Redetection
from local.cloud.postgres import database_url, postgres_process, remove_data
from local.cloud.processes import Supervisor
from local.cloud.state import State
from shared import job_ledger
from shared.database import Connection, Database
from shared.outbox import Outbox
from shared.publish import Publisher
from sql.migrate import migrate

_EVENT_FACES, _EVENT_PHOTOS, _EVENT_PERSONS, _EVENT_MEMBERS = 10_000, 3_000, 300, 50
_ANNOUNCED_EACH = 3  # photos of an event whose upload never came
_TEMPLATES = 200  # different embeddings; the others are copies
_SMALLER = 10  # the first size is this part of the second
_RUNS = 3
# A statement grows when it reads half as many pages again, and so many more that it is not a deeper index.
_GROWS_BY, _GROWS_FROM_PAGES = 1.5, 50

_PREPARE = (
    "CREATE TEMPORARY TABLE template (number integer PRIMARY KEY, embedding vector(512))",
    # Rows are made as they are in the end: neither triggers nor foreign keys are asked.
    "SET session_replication_role = replica",
)
_FILL = (
    """
    INSERT INTO events (id, name, face_recognition_enabled, consent_text_version, consented_at)
    VALUES (%(event)s, 'a benchmark', true, 'bench', now())
    """,
    """
    INSERT INTO event_counters (event_id, embedding_model, last_requested_at)
    VALUES (%(event)s, 'bench', now() - interval '30 days')
    """,
    """
    WITH made AS (
        INSERT INTO users (id, display_name) SELECT gen_random_uuid(), 'Member ' || n
        FROM generate_series(1, %(members)s) AS n RETURNING id, display_name
    )
    INSERT INTO event_members
    SELECT %(event)s, id, CASE WHEN display_name = 'Member 1' THEN 'owner' ELSE 'member' END FROM made
    """,
    """
    INSERT INTO media (id, event_id, bucket, object_name, object_generation, created_at)
    SELECT md5(%(event)s || 'photo' || n)::uuid, %(event)s, 'photos', 'events/' || n, 1,
        now() - interval '30 days' + n * interval '1 second'
    FROM generate_series(1, %(photos)s) AS n
    """,
    """
    INSERT INTO media (event_id, bucket, object_name, created_at)
    SELECT %(event)s, 'photos', 'events/announced' || n, now() - interval '20 days'
    FROM generate_series(1, %(announced)s) AS n
    """,
    """
    INSERT INTO ml_jobs (job_type, event_id, media_ids, object_generation, status, error_code, error, released_at,
        started_at, completed_at, reported_at, created_at, result)
    SELECT 'detect', event_id, ARRAY[id], coalesce(object_generation, 0),
        CASE WHEN object_generation IS NULL THEN 'failed' ELSE 'completed' END,
        CASE WHEN object_generation IS NULL THEN 'no_object' END, CASE WHEN object_generation IS NULL THEN 'none' END,
        created_at, created_at, created_at, created_at, created_at, '{"faces": 3}'
    FROM media WHERE event_id = %(event)s
    """,
    """
    INSERT INTO ml_jobs (job_type, event_id, status, released_at, started_at, completed_at, reported_at, created_at,
        result)
    SELECT 'cluster', %(event)s, 'completed', at, at, at, at, at, '{"told": true}'
    FROM generate_series(now() - interval '30 days', now() - interval '29 days', interval '1 hour') AS at
    """,
    """
    INSERT INTO face_persons (id, event_id, cluster_label, created_at)
    SELECT md5(%(event)s || 'person' || n)::uuid, %(event)s, n, now() - n * interval '1 second'
    FROM generate_series(1, %(persons)s) AS n
    """,
    # One in ten faces is in no person.
    """
    INSERT INTO faces (id, media_id, event_id, object_generation, face_person_id, bbox, embedding, embedding_model,
        quality_score, sharpness, yaw, pitch, roll, size_px, thumbnail_object, created_at)
    SELECT gen_random_uuid(), md5(%(event)s || 'photo' || 1 + n %% %(photos)s)::uuid, %(event)s, 1,
        CASE WHEN n %% 10 > 0 THEN md5(%(event)s || 'person' || 1 + n * 7 %% %(persons)s)::uuid END,
        '{"x": 0.1, "y": 0.1, "w": 0.2, "h": 0.2}', template.embedding, 'bench', 0.5 + random() / 2, 300 * random(),
        40 * random(), 20 * random(), 0, 60 + (100 * random())::integer, 'bench/' || %(event)s || '/' || n,
        now() - interval '30 days'
    FROM generate_series(1, %(faces)s) AS n JOIN template ON template.number = n %% %(templates)s
    """,
    """
    UPDATE face_persons SET representative_face_id = (
        SELECT id FROM faces WHERE face_person_id = face_persons.id ORDER BY quality_score DESC LIMIT 1
    ) WHERE event_id = %(event)s
    """,
)
_SETTLE = "VACUUM (ANALYZE)"
_AS_ORGANISER = """
SELECT set_config('role', 'trombi_reviewer', true), set_config('request.jwt.claims', %s, true)
"""
_SUBJECTS = """
SELECT faces.media_id, faces.face_person_id AS person_id, faces.id AS face_id, member.user_id, job.id AS job_id
FROM faces JOIN event_members AS member ON member.event_id = faces.event_id AND member.role = 'owner'
JOIN ml_jobs AS job ON job.job_type = 'detect' AND job.event_id IS NOT NULL AND job.media_ids[1] = faces.media_id
WHERE faces.event_id = %s AND face_person_id IS NOT NULL ORDER BY faces.id LIMIT 1
"""
_COUNT = "SELECT (SELECT count(*) FROM faces) AS faces, (SELECT count(*) FROM media) AS photos"


@dataclass(frozen=True)
class Cost:
    """What a call's statements took: milliseconds of execution and pages (8 kB) touched."""

    milliseconds: float
    pages: int


@dataclass
class Explained:
    """A connection whose statements are explained, and taken back, before they are executed."""

    inner: Connection
    milliseconds: float = 0.0
    pages: int = 0

    def execute(self, statement: str, values: Any = None, **options: Any) -> Any:  # noqa: ANN401 - as psycopg's
        """Explain the statement, add to the cost, and execute it."""
        with self.inner.transaction(force_rollback=True):
            found = self.inner.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", values).fetchone()
        explained = cast("dict[str, Any]", found)["QUERY PLAN"][0]
        self.milliseconds += explained["Planning Time"] + explained["Execution Time"]
        self.pages += explained["Plan"]["Shared Hit Blocks"] + explained["Plan"]["Shared Read Blocks"]
        return self.inner.execute(statement, values, **options)


@dataclass(frozen=True)
class _OneConnection:
    """Stands for `Database` where a use case opens its own transactions."""

    connection: Connection

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        yield self.connection


@dataclass(frozen=True)
class Subjects:
    """The event that is asked about, and something of each kind in it."""

    event_id: UUID
    media_id: UUID
    person_id: UUID
    face_id: UUID
    user_id: UUID
    job_id: UUID


Call = Callable[[Connection, Subjects], object]
_STATUSES = ("pending", "linked", "invited", "ignored")
_GRACE = timedelta(minutes=10)


def _retention(connection: Connection, _: Subjects) -> object:
    periods = retention.RetentionPeriods(timedelta(days=365))
    return retention.erase_what_is_due(cast("Database", _OneConnection(connection)), periods)


def _start(connection: Connection, of: Subjects) -> object:
    job = job_ledger.lock(connection, of.job_id)
    assert job is not None  # noqa: S101 - the benchmark made it
    job_ledger.start(connection, job)
    return None


def _write_face(connection: Connection, of: Subjects) -> object:
    embedding = np.zeros(512, dtype=np.float32)
    embedding[0] = 1
    landmarks = ((0.15, 0.15), (0.25, 0.15), (0.2, 0.2), (0.16, 0.25), (0.24, 0.25))
    face = DetectedFace(Box(0.5, 0.5, 0.2, 0.2), landmarks, 0.9, 300.0, 5.0, 3.0, 0.0, 150, embedding, b"")
    return detected_store.write_faces(
        connection,
        Photo(of.media_id, of.event_id, "photos", "events/1", 1, 0),
        1,
        Picture(),
        [face],
        Redetection((uuid4(),), frozenset(), frozenset()),
        in_same_bytes=frozenset(),
        model="bench",
        derived_bucket="derived",
    )


def _next_of_outbox(connection: Connection, _: Subjects) -> object:
    return Outbox(cast("Database", _OneConnection(connection)), cast("Publisher", None)).drain(limit=1)


def _persons(connection: Connection, of: Subjects) -> object:
    wanted = PersonFilter(of.event_id, _STATUSES, 1, None, None, None)
    return persons_store.persons(connection, wanted, "photos", None, 101)


# By what happens: a photo, its result, the tick, a run, an organiser at work, a guest.
SYSTEM: dict[str, Call] = {
    "a photo: lock it": lambda c, of: detect_store.lock_photo(c, of.media_id, of.event_id),
    "a photo: find and lock its job": lambda c, of: job_ledger.job_of_object(c, of.media_id, 1),
    "a photo: end open jobs": lambda c, of: detect_store.end_open_jobs(c, of.media_id, [1], "bench"),
    "a photo: start its job": _start,
    "a photo: the faces it has": lambda c, of: detected_store.known_faces(c, of.media_id, "bench"),
    "a photo: write a face": _write_face,
    "a result: debounce": lambda c, of: callback_store.lock_counters(c, of.event_id, _GRACE),
    "a result: the newest run": lambda c, of: job_ledger.take_finished_run(c, of.event_id),
    "tick: photos without a job": lambda c, _: callback_store.request_photos_without_job(c, _GRACE, 200),
    "tick: stuck jobs": lambda c, _: callback_store.stuck_jobs(c, _GRACE, 200),
    "tick: jobs that were put back": lambda c, _: callback_store.release_put_back(c, 200),
    "tick: jobs of low priority": lambda c, _: callback_store.release_waiting(c, 200),
    "tick: changed and untold events": lambda c, _: (
        callback_store.changed_events(c, 200), callback_store.untold_events(c, 200),
    ),
    "tick: retention": _retention,
    "tick: next of the outbox": _next_of_outbox,
    "a run: load": lambda c, of: cluster_store.load(c, of.event_id),
    "a mail: best faces": lambda c, of: callback_store.best_faces(c, of.person_id, 6),
    "a guest: faces of the invitation": lambda c, of: invitations_store.faces(c, of.person_id, 60),
}  # fmt: skip
ORGANISER: dict[str, Call] = {
    "progress": lambda c, of: events_store.progress(c, of.event_id, 10),
    "list of persons": _persons,
    "a person": lambda c, of: decisions_store.state(c, of.person_id),
    "a person's faces": lambda c, of: faces_store.faces_of_person(c, of.event_id, of.person_id, None, 101),
    "a thumbnail": lambda c, of: faces_store.thumbnail(c, of.event_id, of.face_id),
    "faces of nobody": lambda c, of: faces_store.faces_of_nobody(c, of.event_id, None, 101),
    "questions": lambda c, of: persons_store.suggestions(c, of.event_id, None, 51),
    "enqueue: photos of the event": lambda c, of: operations_store.photos_to_ask_for(
        c, of.event_id, None, {"failed"}, 10_000
    ),
}


@dataclass
class Bench:
    """A database that grows, and what the calls cost at each size."""

    url: str
    events: list[UUID] = field(default_factory=list)

    def fill(self, events: int) -> None:
        """Add events until there are so many."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            register_vector(connection)
            for statement in _PREPARE:
                connection.execute(statement)
            rng = np.random.default_rng(0)
            rows = rng.standard_normal((_TEMPLATES, 512)).astype(np.float32)
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
            for number, row in enumerate(rows):
                connection.execute("INSERT INTO template VALUES (%s, %s)", (number, row))
            while len(self.events) < events:
                event_id = uuid4()
                values = {
                    "event": str(event_id),
                    "members": _EVENT_MEMBERS,
                    "photos": _EVENT_PHOTOS,
                    "announced": _ANNOUNCED_EACH,
                    "persons": _EVENT_PERSONS,
                    "faces": _EVENT_FACES,
                    "templates": _TEMPLATES,
                }
                with connection.transaction():
                    for statement in _FILL:
                        psycopg.ClientCursor(connection).execute(statement, values)
                self.events.append(event_id)
                say(f"\r{len(self.events)} of {events} events of {_EVENT_FACES:,} faces", end="")
            connection.execute(_SETTLE)
        say()

    def measure(self) -> dict[str, Cost]:
        """Time each call; return the best of a few runs."""
        with psycopg.connect(self.url, row_factory=dict_row) as connection:
            register_vector(connection)
            found = connection.execute(_SUBJECTS, (self.events[0],)).fetchone()
            subjects = Subjects(self.events[0], **cast("dict[str, Any]", found))
            connection.rollback()
            claims = json.dumps({"sub": str(subjects.user_id)})
            costs = {name: _cost(connection, call, subjects, None) for name, call in SYSTEM.items()}
            return costs | {
                f"organiser: {name}": _cost(connection, call, subjects, claims) for name, call in ORGANISER.items()
            }

    def size(self) -> str:
        """How many faces and photos there are, as words."""
        with psycopg.connect(self.url, row_factory=dict_row) as connection:
            row = connection.execute(_COUNT).fetchone()
        assert row is not None  # noqa: S101 - a count
        return f"{row['faces']:,} faces, {row['photos']:,} photos"


def _cost(connection: Connection, call: Call, subjects: Subjects, claims: str | None) -> Cost:
    costs = []
    for _ in range(_RUNS):
        with connection.transaction(force_rollback=True):
            if claims is not None:
                connection.execute(_AS_ORGANISER, (claims,))
            explained = Explained(connection)
            call(cast("Connection", explained), subjects)
            costs.append(Cost(explained.milliseconds, explained.pages))
    return min(costs, key=lambda cost: cost.milliseconds)


def grows(before: Cost, after: Cost) -> bool:
    """Whether a call reads more pages in a larger database."""
    return after.pages > _GROWS_BY * before.pages and after.pages - before.pages > _GROWS_FROM_PAGES


def table(sizes: Sequence[str], before: dict[str, Cost], after: dict[str, Cost]) -> str:
    """Return the costs at both sizes, as Markdown."""
    lines = [
        f"| | {sizes[0]}: ms | pages | {sizes[1]}: ms | pages | |",
        "|---|---|---|---|---|---|",
    ]
    for name, small in before.items():
        large = after[name]
        told = "**grows**" if grows(small, large) else ""
        columns = [name, *(f"{cost.milliseconds:.1f} | {cost.pages:,}" for cost in (small, large)), told]
        lines.append(f"| {' | '.join(columns)} |")
    return "\n".join(lines)


def say(text: str = "", end: str = "\n") -> None:
    """Write to the terminal at once."""
    sys.stdout.write(text + end)
    sys.stdout.flush()


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.db", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--faces", type=int, default=1_000_000, help="faces of the larger size, by 10,000 (an event)")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> None:
    """Fill, measure, fill up, measure again, and print the table."""
    events = max(2, _arguments(words).faces // _EVENT_FACES)
    with tempfile.TemporaryDirectory(prefix="trombi-bench-") as folder:
        state = State(Path(folder))
        state.lock()
        supervisor = Supervisor(state.directory / "logs", lambda _: None)
        port = state.ports("postgres")["postgres"]
        try:
            supervisor.start(postgres_process("postgres", port, state.directory, lambda _: None, fast=True))
            migrate(database_url(port))
            bench = Bench(database_url(port))
            sizes, costs = [], []
            for wanted in (max(1, events // _SMALLER), events):
                started = time.monotonic()
                bench.fill(wanted)
                sizes.append(bench.size())
                say(f"{sizes[-1]} ({time.monotonic() - started:.0f} s); measuring")
                costs.append(bench.measure())
            say(table(sizes, *costs))
        finally:
            supervisor.stop()
            remove_data(state.directory)
            state.release()


if __name__ == "__main__":
    main()
