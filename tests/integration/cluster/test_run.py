"""Clustering runs: what they write, and that they write it once."""

from __future__ import annotations

import threading
from uuid import UUID, uuid4

import psycopg
import pytest

from functions.cluster import run as run_module
from functions.cluster import store
from functions.cluster.faces.rules import group_faces
from shared.contracts import ClusterRequested, JobFinished
from shared.errors import Permanent, Retryable
from tests.arrange import (
    cluster_job,
    event,
    face,
    job_row,
    one_hot,
    photo,
    portraits,
    rows,
    snapshot,
    withdraw_consent,
)
from tests.integration.cluster.conftest import Clustering

# What every run leaves behind, whatever it finds.
TRACES = ("ml_jobs", "cluster_runs", "outbox")


def as_groups(people: list[list[UUID]]) -> list[set[UUID]]:
    return sorted((set(faces) for faces in people), key=min)


def test_a_run_writes_persons_covers_and_its_report(clustering: Clustering) -> None:
    event_id = event(clustering.connection)
    people = clustering.add_people(event_id, 4, 5)
    message = clustering.cluster(event_id)
    assert clustering.groups(event_id) == as_groups(people)
    for row in rows(clustering.connection, "face_persons"):
        assert clustering.person_of(row["representative_face_id"]) == row["id"]
        assert (row["status"], row["linked_user_id"]) == ("pending", None)
        assert row["metadata"] == {"face_count": 5, "avg_quality": 0.9}
    assert sorted(row["cluster_label"] for row in rows(clustering.connection, "face_persons")) == [0, 1, 2, 3]
    (report,) = rows(clustering.connection, "cluster_runs")
    assert (report["job_id"], report["run"], report["event_id"]) == (message.job_id, 1, event_id)
    assert (report["faces"], report["clusters"], report["persons"], report["noise"]) == (20, 4, 4, 0)
    assert (report["noise_ratio"], report["churn"], report["suggestions"]) == (0, 0, 0)
    assert report["silhouette"] > 0.5
    assert set(report["milliseconds"]) == {"load", "group", "silhouette", "plan", "write", "total"}
    assert report["parameters"]["min_cluster_size"] == 3
    assert report["embedding_model"] == "test-model"
    job = job_row(clustering.connection, message.job_id)
    assert (job["status"], job["result"]["persons"], job["attempts"]) == ("completed", 4, 1)
    (told,) = clustering.bus.messages
    assert JobFinished.parse(told.data, told.attributes) == JobFinished(
        job_id=message.job_id, run=1, job_type="cluster", status="completed", event_id=event_id, media_id=None
    )


def test_the_cover_is_the_best_face(clustering: Clustering) -> None:
    event_id = event(clustering.connection)
    ((_, _, best, _),) = clustering.add_people(event_id, 1, 4)
    clustering.connection.execute("UPDATE faces SET quality_score = 0.99 WHERE id = %s", (best,))
    clustering.cluster(event_id)
    assert [row["representative_face_id"] for row in rows(clustering.connection, "face_persons")] == [best]


def test_running_again_writes_nothing_new(clustering: Clustering) -> None:
    event_id = event(clustering.connection)
    clustering.add_people(event_id)
    clustering.cluster(event_id)
    before = snapshot(clustering.connection, *TRACES)
    clustering.cluster(event_id)
    assert snapshot(clustering.connection, *TRACES) == before
    assert [row["churn"] for row in rows(clustering.connection, "cluster_runs")] == [0, 0]


def test_a_request_delivered_three_times_is_one_run(clustering: Clustering) -> None:
    event_id = event(clustering.connection)
    clustering.add_people(event_id)
    message = clustering.cluster(event_id)
    before = snapshot(clustering.connection)
    for _ in range(2):
        clustering.run().requested(message)
    assert snapshot(clustering.connection) == before
    assert len(clustering.bus.messages) == 1


@pytest.mark.parametrize("what", ["an older run", "no such job", "a job that failed for good"])
def test_a_stale_request_changes_nothing(clustering: Clustering, what: str) -> None:
    event_id = event(clustering.connection)
    clustering.add_people(event_id)
    message = clustering.request(event_id)
    if what == "an older run":
        clustering.connection.execute("UPDATE ml_jobs SET run = 2")
    elif what == "no such job":
        clustering.connection.execute("DELETE FROM ml_jobs")
    else:
        clustering.connection.execute(
            "UPDATE ml_jobs SET status = 'failed', error_code = 'no_consent', error = 'x', completed_at = now()"
        )
    before = snapshot(clustering.connection)
    clustering.run().requested(message)
    assert snapshot(clustering.connection) == before


def test_a_job_that_was_given_up_runs_when_its_message_comes_late(clustering: Clustering) -> None:
    event_id = event(clustering.connection)
    people = clustering.add_people(event_id)
    job_id = cluster_job(clustering.connection, event_id, status="failed", error_code="dead_letter")
    clustering.run().requested(ClusterRequested(job_id=job_id, run=1, event_id=event_id))
    assert clustering.groups(event_id) == as_groups(people)
    assert job_row(clustering.connection, job_id)["status"] == "completed"


def test_a_job_that_was_given_up_makes_way_for_the_one_that_was_asked_for_since(clustering: Clustering) -> None:
    event_id = event(clustering.connection)
    clustering.add_people(event_id)
    given_up = cluster_job(clustering.connection, event_id, status="failed", error_code="stuck")
    clustering.request(event_id)
    before = snapshot(clustering.connection)
    clustering.run().requested(ClusterRequested(job_id=given_up, run=1, event_id=event_id))
    assert snapshot(clustering.connection) == before


def test_a_request_that_names_another_event_is_refused(clustering: Clustering) -> None:
    message = clustering.request(event(clustering.connection))
    other = event(clustering.connection)
    with pytest.raises(Permanent, match="another event"):
        clustering.run().requested(message.model_copy(update={"event_id": other}))
    assert rows(clustering.connection, "cluster_runs") == []


# ---------------------------------------------------------------- two at once, and crashes


def test_of_two_runs_at_once_the_second_is_tried_again(clustering: Clustering, monkeypatch: pytest.MonkeyPatch) -> None:
    event_id = event(clustering.connection)
    people = clustering.add_people(event_id)
    message = clustering.request(event_id)
    computing, go_on = threading.Event(), threading.Event()

    def slowly(*arguments: object, **named: object) -> object:
        computing.set()
        assert go_on.wait(30)
        return group_faces(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(run_module, "group_faces", slowly)
    first = threading.Thread(target=clustering.run().requested, args=(message,))
    first.start()
    assert computing.wait(30)
    with pytest.raises(Retryable, match="another run of this event is going on"):
        clustering.run().requested(message)
    other = event(clustering.connection)
    go_on.set()
    clustering.cluster(other)
    first.join()
    assert clustering.groups(event_id) == as_groups(people)
    clustering.run().requested(message)
    assert len([row for row in rows(clustering.connection, "cluster_runs") if row["event_id"] == event_id]) == 1


@pytest.mark.parametrize("step", ["group_faces", "plan_persons", "sampled_silhouette"])
def test_a_run_that_dies_while_it_computes_writes_nothing_and_can_be_tried_again(
    clustering: Clustering, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    event_id = event(clustering.connection)
    people = clustering.add_people(event_id)
    message = clustering.request(event_id)
    before = snapshot(clustering.connection, "ml_jobs")

    def die(*_: object, **__: object) -> None:
        raise MemoryError("no memory is left")

    with monkeypatch.context() as patched:
        patched.setattr(run_module, step, die)
        with pytest.raises(MemoryError):
            clustering.run().requested(message)
    assert snapshot(clustering.connection, "ml_jobs") == before
    job = job_row(clustering.connection, message.job_id)
    assert (job["status"], job["error"]) == ("processing", "MemoryError: no memory is left")
    clustering.run().requested(message)
    assert clustering.groups(event_id) == as_groups(people)
    job = job_row(clustering.connection, message.job_id)
    assert (job["status"], job["attempts"], job["error"]) == ("completed", 2, None)


@pytest.mark.parametrize("step", ["write_plan", "write_report"])
def test_a_run_that_dies_while_it_writes_writes_nothing(
    clustering: Clustering, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    event_id = event(clustering.connection)
    people = clustering.add_people(event_id)
    message = clustering.request(event_id)
    before = snapshot(clustering.connection, "ml_jobs")
    original = getattr(store, step)

    def write_and_die(*arguments: object) -> None:
        original(*arguments)
        raise psycopg.OperationalError("the server went away")

    with monkeypatch.context() as patched:
        patched.setattr(store, step, write_and_die)
        with pytest.raises(Retryable, match="unavailable or busy"):
            clustering.run().requested(message)
    assert snapshot(clustering.connection, "ml_jobs") == before
    clustering.run().requested(message)
    assert clustering.groups(event_id) == as_groups(people)


def test_a_result_that_the_bus_did_not_take_waits_in_the_outbox(clustering: Clustering) -> None:
    event_id = event(clustering.connection)
    clustering.bus.away = True
    message = clustering.cluster(event_id)
    assert job_row(clustering.connection, message.job_id)["status"] == "completed"
    assert [entry["topic"] for entry in rows(clustering.connection, "outbox")] == ["face-results"]


# ---------------------------------------------------------------- small and odd events


@pytest.mark.parametrize("faces", [0, 1, 2])
def test_events_of_no_one_and_two_strangers(clustering: Clustering, faces: int) -> None:
    event_id = event(clustering.connection)
    clustering.add_faces(event_id, portraits(faces, 1).reshape(faces, 512))
    message = clustering.cluster(event_id)
    assert clustering.persons(event_id) == {}
    assert job_row(clustering.connection, message.job_id)["status"] == "completed"
    (report,) = rows(clustering.connection, "cluster_runs")
    assert (report["faces"], report["noise"], report["silhouette"]) == (faces, faces, None)


def test_two_faces_of_one_person_are_a_person_of_two(clustering: Clustering) -> None:
    event_id = event(clustering.connection)
    people = clustering.add_people(event_id, 1, 2)
    clustering.cluster(event_id)
    assert clustering.groups(event_id) == as_groups(people)


def test_an_event_of_one_person_is_one_person(clustering: Clustering) -> None:
    event_id = event(clustering.connection)
    people = clustering.add_people(event_id, 1, 12)
    clustering.cluster(event_id)
    assert clustering.groups(event_id) == as_groups(people)


def test_identical_photos_are_one_person(clustering: Clustering) -> None:
    event_id = event(clustering.connection)
    faces = [
        face(clustering.connection, event_id, photo(clustering.connection, event_id), one_hot(3)) for _ in range(6)
    ]
    clustering.cluster(event_id)
    assert clustering.groups(event_id) == [set(faces)]


def test_two_events_do_not_mix(clustering: Clustering) -> None:
    one, other = event(clustering.connection), event(clustering.connection)
    people_of_one = clustering.add_people(one, 2, 3)
    people_of_other = clustering.add_people(other, 2, 3)
    clustering.cluster(one)
    assert clustering.persons(other) == {}
    clustering.cluster(other)
    assert clustering.groups(one) == as_groups(people_of_one)
    assert clustering.groups(other) == as_groups(people_of_other)
    assert not clustering.persons(one).keys() & clustering.persons(other).keys()


def test_erased_embeddings_play_no_part(clustering: Clustering) -> None:
    event_id = event(clustering.connection)
    kept, erased = clustering.add_people(event_id, 2, 4)
    clustering.connection.execute("UPDATE faces SET embedding = NULL WHERE id = ANY(%s)", (erased,))
    clustering.cluster(event_id)
    assert clustering.groups(event_id) == [set(kept)]


# ---------------------------------------------------------------- consent and faces that go meanwhile


def test_without_consent_nothing_is_clustered(clustering: Clustering) -> None:
    event_id = event(clustering.connection, consents=False)
    clustering.add_people(event_id)
    message = clustering.cluster(event_id)
    assert clustering.persons(event_id) == {}
    row = job_row(clustering.connection, message.job_id)
    assert (row["status"], row["error_code"]) == ("failed", "no_consent")
    assert len(clustering.bus.messages) == 1


def meanwhile(monkeypatch: pytest.MonkeyPatch, happens: object) -> None:
    """Let something happen once, while the run computes."""
    pending = [happens]

    def group(*arguments: object, **named: object) -> object:
        grouping = group_faces(*arguments, **named)  # type: ignore[arg-type]
        if pending:
            pending.pop()()  # type: ignore[operator]
        return grouping

    monkeypatch.setattr(run_module, "group_faces", group)


def test_consent_withdrawn_while_the_run_computes_writes_no_person(
    clustering: Clustering, monkeypatch: pytest.MonkeyPatch
) -> None:
    event_id = event(clustering.connection)
    clustering.add_people(event_id)
    meanwhile(monkeypatch, lambda: withdraw_consent(clustering.connection, event_id))
    message = clustering.cluster(event_id)
    assert clustering.persons(event_id) == {}
    row = job_row(clustering.connection, message.job_id)
    assert (row["status"], row["error_code"]) == ("failed", "no_consent")
    assert rows(clustering.connection, "cluster_runs") == []


def test_faces_deleted_while_the_run_computes_stay_deleted(
    clustering: Clustering, monkeypatch: pytest.MonkeyPatch
) -> None:
    event_id = event(clustering.connection)
    kept, deleted = clustering.add_people(event_id, 2, 4)
    meanwhile(
        monkeypatch,
        lambda: clustering.connection.execute("DELETE FROM faces WHERE id = ANY(%s)", (deleted,)),
    )
    clustering.cluster(event_id)
    assert clustering.groups(event_id) == [set(kept)]
    assert len(clustering.persons(event_id)) == 1


def test_the_event_deleted_while_the_run_computes_is_gone(
    clustering: Clustering, monkeypatch: pytest.MonkeyPatch
) -> None:
    event_id = event(clustering.connection)
    clustering.add_people(event_id)
    meanwhile(monkeypatch, lambda: clustering.connection.execute("DELETE FROM events WHERE id = %s", (event_id,)))
    clustering.cluster(event_id)
    assert rows(clustering.connection, "face_persons") == []
    assert clustering.bus.messages == []


def test_faces_added_while_the_run_computes_wait_for_the_next(
    clustering: Clustering, monkeypatch: pytest.MonkeyPatch
) -> None:
    event_id = event(clustering.connection)
    (first,) = clustering.add_people(event_id, 1, 4)
    added: list[list[UUID]] = []
    meanwhile(monkeypatch, lambda: added.extend(clustering.add_people(event_id, 1, 4, first=7)))
    clustering.cluster(event_id)
    assert clustering.groups(event_id) == [set(first)]
    clustering.cluster(event_id)
    assert clustering.groups(event_id) == as_groups([first, *added])


def test_a_job_that_the_sweep_gave_up_while_the_run_computed_writes_nothing(
    clustering: Clustering, monkeypatch: pytest.MonkeyPatch
) -> None:
    event_id = event(clustering.connection)
    clustering.add_people(event_id)
    meanwhile(
        monkeypatch,
        lambda: clustering.connection.execute(
            "UPDATE ml_jobs SET status = 'failed', error_code = 'stuck', error = 'x', completed_at = now()"
        ),
    )
    clustering.cluster(event_id)
    assert clustering.persons(event_id) == {}
    assert [row["error_code"] for row in rows(clustering.connection, "ml_jobs")] == ["stuck"]


def test_nothing_of_a_run_names_an_unknown_job(clustering: Clustering) -> None:
    clustering.run().requested(ClusterRequested(job_id=uuid4(), run=1, event_id=uuid4()))
    assert rows(clustering.connection, "ml_jobs") == []
