"""Routes of decisions: who is who, and taking it back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import flask
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, ConfigDict, Field, model_validator

from functions.admin.door import access
from functions.admin.door.idempotency import answer_once
from functions.admin.door.paths import InEvent, OfDecision, OfFace, OfPerson
from functions.admin.door.resources import Resources
from functions.admin.review import decisions, ledger, ledger_store
from functions.admin.review.decisions import MOST_FACES, Decided
from functions.admin.review.person_state import PersonState
from shared.database import Connection

Version = Annotated[
    int | None,
    Field(
        ge=0, le=2**63 - 1, description="the person's version that the decision is about; another one is answered 409"
    ),
]
Faces = Annotated[list[UUID], Field(min_length=1, max_length=MOST_FACES)]


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OnPerson(_Body):
    """A decision that needs no more than its person."""

    version: Version = None


class LinkUser(OnPerson):
    """``again``: although they answered an invitation with "not me"."""

    user_id: UUID
    again: bool = False


class Merge(OnPerson):
    """``into``: this person becomes that one. ``from``: those become this one. ``version`` is the survivor's."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    into: UUID | None = None
    others: Annotated[list[UUID] | None, Field(alias="from", min_length=1, max_length=100)] = None

    @model_validator(mode="after")
    def _one_direction(self) -> Merge:
        if (self.into is None) == (self.others is None):
            raise ValueError('say either "into" (who lives on) or "from" (who is merged into this person)')
        return self


class SomeFaces(OnPerson):
    """Faces of the person."""

    face_ids: Faces


class OneFace(OnPerson):
    """A face of the person."""

    face_id: UUID


class OtherPerson(OnPerson):
    """Another person of the event."""

    person_id: UUID


class MoveFace(OnPerson):
    """Where to (null: a person of their own), and which other faces with it. ``version`` is the target's."""

    person_id: UUID | None
    face_ids: Annotated[list[UUID], Field(max_length=MOST_FACES)] = []


class RejectFace(OnPerson):
    """From whom (by default the person it is in), and which other faces with it."""

    person_id: UUID | None = None
    face_ids: Annotated[list[UUID], Field(max_length=MOST_FACES)] = []


class DecidedAnswer(BaseModel):
    """What was decided, and the person as it is now; ``made`` is the new person of a split or a move.

    ``sources`` are the persons that a move took faces from.
    """

    decision_id: UUID
    person: PersonState
    made: PersonState | None = None
    sources: list[PersonState] | None = None


class Undone(BaseModel):
    """The undo, which is in the history as well."""

    decision_id: UUID
    undone: UUID


class DecisionInHistory(BaseModel):
    """``subject`` holds ids and counts. ``can_undo`` is false where a later decision builds on it."""

    id: UUID
    kind: Literal[
        "link",
        "unlink",
        "invite",
        "accept",
        "decline",
        "merge",
        "split",
        "move",
        "reject",
        "distinct",
        "one_person",
        "ignore",
        "restore",
        "cover",
        "undo",
    ]
    subject: dict[str, Any]
    created_at: datetime
    actor_id: UUID | None
    actor_name: str | None
    undone: bool
    can_undo: bool


class History(BaseModel):
    """The newest first; ``next_cursor`` is null on the last page."""

    items: list[DecisionInHistory]
    next_cursor: int | None


class HistoryQuery(_Body):
    """Which page."""

    cursor: Annotated[int, Field(ge=1, le=2**63 - 1)] = 2**63 - 1
    limit: Annotated[int, Field(ge=1, le=200)] = 50


Decide = Callable[[Connection, UUID | None], Decided]


def routes(resources: Resources) -> APIBlueprint:
    """Make the routes of decisions."""
    api = APIBlueprint("decisions", __name__, abp_tags=[Tag(name="decisions")])
    _person_routes(api, resources)
    _answer_routes(api, resources)
    _face_routes(api, resources)
    _history_routes(api, resources)
    return api


def _person_routes(api: APIBlueprint, resources: Resources) -> None:
    def about(person_id: UUID, decide: Decide) -> flask.Response:
        return _about_person(resources, person_id, decide)

    @api.post("/person/<uuid:person_id>/link-user", responses={200: DecidedAnswer})
    def link_user(path: OfPerson, body: LinkUser) -> flask.Response:
        """Say who the person is. Tags the user in every photo that the person is in, once per photo."""
        return about(
            path.person_id,
            lambda connection, actor: decisions.link(
                connection, actor, path.person_id, body.user_id, version=body.version, again=body.again
            ),
        )

    @api.post("/person/<uuid:person_id>/unlink", responses={200: DecidedAnswer})
    def unlink(path: OfPerson, body: OnPerson) -> flask.Response:
        """Undo a link, or withdraw an invitation: the person is nobody known again, and the tags go."""
        return about(
            path.person_id,
            lambda connection, actor: decisions.unlink(connection, actor, path.person_id, version=body.version),
        )

    @api.post("/person/<uuid:person_id>/merge", responses={200: DecidedAnswer})
    def merge(path: OfPerson, body: Merge) -> flask.Response:
        """Several persons are one. Answers the survivor, who keeps its cover; the link of any of them is its link."""
        gone, into = ([path.person_id], body.into) if body.into else (body.others or [], path.person_id)
        return about(
            path.person_id,
            lambda connection, actor: decisions.merge(connection, actor, gone, into, version=body.version),
        )

    @api.post("/person/<uuid:person_id>/split", responses={200: DecidedAnswer})
    def split(path: OfPerson, body: SomeFaces) -> flask.Response:
        """Split faces of a person off into a new person: ``made``."""
        return about(
            path.person_id,
            lambda connection, actor: decisions.split(
                connection, actor, path.person_id, body.face_ids, version=body.version
            ),
        )

    @api.post("/person/<uuid:person_id>/ignore", responses={200: DecidedAnswer})
    def ignore(path: OfPerson, body: OnPerson) -> flask.Response:
        """Out of the list: a passer-by, a poster, a statue."""
        return about(
            path.person_id,
            lambda connection, actor: decisions.ignore(connection, actor, path.person_id, version=body.version),
        )

    @api.post("/person/<uuid:person_id>/restore", responses={200: DecidedAnswer})
    def restore(path: OfPerson, body: OnPerson) -> flask.Response:
        """Restore an ignored person to the list."""
        return about(
            path.person_id,
            lambda connection, actor: decisions.restore(connection, actor, path.person_id, version=body.version),
        )

    @api.post("/person/<uuid:person_id>/cover", responses={200: DecidedAnswer})
    def cover(path: OfPerson, body: OneFace) -> flask.Response:
        """Choose the face that stands for the person."""
        return about(
            path.person_id,
            lambda connection, actor: decisions.cover(
                connection, actor, path.person_id, body.face_id, version=body.version
            ),
        )


def _answer_routes(api: APIBlueprint, resources: Resources) -> None:
    """Answers to what a run asks about persons."""

    def about(person_id: UUID, decide: Decide) -> flask.Response:
        return _about_person(resources, person_id, decide)

    @api.post("/person/<uuid:person_id>/distinct", responses={200: DecidedAnswer})
    def distinct(path: OfPerson, body: OtherPerson) -> flask.Response:
        """Record that two persons are different people: the answer "no" to a suggested merge."""
        return about(
            path.person_id,
            lambda connection, actor: decisions.distinct(
                connection, actor, path.person_id, body.person_id, version=body.version
            ),
        )

    @api.post("/person/<uuid:person_id>/one-person", responses={200: DecidedAnswer})
    def one_person(path: OfPerson, body: OnPerson) -> flask.Response:
        """Record that a person is one person: the answer "one" to a suggested split. The other answer is a split."""
        return about(
            path.person_id,
            lambda connection, actor: decisions.one_person(connection, actor, path.person_id, version=body.version),
        )


def _face_routes(api: APIBlueprint, resources: Resources) -> None:
    def about(face_id: UUID, decide: Decide) -> flask.Response:
        return _decided(resources, lambda connection: access.to_face(connection, flask.g.caller, face_id), decide)

    @api.post("/face/<uuid:face_id>/move", responses={200: DecidedAnswer})
    def move(path: OfFace, body: MoveFace) -> flask.Response:
        """Move a face, and others with it, to a person: also the answer "yes" to a suggestion."""
        faces = [path.face_id, *body.face_ids]
        return about(
            path.face_id,
            lambda connection, actor: decisions.move(connection, actor, faces, body.person_id, version=body.version),
        )

    @api.post("/face/<uuid:face_id>/reject", responses={200: DecidedAnswer})
    def reject(path: OfFace, body: RejectFace) -> flask.Response:
        """Reject a face, and others with it, from a person: also the answer "no" to a suggestion."""
        faces = [path.face_id, *body.face_ids]
        return about(
            path.face_id,
            lambda connection, actor: decisions.reject(connection, actor, faces, body.person_id, version=body.version),
        )


def _history_routes(api: APIBlueprint, resources: Resources) -> None:
    @api.post("/decisions/<uuid:decision_id>/undo", responses={200: Undone})
    def undo(path: OfDecision) -> flask.Response:
        """Take a decision back, exactly; 409 names the later decisions that build on it."""
        caller = flask.g.caller

        def work(connection: Connection) -> tuple[int, dict[str, Any]]:
            event_id = access.to_decision(connection, caller, path.decision_id).event_id
            undone_by = ledger.undo(connection, caller.user_id, event_id, path.decision_id)
            return 200, {"decision_id": str(undone_by), "undone": str(path.decision_id)}

        return answer_once(resources, caller, work)

    @api.get("/event/<uuid:event_id>/decisions", responses={200: History})
    def decisions_of_event(path: InEvent, query: HistoryQuery) -> dict[str, Any]:
        """List the event's decisions, who made them, and which can be undone now."""
        with resources.transaction(flask.g.caller) as connection:
            access.to_event(connection, flask.g.caller, path.event_id)
            rows = ledger_store.history(connection, path.event_id, query.cursor, query.limit + 1)
        page = rows[: query.limit]
        items = [
            DecisionInHistory(
                **{name: row[name] for name in ("id", "kind", "subject", "created_at", "actor_id", "actor_name")},
                undone=row["undone"],
                can_undo=row["is_newest"] and row["kind"] != "undo" and not (row["undone"] or row["erased"]),
            )
            for row in page
        ]
        cursor = page[-1]["version"] if len(rows) > query.limit else None
        return History(items=items, next_cursor=cursor).model_dump(mode="json")


def _about_person(resources: Resources, person_id: UUID, decide: Decide) -> flask.Response:
    return _decided(resources, lambda connection: access.to_person(connection, flask.g.caller, person_id), decide)


def _decided(resources: Resources, allow: Callable[[Connection], access.Access], decide: Decide) -> flask.Response:
    """Ask whether the caller may, decide, and answer with the person as it is now."""
    caller = flask.g.caller

    def work(connection: Connection) -> tuple[int, dict[str, Any]]:
        allow(connection)
        return 200, decisions.answer(connection, decide(connection, caller.user_id))

    return answer_once(resources, caller, work)
