"""Rows of events: the list of a user's events, how far one has come, its members."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from shared.database import Connection, one_row

Row = dict[str, Any]


@dataclass(frozen=True)
class AfterEvent:
    """Where the page before ended."""

    created_at: datetime
    after_id: UUID


# Counts are an organiser's; a member gets null. A service (no user) is shown every event.
_EVENTS = """
WITH shown AS (
    SELECT events.id, events.name, events.language, events.created_at, events.face_recognition_enabled,
        events.archived_at, coalesce(member.role, 'service') AS membership,
        coalesce(member.role, 'service') <> 'member' AS organises
    FROM events LEFT JOIN event_members AS member
        ON member.event_id = events.id AND member.user_id = %(user_id)s
    WHERE (%(user_id)s::uuid IS NULL OR member.user_id IS NOT NULL) AND (
        %(after_id)s::uuid IS NULL OR events.created_at < %(created_at)s
        OR (events.created_at = %(created_at)s AND events.id > %(after_id)s)
    )
    ORDER BY events.created_at DESC, events.id LIMIT %(limit)s
)
SELECT shown.*, counted.*
FROM shown LEFT JOIN LATERAL (
    SELECT (
        SELECT count(*) FROM media
        WHERE media.event_id = shown.id AND media.deleted_generation < coalesce(media.object_generation, 1)
    ) AS photos, persons.found AS persons, persons.identified
    FROM (
        SELECT count(*) AS found, count(*) FILTER (WHERE status = 'linked') AS identified
        FROM face_persons AS person
        WHERE person.event_id = shown.id AND person.status <> 'merged'
            AND EXISTS (SELECT FROM faces WHERE faces.face_person_id = person.id)
    ) AS persons
) AS counted ON shown.organises
ORDER BY shown.created_at DESC, shown.id
"""
_EVENT = """
SELECT id, name, language, created_at, face_recognition_enabled, consent_text_version, consented_at, archived_at
FROM events WHERE id = %s
"""
_COUNTS = """
SELECT (
    SELECT count(*) FROM media
    WHERE event_id = %(event_id)s AND deleted_generation < coalesce(object_generation, 1)
) AS photos, (SELECT count(*) FROM faces WHERE event_id = %(event_id)s) AS faces, persons.*
FROM (
    SELECT count(*) AS persons, count(*) FILTER (WHERE status = 'linked') AS identified
    FROM face_persons AS person
    WHERE event_id = %(event_id)s AND status <> 'merged'
        AND EXISTS (SELECT FROM faces WHERE faces.face_person_id = person.id)
) AS persons
"""


def event(connection: Connection, event_id: UUID) -> Row:
    """One event, with its consent."""
    return one_row(connection, _EVENT, (event_id,))


def counts(connection: Connection, event_id: UUID) -> Row:
    """How many photos, faces, persons and identified persons there are in an event."""
    return one_row(connection, _COUNTS, {"event_id": event_id})


def events(connection: Connection, user_id: UUID | None, after: AfterEvent | None, limit: int) -> list[Row]:
    """Up to ``limit`` events of a user, or (None) of everybody, the newest first."""
    position = {"created_at": None, "after_id": None} if after is None else asdict(after)
    return connection.execute(_EVENTS, {"user_id": user_id, **position, "limit": limit}).fetchall()


# ---------------------------------------------------------------- progress

# A photo is as far as the job of its newest object is.
_PHOTOS = """
SELECT count(*) AS total, count(*) FILTER (WHERE job.status = 'completed') AS done,
    count(*) FILTER (WHERE job.status = 'failed') AS failed
FROM media LEFT JOIN ml_jobs AS job ON job.job_type = 'detect' AND job.event_id = %(event_id)s
    AND job.media_ids[1] = media.id AND job.object_generation = coalesce(media.object_generation, 0)
WHERE media.event_id = %(event_id)s AND media.deleted_generation < coalesce(media.object_generation, 1)
"""
_PERSONS = """
SELECT count(*) AS found, count(*) FILTER (WHERE status = 'linked') AS identified,
    count(*) FILTER (WHERE status = 'invited') AS invited, count(*) FILTER (WHERE status = 'ignored') AS ignored
FROM face_persons AS person
WHERE event_id = %(event_id)s AND status <> 'merged'
    AND EXISTS (SELECT FROM faces WHERE faces.face_person_id = person.id)
"""
_REST = """
SELECT (SELECT count(*) FROM faces WHERE event_id = %(event_id)s) AS faces,
    EXISTS (
        SELECT FROM ml_jobs
        WHERE event_id = %(event_id)s AND job_type = 'cluster' AND status IN ('pending', 'processing')
    ) AS clustering,
    (SELECT max(created_at) FROM cluster_runs WHERE event_id = %(event_id)s) AS clustered_at
"""
_FAILURES = """
SELECT media.id AS media_id, job.error_code AS code, job.error AS reason
FROM ml_jobs AS job JOIN media ON media.id = job.media_ids[1]
    AND job.object_generation = coalesce(media.object_generation, 0)
    AND media.deleted_generation < coalesce(media.object_generation, 1)
WHERE job.event_id = %(event_id)s AND job.job_type = 'detect' AND job.status = 'failed'
ORDER BY job.completed_at DESC, media.id LIMIT %(most)s
"""


@dataclass(frozen=True)
class ProgressRows:
    """How far an event has come, as counted."""

    photos: Row
    persons: Row
    rest: Row
    failures: list[Row]


def progress(connection: Connection, event_id: UUID, most_failures: int) -> ProgressRows:
    """Count; of the failures the newest ``most_failures``."""
    of = {"event_id": event_id, "most": most_failures}
    return ProgressRows(
        photos=one_row(connection, _PHOTOS, of),
        persons=one_row(connection, _PERSONS, of),
        rest=one_row(connection, _REST, of),
        failures=connection.execute(_FAILURES, of).fetchall(),
    )


# ---------------------------------------------------------------- members

# An address is told only where the name does not tell people apart: there is none, or another member has it too.
_MEMBERS = """
WITH member AS (
    SELECT users.id, users.display_name, users.email, event_members.role,
        trombi_folded(users.display_name) AS folded
    FROM event_members JOIN users ON users.id = event_members.user_id
    WHERE event_members.event_id = %(event_id)s
), ranked AS (
    SELECT member.*, CASE
        WHEN starts_with(folded, trombi_folded(%(q)s)) THEN 1
        WHEN trombi_has_words(display_name, %(q)s) THEN 2
        WHEN starts_with(trombi_address(email), trombi_address(%(q)s)) THEN 3
    END AS rank
    FROM member
)
SELECT id, display_name, role,
    CASE WHEN folded IS NULL OR folded = '' OR EXISTS (
        SELECT FROM member AS other WHERE other.folded = ranked.folded AND other.id <> ranked.id
    ) THEN email END AS email,
    ARRAY(
        SELECT person.id FROM face_persons AS person
        WHERE person.event_id = %(event_id)s AND person.linked_user_id = ranked.id AND person.status = 'linked'
        ORDER BY person.created_at, person.id
    ) AS person_ids
FROM ranked WHERE rank IS NOT NULL
ORDER BY rank, folded COLLATE "C" NULLS LAST, id LIMIT %(limit)s
"""


def members(connection: Connection, event_id: UUID, q: str, limit: int) -> list[Row]:
    """Up to ``limit`` members whose name has words that begin with those of ``q``, or whose address begins with it."""
    return connection.execute(_MEMBERS, {"event_id": event_id, "q": q, "limit": limit}).fetchall()
