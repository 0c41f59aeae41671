"""The job ledger on a real Postgres: every transition, and what the table itself refuses."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from shared import job_ledger
from shared.contracts import JobFinished, encode
from shared.database import Connection, Database
from shared.errors import Retryable
from shared.job_ledger import Job
from tests.arrange import cluster_job, detect_job, event, job_row, photo, rows


def locked(database: Database, job_id: UUID) -> Job:
    with database.transaction() as inner:
        job = job_ledger.lock(inner, job_id)
    assert job is not None
    return job


@pytest.fixture
def event_id(connection: Connection) -> UUID:
    return event(connection)


def test_there_may_be_no_such_job(database: Database) -> None:
    with database.transaction() as inner:
        assert job_ledger.lock(inner, uuid4()) is None


def test_a_job_starts_and_is_completed_and_says_so(database: Database, connection: Connection, event_id: UUID) -> None:
    media_id = photo(connection, event_id)
    job_id = detect_job(connection, event_id, media_id)
    with database.transaction() as inner:
        job = job_ledger.lock(inner, job_id)
        assert job == Job(job_id, "detect", event_id, media_id, 1, "pending", 1, 0, None)
        job_ledger.start(inner, job)
    assert (job_row(connection, job_id)["status"], job_row(connection, job_id)["attempts"]) == ("processing", 1)
    with database.transaction() as inner:
        job_ledger.complete(inner, job, {"faces": 2})
    row = job_row(connection, job_id)
    assert (row["status"], row["result"], row["error"], row["error_code"]) == ("completed", {"faces": 2}, None, None)
    assert row["completed_at"] >= row["started_at"]
    (entry,) = rows(connection, "outbox")
    message = JobFinished.parse(encode(entry["data"]), entry["attributes"])
    assert (message.job_id, message.media_id, message.status, message.run) == (job_id, media_id, "completed", 1)


def test_a_failure_is_kept_with_its_reason_and_said(database: Database, connection: Connection, event_id: UUID) -> None:
    job_id = cluster_job(connection, event_id)
    with database.transaction() as inner:
        job_ledger.fail(inner, locked(database, job_id), "no_consent", "it was withdrawn")
    row = job_row(connection, job_id)
    assert (row["status"], row["error_code"], row["error"]) == ("failed", "no_consent", "it was withdrawn")
    (entry,) = rows(connection, "outbox")
    assert (entry["topic"], entry["data"]["status"], entry["data"]["media_id"]) == ("face-results", "failed", None)


def test_another_attempt_forgets_the_last_one(database: Database, connection: Connection, event_id: UUID) -> None:
    job_id = cluster_job(connection, event_id, status="failed", attempts=3, error="x", error_code="stuck")
    with database.transaction() as inner:
        job_ledger.start(inner, locked(database, job_id))
    row = job_row(connection, job_id)
    assert (row["status"], row["attempts"], row["error"], row["completed_at"]) == ("processing", 4, None, None)


@pytest.mark.parametrize(
    ("status", "code", "ended"),
    [
        ("pending", None, False),
        ("processing", None, False),
        ("completed", None, True),
        ("failed", "corrupt", True),
        ("failed", "no_consent", True),
        ("failed", "dead_letter", False),
        ("failed", "stuck", False),
    ],
)
def test_a_job_has_ended_unless_another_delivery_may_mend_it(
    database: Database, connection: Connection, event_id: UUID, status: str, code: str | None, *, ended: bool
) -> None:
    job_id = cluster_job(connection, event_id, status=status, error_code=code)
    assert locked(database, job_id).has_ended is ended


def lock_impatiently(database: Database, job_id: UUID) -> None:
    with database.transaction() as other:
        other.execute("SET LOCAL lock_timeout = '50ms'")
        job_ledger.lock(other, job_id)


def test_a_locked_job_is_waited_for_and_then_retried(
    database: Database, connection: Connection, event_id: UUID
) -> None:
    job_id = cluster_job(connection, event_id)
    with database.transaction() as one:
        job_ledger.lock(one, job_id)
        with pytest.raises(Retryable, match="busy"):
            lock_impatiently(database, job_id)


# ---------------------------------------------------------------- the error of an attempt


def test_the_error_of_an_attempt_is_kept_while_the_job_is_open(
    database: Database, connection: Connection, event_id: UUID
) -> None:
    job_id = cluster_job(connection, event_id, status="processing")
    job_ledger.note_error(database, job_id, Retryable("the bucket is away"))
    assert job_row(connection, job_id)["error"] == "Retryable: the bucket is away"


def test_the_error_of_an_attempt_does_not_touch_a_job_that_ended(
    database: Database, connection: Connection, event_id: UUID
) -> None:
    job_id = cluster_job(connection, event_id, status="completed")
    job_ledger.note_error(database, job_id, Retryable("late"))
    assert job_row(connection, job_id)["error"] is None


@pytest.mark.parametrize("text", ["x" * 100_000, "a NUL \0 inside", ""])
def test_any_error_can_be_noted(database: Database, connection: Connection, event_id: UUID, text: str) -> None:
    job_id = cluster_job(connection, event_id, status="processing")
    job_ledger.note_error(database, job_id, ValueError(text))
    kept = job_row(connection, job_id)["error"]
    assert kept.startswith("ValueError: ")
    assert len(kept) <= 1000


def test_noting_an_error_never_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.database._POOL_TIMEOUT_SECONDS", 0.2)
    gone = Database("postgresql://nobody@127.0.0.1:1/nothing?connect_timeout=1")
    job_ledger.note_error(gone, uuid4(), ValueError("lost"))
    gone.close()


# ---------------------------------------------------------------- what the table refuses


@pytest.mark.parametrize(
    "change",
    [
        "status = 'failed', completed_at = now()",
        "status = 'failed', completed_at = now(), error = 'x'",
        "status = 'completed'",
        "completed_at = now()",
        "status = 'paused'",
        "priority = 'urgent'",
        "job_type = 'dance'",
        "attempts = -1",
        "run = 0",
        "job_type = 'detect', media_ids = '{}'",
    ],
)
def test_a_job_that_makes_no_sense_is_refused(connection: Connection, event_id: UUID, change: str) -> None:
    job_id = cluster_job(connection, event_id)
    with pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(f"UPDATE ml_jobs SET {change} WHERE id = %s", (job_id,))


def test_an_object_s_generation_has_one_job(connection: Connection, event_id: UUID) -> None:
    media_id = photo(connection, event_id)
    detect_job(connection, event_id, media_id, status="completed", age=timedelta(hours=1))
    detect_job(connection, event_id, media_id, generation=2)
    with pytest.raises(psycopg.errors.UniqueViolation):
        detect_job(connection, event_id, media_id)


def test_an_event_is_clustered_by_one_job_at_a_time(connection: Connection, event_id: UUID) -> None:
    cluster_job(connection, event_id, status="completed")
    cluster_job(connection, event_id, status="processing")
    with pytest.raises(psycopg.errors.UniqueViolation):
        cluster_job(connection, event_id)
    cluster_job(connection, event(connection))
