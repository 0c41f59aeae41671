"""Replay dead letters: ``python -m operations.replay``.

Each message is published unchanged to the topic that it came from, and marked as replayed in the same transaction. Only
the message in progress can be published twice when a replay is interrupted; concurrent replays share the messages.
Receivers are idempotent, and a job that failed because of its dead letter runs again.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from operations import store
from shared.bus import load_bus
from shared.contracts import StorageNotification, message_type
from shared.database import Connection, Database
from shared.errors import Malformed, Retryable, SettingsError
from shared.publish import Publisher, PubSubPublisher
from shared.settings import Settings

Outcome = Literal["replayed", "malformed", "listed"]
Report = Callable[[str], None]

# The bus adds attributes with these prefixes when it delivers, and refuses them when they are published.
_BUS_PREFIXES = ("CloudPubSubDeadLetter", "goog")
_REPORT_EVERY = 50


@dataclass(frozen=True)
class Wanted:
    """Which waiting messages to replay: those of one topic, with these ids, or all; at most ``limit``."""

    topic: str | None = None
    ids: list[int] | None = None
    limit: int = 10_000
    only_list: bool = False


def replay(database: Database, publisher: Publisher, wanted: Wanted, report: Report) -> Counter[Outcome]:
    """Replay the wanted messages, oldest first, and return how many had which outcome.

    A message that no function can parse is reported and not replayed, since it would be dead-lettered again.

    Raises:
        Retryable: the database or the bus is unavailable. Messages that were replayed before stay replayed.
    """
    with database.transaction() as connection:
        waiting = store.count_dead_letters(connection, wanted.topic, wanted.ids)
    total = min(waiting, wanted.limit)
    report(f"{total} dead letters wait")
    outcomes: Counter[Outcome] = Counter()
    after = 0
    while outcomes.total() < wanted.limit:
        with database.transaction() as connection:
            message = store.next_dead_letter(connection, wanted.topic, wanted.ids, after)
            if message is None:
                break
            after = message["id"]
            outcomes[_replay_one(connection, publisher, message, wanted, report)] += 1
        if outcomes.total() % _REPORT_EVERY == 0:
            report(f"{outcomes.total()} of {total}")
    return outcomes


def _replay_one(
    connection: Connection, publisher: Publisher, message: Mapping[str, Any], wanted: Wanted, report: Report
) -> Outcome:
    name = f"message {message['id']} of {message['topic']} (job {message['job_id']})"
    attributes = {key: text for key, text in message["attributes"].items() if not key.startswith(_BUS_PREFIXES)}
    data = bytes(message["data"])
    problem = _why_unreadable(message["topic"], data, attributes)
    if problem is not None:
        report(f"{name} stays: {problem}")
        return "malformed"
    if wanted.only_list:
        report(f"{name}: {message['error']}")
        return "listed"
    publisher.publish(message["topic"], data, attributes)
    store.mark_replayed(connection, message["id"])
    return "replayed"


def _why_unreadable(topic: str, data: bytes, attributes: Mapping[str, str]) -> str | None:
    parser = StorageNotification if topic == StorageNotification.topic else message_type(topic, attributes)
    if parser is None:
        return "no such topic is declared any more"
    try:
        parser.parse(data, attributes)
    except Malformed as error:
        return str(error)
    return None


def arguments(words: Sequence[str] | None) -> Wanted:
    """Parse the command line; a mistake in it ends the program with its usage."""
    topics = [topic.name for topic in load_bus().topics]
    parser = argparse.ArgumentParser(
        prog="python -m operations.replay",
        description="Send dead letters to the topics they came from. DATABASE_URL and GOOGLE_CLOUD_PROJECT say where.",
    )
    parser.add_argument("--topic", choices=topics, help="only messages of this topic")
    parser.add_argument("--id", type=int, action="append", metavar="N", help="only this message (may be repeated)")
    parser.add_argument("--limit", type=int, default=10_000, help="at most this many messages (default: %(default)s)")
    parser.add_argument("--list", action="store_true", help="list what would be replayed, and why it was dead-lettered")
    given = parser.parse_args(words)
    return Wanted(given.topic, given.id, given.limit, given.list)


def main(words: Sequence[str] | None = None) -> int:
    """Run the command; return 0 when it is done, 1 when it was interrupted, 2 when the settings are wrong."""
    wanted = arguments(words)

    def say(line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    try:
        settings = Settings.from_environment()
    except SettingsError as error:
        say(str(error))
        return 2
    database = Database(settings.database_url, pool_size=2)
    try:
        outcomes = replay(database, PubSubPublisher(settings.google_cloud_project), wanted, say)
    except Retryable as error:
        say(f"broken off: {error}. What was replayed stays replayed; run it again for the rest")
        return 1
    finally:
        database.close()
    say(", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items())) or "nothing to do")
    return 0


if __name__ == "__main__":
    sys.exit(main())
