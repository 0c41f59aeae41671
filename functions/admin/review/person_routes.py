"""Routes of reads about persons: the grid of an event, one person, and what there is to decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import flask
from flask_openapi3 import APIBlueprint, Tag
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from functions.admin.door import access, cursor
from functions.admin.door.access import Access
from functions.admin.door.answers import unless_known
from functions.admin.door.audit import note_read
from functions.admin.door.auth import Caller
from functions.admin.door.cursor import CursorText, PageSize, Position
from functions.admin.door.paths import InEvent, OfPerson
from functions.admin.door.resources import Resources
from functions.admin.review import faces_store, persons_store
from functions.admin.review.face_routes import ShownFace, shown_face
from functions.admin.review.person_state import PersonState, Status, person_state, state_of_row
from functions.admin.review.persons_store import AfterPerson, AfterSuggestion, Order, PersonFilter

_UNDECIDED_AND_DECIDED: tuple[Status, ...] = ("pending", "linked", "invited", "ignored")
_MOST_FACES = 1_000_000
_MOST_STATUSES = 10
_MOST_ASKED_FACES = 100


class PersonQuery(BaseModel):
    """Which persons, in which order."""

    model_config = ConfigDict(frozen=True)

    status: Annotated[
        list[Status],
        Field(max_length=_MOST_STATUSES, description="may be named several times; without: all but `merged`"),
    ] = []
    q: Annotated[
        str | None, Field(max_length=100, description="beginnings of words of the linked user's name, accents or not")
    ] = None
    min_faces: Annotated[int, Field(ge=0, le=_MOST_FACES)] = 1
    media_id: Annotated[UUID | None, Field(description="only who is on this photo")] = None
    order: Annotated[Order, Field(description="`photos`: who is on most photos first; `name`: who has one first")] = (
        "photos"
    )
    limit: PageSize = 50
    cursor: CursorText | None = None


class ShownPerson(PersonState):
    """A person with the address of their cover's thumbnail."""

    cover_url: str | None


class PersonPage(BaseModel):
    """A page of an event's persons."""

    items: list[ShownPerson]
    next_cursor: str | None


class AlikeQuery(BaseModel):
    """By which faces."""

    model_config = ConfigDict(frozen=True)

    face_id: Annotated[
        list[UUID],
        Field(max_length=_MOST_ASKED_FACES, description="the person's faces to go by; without: the best of all"),
    ] = []


class AlikePersons(BaseModel):
    """The other persons of the event that have faces to compare, the most alike first."""

    person_ids: list[UUID]


class SuggestionQuery(BaseModel):
    """Which page."""

    model_config = ConfigDict(frozen=True)

    limit: PageSize = 50
    cursor: CursorText | None = None


class FaceSuggestion(BaseModel):
    """Is this face that person? ``score`` is a cosine similarity."""

    kind: Literal["face"]
    score: float
    face: ShownFace
    person: ShownPerson


class MergeSuggestion(BaseModel):
    """Are these two one person? ``score`` is a cosine similarity."""

    kind: Literal["merge"]
    score: float
    persons: Annotated[list[ShownPerson], Field(min_length=2, max_length=2)]


class SplitSuggestion(BaseModel):
    """Is this person two people? ``score`` is 1 less the cosine similarity between the halves.

    ``faces`` shows one of each half; ``face_ids`` are those of the second half: "two people" is a split of them, "one
    person" is answered at `/person/{person_id}/one-person`.
    """

    kind: Literal["split"]
    score: float
    person: ShownPerson
    faces: Annotated[list[ShownFace], Field(min_length=2, max_length=2)]
    face_ids: list[UUID]


class SuggestionPage(BaseModel):
    """A page of what there is to decide, the likeliest first."""

    items: list[Annotated[FaceSuggestion | MergeSuggestion | SplitSuggestion, Field(discriminator="kind")]]
    next_cursor: str | None


class _PersonPosition(Position):
    as_of: AwareDatetime
    photos: Annotated[int, Field(ge=0, le=_MOST_FACES)]
    created_at: AwareDatetime
    name: Annotated[str, Field(max_length=500, pattern=r"^[^\x00]*$")]


class _SuggestionPosition(Position):
    score: Annotated[float, Field(ge=-1, le=1)]
    second_id: UUID


def routes(resources: Resources) -> APIBlueprint:
    """Make the routes that read persons."""
    api = APIBlueprint("persons", __name__, abp_tags=[Tag(name="persons")])

    @api.get("/event/<uuid:event_id>/face-persons", responses={200: PersonPage, 304: None})
    def list_persons(path: InEvent, query: PersonQuery) -> flask.Response:
        """List the persons of an event; a member gets the persons that are linked to them.

        Send the ETag of the last answer as `If-None-Match`: 304 when nothing changed.
        """
        caller: Caller = flask.g.caller
        with resources.transaction(caller) as connection:
            entered = access.to_event(connection, caller, path.event_id, "member")
            wanted = _filter(entered, caller, query)
            list_of = cursor.fingerprint("persons", wanted, query.order)
            rows = persons_store.persons(
                connection, wanted, query.order, _after(query.cursor, list_of), query.limit + 1
            )
        page = rows[: query.limit]
        more = cursor.next_page(rows, page, lambda last: _position_of(last, list_of))
        items = [_shown(row, entered) for row in page]
        # The cursor holds when the first page was asked for, which makes it no other page.
        return unless_known({"items": items, "next_cursor": more}, {"items": items, "is_last": more is None})

    @api.get("/person/<uuid:person_id>", responses={200: ShownPerson, 304: None})
    def get_person(path: OfPerson) -> flask.Response:
        """One person; of one that was merged into another, which one that is."""
        caller: Caller = flask.g.caller
        with resources.transaction(caller) as connection:
            entered = access.to_person(connection, caller, path.person_id, "member")
            state = person_state(connection, path.person_id)
        return unless_known(_with_cover(state, entered))

    @api.get("/person/<uuid:person_id>/alike", responses={200: AlikePersons, 304: None})
    def list_alike(path: OfPerson, query: AlikeQuery) -> flask.Response:
        """Whom the person may be, or some of their faces: every other person of the event, the most alike first."""
        caller: Caller = flask.g.caller
        with resources.transaction(caller) as connection:
            entered = access.to_person(connection, caller, path.person_id)
            found = persons_store.alike(connection, path.person_id, query.face_id)
            note_read(connection, caller, entered.event_id, "likeness", path.person_id)
        return unless_known({"person_ids": [str(person_id) for person_id in found]})

    @api.get("/event/<uuid:event_id>/suggestions", responses={200: SuggestionPage})
    def list_suggestions(path: InEvent, query: SuggestionQuery) -> flask.Response:
        """List what clustering did not decide: faces that may belong to a person, and persons that may be one."""
        caller: Caller = flask.g.caller
        list_of = cursor.fingerprint("suggestions", path.event_id)
        position = cursor.read(_SuggestionPosition, query.cursor, list_of)
        after = None if position is None else AfterSuggestion(position.score, position.id, position.second_id)
        with resources.transaction(caller) as connection:
            entered = access.to_event(connection, caller, path.event_id)
            rows = persons_store.suggestions(connection, path.event_id, after, query.limit + 1)
            page = rows[: query.limit]
            of_faces = [row for row in page if row["kind"] == "face"]
            of_persons = [row for row in page if row["kind"] == "merge"]
            faces = faces_store.faces(connection, path.event_id, [row["first_id"] for row in of_faces])
            persons = persons_store.states(
                connection, [row["second_id"] for row in page] + [row["first_id"] for row in of_persons]
            )
            halves = persons_store.halves(connection, [row["first_id"] for row in page if row["kind"] == "split"])
            shown_of_halves = [row["id"] for rows in halves.values() for row in rows if row["rank"] == 1]
            note_read(connection, caller, path.event_id, "face", *faces, *shown_of_halves)
        shown = {id_: _shown(row, entered) for id_, row in persons.items()}
        more = cursor.next_page(
            rows,
            page,
            lambda last: _SuggestionPosition(
                list_of=list_of, id=last["first_id"], second_id=last["second_id"], score=last["score"]
            ),
        )
        items = [
            _split_question(row, halves[row["first_id"]], shown)
            if row["kind"] == "split"
            else _question(row, faces, shown)
            for row in page
        ]
        return flask.jsonify({"items": items, "next_cursor": more})

    return api


def _filter(entered: Access, caller: Caller, query: PersonQuery) -> PersonFilter:
    return PersonFilter(
        event_id=entered.event_id,
        statuses=sorted(set(query.status or _UNDECIDED_AND_DECIDED)),
        min_faces=query.min_faces,
        words=query.q.strip() or None if query.q else None,
        media_id=query.media_id,
        linked_to=None if entered.organises else caller.user_id,
    )


def _after(text: str | None, list_of: str) -> AfterPerson | None:
    position = cursor.read(_PersonPosition, text, list_of)
    if position is None:
        return None
    return AfterPerson(position.as_of, position.id, position.photos, position.created_at, position.name)


def _position_of(last: Mapping[str, Any], list_of: str) -> _PersonPosition:
    as_of: datetime = last["as_of"]
    return _PersonPosition(
        list_of=list_of,
        id=last["id"],
        as_of=as_of,
        photos=last["ranked_photos"],
        created_at=last["created_at"],
        name=last["ranked_name"],
    )


def _shown(row: Mapping[str, Any], entered: Access) -> dict[str, Any]:
    return _with_cover(state_of_row(row), entered)


def _with_cover(state: dict[str, Any], entered: Access) -> dict[str, Any]:
    """Add the cover's URL to the state; only organisers get the invited e-mail address."""
    cover = state["cover_face_id"]
    email = state["invitation_email"] if entered.organises else None
    return {**state, "invitation_email": email, "cover_url": cover and f"/face/{cover}/thumbnail"}


def _question(
    row: Mapping[str, Any], faces: Mapping[UUID, Mapping[str, Any]], persons: Mapping[UUID, dict[str, Any]]
) -> dict[str, Any]:
    asked: dict[str, Any] = {"kind": row["kind"], "score": row["score"]}
    if row["kind"] == "face":
        return {**asked, "face": shown_face(faces[row["first_id"]]), "person": persons[row["second_id"]]}
    return {**asked, "persons": [persons[row["first_id"]], persons[row["second_id"]]]}


def _split_question(
    row: Mapping[str, Any], faces: Sequence[Mapping[str, Any]], persons: Mapping[UUID, dict[str, Any]]
) -> dict[str, Any]:
    return {
        "kind": "split",
        "score": row["score"],
        "person": persons[row["first_id"]],
        "faces": [shown_face(face) for face in faces if face["rank"] == 1],
        "face_ids": [str(face["id"]) for face in faces if face["asked"]],
    }
