"""Replay of dead letters, on a real Postgres, and once through a real broker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest

from operations import replay as command
from operations.replay import Wanted, replay
from shared.contracts import ClusterRequested, DetectRequested, Message
from shared.errors import Retryable
from shared.publish import PubSubPublisher
from shared.push import Delivery
from tests.arrange import cluster_job, detect_job, event, job_row, photo, rows
from tests.contract.bus_endpoint import Endpoint
from tests.contract.bus_implementations import PROJECT, SMALL, RunningBus, running
from tests.fakes import Published
from tests.integration.callback.conftest import Callback
from tests.unit.shared.quiet import plain_logging_afterwards

OF_THE_BUS = {
    "CloudPubSubDeadLetterSourceDeliveryCount": "10",
    "CloudPubSubDeadLetterSourceSubscription": "cluster-requests-cluster",
    "googclient_schemaencoding": "JSON",
}


@pytest.fixture(scope="module")
def bus() -> Iterator[RunningBus]:
    with running(SMALL) as opened:
        yield opened


def dead(callback: Callback, message: Message) -> None:
    """Let a message die, and forget what that told the bus."""
    attributes = {**message.attributes(), **OF_THE_BUS}
    delivery = Delivery(uuid4().hex, json.dumps(message.data()).encode(), attributes)
    callback.letters().received(message.topic, delivery)
    callback.bus.take()


def dead_clustering(callback: Callback) -> tuple[UUID, ClusterRequested]:
    event_id = event(callback.connection)
    job_id = cluster_job(callback.connection, event_id, attempts=1)
    message = ClusterRequested(job_id=job_id, run=1, event_id=event_id)
    dead(callback, message)
    return job_id, message


def replayed(callback: Callback, wanted: Wanted | None = None) -> tuple[dict[str, int], list[str]]:
    lines: list[str] = []
    outcomes = replay(callback.database, callback.bus, wanted or Wanted(), lines.append)
    return {str(outcome): count for outcome, count in outcomes.items()}, lines


def test_a_letter_goes_where_it_came_from_as_it_was_and_only_once(callback: Callback) -> None:
    _, message = dead_clustering(callback)
    assert replayed(callback)[0] == {"replayed": 1}
    (sent,) = callback.bus.take()
    # What the bus had added, it would refuse.
    assert (sent.topic, sent.attributes) == ("cluster-requests", message.attributes())
    assert ClusterRequested.parse(sent.data, sent.attributes) == message
    assert rows(callback.connection, "dead_letters")[0]["replayed_at"] is not None
    assert replayed(callback)[0] == {}
    assert callback.bus.messages == []


def test_only_the_letters_that_are_wanted(callback: Callback) -> None:
    event_id = event(callback.connection)
    media_id = photo(callback.connection, event_id)
    job_id = detect_job(callback.connection, event_id, media_id, attempts=1)
    dead(callback, DetectRequested(job_id=job_id, run=1, event_id=event_id, media_id=media_id))
    for _ in range(3):
        dead_clustering(callback)
    assert replayed(callback, Wanted(topic="detect-requests"))[0] == {"replayed": 1}
    assert replayed(callback, Wanted(limit=1))[0] == {"replayed": 1}
    waiting = [row["id"] for row in rows(callback.connection, "dead_letters") if row["replayed_at"] is None]
    assert replayed(callback, Wanted(ids=[max(waiting)]))[0] == {"replayed": 1}
    assert len(callback.bus.take()) == 3
    assert [row["id"] for row in rows(callback.connection, "dead_letters") if row["replayed_at"] is None] == [
        min(waiting)
    ]


def test_listing_sends_nothing_and_says_why_each_died(callback: Callback) -> None:
    job_id, _ = dead_clustering(callback)
    outcomes, lines = replayed(callback, Wanted(only_list=True))
    assert outcomes == {"listed": 1}
    assert lines[0] == "1 dead letters wait"
    assert f"(job {job_id}): given up after 10 deliveries" in lines[1]
    assert callback.bus.messages == []
    assert rows(callback.connection, "dead_letters")[0]["replayed_at"] is None


def test_what_nobody_would_read_stays_and_is_told(callback: Callback) -> None:
    callback.letters().received("ticks", Delivery("1", b"no tick", {}))
    dead_clustering(callback)
    callback.bus.take()
    outcomes, lines = replayed(callback)
    assert outcomes == {"malformed": 1, "replayed": 1}
    assert any("stays: expected a message of schema 'trombi.Tick.v1'" in line for line in lines)
    assert [message.topic for message in callback.bus.messages] == ["cluster-requests"]


def test_what_was_replayed_before_the_bus_went_away_stays_replayed(callback: Callback) -> None:
    for _ in range(3):
        dead_clustering(callback)
    sent: list[Published] = []

    def only_one(message: Published) -> None:
        if sent:
            raise Retryable("the bus is away")
        sent.append(message)

    callback.bus.before = only_one
    with pytest.raises(Retryable):
        replayed(callback)
    assert [
        row["replayed_at"] is None for row in sorted(rows(callback.connection, "dead_letters"), key=lambda r: r["id"])
    ] == [
        False,
        True,
        True,
    ]
    callback.bus.before = lambda _: None
    assert replayed(callback)[0] == {"replayed": 2}


def test_a_replay_through_the_bus_reaches_the_function_and_its_job_runs_again(
    callback: Callback,
    bus: RunningBus,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    job_id, message = dead_clustering(callback)
    assert job_row(callback.connection, job_id)["error_code"] == "dead_letter"
    bus.client.publisher.create_topic(name=bus.client.topic_path(message.topic))
    capsys.readouterr()
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", PROJECT)
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", bus.host)
    with Endpoint() as function, plain_logging_afterwards():
        bus.subscribe(message.topic, function.url)
        assert command.main(["--topic", message.topic]) == 0
        push = function.next()
    assert capsys.readouterr().out == "1 dead letters wait\n1 replayed\n"
    assert ClusterRequested.parse(push.data, push.attributes) == message
    assert command.main([]) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_the_bus_being_away_is_told_in_a_sentence(
    callback: Callback, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Away(PubSubPublisher):
        def publish(self, topic: str, data: bytes, attributes: object) -> None:
            raise Retryable("topic cluster-requests did not accept the message")

    dead_clustering(callback)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", PROJECT)
    monkeypatch.setattr(command, "PubSubPublisher", Away)
    assert command.main([]) == 1
    assert "broken off: topic cluster-requests did not accept the message." in capsys.readouterr().out


def test_missing_settings_are_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", PROJECT)
    assert command.main([]) == 2
    assert "DATABASE_URL: Field required" in capsys.readouterr().out


def test_a_topic_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        command.main(["--topic", "photos"])
    assert "invalid choice: 'photos'" in capsys.readouterr().err
