"""Admin over HTTP, on a real Postgres."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import flask
import jwt
import pytest
from flask.testing import FlaskClient

from functions.admin.main import Admin
from functions.admin.settings import AdminSettings
from shared.database import Connection
from shared.outbox import Outbox
from tests.fakes import RecordingPublisher

SECRET = "a secret of at least 32 characters"


@dataclass
class AdminSite:
    """The function behind a client, with a bus that keeps what it is given."""

    client: FlaskClient
    connection: Connection
    bus: RecordingPublisher = field(default_factory=RecordingPublisher)

    def token(self, user_id: UUID | None = None, **changed: Any) -> dict[str, str]:
        """The header of a user, or of the host app's server."""
        who = {"role": "service_role"} if user_id is None else {"sub": str(user_id)}
        claims = {"aud": "authenticated", "exp": int(time.time()) + 600, **who, **changed}
        return {"Authorization": f"Bearer {jwt.encode(claims, SECRET, algorithm='HS256')}"}

    def enqueue(self, headers: Mapping[str, str], **body: Any) -> tuple[int, dict[str, Any]]:
        """POST /ml/enqueue."""
        content = {key: str(value) if isinstance(value, UUID) else value for key, value in body.items()}
        answer = self.client.post("/ml/enqueue", json=content, headers=dict(headers))
        result: dict[str, Any] = answer.get_json(force=True)
        if answer.status_code >= 400:
            assert answer.mimetype == "application/problem+json"
            assert (result["status"], set(result)) == (answer.status_code, {"type", "title", "status", "detail"})
        return answer.status_code, result

    def failures(self) -> dict[str, int]:
        """Refused credentials by reason."""
        found = self.connection.execute("SELECT reason, failures FROM auth_failures").fetchall()
        return {row["reason"]: row["failures"] for row in found}


@pytest.fixture
def site(database_url: str, connection: Connection) -> Iterator[AdminSite]:
    """Admin on this test's database."""
    admin = Admin(
        AdminSettings.model_validate(
            {"database_url": database_url, "google_cloud_project": "project", "jwt_secret": SECRET}
        )
    )
    app = flask.Flask("admin")
    app.add_url_rule(
        "/<path:_>", view_func=lambda _: admin.answer(flask.request), methods=["GET", "POST", "PUT", "DELETE"]
    )
    made = AdminSite(app.test_client(), connection)
    admin._outbox = Outbox(admin._database, made.bus)
    yield made
    admin._database.close()
