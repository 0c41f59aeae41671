"""The transactional outbox on a real Postgres: nothing is lost, nothing is published that was not committed."""

from __future__ import annotations

import threading
from uuid import UUID, uuid4

import psycopg
import pytest

from shared import outbox
from shared.contracts import ClusterRequested, Tick
from shared.database import Connection, Database
from shared.errors import Retryable
from shared.outbox import Outbox
from tests.arrange import event, rows
from tests.fakes import MemoryObjects, Published, RecordingPublisher


@pytest.fixture
def bus() -> RecordingPublisher:
    return RecordingPublisher()


@pytest.fixture
def objects() -> MemoryObjects:
    return MemoryObjects()


def add(database: Database, count: int = 1) -> list[UUID]:
    ids = [uuid4() for _ in range(count)]
    with database.transaction() as connection:
        for job_id in ids:
            outbox.add_message(connection, ClusterRequested(job_id=job_id, run=1, event_id=job_id))
    return ids


def sent(bus: RecordingPublisher) -> list[UUID]:
    return [ClusterRequested.parse(message.data, message.attributes).job_id for message in bus.messages]


def test_a_committed_message_is_published_once_and_forgotten(
    database: Database, connection: Connection, bus: RecordingPublisher
) -> None:
    ids = add(database, 3)
    assert Outbox(database, bus).drain() == 3
    assert sent(bus) == ids
    assert {message.topic for message in bus.messages} == {"cluster-requests"}
    assert rows(connection, "outbox") == []
    assert Outbox(database, bus).drain() == 0


def write_and_fail(database: Database) -> None:
    with database.transaction() as inner:
        event(inner)
        outbox.add_message(inner, Tick())
        outbox.add_deletion(inner, "derived", "events/x/")
        raise ZeroDivisionError


def test_a_rolled_back_transaction_leaves_neither_row_nor_message(
    database: Database, connection: Connection, bus: RecordingPublisher
) -> None:
    with pytest.raises(ZeroDivisionError):
        write_and_fail(database)
    assert (rows(connection, "outbox"), rows(connection, "events")) == ([], [])
    assert Outbox(database, bus).drain() == 0


def test_nothing_is_published_before_the_commit(database: Database, bus: RecordingPublisher) -> None:
    with database.transaction() as inner:
        outbox.add_message(inner, Tick())
        assert Outbox(database, bus).drain() == 0
    assert Outbox(database, bus).drain() == 1


def test_a_crash_between_publishing_and_forgetting_publishes_again(
    database: Database, connection: Connection, bus: RecordingPublisher
) -> None:
    (job_id,) = add(database)

    def crash(message: Published) -> None:
        bus.messages.append(message)  # the bus has it
        raise KeyboardInterrupt

    bus.before = crash
    with pytest.raises(KeyboardInterrupt):
        Outbox(database, bus).drain()
    assert len(rows(connection, "outbox")) == 1
    bus.before = lambda _: None
    assert Outbox(database, bus).drain() == 1
    assert sent(bus) == [job_id, job_id]


@pytest.mark.parametrize("error", [Retryable("the topic is away"), ValueError("too large"), TypeError("a bug")])
def test_one_entry_that_fails_does_not_hold_up_the_others(
    database: Database, connection: Connection, bus: RecordingPublisher, error: Exception
) -> None:
    bad, *good = add(database, 4)

    def refuse_one(message: Published) -> None:
        if str(bad) in message.data.decode():
            raise error

    bus.before = refuse_one
    assert Outbox(database, bus).drain() == 3
    assert sent(bus) == good
    (left,) = rows(connection, "outbox")
    assert (left["attempts"], left["data"]["job_id"]) == (1, str(bad))
    assert type(error).__name__ in left["last_error"] or str(error) in left["last_error"]
    bus.before = lambda _: None
    assert Outbox(database, bus).drain() == 1


def test_entries_that_always_fail_do_not_starve_the_others_for_long(
    database: Database, bus: RecordingPublisher
) -> None:
    bad = {str(job_id) for job_id in add(database, 12)}
    good = add(database, 3)

    def refuse(message: Published) -> None:
        if message.body["job_id"] in bad:
            raise Retryable("refused")

    bus.before = refuse
    for _ in range(3):
        Outbox(database, bus).drain()
    assert sent(bus) == good


def test_while_the_bus_is_away_a_drain_gives_up_soon(
    database: Database, connection: Connection, bus: RecordingPublisher
) -> None:
    add(database, 50)
    bus.away = True
    tried: list[str] = []
    original = bus.publish

    def publish(topic: str, data: bytes, attributes: object) -> None:
        tried.append(topic)
        original(topic, data, {})

    bus.publish = publish  # type: ignore[method-assign]
    assert Outbox(database, bus).drain() == 0
    assert len(tried) < 10, "each attempt takes its time-out"
    assert len(rows(connection, "outbox")) == 50


def test_two_drains_at_once_publish_everything_once(
    database: Database, connection: Connection, bus: RecordingPublisher
) -> None:
    ids = add(database, 40)
    barrier = threading.Barrier(4)
    done: list[int] = []

    def drain() -> None:
        barrier.wait()
        done.append(Outbox(database, bus).drain())

    threads = [threading.Thread(target=drain) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(sent(bus)) == sorted(ids)
    assert sum(done) == 40
    assert rows(connection, "outbox") == []


def test_a_drain_passes_by_what_another_one_is_doing(database: Database, bus: RecordingPublisher) -> None:
    first, second = add(database, 2)
    meanwhile: list[int] = []

    def another_drain(message: Published) -> None:
        if message.body["job_id"] == str(first) and not meanwhile:
            meanwhile.append(Outbox(database, bus).drain())

    bus.before = another_drain
    assert Outbox(database, bus).drain() == 1
    assert meanwhile == [1]
    assert sent(bus) == [second, first]


def test_objects_are_deleted_only_by_those_who_may(
    database: Database, connection: Connection, bus: RecordingPublisher, objects: MemoryObjects
) -> None:
    objects.put("derived", "events/a/1.jpg", b"x")
    objects.put("derived", "events/b/1.jpg", b"x")
    with database.transaction() as inner:
        outbox.add_deletion(inner, "derived", "events/a/")
    assert Outbox(database, bus).drain() == 0
    assert len(rows(connection, "outbox")) == 1
    assert Outbox(database, bus, objects, "derived").drain() == 1
    assert objects.names("derived") == ["events/b/1.jpg"]
    assert rows(connection, "outbox") == []


def test_a_deletion_waits_for_the_bucket(
    database: Database, connection: Connection, bus: RecordingPublisher, objects: MemoryObjects
) -> None:
    objects.put("derived", "events/a/1.jpg", b"x")
    objects.away = True
    with database.transaction() as inner:
        outbox.add_deletion(inner, "derived", "events/a/")
        outbox.add_message(inner, Tick())
    assert Outbox(database, bus, objects, "derived").drain() == 1
    assert len(bus.messages) == 1
    objects.away = False
    assert Outbox(database, bus, objects, "derived").drain() == 1
    assert objects.names("derived") == []


def asked_for_by_the_database(connection: Connection, prefix: str, receipt: UUID | None = None) -> None:
    """A deletion as SQL asks for it, which knows no bucket."""
    connection.execute(
        "INSERT INTO outbox (kind, object_prefix, receipt_id) VALUES ('delete_objects', %s, %s)", (prefix, receipt)
    )


def test_a_deletion_without_a_bucket_is_one_in_the_derived_bucket(
    database: Database, connection: Connection, bus: RecordingPublisher, objects: MemoryObjects
) -> None:
    for bucket in ("derived", "photos"):
        objects.put(bucket, "events/a/1.jpg", b"x")
    asked_for_by_the_database(connection, "events/a/")
    assert Outbox(database, bus).drain() == 0
    assert Outbox(database, bus, objects, "derived").drain() == 1
    assert (objects.names("derived"), objects.names("photos")) == ([], ["events/a/1.jpg"])


def test_what_is_about_to_be_written_waits_for_a_deletion_without_a_bucket(
    database: Database, connection: Connection, bus: RecordingPublisher, objects: MemoryObjects
) -> None:
    objects.put("derived", "events/a/old.jpg", b"x")
    asked_for_by_the_database(connection, "events/a/")
    Outbox(database, bus, objects, "derived").finish_deletions("derived", "events/a/photo/")
    assert objects.names("derived") == []
    assert rows(connection, "outbox") == []


def test_a_receipt_is_complete_with_its_last_deletion(
    database: Database, connection: Connection, bus: RecordingPublisher, objects: MemoryObjects
) -> None:
    receipt = uuid4()
    connection.execute("INSERT INTO purge_receipts (id, event_id, erased) VALUES (%s, %s, '{}')", (receipt, receipt))
    asked_for_by_the_database(connection, "events/a/1.jpg", receipt)
    asked_for_by_the_database(connection, "events/a/2.jpg", receipt)
    drained = Outbox(database, bus, objects, "derived")
    drained.drain(limit=1)
    assert rows(connection, "purge_receipts")[0]["completed_at"] is None
    drained.drain(limit=1)
    assert rows(connection, "purge_receipts")[0]["completed_at"] is not None


def test_who_deletes_also_names_the_derived_bucket(
    database: Database, bus: RecordingPublisher, objects: MemoryObjects
) -> None:
    with pytest.raises(ValueError, match="must be given together"):
        Outbox(database, bus, objects)


def test_an_empty_prefix_cannot_be_asked_for(database: Database) -> None:
    with pytest.raises(psycopg.errors.CheckViolation), database.transaction() as inner:
        outbox.add_deletion(inner, "derived", "")


def test_the_quiet_drain_leaves_what_failed_to_the_tick(database: Database, bus: RecordingPublisher) -> None:
    add(database)
    bus.away = True
    Outbox(database, bus).drain_quietly()
    bus.away = False
    Outbox(database, bus).drain_quietly()
    assert bus.messages == []
    assert Outbox(database, bus).drain() == 1


@pytest.mark.parametrize("error", [Retryable("away"), RuntimeError("no credentials"), ValueError("?")])
def test_the_quiet_drain_never_raises(database: Database, bus: RecordingPublisher, error: Exception) -> None:
    add(database)

    def fail(_: Published) -> None:
        raise error

    bus.before = fail
    Outbox(database, bus).drain_quietly()


def test_the_quiet_drain_never_raises_without_a_database(
    bus: RecordingPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.database._POOL_TIMEOUT_SECONDS", 0.2)
    gone = Database("postgresql://nobody@127.0.0.1:1/nothing?connect_timeout=1")
    with pytest.raises(Retryable, match="gave no connection"):
        Outbox(gone, bus).drain()
    Outbox(gone, bus).drain_quietly()
    gone.close()
