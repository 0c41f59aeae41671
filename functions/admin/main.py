"""Admin's HTTP entry. Errors are RFC 9457 problem details."""

from __future__ import annotations

import json
from typing import Any

import flask
import functions_framework
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException

from functions.admin.auth import Unauthenticated, authenticate
from functions.admin.enqueue import EnqueueRequest, enqueue
from functions.admin.settings import AdminSettings
from shared.database import Database
from shared.errors import Permanent, Retryable
from shared.log import configure_logging, log_context, logger, trace_of
from shared.outbox import Outbox
from shared.publish import PubSubPublisher
from shared.service import READY_PATH, made_once

_COUNT_FAILURE = """
INSERT INTO auth_failures (reason) VALUES (%s)
ON CONFLICT (day, reason) DO UPDATE SET failures = auth_failures.failures + 1
"""
_MAX_BODY_BYTES = 2**20  # 10,000 ids are 0.4 MB
_STATUS_OF_REFUSAL = {"not_found": 404, "no_consent": 409}


class Admin:
    """Answers the requests of one process."""

    def __init__(self, settings: AdminSettings) -> None:
        self._settings = settings
        self._database = Database(settings.database_url, pool_size=settings.database_pool_size)
        self._outbox = Outbox(self._database, PubSubPublisher(settings.google_cloud_project))

    def answer(self, request: flask.Request) -> flask.Response:
        """Answer one request; an unexpected error is logged and told as 500."""
        if request.path == READY_PATH and request.method == "GET":
            return flask.Response("ready\n", mimetype="text/plain")
        if request.path != "/ml/enqueue":
            return _problem(404, "Not found", "nothing here")
        if request.method != "POST":
            return _problem(405, "Method not allowed", "enqueue by POST")
        with log_context(trace=trace_of(dict(request.headers), self._settings.google_cloud_project)):
            try:
                return self._enqueue(request)
            except Exception as error:  # noqa: BLE001 - the entry's last line of defence
                return self._refused(error)

    def _refused(self, error: Exception) -> flask.Response:
        """What went wrong, as problem details; an unexpected error is loud."""
        match error:
            case Unauthenticated():
                self._count(error)
                return _problem(401, "Unauthorized", "send a valid bearer token", {"WWW-Authenticate": "Bearer"})
            case ValidationError():
                return _problem(422, "Invalid request", _what_is_wrong(error))
            case Permanent():
                return _problem(_STATUS_OF_REFUSAL[error.code], error.code, error.reason)
            case HTTPException():
                return _problem(error.code or 400, error.name, error.description or "")
            case Retryable():
                logger().warning("not answered", reason=str(error))
                return _problem(503, "Try again", str(error), {"Retry-After": "5"})
            case _:
                logger().error("unexpected error", exc_info=error)
                return _problem(500, "Unexpected error", "the log has its traceback")

    def _enqueue(self, request: flask.Request) -> flask.Response:
        caller = authenticate(
            request.headers.get("Authorization"),
            secret=self._settings.jwt_secret,
            audience=self._settings.jwt_audience,
        )
        request.max_content_length = _MAX_BODY_BYTES
        wanted = EnqueueRequest.model_validate_json(request.get_data())
        jobs = enqueue(self._database, self._outbox, caller, wanted)
        return flask.Response(json.dumps({"jobs": jobs}), status=202, mimetype="application/json")

    def _count(self, refusal: Unauthenticated) -> None:
        logger().warning("authentication failed", reason=refusal.reason)
        try:
            with self._database.transaction() as connection:
                connection.execute(_COUNT_FAILURE, (refusal.reason,))
        except Retryable as error:
            logger().warning("an authentication failure was not counted", reason=str(error))


def _what_is_wrong(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc']) or 'body'}: {problem['msg']}"
        for problem in error.errors(include_url=False, include_input=False, include_context=False)
    )


def _problem(status: int, title: str, detail: str, headers: dict[str, str] | None = None) -> flask.Response:
    body: dict[str, Any] = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return flask.Response(json.dumps(body), status, headers, "application/problem+json")


@made_once
def admin() -> Admin:
    """Everything this process needs, made on the first request (a worker forks after import)."""
    settings = AdminSettings.from_environment()
    configure_logging("admin", settings.log_level)
    return Admin(settings)


@functions_framework.http
def main(request: flask.Request) -> flask.Response:
    """The function: ``POST /ml/enqueue`` and ``GET /healthz``."""
    return admin().answer(request)
