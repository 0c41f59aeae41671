"""Routes of privacy: consent, archive, erasure with its receipts, and the copy of all that is held."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import flask
from flask_openapi3 import APIBlueprint, Tag
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from functions.admin.door import access, cursor
from functions.admin.door.audit import note_read
from functions.admin.door.auth import Caller
from functions.admin.door.cursor import CursorText, PageSize, Position
from functions.admin.door.idempotency import answer_once
from functions.admin.door.paths import InEvent
from functions.admin.door.problems import conflict, not_found, unprocessable
from functions.admin.door.resources import Resources
from functions.admin.invitations.routes import Email
from functions.admin.operations.enqueue import EnqueueRequest, enqueue
from functions.admin.privacy import store as privacy_store
from functions.admin.privacy.store import AfterReceipt
from shared.database import Connection

# As many as one request may ask for (enqueue.py); the answer says whether more are left.
_MOST_PHOTOS = 10_000


class ConsentBody(BaseModel):
    """``text_version``: which version of the consent text was shown; needed to switch on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool
    text_version: Annotated[str, Field(min_length=1, max_length=100)] | None = None

    @model_validator(mode="after")
    def _consent_is_to_a_text(self) -> ConsentBody:
        if self.enabled and self.text_version is None:
            raise ValueError("text_version is needed: consent is given to a text that was shown")
        return self


class Consent(BaseModel):
    """The event's consent. ``photos_asked_for``: how many are looked at (again) because it was given just now."""

    event_id: UUID
    enabled: bool
    text_version: str | None
    consented_at: datetime | None
    archived_at: datetime | None
    photos_asked_for: int = 0
    photos_left: Annotated[
        bool, Field(description="there are more photos than one request asks for: POST /ml/enqueue asks for the rest")
    ] = False


class Erased(BaseModel):
    """How many of each were erased."""

    faces: int = 0
    embeddings: int = 0
    persons: int = 0
    tags: int = 0
    invitations: int = 0
    thumbnails: int = 0
    decisions: int = 0
    suggestions: int = 0
    accounts: Annotated[int, Field(description="that were made for a guest by an invitation")] = 0


class Receipt(BaseModel):
    """Proof that something was erased, without saying whose it was.

    Rows are gone when it is given; ``thumbnails`` says whether their pictures are as well.
    """

    id: UUID
    event_id: UUID
    reason: Literal["purge", "archive", "consent", "retention", "event_deleted", "account_deleted"]
    erased: Erased
    thumbnails: Literal["erased", "being erased"]
    requested_at: datetime
    completed_at: datetime | None


class PurgeReceipt(Receipt):
    """The receipt of a purge. ``account``: for a purge by ``user_id``, whether the event knew an account of that id."""

    account: Annotated[
        Literal["known", "unknown"] | None,
        Field(
            description="unknown: the event knows no account of this id (any more); what a deleted account had is found"
            " only as long as its person is nobody else's. Purge the person, or the address, if more is theirs"
        ),
    ] = None


class ReceiptPage(BaseModel):
    """A page of an event's receipts, the newest first."""

    items: list[Receipt]
    next_cursor: str | None


class ReceiptQuery(BaseModel):
    """Which page."""

    model_config = ConfigDict(frozen=True)

    limit: PageSize = 50
    cursor: CursorText | None = None


class PurgeBody(BaseModel):
    """Whom to forget in an event: a user, a person of it, or who was invited by an address. Exactly one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    event_id: UUID
    user_id: UUID | None = None
    person_id: UUID | None = None
    email: Email | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> PurgeBody:
        if sum(named is not None for named in (self.user_id, self.person_id, self.email)) != 1:
            raise ValueError("name exactly one of user_id, person_id and email")
        return self


class ExportQuery(BaseModel):
    """Whose data (default: the caller's), of one event or (without) of all. Of others: an event is needed."""

    model_config = ConfigDict(frozen=True)

    event_id: UUID | None = None
    user_id: UUID | None = None
    embeddings: Annotated[
        bool, Field(description="with embeddings and landmarks, as numbers; they are given to nobody but the user")
    ] = True


class Export(BaseModel):
    """All that is held on a user. ``reads`` (who looked at their faces) is given to the user alone."""

    exported_at: datetime
    account: dict[str, Any]
    memberships: list[dict[str, Any]]
    persons: list[dict[str, Any]]
    faces: list[dict[str, Any]]
    tags: list[dict[str, Any]]
    suggestions: list[dict[str, Any]]
    invitations: list[dict[str, Any]]
    decisions: list[dict[str, Any]]
    consents: list[dict[str, Any]]
    reads: list[dict[str, Any]] | None = None


class _ReceiptPosition(Position):
    requested_at: AwareDatetime


def routes(resources: Resources) -> APIBlueprint:
    """Make the routes of consent, purge and export."""
    api = APIBlueprint("privacy", __name__, abp_tags=[Tag(name="privacy")])

    @api.put("/event/<uuid:event_id>/consent", responses={200: Consent})
    def set_consent(path: InEvent, body: ConsentBody) -> flask.Response:
        """Switch face recognition on or off for an event. Off erases its biometrics at once."""
        caller: Caller = flask.g.caller
        return answer_once(
            resources,
            caller,
            lambda connection: (200, _consent(connection, caller, path.event_id, body)),
            path.event_id,
        )

    @api.post("/event/<uuid:event_id>/archive", responses={200: Consent})
    def archive(path: InEvent) -> flask.Response:
        """Archive an event: its biometrics are erased, what people said stays."""
        caller: Caller = flask.g.caller

        def work(connection: Connection) -> tuple[int, dict[str, Any]]:
            access.to_event(connection, caller, path.event_id)
            privacy_store.archive(connection, path.event_id)
            return 200, _shown_consent(privacy_store.event_consent(connection, path.event_id))

        return answer_once(resources, caller, work, path.event_id)

    @api.post("/privacy/purge", responses={200: PurgeReceipt})
    def purge(body: PurgeBody) -> flask.Response:
        """Forget somebody in an event: faces, person, tags, invitations, thumbnails, and what names them.

        A user may for themselves, a former member too; organisers for anybody in their event. It cannot be undone,
        and photos that are looked at again do not bring the faces back. Asking twice gives an empty receipt.
        """
        caller: Caller = flask.g.caller
        return answer_once(resources, caller, lambda connection: (200, _purge(connection, caller, body)), body.event_id)

    @api.get("/event/<uuid:event_id>/receipts", responses={200: ReceiptPage})
    def list_receipts(path: InEvent, query: ReceiptQuery) -> flask.Response:
        """List what was erased in an event, and when."""
        caller: Caller = flask.g.caller
        list_of = cursor.fingerprint("receipts", path.event_id)
        position = cursor.read(_ReceiptPosition, query.cursor, list_of)
        after = None if position is None else AfterReceipt(position.requested_at, position.id)
        with resources.transaction(caller) as connection:
            access.to_event(connection, caller, path.event_id)
            rows = privacy_store.receipts(connection, path.event_id, after, query.limit + 1)
        page = rows[: query.limit]
        more = cursor.next_page(
            rows, page, lambda last: _ReceiptPosition(list_of=list_of, id=last["id"], requested_at=last["requested_at"])
        )
        return flask.jsonify({"items": [_shown_receipt(row) for row in page], "next_cursor": more})

    @api.get("/privacy/export", responses={200: Export})
    def export(query: ExportQuery) -> flask.Response:
        """All that is held on a user, as JSON: their own, or of a user of an event that the caller organises."""
        caller: Caller = flask.g.caller
        with resources.transaction(caller) as connection:
            held = _export(connection, caller, query)
        answer = flask.jsonify(Export.model_validate(held).model_dump(mode="json"))
        answer.headers["Content-Disposition"] = 'attachment; filename="trombi-export.json"'
        return answer

    return api


# ---------------------------------------------------------------- consent


def _consent(connection: Connection, caller: Caller, event_id: UUID, body: ConsentBody) -> dict[str, Any]:
    access.to_event(connection, caller, event_id)
    if not body.enabled:
        privacy_store.set_consent(connection, event_id, enabled=False, text_version=None)
        return _shown_consent(privacy_store.event_consent(connection, event_id))
    privacy_store.lock_event(connection, event_id)
    was = privacy_store.event_consent(connection, event_id)
    if was["archived_at"] is not None:
        raise conflict("event_archived", "the event is archived: face recognition is not switched on again")
    privacy_store.set_consent(connection, event_id, enabled=True, text_version=body.text_version)
    asked_for, left = (0, False) if was["enabled"] else _look_at_photos(connection, caller, event_id)
    now = privacy_store.event_consent(connection, event_id)
    return _shown_consent(now, photos_asked_for=asked_for, photos_left=left)


def _look_at_photos(connection: Connection, caller: Caller, event_id: UUID) -> tuple[int, bool]:
    """Ask for the photos that wait for consent; how many, and whether there are more of them."""
    photos = privacy_store.photos_to_look_at(connection, event_id, _MOST_PHOTOS + 1)
    if not photos:
        return 0, False
    request = EnqueueRequest(event_id=event_id, media_ids=photos[:_MOST_PHOTOS], force=True)
    return len(enqueue(connection, caller, request)), len(photos) > _MOST_PHOTOS


def _shown_consent(row: Mapping[str, Any], **told: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of Consent
    return Consent(**row, **told).model_dump(mode="json")


# ---------------------------------------------------------------- purge


def _purge(connection: Connection, caller: Caller, body: PurgeBody) -> dict[str, Any]:
    receipt: Mapping[str, Any] | None
    account: Literal["known", "unknown"] | None = None
    if body.user_id is not None:
        # A user may purge their own data without being a member; the answer does not reveal whether the event exists.
        if caller.is_service or body.user_id != caller.user_id:
            access.to_event(connection, caller, body.event_id)
        is_known = privacy_store.knows_user(
            connection, body.user_id, body.event_id, is_self=body.user_id == caller.user_id
        )
        account = "known" if is_known else "unknown"
        receipt = privacy_store.purge_user(connection, body.user_id, body.event_id)
    elif body.person_id is not None:
        found = access.to_person(connection, caller, body.person_id, at_least="member")
        if found.event_id != body.event_id:
            raise not_found("there is no such person in this event")
        receipt = privacy_store.purge_person(connection, body.person_id)
    else:
        access.to_event(connection, caller, body.event_id)
        receipt = privacy_store.purge_address(connection, body.email or "", body.event_id)
    if receipt is None:
        raise not_found("there is no such person, or it is not for you to see")
    return {**_shown_receipt(receipt), "account": account}


def _shown_receipt(row: Mapping[str, Any]) -> dict[str, Any]:
    done = row["completed_at"] is not None
    return Receipt(**row, thumbnails="erased" if done else "being erased").model_dump(mode="json")


# ---------------------------------------------------------------- export


def _export(connection: Connection, caller: Caller, query: ExportQuery) -> dict[str, Any]:
    user_id = query.user_id or caller.user_id
    if user_id is None:
        raise unprocessable("invalid", "user_id: say whose data")
    is_own = user_id == caller.user_id
    if not is_own and not caller.is_service and query.event_id is None:
        raise unprocessable("invalid", "event_id: of somebody else only what an event of yours holds")
    if query.event_id is not None and not is_own:
        access.to_event(connection, caller, query.event_id)
    held = privacy_store.export(connection, user_id, query.event_id, embeddings=query.embeddings)
    if held is None:
        raise not_found("nothing is held on such a user, or it is not for you to see")
    for event_id in sorted({UUID(face["event_id"]) for face in held["faces"]}):
        note_read(connection, caller, event_id, "export", user_id)
    return held
