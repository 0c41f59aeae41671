"""SQL for what every request passes through: rights, the audit of reads, kept answers, failed authentications."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from shared.database import Connection

# Both end with the transaction. Row level security then checks a second time what access.py allowed.
_AS_REVIEWER = """
SELECT set_config('role', 'trombi_reviewer', true), set_config('request.jwt.claims', %s, true)
"""
_COUNT_FAILURE = """
INSERT INTO auth_failures (reason) VALUES (%s)
ON CONFLICT (day, reason) DO UPDATE SET failures = auth_failures.failures + 1
"""
_NOTE_READS = "SELECT trombi_note_reads(%s, %s, %s, %s::uuid[])"
# This waits for another request in progress that has the same key.
_TAKE_KEY = """
INSERT INTO idempotency_keys (caller, key, fingerprint, event_id) VALUES (%s, %s, %s, %s)
ON CONFLICT (caller, key) DO NOTHING RETURNING key
"""
_ANSWERED = "SELECT fingerprint, status, answer FROM idempotency_keys WHERE caller = %s AND key = %s"
_KEEP = """
UPDATE idempotency_keys SET status = %s, answer = %s::jsonb, event_id = coalesce(event_id, %s)
WHERE caller = %s AND key = %s
"""


@dataclass(frozen=True)
class Subject:
    """The statements that find the event of something, for a service and for a user, and whether it concerns a member.

    ``membership`` bypasses row level security (its SQL functions return only the event's id), so that a member gets
    403 where somebody from outside the event gets 404.
    """

    name: str
    event: str
    membership: str
    concerns: str


EVENT = Subject(
    "event",
    event="SELECT id AS event_id FROM events WHERE id = %(id)s",
    membership="SELECT event_id, role FROM event_members WHERE user_id = %(user_id)s AND event_id = %(id)s",
    concerns="SELECT",
)
PERSON = Subject(
    "person",
    event="SELECT event_id FROM face_persons WHERE id = %(id)s",
    membership="""
SELECT event_id, role FROM event_members WHERE user_id = %(user_id)s AND event_id = trombi_event_of_person(%(id)s)
""",
    concerns="SELECT FROM face_persons WHERE id = %(id)s AND linked_user_id = %(user_id)s AND status = 'linked'",
)
FACE = Subject(
    "face",
    event="SELECT event_id FROM faces WHERE id = %(id)s",
    membership="""
SELECT event_id, role FROM event_members WHERE user_id = %(user_id)s AND event_id = trombi_event_of_face(%(id)s)
""",
    concerns="""
SELECT FROM faces JOIN face_persons ON face_persons.id = faces.face_person_id
WHERE faces.id = %(id)s AND face_persons.linked_user_id = %(user_id)s AND face_persons.status = 'linked'
""",
)
MEDIA = Subject(
    "photo",
    event="SELECT event_id FROM media WHERE id = %(id)s",
    membership="""
SELECT event_id, role FROM event_members WHERE user_id = %(user_id)s AND event_id = trombi_event_of_media(%(id)s)
""",
    # Tags of every source: each exists because a human decided so, also where the face had been suggested.
    concerns="SELECT FROM media_tags WHERE media_id = %(id)s AND tagged_user_id = %(user_id)s",
)
DECISION = Subject(
    "decision",
    event="SELECT event_id FROM decisions WHERE id = %(id)s",
    membership="""
SELECT event_id, role FROM event_members WHERE user_id = %(user_id)s AND event_id = trombi_event_of_decision(%(id)s)
""",
    concerns="SELECT WHERE false",
)


def act_as_user(connection: Connection, user_id: UUID | None) -> None:
    """Take on the role and the claims of a user until the transaction ends."""
    connection.execute(_AS_REVIEWER, (json.dumps({"sub": str(user_id)}),))


def count_auth_failure(connection: Connection, reason: str) -> None:
    """Add one to today's failed authentications for this reason."""
    connection.execute(_COUNT_FAILURE, (reason,))


def event_of(connection: Connection, subject: Subject, subject_id: UUID) -> dict[str, Any] | None:
    """Return the ``event_id`` of something, as a service sees it; None where it does not exist."""
    return connection.execute(subject.event, {"id": subject_id}).fetchone()


def membership(
    connection: Connection, subject: Subject, subject_id: UUID, user_id: UUID | None
) -> dict[str, Any] | None:
    """Return the ``event_id`` of something and the user's ``role`` there; None when the user is not a member."""
    return connection.execute(subject.membership, {"id": subject_id, "user_id": user_id}).fetchone()


def concerns(connection: Connection, subject: Subject, subject_id: UUID, user_id: UUID | None) -> bool:
    """Return whether something concerns a user who is a member, not an organiser."""
    return connection.execute(subject.concerns, {"id": subject_id, "user_id": user_id}).fetchone() is not None


def note_reads(connection: Connection, actor: str, event_id: UUID, what: str, subject_ids: Sequence[UUID]) -> None:
    """Count under today's date that ``actor`` was shown ``what`` of the subjects."""
    connection.execute(_NOTE_READS, (actor, event_id, what, list(subject_ids)))


def take_key(connection: Connection, caller: str, key: str, fingerprint: bytes, event_id: UUID | None) -> bool:
    """Take an idempotency key for this transaction, waiting for any other that holds it; False if it was used."""
    return connection.execute(_TAKE_KEY, (caller, key, fingerprint, event_id)).fetchone() is not None


def kept_answer(connection: Connection, caller: str, key: str) -> dict[str, Any] | None:
    """Return the ``fingerprint`` of the request that used a key, and its ``status`` and ``answer``."""
    return connection.execute(_ANSWERED, (caller, key)).fetchone()


def keep_answer(connection: Connection, caller: str, key: str, status: int, answer: str, event_id: UUID | None) -> None:
    """Keep an answer, JSON text, under a key that this transaction took."""
    connection.execute(_KEEP, (status, answer, event_id, caller, key))
