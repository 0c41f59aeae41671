"""POST /ml/callback on a real Postgres: what a signed report does, once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import flask
import pytest
from flask.testing import FlaskClient

from functions.callback.signed import PATH, SIGNATURE_HEADER, TIMESTAMP_HEADER, SignedReports, sign
from shared.contracts import JobFinished
from shared.service import Service
from tests.arrange import counters, detect_job, event, job_row, photo, rows, snapshot
from tests.integration.callback.conftest import Callback

SECRET = "a secret of at least 32 characters"
NOW = 1_800_000_000


@dataclass
class Worker:
    """A worker far away, and the endpoint that it reports to."""

    client: FlaskClient
    callback: Callback

    def report(self, headers: dict[str, str] | None = None, **body: Any) -> tuple[int, dict[str, Any]]:
        """Send a report, signed unless ``headers`` say otherwise."""
        content = json.dumps(body, default=str).encode()
        signed = {TIMESTAMP_HEADER: str(NOW), SIGNATURE_HEADER: sign(SECRET, str(NOW), content)}
        answer = self.client.post("/ml/callback", data=content, headers=signed if headers is None else headers)
        return answer.status_code, answer.get_json(force=True)


@pytest.fixture
def worker(callback: Callback) -> Worker:
    reports = SignedReports(callback.database, callback.outbox, (SECRET,), "project", lambda: NOW)
    app = flask.Flask("callback")
    app.add_url_rule(
        "/ml/callback", view_func=lambda: reports.answer(flask.request), methods=["GET", "POST"], endpoint="reports"
    )
    return Worker(app.test_client(), callback)


@pytest.fixture
def job_id(callback: Callback) -> UUID:
    """A job that a worker has been asked for."""
    event_id = event(callback.connection)
    counters(callback.connection, event_id, changed=1)
    return detect_job(callback.connection, event_id, photo(callback.connection, event_id))


def told(callback: Callback) -> list[JobFinished]:
    return [JobFinished.parse(sent.data, sent.attributes) for sent in callback.bus.to("face-results")]


def test_a_completed_job_is_recorded_and_told_as_any_other(worker: Worker, job_id: UUID) -> None:
    result = {"faces": 3, "milliseconds_total": 812.5}
    answer = worker.report(job_id=job_id, run=1, status="completed", result=result)
    assert answer == (200, {"outcome": "recorded"})
    row = job_row(worker.callback.connection, job_id)
    assert (row["status"], row["result"], row["error"]) == ("completed", result, None)
    (message,) = told(worker.callback)
    assert (message.job_id, message.run, message.status) == (job_id, 1, "completed")
    assert rows(worker.callback.connection, "outbox") == []
    worker.callback.results().finished(message)
    assert [sent.topic for sent in worker.callback.bus.messages] == ["face-results", "cluster-requests"]


@pytest.mark.parametrize(("code", "kept"), [(None, "worker"), ("corrupt", "corrupt")])
def test_a_failed_job_keeps_its_reason(worker: Worker, job_id: UUID, code: str | None, kept: str) -> None:
    named: dict[str, Any] = {} if code is None else {"error_code": code}
    status, _ = worker.report(job_id=job_id, run=1, status="failed", error="the file is broken", **named)
    row = job_row(worker.callback.connection, job_id)
    assert (status, row["status"], row["error_code"], row["error"]) == (200, "failed", kept, "the file is broken")
    assert told(worker.callback)[0].status == "failed"


def test_a_report_that_is_replayed_changes_nothing(worker: Worker, job_id: UUID) -> None:
    worker.report(job_id=job_id, run=1, status="completed")
    before = snapshot(worker.callback.connection)
    for _ in range(3):
        assert worker.report(job_id=job_id, run=1, status="completed") == (200, {"outcome": "known"})
    assert worker.report(job_id=job_id, run=1, status="failed", error="too late") == (200, {"outcome": "known"})
    assert snapshot(worker.callback.connection) == before
    assert len(told(worker.callback)) == 1


def test_a_report_on_an_older_run_is_stale(worker: Worker, job_id: UUID) -> None:
    worker.callback.connection.execute("UPDATE ml_jobs SET run = 2 WHERE id = %s", (job_id,))
    before = snapshot(worker.callback.connection)
    assert worker.report(job_id=job_id, run=1, status="completed") == (200, {"outcome": "stale"})
    assert snapshot(worker.callback.connection) == before


def test_a_job_that_was_given_up_may_still_be_completed(worker: Worker, job_id: UUID) -> None:
    worker.callback.connection.execute(
        "UPDATE ml_jobs SET status = 'failed', error_code = 'stuck', error = 'given up', completed_at = now()"
    )
    assert worker.report(job_id=job_id, run=1, status="completed") == (200, {"outcome": "recorded"})
    assert job_row(worker.callback.connection, job_id)["status"] == "completed"


def test_an_unknown_job_is_told(worker: Worker) -> None:
    status, problem = worker.report(job_id=uuid4(), run=1, status="completed")
    assert (status, problem["code"]) == (404, "not_found")


def test_who_is_not_believed_learns_nothing_and_is_counted(worker: Worker, job_id: UUID) -> None:
    before = snapshot(worker.callback.connection)
    body = {"job_id": str(job_id), "run": 1, "status": "completed"}
    content = json.dumps(body).encode()
    old = str(NOW - 301)
    attempts = [
        {},
        {TIMESTAMP_HEADER: str(NOW), SIGNATURE_HEADER: "nonsense"},
        {TIMESTAMP_HEADER: str(NOW), SIGNATURE_HEADER: sign("another secret of 32 characters", str(NOW), content)},
        {TIMESTAMP_HEADER: old, SIGNATURE_HEADER: sign(SECRET, old, content)},
    ]
    answers = [worker.report(headers, **body) for headers in attempts]
    assert {status for status, _ in answers} == {401}
    assert all(problem == answers[0][1] for _, problem in answers)
    assert snapshot(worker.callback.connection) == before
    found = {row["reason"]: row["failures"] for row in rows(worker.callback.connection, "auth_failures")}
    assert found == {
        "callback_unsigned": 1,
        "callback_malformed": 1,
        "callback_signature": 1,
        "callback_timestamp": 1,
    }


def test_a_body_that_is_wrong_is_told_to_who_signed_it(worker: Worker) -> None:
    status, problem = worker.report(job_id="x", run=1, status="completed", more=1)
    assert (status, problem["code"]) == (422, "invalid")
    assert "job_id" in problem["detail"]
    assert "more" in problem["detail"]


def test_other_methods_and_large_bodies(worker: Worker) -> None:
    assert worker.client.get("/ml/callback").headers["Allow"] == "POST"
    answer = worker.client.post("/ml/callback", data=b" " * (2**16 + 1))
    assert (answer.status_code, answer.mimetype) == (413, "application/problem+json")


def test_the_database_away_is_told_to_be_tried_again(callback: Callback) -> None:
    callback.database.close()
    away = type(callback.database)("postgres://nobody@127.0.0.1:1/none?connect_timeout=1")
    reports = SignedReports(away, callback.outbox, (SECRET,), "project", lambda: NOW)
    content = json.dumps({"job_id": str(uuid4()), "run": 1, "status": "completed"}).encode()
    headers = {TIMESTAMP_HEADER: str(NOW), SIGNATURE_HEADER: sign(SECRET, str(NOW), content)}
    with flask.Flask("callback").test_request_context("/ml/callback", method="POST", data=content, headers=headers):
        answer = reports.answer(flask.request)
    away.close()
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


def test_the_function_takes_reports_beside_the_bus_s_messages(callback: Callback) -> None:
    reports = SignedReports(callback.database, callback.outbox, (SECRET,), "project", lambda: NOW)
    service = Service({"/ticks": lambda _: None}, "project", {PATH: reports.answer})
    with flask.Flask("callback").test_request_context(PATH, method="POST", data=b"{}"):
        assert service.answer(flask.request).status_code == 401
    with flask.Flask("callback").test_request_context("/ml/callbacks", method="POST", data=b"{}"):
        assert service.answer(flask.request).status_code == 404
