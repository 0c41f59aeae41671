"""The job ledger: every statement that inserts or updates a row of ``ml_jobs``, in one place.

A job's *run* counts the times it was asked for; a message of an older run is stale, one of a run that has
ended is a duplicate. Both change nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from shared import outbox
from shared.contracts import ClusterRequested, DetectRequested, FinishedStatus, JobFinished, JobType, Message, Priority
from shared.database import Connection, Database, one_row
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


@dataclass(frozen=True)
class AskedJob:
    """A job as its message names it. ``media_id`` is a detect job's photo."""

    id: UUID
    run: int
    job_type: JobType
    event_id: UUID
    media_id: UUID | None


@dataclass(frozen=True)
class PhotoObject:
    """A generation of a photo's object, 0 while the object is not known: what a detect job is about."""

    event_id: UUID
    media_id: UUID
    generation: int


# ---------------------------------------------------------------- make, renew, hand to the bus

# There is one job per generation: whatever is there already, also made by somebody else this moment, stays.
_MAKE_DETECTIONS = """
INSERT INTO ml_jobs (job_type, event_id, media_ids, object_generation, priority, released_at)
SELECT 'detect', made.event_id, ARRAY[made.media_id], made.generation, %(priority)s,
    CASE WHEN %(is_released)s THEN clock_timestamp() END
FROM unnest(%(events)s::uuid[], %(media)s::uuid[], %(generations)s::bigint[]) AS made (event_id, media_id, generation)
ON CONFLICT DO NOTHING RETURNING id, run, job_type, event_id, media_ids[1] AS media_id
"""
_MAKE_CLUSTERING = """
INSERT INTO ml_jobs (job_type, event_id, released_at) VALUES ('cluster', %s, clock_timestamp())
RETURNING id, run, job_type, event_id, NULL::uuid AS media_id
"""
# Rows are locked by id, the order in which everybody locks rows of one kind.
_RENEW = """
WITH asked AS MATERIALIZED (
    SELECT id FROM ml_jobs
    WHERE id = ANY(%(ids)s) AND (
        %(states)s::text[] IS NULL
        OR CASE WHEN status = 'pending' AND released_at IS NULL THEN 'waiting' ELSE status END = ANY(%(states)s)
    )
    ORDER BY id FOR NO KEY UPDATE
)
UPDATE ml_jobs SET status = 'pending', run = run + 1, attempts = 0, error_code = NULL, error = NULL, result = NULL,
    priority = coalesce(%(priority)s, priority),
    released_at = CASE WHEN %(is_released)s THEN clock_timestamp() END,
    started_at = NULL, completed_at = NULL, reported_at = NULL
FROM asked WHERE ml_jobs.id = asked.id
RETURNING ml_jobs.id, run, job_type, event_id, media_ids[1] AS media_id
"""
_RELEASE = "UPDATE ml_jobs SET status = 'pending', released_at = clock_timestamp() WHERE id = ANY(%s)"
# It waits to be released, as a job of low priority does. Since when is forgotten as soon as it is tried.
_PUT_BACK = """
UPDATE ml_jobs SET status = 'pending', released_at = NULL,
    result = jsonb_build_object('untried_since', coalesce(result ->> 'untried_since', clock_timestamp()::text))
WHERE id = %(id)s
    AND coalesce((result ->> 'untried_since')::timestamptz > clock_timestamp() - %(patience)s, true)
"""
_RECORD_UNPLACED = """
INSERT INTO ml_jobs (id, job_type, event_id, status, error_code, error, result, started_at, completed_at)
VALUES (%(id)s, %(job_type)s, NULL, 'failed', %(code)s, %(reason)s, %(result)s, now(), now())
ON CONFLICT (id) DO NOTHING
"""


def make_detections(
    connection: Connection, objects: Sequence[PhotoObject], *, priority: Priority = "normal", is_released: bool = True
) -> list[AskedJob]:
    """Make detect jobs; objects that have one get none. Their messages are the caller's to send (`publish`).

    A job that is not released waits until the sweep releases it.
    """
    rows = connection.execute(
        _MAKE_DETECTIONS,
        {
            "events": [made.event_id for made in objects],
            "media": [made.media_id for made in objects],
            "generations": [made.generation for made in objects],
            "priority": priority,
            "is_released": is_released,
        },
    ).fetchall()
    return [AskedJob(**row) for row in rows]


def make_clustering(connection: Connection, event_id: UUID) -> AskedJob:
    """Make a clustering job of the event; its message is the caller's to send (`publish`)."""
    return AskedJob(**one_row(connection, _MAKE_CLUSTERING, (event_id,)))


def renew(
    connection: Connection,
    job_ids: Sequence[UUID],
    *,
    states: Collection[str] | None = None,
    priority: Priority | None = None,
    is_released: bool = True,
) -> list[AskedJob]:
    """Ask for jobs anew: forget how they ended, and make messages of their earlier runs stale.

    Renews only jobs in one of ``states`` (a status, or ``waiting`` for one that is pending and not released); None
    renews all. Keeps the priority unless one is given. Returns the jobs that were renewed.
    """
    rows = connection.execute(
        _RENEW,
        {
            "ids": list(job_ids),
            "states": None if states is None else sorted(states),
            "priority": priority,
            "is_released": is_released,
        },
    ).fetchall()
    return [AskedJob(**row) for row in rows]


def renewed(connection: Connection, job: Job) -> Job:
    """Renew one job, locked, whatever its state; returns it as it is then."""
    [asked] = renew(connection, [job.id])
    return replace(job, status="pending", run=asked.run, attempts=0, error_code=None)


def publish(connection: Connection, jobs: Sequence[AskedJob]) -> None:
    """Put the jobs' messages into the outbox, in this order."""
    outbox.add_messages(connection, [_message(job) for job in jobs])


def release(connection: Connection, jobs: Sequence[AskedJob]) -> None:
    """Give the jobs' messages to the bus (again). The run stays: an older message does the same work."""
    connection.execute(_RELEASE, ([job.id for job in jobs],))
    publish(connection, jobs)


def put_back(connection: Connection, job: Job, patience: timedelta) -> bool:
    """Let an untried job wait until the sweep releases it; False when it was put back first over ``patience`` ago."""
    return connection.execute(_PUT_BACK, {"id": job.id, "patience": patience}).rowcount == 1


def record_unplaced(
    connection: Connection, job_id: UUID, job_type: JobType, code: str, reason: str, result: Mapping[str, Any]
) -> None:
    """Record a failure that belongs to no event, once per ``job_id``."""
    connection.execute(
        _RECORD_UNPLACED,
        {"id": job_id, "job_type": job_type, "code": code, "reason": reason, "result": Jsonb(dict(result))},
    )


def _message(job: AskedJob) -> Message:
    if job.media_id is None:
        return ClusterRequested(job_id=job.id, run=job.run, event_id=job.event_id)
    return DetectRequested(job_id=job.id, run=job.run, event_id=job.event_id, media_id=job.media_id)


# ---------------------------------------------------------------- the job of a photo's object

_JOB_OF_OBJECT = """
SELECT id FROM ml_jobs WHERE job_type = 'detect' AND event_id IS NOT NULL
    AND media_ids[1] = %(media_id)s AND object_generation = %(generation)s
"""
_ADOPT_EARLIER_JOB = """
UPDATE ml_jobs SET object_generation = %(generation)s WHERE id = (
    SELECT id FROM ml_jobs WHERE job_type = 'detect' AND event_id = %(event_id)s AND media_ids[1] = %(media_id)s
        AND object_generation = 0 AND status IN ('pending', 'processing')
)
"""
_ADOPT_GENERATION = """
UPDATE ml_jobs SET object_generation = %(generation)s WHERE id = %(job_id)s AND NOT EXISTS (
    SELECT FROM ml_jobs AS other WHERE other.job_type = 'detect' AND other.event_id IS NOT NULL
        AND other.media_ids[1] = %(media_id)s AND other.object_generation = %(generation)s AND other.id <> %(job_id)s
)
"""
# What an earlier row of this photo, or its earlier refusal, left.
_DROP_ENDED = """
DELETE FROM ml_jobs WHERE job_type = 'detect' AND event_id IS NOT NULL AND media_ids[1] = %(media_id)s
    AND object_generation = %(generation)s AND id <> %(job_id)s AND status IN ('completed', 'failed')
"""
# Not where the host app made the row anew meanwhile: that photo's file name is wanted.
_FORGET_FILE_NAMES = """
UPDATE ml_jobs SET result = result - 'object'
WHERE job_type = 'detect' AND event_id IS NOT NULL AND media_ids[1] = %(media_id)s AND result ? 'object'
    AND NOT EXISTS (SELECT FROM media WHERE id = %(media_id)s)
"""


def job_of_object(connection: Connection, media_id: UUID, generation: int) -> Job | None:
    """The detect job of an object's generation, locked; None when there is none."""
    row = connection.execute(_JOB_OF_OBJECT, {"media_id": media_id, "generation": generation}).fetchone()
    return lock(connection, row["id"]) if row else None


def adopt_earlier_job(connection: Connection, photo: PhotoObject) -> bool:
    """Make the open job that was asked for before the object was known this object's; False when there is none."""
    values = {"event_id": photo.event_id, "media_id": photo.media_id, "generation": photo.generation}
    return bool(connection.execute(_ADOPT_EARLIER_JOB, values).rowcount)


def adopt_generation(connection: Connection, job: Job, generation: int) -> bool:
    """Tie a job that was made before its object was known to the object; False when another job has it."""
    values = {"job_id": job.id, "media_id": job.media_id, "generation": generation}
    return bool(connection.execute(_ADOPT_GENERATION, values).rowcount)


def drop_ended(connection: Connection, job: Job, generation: int) -> None:
    """Make way for ``job`` as the one of this generation: delete one that has ended."""
    connection.execute(_DROP_ENDED, {"media_id": job.media_id, "generation": generation, "job_id": job.id})


def forget_file_names(connection: Connection, media_id: UUID) -> None:
    """Remove object names from the jobs of a photo whose row is gone."""
    connection.execute(_FORGET_FILE_NAMES, {"media_id": media_id})


# ---------------------------------------------------------------- attempt, end

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
_REPORTED = """
UPDATE ml_jobs SET reported_at = clock_timestamp() WHERE id = %s AND run = %s AND reported_at IS NULL
    AND status IN ('completed', 'failed')
"""
# The mark is in the job's result, so that a clustering that is asked for anew is told anew.
_TAKE_FINISHED_RUN = """
UPDATE ml_jobs SET result = result || '{"told": true}' WHERE status = 'completed' AND NOT result ? 'told' AND id = (
    SELECT id FROM ml_jobs WHERE event_id = %s AND job_type = 'cluster' ORDER BY created_at DESC, id LIMIT 1
) RETURNING id, run
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


def note_reported(connection: Connection, job_id: UUID, run: int) -> bool:
    """Note that callback has heard of this outcome; False when it had before, or the job went on since."""
    return connection.execute(_REPORTED, (job_id, run)).rowcount == 1


def take_finished_run(connection: Connection, event_id: UUID) -> tuple[UUID, int] | None:
    """Mark the event's newest clustering as told, if it is completed and was told to nobody; else None."""
    row = connection.execute(_TAKE_FINISHED_RUN, (event_id,)).fetchone()
    return (row["id"], row["run"]) if row else None
