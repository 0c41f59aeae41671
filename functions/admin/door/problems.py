"""What a caller is told when something is not done: RFC 9457 problem details."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import flask
from pydantic import BaseModel, ConfigDict, Field, ValidationError

MEDIA_TYPE = "application/problem+json"


class ProblemDetails(BaseModel):
    """The body of every answer of 400 and above. A 409 about a person also holds its ``current`` state."""

    model_config = ConfigDict(extra="allow")

    type: str = "about:blank"
    title: str
    status: int
    detail: str = Field(description="for people: what was wrong and what to do")
    code: str = Field(description="for programs: a stable word")


class Problem(Exception):
    """A request that is refused.

    Args:
        status: the HTTP status, 400 or above.
        code: a stable word for programs, as ``not_found``.
        detail: what was wrong and what to do, for people; holds nothing that the caller may not know.
        extra: more members of the answer, as ``current``: the state that the caller did not know of.
        headers: more headers of the answer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        extra: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.extra: Mapping[str, Any] = extra or {}
        self.headers: Mapping[str, str] = headers or {}

    def response(self) -> flask.Response:
        """The answer."""
        body = {
            **self.extra,
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        return flask.Response(json.dumps(body, default=str), self.status, dict(self.headers), mimetype=MEDIA_TYPE)


def not_found(detail: str = "there is no such thing, or it is not for you to see") -> Problem:
    """404: also for what the caller may not know of."""
    return Problem(404, "not_found", detail)


def forbidden(detail: str = "only an organiser of the event may do this") -> Problem:
    """403: the caller may know of it, and may not do this."""
    return Problem(403, "forbidden", detail)


def conflict(code: str, detail: str, current: Mapping[str, Any] | None = None) -> Problem:
    """409: not as things are now; ``current`` says how they are."""
    return Problem(409, code, detail, {} if current is None else {"current": dict(current)})


def unprocessable(code: str, detail: str) -> Problem:
    """422: understood, and wrong."""
    return Problem(422, code, detail)


def invalid(error: ValidationError) -> Problem:
    """422 that names each field that is wrong, without repeating what was sent."""
    return unprocessable(
        "invalid",
        "; ".join(
            f"{'.'.join(str(part)[:64] for part in problem['loc']) or 'body'}: {problem['msg']}"
            for problem in error.errors(include_url=False, include_input=False, include_context=False)[:10]
        ),
    )
