"""The transactional outbox: messages and deletions of objects commit together with the rows that cause them.

It is drained right after the commit, and by the tick when that failed. An entry is deleted only after it was carried
out, so that a crash in between repeats it: receivers are idempotent.
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

# After this many failures a drain leaves the rest to the next one.
_MOST_FAILURES = 5

# Inserted in order, since entries are published in the order of their ids.
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
# SKIP LOCKED: two concurrent drains share the work instead of waiting for each other. Entries that failed most often
# come last, so that entries that always fail do not block the others.
# The entry is chosen in a subquery, so that is_in_use is computed for one entry and not for thousands.
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
# Without SKIP LOCKED: this waits for deletions in progress.
_DELETIONS_OF = """
SELECT id, object_prefix, EXISTS (SELECT FROM faces WHERE thumbnail_object = object_prefix) AS is_in_use
FROM outbox
WHERE kind = 'delete_objects' AND coalesce(bucket, %(derived)s) = %(bucket)s AND due_at <= clock_timestamp()
    AND (starts_with(%(prefix)s, object_prefix) OR starts_with(object_prefix, %(prefix)s))
ORDER BY id FOR UPDATE OF outbox
"""
_DONE = "DELETE FROM outbox WHERE id = %s RETURNING receipt_id"
# When two drains finish the last two entries at once, each still sees the other's; the tick then completes the receipt.
_COMPLETE_RECEIPT = """
UPDATE purge_receipts SET completed_at = clock_timestamp()
WHERE id = %(receipt)s AND completed_at IS NULL AND NOT EXISTS (SELECT FROM outbox WHERE receipt_id = %(receipt)s)
"""
_FAILED = "UPDATE outbox SET attempts = attempts + 1, last_error = %s WHERE id = %s"


def add_message(connection: Connection, message: Message) -> None:
    """Add a message to publish once the transaction has committed."""
    add_messages(connection, [message])


def add_messages(connection: Connection, messages: Sequence[Message]) -> None:
    """Add messages to publish, in this order, once the transaction has committed; runs one statement."""
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
    """Add the deletion of all objects under ``prefix``, due ``after`` that much time.

    Nothing is deleted while the prefix is the name of an existing face's thumbnail.
    """
    connection.execute(_ADD_DELETION, (bucket, prefix, after))


def take_back_deletions(connection: Connection, bucket: str, prefixes: Sequence[str]) -> None:
    """Remove the deletions of exactly these prefixes that were not carried out yet."""
    connection.execute(_TAKE_BACK, (bucket, list(prefixes)))


class Outbox:
    """Carries out the outbox's entries.

    Without ``store`` (in a function without access to buckets), deletions are left to functions that have access. A
    deletion without a bucket is one in ``derived_bucket``: it was added by a database function, which knows no buckets.
    """

    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        store: ObjectStore | None = None,
        derived_bucket: str | None = None,
    ) -> None:
        if (store is None) != (derived_bucket is None):
            message = "store and derived_bucket must be given together"
            raise ValueError(message)
        self._database = database
        self._publisher = publisher
        self._store = store
        self._derived_bucket = derived_bucket

    def drain_quietly(self) -> None:
        """Carry out the entries that have not failed yet. Never raises: the tick carries out the rest."""
        try:
            self.drain(most_attempts=0)
        except Retryable as error:
            logger().warning("the outbox waits for the next tick", reason=str(error))
        except Exception:  # noqa: BLE001 - the caller's work is committed and must not be answered as an error
            logger().exception("the outbox waits for the next tick")

    def drain(self, *, most_attempts: int = 2**31 - 1, limit: int = 1000) -> int:
        """Carry out up to ``limit`` entries that failed at most ``most_attempts`` times; return how many succeeded.

        An entry that fails stays, with its error, and does not block the others. After a few failures the rest waits
        for the next drain: the bus is probably unavailable, and every attempt would wait for its time-out.

        Raises:
            Retryable: the database is unavailable.
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
        """Carry out one entry; return why it failed, or None."""
        try:
            if entry["kind"] == "publish":
                self._publisher.publish(entry["topic"], encode(entry["data"]), entry["attributes"])
            elif self._store is not None and not entry["is_in_use"]:
                self._store.delete_prefix(entry["bucket"] or self._derived_bucket or "", entry["object_prefix"])
        except Retryable as error:
            logger().warning("an outbox entry failed", outbox_id=entry["id"], reason=str(error))
            return str(error)
        except Exception as error:  # noqa: BLE001 - logged and tried again, without blocking the others
            logger().exception("an outbox entry failed unexpectedly", outbox_id=entry["id"])
            return f"unexpected {type(error).__name__}"
        return None

    def finish_deletions(self, bucket: str, prefix: str) -> None:
        """Carry out the due deletions that affect objects under ``prefix``, and wait for those in progress.

        Call this before writing such objects: a pending deletion of earlier objects would delete them too.

        Raises:
            Retryable: the database or the bucket is unavailable.
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
    """Delete an entry, and complete its purge receipt if it was the receipt's last deletion."""
    row = connection.execute(_DONE, (entry_id,)).fetchone()
    if row is not None and row["receipt_id"] is not None:
        connection.execute(_COMPLETE_RECEIPT, {"receipt": row["receipt_id"]})
