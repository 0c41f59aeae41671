"""Whether an event's photos and faces may be processed: asked in the transaction that acts on the answer."""

from __future__ import annotations

from uuid import UUID

from shared.database import Connection
from shared.errors import Permanent

_EVENT_STATE = "SELECT face_recognition_enabled, archived_at FROM events WHERE id = %s FOR SHARE"


def event_exists(connection: Connection, event_id: UUID) -> bool:
    """Whether there is such an event."""
    return connection.execute(_EVENT_STATE, (event_id,)).fetchone() is not None


def consents(connection: Connection, event_id: UUID) -> bool:
    """Whether the event's photos and faces may be processed: face recognition switched on, not archived."""
    try:
        refuse_without_consent(connection, event_id)
    except Permanent:
        return False
    return True


def refuse_without_consent(connection: Connection, event_id: UUID) -> None:
    """Keep the event's consent as it is until the transaction ends.

    Raises:
        Permanent: unknown event, archived, or face recognition is not switched on.
    """
    event = connection.execute(_EVENT_STATE, (event_id,)).fetchone()
    if event is None:
        raise Permanent("unknown_event", "no such event: create it before photos are uploaded")
    if event["archived_at"] is not None:
        raise Permanent("event_archived", "the event is archived: its photos are not read")
    if not event["face_recognition_enabled"]:
        raise Permanent("no_consent", "face recognition is not switched on for this event: its photos are not read")
