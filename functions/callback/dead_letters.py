"""What the bus gave up on: kept whole for replay, and told as a failed job with its error.

Work that nobody has tried is no failure: under load alone a message may be refused as often as the bus delivers it.
Its job waits, and the sweep gives it to the bus again.
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
# So long untried work is given to the bus again and again: longer than any backlog a size is meant for. A message that
# ends its function before the job is begun does not go round for ever.
_PATIENCE = timedelta(days=1)


class DeadLetters:
    """The use case behind every dead-letter topic."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox

    @again_on_conflict
    def received(self, topic: str, delivery: Delivery) -> None:
        """Keep the letter and fail the job it belongs to, or one of its own where none is open.

        A job that nobody has tried waits for the sweep instead, and of one that is completed nothing is to be told.

        Raises:
            Malformed: no such topic.
            Retryable: the database is away.
        """
        content, problem = _read(topic, delivery)
        attempts = _count(delivery.attributes.get(_ATTEMPTS, ""))
        tried = "given up by the bus" if attempts is None else f"given up after {attempts} deliveries"
        message_id = _storable(delivery.message_id)
        with self._database.transaction() as connection:
            letter_id = store.keep_letter(
                connection,
                topic=topic,
                message_id=message_id,
                data=delivery.data,
                attributes={_storable(name): _storable(value) for name, value in delivery.attributes.items()},
                attempts=attempts,
                error=tried,
            )
            if letter_id is None:
                logger().info("a dead letter that is kept already", topic=topic)
                return
            job = _job(connection, content)
            settled = _settle(connection, job) if job is not None else None
            if job is not None and settled is not None:
                # Kept, so that the same letter is known when it comes once more; settled, so that nobody replays it.
                store.explain_letter(connection, letter_id, f"{tried}; {settled}", job.id, settled=True)
                logger().warning("a dead letter of no failure", topic=topic, job_id=str(job.id), outcome=settled)
                return
            if job is not None and not _is_open(job):
                job = None
            problem = problem or (job and store.job_error(connection, job)) or "no attempt left an error"
            error_text = _storable(f"{tried}; the last problem: {problem}")
            if job is not None:
                job_ledger.fail(connection, job, "dead_letter", error_text)
                job_id = job.id
            else:
                job_type: JobType = "cluster" if topic == ClusterRequested.topic else "detect"
                job_id = store.record_unplaced_letter(connection, topic, message_id, error_text, job_type)
            store.explain_letter(connection, letter_id, error_text, job_id)
            if isinstance(content, InvitationMade):
                store.note_mail_problem(connection, content.invitation_id, "given_up")
        logger().error("dead letter", topic=topic, job_id=str(job_id), deliveries=attempts)
        self._outbox.drain_quietly()


def _read(topic: str, delivery: Delivery) -> tuple[StorageNotification | Message | None, str]:
    """What the letter says, or None and what is wrong with it.

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
    """The number of deliveries that the bus tells, or None."""
    return int(text) if re.fullmatch(r"[0-9]{1,6}", text) else None


def _storable(text: str) -> str:
    """The text without what Postgres cannot hold (NUL, half characters): a letter must always find its place."""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()


def _job(connection: Connection, content: object) -> Job | None:
    """The job that a message was about, locked; for an upload that nobody has heard of it is made."""
    if isinstance(content, DetectRequested | ClusterRequested):
        job = job_ledger.lock(connection, content.job_id)
        return job if job is not None and job.run == content.run else None
    # What deletes a photo is not about the job that once looked at it: its letter has to be replayed.
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
    """What becomes of a letter that tells of no failure; None when it tells of one."""
    if job.status == "completed":
        return "its job is completed"
    # Whoever begins counts the attempt before the work: what ends its function by its weight was tried.
    if _is_open(job) and job.attempts == 0 and job_ledger.put_back(connection, job, _PATIENCE):
        return "nobody has tried it: its job waits to be given to the bus again"
    return None
