"""The transactional outbox: what is to happen outside the database commits with the rows that ask for it.

Drained right after the commit, and by the tick where that failed. An entry is deleted only after it was
done, so a crash in between does it twice: receivers are idempotent.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from shared.contracts import Message, encode
from shared.database import Connection, Database
from shared.errors import Retryable
from shared.log import logger
from shared.publish import Publisher
from shared.storage import ObjectStore

# Failures after which a drain leaves the rest to the next one.
_MOST_FAILURES = 5

# By their number: entries are published in the order of their ids.
_ADD_MESSAGES = """
INSERT INTO outbox (kind, topic, data, attributes)
SELECT 'publish', topic, data, attributes
FROM unnest(%s::text[], %s::jsonb[], %s::jsonb[]) WITH ORDINALITY AS message (topic, data, attributes, number)
ORDER BY number
"""
_ADD_DELETION = """
INSERT INTO outbox (kind, bucket, object_prefix, due_at) VALUES ('delete_objects', %s, %s, clock_timestamp() + %s)
"""
_TAKE_BACK = "DELETE FROM outbox WHERE kind = 'delete_objects' AND bucket = %s AND object_prefix = ANY(%s)"
# SKIP LOCKED: two drains at once share the work instead of waiting for each other. What failed most comes last,
# so that no number of entries that always fail keeps the others from their turn.
# Chosen first and looked at then: of thousands that wait, only one's thumbnail is asked about.
_NEXT = """
SELECT id, kind, topic, data, attributes, bucket, object_prefix,
    EXISTS (SELECT FROM faces WHERE thumbnail_object = object_prefix) AS is_in_use
FROM outbox WHERE id = (
    SELECT id FROM outbox
    WHERE kind = ANY(%(kinds)s) AND id <> ALL(%(failed)s::bigint[]) AND attempts <= %(most_attempts)s
        AND due_at <= clock_timestamp()
    ORDER BY attempts, id LIMIT 1 FOR UPDATE SKIP LOCKED
)
"""
# Not SKIP LOCKED: a deletion that is under way is waited for.
_DELETIONS_OF = """
SELECT id, object_prefix, EXISTS (SELECT FROM faces WHERE thumbnail_object = object_prefix) AS is_in_use
FROM outbox
WHERE kind = 'delete_objects' AND coalesce(bucket, %(derived)s) = %(bucket)s AND due_at <= clock_timestamp()
    AND (starts_with(%(prefix)s, object_prefix) OR starts_with(object_prefix, %(prefix)s))
ORDER BY id FOR UPDATE OF outbox
"""
_DONE = "DELETE FROM outbox WHERE id = %s RETURNING receipt_id"
# Where two drains do the last two at once, each still sees the other's: the tick then completes the receipt.
_COMPLETE_RECEIPT = """
UPDATE purge_receipts SET completed_at = clock_timestamp()
WHERE id = %(receipt)s AND completed_at IS NULL AND NOT EXISTS (SELECT FROM outbox WHERE receipt_id = %(receipt)s)
"""
_FAILED = "UPDATE outbox SET attempts = attempts + 1, last_error = %s WHERE id = %s"


def add_message(connection: Connection, message: Message) -> None:
    """Publish ``message`` once the transaction has committed."""
    add_messages(connection, [message])


def add_messages(connection: Connection, messages: Sequence[Message]) -> None:
    """Publish ``messages`` once the transaction has committed, in this order; one statement for all of them."""
    if messages:
        connection.execute(
            _ADD_MESSAGES,
            (
                [message.topic for message in messages],
                [Jsonb(message.data()) for message in messages],
                [Jsonb(message.attributes()) for message in messages],
            ),
        )


def add_deletion(connection: Connection, bucket: str, prefix: str, *, after: timedelta = timedelta(0)) -> None:
    """Delete every object of ``bucket`` under ``prefix``, ``after`` the transaction has committed.

    A prefix that is the name of a face's thumbnail is spared as long as that face is there.
    """
    connection.execute(_ADD_DELETION, (bucket, prefix, after))


def take_back_deletions(connection: Connection, bucket: str, prefixes: Sequence[str]) -> None:
    """Forget the deletions of just these prefixes that are not done yet."""
    connection.execute(_TAKE_BACK, (bucket, list(prefixes)))


class Outbox:
    """Does what the entries ask for.

    Without ``store`` (a function that may not touch buckets) deletions are left to one that may. A deletion that
    names no bucket is one in ``derived_bucket``: the database's own functions, which ask for it, know no buckets.
    """

    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        store: ObjectStore | None = None,
        derived_bucket: str | None = None,
    ) -> None:
        if (store is None) != (derived_bucket is None):
            message = "who deletes objects also names the derived bucket"
            raise ValueError(message)
        self._database = database
        self._publisher = publisher
        self._store = store
        self._derived_bucket = derived_bucket

    def drain_quietly(self) -> None:
        """Drain what nobody failed at yet. Never raises: the work is committed, the tick does the rest."""
        try:
            self.drain(most_attempts=0)
        except Retryable as error:
            logger().warning("the outbox waits for the next tick", reason=str(error))
        except Exception:  # noqa: BLE001 - what is committed must not be answered as an error
            logger().exception("the outbox waits for the next tick")

    def drain(self, *, most_attempts: int = 2**31 - 1, limit: int = 1000) -> int:
        """Do up to ``limit`` entries that failed at most ``most_attempts`` times; returns how many were done.

        An entry that fails stays, with its error, and does not hold up the others. After a few failures the rest
        waits for the next drain: the bus is likely away, and every attempt takes its time-out.

        Raises:
            Retryable: the database is away.
        """
        done = 0
        failed: list[int] = []
        kinds = ["publish"] if self._store is None else ["publish", "delete_objects"]
        for _ in range(limit):
            with self._database.transaction() as connection:
                entry = connection.execute(
                    _NEXT, {"kinds": kinds, "failed": failed, "most_attempts": most_attempts}
                ).fetchone()
                if entry is None:
                    break
                problem = self._do(entry)
                if problem is None:
                    _done(connection, entry["id"])
                    done += 1
                else:
                    connection.execute(_FAILED, (problem, entry["id"]))
                    failed.append(entry["id"])
            if len(failed) >= _MOST_FAILURES:
                break
        return done

    def _do(self, entry: DictRow) -> str | None:
        """Do one entry; returns why it failed, or None."""
        try:
            if entry["kind"] == "publish":
                self._publisher.publish(entry["topic"], encode(entry["data"]), entry["attributes"])
            elif self._store is not None and not entry["is_in_use"]:
                self._store.delete_prefix(entry["bucket"] or self._derived_bucket or "", entry["object_prefix"])
        except Retryable as error:
            logger().warning("an outbox entry failed", outbox_id=entry["id"], reason=str(error))
            return str(error)
        except Exception as error:  # noqa: BLE001 - loud, and tried again, without holding up the others
            logger().exception("an outbox entry failed unexpectedly", outbox_id=entry["id"])
            return f"unexpected {type(error).__name__}"
        return None

    def finish_deletions(self, bucket: str, prefix: str) -> None:
        """Do the due deletions that would touch objects under ``prefix``, and wait for those that others are doing.

        Whoever writes such objects calls this first: a deletion of what was there before would take them too.

        Raises:
            Retryable: the database or the bucket is away.
        """
        if self._store is None:
            return
        with self._database.transaction() as connection:
            sought = {"bucket": bucket, "derived": self._derived_bucket, "prefix": prefix}
            for entry in connection.execute(_DELETIONS_OF, sought).fetchall():
                if not entry["is_in_use"]:
                    self._store.delete_prefix(bucket, entry["object_prefix"])
                _done(connection, entry["id"])


def _done(connection: Connection, entry_id: int) -> None:
    """Forget an entry, and complete the receipt of which it was the last deletion."""
    row = connection.execute(_DONE, (entry_id,)).fetchone()
    if row is not None and row["receipt_id"] is not None:
        connection.execute(_COMPLETE_RECEIPT, {"receipt": row["receipt_id"]})
