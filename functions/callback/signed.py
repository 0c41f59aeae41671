"""``POST /ml/callback``: signed reports, by workers outside Google Cloud, of how a job ended.

The worker signs ``timestamp.body`` with HMAC-SHA256 and a shared secret. A report that is sent again, by the worker or
by an eavesdropper, finds its job ended (or requested again, with another run number) and changes nothing, so no list of
reports seen is kept. Five minutes after its timestamp a report is refused.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Annotated, Any, Literal
from uuid import UUID

import flask
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from functions.callback import metrics_store
from shared import job_ledger
from shared.contracts import Run
from shared.database import Connection, Database, again_on_conflict
from shared.errors import Retryable
from shared.job_ledger import Job
from shared.log import log_context, logger, trace_of
from shared.outbox import Outbox

PATH = "/ml/callback"
TIMESTAMP_HEADER = "X-Trombi-Timestamp"
SIGNATURE_HEADER = "X-Trombi-Signature"
_WINDOW_SECONDS = 300
_MAX_BODY_BYTES = 2**16
# A hexadecimal SHA-256 is ASCII, which hmac.compare_digest requires of text.
_SIGNATURE = re.compile(r"sha256=([0-9a-f]{64})")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")

_Word = Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,63}$")]
_Count = Annotated[float, Field(ge=0, le=2**53, allow_inf_nan=False)]
Outcome = Literal["recorded", "known", "stale"]


class JobReport(BaseModel):
    """How a job's run ended.

    ``error`` and ``error_code`` say why it failed; they must hold no name, address or embedding. ``result`` holds
    counts and times, such as ``{"faces": 3}``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    job_id: UUID
    run: Run
    status: Literal["completed", "failed"]
    error: Annotated[str, Field(min_length=1, max_length=1000, pattern=r"^[^\x00]*$")] | None = None
    error_code: _Word | None = None
    result: Annotated[dict[_Word, _Count], Field(max_length=20)] = {}

    @model_validator(mode="after")
    def _failure_says_why(self) -> JobReport:
        if (self.status == "failed") != (self.error is not None):
            raise ValueError("error must be given when status is failed, and only then")
        return self


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """Compute the value of ``X-Trombi-Signature``; ``timestamp`` is that of ``X-Trombi-Timestamp``."""
    return "sha256=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def why_refused(
    secrets: Sequence[str], *, timestamp: str | None, signature: str | None, body: bytes, now: float
) -> str | None:
    """Return why a request is not authentic, as a reason code for the metrics; None when it is.

    ``now`` and ``timestamp`` are seconds since 1970. A signature by any of ``secrets`` is accepted, so that a secret
    can be replaced without a pause. Signatures are compared in constant time.
    """
    if timestamp is None or signature is None:
        return "callback_unsigned"
    found = _SIGNATURE.fullmatch(signature)
    if found is None or _TIMESTAMP.fullmatch(timestamp) is None:
        return "callback_malformed"
    # All are compared, so that the time does not reveal which secret matched.
    verified = [hmac.compare_digest(sign(secret, timestamp, body), signature) for secret in secrets]
    if not any(verified):
        return "callback_signature"
    if abs(now - int(timestamp)) > _WINDOW_SECONDS:
        return "callback_timestamp"
    return None


class SignedReports:
    """The use case behind ``POST /ml/callback``; without ``secrets`` every report is refused."""

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        secrets: Sequence[str],
        project: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._secrets = secrets
        self._project = project
        self._clock = clock

    def answer(self, request: flask.Request) -> flask.Response:
        """Answer one request: 200 with the report's outcome, or an error as problem details (RFC 9457)."""
        if request.method != "POST":
            return _problem(405, "method_not_allowed", "send reports by POST", {"Allow": "POST"})
        with log_context(trace=trace_of(dict(request.headers), self._project)):
            try:
                return self._answer(request)
            except Retryable as error:
                logger().warning("a report was not recorded; its worker has to send it again", reason=str(error))
                return _problem(503, "try_again", str(error), {"Retry-After": "5"})
            except Exception:  # noqa: BLE001 - an unexpected error gets an answer, and the process goes on
                logger().exception("unexpected error")
                return _problem(500, "unexpected", "unexpected error; the log has the traceback")

    def _answer(self, request: flask.Request) -> flask.Response:
        request.max_content_length = _MAX_BODY_BYTES
        try:
            body = request.get_data()
        except RequestEntityTooLarge:
            return _problem(413, "too_large", f"a report has at most {_MAX_BODY_BYTES // 1024} KiB")
        except ClientDisconnected:
            return _problem(400, "incomplete", "the request ended before its body did")
        refused = why_refused(
            self._secrets,
            timestamp=request.headers.get(TIMESTAMP_HEADER),
            signature=request.headers.get(SIGNATURE_HEADER),
            body=body,
            now=self._clock(),
        )
        if refused is not None:
            self._count(refused)
            return _problem(401, "unauthenticated", "the request must be signed, with a current timestamp")
        try:
            report = JobReport.model_validate_json(body)
        except ValidationError as error:
            return _problem(422, "invalid", _what_is_wrong(error))
        outcome = self.reported(report)
        if outcome is None:
            return _problem(404, "not_found", "there is no such job")
        return flask.Response(json.dumps({"outcome": outcome}), mimetype="application/json")

    def reported(self, report: JobReport) -> Outcome | None:
        """Record how the job ended; None when there is no such job.

        ``known``: the job had ended before. ``stale``: the job has been requested again since that run.

        Raises:
            Retryable: the database is unavailable.
        """
        with log_context(job_id=report.job_id):
            outcome = self._record(report)
            if outcome == "recorded":
                logger().info("a worker reported", status=report.status)
                # The outbox holds the job's JobFinished message, which starts what follows any job.
                self._outbox.drain_quietly()
            return outcome

    @again_on_conflict
    def _record(self, report: JobReport) -> Outcome | None:
        with self._database.transaction() as connection:
            job = job_ledger.lock(connection, report.job_id)
            if job is None:
                return None
            if job.run != report.run:
                return "stale"
            if job.has_ended:
                return "known"
            _end(connection, job, report)
        return "recorded"

    def _count(self, reason: str) -> None:
        logger().warning("authentication failed", reason=reason)
        try:
            with self._database.transaction() as connection:
                metrics_store.count_auth_failure(connection, reason)
        except Retryable as error:
            logger().warning("an authentication failure was not counted", reason=str(error))


def _end(connection: Connection, job: Job, report: JobReport) -> None:
    if report.error is None:
        job_ledger.complete(connection, job, report.result)
    else:
        job_ledger.fail(connection, job, report.error_code or "worker", report.error, report.result)


def _what_is_wrong(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part)[:64] for part in problem['loc']) or 'body'}: {problem['msg']}"
        for problem in error.errors(include_url=False, include_input=False, include_context=False)[:10]
    )


def _problem(status: int, code: str, detail: str, headers: dict[str, str] | None = None) -> flask.Response:
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
    }
    return flask.Response(json.dumps(body), status, headers, mimetype="application/problem+json")
