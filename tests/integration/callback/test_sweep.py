"""The tick picks up what was left over, any number of times at once."""

from __future__ import annotations

import threading
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from functions.callback.sweep import Swept
from shared import outbox
from shared.contracts import ClusterRequested, DetectRequested, JobFinished, Tick
from tests.arrange import cluster_job, counters, detect_job, event, job_row, photo, rows, snapshot, withdraw_consent
from tests.integration.callback.conftest import Callback

LONG_AGO = timedelta(hours=1)
NOTHING = Swept(0, 0, 0, 0, 0)


def detect_requests(callback: Callback) -> list[DetectRequested]:
    return [DetectRequested.parse(sent.data, sent.attributes) for sent in callback.bus.to("detect-requests")]


def test_a_tick_with_nothing_to_do_does_nothing(callback: Callback) -> None:
    event_id = event(callback.connection)
    detect_job(callback.connection, event_id, photo(callback.connection, event_id), status="completed", age=LONG_AGO)
    detect_job(callback.connection, event_id, photo(callback.connection, event_id), status="processing")
    detect_job(callback.connection, event_id, photo(callback.connection, event_id))
    before = snapshot(callback.connection)
    assert callback.sweep().tick() == NOTHING
    assert snapshot(callback.connection) == before
    assert callback.bus.messages == []


def test_the_outbox_s_leftovers_are_published_and_objects_deleted(callback: Callback) -> None:
    callback.objects.put("derived", "events/x/1.jpg", b"x")
    with callback.database.transaction() as inner:
        outbox.add_message(inner, Tick())
        outbox.add_deletion(inner, "derived", "events/x/")
    callback.connection.execute("UPDATE outbox SET attempts = 7, last_error = 'away'")
    assert callback.sweep().tick().outbox_entries == 2
    assert callback.objects.names("derived") == []


# ---------------------------------------------------------------- stuck jobs


@pytest.mark.parametrize("status", ["processing", "pending"])
def test_a_photo_nobody_has_heard_of_is_asked_for_again(callback: Callback, status: str) -> None:
    event_id = event(callback.connection)
    media_id = photo(callback.connection, event_id)
    job_id = detect_job(callback.connection, event_id, media_id, status=status, attempts=1, age=LONG_AGO)
    assert callback.sweep().tick().stuck_jobs == 1
    assert detect_requests(callback) == [DetectRequested(job_id=job_id, run=1, event_id=event_id, media_id=media_id)]
    row = job_row(callback.connection, job_id)
    assert (row["status"], row["attempts"]) == ("pending", 1)
    assert callback.sweep().tick() == NOTHING, "only once: it was heard of just now"


def test_a_clustering_nobody_has_heard_of_is_asked_for_again(callback: Callback) -> None:
    event_id = event(callback.connection)
    job_id = cluster_job(callback.connection, event_id, status="processing", attempts=4, age=LONG_AGO)
    callback.sweep().tick()
    (sent,) = callback.bus.to("cluster-requests")
    assert ClusterRequested.parse(sent.data, sent.attributes).job_id == job_id


def test_a_job_that_was_tried_often_enough_is_given_up_with_its_last_error(callback: Callback) -> None:
    event_id = event(callback.connection)
    media_id = photo(callback.connection, event_id)
    job_id = detect_job(
        callback.connection, event_id, media_id, status="processing", attempts=5, age=LONG_AGO, error="out of memory"
    )
    assert callback.sweep().tick().stuck_jobs == 1
    row = job_row(callback.connection, job_id)
    assert (row["status"], row["error_code"]) == ("failed", "stuck")
    assert row["error"] == "given up after 5 attempts that did not end; the last error: out of memory"
    (sent,) = callback.bus.to("face-results")
    message = JobFinished.parse(sent.data, sent.attributes)
    assert (message.job_id, message.status, message.media_id) == (job_id, "failed", media_id)


def test_five_attempts_then_the_end(callback: Callback) -> None:
    event_id = event(callback.connection)
    media_id = photo(callback.connection, event_id)
    job_id = detect_job(callback.connection, event_id, media_id)
    for attempt in range(1, 6):
        callback.connection.execute(
            """
            UPDATE ml_jobs SET status = 'processing', attempts = %s, started_at = now() - interval '1 hour'
            WHERE id = %s
            """,
            (attempt, job_id),
        )
        callback.sweep().tick()
    assert len(detect_requests(callback)) == 4
    assert job_row(callback.connection, job_id)["status"] == "failed"


# ---------------------------------------------------------------- photos without a job


def test_a_photo_whose_upload_message_never_came_gets_a_job_after_its_grace(callback: Callback) -> None:
    event_id = event(callback.connection)
    late = photo(callback.connection, event_id, generation=None, age=LONG_AGO)
    photo(callback.connection, event_id, generation=None)
    photo(callback.connection, event_id, generation=None, named=False, age=LONG_AGO)
    assert callback.sweep().tick().photos_without_job == 1
    (request,) = detect_requests(callback)
    assert (request.event_id, request.media_id) == (event_id, late)
    assert job_row(callback.connection, request.job_id)["object_generation"] == 0
    assert callback.sweep().tick() == NOTHING


def test_photos_of_events_without_consent_or_that_were_deleted_get_none(callback: Callback) -> None:
    refused = event(callback.connection, consents=False)
    archived = event(callback.connection, archived=True)
    consenting = event(callback.connection)
    photo(callback.connection, refused, age=LONG_AGO)
    photo(callback.connection, archived, age=LONG_AGO)
    deleted = photo(callback.connection, consenting, age=LONG_AGO)
    callback.connection.execute("UPDATE media SET deleted_generation = 1 WHERE id = %s", (deleted,))
    assert callback.sweep().tick() == NOTHING


# ---------------------------------------------------------------- low priority


def low(callback: Callback, event_id: UUID, count: int) -> list[UUID]:
    return [
        detect_job(callback.connection, event_id, photo(callback.connection, event_id), priority="low", released=False)
        for _ in range(count)
    ]


def test_low_priority_waits_while_an_upload_is_to_be_detected_anywhere(callback: Callback) -> None:
    waiting = low(callback, event(callback.connection), 3)
    other = event(callback.connection)
    upload = detect_job(callback.connection, other, photo(callback.connection, other))
    assert callback.sweep().tick() == NOTHING
    callback.connection.execute("UPDATE ml_jobs SET status = 'processing', started_at = now() WHERE id = %s", (upload,))
    assert callback.sweep().tick() == NOTHING
    callback.connection.execute(
        "UPDATE ml_jobs SET status = 'completed', completed_at = now() WHERE id = %s", (upload,)
    )
    assert callback.sweep().tick().released_jobs == 3
    assert sorted(request.job_id for request in detect_requests(callback)) == sorted(waiting)
    assert callback.sweep().tick() == NOTHING


def test_low_priority_is_given_out_in_batches(callback: Callback) -> None:
    low(callback, event(callback.connection), 5)
    assert callback.sweep(low_priority_batch=2).tick().released_jobs == 2
    assert callback.sweep(low_priority_batch=2).tick().released_jobs == 0, "the batch is not done yet"
    callback.connection.execute(
        "UPDATE ml_jobs SET status = 'completed', completed_at = now() WHERE released_at IS NOT NULL"
    )
    assert callback.sweep(low_priority_batch=2).tick().released_jobs == 2


# ---------------------------------------------------------------- debounce


def test_what_the_debounce_left_over_is_asked_for_when_its_time_has_come(callback: Callback) -> None:
    event_id = event(callback.connection)
    detect_job(callback.connection, event_id, photo(callback.connection, event_id))
    counters(callback.connection, event_id, changed=3, ago=timedelta(seconds=110))
    assert callback.sweep().tick().clustering_requests == 0
    counters(callback.connection, event_id, changed=3, ago=timedelta(seconds=121))
    assert callback.sweep().tick().clustering_requests == 1
    assert len(callback.bus.to("cluster-requests")) == 1


def test_an_event_whose_consent_was_withdrawn_does_not_hold_up_the_others(callback: Callback) -> None:
    refused, consenting = event(callback.connection), event(callback.connection)
    counters(callback.connection, refused, changed=1, ago=LONG_AGO)
    counters(callback.connection, consenting, changed=1)
    withdraw_consent(callback.connection, refused)
    assert callback.sweep().tick().clustering_requests == 1
    (sent,) = callback.bus.to("cluster-requests")
    assert sent.body["event_id"] == str(consenting)


# ---------------------------------------------------------------- all at once


def test_four_ticks_at_once_double_nothing(callback: Callback) -> None:
    event_id = event(callback.connection)
    stuck = [
        detect_job(
            callback.connection, event_id, photo(callback.connection, event_id), status="processing", age=LONG_AGO
        )
        for _ in range(5)
    ]
    late = [photo(callback.connection, event_id, generation=None, age=LONG_AGO) for _ in range(5)]
    changed = [event(callback.connection) for _ in range(5)]
    for other in changed:
        counters(callback.connection, other, changed=1)
    ended = event(callback.connection)
    counters(callback.connection, ended)
    callback.connection.execute("UPDATE event_counters SET last_requested_at = now() WHERE event_id = %s", (ended,))
    cluster_job(callback.connection, ended, status="completed")
    with callback.database.transaction() as inner:
        for _ in range(5):
            outbox.add_message(inner, ClusterRequested(job_id=uuid4(), run=1, event_id=uuid4()))
    barrier = threading.Barrier(4)
    failures: list[BaseException] = []

    def tick() -> None:
        try:
            barrier.wait()
            callback.sweep().tick()
        except BaseException as error:  # noqa: BLE001 - told by the test
            failures.append(error)

    threads = [threading.Thread(target=tick) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    callback.sweep().tick()
    requests = detect_requests(callback)
    assert sorted(r.job_id for r in requests if r.media_id not in late) == sorted(stuck)
    assert sorted(r.media_id for r in requests if r.media_id in late) == sorted(late)
    clusterings = [sent.body["event_id"] for sent in callback.bus.to("cluster-requests")]
    assert len(clusterings) == len(set(clusterings)) == 10
    assert len(callback.bus.to("notifications")) == 1
    assert rows(callback.connection, "outbox") == []


def test_one_tick_does_a_bounded_amount(callback: Callback, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.callback.sweep._BATCH", 2)
    event_id = event(callback.connection)
    for _ in range(5):
        photo(callback.connection, event_id, generation=None, age=LONG_AGO)
    assert [callback.sweep().tick().photos_without_job for _ in range(4)] == [2, 2, 1, 0]
