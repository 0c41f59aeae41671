"""Routes for host apps and operators."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import flask
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel

from functions.admin.door.idempotency import answer_once
from functions.admin.door.resources import Resources
from functions.admin.operations.enqueue import EnqueueRequest, enqueue
from shared.database import Connection


class EnqueuedJob(BaseModel):
    """A job that was created or requested again."""

    job_id: UUID
    media_id: UUID


class Enqueued(BaseModel):
    """The jobs; photos whose job is open, or completed without ``force``, have none here."""

    jobs: list[EnqueuedJob]


def routes(resources: Resources) -> APIBlueprint:
    """Make the routes for operators and host apps."""
    api = APIBlueprint("operations", __name__, abp_tags=[Tag(name="operations")])

    @api.post("/ml/enqueue", responses={202: Enqueued})
    def enqueue_photos(body: EnqueueRequest) -> flask.Response:
        """Ask for photos to be looked at (again)."""
        caller = flask.g.caller

        def work(connection: Connection) -> tuple[int, dict[str, Any]]:
            return 202, {"jobs": enqueue(connection, caller, body)}

        return answer_once(resources, caller, work, body.event_id)

    return api
