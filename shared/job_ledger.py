"""The job ledger: all statements that insert or update rows of ``ml_jobs``.

A job's *run* counts how often the job was requested. A message of an older run is stale, and a message of a run that
has ended is a duplicate; both change nothing.
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

# Failures that another attempt may resolve: another delivery of the message runs such a job once more.
TRY_AGAIN_CODES = frozenset({"dead_letter", "stuck"})
_LONGEST_ERROR = 1000


@dataclass(frozen=True)
class Job:
    """The columns of ``ml_jobs`` on which the functions' decisions depend. ``media_id`` is a detect job's photo."""

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
        """Whether the job is completed or failed for good, so that another delivery of its message does nothing."""
        return self.status == "completed" or (self.status == "failed" and self.error_code not in TRY_AGAIN_CODES)


@dataclass(frozen=True)
class AskedJob:
    """What a job's message contains. ``media_id`` is a detect job's photo."""

    id: UUID
    run: int
    job_type: JobType
    event_id: UUID
    media_id: UUID | None


@dataclass(frozen=True)
class PhotoObject:
    """What a detect job reads: a generation of a photo's object, 0 while the object is not known."""

    event_id: UUID
    media_id: UUID
    generation: int


# ---------------------------------------------------------------- make, renew, hand to the bus

# There is one job per generation: an existing one stays, also one that another transaction is inserting.
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
# Rows are locked in the order of their ids, as everywhere (ARCHITECTURE.md, "Locks").
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
# The job waits to be released, like a low-priority job. The next attempt clears untried_since with the result.
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
    """Make detect jobs for the objects that have none, and return those made; the caller publishes them (`publish`).

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
    """Make a clustering job for the event; the caller publishes it (`publish`)."""
    return AskedJob(**one_row(connection, _MAKE_CLUSTERING, (event_id,)))


def renew(
    connection: Connection,
    job_ids: Sequence[UUID],
    *,
    states: Collection[str] | None = None,
    priority: Priority | None = None,
    is_released: bool = True,
) -> list[AskedJob]:
    """Request jobs again: reset their outcome, and increase their run so that earlier messages are stale.

    Only jobs in one of ``states`` are renewed (a status, or ``waiting`` for one that is pending and not released); None
    renews all. The priority is kept unless one is given. Returns the renewed jobs.
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
    """Renew one locked job, whatever its state, and return its new state."""
    [asked] = renew(connection, [job.id])
    return replace(job, status="pending", run=asked.run, attempts=0, error_code=None)


def publish(connection: Connection, jobs: Sequence[AskedJob]) -> None:
    """Put the jobs' messages into the outbox, in this order."""
    outbox.add_messages(connection, [_message(job) for job in jobs])


def release(connection: Connection, jobs: Sequence[AskedJob]) -> None:
    """Publish the jobs' messages, perhaps again. The run stays the same, so that older messages remain valid."""
    connection.execute(_RELEASE, ([job.id for job in jobs],))
    publish(connection, jobs)


def put_back(connection: Connection, job: Job, patience: timedelta) -> bool:
    """Let a job without attempts wait until the sweep releases it.

    Returns False, and changes nothing, when it was first put back longer than ``patience`` ago.
    """
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
# A job that is left from an earlier row or an earlier refusal of this photo.
_DROP_ENDED = """
DELETE FROM ml_jobs WHERE job_type = 'detect' AND event_id IS NOT NULL AND media_ids[1] = %(media_id)s
    AND object_generation = %(generation)s AND id <> %(job_id)s AND status IN ('completed', 'failed')
"""
# Not when the host app has inserted the row again meanwhile: that photo's file name is wanted.
_FORGET_FILE_NAMES = """
UPDATE ml_jobs SET result = result - 'object'
WHERE job_type = 'detect' AND event_id IS NOT NULL AND media_ids[1] = %(media_id)s AND result ? 'object'
    AND NOT EXISTS (SELECT FROM media WHERE id = %(media_id)s)
"""


def job_of_object(connection: Connection, media_id: UUID, generation: int) -> Job | None:
    """Lock and return the detect job of an object's generation; None when there is none."""
    row = connection.execute(_JOB_OF_OBJECT, {"media_id": media_id, "generation": generation}).fetchone()
    return lock(connection, row["id"]) if row else None


def adopt_earlier_job(connection: Connection, photo: PhotoObject) -> bool:
    """Assign the object to the photo's open job that was requested before the object was known; False if none."""
    values = {"event_id": photo.event_id, "media_id": photo.media_id, "generation": photo.generation}
    return bool(connection.execute(_ADOPT_EARLIER_JOB, values).rowcount)


def adopt_generation(connection: Connection, job: Job, generation: int) -> bool:
    """Assign a generation to a job that was made before its object was known; False when another job has it."""
    values = {"job_id": job.id, "media_id": job.media_id, "generation": generation}
    return bool(connection.execute(_ADOPT_GENERATION, values).rowcount)


def drop_ended(connection: Connection, job: Job, generation: int) -> None:
    """Delete another job of this generation that has ended, so that ``job`` can have the generation."""
    connection.execute(_DROP_ENDED, {"media_id": job.media_id, "generation": generation, "job_id": job.id})


def forget_file_names(connection: Connection, media_id: UUID) -> None:
    """Remove object names from the jobs of a photo whose row was deleted."""
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
# The mark is in the job's result, which a renewed job loses, so that its next end is notified again.
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
    """Lock the job's row until the transaction ends, and return the job; None when it does not exist."""
    row = connection.execute(_LOCK, (job_id,)).fetchone()
    return Job(**row) if row else None


def start(connection: Connection, job: Job) -> None:
    """Mark the job as processing, and count one more attempt."""
    connection.execute(_START, (job.id,))


def give_back(database: Database, job: Job) -> None:
    """Uncount an attempt that was started and then found no free memory, so that no work was done. Never raises.

    The job's status stays, since another delivery of its message may be processing it at this moment.
    """
    try:
        with database.transaction() as connection:
            connection.execute(_GIVE_BACK, (job.id, job.run))
    except Retryable:
        logger().warning("an attempt could not be uncounted", job_id=str(job.id))


def complete(connection: Connection, job: Job, result: Mapping[str, Any]) -> None:
    """Mark the job completed with its result, and publish that it finished."""
    _finish(connection, job, "completed", result=result)


def fail(connection: Connection, job: Job, code: str, reason: str, result: Mapping[str, Any] | None = None) -> None:
    """Mark the job failed with a reason, and publish that it finished."""
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
    """Record why an attempt failed, so that a later dead letter can report it. Never raises."""
    text = f"{type(error).__name__}: {error}".replace("\0", "\ufffd")[:_LONGEST_ERROR]  # Postgres has no NUL in text
    try:
        with database.transaction() as connection:
            connection.execute(_NOTE, {"id": job_id, "error": text})
    except Retryable:
        logger().warning("an attempt's error could not be recorded", job_id=str(job_id))


def note_reported(connection: Connection, job_id: UUID, run: int) -> bool:
    """Record when callback first received this outcome; False when it was recorded before or the run is not current."""
    return connection.execute(_REPORTED, (job_id, run)).rowcount == 1


def take_finished_run(connection: Connection, event_id: UUID) -> tuple[UUID, int] | None:
    """Mark the event's newest clustering as notified and return it, if it is completed and was not; else None."""
    row = connection.execute(_TAKE_FINISHED_RUN, (event_id,)).fetchone()
    return (row["id"], row["run"]) if row else None
