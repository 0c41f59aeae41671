"""SQL of the operator's commands."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from shared.database import Connection

SMOKE_CONSENT = "smoke test"
"""The consent text's version marks the events that a smoke test makes."""

_PREPARE = """
INSERT INTO events (id, name, face_recognition_enabled, consent_text_version, consented_at)
VALUES (%s, 'smoke test', true, %s, now()) ON CONFLICT (id) DO NOTHING
"""
_OUTCOME = """
SELECT status, error_code, error, result ->> 'skipped' AS skipped,
    (SELECT count(*) FROM faces WHERE faces.media_id = %(media_id)s) AS faces,
    round(extract(epoch FROM completed_at - created_at)::numeric, 1) AS seconds
FROM ml_jobs WHERE event_id = %(event_id)s AND job_type = 'detect' AND media_ids[1] = %(media_id)s
ORDER BY created_at DESC LIMIT 1
"""
_IS_OURS = "SELECT consent_text_version = %s AS ours FROM events WHERE id = %s"
_REMOVE = "DELETE FROM events WHERE id = %s AND consent_text_version = %s"

_COUNT = """
SELECT count(*) AS messages FROM dead_letters
WHERE replayed_at IS NULL AND (%(topic)s::text IS NULL OR topic = %(topic)s)
    AND (%(ids)s::bigint[] IS NULL OR id = ANY(%(ids)s))
"""
# SKIP LOCKED: concurrent replays share the work.
_NEXT = """
SELECT id, topic, data, attributes, error, job_id FROM dead_letters
WHERE replayed_at IS NULL AND id > %(after)s AND (%(topic)s::text IS NULL OR topic = %(topic)s)
    AND (%(ids)s::bigint[] IS NULL OR id = ANY(%(ids)s))
ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
"""
_REPLAYED = "UPDATE dead_letters SET replayed_at = clock_timestamp() WHERE id = %s"


def prepare_event(connection: Connection, event_id: UUID) -> None:
    """Create an event with consent for a smoke test, unless it exists."""
    connection.execute(_PREPARE, (event_id, SMOKE_CONSENT))


def photo_outcome(connection: Connection, event_id: UUID, media_id: UUID) -> dict[str, Any] | None:
    """Return the photo's newest detect job with its outcome, faces and seconds; None when there is none."""
    return connection.execute(_OUTCOME, {"event_id": event_id, "media_id": media_id}).fetchone()


def is_smoke_event(connection: Connection, event_id: UUID) -> bool | None:
    """Return whether a smoke test created the event; None when there is no such event."""
    row = connection.execute(_IS_OURS, (SMOKE_CONSENT, event_id)).fetchone()
    return None if row is None else bool(row["ours"])


def remove_event(connection: Connection, event_id: UUID) -> bool:
    """Delete an event that a smoke test created; return whether there was one."""
    return connection.execute(_REMOVE, (event_id, SMOKE_CONSENT)).rowcount == 1


def count_dead_letters(connection: Connection, topic: str | None, ids: list[int] | None) -> int:
    """Count the dead letters that were not replayed, of one topic or with some ids; None means any."""
    row = connection.execute(_COUNT, {"topic": topic, "ids": ids}).fetchone()
    return row["messages"] if row else 0


def next_dead_letter(
    connection: Connection, topic: str | None, ids: list[int] | None, after: int
) -> dict[str, Any] | None:
    """Lock and return the next dead letter with an id above ``after``, skipping those that another replay holds."""
    return connection.execute(_NEXT, {"topic": topic, "ids": ids, "after": after}).fetchone()


def mark_replayed(connection: Connection, message_id: int) -> None:
    """Mark a dead letter as replayed."""
    connection.execute(_REPLAYED, (message_id,))
