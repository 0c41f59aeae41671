"""Rows of invitations, as guests and organisers ask about them. What changes a person is in ``decisions_store.py``."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from shared.database import Connection

Row = dict[str, Any]

_EVENT = """
SELECT language, face_recognition_enabled AND archived_at IS NULL AS consents FROM events WHERE id = %s
"""
_LATEST = """
SELECT id, email, language, created_at, expires_at, sent_at, answered_at, mail_problem, invitation_state(id) AS state
FROM invitations WHERE face_person_id = %s ORDER BY created_at DESC, id DESC LIMIT 1
"""
# By the hash of the whole token, in an index: how long it takes says nothing about a token that is nearly right.
_OPENED_BY = """
SELECT invitations.id, invitations.event_id, invitations.face_person_id AS person_id, invitations.email,
    invitations.language, invitations.expires_at, invitations.sent_at, invitations.answer,
    invitation_state(invitations.id) AS state, events.name AS event,
    coalesce(person.photo_count, 0) AS photos
FROM invitations JOIN events ON events.id = invitations.event_id
LEFT JOIN persons_shown AS person ON person.id = invitations.face_person_id
WHERE invitations.token_hash = %s
"""
_FACES = """
SELECT face_id FROM trombi_best_faces(%s) WITH ORDINALITY AS best (face_id, thumbnail_object, number)
WHERE thumbnail_object IS NOT NULL ORDER BY number LIMIT %s
"""
_THUMBNAIL = "SELECT thumbnail_object FROM faces WHERE id = %s AND face_person_id = %s"


def event(connection: Connection, event_id: UUID) -> Row | None:
    """Return the event's language and whether it consents to face recognition."""
    return connection.execute(_EVENT, (event_id,)).fetchone()


def latest(connection: Connection, person_id: UUID) -> Row | None:
    """Return the newest invitation of a person."""
    return connection.execute(_LATEST, (person_id,)).fetchone()


def by_token(connection: Connection, token_hash: bytes) -> Row | None:
    """Return the invitation of a token, in whatever state."""
    return connection.execute(_OPENED_BY, (token_hash,)).fetchone()


def faces(connection: Connection, person_id: UUID, limit: int) -> list[UUID]:
    """Faces of the person that can be shown, the cover first."""
    return [row["face_id"] for row in connection.execute(_FACES, (person_id, limit)).fetchall()]


def thumbnail_object(connection: Connection, face_id: UUID, person_id: UUID) -> str | None:
    """Return the object of a face's thumbnail if the face belongs to the person."""
    row = connection.execute(_THUMBNAIL, (face_id, person_id)).fetchone()
    name: str | None = row["thumbnail_object"] if row else None
    return name


# ---------------------------------------------------------------- who answers

_USER_EXISTS = "SELECT EXISTS (SELECT FROM users WHERE id = %s) AS yes"
_USERS_WITH_ADDRESS = "SELECT id FROM users WHERE trombi_address(email) = %s LIMIT 2"
_USERS_ARE_OURS = "SELECT obj_description(to_regclass('users')) = 'made by Trombi' AS yes"
_MAKE_USER = """
INSERT INTO users (id, email, made_by_invitation) VALUES (coalesce(%s, gen_random_uuid()), %s, true)
ON CONFLICT (id) DO NOTHING RETURNING id
"""
# Two guests of one address who answer at once are one user.
_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtextextended('trombi user ' || %s, 0))"


def user_exists(connection: Connection, user_id: UUID) -> bool:
    """Whether there is such a user."""
    row = connection.execute(_USER_EXISTS, (user_id,)).fetchone()
    return bool(row and row["yes"])


def users_with_address(connection: Connection, email: str) -> list[UUID]:
    """Return the users of an address, two at most, and lock the address until the transaction ends."""
    connection.execute(_ONE_AT_A_TIME, (email,))
    return [row["id"] for row in connection.execute(_USERS_WITH_ADDRESS, (email,)).fetchall()]


def users_are_ours(connection: Connection) -> bool:
    """Whether the table of users is Trombi's own, so that Trombi may add to it."""
    row = connection.execute(_USERS_ARE_OURS).fetchone()
    return bool(row and row["yes"])


def make_user(connection: Connection, *, user_id: UUID | None = None, email: str | None = None) -> UUID | None:
    """Create a user with the id of a token or with an address proven by mail; None when the id exists."""
    row = connection.execute(_MAKE_USER, (user_id, email)).fetchone()
    made: UUID | None = row["id"] if row else None
    return made
