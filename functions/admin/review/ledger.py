"""The ledger: every decision is one transaction and one row, and can be undone exactly.

A decision names its scope, the rows it may change. The rows' images before and after are compared, and what differs
is kept with the decision: undoing it puts those rows back. Later decisions on the same persons, faces or users have
to be undone first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from functions.admin.door.problems import Problem, conflict, not_found
from functions.admin.review import ledger_store
from functions.admin.review.ledger_store import Images, Scope
from functions.admin.review.person_state import person_state
from shared.database import Connection


@dataclass
class Entry:
    """A decision in progress; ``subject`` holds ids and counts only, and ``decision_id`` is set at the end."""

    kind: str
    actor_id: UUID | None
    scope: Scope
    subject: dict[str, Any] = field(default_factory=dict)
    decision_id: UUID | None = None

    @property
    def id(self) -> UUID:
        """The decision's id, once the block of :func:`decide` has ended."""
        if self.decision_id is None:
            message = "the decision has not been recorded yet"
            raise RuntimeError(message)
        return self.decision_id


def lock_event(
    connection: Connection,
    event_id: UUID,
    actor_id: UUID | None,
    *,
    users: Iterable[UUID] = (),
    persons: Iterable[UUID] = (),
    faces: Iterable[UUID] = (),
) -> int:
    """Lock the event against other decisions until the transaction ends; return the decision's number in its history.

    Whatever a decision depends on is read after this. ``users``, ``persons`` and ``faces`` are whom it names: their
    rows, and those of the faces' photos, come before the event's counters in the order of locks.

    Raises:
        Problem: 404, the event was deleted this moment; 409 ``account_gone``, the account of who decides was.
    """
    named = [] if actor_id is None else [actor_id]
    ledger_store.hold_rows(connection, event_id, [*named, *users], persons, faces)
    if not ledger_store.event_is_there(connection, event_id):
        raise not_found("there is no such event")
    if actor_id is not None and not ledger_store.user_is_there(connection, actor_id):
        raise conflict("account_gone", "this account has been deleted")
    return ledger_store.next_version(connection, event_id)


@contextmanager
def decide(
    connection: Connection,
    kind: str,
    actor_id: UUID | None,
    version: int,
    scope: Scope,
    *,
    moves_faces: bool,
) -> Iterator[Entry]:
    """Record what the block changes within ``scope``. ``version`` is what :func:`lock_event` gave.

    With ``moves_faces``, covers and counts of the scope's persons are updated, and the event is clustered again.
    """
    faces = scope.face_ids | set(ledger_store.faces_of(connection, scope.event_id, scope.person_ids))
    scope = Scope(scope.event_id, scope.person_ids, faces, scope.user_ids)
    before = ledger_store.images(connection, scope)
    entry = Entry(kind, actor_id, scope)
    yield entry
    touched = _persons_in(_changes(before, ledger_store.images(connection, scope)), scope)
    if moves_faces:
        ledger_store.settle(connection, scope)
        ledger_store.ask_for_clustering(connection, scope.event_id)
    ledger_store.note_edit(connection, scope.event_id, touched)
    changes = _changes(before, ledger_store.images(connection, scope))
    entry.decision_id = ledger_store.record(
        connection,
        event_id=scope.event_id,
        actor_id=actor_id,
        kind=kind,
        subject=entry.subject,
        inverse={"changes": changes},
        version=version,
        person_ids=touched,
        face_ids={UUID(change["key"]) for change in changes if change["table"] == "faces"},
        user_ids=scope.user_ids,
    )


def undo(connection: Connection, actor_id: UUID | None, event_id: UUID, decision_id: UUID) -> UUID:
    """Undo a decision; return the id of the undo.

    Raises:
        Problem: 404 there is no such decision; 409 it is undone already, is itself an undo, was erased by a purge, or
            later decisions build on it (``decisions`` names them, the newest first). ``current`` is the first of its
            persons that is still there.
    """
    decision = ledger_store.decision(connection, decision_id)
    if decision is None or decision["event_id"] != event_id:
        raise not_found("no such decision")
    version = lock_event(
        connection,
        event_id,
        actor_id,
        users=decision["user_ids"],
        persons=decision["person_ids"],
        faces=decision["face_ids"],
    )
    decision = ledger_store.decision(connection, decision_id)
    if decision is None:
        raise not_found("no such decision")
    if decision["kind"] == "undo":
        raise conflict("is_undo", "an undo is not undone: decide again what you want")
    if decision["undone_by"] is not None:
        raise conflict("already_undone", "this decision is undone already")
    if decision["inverse"] is None:
        raise _erased(connection, decision["person_ids"])
    later = ledger_store.built_on(connection, decision_id)
    if later:
        named = [
            {"id": str(row["id"]), "kind": row["kind"], "created_at": row["created_at"].isoformat()} for row in later
        ]
        raise Problem(
            409,
            "built_upon",
            f"{len(later)} later decision(s) build on this one: undo those first, the newest first",
            {"decisions": named},
        )
    changes = decision["inverse"].get("changes", [])
    if ledger_store.names_missing_user(connection, changes):
        raise _erased(connection, decision["person_ids"])
    # Clustering may have moved faces of the decision into persons that it does not name: these lose them now.
    holders = ledger_store.holders_of(connection, event_id, decision["face_ids"])
    ledger_store.put_back(connection, event_id, changes)
    ledger_store.release_untagged(connection, event_id, decision["person_ids"])
    scope = Scope(event_id, frozenset(decision["person_ids"]) | holders, frozenset(), frozenset())
    ledger_store.settle(connection, scope)
    if decision["kind"] not in ("cover", "one_person"):
        ledger_store.ask_for_clustering(connection, event_id)
    undone_by = ledger_store.record(
        connection,
        event_id=event_id,
        actor_id=actor_id,
        kind="undo",
        subject={"decision_id": str(decision_id), "kind": decision["kind"]},
        inverse={},
        version=version,
        person_ids=decision["person_ids"],
        face_ids=decision["face_ids"],
        user_ids=decision["user_ids"],
    )
    ledger_store.mark_undone(connection, decision_id, undone_by)
    return undone_by


def _erased(connection: Connection, person_ids: Sequence[UUID]) -> Problem:
    """Refuse to undo a decision about somebody who was purged or whose account was deleted; show the person."""
    still_there = ledger_store.first_there(connection, person_ids)
    return conflict(
        "erased",
        "the data of this decision were erased by a purge, or with an account: it cannot be undone. Decide again",
        None if still_there is None else person_state(connection, still_there),
    )


def _changes(before: Images, after: Images) -> list[dict[str, Any]]:
    """Return the differences, as ``{table, key, before, after}``; null where there is no row."""
    keys = sorted({key for key in before.keys() | after.keys() if before.get(key) != after.get(key)})
    return [
        {"table": table, "key": key, "before": before.get((table, key)), "after": after.get((table, key))}
        for table, key in keys
    ]


def _persons_in(changes: list[dict[str, Any]], scope: Scope) -> set[UUID]:
    """Return the persons that changed, or gained or lost a face, a rejection or an invitation."""
    found: set[UUID] = set()
    for change in changes:
        if change["table"] == "face_persons":
            found.add(UUID(change["key"]))
        for image in (change["before"], change["after"]):
            found |= _persons_named(image or {})
    return found & scope.person_ids


def _persons_named(image: Mapping[str, Any]) -> set[UUID]:
    return {UUID(image[column]) for column in ("face_person_id", "person_a_id", "person_b_id") if image.get(column)}
