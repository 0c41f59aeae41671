"""Callback as functions-framework serves it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import functions_framework
import pytest
from flask.testing import FlaskClient

from shared.bus import load_bus
from shared.contracts import InvitationMade, JobFinished, Message, Notification, Tick, encode
from shared.database import Connection
from tests.arrange import rows
from tests.unit.shared.quiet import plain_logging_afterwards
from tests.unit.shared.requests_of import envelope, every_way, pushed

MAIN = Path(__file__).resolve().parents[3] / "functions" / "callback" / "main.py"
MESSAGES: dict[str, Message] = {
    "/face-results": JobFinished(
        job_id=uuid4(), run=1, job_type="detect", status="completed", event_id=uuid4(), media_id=uuid4()
    ),
    "/ticks": Tick(),
    "/notifications": Notification(kind="clustering_finished", event_id=uuid4(), job_id=uuid4(), run=1),
}


@pytest.fixture
def client(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FlaskClient]:
    """A client of the whole function; its bus and bucket are never reached by these tests."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "project")
    monkeypatch.setenv("DERIVED_BUCKET", "derived")
    monkeypatch.setattr(sys, "path", list(sys.path))
    with plain_logging_afterwards():
        app = functions_framework.create_app("main", str(MAIN))  # type: ignore[no-untyped-call]
        yield app.test_client()
        loaded = sys.modules.pop("main")
        if loaded.service.__wrapped__.cache_info().currsize:
            # the pool's threads end with it
            for cell in loaded.service()._routes["/face-results"].__closure__:
                held = cell.cell_contents
                held._database.close()


def test_the_probe_is_answered(client: FlaskClient) -> None:
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize("path", MESSAGES)
@pytest.mark.parametrize("way", ["push", "binary", "structured"])
def test_a_message_is_taken_whichever_way_it_comes(client: FlaskClient, path: str, way: str) -> None:
    message = MESSAGES[path]
    headers, body = every_way(encode(message.data()), message.attributes())[way]
    answer = client.post(path, data=body, headers=headers)
    assert (answer.status_code, answer.data) == (204, b"")


def test_the_second_message_of_a_topic_is_known_by_its_schema(client: FlaskClient) -> None:
    message = InvitationMade(event_id=uuid4(), invitation_id=uuid4())
    headers, body = pushed(envelope(encode(message.data()), message.attributes()))
    assert client.post("/notifications", data=body, headers=headers).status_code == 204


@pytest.mark.parametrize("path", MESSAGES)
def test_a_malformed_message_is_answered_400_and_the_function_lives(client: FlaskClient, path: str) -> None:
    for content in ({}, envelope(b"?", {"schema": MESSAGES[path].schema_name()}), envelope(b"{}", {"schema": "x"})):
        headers, body = pushed(content)
        answer = client.post(path, data=body, headers=headers)
        assert answer.status_code == 400
        assert answer.data
    message = MESSAGES[path]
    headers, body = pushed(envelope(encode(message.data()), message.attributes()))
    assert client.post(path, data=body, headers=headers).status_code == 204


def test_every_subscription_of_the_bus_declaration_has_its_path(client: FlaskClient, connection: Connection) -> None:
    for subscription in load_bus().subscriptions():
        if subscription.function == "callback":
            headers, body = pushed(envelope(b"?"))
            status = client.post(subscription.path, data=body, headers=headers).status_code
            assert status == (204 if subscription.path.startswith("/dead-letters/") else 400), subscription.path
    assert len(rows(connection, "dead_letters")) == 6
