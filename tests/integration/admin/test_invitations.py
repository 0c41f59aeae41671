"""Invitations over HTTP: an organiser asks, the guest answers once, and nobody else learns anything."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from werkzeug.test import TestResponse

from functions.callback.mail import SmtpMailer
from functions.callback.notify import MailService, Notifier
from functions.callback.settings import CallbackSettings
from shared.contracts import InvitationMade
from shared.database import Connection
from shared.log import configure_logging
from tests.arrange import DERIVED_BUCKET, member, rows, user
from tests.integration.admin.conftest import AdminSite, open_site, told
from tests.integration.admin.reviewing import Review
from tests.mail_server import MailServer, mail_server
from tests.unit.shared.quiet import plain_logging_afterwards

SECRET = "a secret for links of at least 32 characters"
GUEST = "guest@example.net"
MAIL = {"mail_from": "Trombi <no-reply@example.org>", "public_url": "https://photos.example.org"}


@dataclass
class Guests:
    """A reviewed event behind the API, and the mail that goes out."""

    site: AdminSite
    review: Review
    server: MailServer

    @property
    def person(self) -> UUID:
        """The person who is invited."""
        return self.review.people()[0]

    def ask(self, person_id: UUID, **body: Any) -> tuple[int, dict[str, Any]]:
        """POST /person/{id}/invite, by the organiser."""
        return self.site.ask(
            "POST", f"/person/{person_id}/invite", self.review.organiser, **{"email": "Guest@Example.net", **body}
        )

    def deliver(self) -> None:
        """What is on the bus reaches the notifier."""
        settings = CallbackSettings.model_validate(
            {
                "database_url": "postgresql://unused",
                "google_cloud_project": "unused",
                "derived_bucket": DERIVED_BUCKET,
                "smtp_url": self.server.url,
                "invitation_secret": SECRET,
                **MAIL,
            }
        ).mail()
        assert settings is not None
        notifier = Notifier(
            self.site.resources.database,
            self.site.objects,
            DERIVED_BUCKET,
            MailService(settings, SmtpMailer(settings.server)),
        )
        for message in self.site.bus.take():
            if message.topic == "notifications":
                notifier.invite(InvitationMade.parse(message.data, message.attributes))

    def text(self) -> str:
        """What the newest mail says."""
        plain = self.server.mails[-1].get_body(("plain",))
        assert plain is not None
        content: str = plain.get_content()
        return content

    def link(self) -> str:
        """The path of the link in the newest mail."""
        found = re.search(r"https://photos\.example\.org(/invite/\S+)", self.text())
        assert found is not None
        return found[1]

    def invited(self, person_id: UUID | None = None, **body: Any) -> str:
        """Invite somebody, have the mail sent: the path of its link."""
        status, said = self.ask(person_id or self.person, **body)
        assert status == 200, said
        self.deliver()
        return self.link()

    def open(self, link: str) -> tuple[int, dict[str, Any]]:
        """GET the link as JSON."""
        answer = self.site.client.get(link, headers={"Accept": "application/json"})
        return answer.status_code, told(answer)

    def answer(self, link: str, answer: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
        """POST an answer."""
        given = self.site.client.post(link, json={"answer": answer}, headers=headers or {})
        return given.status_code, told(given)

    def users(self) -> list[dict[str, Any]]:
        """The users of the invited address."""
        return self.site.connection.execute("SELECT * FROM users WHERE lower(email) = lower(%s)", (GUEST,)).fetchall()


@pytest.fixture
def guests(database_url: str, connection: Connection) -> Iterator[Guests]:
    with (
        mail_server() as server,
        open_site(database_url, connection, invitation_secret=SECRET, **MAIL) as site,
    ):
        review = Review(site.resources.database, connection)
        connection.execute("UPDATE events SET name = 'Fête'")
        connection.execute(
            "UPDATE users SET display_name = 'Zoé', email = 'z@b.org' WHERE id = %s", (review.organiser,)
        )
        for row in rows(connection, "faces"):
            name = f"events/{row['event_id']}/{row['media_id']}/{row['id']}.jpg"
            site.objects.put(DERIVED_BUCKET, name, b"\xff\xd8" + row["id"].bytes)
            connection.execute("UPDATE faces SET thumbnail_object = %s WHERE id = %s", (name, row["id"]))
        yield Guests(site, review, server)


# ---------------------------------------------------------------- inviting


def test_an_invitation_makes_the_person_invited_and_a_mail_go_out(guests: Guests) -> None:
    person_id = guests.person
    status, said = guests.ask(person_id, message="  À bientôt ", language="en")
    assert status == 200
    assert (said["person"]["status"], said["person"]["invitation_email"]) == ("invited", GUEST)
    assert said["invitation"]["mail"] == "queued"
    assert "link" not in said["invitation"]
    (message,) = guests.site.bus.to("notifications")
    assert set(message.body) == {"version", "event_id", "invitation_id"}
    guests.deliver()
    (mail,) = guests.server.mails
    assert "Zoé writes:\n> À bientôt\n" in guests.text().replace("\r", "")
    assert mail["To"].addresses[0].addr_spec == GUEST


def test_the_link_is_a_day_s_whole_and_stored_as_a_hash_alone(guests: Guests) -> None:
    token = guests.invited().rpartition("/")[2]
    assert len(token) == 43
    (row,) = rows(guests.site.connection, "invitations")
    expires = row["expires_at"].astimezone(UTC)
    assert (expires.hour, expires.minute, expires.second) == (0, 0, 0)
    assert 30 <= (expires - datetime.now(UTC)).total_seconds() / 86400 <= 31
    for table in ("invitations", "idempotency_keys", "outbox", "decisions", "face_persons"):
        assert token not in json.dumps(rows(guests.site.connection, table), default=str)


def test_the_same_request_sends_one_mail(guests: Guests) -> None:
    path = f"/person/{guests.person}/invite"
    answers = [guests.site.ask("POST", path, guests.review.organiser, key="k", email=GUEST) for _ in range(2)]
    assert answers[0] == answers[1]
    guests.deliver()
    assert len(guests.server.mails) == 1


def test_inviting_anew_sends_a_new_link_and_the_old_one_is_void(guests: Guests) -> None:
    first = guests.invited()
    second = guests.invited()
    assert first != second
    assert guests.open(first)[1]["code"] == "withdrawn"
    assert guests.open(second)[0] == 200


@pytest.mark.parametrize(
    "body",
    [
        {"email": "nobody"},
        {"email": "a@b, c@d"},
        {"email": "Somebody <a@b.org>"},
        {"email": "a@b.org\r\nBcc: c@d"},
        {"email": "x" * 250 + "@b.org"},
        {"email": None},
        {"message": "x" * 501},
        {"language": "de"},
        {"unknown": 1},
    ],
)
def test_what_is_wrong_is_refused_and_nobody_is_written_to(guests: Guests, body: dict[str, Any]) -> None:
    assert guests.ask(guests.person, **body)[0] == 422
    assert rows(guests.site.connection, "invitations") == []
    assert guests.site.bus.messages == []


def test_only_organisers_invite_and_ask_what_became_of_it(guests: Guests) -> None:
    person_id, review = guests.person, guests.review
    guests.invited()
    stranger = user(guests.site.connection)
    for path, method in ((f"/person/{person_id}/invite", "POST"), (f"/person/{person_id}/invitation", "GET")):
        body = {"email": GUEST} if method == "POST" else {}
        assert guests.site.ask(method, path, review.members[0], **body)[0] == 403
        assert guests.site.ask(method, path, stranger, **body)[0] == 404
        assert guests.site.client.open(path, method=method, json=body or None).status_code == 401
        assert guests.site.ask(method, path, None, **body)[0] == 200


def test_nobody_is_invited_to_an_event_without_consent(guests: Guests) -> None:
    person_id = guests.person
    guests.site.connection.execute("UPDATE events SET archived_at = now()")
    status, said = guests.ask(person_id)
    assert status in (404, 409), said
    assert rows(guests.site.connection, "invitations") == []


def test_a_person_that_changed_meanwhile_is_not_invited(guests: Guests) -> None:
    status, said = guests.ask(guests.person, version=99)
    assert (status, said["code"]) == (409, "changed")
    assert said["current"]["status"] == "pending"


def test_the_organiser_is_told_what_became_of_the_mail(guests: Guests) -> None:
    person_id = guests.person
    path = f"/person/{person_id}/invitation"
    organiser = guests.review.organiser
    assert guests.site.ask("GET", path, organiser)[0] == 404
    guests.ask(person_id)
    status, said = guests.site.ask("GET", path, organiser)
    assert (status, said["mail"], said["state"], said["email"]) == (200, "queued", "open", GUEST)
    guests.server.to_recipient = "550 nobody here"
    guests.deliver()
    assert guests.site.ask("GET", path, organiser)[1]["mail"] == "refused"
    guests.server.to_recipient = None
    link = guests.invited(person_id)
    said = guests.site.ask("GET", path, organiser)[1]
    assert (said["mail"], said["state"]) == ("sent", "open")
    guests.answer(link, "decline")
    assert guests.site.ask("GET", path, organiser)[1]["state"] == "declined"


# ---------------------------------------------------------------- opening


def test_a_guest_sees_the_event_the_number_of_photos_and_the_person_s_faces_and_nothing_else(guests: Guests) -> None:
    person_id = guests.person
    link = guests.invited(person_id)
    status, said = guests.open(link)
    assert status == 200
    assert set(said) == {"event", "language", "photos", "faces", "expires_at"}
    assert (said["event"], said["photos"]) == ("Fête", len(guests.review.media_of(person_id)))
    assert {UUID(face["id"]) for face in said["faces"]} == set(guests.review.faces_of(person_id))
    assert set(said["faces"][0]) == {"id", "thumbnail_url"}
    for face in said["faces"]:
        picture = guests.site.client.get(face["thumbnail_url"])
        assert (picture.status_code, picture.mimetype) == (200, "image/jpeg")
        assert picture.data == b"\xff\xd8" + UUID(face["id"]).bytes
        assert "no-store" in picture.headers["Cache-Control"]
    reads = {(row["actor"], row["what"]) for row in rows(guests.site.connection, "biometric_reads")}
    assert reads == {("invitation", "thumbnail"), ("invitation", "person")}


def test_a_link_shows_no_face_of_another_person(guests: Guests) -> None:
    link = guests.invited()
    other = guests.review.faces_of(guests.review.people()[1])[0]
    assert guests.site.client.get(f"{link}/face/{other}").status_code == 404
    assert guests.site.client.get(f"{link}/face/{uuid4()}").status_code == 404


def test_opening_a_link_any_number_of_times_changes_nothing(guests: Guests) -> None:
    link = guests.invited()
    before = guests.review.snapshot()
    for _ in range(3):
        for accept in ("application/json", "text/html,*/*;q=0.8"):
            assert guests.site.client.get(link, headers={"Accept": accept}).status_code == 200
        assert guests.site.client.head(link).status_code == 200
    assert guests.review.snapshot() == before
    assert guests.answer(link, "accept")[0] == 200


UNKNOWN = ["x", "x" * 43, "x" * 3000, "%F0%9F%98%80", "%00", "%ED%B2%80", "' OR 1=1 --"]


@pytest.mark.parametrize("token", UNKNOWN)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_token_that_opens_nothing_is_answered_as_any_other(guests: Guests, token: str, method: str) -> None:
    guests.invited()
    body = {"answer": "accept"} if method == "POST" else None
    answer = guests.site.client.open(f"/invite/{token}", method=method, json=body)
    assert answer.status_code in ((422,) if token == "%00" else (404,))
    assert "Fête" not in answer.text


def refusal(guests: Guests, link: str) -> str:
    """The code with which everything about the link is refused."""
    status, said = guests.open(link)
    posted, told_by_post = guests.answer(link, "accept")
    face = guests.site.client.get(f"{link}/face/{guests.review.faces_of(guests.person)[0]}")
    assert (status, posted, face.status_code) == (410, 410, 410)
    assert said["code"] == told_by_post["code"] == told(face)["code"]
    assert "Fête" not in json.dumps([said, told_by_post])
    code: str = said["code"]
    return code


def test_an_expired_link_says_so(guests: Guests) -> None:
    link = guests.invited()
    guests.site.connection.execute(
        "UPDATE invitations SET created_at = now() - interval '2 days', expires_at = now() - interval '1 second'"
    )
    assert refusal(guests, link) == "expired"


def test_a_link_whose_person_was_unlinked_says_so(guests: Guests) -> None:
    person_id = guests.person
    link = guests.invited(person_id)
    assert guests.site.ask("POST", f"/person/{person_id}/unlink", guests.review.organiser)[0] == 200
    assert refusal(guests, link) == "withdrawn"


def test_a_link_whose_invitation_was_undone_opens_nothing(guests: Guests) -> None:
    status, said = guests.ask(guests.person)
    assert status == 200
    guests.deliver()
    link = guests.link()
    undo = f"/decisions/{said['decision_id']}/undo"
    assert guests.site.ask("POST", undo, guests.review.organiser)[0] == 200
    assert guests.open(link)[0] == 404
    assert guests.answer(link, "accept")[0] == 404


def test_a_link_follows_a_merge(guests: Guests) -> None:
    gone, survivor = guests.review.people()[:2]
    link = guests.invited(gone)
    assert guests.site.ask("POST", f"/person/{gone}/merge", guests.review.organiser, into=survivor)[0] == 200
    status, said = guests.open(link)
    assert status == 200
    assert {UUID(face["id"]) for face in said["faces"]} == set(guests.review.faces_of(survivor))
    assert guests.answer(link, "accept")[0] == 200
    assert guests.review.row(survivor)["status"] == "linked"


# ---------------------------------------------------------------- answering


def test_yes_links_tags_and_makes_a_member_of_a_user_that_the_mail_proved(guests: Guests) -> None:
    person_id = guests.person
    link = guests.invited(person_id)
    status, said = guests.answer(link, "accept")
    photos = guests.review.media_of(person_id)
    assert (status, said) == (200, {"answer": "accepted", "event": "Fête", "photos": len(photos)})
    (made,) = guests.users()
    assert guests.review.row(person_id)["linked_user_id"] == made["id"]
    assert guests.review.tagged(made["id"]) == dict.fromkeys(photos, "face_clustering")
    membership = guests.site.connection.execute("SELECT role FROM event_members WHERE user_id = %s", (made["id"],))
    assert membership.fetchall() == [{"role": "member"}]


def test_yes_of_an_address_that_has_an_account_is_that_account_s(guests: Guests) -> None:
    known = user(guests.site.connection)
    guests.site.connection.execute("UPDATE users SET email = %s WHERE id = %s", (GUEST.upper(), known))
    assert guests.answer(guests.invited(), "accept")[0] == 200
    assert guests.review.row(guests.person)["linked_user_id"] == known
    assert len(guests.users()) == 1


def test_yes_of_a_signed_in_user_is_theirs(guests: Guests) -> None:
    somebody = member(guests.site.connection, guests.review.event_id)
    assert guests.answer(guests.invited(), "accept", guests.site.token(somebody))[0] == 200
    assert guests.review.row(guests.person)["linked_user_id"] == somebody
    assert guests.users() == []


def test_yes_of_a_user_whose_first_visit_it_is_makes_them_known(guests: Guests) -> None:
    newcomer = uuid4()
    assert guests.answer(guests.invited(), "accept", guests.site.token(newcomer))[0] == 200
    assert guests.review.row(guests.person)["linked_user_id"] == newcomer


def test_a_token_that_is_not_believed_is_refused_though_none_is_needed(guests: Guests) -> None:
    link = guests.invited()
    expired = guests.site.token(guests.review.organiser, exp=1)
    assert guests.answer(link, "accept", expired)[0] == 401
    assert guests.open(link)[0] == 200


def sign_in_first(answer: tuple[int, dict[str, Any]]) -> bool:
    return (answer[0], answer[1]["code"]) == (401, "sign_in")


def test_where_users_are_the_host_app_s_an_unknown_address_signs_in_first(guests: Guests) -> None:
    guests.site.connection.execute("COMMENT ON TABLE users IS 'the host app''s'")
    link = guests.invited()
    assert sign_in_first(guests.answer(link, "accept"))
    assert sign_in_first(guests.answer(link, "accept", guests.site.token(uuid4())))
    assert guests.users() == []
    known = user(guests.site.connection)
    assert guests.answer(link, "accept", guests.site.token(known))[0] == 200


def test_an_address_of_two_accounts_signs_in_first(guests: Guests) -> None:
    for _ in range(2):
        guests.site.connection.execute(
            "UPDATE users SET email = %s WHERE id = %s", (GUEST, user(guests.site.connection))
        )
    assert sign_in_first(guests.answer(guests.invited(), "accept"))


def test_a_link_that_was_never_mailed_proves_no_address(guests: Guests) -> None:
    victim = user(guests.site.connection)
    guests.site.connection.execute("UPDATE users SET email = %s WHERE id = %s", (GUEST, victim))
    link = guests.invited()
    guests.site.connection.execute("UPDATE invitations SET sent_at = NULL")
    assert sign_in_first(guests.answer(link, "accept"))
    assert guests.review.tagged(victim) == {}
    assert guests.answer(link, "accept", guests.site.token(victim))[0] == 200


def test_no_leaves_the_person_to_be_found_and_is_remembered(guests: Guests) -> None:
    person_id = guests.person
    assert guests.answer(guests.invited(person_id), "decline")[1]["answer"] == "declined"
    row = guests.review.row(person_id)
    assert (row["status"], row["invitation_email"], row["linked_user_id"]) == ("pending", None, None)
    assert guests.users() == []
    status, said = guests.ask(person_id, email=GUEST.lower())
    assert (status, said["code"]) == (409, "declined")
    assert "not them" in said["detail"]
    known = member(guests.site.connection, guests.review.event_id)
    guests.site.connection.execute("UPDATE users SET email = %s WHERE id = %s", (GUEST, known))
    link_user = f"/person/{person_id}/link-user"
    assert guests.site.ask("POST", link_user, guests.review.organiser, user_id=known)[0] == 409
    assert guests.ask(person_id, email="another@example.net")[0] == 200
    assert guests.ask(person_id, again=True)[0] == 200


@pytest.mark.parametrize(("first", "second"), [("accept", "decline"), ("decline", "accept"), ("accept", "accept")])
def test_an_answer_counts_once(guests: Guests, first: str, second: str) -> None:
    link = guests.invited()
    given = guests.answer(link, first)[1]["answer"]
    before = guests.review.snapshot()
    status, said = guests.answer(link, second)
    assert (status, said["code"], said["answer"]) == (410, "answered", given)
    assert guests.open(link)[1]["answer"] == given
    assert guests.review.snapshot() == before


def test_of_two_answers_at_once_one_wins_and_the_other_is_told_which(guests: Guests) -> None:
    link = guests.invited()
    together = threading.Barrier(6)

    def give(answer: str) -> tuple[int, dict[str, Any]]:
        together.wait()
        given: TestResponse = guests.site.admin.site.test_client().post(link, json={"answer": answer})
        return given.status_code, told(given)

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(give, ["accept", "decline"] * 3))
    (won,) = [said["answer"] for status, said in answers if status == 200]
    assert [(status, said["answer"]) for status, said in answers if status != 200] == [(410, won)] * 5


def test_the_same_answer_with_the_same_key_is_answered_the_same(guests: Guests) -> None:
    link = guests.invited()
    answers = [guests.answer(link, "accept", {"Idempotency-Key": "k"}) for _ in range(2)]
    assert answers[0] == answers[1]
    assert answers[0][0] == 200


@pytest.mark.parametrize("body", [{}, {"answer": "maybe"}, {"answer": "accept", "user_id": str(uuid4())}])
def test_an_answer_that_is_none_leaves_the_link_open(guests: Guests, body: dict[str, Any]) -> None:
    link = guests.invited()
    assert guests.site.client.post(link, json=body).status_code == 422
    assert guests.open(link)[0] == 200


def test_a_yes_can_be_undone(guests: Guests) -> None:
    person_id = guests.person
    guests.answer(guests.invited(person_id), "accept")
    (made,) = guests.users()
    history = guests.site.ask("GET", f"/event/{guests.review.event_id}/decisions", guests.review.organiser)[1]["items"]
    newest = history[0]
    assert (newest["kind"], newest["can_undo"]) == ("accept", True)
    assert guests.site.ask("POST", f"/decisions/{newest['id']}/undo", guests.review.organiser)[0] == 200
    assert guests.review.tagged(made["id"]) == {}
    assert guests.review.row(person_id)["status"] == "invited"


# ---------------------------------------------------------------- the page, the log, other settings


def test_a_browser_is_given_the_page_with_the_invitation_s_status(guests: Guests) -> None:
    link = guests.invited()
    browser = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
    page = guests.site.client.get(link, headers=browser)
    assert (page.status_code, page.mimetype) == (200, "text/html")
    assert "no-store" in page.headers["Cache-Control"]
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert "Fête" not in page.text
    assert not re.search(r"<script(?![^>]*\bsrc=)|\bon\w+=|<style|style=", page.text)
    files = re.findall(r'(?:src|href)="(/web/[^"]+)"', page.text)
    assert len(files) == 4
    for name in files:
        assert guests.site.client.get(name).status_code == 200
    guests.answer(link, "decline")
    assert guests.site.client.get(link, headers=browser).status_code == 410
    assert guests.site.client.get("/invite/x", headers=browser).status_code == 404


def test_the_log_holds_no_address_no_name_and_no_token(guests: Guests, capsys: pytest.CaptureFixture[str]) -> None:
    with plain_logging_afterwards():
        configure_logging("admin", "DEBUG")
        link = guests.invited()
        guests.open(link)
        guests.answer(link, "accept")
        guests.open(link)
        guests.ask(guests.person)
    said = capsys.readouterr().err
    assert str(guests.review.event_id) in said
    for secret in ("uest@example", "Fête", "Zo", link.rpartition("/")[2]):
        assert secret not in said
        assert json.dumps(secret).strip('"') not in said


def test_without_mail_the_organiser_is_given_the_link_and_it_is_not_kept(
    database_url: str, connection: Connection
) -> None:
    with open_site(database_url, connection, invitation_secret=SECRET, mail_from=None) as site:
        review = Review(site.resources.database, connection)
        path = f"/person/{review.people()[0]}/invite"
        answers = [site.ask("POST", path, review.organiser, key="k", email=GUEST) for _ in range(2)]
        assert answers[0] == answers[1]
        made = answers[0][1]["invitation"]
        assert made["mail"] == "not configured"
        token = made["link"].rpartition("/")[2]
        assert token not in json.dumps(rows(connection, "idempotency_keys"), default=str)
        assert site.client.get(f"/invite/{token}").status_code == 200
        # The organiser passed it on by other means: that proves no address.
        given = site.client.post(f"/invite/{token}", json={"answer": "accept"})
        assert sign_in_first((given.status_code, told(given)))


def test_without_a_secret_nobody_is_invited(database_url: str, connection: Connection) -> None:
    with open_site(database_url, connection, invitation_secret=None) as site:
        review = Review(site.resources.database, connection)
        status, said = site.ask("POST", f"/person/{review.people()[0]}/invite", review.organiser, email=GUEST)
        assert (status, said["code"]) == (503, "not_configured")
