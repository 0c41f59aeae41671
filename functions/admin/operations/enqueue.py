"""``POST /ml/enqueue``: ask for photos to be looked at (again)."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from functions.admin.door import access
from functions.admin.door.auth import Caller
from functions.admin.door.problems import conflict
from functions.admin.operations import store
from shared import job_ledger
from shared.consent import keep_consent
from shared.contracts import Priority
from shared.database import Connection

_MOST_PHOTOS = 10_000


class EnqueueRequest(BaseModel):
    """Without ``media_ids``: every photo of the event that has no completed job.

    ``force`` looks again at photos whose job is completed. Low priority waits until no upload is to be detected.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    event_id: UUID
    media_ids: Annotated[list[UUID], Field(min_length=1, max_length=_MOST_PHOTOS)] | None = None
    priority: Priority = "normal"
    force: bool = False


def enqueue(connection: Connection, caller: Caller, request: EnqueueRequest) -> list[dict[str, Any]]:
    """Make or renew the jobs, together with their messages; returns ``{job_id, media_id}`` for each.

    A photo whose job is open, or completed without ``force``, is left alone; but a job that waits because of its
    low priority is asked for now when the priority is higher.

    Raises:
        Problem: 404 and 403 as `access.to_event`; 409 ``no_consent``.
    """
    access.to_event(connection, caller, request.event_id)
    if not keep_consent(connection, request.event_id):
        raise conflict("no_consent", "face recognition is not switched on for this event, or it is archived")
    states = {"failed"}
    if request.force:
        states.add("completed")
    if request.priority != "low":
        states.add("waiting")
    photos = store.photos_to_ask_for(connection, request.event_id, request.media_ids, states, _MOST_PHOTOS)
    is_released = request.priority != "low"
    asked = job_ledger.make_detections(
        connection,
        [photo.object for photo in photos if photo.job_id is None],
        priority=request.priority,
        is_released=is_released,
    ) + job_ledger.renew(
        connection,
        [photo.job_id for photo in photos if photo.job_id is not None],
        states=states,
        priority=request.priority,
        is_released=is_released,
    )
    by_photo = {job.media_id: job for job in asked}
    jobs = [by_photo[photo.object.media_id] for photo in photos if photo.object.media_id in by_photo]
    if is_released:
        job_ledger.publish(connection, jobs)
    return [{"job_id": str(job.id), "media_id": str(job.media_id)} for job in jobs]
