"""POST /ml/enqueue: who may, and what it asks for."""

from __future__ import annotations

import base64
import json
import threading
import time
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from functions.admin.operations import enqueue as enqueue_module
from shared.contracts import DetectRequested
from shared.outbox import Outbox
from tests.arrange import detect_job, event, job_row, member, photo, rows, snapshot
from tests.integration.admin.conftest import AdminSite


def asked_for(site: AdminSite) -> dict[UUID, DetectRequested]:
    requests = [DetectRequested.parse(sent.data, sent.attributes) for sent in site.bus.to("detect-requests")]
    assert len({request.media_id for request in requests}) == len(requests), "each photo once"
    return {request.media_id: request for request in requests}


# ---------------------------------------------------------------- who may


def unsigned() -> str:
    claims = {"role": "service_role", "aud": "authenticated", "exp": int(time.time()) + 600}
    parts = [json.dumps(part).encode() for part in ({"alg": "none", "typ": "JWT"}, claims)]
    return ".".join([*(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts), ""])


def test_no_credentials_no_answer_and_each_refusal_is_counted(site: AdminSite) -> None:
    event_id = event(site.connection)
    photo(site.connection, event_id)
    before = snapshot(site.connection)
    expired = site.token(exp=int(time.time()) - 600)
    refused: list[tuple[dict[str, str], str]] = [
        ({}, "missing"),
        ({"Authorization": "Basic YTpi"}, "missing"),
        ({"Authorization": "Bearer nonsense"}, "invalid"),
        ({"Authorization": f"Bearer {unsigned()}"}, "algorithm"),
        ({"Authorization": site.token()["Authorization"][:-4] + "AAAA"}, "invalid"),
        (expired, "expired"),
        (expired, "expired"),
        (site.token(aud="another"), "audience"),
    ]
    for headers, _ in refused:
        status, problem = site.enqueue(headers, event_id=event_id)
        assert (status, problem["detail"]) == (401, "send a valid bearer token")
    assert site.failures() == {"missing": 2, "invalid": 2, "algorithm": 1, "expired": 2, "audience": 1}
    assert site.client.post("/ml/enqueue").headers["WWW-Authenticate"] == "Bearer"
    assert snapshot(site.connection) == before


@pytest.mark.parametrize("role", ["owner", "organizer"])
def test_an_organiser_may(site: AdminSite, role: str) -> None:
    event_id = event(site.connection)
    media_id = photo(site.connection, event_id)
    status, answer = site.enqueue(site.token(member(site.connection, event_id, role)), event_id=event_id)
    assert status == 202
    request = asked_for(site)[media_id]
    assert answer == {"jobs": [{"job_id": str(request.job_id), "media_id": str(media_id)}]}


def test_the_host_app_s_server_may(site: AdminSite) -> None:
    event_id = event(site.connection)
    media_id = photo(site.connection, event_id)
    assert site.enqueue(site.token(), event_id=event_id)[0] == 202
    assert set(asked_for(site)) == {media_id}


def test_others_cannot_even_tell_whether_there_is_such_an_event(site: AdminSite) -> None:
    event_id, other = event(site.connection), event(site.connection, consents=False)
    photo(site.connection, event_id)
    answers = [
        site.enqueue(site.token(member(site.connection, other, "owner")), event_id=event_id),
        site.enqueue(site.token(member(site.connection, event_id, "owner")), event_id=other),
        site.enqueue(site.token(uuid4()), event_id=event_id),
        site.enqueue(site.token(uuid4()), event_id=uuid4()),
    ]
    assert {status for status, _ in answers} == {404}
    assert all(problem == answers[0][1] for _, problem in answers)
    assert site.bus.messages == []
    assert site.failures() == {}


def test_a_member_is_told_that_it_is_for_organisers(site: AdminSite) -> None:
    event_id = event(site.connection)
    photo(site.connection, event_id)
    status, problem = site.enqueue(site.token(member(site.connection, event_id)), event_id=event_id)
    assert (status, problem["code"]) == (403, "forbidden")
    assert rows(site.connection, "ml_jobs") == []


@pytest.mark.parametrize(("consents", "archived"), [(False, False), (True, True)])
def test_without_consent_nothing_is_asked_for(site: AdminSite, consents: bool, archived: bool) -> None:  # noqa: FBT001
    event_id = event(site.connection, consents=consents, archived=archived)
    photo(site.connection, event_id)
    status, problem = site.enqueue(site.token(), event_id=event_id)
    assert (status, problem["code"]) == (409, "no_consent")
    assert rows(site.connection, "ml_jobs") == []


# ---------------------------------------------------------------- what is asked for


def test_without_photos_named_every_photo_without_a_completed_job_is_asked_for(site: AdminSite) -> None:
    event_id = event(site.connection)
    fresh, failed, completed, pending, processing, deleted, announced = (
        photo(site.connection, event_id) for _ in range(7)
    )
    renewed = detect_job(site.connection, event_id, failed, status="failed", attempts=4)
    detect_job(site.connection, event_id, completed, status="completed")
    detect_job(site.connection, event_id, pending)
    detect_job(site.connection, event_id, processing, status="processing")
    site.connection.execute("UPDATE media SET deleted_generation = 1 WHERE id = %s", (deleted,))
    site.connection.execute("UPDATE media SET object_name = NULL WHERE id = %s", (announced,))
    photo(site.connection, event(site.connection))
    status, answer = site.enqueue(site.token(), event_id=event_id)
    assert (status, len(answer["jobs"])) == (202, 2)
    requests = asked_for(site)
    assert set(requests) == {fresh, failed}
    assert (requests[failed].job_id, requests[failed].run) == (renewed, 2)
    row = job_row(site.connection, renewed)
    assert (row["status"], row["attempts"], row["error"], row["error_code"]) == ("pending", 0, None, None)
    assert row["completed_at"] is None
    assert site.enqueue(site.token(), event_id=event_id)[1] == {"jobs": []}, "they are open now"


def test_only_the_named_photos_of_this_event_are_asked_for(site: AdminSite) -> None:
    event_id = event(site.connection)
    wanted, other = photo(site.connection, event_id), photo(site.connection, event_id)
    foreign = photo(site.connection, event(site.connection))
    named = [str(wanted), str(wanted), str(foreign), str(uuid4())]
    status, answer = site.enqueue(site.token(), event_id=event_id, media_ids=named)
    assert (status, [job["media_id"] for job in answer["jobs"]]) == (202, [str(wanted)])
    assert set(asked_for(site)) == {wanted}
    assert other not in asked_for(site)


def test_force_looks_again_at_what_is_completed(site: AdminSite) -> None:
    event_id = event(site.connection)
    media_id = photo(site.connection, event_id)
    job_id = detect_job(site.connection, event_id, media_id, status="completed")
    assert site.enqueue(site.token(), event_id=event_id, media_ids=[str(media_id)])[1] == {"jobs": []}
    site.enqueue(site.token(), event_id=event_id, media_ids=[str(media_id)], force=True)
    request = asked_for(site)[media_id]
    assert (request.job_id, request.run) == (job_id, 2)
    assert job_row(site.connection, job_id)["reported_at"] is None
    assert site.enqueue(site.token(), event_id=event_id, force=True)[1] == {"jobs": []}, "it is open now"


def test_a_new_object_of_a_photo_gets_a_job_of_its_own(site: AdminSite) -> None:
    event_id = event(site.connection)
    media_id = photo(site.connection, event_id, generation=2)
    detect_job(site.connection, event_id, media_id, status="completed", generation=1)
    site.enqueue(site.token(), event_id=event_id)
    assert job_row(site.connection, asked_for(site)[media_id].job_id)["object_generation"] == 2


@pytest.mark.parametrize("state", ["new", "failed"])
def test_low_priority_waits_to_be_released(site: AdminSite, state: str) -> None:
    event_id = event(site.connection)
    media_id = photo(site.connection, event_id)
    if state == "failed":
        detect_job(site.connection, event_id, media_id, status="failed", age=timedelta(hours=1))
    _, answer = site.enqueue(site.token(), event_id=event_id, priority="low")
    row = job_row(site.connection, UUID(answer["jobs"][0]["job_id"]))
    assert (row["status"], row["priority"], row["released_at"]) == ("pending", "low", None)
    assert site.bus.messages == []


def test_what_waits_with_low_priority_is_asked_for_now_when_the_priority_is_higher(site: AdminSite) -> None:
    event_id = event(site.connection)
    media_id = photo(site.connection, event_id)
    site.enqueue(site.token(), event_id=event_id, priority="low")
    assert site.enqueue(site.token(), event_id=event_id, priority="low")[1] == {"jobs": []}
    site.enqueue(site.token(), event_id=event_id, priority="high")
    row = job_row(site.connection, asked_for(site)[media_id].job_id)
    assert (row["priority"], row["run"]) == ("high", 2)
    assert row["released_at"] is not None


def test_more_photos_than_one_request_takes_are_asked_for_by_the_next(
    site: AdminSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enqueue_module, "_MOST_PHOTOS", 2)
    event_id = event(site.connection)
    for _ in range(3):
        detect_job(site.connection, event_id, photo(site.connection, event_id), status="completed")
    waiting = {photo(site.connection, event_id) for _ in range(3)}
    counts = [len(site.enqueue(site.token(), event_id=event_id)[1]["jobs"]) for _ in range(3)]
    assert counts == [2, 1, 0]
    assert set(asked_for(site)) == waiting


def test_a_request_takes_no_more_statements_for_many_photos_than_for_one(
    site: AdminSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[str] = []
    execute = psycopg.Connection.execute

    def counted(connection: psycopg.Connection[Any], statement: Any, *values: Any, **options: Any) -> Any:
        statements.append(str(statement))
        return execute(connection, statement, *values, **options)

    monkeypatch.setattr(psycopg.Connection, "execute", counted)
    # Nothing is published meanwhile: the outbox is drained entry by entry.
    monkeypatch.setattr(Outbox, "drain_quietly", lambda _: None)
    needed = []
    for photos in (1, 1, 30):  # the first sets the connection up
        event_id = event(site.connection)
        for _ in range(photos):
            photo(site.connection, event_id)
            failed = photo(site.connection, event_id)
            detect_job(site.connection, event_id, failed, status="failed", error="x", error_code="x")
        statements.clear()
        assert len(site.enqueue(site.token(), event_id=event_id)[1]["jobs"]) == 2 * photos
        needed.append(len(statements))
    # The pool may set up another connection meanwhile, which takes a statement or two; 58 photos more would take 58.
    assert needed[2] <= needed[1] + 4


def test_messages_are_in_the_order_of_the_photos(site: AdminSite) -> None:
    event_id = event(site.connection)
    media = []
    for age in range(6, 0, -1):
        media.append(photo(site.connection, event_id, age=timedelta(hours=age)))
        if age % 2:
            detect_job(site.connection, event_id, media[-1], status="failed", error="x", error_code="x")
    answered = site.enqueue(site.token(), event_id=event_id)[1]["jobs"]
    assert [UUID(job["media_id"]) for job in answered] == media
    sent = [DetectRequested.parse(sent.data, sent.attributes) for sent in site.bus.to("detect-requests")]
    assert [message.media_id for message in sent] == media


def test_two_requests_at_once_ask_for_each_photo_once(site: AdminSite) -> None:
    event_id = event(site.connection)
    media = {photo(site.connection, event_id) for _ in range(10)}
    barrier = threading.Barrier(3)

    def enqueue() -> None:
        barrier.wait()
        site.enqueue(site.token(), event_id=event_id)

    threads = [threading.Thread(target=enqueue) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(asked_for(site)) == media
    assert len(rows(site.connection, "ml_jobs")) == 10


def test_without_the_bus_the_request_is_kept(site: AdminSite) -> None:
    event_id = event(site.connection)
    photo(site.connection, event_id)
    site.bus.away = True
    assert site.enqueue(site.token(), event_id=event_id)[0] == 202
    assert len(rows(site.connection, "outbox")) == 1


# ---------------------------------------------------------------- bodies and paths


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "event_id: Field required"),
        (b"[]", "body: "),
        (b"{", "body: "),
        (b"\xff", "body: "),
        (b"[" * 100_000, "body: "),
        (b"{}", "event_id: Field required"),
        (b'{"event_id": "x"}', "event_id: Input should be a valid UUID"),
        (b'{"event_id": "%s", "priority": "urgent"}', "priority: Input should be 'high', 'normal' or 'low'"),
        (b'{"event_id": "%s", "media_ids": []}', "media_ids: List should have at least 1 item"),
        (b'{"event_id": "%s", "media_ids": ["x"]}', "media_ids.0: Input should be a valid UUID"),
        (b'{"event_id": "%s", "force": "perhaps"}', "force: Input should be a valid boolean"),
        (b'{"event_id": "%s", "everything": true}', "everything: Extra inputs are not permitted"),
    ],
)
def test_a_body_that_is_wrong_is_told_in_words(site: AdminSite, body: bytes, told: str) -> None:
    content = body.replace(b"%s", str(uuid4()).encode())
    answer = site.client.post("/ml/enqueue", data=content, content_type="application/json", headers=site.token())
    assert answer.status_code == 422
    assert told in answer.get_json(force=True)["detail"]


def test_a_body_that_is_too_large_is_refused(site: AdminSite) -> None:
    answer = site.client.post("/ml/enqueue", data=b" " * (2**20 + 1), headers=site.token())
    assert (answer.status_code, answer.mimetype) == (413, "application/problem+json")
