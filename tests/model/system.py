"""The four functions in one process: real Postgres, buckets in memory, a bus that delivers at once and in order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, LiteralString
from uuid import UUID

import psycopg
from pgvector.psycopg import register_vector
from psycopg import sql
from psycopg.rows import dict_row

from functions.admin.door.auth import SERVICE
from functions.admin.operations.enqueue import EnqueueRequest, enqueue
from functions.callback.results import Results, consider_clustering
from functions.callback.settings import CallbackSettings
from functions.callback.sweep import Sweep
from functions.cluster.run import ClusterRun
from functions.detect.pipeline import Detection
from functions.detect.settings import DetectSettings
from shared.contracts import ClusterRequested, DetectRequested, JobFinished, StorageNotification
from shared.database import Connection, Database
from shared.outbox import Outbox
from tests.fakes import Contents, MemoryObjects, Published, RecordingPublisher
from tests.model.pictures import Engine

PHOTOS, DERIVED = "photos", "derived"
# What one step leads to is a handful of messages; more go round in a circle.
_MOST_MESSAGES = 100

_SEEN = """
SELECT
    -- Not whole rows: embeddings as text take longer than all the rest.
    (SELECT coalesce(jsonb_agg(jsonb_build_object('id', id, 'media_id', media_id, 'bbox', bbox,
        'face_person_id', face_person_id, 'thumbnail_object', thumbnail_object)), '[]') FROM faces) AS faces,
    (SELECT coalesce(jsonb_agg(p), '[]') FROM face_persons AS p) AS persons,
    (SELECT coalesce(jsonb_agg(t), '[]') FROM media_tags AS t) AS tags,
    (SELECT coalesce(jsonb_agg(m), '[]') FROM media AS m) AS media,
    (SELECT coalesce(jsonb_agg(s), '[]') FROM face_suggestions AS s) AS suggestions,
    (SELECT coalesce(jsonb_agg(j), '[]') FROM ml_jobs AS j WHERE status NOT IN ('completed', 'failed')) AS open_jobs,
    (SELECT coalesce(jsonb_agg(o), '[]') FROM outbox AS o) AS outbox,
    (SELECT coalesce(jsonb_agg(r), '[]') FROM purge_receipts AS r WHERE completed_at IS NULL) AS open_receipts
"""
_TABLES = """
SELECT relname AS name, array_agg(attname ORDER BY attnum) AS columns
FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace AND relname <> 'schema_migrations'
    AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
GROUP BY relname ORDER BY relname
"""

Row = dict[str, Any]


@dataclass(frozen=True)
class Seen:
    """What is there: rows as JSON values, and the names of the thumbnails."""

    faces: list[Row]
    persons: list[Row]
    tags: list[Row]
    media: list[Row]
    suggestions: list[Row]
    open_jobs: list[Row]
    outbox: list[Row]
    open_receipts: list[Row]
    thumbnails: list[str]


class OneConnection(Database):
    """The database by one connection that is never asked whether it is still there: nothing happens side by side."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.connection: Connection = psycopg.connect(url, autocommit=True, row_factory=dict_row)
        register_vector(self.connection)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """See `shared.database.Database`."""
        with self.connection.transaction():
            yield self.connection

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


@dataclass
class Moment:
    """What can be gone back to: the buckets, the messages so far, and the rows of every table in COPY's text."""

    objects: Contents
    delivered: list[StorageNotification | Published]
    rows: dict[str, bytes] = field(default_factory=dict)


class System:
    """What a host app and its users have before them."""

    def __init__(self, database_url: str) -> None:
        self.database = OneConnection(database_url)
        self.objects = MemoryObjects()
        self.bus = RecordingPublisher()
        self.outbox = Outbox(self.database, self.bus, self.objects, DERIVED)
        detect = DetectSettings(
            database_url=database_url, google_cloud_project="model", photos_bucket=PHOTOS, derived_bucket=DERIVED
        )
        self._callback = CallbackSettings(
            database_url=database_url, google_cloud_project="model", derived_bucket=DERIVED, cluster_min_interval=0
        )
        engine: Any = Engine()
        self.detection = Detection(self.database, self.objects, self.outbox, engine, "mini", detect)
        self.results = Results(self.database, self.outbox, self._callback)
        self.sweep = Sweep(self.database, self.outbox, self._callback)
        self.clustering = ClusterRun(self.database, self.outbox)
        self.delivered: list[StorageNotification | Published] = []
        self._tables = {row["name"]: row["columns"] for row in self.database.connection.execute(_TABLES).fetchall()}
        delete = sql.SQL("DELETE FROM {}")
        self._empty = sql.SQL("; ").join(delete.format(sql.Identifier(table)) for table in self._tables)

    def close(self) -> None:
        """Let go of the database."""
        self.database.close()

    # ------------------------------------------------------------ the bus

    def notify(self, notification: StorageNotification) -> None:
        """What storage says of an object, delivered now."""
        self.delivered.append(notification)
        self.detection.uploaded(notification)

    def settle(self) -> None:
        """Deliver every message until there is none, and ask for the clustering that is left over, as the tick does."""
        for _ in range(_MOST_MESSAGES):
            self.outbox.drain()
            messages = self.bus.take()
            for message in messages:
                self.deliver(message)
            if messages:
                continue
            left_over = self.execute("SELECT event_id FROM event_counters WHERE changed_photos > 0")
            if not left_over:
                return
            with self.database.transaction() as connection:
                for event in left_over:
                    consider_clustering(connection, event["event_id"], self._callback)
        error = f"after {_MOST_MESSAGES} rounds there are still messages"
        raise AssertionError(error)

    def deliver(self, message: StorageNotification | Published) -> None:
        """Deliver one message, for the first time or once more."""
        if isinstance(message, StorageNotification):
            self.detection.uploaded(message)
            return
        data, attributes = message.data, message.attributes
        if message not in self.delivered:
            self.delivered.append(message)
        if message.topic == DetectRequested.topic:
            self.detection.requested(DetectRequested.parse(data, attributes))
        elif message.topic == ClusterRequested.topic:
            self.clustering.requested(ClusterRequested.parse(data, attributes))
        elif message.topic == JobFinished.topic:
            self.results.finished(JobFinished.parse(data, attributes))

    # ------------------------------------------------------------ the bucket

    def put(self, name: str, content: bytes) -> int:
        """Upload an object; storage tells of it, and of the one that it overwrites. Its generation."""
        before = self.objects.find(PHOTOS, name)
        generation = self.objects.put(PHOTOS, name, content)
        if before is not None:
            self.notify(_notification("OBJECT_DELETE", name, before, overwritten_by=generation))
        self.notify(_notification("OBJECT_FINALIZE", name, generation))
        return generation

    def remove(self, name: str) -> bool:
        """Delete an object; storage tells of it. False: there was none."""
        generation = self.objects.find(PHOTOS, name)
        if generation is None:
            return False
        self.objects.remove(PHOTOS, name)
        self.notify(_notification("OBJECT_DELETE", name, generation))
        return True

    # ------------------------------------------------------------ the database

    def execute(self, statement: str, *values: Any) -> list[Row]:
        """What the host app does to its rows by SQL."""
        cursor = self.database.connection.execute(statement, values)
        return cursor.fetchall() if cursor.description else []

    def look_again(self, event_id: UUID, media_id: UUID) -> None:
        """Ask for a photo that was looked at already."""
        request = EnqueueRequest(event_id=event_id, media_ids=[media_id], force=True)
        with self.database.transaction() as connection:
            enqueue(connection, SERVICE, request)

    def cluster(self, event_id: UUID) -> None:
        """Have the event clustered, though nothing changed."""
        self.execute(
            "UPDATE event_counters SET changed_photos = 1, first_change_at = now() WHERE event_id = %s", event_id
        )
        self.settle()

    def look(self) -> Seen:
        """Everything that the model says something about."""
        row = self.database.connection.execute(_SEEN).fetchone()
        assert row is not None
        return Seen(**row, thumbnails=self.objects.names(DERIVED))

    def keep(self) -> Moment:
        """This moment."""
        moment = Moment(self.objects.contents(), list(self.delivered))
        for table, columns in self._tables.items():
            with self.database.connection.cursor().copy(_copy("COPY {} ({}) TO STDOUT", table, columns)) as copy:
                content = b"".join(bytes(part) for part in copy)
            if content:
                moment.rows[table] = content
        return moment

    def go_back(self, moment: Moment) -> None:
        """Make it that moment again."""
        self.objects.put_back(moment.objects)
        self.bus.take()
        self.delivered = list(moment.delivered)
        with self.database.connection.transaction():
            # Neither triggers nor foreign keys.
            self.database.connection.execute("SET LOCAL session_replication_role = replica")
            self.database.connection.execute(self._empty)
            for table, content in moment.rows.items():
                statement = _copy("COPY {} ({}) FROM STDIN", table, self._tables[table])
                with self.database.connection.cursor().copy(statement) as copy:
                    copy.write(content)

    def tidy(self) -> None:
        """Clear away the rows that sequences left behind, which make statements slow."""
        self.database.connection.execute("VACUUM")


def _copy(template: LiteralString, table: str, columns: list[str]) -> sql.Composed:
    names = sql.SQL(", ").join(sql.Identifier(column) for column in columns)
    return sql.SQL(template).format(sql.Identifier(table), names)


def _notification(
    event_type: Any, name: str, generation: int, overwritten_by: int | None = None
) -> StorageNotification:
    return StorageNotification(
        event_type=event_type,
        bucket=PHOTOS,
        object_name=name,
        generation=generation,
        overwritten_by_generation=overwritten_by,
        metadata={},
    )
