"""``POST /ml/enqueue``: ask for photos to be looked at (again)."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from functions.admin.door import access
from functions.admin.door.auth import Caller
from functions.admin.door.problems import conflict
from shared import outbox
from shared.consent import keep_consent
from shared.contracts import DetectRequested, Priority
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


# One job per object generation: the one that is there is asked for again (a new run), or one is made.
_PHOTOS = """
SELECT media.id AS media_id, coalesce(media.object_generation, 0) AS generation, job.id AS job_id, job.status
FROM media LEFT JOIN ml_jobs AS job ON job.job_type = 'detect' AND job.event_id IS NOT NULL
    AND job.media_ids[1] = media.id AND job.object_generation = coalesce(media.object_generation, 0)
WHERE media.event_id = %(event_id)s AND (%(media_ids)s::uuid[] IS NULL OR media.id = ANY(%(media_ids)s))
    AND media.object_name IS NOT NULL AND media.deleted_generation < coalesce(media.object_generation, 1)
    -- Before the limit, so that an event of more photos gets on with the rest when it is asked for again.
    AND (job.id IS NULL OR job.status = 'failed' OR (job.status = 'completed' AND %(force)s)
        OR (job.status = 'pending' AND job.released_at IS NULL AND %(priority)s <> 'low'))
ORDER BY media.created_at, media.id LIMIT %(limit)s
-- An upload that is being accepted this moment is waited for, and has its job then.
FOR NO KEY UPDATE OF media
"""
_MAKE_JOB = """
INSERT INTO ml_jobs (job_type, event_id, media_ids, object_generation, priority, released_at)
VALUES ('detect', %(event_id)s, ARRAY[%(media_id)s::uuid], %(generation)s, %(priority)s, %(released)s)
ON CONFLICT DO NOTHING RETURNING id, run
"""
_ASK_ANEW = """
UPDATE ml_jobs SET status = 'pending', run = run + 1, attempts = 0, error_code = NULL, error = NULL, result = NULL,
    priority = %(priority)s, released_at = %(released)s, started_at = NULL, completed_at = NULL, reported_at = NULL
WHERE id = %(job_id)s AND (status = 'failed' OR (status = 'completed' AND %(force)s)
    OR (status = 'pending' AND released_at IS NULL AND %(priority)s <> 'low')) RETURNING id, run
"""


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
    photos = connection.execute(
        _PHOTOS,
        {
            "event_id": request.event_id,
            "media_ids": request.media_ids,
            "force": request.force,
            "priority": request.priority,
            "limit": _MOST_PHOTOS,
        },
    ).fetchall()
    return [job for photo in photos if (job := _ask_for(connection, request, photo))]


def _ask_for(connection: Connection, request: EnqueueRequest, photo: dict[str, Any]) -> dict[str, Any] | None:
    released = None if request.priority == "low" else connection.execute("SELECT now() AS now").fetchone()
    values = {
        "event_id": request.event_id,
        "media_id": photo["media_id"],
        "generation": photo["generation"],
        "job_id": photo["job_id"],
        "priority": request.priority,
        "force": request.force,
        "released": released["now"] if released else None,
    }
    job = connection.execute(_MAKE_JOB if photo["job_id"] is None else _ASK_ANEW, values).fetchone()
    if job is None:
        return None
    if released is not None:
        outbox.add_message(
            connection,
            DetectRequested(job_id=job["id"], run=job["run"], event_id=request.event_id, media_id=photo["media_id"]),
        )
    return {"job_id": str(job["id"]), "media_id": str(photo["media_id"])}
