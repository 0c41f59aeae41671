"""Idempotency: a request that is sent again gets the same answer and is not carried out again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any
from uuid import UUID

import flask

from functions.admin.door import store
from functions.admin.door.auth import Caller
from functions.admin.door.problems import unprocessable
from functions.admin.door.resources import Resources
from shared.database import Connection, again_on_conflict

HEADER = "Idempotency-Key"
_LONGEST_KEY = 200

Work = Callable[[Connection], tuple[int, dict[str, Any]]]


def answer_once(resources: Resources, caller: Caller, work: Work, event_id: UUID | None = None) -> flask.Response:
    """Do ``work`` in one transaction and answer with what it returns (status and JSON object).

    The transaction is repeated when Postgres aborts it because of a conflict with another one. With an
    ``Idempotency-Key`` the answer commits together with the work, and the same request gets the same answer for a
    day; while the first is in progress, the second waits for it. Refusals are not kept: the request may be tried
    again. The kept answer is erased together with the event ``event_id``; routes that do not know the event in
    advance get it from access.py.

    Raises:
        Problem: what ``work`` raises; 422 ``key_reused`` when another request used the key before.
        Retryable: the database is unavailable or busy.
    """
    key = flask.request.headers.get(HEADER)
    status, answer = (
        _answer(resources, caller, work) if key is None else _answer_for_key(resources, caller, key, work, event_id)
    )
    resources.outbox.drain_quietly()
    return _response(status, answer)


@again_on_conflict
def _answer(resources: Resources, caller: Caller, work: Work) -> tuple[int, dict[str, Any]]:
    with resources.transaction(caller) as connection:
        return work(connection)


@again_on_conflict
def _answer_for_key(
    resources: Resources, caller: Caller, key: str, work: Work, event_id: UUID | None
) -> tuple[int, dict[str, Any]]:
    if not (0 < len(key) <= _LONGEST_KEY):
        raise unprocessable("invalid", f"{HEADER}: 1 to {_LONGEST_KEY} characters")
    fingerprint = _fingerprint(flask.request)
    with resources.transaction(caller) as connection:
        if not store.take_key(connection, caller.name, key, fingerprint, event_id):
            kept = store.kept_answer(connection, caller.name, key)
            if kept is None or bytes(kept["fingerprint"]) != fingerprint:
                raise unprocessable("key_reused", f"this {HEADER} came with another request before: use a new one")
            return kept["status"], kept["answer"]
        status, answer = work(connection)
        # Kept as the text that is sent, so that a repeated answer is identical.
        text = flask.json.dumps(answer)
        store.keep_answer(connection, caller.name, key, status, text, event_id or flask.g.get("event_id"))
        return status, answer


def _fingerprint(request: flask.Request) -> bytes:
    head = f"{request.method} {request.full_path}\n".encode()
    return hashlib.sha256(head + request.get_data(cache=True)).digest()


def _response(status: int, answer: dict[str, Any]) -> flask.Response:
    return flask.Response(flask.json.dumps(answer), status, mimetype="application/json")
