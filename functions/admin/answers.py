"""Answers that a caller may already have: told apart by their ETag, so that asking again costs little."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import flask

# Kept by the browser alone, and shown again only after asking: what was purged is gone at once.
_PRIVATE = "private, no-cache"


def unless_known(body: Mapping[str, Any]) -> flask.Response:
    """The JSON object, or 304 when ``If-None-Match`` names it.

    It has names in it, so that it is never written to a disk (``no-store``): the page keeps the ETag itself.
    """
    response = flask.Response(flask.json.dumps(body), mimetype="application/json")
    response.headers["Cache-Control"] = "private, no-store"
    response.add_etag()
    response.make_conditional(flask.request.environ)
    return response


def picture_tag(*of: object) -> str:
    """The ETag of a picture that never changes as long as these do."""
    return hashlib.sha256(" ".join(map(str, of)).encode()).hexdigest()[:32]


def is_known(tag: str) -> bool:
    """Whether the caller has the picture already."""
    return flask.request.if_none_match.contains_weak(tag)


def picture(data: bytes | None, tag: str) -> flask.Response:
    """A JPEG; without ``data`` 304."""
    response = flask.Response(data, 304 if data is None else 200, mimetype="image/jpeg")
    if data is None:
        del response.headers["Content-Type"]
    response.headers["Cache-Control"] = _PRIVATE
    response.set_etag(tag)
    return response
