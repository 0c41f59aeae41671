"""Telling people, by mail. The words are made when they are told, from ids: a message carries none.

At least once, and rarely twice: who writes a mail is the only one until it is marked as sent. A crash in between sends
the mail again, with the same link and the same Message-ID. No row is locked while the mail server is talked to.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from functions.callback import store, wording
from functions.callback.mail import InlineImage, Letter, Mailer, MailRefused, compose
from functions.callback.settings import MailSettings
from functions.callback.store import FaceShown, Invitation, MailProblem
from functions.callback.wording import InvitationFacts
from shared.contracts import InvitationMade, Notification
from shared.database import Connection, Database, again_on_conflict, savepoint
from shared.errors import Permanent
from shared.invitation_token import hash_token, make_token
from shared.log import log_context, logger
from shared.mailbox import is_mailbox
from shared.storage import ObjectMissing, ObjectStore

_MOST_PREVIEWS = 4
_LARGEST_THUMBNAIL_BYTES = 2**20


@dataclass(frozen=True)
class Post:
    """What mail is sent with, and what takes it."""

    settings: MailSettings
    mailer: Mailer


class Notifier:
    """The use case behind ``notifications``. The host app hears of them by subscribing to the same topic.

    Without ``post`` nobody is written to; the log says what would have been told, by ids.
    """

    def __init__(self, database: Database, objects: ObjectStore, derived_bucket: str, post: Post | None) -> None:
        self._database = database
        self._objects = objects
        self._bucket = derived_bucket
        self._post = post

    def tell(self, message: Notification) -> None:
        """Tell the event's creator that a clustering has finished: once for each run, if they have an address.

        Raises:
            Retryable: the database or the mail server is away.
        """
        with log_context(event_id=message.event_id, job_id=message.job_id):
            with self._database.transaction() as connection:
                outcome = store.run_outcome(connection, message.job_id, message.run, message.event_id)
            if outcome is None:
                logger().info("a notification of something that is gone")
                return
            logger().info("notification", kind=message.kind, text=wording.clustering_finished(*outcome))
            if self._post is not None:
                with self._database.transaction() as connection:
                    self._write_to_creator(connection, self._post, message)

    def invite(self, message: InvitationMade) -> None:
        """Write to the one who is invited, unless that was done or the invitation no longer stands.

        Raises:
            Retryable: the database, the bucket or the mail server is away.
        """
        with log_context(event_id=message.event_id, invitation_id=message.invitation_id):
            with self._database.transaction() as connection:
                made = store.invitation(connection, message.invitation_id, message.event_id)
                faces = store.best_faces(connection, made.face_person_id, _MOST_PREVIEWS) if made else []
            if made is None or not _is_to_send(made):
                return
            previews = self._previews(faces) if self._post is not None else {}
            with self._database.transaction() as connection:
                store.be_its_writer(connection, message.invitation_id)
                now = store.invitation(connection, message.invitation_id, message.event_id)
                if now is not None and _is_to_send(now):
                    problem = self._send_invitation(connection, now, previews)
                    if problem is not None:
                        store.note_mail_problem(connection, now.id, problem)

    def _send_invitation(
        self, connection: Connection, invitation: Invitation, previews: dict[UUID, bytes]
    ) -> MailProblem | None:
        """Hand the mail in; returns why that is of no use, or None."""
        if self._post is None:
            logger().warning("no mail can be sent: SMTP_URL is not set")
            return "not_configured"
        settings = self._post.settings
        token = make_token(settings.invitation_secret, invitation.id)
        if not hmac.compare_digest(hash_token(token), invitation.token_hash):
            logger().error("INVITATION_SECRET is not the one that the invitation was made with: no link would open")
            return "not_configured"
        link = f"{settings.public_url}/invite/{token}"
        images = [InlineImage(f"face-{number}", jpeg) for number, jpeg in enumerate(previews.values(), start=1)]
        reply_to = invitation.inviter_email if is_mailbox(invitation.inviter_email or "") else None
        letter = _invitation_letter(invitation, link, images, can_reply=reply_to is not None)
        try:
            self._hand_in(self._post, letter, invitation.email, f"invitation.{invitation.id}", reply_to=reply_to)
        except MailRefused as error:
            logger().warning("an invitation cannot be delivered", reason=str(error))
            return "refused"
        _note_sent(connection, invitation, list(previews))
        logger().info("an invitation was sent", previews=len(images))
        return None

    def _write_to_creator(self, connection: Connection, post: Post, message: Notification) -> None:
        run = store.lock_run_to_tell(connection, message.job_id, message.run, message.event_id)
        if run is None:
            return
        link = f"{post.settings.public_url}/events/{message.event_id}/analyse"
        letter = wording.clustering_finished_letter(run.language, run.event, run.persons, link)
        try:
            self._hand_in(post, letter, run.email, f"clustering.{run.id}")
        except MailRefused as error:
            logger().warning("the event's creator cannot be written to", reason=str(error))
        store.note_run_told(connection, run.id)

    def _hand_in(self, post: Post, letter: Letter, to: str, message_id: str, *, reply_to: str | None = None) -> None:
        sender, now = post.settings.sender, datetime.now(UTC)
        post.mailer.send(compose(letter, sender=sender, to=to, message_id=message_id, now=now, reply_to=reply_to))

    def _previews(self, faces: Sequence[FaceShown]) -> dict[UUID, bytes]:
        """The thumbnails (JPEG) by face; one that is missing is left out."""
        found = {}
        for face in faces:
            try:
                generation = self._objects.generation(self._bucket, face.thumbnail_object)
                found[face.id] = self._objects.read(
                    self._bucket, face.thumbnail_object, generation, max_bytes=_LARGEST_THUMBNAIL_BYTES
                )
            except (ObjectMissing, Permanent) as error:
                logger().info("a face is left out of an invitation", face_id=str(face.id), reason=type(error).__name__)
        return found


@again_on_conflict
def _note_sent(connection: Connection, invitation: Invitation, face_ids: Sequence[UUID]) -> None:
    """Done again by itself, for the mail is not to be sent again."""
    with savepoint(connection):
        store.note_sent(connection, invitation, face_ids)


def _is_to_send(invitation: Invitation) -> bool:
    if invitation.sent_at is not None:
        logger().info("an invitation that was sent before")
        return False
    if invitation.state != "open":
        logger().info("an invitation that no longer stands", state=invitation.state)
        return False
    return True


def _invitation_letter(invitation: Invitation, link: str, images: Sequence[InlineImage], *, can_reply: bool) -> Letter:
    facts = InvitationFacts(
        language=invitation.language,
        event=invitation.event,
        inviter=invitation.inviter,
        photos=invitation.photos,
        message=invitation.message,
        link=link,
        # The last day that is whole: the expiry may be at any hour.
        last_day=(invitation.expires_at.astimezone(UTC) - timedelta(days=1)).date(),
        can_reply=can_reply,
    )
    return wording.invitation(facts, images)
