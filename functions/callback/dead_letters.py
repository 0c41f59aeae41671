"""What the bus gave up on: kept whole for replay, and told as a failed job with its error."""

from __future__ import annotations

import re

from functions.callback import store
from shared import job_ledger
from shared.contracts import (
    ClusterRequested,
    DetectRequested,
    InvitationMade,
    Message,
    StorageNotification,
    message_type,
)
from shared.database import Connection, Database
from shared.errors import Malformed, Permanent
from shared.job_ledger import Job
from shared.log import logger
from shared.outbox import Outbox
from shared.push import Delivery

_ATTEMPTS = "CloudPubSubDeadLetterSourceDeliveryCount"


class DeadLetters:
    """The use case behind every dead-letter topic."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox

    def received(self, topic: str, delivery: Delivery) -> None:
        """Keep the letter and fail the job it belongs to, or one of its own where none is open.

        Raises:
            Malformed: no such topic.
            Retryable: the database is away.
        """
        parser: type[StorageNotification | Message] | None = message_type(topic, delivery.attributes)
        if topic == StorageNotification.topic:
            parser = StorageNotification
        if parser is None:
            message = f"no topic {topic!r} is declared, so it has no dead letters"
            raise Malformed(message)
        problem = ""
        content = None
        try:
            content = parser.parse(delivery.data, delivery.attributes)
        except Malformed as error:
            problem = str(error)
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
            job = _open_job(connection, content)
            problem = problem or (job and store.job_error(connection, job)) or "no attempt left an error"
            error_text = _storable(f"{tried}; the last problem: {problem}")
            if job is not None:
                job_ledger.fail(connection, job, "dead_letter", error_text)
                job_id = job.id
            else:
                job_type = "cluster" if topic == ClusterRequested.topic else "detect"
                job_id = store.record_unplaced_letter(connection, topic, message_id, error_text, job_type)
            store.explain_letter(connection, letter_id, error_text, job_id)
            if isinstance(content, InvitationMade):
                store.note_mail_problem(connection, content.invitation_id, "given_up")
        logger().error("dead letter", topic=topic, job_id=str(job_id), deliveries=attempts)
        self._outbox.drain_quietly()


def _count(text: str) -> int | None:
    """The number of deliveries that the bus tells, or None."""
    return int(text) if re.fullmatch(r"[0-9]{1,6}", text) else None


def _storable(text: str) -> str:
    """The text without what Postgres cannot hold (NUL, half characters): a letter must always find its place."""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()


def _open_job(connection: Connection, content: object) -> Job | None:
    """The job that a message was about, locked, if it still waits for it."""
    job = None
    if isinstance(content, DetectRequested | ClusterRequested):
        job = job_ledger.lock(connection, content.job_id)
        if job is not None and job.run != content.run:
            return None
    elif isinstance(content, StorageNotification):
        try:
            _, media_id = content.photo_ids()
        except Permanent:
            return None
        job = store.job_of_object(connection, media_id, content.generation)
    return job if job is not None and job.status in ("pending", "processing") else None
