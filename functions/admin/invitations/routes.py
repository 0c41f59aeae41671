"""Routes of invitations: an organiser asks by mail who a person is; the guest answers through a link.

The link holds a token of 256 bits, which nobody can guess: these routes need no limit on how often they are asked.
Opening it changes nothing, since mail scanners open links too; only an answer does, once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

import flask
from flask_openapi3 import APIBlueprint, Tag
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from functions.admin.door import access
from functions.admin.door.audit import note_read
from functions.admin.door.auth import Caller
from functions.admin.door.idempotency import answer_once
from functions.admin.door.paths import OfPerson
from functions.admin.door.problems import MEDIA_TYPE, Problem, conflict, not_found
from functions.admin.door.resources import Resources
from functions.admin.invitations import store
from functions.admin.page.routes import document, prefers_page
from functions.admin.review import decisions
from functions.admin.review.decision_routes import DecidedAnswer, OnPerson
from functions.admin.review.decisions import Invitation
from shared import outbox
from shared.contracts import InvitationMade
from shared.database import Connection
from shared.invitation_token import hash_token, make_token
from shared.languages import KnownLanguage, spoken
from shared.log import logger
from shared.mailbox import address_of
from shared.storage import ObjectMissing

_MOST_FACES = 60
_LARGEST_THUMBNAIL_BYTES = 2**20

_GONE = {
    "description": "Answered (`answer` says how), expired or withdrawn",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}},
}

Language = Annotated[str, KnownLanguage]

Email = Annotated[str, Field(max_length=254, json_schema_extra={"format": "email"}), AfterValidator(address_of)]
"""An address, in its normal form from here on."""


class InviteGuest(OnPerson):
    """Whom to invite, in which language (default: the event's), with which message of the organiser.

    ``again``: although this address answered "not me".
    """

    email: Email
    message: Annotated[str | None, Field(max_length=500)] = None
    language: Language | None = None
    again: bool = False


class MadeInvitation(BaseModel):
    """``mail``: whether a mail is on its way; where mail is not configured, ``link`` is for you to pass on."""

    id: UUID
    expires_at: datetime
    mail: Literal["queued", "not configured"]
    link: str | None = None


class InvitedAnswer(DecidedAnswer):
    """The person, invited, and the invitation."""

    invitation: MadeInvitation


class InvitationStatus(BaseModel):
    """The person's newest invitation.

    ``mail``: ``refused`` by the server of the address, for good; ``given up`` after many attempts.
    """

    id: UUID
    email: str
    language: str
    state: Literal["open", "accepted", "declined", "withdrawn", "expired"]
    mail: Literal["queued", "sent", "refused", "given up", "not configured"]
    created_at: datetime
    expires_at: datetime
    sent_at: datetime | None
    answered_at: datetime | None


class WithToken(BaseModel):
    """What the mail's link ends with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    token: str


class FaceWithToken(WithToken):
    """A face of the invitation's person."""

    face_id: UUID


class OpenFace(BaseModel):
    """A face, and where to see it."""

    id: UUID
    thumbnail_url: str


class OpenInvitation(BaseModel):
    """What a guest is shown: the event, how many photos, the faces. Nobody's name or address."""

    event: str
    language: str
    photos: int
    faces: list[OpenFace]
    expires_at: datetime


class GivenAnswer(BaseModel):
    """``accept``: it is me. ``decline``: it is not."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    answer: Literal["accept", "decline"]


class Answered(BaseModel):
    """What was understood."""

    answer: Literal["accepted", "declined"]
    event: str
    photos: int


@dataclass(frozen=True)
class _Guest(Caller):
    """A guest who holds a token: may see and answer the invitation; the audit records the invitation's id."""

    invitation_id: UUID

    @property
    def name(self) -> str:
        return f"invitation {self.invitation_id}"


def routes(resources: Resources) -> APIBlueprint:
    """Make the routes of invitations, and of the page that the link opens."""
    api = APIBlueprint("invitations", __name__, abp_tags=[Tag(name="invitations")])
    _organiser_routes(api, resources)
    _guest_routes(api, resources)

    return api


# ---------------------------------------------------------------- organisers


def _organiser_routes(api: APIBlueprint, resources: Resources) -> None:
    settings = resources.settings

    @api.post("/person/<uuid:person_id>/invite", responses={200: InvitedAnswer})
    def invite(path: OfPerson, body: InviteGuest) -> flask.Response:
        """Invite somebody by mail to say whether the person is them. A new invitation voids the old link."""
        caller: Caller = flask.g.caller
        secret = settings.invitation_secret
        if secret is None:
            raise Problem(503, "not_configured", "nobody can be invited here: INVITATION_SECRET is not set")

        def work(connection: Connection) -> tuple[int, dict[str, Any]]:
            event_id = access.to_person(connection, caller, path.person_id).event_id
            return 200, _invite(connection, caller, path.person_id, event_id, body, secret, settings.invitation_days)

        response = answer_once(resources, caller, work)
        said = response.get_json()
        # Added to what was kept, never kept itself: whoever reads the database learns no link that works.
        if settings.mail_from is None:
            said["invitation"] |= {"mail": "not configured", "link": _link(resources, secret, said["invitation"]["id"])}
            logger().warning("no mail can be sent: MAIL_FROM is not set", invitation_id=said["invitation"]["id"])
        return flask.jsonify(said)

    @api.get("/person/<uuid:person_id>/invitation", responses={200: InvitationStatus})
    def invitation_of_person(path: OfPerson) -> dict[str, Any]:
        """Get the state of the person's newest invitation and of its mail."""
        with resources.transaction(flask.g.caller) as connection:
            access.to_person(connection, flask.g.caller, path.person_id)
            row = store.latest(connection, path.person_id)
        if row is None:
            raise not_found("nobody has been invited for this person")
        problem = row.pop("mail_problem")
        waits = problem.replace("_", " ") if problem else "queued"
        mail = "sent" if row["sent_at"] is not None else waits
        return InvitationStatus(**row, mail=mail).model_dump(mode="json")


def _invite(
    connection: Connection,
    caller: Caller,
    person_id: UUID,
    event_id: UUID,
    body: InviteGuest,
    secret: str,
    days: int,
) -> dict[str, Any]:
    event = store.event(connection, event_id)
    if event is None or not event["consents"]:
        raise conflict("no_consent", "face recognition is not switched on for this event, or it is archived")
    invitation_id = uuid4()
    invitation = Invitation(
        id=invitation_id,
        token_hash=hash_token(make_token(secret, invitation_id)),
        email=body.email,
        # The end of a day, so that the mail can name the day.
        expires_at=(datetime.now(UTC) + timedelta(days=days + 1)).replace(hour=0, minute=0, second=0, microsecond=0),
        language=body.language or spoken(event["language"]),
        message=(body.message or "").strip() or None,
    )
    decided = decisions.invite(
        connection, caller.user_id, person_id, invitation, version=body.version, again=body.again
    )
    outbox.add_message(connection, InvitationMade(event_id=event_id, invitation_id=invitation_id))
    made = MadeInvitation(id=invitation_id, expires_at=invitation.expires_at, mail="queued")
    return {**decisions.answer(connection, decided), "invitation": made.model_dump(mode="json", exclude_none=True)}


def _link(resources: Resources, secret: str, invitation_id: str) -> str:
    base = (resources.settings.public_url or flask.request.host_url).rstrip("/")
    return f"{base}/invite/{make_token(secret, UUID(invitation_id))}"


# ---------------------------------------------------------------- guests


def _guest_routes(api: APIBlueprint, resources: Resources) -> None:
    @api.get("/invite/<token>", responses={200: OpenInvitation, 410: _GONE})
    def open_invitation(path: WithToken) -> flask.Response:
        """Show an invitation: as JSON, or as a page where HTML is preferred. Changes nothing."""
        wants_page = prefers_page(flask.request)
        try:
            with resources.database.transaction() as connection:
                invitation = _found(connection, path.token)
                if wants_page:
                    return _page(200)
                faces = store.faces(connection, invitation["person_id"], _MOST_FACES)
                note_read(connection, None, invitation["event_id"], "person", invitation["person_id"])
        except Problem as problem:
            if wants_page:
                return _page(problem.status)
            raise
        shown = OpenInvitation(
            **{name: invitation[name] for name in ("event", "photos", "expires_at")},
            language=spoken(invitation["language"]),
            faces=[OpenFace(id=face, thumbnail_url=f"/invite/{path.token}/face/{face}") for face in faces],
        )
        return _private(flask.jsonify(shown.model_dump(mode="json")))

    @api.get("/invite/<token>/face/<uuid:face_id>", responses={200: {"content": {"image/jpeg": {}}}, 410: _GONE})
    def face_of_invitation(path: FaceWithToken) -> flask.Response:
        """One of the invitation's faces, as JPEG."""
        with resources.database.transaction() as connection:
            invitation = _found(connection, path.token)
            name = store.thumbnail_object(connection, path.face_id, invitation["person_id"])
            if name is None:
                raise not_found("this invitation shows no such face")
            note_read(connection, None, invitation["event_id"], "thumbnail", path.face_id)
        return _private(flask.Response(_thumbnail(resources, name), mimetype="image/jpeg"))

    @api.post("/invite/<token>", responses={200: Answered, 410: _GONE})
    def answer_invitation(path: WithToken, body: GivenAnswer) -> flask.Response:
        """Answer, once.

        "It's me" links the person to the account of the bearer token; without one, to the account of the invited
        address, which the mail has proved. It also makes the guest a member of the event.
        """
        with resources.database.transaction() as connection:
            invitation_id = _known(connection, path.token)["id"]
        signed_in: Caller | None = flask.g.caller

        def work(connection: Connection) -> tuple[int, dict[str, Any]]:
            invitation = _found(connection, path.token)
            flask.g.event_id = invitation["event_id"]
            if body.answer == "accept":
                decisions.accept(connection, invitation["id"], _user(connection, signed_in, invitation))
            else:
                decisions.decline(connection, invitation["id"])
            answer: Literal["accepted", "declined"] = "accepted" if body.answer == "accept" else "declined"
            said = Answered(answer=answer, event=invitation["event"], photos=invitation["photos"])
            return 200, said.model_dump(mode="json")

        guest = _Guest(user_id=None, is_service=True, invitation_id=invitation_id)
        return _private(answer_once(resources, guest, work))


def _known(connection: Connection, token: str) -> store.Row:
    """Find the invitation of a token, or answer 404, whether the token is malformed or unknown."""
    row = store.by_token(connection, hash_token(token))
    if row is None:
        raise not_found("this link opens no invitation: see that it is complete, or ask for a new one")
    return row


def _found(connection: Connection, token: str) -> store.Row:
    """Find the open invitation of a token.

    Raises:
        Problem: 404 there is none; 410 it was answered (``answer`` says how), has expired or was withdrawn.
    """
    row = _known(connection, token)
    match row["state"]:
        case "open":
            return row
        case "accepted" | "declined":
            raise Problem(410, "answered", "this invitation was answered already", {"answer": row["answer"]})
        case "expired":
            raise Problem(410, "expired", "this invitation has expired: ask for a new one")
        case _:
            raise Problem(410, "withdrawn", "this invitation was withdrawn")


def _user(connection: Connection, signed_in: Caller | None, invitation: store.Row) -> UUID:
    """Who says "it's me".

    A link that was never mailed (no mail is configured, and the organiser passed it on) proves no address: whoever
    has it could sign for anybody. Then only a bearer token counts.
    """
    if signed_in is not None and signed_in.user_id is not None:
        user_id = signed_in.user_id
        if not store.user_exists(connection, user_id):
            if not store.users_are_ours(connection):
                raise _sign_in("this account is not known here")
            store.make_user(connection, user_id=user_id)
        return user_id
    if invitation["sent_at"] is None:
        raise _sign_in("sign in first, then open the link again")
    users = store.users_with_address(connection, invitation["email"])
    if len(users) == 1:
        return users[0]
    if not users and store.users_are_ours(connection):
        made = store.make_user(connection, email=invitation["email"])
        if made is not None:
            return made
    raise _sign_in("sign in first, then open the link again")


def _sign_in(detail: str) -> Problem:
    return Problem(401, "sign_in", detail, headers={"WWW-Authenticate": "Bearer"})


# ---------------------------------------------------------------- files


def _page(status: int) -> flask.Response:
    return _private(document("invite.html", status))


def _private(response: flask.Response) -> flask.Response:
    """Kept by nobody on the way, nor by the browser."""
    response.headers["Cache-Control"] = "private, no-store"
    response.vary.add("Accept")
    return response


def _thumbnail(resources: Resources, name: str) -> bytes:
    bucket = resources.settings.derived_bucket
    try:
        generation = resources.objects.generation(bucket, name)
        return resources.objects.read(bucket, name, generation, max_bytes=_LARGEST_THUMBNAIL_BYTES)
    except ObjectMissing:
        raise not_found("this face has no picture") from None
