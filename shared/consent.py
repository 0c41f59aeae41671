"""Whether an event's photos and faces may be processed: asked in the transaction that acts on the answer.

Whoever writes faces or persons keeps the answer as it is until the commit (`refuse_without_consent`,
`keep_consent`): withdrawing consent and archiving wait for that, and then erase what was written. Whoever only
decides whether to ask for work just looks (`consents`).
"""

from __future__ import annotations

from uuid import UUID

from shared.database import Connection
from shared.errors import Permanent

_LOOK = "SELECT face_recognition_enabled, archived_at FROM events WHERE id = %s"
_KEEP = _LOOK + " FOR SHARE"


def event_exists(connection: Connection, event_id: UUID) -> bool:
    """Whether there is such an event; if so, it stays until the transaction ends."""
    return connection.execute(_KEEP, (event_id,)).fetchone() is not None


def consents(connection: Connection, event_id: UUID) -> bool:
    """Whether the event's photos and faces may be processed: face recognition switched on, not archived."""
    event = connection.execute(_LOOK, (event_id,)).fetchone()
    return event is not None and event["archived_at"] is None and bool(event["face_recognition_enabled"])


def keep_consent(connection: Connection, event_id: UUID) -> bool:
    """As `consents`, and the answer holds until the transaction ends."""
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
    event = connection.execute(_KEEP, (event_id,)).fetchone()
    if event is None:
        raise Permanent("unknown_event", "no such event: create it before photos are uploaded")
    if event["archived_at"] is not None:
        raise Permanent("event_archived", "the event is archived: its photos are not read")
    if not event["face_recognition_enabled"]:
        raise Permanent("no_consent", "face recognition is not switched on for this event: its photos are not read")
