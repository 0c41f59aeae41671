"""The tick and the debounce read no more of a database in which much is kept."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

import psycopg
import pytest

from functions.callback import retention_store, store
from shared.database import Connection, Database
from tests.arrange import counters, event

_PHOTOS = 5000
# What it takes to go down some indexes; the tables have a few hundred pages each.
_MOST_PAGES = 60
_FILL = (
    "SET session_replication_role = replica",  # neither triggers nor foreign keys
    """
    INSERT INTO media (event_id, bucket, object_name, object_generation, created_at)
    SELECT %(event)s, 'photos', 'events/' || n, 1, now() - interval '1 day' FROM generate_series(1, %(photos)s) AS n
    """,
    """
    INSERT INTO ml_jobs (job_type, event_id, media_ids, object_generation, status, released_at, started_at,
        completed_at)
    SELECT 'detect', event_id, ARRAY[id], 1, 'completed', created_at, created_at, created_at FROM media
    """,
    """
    INSERT INTO faces (id, media_id, event_id, object_generation, bbox, embedding_model, quality_score, size_px,
        landmarks, thumbnail_object)
    SELECT gen_random_uuid(), id, event_id, 1, '{"x": 0.1, "y": 0.1, "w": 0.2, "h": 0.2}', 'test-model', 0.9, 100,
        '[[0.1, 0.1]]', 'events/' || id
    FROM media
    """,
    "RESET session_replication_role",
    "VACUUM (ANALYZE) media, ml_jobs, faces",
)


class _Counting:
    """A connection that counts the pages that statements touch."""

    def __init__(self, inner: Connection) -> None:
        self._inner = inner
        self.pages: dict[str, int] = {}

    def execute(self, statement: str, values: Any = None) -> Any:
        # Twice: the first time a function is compiled, which reads the catalogue.
        for _ in range(2):
            with self._inner.transaction(force_rollback=True):
                row = self._inner.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", values).fetchone()
        plan = cast("dict[str, Any]", row)["QUERY PLAN"][0]["Plan"]
        self.pages[statement] = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
        return self._inner.execute(statement, values)


@pytest.fixture
def counting(database: Database, connection: Connection) -> _Counting:
    event_id = event(connection)
    counters(connection, event_id)
    for statement in _FILL:
        psycopg.ClientCursor(connection).execute(statement, {"event": event_id, "photos": _PHOTOS})
    return _Counting(connection)


def test_a_tick_s_searches_read_a_few_pages_however_much_is_kept(counting: _Counting) -> None:
    connection = cast("Connection", counting)
    grace = timedelta(minutes=10)
    assert store.request_photos_without_job(connection, grace, 200) == 0
    assert store.stuck_jobs(connection, grace, 200) == []
    assert store.release_put_back(connection, 200) == 0
    assert store.release_waiting(connection, 200) == 0
    assert store.changed_events(connection, 200) == []
    assert store.untold_events(connection, 200) == []
    assert store.unsettled_deletions(connection, 200) == []
    periods = {"biometrics": timedelta(days=365), "addresses": timedelta(days=30), "answers": timedelta(days=1)}
    for kind in retention_store.kinds():
        assert retention_store.erase_batch(connection, kind, periods, 500) == 0
    assert {statement: pages for statement, pages in counting.pages.items() if pages > _MOST_PAGES} == {}


def test_the_debounce_reads_a_few_pages_however_many_photos_the_event_has(counting: _Counting) -> None:
    row = counting.execute("SELECT event_id FROM event_counters").fetchone()
    locked = store.lock_counters(cast("Connection", counting), row["event_id"], timedelta(minutes=10))
    assert locked is not None
    assert not locked[0].photos_wait
    assert {statement: pages for statement, pages in counting.pages.items() if pages > _MOST_PAGES} == {}
