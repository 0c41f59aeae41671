"""Results come in: counters, clustering requests, and the one notification."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from psycopg.types.json import Jsonb

from shared import job_ledger
from shared.contracts import ClusterRequested, JobFinished, Notification
from shared.log import configure_logging
from tests.arrange import cluster_job, counters, detect_job, event, job_row, photo, snapshot, withdraw_consent
from tests.integration.callback.conftest import Callback
from tests.unit.shared.quiet import plain_logging_afterwards


def finished(job_id: UUID, event_id: UUID | None, media_id: UUID | None = None, *, run: int = 1) -> JobFinished:
    return JobFinished(
        job_id=job_id,
        run=run,
        job_type="detect" if media_id else "cluster",
        status="completed",
        event_id=event_id,
        media_id=media_id,
    )


def processed(callback: Callback, event_id: UUID, *, changed: int = 1) -> JobFinished:
    """A photo that was detected just now, with a face."""
    media_id = photo(callback.connection, event_id)
    job_id = detect_job(callback.connection, event_id, media_id, status="completed")
    if changed:
        counters(callback.connection, event_id, changed=changed)
    return finished(job_id, event_id, media_id)


def run_completed(callback: Callback, persons: int = 3) -> JobFinished:
    """The clustering that was asked for last has ended."""
    request = callback.bus.to("cluster-requests")[-1]
    message = ClusterRequested.parse(request.data, request.attributes)
    callback.connection.execute(
        """
        UPDATE ml_jobs SET status = 'completed', result = '{}', started_at = now(), completed_at = clock_timestamp()
        WHERE id = %s
        """,
        (message.job_id,),
    )
    callback.connection.execute(
        """
        INSERT INTO cluster_runs (job_id, run, event_id, faces, clusters, persons, noise, churn, suggestions,
            milliseconds, parameters)
        VALUES (%s, %s, %s, 9, 3, %s, 0, 0, 0, '{}', '{}')
        """,
        (message.job_id, message.run, message.event_id, persons),
    )
    return finished(message.job_id, message.event_id)


def notified(callback: Callback) -> list[Notification]:
    return [Notification.parse(sent.data, sent.attributes) for sent in callback.bus.to("notifications")]


def test_the_last_photo_asks_for_clustering_at_once(callback: Callback) -> None:
    event_id = event(callback.connection)
    message = processed(callback, event_id)
    callback.results().finished(message)
    (request,) = callback.bus.to("cluster-requests")
    asked = ClusterRequested.parse(request.data, request.attributes)
    row = job_row(callback.connection, asked.job_id)
    assert (row["job_type"], row["event_id"], row["status"]) == ("cluster", event_id, "pending")
    assert row["released_at"] is not None
    kept = callback.connection.execute("SELECT * FROM event_counters").fetchone()
    assert kept is not None
    assert (kept["changed_photos"], kept["first_change_at"]) == (0, None)
    assert kept["last_requested_at"] is not None
    assert job_row(callback.connection, message.job_id)["reported_at"] is not None


def test_nothing_is_asked_for_while_photos_wait(callback: Callback) -> None:
    event_id = event(callback.connection)
    message = processed(callback, event_id)
    detect_job(callback.connection, event_id, photo(callback.connection, event_id))
    callback.results().finished(message)
    assert callback.bus.messages == []


def test_an_announced_photo_is_waited_for_within_its_grace(callback: Callback) -> None:
    event_id = event(callback.connection)
    message = processed(callback, event_id)
    announced = photo(callback.connection, event_id, generation=None)
    callback.results().finished(message)
    assert callback.bus.messages == []
    callback.connection.execute(
        "UPDATE media SET created_at = now() - interval '11 minutes' WHERE id = %s", (announced,)
    )
    callback.results().finished(message)
    assert len(callback.bus.to("cluster-requests")) == 1


def test_every_twentieth_photo_asks_even_while_photos_wait(callback: Callback) -> None:
    event_id = event(callback.connection)
    detect_job(callback.connection, event_id, photo(callback.connection, event_id))
    callback.results().finished(processed(callback, event_id, changed=19))
    assert callback.bus.messages == []
    callback.results().finished(processed(callback, event_id, changed=20))
    assert len(callback.bus.to("cluster-requests")) == 1


def test_one_request_at_a_time_and_one_more_after_it(callback: Callback) -> None:
    event_id = event(callback.connection)
    results = callback.results()
    results.finished(processed(callback, event_id))
    for _ in range(5):
        results.finished(processed(callback, event_id))
    assert len(callback.bus.to("cluster-requests")) == 1
    results.finished(run_completed(callback))
    assert len(callback.bus.to("cluster-requests")) == 2
    assert notified(callback) == []
    results.finished(run_completed(callback))
    assert len(callback.bus.to("cluster-requests")) == 2
    assert len(notified(callback)) == 1


def test_two_requests_are_never_nearer_than_the_interval(callback: Callback) -> None:
    event_id = event(callback.connection)
    results = callback.results(cluster_min_interval=3600)
    results.finished(processed(callback, event_id))
    results.finished(run_completed(callback))
    results.finished(processed(callback, event_id))
    assert len(callback.bus.to("cluster-requests")) == 1


def test_without_consent_nothing_is_asked_for_and_nobody_told(callback: Callback) -> None:
    event_id = event(callback.connection)
    results = callback.results()
    results.finished(processed(callback, event_id))
    ended = run_completed(callback)
    withdraw_consent(callback.connection, event_id)
    results.finished(ended)
    results.finished(processed(callback, event_id))
    callback.sweep().tick()
    assert len(callback.bus.messages) == 1


def test_an_archived_event_is_left_alone(callback: Callback) -> None:
    event_id = event(callback.connection, archived=True)
    callback.results().finished(processed(callback, event_id))
    assert callback.bus.messages == []


def test_a_result_without_an_event_is_noted(callback: Callback) -> None:
    callback.results().finished(finished(uuid4(), None, uuid4()))
    callback.results().finished(finished(uuid4(), uuid4(), uuid4()))
    assert callback.bus.messages == []


def test_a_result_of_an_older_run_is_no_news_of_this_one(callback: Callback) -> None:
    event_id = event(callback.connection)
    message = processed(callback, event_id)
    callback.connection.execute("UPDATE ml_jobs SET run = 2")
    callback.results().finished(message)
    assert job_row(callback.connection, message.job_id)["reported_at"] is None


# ---------------------------------------------------------------- told once, when the event is at rest


def test_people_are_told_once_when_the_event_comes_to_rest(callback: Callback) -> None:
    event_id = event(callback.connection)
    results = callback.results()
    results.finished(processed(callback, event_id))
    ended = run_completed(callback)
    for _ in range(3):
        results.finished(ended)
    callback.sweep().tick()
    (told,) = notified(callback)
    assert (told.event_id, told.job_id, told.run) == (event_id, ended.job_id, 1)


def test_people_are_not_told_while_photos_wait_but_when_the_last_one_shows_nobody(callback: Callback) -> None:
    event_id = event(callback.connection)
    results = callback.results()
    results.finished(processed(callback, event_id))
    landscape = photo(callback.connection, event_id)
    waiting = detect_job(callback.connection, event_id, landscape)
    results.finished(run_completed(callback))
    assert notified(callback) == []
    callback.connection.execute(
        "UPDATE ml_jobs SET status = 'completed', result = '{}', completed_at = now() WHERE id = %s", (waiting,)
    )
    results.finished(finished(waiting, event_id, landscape))
    assert len(notified(callback)) == 1
    assert len(callback.bus.to("cluster-requests")) == 1


def test_people_are_told_by_the_tick_when_an_announced_photo_never_comes(callback: Callback) -> None:
    event_id = event(callback.connection)
    results = callback.results()
    results.finished(processed(callback, event_id))
    photo(callback.connection, event_id, generation=None, named=False)
    # announced after the request, so that the clustering ran before its grace was over
    results.finished(run_completed(callback))
    callback.sweep().tick()
    assert notified(callback) == []
    callback.connection.execute("UPDATE media SET created_at = now() - interval '1 hour'")
    callback.sweep().tick()
    callback.sweep().tick()
    assert len(notified(callback)) == 1


def test_a_clustering_that_failed_is_not_told(callback: Callback) -> None:
    event_id = event(callback.connection)
    results = callback.results()
    results.finished(processed(callback, event_id))
    job_id = ClusterRequested.parse(callback.bus.messages[0].data, callback.bus.messages[0].attributes).job_id
    callback.connection.execute(
        "UPDATE ml_jobs SET status = 'failed', error_code = 'x', error = 'x', completed_at = now() WHERE id = %s",
        (job_id,),
    )
    results.finished(
        JobFinished(job_id=job_id, run=1, job_type="cluster", status="failed", event_id=event_id, media_id=None)
    )
    callback.sweep().tick()
    assert notified(callback) == []


@pytest.mark.parametrize(
    ("language", "text"),
    [("fr", "Analyse terminée : 15 personnes détectées"), ("en", "Analysis finished: 15 people found")],
)
def test_the_notification_is_told_in_the_event_s_language(
    callback: Callback, language: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    event_id = event(callback.connection, language=language)
    callback.results().finished(processed(callback, event_id))
    callback.results().finished(run_completed(callback, persons=15))
    (message,) = notified(callback)
    with plain_logging_afterwards():
        configure_logging("callback")
        callback.notifier().tell(message)
    entry = json.loads(capsys.readouterr().err)
    assert (entry["text"], entry["event_id"]) == (text, str(event_id))


def test_a_notification_of_an_event_that_is_gone_is_dropped(callback: Callback) -> None:
    callback.notifier().tell(Notification(kind="clustering_finished", event_id=uuid4(), job_id=uuid4(), run=1))


# ---------------------------------------------------------------- delivered three times, shuffled


@pytest.mark.parametrize("seed", range(3))
def test_every_result_three_times_and_shuffled_leaves_the_same_database(callback: Callback, seed: int) -> None:
    event_id = event(callback.connection)
    messages = [processed(callback, event_id, changed=number) for number in range(1, 6)]
    messages += [finished(cluster_job(callback.connection, event_id, status="failed"), event_id)]
    results = callback.results()
    delivered = messages * 3
    random.Random(seed).shuffle(delivered)
    for message in delivered:
        results.finished(message)
    assert len(callback.bus.to("cluster-requests")) == 1
    reported = callback.connection.execute("SELECT count(*) AS jobs FROM ml_jobs WHERE reported_at IS NOT NULL")
    assert reported.fetchone() == {"jobs": 6}
    before = snapshot(callback.connection)
    for message in delivered:
        results.finished(message)
    assert snapshot(callback.connection) == before
    assert len(callback.bus.messages) == 1


def test_a_crash_before_the_drain_loses_nothing(callback: Callback) -> None:
    event_id = event(callback.connection)
    message = processed(callback, event_id)
    callback.bus.away = True
    callback.results().finished(message)
    assert callback.bus.messages == []
    callback.bus.away = False
    callback.sweep().tick()
    assert len(callback.bus.to("cluster-requests")) == 1


def test_the_told_mark_is_the_job_s_and_ends_with_it(callback: Callback) -> None:
    event_id = event(callback.connection)
    older = cluster_job(callback.connection, event_id, status="completed", age=timedelta(minutes=5))
    newest = cluster_job(callback.connection, event_id, status="completed")
    with callback.database.transaction() as inner:
        assert job_ledger.take_finished_run(inner, event_id) == (newest, 1)
        assert job_ledger.take_finished_run(inner, event_id) is None
    assert job_row(callback.connection, older)["result"] == {}
    callback.connection.execute("UPDATE ml_jobs SET result = %s, run = 2 WHERE id = %s", (Jsonb({}), newest))
    with callback.database.transaction() as inner:
        assert job_ledger.take_finished_run(inner, event_id) == (newest, 2)
