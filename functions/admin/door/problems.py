"""Error responses: problem details by RFC 9457."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import flask
from pydantic import BaseModel, ConfigDict, Field, ValidationError

MEDIA_TYPE = "application/problem+json"


class ProblemDetails(BaseModel):
    """The body of every response with status 400 and above. A 409 about a person also holds its ``current`` state."""

    model_config = ConfigDict(extra="allow")

    type: str = "about:blank"
    title: str
    status: int
    detail: str = Field(description="for people: what was wrong and what to do")
    code: str = Field(description="for programs: a stable word")


class Problem(Exception):
    """Raised to refuse a request.

    Args:
        status: the HTTP status, 400 or above.
        code: a stable word for programs, for example ``not_found``.
        detail: what was wrong and what to do, for people; says nothing that the caller may not know.
        extra: further members of the response, for example ``current``: the state that the caller did not know of.
        headers: further headers of the response.
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
        """Return the response."""
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
    """Make a 404, used also for what exists but the caller may not know of."""
    return Problem(404, "not_found", detail)


def forbidden(detail: str = "only an organiser of the event may do this") -> Problem:
    """Make a 403: the caller may know that it exists, and may not do this."""
    return Problem(403, "forbidden", detail)


def conflict(code: str, detail: str, current: Mapping[str, Any] | None = None) -> Problem:
    """Make a 409: it conflicts with the present state, which ``current`` holds."""
    return Problem(409, code, detail, {} if current is None else {"current": dict(current)})


def unprocessable(code: str, detail: str) -> Problem:
    """Make a 422: the request is well-formed, and its content is not valid."""
    return Problem(422, code, detail)


def invalid(error: ValidationError) -> Problem:
    """Make a 422 that names each wrong field, without repeating what was sent."""
    return unprocessable(
        "invalid",
        "; ".join(
            f"{'.'.join(str(part)[:64] for part in problem['loc']) or 'body'}: {problem['msg']}"
            for problem in error.errors(include_url=False, include_input=False, include_context=False)[:10]
        ),
    )
