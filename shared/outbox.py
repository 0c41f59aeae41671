"""The transactional outbox: what is to happen outside the database commits with the rows that ask for it.

Drained right after the commit, and by the tick where that failed. An entry is deleted only after it was
done, so a crash in between does it twice: receivers are idempotent.
"""

from __future__ import annotations

from psycopg.types.json import Jsonb

from shared.contracts import Message, encode
from shared.database import Connection, Database
from shared.errors import Retryable
from shared.log import logger
from shared.publish import Publisher
from shared.storage import ObjectStore

_ADD_MESSAGE = """
INSERT INTO outbox (kind, topic, data, attributes) VALUES ('publish', %s, %s, %s)
"""
_ADD_DELETION = """
INSERT INTO outbox (kind, bucket, object_prefix) VALUES ('delete_objects', %s, %s)
"""
# SKIP LOCKED: two drains at once share the work instead of waiting for each other.
_NEXT = """
SELECT id, kind, topic, data, attributes, bucket, object_prefix FROM outbox
WHERE kind = ANY(%(kinds)s) AND id > %(after)s AND attempts <= %(most_attempts)s
ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
"""
_DONE = "DELETE FROM outbox WHERE id = %s"
_FAILED = "UPDATE outbox SET attempts = attempts + 1, last_error = %s WHERE id = %s"


def add_message(connection: Connection, message: Message) -> None:
    """Publish ``message`` once the transaction has committed."""
    connection.execute(_ADD_MESSAGE, (message.topic, Jsonb(message.data()), Jsonb(message.attributes())))


def add_deletion(connection: Connection, bucket: str, prefix: str) -> None:
    """Delete every object of ``bucket`` under ``prefix`` once the transaction has committed."""
    connection.execute(_ADD_DELETION, (bucket, prefix))


class Outbox:
    """Does what the entries ask for.

    Without ``store`` (a function that may not touch buckets) deletions are left to one that may.
    """

    def __init__(self, database: Database, publisher: Publisher, store: ObjectStore | None = None) -> None:
        self._database = database
        self._publisher = publisher
        self._store = store

    def drain_quietly(self) -> None:
        """Drain what nobody failed at yet. Never raises: the work is committed, the tick does the rest."""
        try:
            self.drain(most_attempts=0)
        except Retryable as error:
            logger().warning("the outbox waits for the next tick", reason=str(error))

    def drain(self, *, most_attempts: int = 2**31 - 1, limit: int = 1000) -> int:
        """Do up to ``limit`` entries that failed at most ``most_attempts`` times; returns how many were done.

        An entry that fails keeps its place, with its error, and does not hold up the ones behind it.

        Raises:
            Retryable: the database is away.
        """
        done, after = 0, 0
        kinds = ["publish"] if self._store is None else ["publish", "delete_objects"]
        for _ in range(limit):
            with self._database.transaction() as connection:
                entry = connection.execute(
                    _NEXT, {"kinds": kinds, "after": after, "most_attempts": most_attempts}
                ).fetchone()
                if entry is None:
                    break
                after = entry["id"]
                try:
                    if entry["kind"] == "publish":
                        self._publisher.publish(entry["topic"], encode(entry["data"]), entry["attributes"])
                    elif self._store is not None:
                        self._store.delete_prefix(entry["bucket"], entry["object_prefix"])
                except Retryable as error:
                    logger().warning("an outbox entry failed", outbox_id=after, reason=str(error))
                    connection.execute(_FAILED, (str(error), after))
                else:
                    connection.execute(_DONE, (after,))
                    done += 1
        return done
