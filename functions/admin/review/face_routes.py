"""Routes of reads about faces: a person's, and their thumbnails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from uuid import UUID

import flask
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, ConfigDict, Field

from functions.admin.door import access, cursor
from functions.admin.door.answers import is_known, picture, picture_tag
from functions.admin.door.audit import note_read
from functions.admin.door.auth import Caller
from functions.admin.door.cursor import CursorText, PageSize, Position
from functions.admin.door.paths import InEvent, OfFace, OfPerson
from functions.admin.door.problems import not_found
from functions.admin.door.resources import Resources
from functions.admin.review import faces_store
from functions.admin.review.faces_store import AfterFace
from shared.calibration import Calibration, constants_of
from shared.poor_faces import Poor, why_poor
from shared.storage import ObjectMissing

Reason = Poor | Literal["asked_about", "set_aside", "waiting", "alone"]

_MAX_THUMBNAIL_BYTES = 2**20  # detect writes some 10 kB


class Box(BaseModel):
    """A rectangle on the upright photo; all four are parts of its width and height, in [0, 1]."""

    x: float
    y: float
    w: float
    h: float


class ShownFace(BaseModel):
    """A face, and where to see it. ``quality`` is the detector's confidence, in [0, 1]."""

    id: UUID
    media_id: UUID
    person_id: UUID | None
    bbox: Box
    quality: float
    placed_by_human: bool
    thumbnail_url: str
    photo_url: str


class FaceQuery(BaseModel):
    """Which page."""

    model_config = ConfigDict(frozen=True)

    limit: PageSize = 100
    cursor: CursorText | None = None


class FacePage(BaseModel):
    """A page of a person's faces, the best first."""

    items: list[ShownFace]
    next_cursor: str | None


class FaceOfNobody(ShownFace):
    """A face in no person, and why.

    ``too_small``, ``turned_too_far``, ``too_blurred``, ``unclear``: too poor to found a person; it joins one that is
    there when it is like it. ``asked_about``: a suggestion waits. ``set_aside``: a human said so. ``waiting``: no
    clustering has seen it yet. ``alone``: nobody else's is like it.
    """

    reason: Reason


class FaceOfNobodyPage(BaseModel):
    """A page of an event's faces in no person, the best first."""

    items: list[FaceOfNobody]
    next_cursor: str | None


class _FacePosition(Position):
    quality: Annotated[float, Field(ge=0, le=1)]


def routes(resources: Resources) -> APIBlueprint:
    """Make the routes that read faces."""
    api = APIBlueprint("faces", __name__, abp_tags=[Tag(name="faces")])

    @api.get("/person/<uuid:person_id>/faces", responses={200: FacePage})
    def list_faces(path: OfPerson, query: FaceQuery) -> flask.Response:
        """List the faces of a person; for organisers, and for the user that the person is linked to."""
        caller: Caller = flask.g.caller
        list_of = cursor.fingerprint("faces", path.person_id)
        position = cursor.read(_FacePosition, query.cursor, list_of)
        after = None if position is None else AfterFace(position.quality, position.id)
        with resources.transaction(caller) as connection:
            entered = access.to_person(connection, caller, path.person_id, "member")
            rows = faces_store.faces_of_person(connection, entered.event_id, path.person_id, after, query.limit + 1)
            note_read(connection, caller, entered.event_id, "person", path.person_id)
        page = rows[: query.limit]
        more = cursor.next_page(
            rows, page, lambda last: _FacePosition(list_of=list_of, id=last["id"], quality=last["quality"])
        )
        return flask.jsonify({"items": [shown_face(row) for row in page], "next_cursor": more})

    @api.get("/event/<uuid:event_id>/faces-of-nobody", responses={200: FaceOfNobodyPage})
    def list_faces_of_nobody(path: InEvent, query: FaceQuery) -> flask.Response:
        """List the event's faces that are in no person, and why; for organisers."""
        caller: Caller = flask.g.caller
        list_of = cursor.fingerprint("faces of nobody", path.event_id)
        position = cursor.read(_FacePosition, query.cursor, list_of)
        after = None if position is None else AfterFace(position.quality, position.id)
        with resources.transaction(caller) as connection:
            access.to_event(connection, caller, path.event_id)
            rows = faces_store.faces_of_nobody(connection, path.event_id, after, query.limit + 1)
            page = rows[: query.limit]
            note_read(connection, caller, path.event_id, "face", *(row["id"] for row in page))
        more = cursor.next_page(
            rows, page, lambda last: _FacePosition(list_of=list_of, id=last["id"], quality=last["quality"])
        )
        calibration = resources.settings.face_calibration
        items = [{**shown_face(row), "reason": why_nobody(row, calibration)} for row in page]
        return flask.jsonify({"items": items, "next_cursor": more})

    @api.get("/face/<uuid:face_id>/thumbnail", responses={200: {"content": {"image/jpeg": {}}}, 304: None})
    def get_thumbnail(path: OfFace) -> flask.Response:
        """Get the aligned face as JPEG; 404 as soon as it is purged."""
        caller: Caller = flask.g.caller
        with resources.transaction(caller) as connection:
            entered = access.to_face(connection, caller, path.face_id, "member")
            # The row says whether there is a thumbnail; the object may be there a moment longer.
            face = faces_store.thumbnail(connection, entered.event_id, path.face_id)
            if face is None or face["thumbnail_object"] is None:
                raise _no_thumbnail()
            note_read(connection, caller, entered.event_id, "thumbnail", path.face_id)
        name = face["thumbnail_object"]
        # Another box is another cut, also of the same object by the same embedder.
        tag = picture_tag(name, face["object_generation"], face["embedding_model"], *face["bbox"].values())
        if is_known(tag):
            return picture(None, tag)
        return picture(_read(resources, name), tag)

    return api


def shown_face(row: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a row of `faces_store` to JSON values."""
    return ShownFace(
        id=row["id"],
        media_id=row["media_id"],
        person_id=row["person_id"],
        bbox=Box.model_validate(row["bbox"]),
        quality=row["quality"],
        placed_by_human=row["placed_by_human"],
        thumbnail_url=f"/face/{row['id']}/thumbnail",
        photo_url=f"/media/{row['media_id']}/image",
    ).model_dump(mode="json")


def why_nobody(row: Mapping[str, Any], calibration: Calibration | None) -> Reason:
    """Why a face (a row of `faces_store.faces_of_nobody`) is in no person."""
    if row["placed_by_human"]:
        return "set_aside"
    if row["is_asked_about"]:
        return "asked_about"
    if row["is_new"]:
        return "waiting"
    measures = {name: row[name] for name in ("quality", "sharpness", "yaw", "pitch", "size_px")}
    return why_poor(constants_of(row["embedding_model"], calibration).cluster, **measures) or "alone"


def _read(resources: Resources, name: str) -> bytes:
    """Read the current object.

    Raises:
        Problem: 404, it is not there.
        Retryable: the bucket is away.
    """
    bucket = resources.settings.derived_bucket
    try:
        generation = resources.objects.generation(bucket, name)
        return resources.objects.read(bucket, name, generation, max_bytes=_MAX_THUMBNAIL_BYTES)
    except ObjectMissing:
        raise _no_thumbnail() from None


def _no_thumbnail() -> Exception:
    return not_found("this face has no thumbnail")
