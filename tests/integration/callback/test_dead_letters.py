"""What the bus gave up on: kept whole, told as a failed job, once."""

from __future__ import annotations

import json
import threading
from uuid import UUID, uuid4

import pytest

from shared.bus import load_bus
from shared.contracts import (
    ClusterRequested,
    DetectRequested,
    JobFinished,
    Message,
    Notification,
    StorageNotification,
    Tick,
    encode,
)
from shared.errors import Malformed
from shared.push import Delivery
from tests.arrange import cluster_job, detect_job, event, job_row, photo, rows, snapshot
from tests.integration.callback.conftest import Callback

TOPICS = [topic.name for topic in load_bus().topics]


def letter(message: Message, message_id: str = "1", **attributes: str) -> Delivery:
    kept = {**message.attributes(), "CloudPubSubDeadLetterSourceDeliveryCount": "10", **attributes}
    return Delivery(message_id, encode(message.data()), kept)


def upload(event_id: UUID, media_id: UUID, generation: int = 1, message_id: str = "1") -> Delivery:
    attributes = {
        "eventType": "OBJECT_FINALIZE",
        "bucketId": "photos",
        "objectId": f"events/{event_id}/{media_id}/a.jpg",
        "objectGeneration": str(generation),
        "CloudPubSubDeadLetterSourceDeliveryCount": "10",
    }
    return Delivery(message_id, json.dumps({"name": attributes["objectId"]}).encode(), attributes)


@pytest.mark.parametrize("topic", ["media-uploads", "detect-requests", "cluster-requests"])
def test_a_dead_letter_fails_the_job_it_was_about_with_its_last_error(callback: Callback, topic: str) -> None:
    event_id = event(callback.connection)
    media_id = photo(callback.connection, event_id)
    error = "Retryable: the bucket is away"
    if topic == "cluster-requests":
        job_id = cluster_job(callback.connection, event_id, status="processing", attempts=10, error=error)
        delivery = letter(ClusterRequested(job_id=job_id, run=1, event_id=event_id))
    else:
        job_id = detect_job(callback.connection, event_id, media_id, status="processing", attempts=10, error=error)
        asked = DetectRequested(job_id=job_id, run=1, event_id=event_id, media_id=media_id)
        delivery = letter(asked) if topic == "detect-requests" else upload(event_id, media_id)
    callback.letters().received(topic, delivery)
    row = job_row(callback.connection, job_id)
    assert (row["status"], row["error_code"]) == ("failed", "dead_letter")
    assert row["error"] == f"given up after 10 deliveries; the last problem: {error}"
    (kept,) = rows(callback.connection, "dead_letters")
    assert (kept["topic"], kept["job_id"], kept["error"]) == (topic, job_id, row["error"])
    assert (kept["data"], kept["attributes"]) == (delivery.data, dict(delivery.attributes))
    assert (kept["delivery_attempts"], kept["replayed_at"]) == (10, None)
    (told,) = callback.bus.to("face-results")
    assert JobFinished.parse(told.data, told.attributes).status == "failed"


@pytest.mark.parametrize("topic", ["face-results", "ticks", "notifications"])
def test_a_dead_letter_without_a_job_of_its_own_becomes_a_failed_job(callback: Callback, topic: str) -> None:
    event_id = event(callback.connection)
    done = cluster_job(callback.connection, event_id, status="completed")
    messages: dict[str, Message] = {
        "face-results": JobFinished(
            job_id=done, run=1, job_type="cluster", status="completed", event_id=event_id, media_id=None
        ),
        "ticks": Tick(),
        "notifications": Notification(kind="clustering_finished", event_id=event_id, job_id=done, run=1),
    }
    callback.letters().received(topic, letter(messages[topic]))
    (kept,) = rows(callback.connection, "dead_letters")
    row = job_row(callback.connection, kept["job_id"])
    assert (row["status"], row["error_code"], row["event_id"]) == ("failed", "dead_letter", None)
    assert row["error"] == "given up after 10 deliveries; the last problem: no attempt left an error"
    assert row["result"] == {"topic": topic, "message_id": "1"}
    assert job_row(callback.connection, done)["status"] == "completed"


@pytest.mark.parametrize("topic", TOPICS)
def test_a_malformed_dead_letter_is_kept_whole_and_told(callback: Callback, topic: str) -> None:
    data = b"\x00\xff not JSON"
    callback.letters().received(topic, Delivery("m", data, {"schema": "nonsense", "note": "é"}))
    (kept,) = rows(callback.connection, "dead_letters")
    assert (kept["data"], kept["attributes"]) == (data, {"schema": "nonsense", "note": "é"})
    assert kept["error"].startswith("given up by the bus; the last problem: ")
    assert ("expected a message of schema" in kept["error"]) or ("Cloud Storage notification" in kept["error"])
    row = job_row(callback.connection, kept["job_id"])
    assert (row["status"], row["error"]) == ("failed", kept["error"])
    assert row["job_type"] == ("cluster" if topic == "cluster-requests" else "detect")


@pytest.mark.parametrize(
    "attributes",
    [
        {"objectId": "a\0b"},
        {"\0": "\0"},
        {"half": "\ud800"},
        {"CloudPubSubDeadLetterSourceDeliveryCount": "²"},
        {"CloudPubSubDeadLetterSourceDeliveryCount": "9" * 30},
        {"CloudPubSubDeadLetterSourceDeliveryCount": "-1"},
    ],
)
def test_a_dead_letter_that_postgres_could_not_hold_finds_its_place_all_the_same(
    callback: Callback, attributes: dict[str, str]
) -> None:
    # Nothing is behind the dead-letter subscription: what it refuses is lost in the end.
    callback.letters().received("media-uploads", Delivery("m\0", b"\0", attributes))
    (kept,) = rows(callback.connection, "dead_letters")
    assert (kept["data"], kept["delivery_attempts"]) == (b"\0", None)
    assert job_row(callback.connection, kept["job_id"])["status"] == "failed"


@pytest.mark.parametrize("placed", ["a job that is open", "no job"])
def test_a_dead_letter_delivered_again_changes_nothing(callback: Callback, placed: str) -> None:
    event_id = event(callback.connection)
    job_id = cluster_job(callback.connection, event_id) if placed == "a job that is open" else uuid4()
    delivery = letter(ClusterRequested(job_id=job_id, run=1, event_id=event_id))
    callback.letters().received("cluster-requests", delivery)
    before = snapshot(callback.connection)
    sent = list(callback.bus.messages)
    for _ in range(2):
        callback.letters().received("cluster-requests", delivery)
    assert snapshot(callback.connection) == before
    assert callback.bus.messages == sent
    assert len(rows(callback.connection, "ml_jobs")) == 1


def test_a_dead_letter_delivered_four_times_at_once_makes_one_failed_job(callback: Callback) -> None:
    event_id = event(callback.connection)
    job_id = cluster_job(callback.connection, event_id)
    delivery = letter(ClusterRequested(job_id=job_id, run=1, event_id=event_id))
    letters, barrier = callback.letters(), threading.Barrier(4)

    def receive() -> None:
        barrier.wait()
        letters.received("cluster-requests", delivery)

    threads = [threading.Thread(target=receive) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [row["id"] for row in rows(callback.connection, "ml_jobs")] == [job_id]
    assert len(rows(callback.connection, "dead_letters")) == 1
    assert len(callback.bus.to("face-results")) == 1


@pytest.mark.parametrize("status", ["completed", "failed"])
def test_a_job_that_ended_meanwhile_is_untouched(callback: Callback, status: str) -> None:
    event_id = event(callback.connection)
    media_id = photo(callback.connection, event_id)
    job_id = detect_job(callback.connection, event_id, media_id, status=status)
    before = job_row(callback.connection, job_id)
    callback.letters().received(
        "detect-requests",
        letter(DetectRequested(job_id=job_id, run=1, event_id=event_id, media_id=media_id)),
    )
    callback.letters().received("media-uploads", upload(event_id, media_id))
    assert job_row(callback.connection, job_id) == before
    assert len(rows(callback.connection, "dead_letters")) == 2


def test_a_message_of_an_older_run_does_not_fail_the_newer_one(callback: Callback) -> None:
    event_id = event(callback.connection)
    job_id = cluster_job(callback.connection, event_id)
    callback.connection.execute("UPDATE ml_jobs SET run = 2")
    callback.letters().received("cluster-requests", letter(ClusterRequested(job_id=job_id, run=1, event_id=event_id)))
    assert job_row(callback.connection, job_id)["status"] == "pending"


def test_an_upload_of_another_generation_does_not_fail_this_one_s_job(callback: Callback) -> None:
    event_id = event(callback.connection)
    media_id = photo(callback.connection, event_id, generation=2)
    job_id = detect_job(callback.connection, event_id, media_id, generation=2)
    callback.letters().received("media-uploads", upload(event_id, media_id, generation=1))
    assert job_row(callback.connection, job_id)["status"] == "pending"


def test_a_job_that_was_dead_lettered_runs_when_its_message_is_replayed(callback: Callback) -> None:
    event_id = event(callback.connection)
    job_id = cluster_job(callback.connection, event_id)
    delivery = letter(ClusterRequested(job_id=job_id, run=1, event_id=event_id))
    callback.letters().received("cluster-requests", delivery)
    (kept,) = rows(callback.connection, "dead_letters")
    replayed = ClusterRequested.parse(bytes(kept["data"]), kept["attributes"])
    assert replayed == ClusterRequested(job_id=job_id, run=1, event_id=event_id)


def test_an_unknown_topic_is_malformed(callback: Callback) -> None:
    with pytest.raises(Malformed, match="no topic 'elsewhere'"):
        callback.letters().received("elsewhere", letter(Tick()))
    assert rows(callback.connection, "dead_letters") == []


def test_every_topic_has_a_parser(callback: Callback) -> None:
    assert set(TOPICS) >= {StorageNotification.topic}
    for number, topic in enumerate(TOPICS):
        callback.letters().received(topic, Delivery(str(number), b"", {}))
    assert {row["topic"] for row in rows(callback.connection, "dead_letters")} == set(TOPICS)
