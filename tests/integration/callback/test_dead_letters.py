"""What the bus gave up on: kept whole, told as a failed job, once."""

from __future__ import annotations

import json
import threading
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared import job_ledger
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


def upload(
    event_id: UUID, media_id: UUID, generation: int = 1, message_id: str = "1", kind: str = "OBJECT_FINALIZE"
) -> Delivery:
    attributes = {
        "eventType": kind,
        "bucketId": "photos",
        "objectId": f"events/{event_id}/{media_id}/photo.jpg",
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
    assert row["error"] == f"given up after 10 deliveries; the last error: {error}"
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
    assert row["error"] == "given up after 10 deliveries; the last error: no attempt recorded an error"
    assert row["result"] == {"topic": topic, "message_id": "1"}
    assert job_row(callback.connection, done)["status"] == "completed"


@pytest.mark.parametrize("topic", TOPICS)
def test_a_malformed_dead_letter_is_kept_whole_and_told(callback: Callback, topic: str) -> None:
    data = b"\x00\xff not JSON"
    callback.letters().received(topic, Delivery("m", data, {"schema": "nonsense", "note": "é"}))
    (kept,) = rows(callback.connection, "dead_letters")
    assert (kept["data"], kept["attributes"]) == (data, {"schema": "nonsense", "note": "é"})
    assert kept["error"].startswith("given up by the bus; the last error: ")
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
    open_job = placed == "a job that is open"
    job_id = cluster_job(callback.connection, event_id, attempts=1) if open_job else uuid4()
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
    job_id = cluster_job(callback.connection, event_id, attempts=1)
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
    job_id = cluster_job(callback.connection, event_id, attempts=1)
    delivery = letter(ClusterRequested(job_id=job_id, run=1, event_id=event_id))
    callback.letters().received("cluster-requests", delivery)
    (kept,) = rows(callback.connection, "dead_letters")
    replayed = ClusterRequested.parse(bytes(kept["data"]), kept["attributes"])
    assert replayed == ClusterRequested(job_id=job_id, run=1, event_id=event_id)


# ---------------------------------------------------------------- what nobody has tried


def requests(callback: Callback) -> list[DetectRequested]:
    return [DetectRequested.parse(sent.data, sent.attributes) for sent in callback.bus.to("detect-requests")]


def the_job(callback: Callback) -> dict[str, Any]:
    (row,) = rows(callback.connection, "ml_jobs")
    return row


@pytest.mark.parametrize("status", ["pending", "processing"])
@pytest.mark.parametrize("topic", ["media-uploads", "detect-requests"])
def test_a_photo_that_nobody_has_tried_waits_and_is_asked_for_by_the_next_tick(
    callback: Callback, topic: str, status: str
) -> None:
    event_id = event(callback.connection)
    media_id = photo(callback.connection, event_id)
    job_id = detect_job(callback.connection, event_id, media_id, status=status)
    asked = DetectRequested(job_id=job_id, run=1, event_id=event_id, media_id=media_id)
    callback.letters().received(topic, letter(asked) if topic == "detect-requests" else upload(event_id, media_id))
    row = the_job(callback)
    assert (row["status"], row["released_at"], row["error"]) == ("pending", None, None)
    assert callback.bus.messages == []
    (kept,) = rows(callback.connection, "dead_letters")
    assert (kept["job_id"], kept["replayed_at"] is not None) == (job_id, True), "kept, and nothing to replay"
    assert kept["error"].startswith("given up after 10 deliveries; its job was never attempted")
    assert callback.sweep().tick().released_jobs == 1
    assert requests(callback) == [asked]
    assert callback.sweep().tick().released_jobs == 0


def test_a_clustering_that_nobody_has_tried_is_asked_for_by_the_next_tick(callback: Callback) -> None:
    event_id = event(callback.connection)
    asked = ClusterRequested(job_id=cluster_job(callback.connection, event_id), run=1, event_id=event_id)
    callback.letters().received("cluster-requests", letter(asked))
    assert the_job(callback)["status"] == "pending"
    assert callback.sweep().tick().released_jobs == 1
    (sent,) = callback.bus.to("cluster-requests")
    assert ClusterRequested.parse(sent.data, sent.attributes) == asked


@pytest.mark.parametrize("announced", ["by the host app", "as a bare row", "not at all"])
def test_an_upload_that_no_function_has_heard_of_gets_its_job(callback: Callback, announced: str) -> None:
    event_id = event(callback.connection)
    media_id = uuid4()
    if announced != "not at all":
        media_id = photo(callback.connection, event_id, generation=None, named=announced == "by the host app")
    callback.letters().received("media-uploads", upload(event_id, media_id, generation=7))
    row = the_job(callback)
    assert (row["status"], row["object_generation"], row["attempts"]) == ("pending", 7, 0)
    (known,) = rows(callback.connection, "media")
    assert (known["id"], known["event_id"], known["object_generation"]) == (media_id, event_id, 7)
    assert (known["bucket"], known["object_name"]) == ("photos", f"events/{event_id}/{media_id}/photo.jpg")
    callback.sweep().tick()
    assert requests(callback) == [DetectRequested(job_id=row["id"], run=1, event_id=event_id, media_id=media_id)]


def test_an_upload_that_the_sweep_had_asked_for_before_it_was_known_has_one_job(callback: Callback) -> None:
    event_id = event(callback.connection)
    media_id = photo(callback.connection, event_id, generation=None)
    job_id = detect_job(callback.connection, event_id, media_id, generation=0)
    callback.letters().received("media-uploads", upload(event_id, media_id, generation=7))
    assert (the_job(callback)["id"], the_job(callback)["object_generation"]) == (job_id, 7)


def test_a_newer_object_of_a_photo_gets_a_job_beside_the_one_of_the_older(callback: Callback) -> None:
    event_id = event(callback.connection)
    media_id = photo(callback.connection, event_id)
    detect_job(callback.connection, event_id, media_id, status="completed")
    callback.letters().received("media-uploads", upload(event_id, media_id, generation=2))
    assert sorted(row["object_generation"] for row in rows(callback.connection, "ml_jobs")) == [1, 2]
    assert rows(callback.connection, "media")[0]["object_generation"] == 2


@pytest.mark.parametrize(
    "obstacle", ["no such event", "another event's photo", "deleted", "replaced", "no photo's name"]
)
def test_an_upload_that_belongs_to_no_photo_of_now_is_told_as_a_failed_job_as_ever(
    callback: Callback, obstacle: str
) -> None:
    event_id = event(callback.connection)
    media_id = photo(callback.connection, event_id, generation=5)
    before = rows(callback.connection, "media")
    if obstacle == "deleted":
        callback.connection.execute("UPDATE media SET deleted_generation = 9, object_generation = 9")
        before = rows(callback.connection, "media")
    delivery = {
        "no such event": upload(uuid4(), uuid4()),
        "another event's photo": upload(event(callback.connection), media_id, generation=9),
        "deleted": upload(event_id, media_id, generation=9),
        "replaced": upload(event_id, media_id, generation=4),
        "no photo's name": Delivery("1", b"{}", {**upload(event_id, media_id).attributes, "objectId": "a.jpg"}),
    }[obstacle]
    callback.letters().received("media-uploads", delivery)
    row = the_job(callback)
    assert (row["status"], row["error_code"], row["event_id"]) == ("failed", "dead_letter", None)
    assert rows(callback.connection, "media") == before
    assert rows(callback.connection, "dead_letters")[0]["replayed_at"] is None


@pytest.mark.parametrize("generation", [None, 5], ids=["announced", "uploaded"])
def test_an_untried_upload_of_another_object_does_not_take_the_photo_s_place(
    callback: Callback, generation: int | None
) -> None:
    event_id = event(callback.connection)
    media_id = photo(callback.connection, event_id, generation=generation)
    before = rows(callback.connection, "media")
    sent = upload(event_id, media_id, generation=9)
    other = {**sent.attributes, "objectId": f"events/{event_id}/{media_id}/photo.MOV"}
    callback.letters().received("media-uploads", Delivery("1", b"{}", other))
    assert rows(callback.connection, "media") == before
    assert the_job(callback)["event_id"] is None


def test_an_untried_upload_of_a_photo_that_was_deleted_does_not_make_it_again(callback: Callback) -> None:
    event_id = event(callback.connection)
    media_id = photo(callback.connection, event_id, generation=5)
    callback.connection.execute("DELETE FROM media")
    callback.letters().received("media-uploads", upload(event_id, media_id, generation=5))
    assert rows(callback.connection, "media") == []


def test_a_deletion_that_was_given_up_is_told_and_waits_to_be_replayed(callback: Callback) -> None:
    event_id = event(callback.connection)
    media_id = photo(callback.connection, event_id)
    job_id = detect_job(callback.connection, event_id, media_id)
    callback.letters().received("media-uploads", upload(event_id, media_id, kind="OBJECT_DELETE"))
    (kept,) = rows(callback.connection, "dead_letters")
    assert (kept["replayed_at"], kept["job_id"] == job_id) == (None, False)
    assert job_row(callback.connection, kept["job_id"])["status"] == "failed"
    assert job_row(callback.connection, job_id)["status"] == "pending"


def test_a_letter_of_untried_work_that_comes_again_changes_nothing_whatever_became_of_the_job(
    callback: Callback,
) -> None:
    event_id = event(callback.connection)
    media_id = photo(callback.connection, event_id)
    detect_job(callback.connection, event_id, media_id)
    callback.letters().received("media-uploads", upload(event_id, media_id))
    callback.sweep().tick()
    callback.connection.execute("UPDATE ml_jobs SET status = 'processing', attempts = 1, started_at = now()")
    before = snapshot(callback.connection)
    callback.letters().received("media-uploads", upload(event_id, media_id))
    assert snapshot(callback.connection) == before


def test_of_a_completed_job_nothing_is_told(callback: Callback) -> None:
    event_id = event(callback.connection)
    media_id = photo(callback.connection, event_id)
    job_id = detect_job(callback.connection, event_id, media_id, status="completed", attempts=1)
    callback.letters().received("media-uploads", upload(event_id, media_id))
    assert [row["id"] for row in rows(callback.connection, "ml_jobs")] == [job_id]
    (kept,) = rows(callback.connection, "dead_letters")
    assert (kept["job_id"], kept["replayed_at"] is not None) == (job_id, True)


def test_work_that_nobody_tries_for_a_day_fails_in_the_end(callback: Callback) -> None:
    event_id = event(callback.connection)
    media_id = photo(callback.connection, event_id)
    detect_job(callback.connection, event_id, media_id)
    for number in range(3):
        callback.letters().received("media-uploads", upload(event_id, media_id, message_id=f"round {number}"))
        assert the_job(callback)["status"] == "pending"
        callback.sweep().tick()
    callback.connection.execute(
        """
        UPDATE ml_jobs SET result = jsonb_build_object(
            'untried_since', (result ->> 'untried_since')::timestamptz - interval '1 day')
        """
    )
    callback.letters().received("media-uploads", upload(event_id, media_id, message_id="the last round"))
    assert (the_job(callback)["status"], the_job(callback)["error_code"]) == ("failed", "dead_letter")


def test_once_it_was_tried_the_days_of_waiting_are_forgotten(callback: Callback) -> None:
    event_id = event(callback.connection)
    media_id = photo(callback.connection, event_id)
    detect_job(callback.connection, event_id, media_id)
    callback.letters().received("media-uploads", upload(event_id, media_id))
    assert the_job(callback)["result"].keys() == {"untried_since"}
    with callback.database.transaction() as inner:
        job = job_ledger.lock(inner, the_job(callback)["id"])
        assert job is not None
        job_ledger.start(inner, job)
    assert the_job(callback)["result"] is None


def test_what_was_put_back_is_released_a_bounded_number_at_a_time(
    callback: Callback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("functions.callback.sweep._BATCH", 2)
    event_id = event(callback.connection)
    for number in range(5):
        media_id = photo(callback.connection, event_id)
        detect_job(callback.connection, event_id, media_id)
        callback.letters().received("media-uploads", upload(event_id, media_id, message_id=str(number)))
    assert [callback.sweep().tick().released_jobs for _ in range(4)] == [2, 2, 1, 0]


def test_an_unknown_topic_is_malformed(callback: Callback) -> None:
    with pytest.raises(Malformed, match="no topic 'elsewhere'"):
        callback.letters().received("elsewhere", letter(Tick()))
    assert rows(callback.connection, "dead_letters") == []


def test_every_topic_has_a_parser(callback: Callback) -> None:
    assert set(TOPICS) >= {StorageNotification.topic}
    for number, topic in enumerate(TOPICS):
        callback.letters().received(topic, Delivery(str(number), b"", {}))
    assert {row["topic"] for row in rows(callback.connection, "dead_letters")} == set(TOPICS)
