"""Routes of reads about events: which there are, how one of them stands, and who belongs to it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import flask
from flask_openapi3 import APIBlueprint, Tag
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from functions.admin.door import access, cursor
from functions.admin.door.access import Access, Role
from functions.admin.door.answers import unless_known
from functions.admin.door.auth import Caller
from functions.admin.door.cursor import CursorText, PageSize, Position
from functions.admin.door.paths import InEvent
from functions.admin.door.resources import Resources
from functions.admin.events import store as events_store
from functions.admin.events.store import AfterEvent

_MOST_MEMBERS = 20
_ROLES: dict[str, Role] = {"owner": "organiser", "organizer": "organiser", "member": "member", "service": "service"}


class EventQuery(BaseModel):
    """Which page."""

    model_config = ConfigDict(frozen=True)

    limit: PageSize = 50
    cursor: CursorText | None = None


class EventCounts(BaseModel):
    """How much there is in an event. ``persons`` have at least one face; ``identified`` are linked to a user."""

    photos: int
    persons: int
    identified: int


class ShownEvent(BaseModel):
    """An event, what the caller is in it, and for organisers how much there is."""

    id: UUID
    name: str
    role: Literal["service", "organiser", "member"]
    language: str
    face_recognition_enabled: bool
    archived: bool
    created_at: datetime
    counts: EventCounts | None


class EventConsent(BaseModel):
    """Whether faces are looked for. Version and time are of the text that was agreed to last, also after it is off."""

    enabled: bool
    text_version: str | None
    consented_at: datetime | None


class AllCounts(EventCounts):
    """``faces`` are those that are kept, also where their biometrics are erased."""

    faces: int


class EventState(BaseModel):
    """How an event stands; ``counts`` are for organisers."""

    id: UUID
    name: str
    role: Literal["service", "organiser", "member"]
    language: str
    created_at: datetime
    consent: EventConsent
    archived_at: datetime | None
    counts: AllCounts | None


class EventPage(BaseModel):
    """A page of events, the newest first."""

    items: list[ShownEvent]
    next_cursor: str | None


class MemberQuery(BaseModel):
    """Whom to look for."""

    model_config = ConfigDict(frozen=True)

    q: Annotated[
        str,
        Field(max_length=100, description="beginnings of words of the name (accents or not), or of the e-mail address"),
    ] = ""


class ShownMember(BaseModel):
    """A member of the event. ``email`` only where the name does not tell who it is; ``person_ids`` are theirs."""

    id: UUID
    display_name: str | None
    email: str | None
    role: Literal["organiser", "member"]
    person_ids: list[UUID]


class MemberList(BaseModel):
    """The members that fit best, the best first; the rest is found by asking for more letters."""

    items: list[ShownMember]


class _EventPosition(Position):
    created_at: AwareDatetime


def routes(resources: Resources) -> APIBlueprint:
    """Make the routes that read events."""
    api = APIBlueprint("events", __name__, abp_tags=[Tag(name="events")])

    @api.get("/events", responses={200: EventPage, 304: None})
    def list_events(query: EventQuery) -> flask.Response:
        """List the events that the caller belongs to; for a service, all events."""
        caller: Caller = flask.g.caller
        list_of = cursor.fingerprint("events", caller.name)
        position = cursor.read(_EventPosition, query.cursor, list_of)
        after = None if position is None else AfterEvent(position.created_at, position.id)
        with resources.transaction(caller) as connection:
            rows = events_store.events(connection, caller.user_id, after, query.limit + 1)
        page = rows[: query.limit]
        more = cursor.next_page(
            rows, page, lambda last: _EventPosition(list_of=list_of, id=last["id"], created_at=last["created_at"])
        )
        return unless_known({"items": [_event(row) for row in page], "next_cursor": more})

    @api.get("/event/<uuid:event_id>", responses={200: EventState, 304: None})
    def get_event(path: InEvent) -> flask.Response:
        """How an event stands: its name, its consent, whether it is archived, and for organisers how much there is."""
        caller: Caller = flask.g.caller
        with resources.transaction(caller) as connection:
            entered = access.to_event(connection, caller, path.event_id, "member")
            row = events_store.event(connection, path.event_id)
            counts = events_store.counts(connection, path.event_id) if entered.organises else None
        return unless_known(_state(row, entered, counts))

    @api.get("/event/<uuid:event_id>/members", responses={200: MemberList})
    def find_members(path: InEvent, query: MemberQuery) -> flask.Response:
        """Members whose name or address begins so, for an organiser to choose from."""
        caller: Caller = flask.g.caller
        with resources.transaction(caller) as connection:
            access.to_event(connection, caller, path.event_id)
            rows = events_store.members(connection, path.event_id, query.q.strip(), _MOST_MEMBERS)
        return flask.jsonify({"items": [_member(row) for row in rows]})

    return api


def _event(row: Mapping[str, Any]) -> dict[str, Any]:
    counts = None
    if row["organises"]:
        counts = EventCounts(photos=row["photos"], persons=row["persons"], identified=row["identified"])
    return ShownEvent(
        id=row["id"],
        name=row["name"],
        role=_ROLES[row["membership"]],
        language=row["language"],
        face_recognition_enabled=row["face_recognition_enabled"],
        archived=row["archived_at"] is not None,
        created_at=row["created_at"],
        counts=counts,
    ).model_dump(mode="json")


def _state(row: Mapping[str, Any], entered: Access, counts: Mapping[str, Any] | None) -> dict[str, Any]:
    return EventState(
        id=row["id"],
        name=row["name"],
        role=entered.role,
        language=row["language"],
        created_at=row["created_at"],
        consent=EventConsent(
            enabled=row["face_recognition_enabled"],
            text_version=row["consent_text_version"],
            consented_at=row["consented_at"],
        ),
        archived_at=row["archived_at"],
        counts=AllCounts(**counts) if counts else None,
    ).model_dump(mode="json")


def _member(row: Mapping[str, Any]) -> dict[str, Any]:
    role: Literal["organiser", "member"] = "member" if row["role"] == "member" else "organiser"
    return ShownMember(
        id=row["id"],
        display_name=row["display_name"],
        email=row["email"],
        role=role,
        person_ids=row["person_ids"],
    ).model_dump(mode="json")
