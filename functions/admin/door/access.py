"""Who may touch what. Asked first in every transaction; row level security is the second lock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import flask

from functions.admin.door.auth import Caller
from functions.admin.door.problems import Problem, forbidden, not_found
from shared.database import Connection

Role = Literal["service", "organiser", "member"]
AtLeast = Literal["organiser", "member"]


@dataclass(frozen=True)
class Access:
    """What the caller is in the event."""

    event_id: UUID
    role: Role

    @property
    def organises(self) -> bool:
        """Whether the caller may see and decide everything of the event."""
        return self.role != "member"


@dataclass(frozen=True)
class _Subject:
    """How to find the event of something, for a service and for a user, and whether it concerns a member.

    ``membership`` looks past row level security (its functions answer an event's id alone), so that a member is
    told 403 where a stranger is told 404.
    """

    name: str
    event: str
    membership: str
    concerns: str


_EVENT = _Subject(
    "event",
    event="SELECT id AS event_id FROM events WHERE id = %(id)s",
    membership="SELECT event_id, role FROM event_members WHERE user_id = %(user_id)s AND event_id = %(id)s",
    concerns="SELECT",
)
_PERSON = _Subject(
    "person",
    event="SELECT event_id FROM face_persons WHERE id = %(id)s",
    membership="""
SELECT event_id, role FROM event_members WHERE user_id = %(user_id)s AND event_id = trombi_event_of_person(%(id)s)
""",
    concerns="SELECT FROM face_persons WHERE id = %(id)s AND linked_user_id = %(user_id)s AND status = 'linked'",
)
_FACE = _Subject(
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
_MEDIA = _Subject(
    "photo",
    event="SELECT event_id FROM media WHERE id = %(id)s",
    membership="""
SELECT event_id, role FROM event_members WHERE user_id = %(user_id)s AND event_id = trombi_event_of_media(%(id)s)
""",
    # Whatever its source: a tag is there only because somebody said so, also when the face had been suggested.
    concerns="SELECT FROM media_tags WHERE media_id = %(id)s AND tagged_user_id = %(user_id)s",
)
_DECISION = _Subject(
    "decision",
    event="SELECT event_id FROM decisions WHERE id = %(id)s",
    membership="""
SELECT event_id, role FROM event_members WHERE user_id = %(user_id)s AND event_id = trombi_event_of_decision(%(id)s)
""",
    concerns="SELECT WHERE false",
)


def to_event(connection: Connection, caller: Caller, event_id: UUID, at_least: AtLeast = "organiser") -> Access:
    """What the caller is in the event.

    Raises:
        Problem: 404, no such event or the caller does not belong to it; 403, a member where an organiser is needed.
    """
    return _access(connection, caller, _EVENT, event_id, at_least)


def to_person(connection: Connection, caller: Caller, person_id: UUID, at_least: AtLeast = "organiser") -> Access:
    """As `to_event`, for the event of a person; a member has access to the person that is linked to them alone."""
    return _access(connection, caller, _PERSON, person_id, at_least)


def to_face(connection: Connection, caller: Caller, face_id: UUID, at_least: AtLeast = "organiser") -> Access:
    """As `to_event`, for the event of a face; a member has access to their own faces alone."""
    return _access(connection, caller, _FACE, face_id, at_least)


def to_media(connection: Connection, caller: Caller, media_id: UUID, at_least: AtLeast = "organiser") -> Access:
    """As `to_event`, for the event of a photo; a member has access to the photos that they are tagged in alone."""
    return _access(connection, caller, _MEDIA, media_id, at_least)


def to_decision(connection: Connection, caller: Caller, decision_id: UUID) -> Access:
    """As `to_event`, for the event of a decision: an organiser's business alone."""
    return _access(connection, caller, _DECISION, decision_id, "organiser")


def _access(connection: Connection, caller: Caller, subject: _Subject, id_: UUID, at_least: AtLeast) -> Access:
    parameters = {"id": id_, "user_id": caller.user_id}
    found = connection.execute(subject.event if caller.is_service else subject.membership, parameters).fetchone()
    if found is None:
        raise _unknown(subject)
    if caller.is_service:
        access = Access(found["event_id"], "service")
    elif found["role"] in ("owner", "organizer"):
        access = Access(found["event_id"], "organiser")
    elif at_least == "organiser":
        raise forbidden()
    elif connection.execute(subject.concerns, parameters).fetchone() is None:
        raise _unknown(subject)
    else:
        access = Access(found["event_id"], "member")
    if flask.has_request_context():
        flask.g.event_id = access.event_id  # what the log and the kept answers are filed under
    return access


def _unknown(subject: _Subject) -> Problem:
    return not_found(f"there is no such {subject.name}, or it is not for you to see")
