"""People are written to: real SMTP, once, and never about what no longer stands."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg.types.json import Jsonb

from functions.callback.notify import Notifier
from shared.contracts import InvitationMade, Notification, encode
from shared.errors import Retryable
from shared.invitation_token import hash_token, make_token
from shared.log import configure_logging
from shared.push import Delivery
from tests.arrange import DERIVED_BUCKET, cluster_job, detect_job, event, face, member, person, photo, rows, user
from tests.integration.callback.conftest import INVITATION_SECRET, Callback
from tests.mail_server import MailServer, mail_server
from tests.unit.shared.quiet import plain_logging_afterwards

GUEST = "guest@example.net"


@pytest.fixture
def server() -> Iterator[MailServer]:
    """A mail server on this machine."""
    with mail_server() as started:
        yield started


@dataclass
class Invited:
    """A person with five faces on three photos, and an invitation for them."""

    callback: Callback
    event_id: UUID
    person_id: UUID
    invitation_id: UUID

    @property
    def message(self) -> InvitationMade:
        return InvitationMade(event_id=self.event_id, invitation_id=self.invitation_id)

    def row(self) -> dict[str, Any]:
        found = self.callback.connection.execute("SELECT * FROM invitations WHERE id = %s", (self.invitation_id,))
        row = found.fetchone()
        assert row is not None
        return row

    def execute(self, statement: str) -> None:
        self.callback.connection.execute(statement, {"person": self.person_id, "event": self.event_id})


def invitation(callback: Callback, event_id: UUID, person_id: UUID, inviter: UUID, email: str = GUEST) -> UUID:
    invitation_id = uuid4()
    callback.connection.execute(
        """
        INSERT INTO invitations (id, event_id, face_person_id, token_hash, email, invited_by, expires_at, message)
        VALUES (%s, %s, %s, %s, %s, %s, clock_timestamp() + interval '30 days', 'À bientôt')
        """,
        (
            invitation_id,
            event_id,
            person_id,
            hash_token(make_token(INVITATION_SECRET, invitation_id)),
            email,
            inviter,
        ),
    )
    return invitation_id


@pytest.fixture
def invited(callback: Callback) -> Invited:
    event_id = event(callback.connection)
    callback.connection.execute("UPDATE events SET name = 'Fête' WHERE id = %s", (event_id,))
    inviter = member(callback.connection, event_id, "organizer")
    callback.connection.execute(
        "UPDATE users SET display_name = 'Zoé', email = 'zoe@example.com' WHERE id = %s", (inviter,)
    )
    person_id = person(callback.connection, event_id)
    callback.connection.execute(
        "UPDATE face_persons SET status = 'invited', invitation_email = %s WHERE id = %s", (GUEST, person_id)
    )
    photos = [photo(callback.connection, event_id) for _ in range(3)]
    for number in range(5):
        face_id = face(
            callback.connection, event_id, photos[number % 3], person_id=person_id, quality=0.5 + number / 10
        )
        name = f"events/{event_id}/{number}.jpg"
        callback.objects.put(DERIVED_BUCKET, name, b"\xff\xd8" + str(number).encode())
        callback.connection.execute("UPDATE faces SET thumbnail_object = %s WHERE id = %s", (name, face_id))
    return Invited(callback, event_id, person_id, invitation(callback, event_id, person_id, inviter))


def images(mail: EmailMessage) -> list[bytes]:
    return [
        part.get_payload(decode=True)  # type: ignore[misc]  # decoded: bytes
        for part in mail.walk()
        if part.get_content_type() == "image/jpeg"
    ]


def text(mail: EmailMessage) -> str:
    plain = mail.get_body(("plain",))
    assert plain is not None
    content: str = plain.get_content()
    return content


# ---------------------------------------------------------------- invitations


def test_an_invitation_is_sent_with_its_link_and_the_four_best_faces(invited: Invited, server: MailServer) -> None:
    invited.callback.notifier(server.url).invite(invited.message)
    (mail,) = server.mails
    token = make_token(INVITATION_SECRET, invited.invitation_id)
    assert f"https://photos.example.org/invite/{token}" in text(mail).splitlines()
    assert hash_token(token) == bytes(invited.row()["token_hash"])
    assert "Zoé trie les photos" in text(mail)
    assert "3\xa0photos" in text(mail)
    assert "> À bientôt" in text(mail)
    assert images(mail) == [b"\xff\xd84", b"\xff\xd83", b"\xff\xd82", b"\xff\xd81"]
    assert (mail["To"], mail["Reply-To"]) == (GUEST, "zoe@example.com")
    assert mail["Message-ID"] == f"<invitation.{invited.invitation_id}@example.org>"
    assert server.recipients == [[GUEST]]
    assert invited.row()["sent_at"] is not None
    reads = rows(invited.callback.connection, "biometric_reads")
    assert {(row["actor"], row["what"], row["reads"]) for row in reads} == {("invitation", "thumbnail", 1)}
    assert len(reads) == 4


def test_an_invitation_that_is_delivered_three_times_is_sent_once(invited: Invited, server: MailServer) -> None:
    for _ in range(3):
        invited.callback.notifier(server.url).invite(invited.message)
    assert len(server.mails) == 1


def test_an_invitation_that_is_delivered_twice_at_once_is_sent_once(invited: Invited, server: MailServer) -> None:
    together = threading.Barrier(4)

    def deliver(_: int) -> None:
        together.wait()
        invited.callback.notifier(server.url).invite(invited.message)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(deliver, range(4)))
    assert len(server.mails) == 1


def test_a_crash_between_sending_and_noting_sends_the_same_link_under_the_same_id(
    invited: Invited, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("functions.callback.store.note_sent", crash)
        with pytest.raises(KeyboardInterrupt):
            invited.callback.notifier(server.url).invite(invited.message)
    assert invited.row()["sent_at"] is None
    invited.callback.notifier(server.url).invite(invited.message)
    first, second = server.mails
    assert text(first) == text(second)
    assert first["Message-ID"] == second["Message-ID"]


WITHDRAWN = {
    "unlinked": "UPDATE face_persons SET status = 'pending', invitation_email = NULL WHERE id = %(person)s",
    "ignored": "UPDATE face_persons SET status = 'ignored', invitation_email = NULL WHERE id = %(person)s",
    "somebody else was invited": "UPDATE face_persons SET invitation_email = 'other@example.net' WHERE id = %(person)s",
    "expired": "UPDATE invitations SET created_at = now() - interval '2 days', expires_at = now() - interval '1 day'",
    "accepted": "UPDATE invitations SET answer = 'accepted', answered_at = now()",
    "declined": "UPDATE invitations SET answer = 'declined', answered_at = now()",
    "undone": "DELETE FROM invitations",
    "the person is gone": "DELETE FROM face_persons WHERE id = %(person)s",
    "archived": "UPDATE events SET archived_at = now() WHERE id = %(event)s",
    "consent withdrawn": "UPDATE events SET face_recognition_enabled = false WHERE id = %(event)s",
    "the event is gone": "DELETE FROM events WHERE id = %(event)s",
    "asked anew": """
        INSERT INTO invitations (event_id, face_person_id, token_hash, email, expires_at)
        SELECT event_id, face_person_id, sha256('x'), upper(email), expires_at FROM invitations
    """,
}


@pytest.mark.parametrize("how", WITHDRAWN)
def test_an_invitation_that_no_longer_stands_is_not_sent(invited: Invited, server: MailServer, how: str) -> None:
    invited.execute(WITHDRAWN[how])
    invited.callback.notifier(server.url).invite(invited.message)
    assert server.mails == []


@pytest.mark.parametrize("how", WITHDRAWN)
def test_an_invitation_that_is_withdrawn_while_its_faces_are_read_is_not_sent(
    invited: Invited, server: MailServer, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = invited.callback.objects.read

    def withdraw(*arguments: Any, **named: Any) -> bytes:
        content = read(*arguments, **named)
        invited.execute(WITHDRAWN[how])
        return content

    # One face, so that it is withdrawn once.
    invited.execute("DELETE FROM faces WHERE quality_score < 0.85")
    monkeypatch.setattr(invited.callback.objects, "read", withdraw)
    invited.callback.notifier(server.url).invite(invited.message)
    assert server.mails == []


def test_a_message_that_names_another_event_is_not_followed(invited: Invited, server: MailServer) -> None:
    other = InvitationMade(event_id=event(invited.callback.connection), invitation_id=invited.invitation_id)
    invited.callback.notifier(server.url).invite(other)
    assert server.mails == []


def test_a_missing_thumbnail_is_left_out(invited: Invited, server: MailServer) -> None:
    invited.callback.objects.delete_prefix(DERIVED_BUCKET, f"events/{invited.event_id}/3.jpg")
    invited.callback.objects.put(DERIVED_BUCKET, f"events/{invited.event_id}/2.jpg", b"x" * 2**21)
    invited.callback.notifier(server.url).invite(invited.message)
    assert images(server.mails[0]) == [b"\xff\xd84", b"\xff\xd81"]
    assert len(rows(invited.callback.connection, "biometric_reads")) == 2


def test_the_bucket_away_is_tried_again(invited: Invited, server: MailServer) -> None:
    invited.callback.objects.away = True
    with pytest.raises(Retryable):
        invited.callback.notifier(server.url).invite(invited.message)
    assert server.mails == []


def test_a_server_that_is_busy_is_tried_again(invited: Invited, server: MailServer) -> None:
    server.to_recipient = "451 later"
    with pytest.raises(Retryable):
        invited.callback.notifier(server.url).invite(invited.message)
    assert (invited.row()["sent_at"], invited.row()["mail_problem"]) == (None, None)
    server.to_recipient = None
    invited.callback.notifier(server.url).invite(invited.message)
    assert len(server.mails) == 1


def test_an_address_that_is_refused_is_noted_for_the_organiser_and_not_tried_again(
    invited: Invited, server: MailServer
) -> None:
    server.to_recipient = "550 nobody here"
    invited.callback.notifier(server.url).invite(invited.message)
    assert (invited.row()["sent_at"], invited.row()["mail_problem"]) == (None, "refused")


def test_without_a_server_that_is_noted(invited: Invited) -> None:
    invited.callback.notifier().invite(invited.message)
    assert (invited.row()["sent_at"], invited.row()["mail_problem"]) == (None, "not_configured")
    assert invited.callback.objects.reads == []


def test_a_link_that_would_open_nothing_is_not_sent(invited: Invited, server: MailServer) -> None:
    invited.execute("UPDATE invitations SET token_hash = sha256('made with another secret')")
    invited.callback.notifier(server.url).invite(invited.message)
    assert server.mails == []
    assert invited.row()["mail_problem"] == "not_configured"


def test_an_inviter_without_an_address_is_not_replied_to(invited: Invited, server: MailServer) -> None:
    invited.execute("UPDATE users SET email = 'no address'")
    invited.callback.notifier(server.url).invite(invited.message)
    assert server.mails[0]["Reply-To"] is None
    assert "adressez-vous" in text(server.mails[0])


def test_mail_that_the_bus_gave_up_on_is_noted_for_the_organiser(invited: Invited) -> None:
    delivery = Delivery("1", encode(invited.message.data()), invited.message.attributes())
    invited.callback.letters().received("notifications", delivery)
    assert invited.row()["mail_problem"] == "given_up"
    (letter,) = rows(invited.callback.connection, "dead_letters")
    assert "no attempt recorded an error" in letter["error"]


@pytest.mark.parametrize("answer", [None, "451 guest@example.net later", "550 guest@example.net unknown"])
def test_the_log_names_nobody_and_holds_no_link(
    invited: Invited, server: MailServer, answer: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    server.to_recipient = answer
    with plain_logging_afterwards():
        configure_logging("callback", "DEBUG")
        told = []
        for smtp_url in (server.url, None):
            try:
                invited.callback.notifier(smtp_url).invite(invited.message)
            except Retryable as error:
                told.append(str(error))
    said = capsys.readouterr().err + "".join(told)
    assert str(invited.invitation_id) in said
    for secret in ("guest", "zoe", "Zoé", "Fête", make_token(INVITATION_SECRET, invited.invitation_id)):
        assert secret not in said
        assert json.dumps(secret).strip('"') not in said


# ---------------------------------------------------------------- the end of an analysis


@dataclass
class Finished:
    """A clustering that found 15 persons in an event whose creator has an address."""

    event_id: UUID
    job_id: UUID
    tell: Callable[[Notifier], None]


@pytest.fixture
def finished(callback: Callback) -> Finished:
    event_id = event(callback.connection)
    creator = user(callback.connection)
    callback.connection.execute("UPDATE users SET email = 'host@example.com' WHERE id = %s", (creator,))
    callback.connection.execute("UPDATE events SET creator_id = %s, name = 'Fête' WHERE id = %s", (creator, event_id))
    detect_job(callback.connection, event_id, photo(callback.connection, event_id), status="completed")
    job_id = cluster_job(callback.connection, event_id, status="completed")
    add_run(callback, event_id, job_id, 1)
    message = Notification(kind="clustering_finished", event_id=event_id, job_id=job_id, run=1)
    return Finished(event_id, job_id, lambda notifier: notifier.tell(message))


def add_run(callback: Callback, event_id: UUID, job_id: UUID, run: int) -> None:
    callback.connection.execute(
        """
        INSERT INTO cluster_runs (job_id, run, event_id, faces, clusters, persons, noise, churn, suggestions,
            milliseconds, parameters)
        VALUES (%s, %s, %s, 30, 15, 15, 0, 0, 0, %s, %s)
        """,
        (job_id, run, event_id, Jsonb({}), Jsonb({})),
    )


def test_the_creator_is_written_to_once_for_each_run_after_new_photos(
    callback: Callback, finished: Finished, server: MailServer
) -> None:
    for _ in range(3):
        finished.tell(callback.notifier(server.url))
    (mail,) = server.mails
    assert mail["Subject"] == "Analyse terminée : 15 personnes détectées (Fête)"
    assert mail["To"] == "host@example.com"
    assert f"https://photos.example.org/events/{finished.event_id}/analyse" in text(mail).splitlines()
    add_run(callback, finished.event_id, finished.job_id, 2)
    again = Notification(kind="clustering_finished", event_id=finished.event_id, job_id=finished.job_id, run=2)
    callback.notifier(server.url).tell(again)
    assert len(server.mails) == 1, "a run after decisions alone is no news"
    media_id = photo(callback.connection, finished.event_id)
    detect_job(callback.connection, finished.event_id, media_id, status="completed")
    callback.notifier(server.url).tell(again)
    assert len(server.mails) == 2
    assert server.mails[1]["Message-ID"] != mail["Message-ID"]


def test_two_deliveries_at_once_write_to_the_creator_once(
    callback: Callback, finished: Finished, server: MailServer
) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: finished.tell(callback.notifier(server.url)), range(4)))
    assert len(server.mails) == 1


@pytest.mark.parametrize(
    "meanwhile",
    [
        "UPDATE events SET archived_at = now()",
        "UPDATE events SET face_recognition_enabled = false",
        "UPDATE events SET creator_id = NULL",
        "UPDATE users SET email = NULL",
        "DELETE FROM events",
    ],
)
def test_the_creator_is_not_written_to_about_what_no_longer_is(
    callback: Callback, finished: Finished, server: MailServer, meanwhile: str
) -> None:
    callback.connection.execute(meanwhile)
    finished.tell(callback.notifier(server.url))
    assert server.mails == []


def test_a_creator_who_cannot_be_reached_now_is_tried_again(
    callback: Callback, finished: Finished, server: MailServer
) -> None:
    server.to_message = "451 later"
    with pytest.raises(Retryable):
        finished.tell(callback.notifier(server.url))
    server.to_message = None
    finished.tell(callback.notifier(server.url))
    assert len(server.mails) == 1


def test_a_creator_whose_address_is_refused_is_not_tried_again(
    callback: Callback, finished: Finished, server: MailServer
) -> None:
    server.to_message = "550 no"
    finished.tell(callback.notifier(server.url))
    server.to_message = None
    finished.tell(callback.notifier(server.url))
    assert server.mails == []
