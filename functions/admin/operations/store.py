"""Rows that operators and host apps ask about: the photos that a request for detection is about."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from shared.database import Connection
from shared.job_ledger import PhotoObject


@dataclass(frozen=True)
class PhotoToAskFor:
    """A photo's object and the job that it has, if any."""

    object: PhotoObject
    job_id: UUID | None


# One job per object generation: the one that is there is asked for again, or one is made.
_PHOTOS = """
SELECT media.id AS media_id, coalesce(media.object_generation, 0) AS generation, job.id AS job_id
FROM media LEFT JOIN ml_jobs AS job ON job.job_type = 'detect' AND job.event_id IS NOT NULL
    AND job.media_ids[1] = media.id AND job.object_generation = coalesce(media.object_generation, 0)
WHERE media.event_id = %(event_id)s AND (%(media_ids)s::uuid[] IS NULL OR media.id = ANY(%(media_ids)s))
    AND media.object_name IS NOT NULL AND media.deleted_generation < coalesce(media.object_generation, 1)
    -- Before the limit, so that an event of more photos gets on with the rest when it is asked for again.
    AND (job.id IS NULL OR CASE WHEN job.status = 'pending' AND job.released_at IS NULL THEN 'waiting'
        ELSE job.status END = ANY(%(states)s))
ORDER BY media.created_at, media.id LIMIT %(limit)s
-- An upload that is being accepted this moment is waited for, and has its job then.
FOR NO KEY UPDATE OF media
"""


def photos_to_ask_for(
    connection: Connection, event_id: UUID, media_ids: Sequence[UUID] | None, states: Collection[str], limit: int
) -> list[PhotoToAskFor]:
    """Up to ``limit`` photos, locked, the oldest first: those without a job, and those whose job is in a state.

    ``states`` are as `job_ledger.renew` takes them. Of all the event's photos, or of ``media_ids`` alone.
    """
    values = {
        "event_id": event_id,
        "media_ids": None if media_ids is None else list(media_ids),
        "states": sorted(states),
        "limit": limit,
    }
    return [
        PhotoToAskFor(PhotoObject(event_id, row["media_id"], row["generation"]), row["job_id"])
        for row in connection.execute(_PHOTOS, values).fetchall()
    ]
