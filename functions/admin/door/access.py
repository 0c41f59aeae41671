"""Authorisation. Checked first in every transaction; row level security is the second line of defence."""

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
    """The caller's role in an event."""

    event_id: UUID
    role: Role

    @property
    def organises(self) -> bool:
        """Whether the caller may see and decide everything in the event."""
        return self.role != "member"


def to_event(connection: Connection, caller: Caller, event_id: UUID, at_least: AtLeast = "organiser") -> Access:
    """Return the caller's role in the event.

    Raises:
        Problem: 404, there is no such event or the caller does not belong to it; 403, the caller is a member and the
            role of an organiser is required.
    """
    return _access(connection, caller, store.EVENT, event_id, at_least)


def to_person(connection: Connection, caller: Caller, person_id: UUID, at_least: AtLeast = "organiser") -> Access:
    """Do as `to_event` for a person's event; a member has access only to the persons linked to them."""
    return _access(connection, caller, store.PERSON, person_id, at_least)


def to_face(connection: Connection, caller: Caller, face_id: UUID, at_least: AtLeast = "organiser") -> Access:
    """Do as `to_event` for a face's event; a member has access only to their own faces."""
    return _access(connection, caller, store.FACE, face_id, at_least)


def to_media(connection: Connection, caller: Caller, media_id: UUID, at_least: AtLeast = "organiser") -> Access:
    """Do as `to_event` for a photo's event; a member has access only to photos that they are tagged in."""
    return _access(connection, caller, store.MEDIA, media_id, at_least)


def to_decision(connection: Connection, caller: Caller, decision_id: UUID) -> Access:
    """Do as `to_event` for a decision's event; only organisers have access."""
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
        flask.g.event_id = access.event_id  # the log and the kept answers are labelled with it
    return access


def _unknown(subject: store.Subject) -> Problem:
    return not_found(f"there is no such {subject.name}, or it is not for you to see")
