"""Who may touch what. Asked first in every transaction; row level security is the second lock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import flask

from functions.admin.door import store
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


def to_event(connection: Connection, caller: Caller, event_id: UUID, at_least: AtLeast = "organiser") -> Access:
    """What the caller is in the event.

    Raises:
        Problem: 404, no such event or the caller does not belong to it; 403, a member where an organiser is needed.
    """
    return _access(connection, caller, store.EVENT, event_id, at_least)


def to_person(connection: Connection, caller: Caller, person_id: UUID, at_least: AtLeast = "organiser") -> Access:
    """As `to_event`, for the event of a person; a member has access to the person that is linked to them alone."""
    return _access(connection, caller, store.PERSON, person_id, at_least)


def to_face(connection: Connection, caller: Caller, face_id: UUID, at_least: AtLeast = "organiser") -> Access:
    """As `to_event`, for the event of a face; a member has access to their own faces alone."""
    return _access(connection, caller, store.FACE, face_id, at_least)


def to_media(connection: Connection, caller: Caller, media_id: UUID, at_least: AtLeast = "organiser") -> Access:
    """As `to_event`, for the event of a photo; a member has access to the photos that they are tagged in alone."""
    return _access(connection, caller, store.MEDIA, media_id, at_least)


def to_decision(connection: Connection, caller: Caller, decision_id: UUID) -> Access:
    """As `to_event`, for the event of a decision: an organiser's business alone."""
    return _access(connection, caller, store.DECISION, decision_id, "organiser")


def _access(connection: Connection, caller: Caller, subject: store.Subject, id_: UUID, at_least: AtLeast) -> Access:
    found = (
        store.event_of(connection, subject, id_)
        if caller.is_service
        else store.membership(connection, subject, id_, caller.user_id)
    )
    if found is None:
        raise _unknown(subject)
    if caller.is_service:
        access = Access(found["event_id"], "service")
    elif found["role"] in ("owner", "organizer"):
        access = Access(found["event_id"], "organiser")
    elif at_least == "organiser":
        raise forbidden()
    elif not store.concerns(connection, subject, id_, caller.user_id):
        raise _unknown(subject)
    else:
        access = Access(found["event_id"], "member")
    if flask.has_request_context():
        flask.g.event_id = access.event_id  # what the log and the kept answers are filed under
    return access


def _unknown(subject: store.Subject) -> Problem:
    return not_found(f"there is no such {subject.name}, or it is not for you to see")
