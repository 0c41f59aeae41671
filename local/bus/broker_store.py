"""The small broker's journal: topics, subscriptions and undelivered messages in one SQLite file.

Every change is one function that receives the connection; a single thread runs them, as many as have
gathered in one transaction, so that a burst of publishes costs a few commits and not one each.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

Result = TypeVar("Result")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS topics (
    name TEXT PRIMARY KEY,
    declaration BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS subscriptions (
    name TEXT PRIMARY KEY,
    topic TEXT NOT NULL,
    declaration BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    published_at REAL NOT NULL,
    content BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS deliveries (
    subscription TEXT NOT NULL REFERENCES subscriptions (name) ON DELETE CASCADE,
    message INTEGER NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    attempts INTEGER NOT NULL DEFAULT 0,
    due_at REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (subscription, message)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS deliveries_by_message ON deliveries (message);
"""
_LARGEST_BATCH = 256


@dataclass(frozen=True)
class Delivery:
    """A message that ``subscription`` still has to deliver.

    ``content`` is a serialized PubsubMessage; ``attempts`` counts the deliveries so far; ``published_at``
    and ``due_at`` are Unix times in seconds.
    """

    subscription: str
    message_id: int
    content: bytes
    published_at: float
    attempts: int
    due_at: float


class Journal:
    """The file, and the thread that writes it."""

    def __init__(self, path: Path) -> None:
        """Open or create the journal at ``path``."""
        self._path = path
        self._changes: queue.SimpleQueue[_Change | None] = queue.SimpleQueue()
        self._opened: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()
        failure = self._opened.get()
        if failure is not None:
            raise failure

    async def change(self, action: Callable[[sqlite3.Connection], Result]) -> Result:
        """Run ``action`` in a transaction and return its result once that is committed."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()
        self._changes.put(_Change(action, loop, done))
        result: Result = await done
        return result

    def close(self) -> None:
        """Commit what was asked for, then close the file."""
        self._changes.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            connection = sqlite3.connect(self._path, isolation_level=None)
            connection.execute("PRAGMA journal_mode = WAL")
            # FULL: what Publish has answered survives a power cut, too.
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.executescript(_SCHEMA)
        except sqlite3.Error as error:
            self._opened.put(error)
            return
        self._opened.put(None)
        try:
            while (batch := self._next_batch()) is not None:
                _commit(connection, batch)
        finally:
            connection.close()

    def _next_batch(self) -> list[_Change] | None:
        first = self._changes.get()
        if first is None:
            return None
        batch = [first]
        while len(batch) < _LARGEST_BATCH and not self._changes.empty():
            change = self._changes.get()
            if change is None:
                self._changes.put(None)
                break
            batch.append(change)
        return batch


@dataclass(frozen=True)
class _Change:
    action: Callable[[sqlite3.Connection], Any]
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[Any]

    def resolve(self, result: object, error: BaseException | None) -> None:
        def settle() -> None:
            if self.done.done():
                return
            if error is None:
                self.done.set_result(result)
            else:
                self.done.set_exception(error)

        self.loop.call_soon_threadsafe(settle)


def _commit(connection: sqlite3.Connection, batch: list[_Change]) -> None:
    """Commit the changes of ``batch`` together; if one fails, each by itself."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        results = [change.action(connection) for change in batch]
        connection.execute("COMMIT")
    except Exception as error:  # noqa: BLE001 - it belongs to whoever asked for the change
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if len(batch) == 1:
            batch[0].resolve(None, error)
            return
        for change in batch:
            _commit(connection, [change])
        return
    for change, result in zip(batch, results, strict=True):
        change.resolve(result, None)


def declared_topics(connection: sqlite3.Connection) -> list[bytes]:
    """Every topic's serialized declaration."""
    return [row[0] for row in connection.execute("SELECT declaration FROM topics ORDER BY name")]


def declared_subscriptions(connection: sqlite3.Connection) -> list[bytes]:
    """Every subscription's serialized declaration."""
    return [row[0] for row in connection.execute("SELECT declaration FROM subscriptions ORDER BY name")]


def put_topic(connection: sqlite3.Connection, name: str, declaration: bytes) -> None:
    """Create the topic."""
    connection.execute("INSERT INTO topics (name, declaration) VALUES (?, ?)", (name, declaration))


def drop_topic(connection: sqlite3.Connection, name: str) -> None:
    """Forget the topic; its subscriptions keep what they still have to deliver."""
    connection.execute("DELETE FROM topics WHERE name = ?", (name,))


def put_subscription(connection: sqlite3.Connection, name: str, topic: str, declaration: bytes) -> None:
    """Create the subscription or replace its declaration."""
    connection.execute(
        "INSERT INTO subscriptions (name, topic, declaration) VALUES (?, ?, ?)"
        " ON CONFLICT (name) DO UPDATE SET topic = excluded.topic, declaration = excluded.declaration",
        (name, topic, declaration),
    )


def drop_subscription(connection: sqlite3.Connection, name: str) -> None:
    """Forget the subscription and what it had to deliver."""
    connection.execute("DELETE FROM subscriptions WHERE name = ?", (name,))
    drop_delivered_messages(connection)


def put_message(connection: sqlite3.Connection, topic: str, content: bytes, now: float) -> tuple[int, list[Delivery]]:
    """Store a message for every subscription of ``topic``; return its id and one delivery each.

    With no subscription the message is forgotten, as Pub/Sub does, but still uses up an id.
    """
    cursor = connection.execute(
        "INSERT INTO messages (published_at, content) VALUES (?, ?) RETURNING id", (now, content)
    )
    message_id = int(cursor.fetchone()[0])
    subscriptions = connection.execute("SELECT name FROM subscriptions WHERE topic = ?", (topic,)).fetchall()
    deliveries = [Delivery(name, message_id, content, now, 0, 0.0) for (name,) in subscriptions]
    connection.executemany(
        "INSERT INTO deliveries (subscription, message) VALUES (?, ?)",
        [(delivery.subscription, delivery.message_id) for delivery in deliveries],
    )
    if not deliveries:
        connection.execute("DELETE FROM messages WHERE id = ?", (message_id,))
    return message_id, deliveries


def undelivered(connection: sqlite3.Connection) -> list[Delivery]:
    """Everything that still has to be delivered, in the order of publication."""
    rows = connection.execute(
        "SELECT subscription, message, content, published_at, attempts, due_at"
        " FROM deliveries JOIN messages ON messages.id = deliveries.message ORDER BY message, subscription"
    )
    return [Delivery(*row) for row in rows]


def drop_delivery(connection: sqlite3.Connection, delivery: Delivery) -> None:
    """Forget a delivery that was acknowledged, and its message after the last of its deliveries."""
    connection.execute(
        "DELETE FROM deliveries WHERE subscription = ? AND message = ?",
        (delivery.subscription, delivery.message_id),
    )
    connection.execute(
        "DELETE FROM messages WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM deliveries WHERE message = ?1)",
        (delivery.message_id,),
    )


def postpone(connection: sqlite3.Connection, delivery: Delivery) -> None:
    """Store the attempts and the next due time of a delivery that was refused."""
    connection.execute(
        "UPDATE deliveries SET attempts = ?, due_at = ? WHERE subscription = ? AND message = ?",
        (delivery.attempts, delivery.due_at, delivery.subscription, delivery.message_id),
    )


def drop_delivered_messages(connection: sqlite3.Connection) -> None:
    """Forget messages that nobody has to deliver any more."""
    connection.execute(
        "DELETE FROM messages WHERE NOT EXISTS (SELECT 1 FROM deliveries WHERE deliveries.message = messages.id)"
    )
