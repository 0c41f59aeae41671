"""Decisions about persons and faces: each is one transaction, is recorded in the ledger, and can be undone.

Every function takes the event's lock first and reads what it depends on after that, so that of two people who decide
at once, the second sees what the first did, and gets 409 with the person's current state if the two conflict.
Clustering reads what is written here as facts: a placed face stays, a rejected one never comes back, a merged person
stays merged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from functions.admin.door.problems import Problem, conflict, not_found, unprocessable
from functions.admin.review import checks, ledger
from functions.admin.review import decisions_store as store
from functions.admin.review.ledger_store import Scope
from functions.admin.review.person_state import person_state
from shared.database import Connection

MOST_FACES = 1000
"""Faces that one request may move."""


@dataclass(frozen=True)
class Decided:
    """A decision that was made, and the person that the answer shows: for a merge, the remaining one.

    ``source_ids`` are the persons that faces were moved away from.
    """

    decision_id: UUID
    person_id: UUID
    made_person_id: UUID | None = None
    source_ids: Sequence[UUID] | None = None


def link(
    connection: Connection,
    actor: UUID | None,
    person_id: UUID,
    user_id: UUID,
    *,
    version: int | None = None,
    again: bool = False,
) -> Decided:
    """Link a person to a user, and tag the user once in every photo of the person.

    Raises:
        Problem: 404 no such person; 422 the user does not belong to the event; 409 the person changed, is linked
            already, was merged, the user is linked to another person, or said that it is not them (unless ``again``).
    """
    person, decision_version = checks.locked_person(connection, actor, person_id, version, users=[user_id])
    checks.refuse_status(connection, person, "linked", "merged")
    event_id = person["event_id"]
    if not store.is_member(connection, event_id, user_id):
        raise unprocessable("not_a_member", "only members of the event can be linked: invite them instead")
    if not again and store.has_declined(connection, person_id, email=None, user_id=user_id):
        raise checks.conflict_about(
            connection, "declined", 'they said it is not them: send "again": true if you know better', person
        )
    other = store.person_linked_to(connection, event_id, user_id, person_id)
    if other is not None:
        raise Problem(
            409,
            "user_already_linked",
            "this user is another person of the event already: merge the two",
            {"current": person_state(connection, person_id), "linked_person": person_state(connection, other)},
        )
    scope = Scope(event_id, frozenset({person_id}), frozenset(), frozenset({user_id}))
    with ledger.decide(connection, "link", actor, decision_version, scope, moves_faces=True) as entry:
        store.set_status(connection, person_id, "linked", user_id=user_id)
        store.tag(connection, sorted(entry.scope.face_ids), actor)
        entry.subject = {"person_id": str(person_id), "user_id": str(user_id), "faces": len(entry.scope.face_ids)}
    return Decided(entry.id, person_id)


def unlink(connection: Connection, actor: UUID | None, person_id: UUID, *, version: int | None = None) -> Decided:
    """Unlink a person: remove the tags that came from their faces, and withdraw an open invitation.

    Raises:
        Problem: 404 no such person; 409 they are neither linked nor invited, or changed.
    """
    person, decision_version = checks.locked_person(connection, actor, person_id, version)
    checks.refuse_status(connection, person, "pending", "ignored", "merged")
    users = checks.tagged_users(person)
    scope = Scope(person["event_id"], frozenset({person_id}), frozenset(), users)
    with ledger.decide(connection, "unlink", actor, decision_version, scope, moves_faces=True) as entry:
        store.set_status(connection, person_id, "pending")
        store.untag(connection, person["event_id"], sorted(users))
        entry.subject = {"person_id": str(person_id), "was": person["status"]}
    return Decided(entry.id, person_id)


@dataclass(frozen=True)
class Invitation:
    """A new invitation: ``token_hash`` is the SHA-256 of the token in the mail."""

    id: UUID
    token_hash: bytes
    email: str
    expires_at: datetime
    language: str
    message: str | None = None


def invite(
    connection: Connection,
    actor: UUID | None,
    person_id: UUID,
    invitation: Invitation,
    *,
    version: int | None = None,
    again: bool = False,
) -> Decided:
    """Invite somebody by mail to say whether the person is them. A new invitation replaces an open one.

    Raises:
        Problem: 404 no such person; 409 they are linked or merged, changed, or this address answered that it is not
            them (unless ``again``).
    """
    person, decision_version = checks.locked_person(connection, actor, person_id, version)
    checks.refuse_status(connection, person, "linked", "merged")
    if not again and store.has_declined(connection, person_id, email=invitation.email, user_id=None):
        raise checks.conflict_about(
            connection, "declined", 'this address said it is not them: send "again": true if you know better', person
        )
    scope = Scope(person["event_id"], frozenset({person_id}), frozenset(), frozenset())
    with ledger.decide(connection, "invite", actor, decision_version, scope, moves_faces=False) as entry:
        store.set_status(connection, person_id, "invited", email=invitation.email)
        store.make_invitation(
            connection,
            id=invitation.id,
            event_id=person["event_id"],
            person_id=person_id,
            token_hash=invitation.token_hash,
            email=invitation.email,
            actor=actor,
            expires_at=invitation.expires_at,
            language=invitation.language,
            message=invitation.message,
        )
        entry.subject = {"person_id": str(person_id), "invitation_id": str(invitation.id)}
    return Decided(entry.id, person_id)


def accept(connection: Connection, invitation_id: UUID, user_id: UUID) -> Decided:
    """Accept an invitation ("it's me"): link and tag the guest, and make them a member.

    A guest who is linked to another person of the event already is both: the two are merged.

    Raises:
        Problem: 404 no such invitation; 410 answered, expired or withdrawn.
    """
    invitation, person, decision_version = checks.open_invitation(connection, invitation_id, user_id)
    event_id, person_id = person["event_id"], person["id"]
    other = store.person_linked_to(connection, event_id, user_id, person_id)
    together = frozenset({person_id} | ({other} if other else set()))
    scope = Scope(event_id, together, frozenset(), frozenset({user_id}))
    with ledger.decide(connection, "accept", user_id, decision_version, scope, moves_faces=True) as entry:
        store.answer_invitation(connection, invitation["id"], "accepted")
        store.join_event(connection, event_id, user_id)
        if other is None:
            store.set_status(connection, person_id, "linked", user_id=user_id)
        else:
            _merge(connection, [person_id], other)
        store.tag(connection, sorted(entry.scope.face_ids), user_id)
        entry.subject = {
            "person_id": str(other or person_id),
            "invitation_id": str(invitation_id),
            "user_id": str(user_id),
        }
    return Decided(entry.id, other or person_id)


def decline(connection: Connection, invitation_id: UUID) -> Decided:
    """Decline an invitation ("not me"); inviting or linking the guest again needs an explicit confirmation.

    Raises:
        Problem: 404 no such invitation; 410 answered, expired or withdrawn.
    """
    invitation, person, decision_version = checks.open_invitation(connection, invitation_id, None)
    scope = Scope(person["event_id"], frozenset({person["id"]}), frozenset(), frozenset())
    with ledger.decide(connection, "decline", None, decision_version, scope, moves_faces=True) as entry:
        store.answer_invitation(connection, invitation["id"], "declined")
        store.set_status(connection, person["id"], "pending")
        entry.subject = {"person_id": str(person["id"]), "invitation_id": str(invitation_id)}
    return Decided(entry.id, person["id"])


def merge(
    connection: Connection,
    actor: UUID | None,
    gone: Sequence[UUID],
    into: UUID,
    *,
    version: int | None = None,
) -> Decided:
    """Merge persons: ``into`` remains, with its cover, and with the link of whichever person had one.

    Raises:
        Problem: 404 no such person; 422 nothing to merge, itself, or persons of several events; 409 one was merged
            already, they are linked to (or invite) different people, or the survivor changed.
    """
    gone = sorted(set(gone))
    if not gone or into in gone:
        raise unprocessable("nothing_to_merge", "name at least one other person to merge into this one")
    survivor, decision_version = checks.locked_person(connection, actor, into, version, others=gone)
    persons = [survivor, *(checks.person_of(connection, person_id) for person_id in gone)]
    if any(person["event_id"] != survivor["event_id"] for person in persons):
        raise not_found("no such person")
    for person in persons:
        checks.refuse_status(connection, person, "merged")
    users = {person["linked_user_id"] for person in persons if person["status"] == "linked"}
    if len(users) > 1:
        raise checks.conflict_about(
            connection, "two_people", "they are linked to different people: unlink all but one first", survivor
        )
    addresses = {person["invitation_email"] for person in persons if person["invitation_email"]}
    if not users and len(addresses) > 1:
        raise checks.conflict_about(
            connection, "two_invitations", "different people are invited: withdraw all but one first", survivor
        )
    scope = Scope(survivor["event_id"], frozenset({into, *gone}), frozenset(), frozenset(users))
    with ledger.decide(connection, "merge", actor, decision_version, scope, moves_faces=True) as entry:
        _merge(connection, gone, into)
        store.tag(connection, sorted(entry.scope.face_ids), actor)
        entry.subject = {
            "person_id": str(into),
            "merged_person_ids": [str(person_id) for person_id in gone],
            "faces": len(entry.scope.face_ids),
        }
    return Decided(entry.id, into)


def _merge(connection: Connection, gone: Sequence[UUID], into: UUID) -> None:
    """Move faces, suggestions and open invitations to the remaining person, which gets the strongest status."""
    persons = [checks.person_of(connection, person_id) for person_id in (into, *gone)]
    store.merge_persons(connection, gone, into)
    for person_id in gone:
        store.set_status(connection, person_id, "merged", into=into)
    store.clear_covers(connection, gone)
    for status in ("linked", "invited"):
        heirs = [person for person in persons if person["status"] == status]
        if heirs:
            store.set_status(
                connection,
                into,
                status,
                user_id=heirs[0]["linked_user_id"],
                email=heirs[0]["invitation_email"],
            )
            return


def split(
    connection: Connection,
    actor: UUID | None,
    person_id: UUID,
    face_ids: Sequence[UUID],
    *,
    version: int | None = None,
) -> Decided:
    """Split faces off into one new person; they never return to this one.

    Raises:
        Problem: 404 no such person; 422 faces that are not theirs, or all of them; 409 merged, or changed.
    """
    person, decision_version = checks.locked_person(connection, actor, person_id, version)
    checks.refuse_status(connection, person, "merged")
    event_id = person["event_id"]
    checks.require_in(connection, event_id, face_ids, person_id)
    wanted = frozenset(face_ids)
    made = uuid4()
    users = checks.tagged_users(person)
    scope = Scope(event_id, frozenset({person_id, made}), wanted, users)
    with ledger.decide(connection, "split", actor, decision_version, scope, moves_faces=True) as entry:
        if wanted >= entry.scope.face_ids:
            raise unprocessable("all_faces", "these are all faces of the person: leave at least one, or unlink it")
        store.make_person(connection, made, event_id)
        store.place_faces(connection, sorted(wanted), made)
        store.untag(connection, event_id, sorted(users))
        entry.subject = {"person_id": str(person_id), "made_person_id": str(made), "faces": len(wanted)}
    return Decided(entry.id, person_id, made)


def move(
    connection: Connection,
    actor: UUID | None,
    face_ids: Sequence[UUID],
    to: UUID | None,
    *,
    version: int | None = None,
) -> Decided:
    """Move faces to a person (a new one when ``to`` is None); no clustering moves them again.

    A face that was suggested for a linked person is tagged with source ``suggested``.

    Raises:
        Problem: 404 no such faces or person; 409 the person was merged or changed, or all faces are there already.
    """
    event_id = checks.event_of_faces(connection, face_ids)
    decision_version = ledger.lock_event(connection, event_id, actor, persons=[to] if to else [], faces=face_ids)
    found = checks.faces_of(connection, event_id, face_ids)
    if to is not None:
        target = checks.person_of(connection, to)
        if target["event_id"] != event_id:
            raise not_found("no such person")
        checks.refuse_stale(connection, target, version)
        checks.refuse_status(connection, target, "merged")
    moving = [face["id"] for face in found if to is None or face["face_person_id"] != to]
    if not moving:
        raise conflict(
            "already_there", "the faces are that person's already", person_state(connection, checks.known(to))
        )
    persons = [
        checks.person_of(connection, person_id)
        for person_id in sorted(checks.persons_of(found) | ({to} if to else set()))
    ]
    users = frozenset(user for person in persons for user in checks.tagged_users(person))
    made = uuid4() if to is None else None
    into = checks.known(to or made)
    scope = Scope(event_id, frozenset({into, *(person["id"] for person in persons)}), frozenset(moving), users)
    with ledger.decide(connection, "move", actor, decision_version, scope, moves_faces=True) as entry:
        if made is not None:
            store.make_person(connection, made, event_id)
        suggested = store.suggested_for(connection, moving, into)
        store.place_faces(connection, moving, into)
        store.untag(connection, event_id, sorted(users))
        store.tag(connection, moving, actor, suggested)
        entry.subject = {"person_id": str(into), "faces": len(moving), "suggested": len(suggested)}
    sources = checks.persons_of(face for face in found if face["id"] in set(moving))
    return Decided(entry.id, into, made, sorted(sources))


def reject(
    connection: Connection,
    actor: UUID | None,
    face_ids: Sequence[UUID],
    person_id: UUID | None = None,
    *,
    version: int | None = None,
) -> Decided:
    """Reject faces from a person (by default the one they are in); they never return to it.

    Raises:
        Problem: 404 no such faces or person; 422 the faces are in nobody, or in several persons, and none is named;
            409 the person changed, or all that was said before.
    """
    event_id = checks.event_of_faces(connection, face_ids)
    named = [person_id] if person_id else []
    decision_version = ledger.lock_event(connection, event_id, actor, persons=named, faces=face_ids)
    found = checks.faces_of(connection, event_id, face_ids)
    if person_id is None:
        holders = checks.persons_of(found)
        if len(holders) != 1:
            raise unprocessable("which_person", "say from which person: person_id")
        person_id = next(iter(holders))
    person = checks.person_of(connection, person_id)
    if person["event_id"] != event_id:
        raise not_found("no such person")
    checks.refuse_stale(connection, person, version)
    checks.refuse_status(connection, person, "merged")
    wanted = frozenset(face["id"] for face in found)
    users = checks.tagged_users(person)
    scope = Scope(event_id, frozenset({person_id}), wanted, users)
    with ledger.decide(connection, "reject", actor, decision_version, scope, moves_faces=True) as entry:
        store.reject_faces(connection, sorted(wanted), person_id)
        store.untag(connection, event_id, sorted(users))
        entry.subject = {"person_id": str(person_id), "faces": len(wanted)}
    return Decided(entry.id, person_id)


def ignore(connection: Connection, actor: UUID | None, person_id: UUID, *, version: int | None = None) -> Decided:
    """Hide a person (a passer-by, a statue) from the list until restored, and withdraw an open invitation.

    Raises:
        Problem: 404 no such person; 409 they are linked, ignored already, merged, or changed.
    """
    return _set_aside(connection, actor, person_id, version, "ignore", "ignored", ("linked", "ignored", "merged"))


def restore(connection: Connection, actor: UUID | None, person_id: UUID, *, version: int | None = None) -> Decided:
    """Restore an ignored person to the list.

    Raises:
        Problem: 404 no such person; 409 they are not ignored, or changed.
    """
    refused = ("pending", "linked", "invited", "merged")
    return _set_aside(connection, actor, person_id, version, "restore", "pending", refused)


def _set_aside(
    connection: Connection,
    actor: UUID | None,
    person_id: UUID,
    version: int | None,
    kind: str,
    status: str,
    refused: Iterable[str],
) -> Decided:
    person, decision_version = checks.locked_person(connection, actor, person_id, version)
    checks.refuse_status(connection, person, *refused)
    scope = Scope(person["event_id"], frozenset({person_id}), frozenset(), frozenset())
    with ledger.decide(connection, kind, actor, decision_version, scope, moves_faces=True) as entry:
        store.set_status(connection, person_id, status)
        entry.subject = {"person_id": str(person_id), "was": person["status"]}
    return Decided(entry.id, person_id)


def cover(
    connection: Connection, actor: UUID | None, person_id: UUID, face_id: UUID, *, version: int | None = None
) -> Decided:
    """Choose the face that is the person's cover.

    Raises:
        Problem: 404 no such person; 422 the face is not theirs; 409 merged, changed, or the cover already.
    """
    person, decision_version = checks.locked_person(connection, actor, person_id, version)
    checks.refuse_status(connection, person, "merged")
    checks.require_in(connection, person["event_id"], [face_id], person_id)
    scope = Scope(person["event_id"], frozenset({person_id}), frozenset(), frozenset())
    with ledger.decide(connection, "cover", actor, decision_version, scope, moves_faces=False) as entry:
        store.set_cover(connection, person_id, face_id)
        entry.subject = {"person_id": str(person_id), "face_id": str(face_id)}
    return Decided(entry.id, person_id)


def distinct(
    connection: Connection, actor: UUID | None, person_id: UUID, other_id: UUID, *, version: int | None = None
) -> Decided:
    """Record that two persons are different people: never suggested or clustered together again.

    Raises:
        Problem: 404 no such person; 422 one and the same; 409 merged, or changed.
    """
    person, decision_version = checks.locked_person(connection, actor, person_id, version)
    other = checks.person_of(connection, other_id)
    if other["event_id"] != person["event_id"]:
        raise not_found("no such person")
    if other_id == person_id:
        raise unprocessable("same_person", "name another person")
    for each in (person, other):
        checks.refuse_status(connection, each, "merged")
    scope = Scope(person["event_id"], frozenset({person_id, other_id}), frozenset(), frozenset())
    with ledger.decide(connection, "distinct", actor, decision_version, scope, moves_faces=True) as entry:
        store.tell_apart(connection, person_id, other_id)
        entry.subject = {"person_id": str(person_id), "other_person_id": str(other_id)}
    return Decided(entry.id, person_id)


def one_person(connection: Connection, actor: UUID | None, person_id: UUID, *, version: int | None = None) -> Decided:
    """Record that this is one person, not two, so that the question is not repeated.

    Raises:
        Problem: 404 no such person; 409 merged, or changed.
    """
    person, decision_version = checks.locked_person(connection, actor, person_id, version)
    checks.refuse_status(connection, person, "merged")
    scope = Scope(person["event_id"], frozenset({person_id}), frozenset(), frozenset())
    with ledger.decide(connection, "one_person", actor, decision_version, scope, moves_faces=False) as entry:
        store.say_one(connection, person_id)
        entry.subject = {"person_id": str(person_id)}
    return Decided(entry.id, person_id)


def answer(connection: Connection, decided: Decided) -> dict[str, Any]:
    """Return what the API answers after a decision."""
    said: dict[str, Any] = {
        "decision_id": str(decided.decision_id),
        "person": person_state(connection, decided.person_id),
    }
    if decided.made_person_id is not None:
        said["made"] = person_state(connection, decided.made_person_id)
    if decided.source_ids is not None:
        said["sources"] = [person_state(connection, person_id) for person_id in decided.source_ids]
    return said
