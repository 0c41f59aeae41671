"""The job ledger: what every function does to a row of ``ml_jobs``, in one place.

A job's *run* counts the times it was asked for; a message of an older run is stale, one of a run that has
ended is a duplicate. Both change nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from shared import outbox
from shared.contracts import FinishedStatus, JobFinished, JobType
from shared.database import Connection, Database
from shared.errors import Retryable
from shared.log import logger

# Ways of failing that trying again may mend: another delivery of the message runs such a job once more.
TRY_AGAIN_CODES = frozenset({"dead_letter", "stuck"})
_LONGEST_ERROR = 1000


@dataclass(frozen=True)
class Job:
    """A row of ``ml_jobs``, as far as the functions decide by it. ``media_id`` is a detect job's photo."""

    id: UUID
    job_type: JobType
    event_id: UUID | None
    media_id: UUID | None
    object_generation: int
    status: str
    run: int
    attempts: int
    error_code: str | None

    @property
    def has_ended(self) -> bool:
        """Completed or failed for good, so that another delivery of its message has nothing to do."""
        return self.status == "completed" or (self.status == "failed" and self.error_code not in TRY_AGAIN_CODES)


_LOCK = """
SELECT id, job_type, event_id, media_ids[1] AS media_id, object_generation, status, run, attempts, error_code
FROM ml_jobs WHERE id = %s FOR NO KEY UPDATE
"""
_START = """
UPDATE ml_jobs SET status = 'processing', attempts = attempts + 1, started_at = clock_timestamp(),
    completed_at = NULL, error_code = NULL, error = NULL, result = NULL, reported_at = NULL
WHERE id = %s
"""
_FINISH = """
UPDATE ml_jobs SET status = %(status)s, error_code = %(error_code)s, error = %(error)s, result = %(result)s,
    completed_at = clock_timestamp(), started_at = coalesce(started_at, clock_timestamp()), reported_at = NULL
WHERE id = %(id)s
"""
_NOTE = "UPDATE ml_jobs SET error = %(error)s WHERE id = %(id)s AND status IN ('pending', 'processing')"
_GIVE_BACK = """
UPDATE ml_jobs SET attempts = attempts - 1 WHERE id = %s AND run = %s AND status = 'processing' AND attempts > 0
"""


def lock(connection: Connection, job_id: UUID) -> Job | None:
    """The job, its row locked until the transaction ends; None when there is none (any more)."""
    row = connection.execute(_LOCK, (job_id,)).fetchone()
    return Job(**row) if row else None


def start(connection: Connection, job: Job) -> None:
    """Mark the job as being worked on: one more attempt."""
    connection.execute(_START, (job.id,))


def give_back(database: Database, job: Job) -> None:
    """Uncount an attempt that was started and then found no room: the photo was not tried. Never raises.

    The job stays as it is, for another delivery of its message may be at work on it this moment.
    """
    try:
        with database.transaction() as connection:
            connection.execute(_GIVE_BACK, (job.id, job.run))
    except Retryable:
        logger().warning("an attempt could not be given back", job_id=str(job.id))


def complete(connection: Connection, job: Job, result: Mapping[str, Any]) -> None:
    """Mark the job completed with its result, and say so on the bus."""
    _finish(connection, job, "completed", result=result)


def fail(connection: Connection, job: Job, code: str, reason: str, result: Mapping[str, Any] | None = None) -> None:
    """Mark the job failed with a reason, and say so on the bus."""
    _finish(connection, job, "failed", code=code, reason=reason, result=result)


def _finish(
    connection: Connection,
    job: Job,
    status: FinishedStatus,
    *,
    code: str | None = None,
    reason: str | None = None,
    result: Mapping[str, Any] | None = None,
) -> None:
    connection.execute(
        _FINISH,
        {
            "id": job.id,
            "status": status,
            "error_code": code,
            "error": reason,
            "result": None if result is None else Jsonb(dict(result)),
        },
    )
    outbox.add_message(
        connection,
        JobFinished(
            job_id=job.id,
            run=job.run,
            job_type=job.job_type,
            status=status,
            event_id=job.event_id,
            media_id=job.media_id,
        ),
    )


def note_error(database: Database, job_id: UUID, error: BaseException) -> None:
    """Keep why an attempt failed, so that a dead letter can say it. Never raises."""
    text = f"{type(error).__name__}: {error}".replace("\0", "\ufffd")[:_LONGEST_ERROR]  # Postgres has no NUL in text
    try:
        with database.transaction() as connection:
            connection.execute(_NOTE, {"id": job_id, "error": text})
    except Retryable:
        logger().warning("an attempt's error could not be kept", job_id=str(job_id))
