"""Admin over HTTP, on a real Postgres."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cache
from typing import Any
from uuid import UUID

import flask
import flask_openapi3.utils as openapi_utils
import jwt
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from functions.admin.door.resources import Resources
from functions.admin.main import Admin
from functions.admin.settings import AdminSettings
from shared.database import Connection, Database
from shared.outbox import Outbox
from tests.arrange import DERIVED_BUCKET
from tests.fakes import MemoryObjects, RecordingPublisher

SECRET = "a secret of at least 32 characters"
INVITATION_SECRET = "another secret of at least 32 characters"


@dataclass
class AdminSite:
    """The function behind a client, with a bus that keeps what it is given and buckets in memory.

    ``connection`` commits each statement with the owner's rights, for arranging and looking.
    """

    client: FlaskClient
    connection: Connection
    admin: Admin
    resources: Resources
    bus: RecordingPublisher
    objects: MemoryObjects

    def token(self, user_id: UUID | None = None, **changed: Any) -> dict[str, str]:
        """The header of a user, or of the host app's server."""
        who = {"role": "service_role"} if user_id is None else {"sub": str(user_id)}
        claims = {"aud": "authenticated", "exp": int(time.time()) + 600, **who, **changed}
        return {"Authorization": f"Bearer {jwt.encode(claims, SECRET, algorithm='HS256')}"}

    def ask(
        self, method: str, path: str, user_id: UUID | None = None, /, *, key: str | None = None, **body: Any
    ) -> tuple[int, dict[str, Any]]:
        """One request of a user, or (None) of the host app's server; ``body`` is JSON, UUIDs as text."""
        headers = self.token(user_id) | ({} if key is None else {"Idempotency-Key": key})
        content = json.loads(json.dumps(body, default=str)) if method not in ("GET", "HEAD") else None
        answer = self.client.open(path, method=method, json=content, headers=headers)
        return answer.status_code, told(answer)

    def enqueue(self, headers: Mapping[str, str], **body: Any) -> tuple[int, dict[str, Any]]:
        """POST /ml/enqueue."""
        content = json.loads(json.dumps(body, default=str))
        answer = self.client.post("/ml/enqueue", json=content, headers=dict(headers))
        return answer.status_code, told(answer)

    def failures(self) -> dict[str, int]:
        """Refused credentials by reason."""
        found = self.connection.execute("SELECT reason, failures FROM auth_failures").fetchall()
        return {row["reason"]: row["failures"] for row in found}


def told(answer: TestResponse) -> dict[str, Any]:
    """The answer's JSON object; one of 400 and above is problem details."""
    result: dict[str, Any] = answer.get_json(force=True)
    if answer.status_code >= 400:
        assert answer.mimetype == "application/problem+json"
        assert result["status"] == answer.status_code
        assert {"type", "title", "status", "detail", "code"} <= set(result)
    return result


SETTINGS: dict[str, Any] = {
    "google_cloud_project": "project",
    "jwt_secret": SECRET,
    "derived_bucket": DERIVED_BUCKET,
    "invitation_secret": INVITATION_SECRET,
    "public_url": "https://photos.example",
    "database_pool_size": 8,
}


# Applications that no test uses now, by their settings. Making one takes a tenth of a second, most tests less.
_IDLE: defaultdict[str, list[Admin]] = defaultdict(list)


@contextmanager
def open_site(database_url: str, connection: Connection, **changed: Any) -> Iterator[AdminSite]:
    """Admin on a database, served as functions-framework serves it; ``changed`` are settings."""
    settings = AdminSettings.model_validate({"database_url": database_url, **SETTINGS, **changed})
    database = Database(settings.database_url, pool_size=settings.database_pool_size)
    bus, objects = RecordingPublisher(), MemoryObjects()
    idle = _IDLE[repr(sorted(changed.items()))]
    resources = Resources(settings, database, Outbox(database, bus), objects)
    admin = _moved(idle.pop(), resources) if idle else Admin(resources)
    app = flask.Flask("admin", static_folder=None)
    methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]
    app.add_url_rule("/<path:_>", view_func=lambda _: admin.answer(flask.request), methods=methods)
    try:
        yield AdminSite(app.test_client(), connection, admin, admin.resources, bus, objects)
    finally:
        database.close()
        idle.append(admin)


def _moved(admin: Admin, resources: Resources) -> Admin:
    """Give an application another database, outbox and buckets; its routes hold the resources that it was made with."""
    for part in fields(resources):
        object.__setattr__(admin.resources, part.name, getattr(resources, part.name))
    return admin


@pytest.fixture(scope="session", autouse=True)
def _schemas_are_made_once() -> Iterator[None]:
    """Most of the time that making the application takes goes to the document, which is the same for all of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openapi_utils, "get_model_schema", cache(openapi_utils.get_model_schema))
        yield


@pytest.fixture
def site(database_url: str, connection: Connection) -> Iterator[AdminSite]:
    """Admin on this test's database."""
    with open_site(database_url, connection) as made:
        yield made
