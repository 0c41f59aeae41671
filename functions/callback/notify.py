"""Send notifications by mail. Messages carry ids only; a mail's text is made from them when it is sent.

Each mail is sent at least once, and rarely twice: only one transaction at a time sends a mail, until the mail is marked
as sent. After a crash in between, it is sent again with the same link and the same Message-ID. No invitation's row is
locked during the conversation with the mail server.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from functions.callback import store, wording
from functions.callback.mail import InlineImage, MailContent, Mailer, MailRefused, compose
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
class MailService:
    """The settings of mail, and the adapter that sends it."""

    settings: MailSettings
    mailer: Mailer


class Notifier:
    """The use case behind ``notifications``. The host app can subscribe to the same topic.

    Without ``mail`` no mail is sent; the log says, by ids, which notifications arrived.
    """

    def __init__(self, database: Database, objects: ObjectStore, derived_bucket: str, mail: MailService | None) -> None:
        self._database = database
        self._objects = objects
        self._bucket = derived_bucket
        self._mail = mail

    def tell(self, message: Notification) -> None:
        """Write to the event's creator, if they have an address, that a clustering has finished: once for each run.

        Raises:
            Retryable: the database or the mail server is unavailable.
        """
        with log_context(event_id=message.event_id, job_id=message.job_id):
            with self._database.transaction() as connection:
                outcome = store.run_outcome(connection, message.job_id, message.run, message.event_id)
            if outcome is None:
                logger().info("a notification of a deleted event or run")
                return
            logger().info("notification", kind=message.kind, text=wording.clustering_finished(*outcome))
            if self._mail is not None:
                with self._database.transaction() as connection:
                    self._write_to_creator(connection, self._mail, message)

    def invite(self, message: InvitationMade) -> None:
        """Write to the invited person, unless the mail was sent before or the invitation is no longer open.

        Raises:
            Retryable: the database, the bucket or the mail server is unavailable.
        """
        with log_context(event_id=message.event_id, invitation_id=message.invitation_id):
            with self._database.transaction() as connection:
                made = store.invitation(connection, message.invitation_id, message.event_id)
                faces = store.best_faces(connection, made.face_person_id, _MOST_PREVIEWS) if made else []
            if made is None or not _is_to_send(made):
                return
            previews = self._previews(faces) if self._mail is not None else {}
            with self._database.transaction() as connection:
                store.lock_invitation_mail(connection, message.invitation_id)
                now = store.invitation(connection, message.invitation_id, message.event_id)
                if now is not None and _is_to_send(now):
                    problem = self._send_invitation(connection, now, previews)
                    if problem is not None:
                        store.note_mail_problem(connection, now.id, problem)

    def _send_invitation(
        self, connection: Connection, invitation: Invitation, previews: dict[UUID, bytes]
    ) -> MailProblem | None:
        """Send the mail; return why it cannot be delivered, or None."""
        if self._mail is None:
            logger().warning("an invitation was not sent: SMTP_URL is not set")
            return "not_configured"
        settings = self._mail.settings
        token = make_token(settings.invitation_secret, invitation.id)
        if not hmac.compare_digest(hash_token(token), invitation.token_hash):
            logger().error(
                "INVITATION_SECRET is not the one with which the invitation was made: its link would not work"
            )
            return "not_configured"
        link = f"{settings.public_url}/invite/{token}"
        images = [InlineImage(f"face-{number}", jpeg) for number, jpeg in enumerate(previews.values(), start=1)]
        reply_to = invitation.inviter_email if is_mailbox(invitation.inviter_email or "") else None
        content = _invitation_mail(invitation, link, images, can_reply=reply_to is not None)
        try:
            self._send(self._mail, content, invitation.email, f"invitation.{invitation.id}", reply_to=reply_to)
        except MailRefused as error:
            logger().warning("an invitation cannot be delivered", reason=str(error))
            return "refused"
        _note_sent(connection, invitation, list(previews))
        logger().info("an invitation was sent", previews=len(images))
        return None

    def _write_to_creator(self, connection: Connection, mail: MailService, message: Notification) -> None:
        run = store.lock_run_to_tell(connection, message.job_id, message.run, message.event_id)
        if run is None:
            return
        link = f"{mail.settings.public_url}/events/{message.event_id}/analyse"
        content = wording.clustering_finished_mail(run.language, run.event, run.persons, link)
        try:
            self._send(mail, content, run.email, f"clustering.{run.id}")
        except MailRefused as error:
            logger().warning("the event's creator cannot be written to", reason=str(error))
        store.note_run_told(connection, run.id)

    def _send(
        self, mail: MailService, content: MailContent, to: str, message_id: str, *, reply_to: str | None = None
    ) -> None:
        sender, now = mail.settings.sender, datetime.now(UTC)
        mail.mailer.send(compose(content, sender=sender, to=to, message_id=message_id, now=now, reply_to=reply_to))

    def _previews(self, faces: Sequence[FaceShown]) -> dict[UUID, bytes]:
        """Read the thumbnails (JPEG) by face; leave out those that are missing or too large."""
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
    """Mark the invitation as sent; after a conflict only this part is repeated, so that the mail is not sent twice."""
    with savepoint(connection):
        store.note_sent(connection, invitation, face_ids)


def _is_to_send(invitation: Invitation) -> bool:
    if invitation.sent_at is not None:
        logger().info("the invitation was sent before")
        return False
    if invitation.state != "open":
        logger().info("the invitation is no longer open", state=invitation.state)
        return False
    return True


def _invitation_mail(
    invitation: Invitation, link: str, images: Sequence[InlineImage], *, can_reply: bool
) -> MailContent:
    facts = InvitationFacts(
        language=invitation.language,
        event=invitation.event,
        inviter=invitation.inviter,
        photos=invitation.photos,
        message=invitation.message,
        link=link,
        # The last whole day: the invitation may expire at any hour.
        last_day=(invitation.expires_at.astimezone(UTC) - timedelta(days=1)).date(),
        can_reply=can_reply,
    )
    return wording.invitation(facts, images)
