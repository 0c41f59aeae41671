"""Handle dead letters: keep each message whole for replay, and fail its job with the error.

A job that was never attempted has not failed: under load, every delivery of its message may have been refused. Such a
job waits, and the sweep publishes its message again.
"""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import UUID

from functions.callback import store
from shared import job_ledger
from shared.contracts import (
    ClusterRequested,
    DetectRequested,
    InvitationMade,
    JobType,
    Message,
    StorageNotification,
    message_type,
)
from shared.database import Connection, Database, again_on_conflict
from shared.errors import Malformed, Permanent
from shared.job_ledger import Job
from shared.log import logger
from shared.outbox import Outbox
from shared.push import Delivery

_ATTEMPTS = "CloudPubSubDeadLetterSourceDeliveryCount"
# How long the message of a job that was never attempted is published again: longer than the backlog of any supported
# size takes. The limit ends the circle of a message that crashes its function before the job begins.
_PATIENCE = timedelta(days=1)


class DeadLetters:
    """The use case behind every dead-letter topic."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox

    @again_on_conflict
    def received(self, topic: str, delivery: Delivery) -> None:
        """Keep the message, and fail its job; where it has no open job, record a failed one.

        A job that was never attempted waits for the sweep instead; a completed job stays completed.

        Raises:
            Malformed: no such topic.
            Retryable: the database is unavailable.
        """
        content, problem = _read(topic, delivery)
        attempts = _count(delivery.attributes.get(_ATTEMPTS, ""))
        tried = "given up by the bus" if attempts is None else f"given up after {attempts} deliveries"
        message_id = _storable(delivery.message_id)
        with self._database.transaction() as connection:
            dead_letter_id = store.keep_dead_letter(
                connection,
                topic=topic,
                message_id=message_id,
                data=delivery.data,
                attributes={_storable(name): _storable(value) for name, value in delivery.attributes.items()},
                attempts=attempts,
                error=tried,
            )
            if dead_letter_id is None:
                logger().info("this dead letter was kept before", topic=topic)
                return
            job = _job(connection, content)
            settled = _settle(connection, job) if job is not None else None
            if job is not None and settled is not None:
                # Kept, so that another delivery of it is recognised; marked as settled, so that nobody replays it.
                store.explain_dead_letter(connection, dead_letter_id, f"{tried}; {settled}", job.id, settled=True)
                logger().warning("a dead letter without a failure", topic=topic, job_id=str(job.id), outcome=settled)
                return
            if job is not None and not _is_open(job):
                job = None
            problem = problem or (job and store.job_error(connection, job)) or "no attempt recorded an error"
            error_text = _storable(f"{tried}; the last error: {problem}")
            if job is not None:
                job_ledger.fail(connection, job, "dead_letter", error_text)
                job_id = job.id
            else:
                job_type: JobType = "cluster" if topic == ClusterRequested.topic else "detect"
                job_id = store.record_job_of_dead_letter(connection, topic, message_id, error_text, job_type)
            store.explain_dead_letter(connection, dead_letter_id, error_text, job_id)
            if isinstance(content, InvitationMade):
                store.note_mail_problem(connection, content.invitation_id, "given_up")
        logger().error("dead letter", topic=topic, job_id=str(job_id), deliveries=attempts)
        self._outbox.drain_quietly()


def _read(topic: str, delivery: Delivery) -> tuple[StorageNotification | Message | None, str]:
    """Parse the dead letter's message; return it, or None and what is wrong with it.

    Raises:
        Malformed: no such topic.
    """
    parser: type[StorageNotification | Message] | None = message_type(topic, delivery.attributes)
    if topic == StorageNotification.topic:
        parser = StorageNotification
    if parser is None:
        message = f"no topic {topic!r} is declared, so it has no dead letters"
        raise Malformed(message)
    try:
        return parser.parse(delivery.data, delivery.attributes), ""
    except Malformed as error:
        return None, str(error)


def _count(text: str) -> int | None:
    """Parse the bus's number of deliveries; None when it is absent or no number."""
    return int(text) if re.fullmatch(r"[0-9]{1,6}", text) else None


def _storable(text: str) -> str:
    """Replace what Postgres cannot store (NUL, lone surrogates), so that every dead letter can be kept."""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()


def _job(connection: Connection, content: object) -> Job | None:
    """Lock and return the job of a message, or None; for an upload that no function has handled, make it."""
    if isinstance(content, DetectRequested | ClusterRequested):
        job = job_ledger.lock(connection, content.job_id)
        return job if job is not None and job.run == content.run else None
    # A deletion does not belong to the photo's detect job: its dead letter has to be replayed.
    if not isinstance(content, StorageNotification) or content.event_type != "OBJECT_FINALIZE":
        return None
    ids = _photo_ids(content)
    if ids is None:
        return None
    event_id, media_id = ids
    found = job_ledger.job_of_object(connection, media_id, content.generation)
    return found or store.job_of_untried_upload(connection, event_id, media_id, content)


def _photo_ids(upload: StorageNotification) -> tuple[UUID, UUID] | None:
    try:
        return upload.photo_ids()
    except Permanent:
        return None


def _is_open(job: Job) -> bool:
    return job.status in ("pending", "processing")


def _settle(connection: Connection, job: Job) -> str | None:
    """Handle a dead letter whose job has not failed, and say what became of the job; None when it has failed."""
    if job.status == "completed":
        return "its job is completed"
    # An attempt is counted before its work begins, so a job that crashed its function has been attempted.
    if _is_open(job) and job.attempts == 0 and job_ledger.put_back(connection, job, _PATIENCE):
        return "its job was never attempted and waits to be published again"
    return None
