"""Checks of a decision after the event is locked: person, faces and invitation must be as the caller saw them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from functions.admin.door.problems import Problem, conflict, not_found, unprocessable
from functions.admin.review import decisions_store as store
from functions.admin.review import ledger
from functions.admin.review.person_state import person_state
from shared.database import Connection


def locked_person(
    connection: Connection,
    actor: UUID | None,
    person_id: UUID,
    version: int | None,
    *,
    users: Sequence[UUID] = (),
    others: Sequence[UUID] = (),
) -> tuple[store.Row, int]:
    """Lock the event; return the person's current row, and the decision's number in the event's history.

    ``users`` and ``others`` are the users and persons that the decision names beside it.
    """
    event_id = store.event_of_person(connection, person_id)
    if event_id is None:
        raise not_found("no such person")
    decision_version = ledger.lock_event(connection, event_id, actor, users=users, persons=[person_id, *others])
    person = person_of(connection, person_id)
    refuse_stale(connection, person, version)
    return person, decision_version


def person_of(connection: Connection, person_id: UUID) -> store.Row:
    """Return the person; 404 where there is none."""
    person = store.person(connection, person_id)
    if person is None:
        raise not_found("no such person")
    return person


def refuse_stale(connection: Connection, person: store.Row, version: int | None) -> None:
    """Raise 409 where the caller saw another version of the person."""
    if version is not None and version != person["version"]:
        raise conflict_about(connection, "changed", "somebody decided on this person meanwhile: look again", person)


_STATUS_TOLD = {
    "pending": "nobody is linked to this person or invited",
    "linked": "this person is linked to a user already",
    "invited": "somebody is invited for this person: withdraw that first",
    "ignored": "this person is ignored",
    "merged": "this person was merged into another one",
}


def refuse_status(connection: Connection, person: store.Row, *refused: str) -> None:
    """Raise 409 where the person has one of these states."""
    if person["status"] in refused:
        raise conflict_about(connection, f"is_{person['status']}", _STATUS_TOLD[person["status"]], person)


def conflict_about(connection: Connection, code: str, detail: str, person: store.Row) -> Problem:
    """Make a 409 with the person's current state."""
    return conflict(code, detail, person_state(connection, person["id"]))


def tagged_users(person: store.Row) -> frozenset[UUID]:
    """Return the user whose tags change with the person's faces."""
    return frozenset({person["linked_user_id"]} if person["status"] == "linked" else set())


def faces_of(connection: Connection, event_id: UUID, face_ids: Sequence[UUID]) -> list[store.Row]:
    """Return all of the faces, or raise 404 when one does not exist."""
    found = store.faces(connection, event_id, face_ids)
    if not face_ids or len(found) < len(set(face_ids)):
        raise not_found("no such face, or not of this event")
    return found


def event_of_faces(connection: Connection, face_ids: Sequence[UUID]) -> UUID:
    """Return the event of the first face; 404 where there is none."""
    event_id = store.event_of_face(connection, face_ids[0]) if face_ids else None
    if event_id is None:
        raise not_found("no such face")
    return event_id


def require_in(connection: Connection, event_id: UUID, face_ids: Sequence[UUID], person_id: UUID) -> None:
    """Raise 422 unless all of the faces are the person's."""
    found = faces_of(connection, event_id, face_ids)
    if any(face["face_person_id"] != person_id for face in found):
        raise unprocessable("not_their_face", "not all of these faces are this person's: look again")


def persons_of(faces: Iterable[store.Row]) -> set[UUID]:
    """Return the persons that the faces are in."""
    return {face["face_person_id"] for face in faces if face["face_person_id"] is not None}


def known(person_id: UUID | None) -> UUID:
    """Return the id of a person that was made or named."""
    if person_id is None:
        message = "a person that is made or named is known"
        raise RuntimeError(message)
    return person_id


def open_invitation(
    connection: Connection, invitation_id: UUID, user_id: UUID | None
) -> tuple[store.Row, store.Row, int]:
    """Return an invitation that may be answered, its person, and the decision's number in the event's history.

    ``user_id`` is who says that it is them: the person whom they are already belongs to the decision as well.
    """
    asked = store.asked_about(connection, invitation_id, user_id)
    if asked is None:
        raise not_found("there is no such invitation")
    decision_version = ledger.lock_event(connection, asked["event_id"], user_id, persons=asked["person_ids"])
    invitation = store.invitation(connection, invitation_id)
    if invitation is None:
        raise not_found("there is no such invitation")
    if invitation["answer"] is not None:
        raise Problem(410, "answered", "this invitation was answered already", {"answer": invitation["answer"]})
    if invitation["has_expired"]:
        raise Problem(410, "expired", "this invitation has expired: ask for a new one")
    person = person_of(connection, invitation["face_person_id"])
    if person["status"] != "invited" or person["invitation_email"] != invitation["email"]:
        raise Problem(410, "withdrawn", "this invitation was withdrawn")
    return invitation, person, decision_version
