"""SQL of callback: event counters and clustering requests, the sweep, deleted photos, dead letters, notifications."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID, uuid4

from psycopg.types.json import Jsonb

from functions.callback.debounce import EventCounters
from shared import job_ledger
from shared.contracts import JobType, Run, StorageNotification
from shared.database import Connection, one_row
from shared.job_ledger import AskedJob, Job, PhotoObject

# ---------------------------------------------------------------- debounce

_LOCK_COUNTERS = """
SELECT changed_photos, first_change_at, last_requested_at FROM event_counters
WHERE event_id = %s FOR NO KEY UPDATE
"""
# A photo waits while its job is open, or while it has no job yet and its grace period for the upload has not ended
# (jobs of other objects under its media id, such as a Live Photo's video, do not count). EXISTS stops at the first row:
# this runs once for each photo, while all of the event's photos may be waiting.
_PHOTOS_WAIT = """
SELECT EXISTS (
    SELECT FROM ml_jobs
    WHERE event_id = %(event_id)s AND job_type = 'detect' AND status IN ('pending', 'processing')
) OR EXISTS (
    SELECT FROM media
    WHERE media.event_id = %(event_id)s AND media.object_generation IS NULL AND media.deleted_generation = 0
        AND media.created_at > %(announced_after)s
        AND NOT EXISTS (
            SELECT FROM ml_jobs
            WHERE ml_jobs.job_type = 'detect' AND ml_jobs.event_id IS NOT NULL AND ml_jobs.media_ids[1] = media.id
                AND ml_jobs.object_generation = 0
        )
) AS wait
"""
_OPEN_RUN = """
SELECT EXISTS (
    SELECT FROM ml_jobs WHERE event_id = %s AND job_type = 'cluster' AND status IN ('pending', 'processing')
) AS open
"""
_NOW = "SELECT clock_timestamp() AS now"
_RESET_COUNTERS = """
UPDATE event_counters SET changed_photos = 0, first_change_at = NULL, last_requested_at = clock_timestamp()
WHERE event_id = %s
"""
# Only events with consent: archived events in which photos were deleted must not take up the batch.
_CHANGED_EVENTS = """
SELECT event_id FROM event_counters JOIN events ON events.id = event_id
WHERE changed_photos > 0 AND face_recognition_enabled AND archived_at IS NULL ORDER BY first_change_at LIMIT %s
"""
_UNTOLD_EVENTS = """
SELECT event_counters.event_id FROM event_counters, LATERAL (
    SELECT status, result FROM ml_jobs WHERE ml_jobs.event_id = event_counters.event_id AND job_type = 'cluster'
    ORDER BY created_at DESC, id LIMIT 1
) AS newest
WHERE last_requested_at > statement_timestamp() - interval '1 day' AND changed_photos = 0
    AND newest.status = 'completed' AND NOT newest.result ? 'told'
ORDER BY last_requested_at LIMIT %s
"""


def lock_counters(
    connection: Connection, event_id: UUID, photo_grace: timedelta
) -> tuple[EventCounters, datetime] | None:
    """Lock the event and then its counters until the transaction ends; return them and the database's clock.

    None when nothing was ever detected in the event.
    """
    hold_event(connection, event_id)
    row = connection.execute(_LOCK_COUNTERS, (event_id,)).fetchone()
    if row is None:
        return None
    now = one_row(connection, _NOW, ())["now"]
    photos = one_row(connection, _PHOTOS_WAIT, {"event_id": event_id, "announced_after": now - photo_grace})
    open_run = one_row(connection, _OPEN_RUN, (event_id,))
    return EventCounters(**row, photos_wait=photos["wait"], run_is_open=open_run["open"]), now


def request_clustering(connection: Connection, event_id: UUID) -> UUID:
    """Make the clustering job, reset the counters, and put the message into the outbox."""
    job = job_ledger.make_clustering(connection, event_id)
    connection.execute(_RESET_COUNTERS, (event_id,))
    job_ledger.publish(connection, [job])
    return job.id


def untold_events(connection: Connection, limit: int) -> list[UUID]:
    """Return events, clustered within the last day, whose newest clustering is completed and not yet notified."""
    return [row["event_id"] for row in connection.execute(_UNTOLD_EVENTS, (limit,)).fetchall()]


def changed_events(connection: Connection, limit: int) -> list[UUID]:
    """Return events whose faces changed since clustering was last requested, the longest waiting first."""
    return [row["event_id"] for row in connection.execute(_CHANGED_EVENTS, (limit,)).fetchall()]


# ---------------------------------------------------------------- sweep


_STUCK = """
SELECT id FROM ml_jobs
WHERE (status = 'processing' AND started_at < statement_timestamp() - %(after)s)
    OR (status = 'pending' AND released_at < statement_timestamp() - %(after)s)
ORDER BY created_at LIMIT %(limit)s
"""
_STILL_STUCK = """
SELECT coalesce(
    CASE status WHEN 'processing' THEN started_at WHEN 'pending' THEN released_at END
        < clock_timestamp() - %(after)s, false) AS stuck
FROM ml_jobs WHERE id = %(id)s
"""
# Announced photos whose upload message never came, once their grace period is over. A photo whose upload is being
# accepted at this moment is locked, and has a job when that transaction commits. Photos with a known object have a job
# (both are written in one transaction), so only those without an object are searched: the partial index
# media_announced_idx holds them. Generation 0 is the job of the announced photo itself; other objects under its media
# id have jobs of their own.
_PHOTOS_WITHOUT_JOB = """
SELECT media.event_id, media.id AS media_id, 0 AS generation
FROM media JOIN events ON events.id = media.event_id
WHERE media.object_generation IS NULL AND media.deleted_generation = 0
    AND media.object_name IS NOT NULL AND media.bucket IS NOT NULL
    AND media.created_at < statement_timestamp() - %(grace)s
    AND events.face_recognition_enabled AND events.archived_at IS NULL
    AND NOT EXISTS (
        SELECT FROM ml_jobs
        WHERE ml_jobs.job_type = 'detect' AND ml_jobs.event_id IS NOT NULL AND ml_jobs.media_ids[1] = media.id
            AND ml_jobs.object_generation = 0
    )
ORDER BY media.created_at LIMIT %(limit)s FOR NO KEY UPDATE OF media SKIP LOCKED FOR KEY SHARE OF events SKIP LOCKED
"""
# Jobs whose message became a dead letter before any attempt.
_PUT_BACK_JOBS = """
SELECT id, job_type, run, event_id, media_ids[1] AS media_id FROM ml_jobs
WHERE status = 'pending' AND released_at IS NULL AND event_id IS NOT NULL AND priority <> 'low'
ORDER BY array_position(ARRAY['high', 'normal'], priority), created_at
LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
"""
_WAITING_LOW_PRIORITY = """
SELECT id, job_type, run, event_id, media_ids[1] AS media_id FROM ml_jobs
WHERE job_type = 'detect' AND status = 'pending' AND released_at IS NULL AND event_id IS NOT NULL AND priority = 'low'
    AND NOT EXISTS (
        SELECT FROM ml_jobs AS other WHERE other.job_type = 'detect' AND (
            (other.status = 'processing')
            OR (other.status = 'pending' AND (other.priority <> 'low' OR other.released_at IS NOT NULL))
        )
    )
ORDER BY created_at LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
"""


def stuck_jobs(connection: Connection, after: timedelta, limit: int) -> list[UUID]:
    """Return jobs that were released or started longer than ``after`` ago and have not ended, oldest first."""
    rows = connection.execute(_STUCK, {"after": after, "limit": limit}).fetchall()
    return [row["id"] for row in rows]


def is_still_stuck(connection: Connection, job: Job, after: timedelta) -> bool:
    """Return whether a job, now that it is locked, is still stuck."""
    return bool(one_row(connection, _STILL_STUCK, {"id": job.id, "after": after})["stuck"])


def ask_again(connection: Connection, job: Job) -> None:
    """Publish the job's message once more. Its run stays the same, so that older messages remain valid."""
    if job.event_id is not None:
        job_ledger.release(connection, [AskedJob(job.id, job.run, job.job_type, job.event_id, job.media_id)])


def request_photos_without_job(connection: Connection, grace: timedelta, limit: int) -> int:
    """Make and publish jobs for announced photos whose upload message never came; return how many."""
    rows = connection.execute(_PHOTOS_WITHOUT_JOB, {"grace": grace, "limit": limit}).fetchall()
    made = job_ledger.make_detections(connection, [PhotoObject(**row) for row in rows])
    job_ledger.publish(connection, made)
    return len(made)


def release_put_back(connection: Connection, limit: int) -> int:
    """Publish again the jobs that were put back untried, high priority and then the oldest first; return how many."""
    return _release(connection, connection.execute(_PUT_BACK_JOBS, {"limit": limit}).fetchall())


def release_waiting(connection: Connection, limit: int) -> int:
    """Publish low-priority jobs, but only while no other detect job is open anywhere; return how many."""
    return _release(connection, connection.execute(_WAITING_LOW_PRIORITY, {"limit": limit}).fetchall())


def _release(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> int:
    job_ledger.release(connection, [AskedJob(**row) for row in rows])
    return len(rows)


# ---------------------------------------------------------------- deleted photos

_UNSETTLED = """
SELECT media_id, event_id FROM deleted_photos WHERE settled_at IS NULL ORDER BY deleted_at LIMIT %s
"""
_SETTLE = """
UPDATE deleted_photos SET settled_at = clock_timestamp() WHERE media_id = %s AND settled_at IS NULL
"""
# Not when the host app has inserted the row again meanwhile: that photo's jobs are wanted.
_OPEN_JOBS_OF_DELETED = """
SELECT id FROM ml_jobs
WHERE job_type = 'detect' AND event_id IS NOT NULL AND media_ids[1] = %(media_id)s
    AND status IN ('pending', 'processing') AND NOT EXISTS (SELECT FROM media WHERE id = %(media_id)s)
ORDER BY id
"""
# An event in which no face was found has no counters, and nothing to cluster.
_COUNT_DELETION = """
UPDATE event_counters SET changed_photos = changed_photos + 1,
    first_change_at = coalesce(first_change_at, clock_timestamp())
WHERE event_id = %s
"""


def unsettled_deletions(connection: Connection, limit: int) -> list[tuple[UUID, UUID]]:
    """Return media id and event id of photos whose row was deleted and whose jobs are not settled yet, oldest first."""
    return [(row["media_id"], row["event_id"]) for row in connection.execute(_UNSETTLED, (limit,)).fetchall()]


def settle_deletion(connection: Connection, media_id: UUID, event_id: UUID) -> bool:
    """End the open jobs of a photo whose row was deleted, and count it as a change for the debounce.

    Returns False when that was done before.
    """
    if not connection.execute(_SETTLE, (media_id,)).rowcount:
        return False
    for row in connection.execute(_OPEN_JOBS_OF_DELETED, {"media_id": media_id}).fetchall():
        job = job_ledger.lock(connection, row["id"])
        if job is not None and job.status in ("pending", "processing"):
            job_ledger.complete(connection, job, {"skipped": "the photo was deleted"})
    job_ledger.forget_file_names(connection, media_id)
    connection.execute(_COUNT_DELETION, (event_id,))
    return True


# ---------------------------------------------------------------- dead letters

_KEEP_DEAD_LETTER = """
INSERT INTO dead_letters (topic, message_id, data, attributes, delivery_attempts, error)
VALUES (%(topic)s, %(message_id)s, %(data)s, %(attributes)s, %(attempts)s, %(error)s)
ON CONFLICT (topic, message_id, md5(data)) DO NOTHING RETURNING id
"""
_EXPLAIN_DEAD_LETTER = """
UPDATE dead_letters SET error = %(error)s, job_id = %(job_id)s,
    replayed_at = CASE WHEN %(settled)s THEN clock_timestamp() END
WHERE id = %(id)s
"""
_JOB_ERROR = "SELECT error FROM ml_jobs WHERE id = %s"
# A photo whose row the host app has deleted stays deleted.
_ANNOUNCE = """
INSERT INTO media (id, event_id) SELECT %(media_id)s, id FROM events
WHERE id = %(event_id)s AND NOT trombi_was_deleted(%(media_id)s, %(event_id)s, %(generation)s, %(uploaded_at)s)
ON CONFLICT DO NOTHING
"""
# Only the photo's own object: what an object of another name is, detect has to decide.
_NOTE_OBJECT = """
UPDATE media SET bucket = %(bucket)s, object_name = %(object_name)s, object_generation = %(generation)s
WHERE id = %(media_id)s AND event_id = %(event_id)s AND deleted_generation < %(generation)s
    AND coalesce(object_generation, 0) <= %(generation)s
    AND (object_name IS NULL OR (bucket, object_name) = (%(bucket)s, %(object_name)s))
"""


def job_error(connection: Connection, job: Job) -> str | None:
    """Return why the job's last attempt failed; None when no function could record it."""
    error: str | None = one_row(connection, _JOB_ERROR, (job.id,))["error"]
    return error


def record_job_of_dead_letter(
    connection: Connection, topic: str, message_id: str, error: str, job_type: JobType
) -> UUID:
    """Record a failed job for a dead letter without an open job; return the job's id."""
    job_id = uuid4()
    result = {"topic": topic, "message_id": message_id}
    job_ledger.record_unplaced(connection, job_id, job_type, "dead_letter", error, result)
    return job_id


def keep_dead_letter(
    connection: Connection,
    *,
    topic: str,
    message_id: str,
    data: bytes,
    attributes: Mapping[str, str],
    attempts: int | None,
    error: str,
) -> int | None:
    """Keep a dead letter's message whole, for replay; return its id, or None when it was kept before.

    If another transaction is keeping the same message, this waits for it.
    """
    row = connection.execute(
        _KEEP_DEAD_LETTER,
        {
            "topic": topic,
            "message_id": message_id,
            "data": data,
            "attributes": Jsonb(dict(attributes)),
            "attempts": attempts,
            "error": error,
        },
    ).fetchone()
    return row["id"] if row else None


def explain_dead_letter(
    connection: Connection, dead_letter_id: int, error: str, job_id: UUID, *, settled: bool = False
) -> None:
    """Record why the message was dead-lettered, and its job; ``settled`` means that it need not be replayed."""
    connection.execute(
        _EXPLAIN_DEAD_LETTER, {"error": error, "job_id": job_id, "settled": settled, "id": dead_letter_id}
    )


def job_of_untried_upload(
    connection: Connection, event_id: UUID, media_id: UUID, upload: StorageNotification
) -> Job | None:
    """Make and lock the job of an upload that no function has handled, and the photo's row as detect would make it.

    None when the event does not exist, the photo was deleted, or the photo has another object by now.
    """
    values = {
        "event_id": event_id,
        "media_id": media_id,
        "bucket": upload.bucket,
        "object_name": upload.object_name,
        "generation": upload.generation,
        "uploaded_at": upload.uploaded_at,
    }
    hold_event(connection, event_id)
    connection.execute(_ANNOUNCE, values)
    if not connection.execute(_NOTE_OBJECT, values).rowcount:
        return None
    made = PhotoObject(event_id, media_id, upload.generation)
    if not job_ledger.adopt_earlier_job(connection, made):
        job_ledger.make_detections(connection, [made], is_released=False)
    return job_ledger.job_of_object(connection, media_id, upload.generation)


# ---------------------------------------------------------------- notifications

_OUTCOME = """
SELECT events.language, cluster_runs.persons
FROM cluster_runs JOIN events ON events.id = cluster_runs.event_id
WHERE cluster_runs.job_id = %s AND cluster_runs.run = %s AND events.id = %s
"""
# Locked, so that the second of two simultaneous deliveries sees that the first has sent the mail. Only when photos were
# processed since the last mail to the creator: decisions also cause clustering, but the creator need not hear of that.
_RUN_TO_TELL = """
SELECT cluster_runs.id, users.email, events.name AS event, events.language, cluster_runs.persons
FROM cluster_runs
JOIN events ON events.id = cluster_runs.event_id
JOIN users ON users.id = events.creator_id
WHERE cluster_runs.job_id = %s AND cluster_runs.run = %s AND events.id = %s AND cluster_runs.told_at IS NULL
    AND users.email IS NOT NULL AND events.archived_at IS NULL AND events.face_recognition_enabled
    AND EXISTS (
        SELECT FROM ml_jobs
        WHERE ml_jobs.event_id = events.id AND job_type = 'detect' AND status = 'completed' AND completed_at > coalesce(
            (SELECT max(told_at) FROM cluster_runs AS told WHERE told.event_id = events.id), '-infinity')
    )
FOR UPDATE OF cluster_runs
"""
_RUN_TOLD = "UPDATE cluster_runs SET told_at = clock_timestamp() WHERE id = %s"
# An advisory lock, not a row lock, since a purge must not wait for a mail server.
_LOCK_INVITATION_MAIL = "SELECT pg_advisory_xact_lock(hashtextextended('trombi invitation ' || %s, 0))"
# The event before its counters, as in every transaction that writes an event's rows (ARCHITECTURE.md, "Locks").
_HOLD_EVENT = "SELECT FROM events WHERE id = %s FOR KEY SHARE"
_HOLD_COUNTERS = "SELECT FROM event_counters WHERE event_id = %s FOR NO KEY UPDATE"
# A statement of its own, run after the lock was obtained, so that it sees decisions made in the meantime.
_INVITATION = """
SELECT invitations.id, invitations.event_id, invitations.face_person_id, invitations.token_hash, invitations.email,
    invitations.message, invitations.language, invitations.expires_at, invitations.sent_at,
    invitation_state(invitations.id) AS state, events.name AS event, inviter.display_name AS inviter,
    inviter.email AS inviter_email,
    coalesce(person.photo_count, 0) AS photos
FROM invitations
JOIN events ON events.id = invitations.event_id
LEFT JOIN persons_shown AS person ON person.id = invitations.face_person_id
LEFT JOIN users AS inviter ON inviter.id = invitations.invited_by
WHERE invitations.id = %s AND invitations.event_id = %s
"""
_BEST_FACES = """
SELECT face_id AS id, thumbnail_object
FROM trombi_best_faces(%s) WITH ORDINALITY AS best (face_id, thumbnail_object, number)
WHERE thumbnail_object IS NOT NULL ORDER BY number LIMIT %s
"""
_SENT = """
UPDATE invitations SET sent_at = clock_timestamp(), mail_problem = NULL WHERE id = %s RETURNING event_id
"""
_MAIL_PROBLEM = "UPDATE invitations SET mail_problem = %s WHERE id = %s AND sent_at IS NULL"
# The audit of reads: the mail shows these faces to its recipient.
_NOTE_SHOWN = """
SELECT trombi_note_reads('invitation', %(event_id)s, 'thumbnail', ARRAY(
    SELECT id FROM faces WHERE event_id = %(event_id)s AND id = ANY(%(faces)s)
))
"""

MailProblem = Literal["refused", "not_configured", "given_up"]


@dataclass(frozen=True)
class RunToTell:
    """A finished clustering, with what the mail to its event's creator says."""

    id: UUID
    email: str
    event: str
    language: str
    persons: int


@dataclass(frozen=True)
class Invitation:
    """An invitation at this moment; ``state`` is open, accepted, declined, withdrawn or expired."""

    id: UUID
    event_id: UUID
    face_person_id: UUID
    token_hash: bytes
    email: str
    message: str | None
    language: str
    expires_at: datetime
    sent_at: datetime | None
    state: str
    event: str
    inviter: str | None
    inviter_email: str | None
    photos: int


@dataclass(frozen=True)
class FaceShown:
    """A face and the object of its thumbnail."""

    id: UUID
    thumbnail_object: str


def run_outcome(connection: Connection, job_id: UUID, run: Run, event_id: UUID) -> tuple[str, int] | None:
    """Return the event's language and how many persons the run found; None when the event or run was deleted."""
    row = connection.execute(_OUTCOME, (job_id, run, event_id)).fetchone()
    return (row["language"], row["persons"]) if row else None


def lock_run_to_tell(connection: Connection, job_id: UUID, run: Run, event_id: UUID) -> RunToTell | None:
    """Lock and return the run; None when no mail is to be sent about it."""
    row = connection.execute(_RUN_TO_TELL, (job_id, run, event_id)).fetchone()
    return RunToTell(**row) if row else None


def note_run_told(connection: Connection, run_id: UUID) -> None:
    """Record that the mail about the run was sent to the event's creator."""
    connection.execute(_RUN_TOLD, (run_id,))


def invitation(connection: Connection, invitation_id: UUID, event_id: UUID) -> Invitation | None:
    """Return the invitation at this moment, or None when it was deleted."""
    row = connection.execute(_INVITATION, (invitation_id, event_id)).fetchone()
    return Invitation(**{**row, "token_hash": bytes(row["token_hash"])}) if row else None


def lock_invitation_mail(connection: Connection, invitation_id: UUID) -> None:
    """Be the only transaction that sends the invitation's mail, until this transaction ends; locks no row."""
    connection.execute(_LOCK_INVITATION_MAIL, (str(invitation_id),))


def hold_event(connection: Connection, event_id: UUID) -> None:
    """Lock the event against deletion until the transaction ends."""
    connection.execute(_HOLD_EVENT, (event_id,))


def best_faces(connection: Connection, person_id: UUID, limit: int) -> list[FaceShown]:
    """Return the person's best faces that have a thumbnail, the cover first."""
    return [FaceShown(**row) for row in connection.execute(_BEST_FACES, (person_id, limit)).fetchall()]


def note_sent(connection: Connection, sent: Invitation, face_ids: Sequence[UUID]) -> None:
    """Mark the invitation as sent, and add the faces shown to the audit of reads; purged rows are left out."""
    hold_event(connection, sent.event_id)
    connection.execute(_HOLD_COUNTERS, (sent.event_id,))
    if connection.execute(_SENT, (sent.id,)).fetchone() is not None:
        connection.execute(_NOTE_SHOWN, {"event_id": sent.event_id, "faces": list(face_ids)})


def note_mail_problem(connection: Connection, invitation_id: UUID, problem: MailProblem) -> None:
    """Record why the invitation's mail will not arrive; an invitation whose mail was sent stays as it is."""
    connection.execute(_MAIL_PROBLEM, (problem, invitation_id))
