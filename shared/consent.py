"""Check an event's consent to face recognition, in the transaction that acts on the answer.

Code that writes faces or persons locks the consent until its commit (`refuse_without_consent`, `keep_consent`):
withdrawing consent and archiving wait for that commit, and then erase what was written. Code that only decides whether
to request work reads the consent without a lock (`consents`).
"""

from __future__ import annotations

from uuid import UUID

from shared.database import Connection
from shared.errors import Permanent

_LOOK = "SELECT face_recognition_enabled, archived_at FROM events WHERE id = %s"
_KEEP = _LOOK + " FOR SHARE"


def event_exists(connection: Connection, event_id: UUID) -> bool:
    """Return whether the event exists; if so, lock it against deletion until the transaction ends."""
    return connection.execute(_KEEP, (event_id,)).fetchone() is not None


def consents(connection: Connection, event_id: UUID) -> bool:
    """Return whether the event's photos may be processed: face recognition is on and the event is not archived."""
    event = connection.execute(_LOOK, (event_id,)).fetchone()
    return event is not None and event["archived_at"] is None and bool(event["face_recognition_enabled"])


def keep_consent(connection: Connection, event_id: UUID) -> bool:
    """Return the same as `consents`, and lock the answer until the transaction ends."""
    try:
        refuse_without_consent(connection, event_id)
    except Permanent:
        return False
    return True


def refuse_without_consent(connection: Connection, event_id: UUID) -> None:
    """Lock the event's consent until the transaction ends.

    Raises:
        Permanent: the event is unknown or archived, or its face recognition is not switched on.
    """
    event = connection.execute(_KEEP, (event_id,)).fetchone()
    if event is None:
        raise Permanent("unknown_event", "no such event: create it before photos are uploaded")
    if event["archived_at"] is not None:
        raise Permanent("event_archived", "the event is archived: its photos are not read")
    if not event["face_recognition_enabled"]:
        raise Permanent("no_consent", "face recognition is not switched on for this event: its photos are not read")
