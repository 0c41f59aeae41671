"""The door: what every request meets before and after its route."""

from __future__ import annotations

import base64
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import flask
import functions_framework
import pytest
from flask.testing import FlaskClient

from functions.admin.operations import routes as operations
from shared.database import Connection
from shared.errors import Permanent, Retryable
from shared.storage import ObjectMissing
from tests.arrange import event, member, photo, rows
from tests.integration.admin.conftest import SECRET, AdminSite, open_site
from tests.unit.shared.quiet import plain_logging_afterwards

MAIN = Path(__file__).resolve().parents[3] / "functions" / "admin" / "main.py"


# ---------------------------------------------------------------- credentials


def unsigned(**claims: Any) -> str:
    parts = [json.dumps(part).encode() for part in ({"alg": "none", "typ": "JWT"}, claims)]
    return ".".join([*(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts), ""])


def test_each_refused_credential_is_counted_by_its_reason_and_told_alike(site: AdminSite) -> None:
    right = site.token()["Authorization"]
    expired = site.token(exp=int(time.time()) - 600)["Authorization"]
    told = []
    for authorization in (None, "Basic YTpi", "Bearer nonsense", right[:-4] + "AAAA", expired, expired):
        headers = {} if authorization is None else {"Authorization": authorization}
        answer = site.client.get(f"/person/{uuid4()}", headers=headers)
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        told.append(answer.get_json())
    assert all(problem == told[0] for problem in told), "nobody learns why"
    assert site.failures() == {"missing": 2, "invalid": 2, "expired": 2}


def test_neither_log_nor_database_keeps_a_token(site: AdminSite, capfd: pytest.CaptureFixture[str]) -> None:
    token = unsigned(sub=str(uuid4()), email="somebody@example.org")
    site.client.get("/nothing", headers={"Authorization": f"Bearer {token}"})
    output = "".join(capfd.readouterr())
    assert "authentication failed" in output
    assert not [part for part in token.split(".") if part and part in output]
    assert token not in str(rows(site.connection, "auth_failures"))


def test_a_wrong_token_is_refused_where_none_is_asked_for_too(site: AdminSite) -> None:
    assert site.client.get("/openapi.json").status_code == 200
    assert site.client.get("/openapi.json", headers={"Authorization": "Bearer nonsense"}).status_code == 401


def test_keys_away_are_told_to_be_tried_again_and_are_nobody_s_failure(
    database_url: str, connection: Connection
) -> None:
    header = base64.urlsafe_b64encode(b'{"alg":"RS256","kid":"1"}').rstrip(b"=").decode()
    with open_site(database_url, connection, jwt_jwks_url="http://127.0.0.1:1/keys") as site:
        answer = site.client.get("/nothing", headers={"Authorization": f"Bearer {header}.e30.AAAA"})
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert site.failures() == {}
        assert site.client.get("/nothing", headers=site.token()).status_code == 404


# ---------------------------------------------------------------- bodies


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/xml"])
def test_only_json_is_taken(site: AdminSite, content_type: str | None) -> None:
    answer = site.client.post("/ml/enqueue", data=b"{}", content_type=content_type, headers=site.token())
    assert (answer.status_code, answer.get_json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff\xfe",
        b"[1]",
        b'"text"',
        b'"{}"',
        b"null",
        b"0",
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b'{"event_id": NaN}',
        b'{"event_id": ' + b"9" * 5000 + b"}",
        b'{"event_id": "\\u0000"}',
        b'{"\\u0000": 1}',
        b'{"event_id": "\\ud800"}',
        b'{"media_ids": [{"a": ["\\udfff"]}]}',
    ],
)
def test_a_body_that_is_no_json_object_of_plain_text_is_refused(site: AdminSite, body: bytes) -> None:
    answer = site.client.post("/ml/enqueue", data=body, content_type="application/json", headers=site.token())
    assert (answer.status_code, answer.get_json()["code"]) == (422, "invalid")
    assert answer.get_json()["detail"].startswith("body: ")


def test_the_body_of_a_stranger_is_not_even_read(site: AdminSite) -> None:
    answer = site.client.post("/ml/enqueue", data=b" " * 2**21, content_type="application/json")
    assert answer.status_code == 401


@pytest.mark.parametrize("path", ["/invite/%00", "/event/%00/face-persons", "/events?cursor=%00", "/events?%00=1"])
def test_no_text_of_an_address_holds_nul(site: AdminSite, path: str) -> None:
    answer = site.client.get(path, headers=site.token())
    assert (answer.status_code, answer.get_json()["code"]) == (422, "invalid")


@pytest.mark.parametrize("cursor", ["9" * 400, "-1", "é", "AAAA", "%ff%fe", "a" * 5000, "null", "0"])
def test_no_made_up_cursor_is_an_error_of_ours(site: AdminSite, cursor: str) -> None:
    event_id = event(site.connection)
    headers = site.token(member(site.connection, event_id, "owner"))
    for path in ("face-persons", "suggestions", "decisions"):
        answer = site.client.get(f"/event/{event_id}/{path}?cursor={cursor}", headers=headers)
        assert answer.status_code in (200, 422), (path, answer.data)
        assert site.client.get(f"/event/{event_id}/{path}?limit={cursor}", headers=headers).status_code == 422


# ---------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Retryable("the database is away"), 503, "try_again"),
        (Permanent("no_consent", "not switched on"), 409, "no_consent"),
        (ObjectMissing("gone"), 404, "not_found"),
        (RuntimeError("a secret"), 500, "unexpected"),
        (ValueError("a secret"), 500, "unexpected"),
    ],
)
def test_every_outcome_has_its_status(
    site: AdminSite, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, code: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(operations, "enqueue", fail)
    answered, problem = site.ask("POST", "/ml/enqueue", event_id=uuid4())
    assert (answered, problem["code"]) == (status, code)
    assert "a secret" not in str(problem)


def test_the_probe_and_the_document_need_no_database(connection: Connection) -> None:
    with open_site("postgresql://nobody@127.0.0.1:1/nothing?connect_timeout=1", connection) as site:
        assert site.client.get("/healthz").status_code == 200
        assert site.client.get("/openapi.json").status_code == 200
        assert "_pool" not in site.resources.database.__dict__


def test_methods_that_a_path_does_not_know(site: AdminSite) -> None:
    answer = site.client.delete("/ml/enqueue", headers=site.token())
    assert (answer.status_code, answer.mimetype) == (405, "application/problem+json")
    assert "POST" in answer.headers["Allow"]


# ---------------------------------------------------------------- pages of other origins


def test_no_page_of_another_origin_reads_an_answer_unless_it_is_named(
    database_url: str, connection: Connection, site: AdminSite
) -> None:
    origin = {"Origin": "https://app.example"}
    assert "Access-Control-Allow-Origin" not in site.client.get("/openapi.json", headers=origin).headers
    with open_site(database_url, connection, cors_origins="https://app.example/, https://two.example") as named:
        answer = named.client.get("/openapi.json", headers=origin)
        assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
        assert "Origin" in answer.headers["Vary"]
        assert "Access-Control-Allow-Credentials" not in answer.headers
        asked = named.client.options("/ml/enqueue", headers=origin | {"Access-Control-Request-Method": "POST"})
        assert (asked.status_code, asked.headers["Access-Control-Allow-Origin"]) == (200, "https://app.example")
        assert "Authorization" in asked.headers["Access-Control-Allow-Headers"]
        for stranger in ("https://app.example.evil.example", "http://app.example", "null", "https://APP.example"):
            answer = named.client.get("/openapi.json", headers={"Origin": stranger})
            assert "Access-Control-Allow-Origin" not in answer.headers, stranger
            assert "Origin" in answer.headers["Vary"]


# ---------------------------------------------------------------- as functions-framework serves it


@pytest.fixture
def framework(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FlaskClient]:
    """A client of the whole function."""
    settings = {
        "DATABASE_URL": database_url,
        "GOOGLE_CLOUD_PROJECT": "project",
        "DERIVED_BUCKET": "derived",
        "JWT_SECRET": SECRET,
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with plain_logging_afterwards():
        app = functions_framework.create_app("main", str(MAIN))  # type: ignore[no-untyped-call]
        yield app.test_client()
        loaded = sys.modules.pop("main")
        loaded.admin().resources.database.close()


def test_the_whole_function_answers(framework: FlaskClient, site: AdminSite) -> None:
    assert framework.get("/healthz").data == b"ready\n"
    assert framework.get("/openapi.json").get_json()["info"]["title"] == "Trombi"
    event_id = event(site.connection)
    photo(site.connection, event_id)
    user_id = member(site.connection, event_id, "owner")
    answer = framework.get(f"/event/{event_id}/face-persons", headers=site.token(user_id))
    assert answer.get_json()["items"] == []
    assert framework.head("/openapi.json").data == b""


def test_a_stream_is_passed_through_as_it_grows(site: AdminSite, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def numbers() -> Iterator[str]:
        for number in range(3):
            made.append(number)
            yield f"data: {number}\n\n"

    stream = flask.Response(numbers(), mimetype="text/event-stream")
    monkeypatch.setitem(site.admin.site.view_functions, "document", lambda: stream)
    answer = site.client.get("/openapi.json", buffered=False)
    parts = answer.iter_encoded()
    assert (next(parts), len(made)) == (b"data: 0\n\n", 1)
    assert list(parts) == [b"data: 1\n\n", b"data: 2\n\n"]
    answer.close()
