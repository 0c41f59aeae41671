"""The emulated cloud's inbox: every mail of the functions ends there, is shown safely, and outlives a restart."""

from __future__ import annotations

import re
import smtplib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from functions.callback.mail import SmtpMailer, parse_smtp_url
from functions.callback.notify import MailService, Notifier
from functions.callback.settings import CallbackSettings
from local.cloud.inbox import inbox_process
from local.cloud.processes import Supervisor
from local.cloud.state import State
from shared.contracts import InvitationMade
from shared.database import Connection, Database
from shared.invitation_token import hash_token, make_token
from tests.arrange import DERIVED_BUCKET, event, face, person, photo
from tests.fakes import MemoryObjects

REPOSITORY = Path(__file__).resolve().parents[3]
SECRET = "a secret for links of at least 32 characters"


@dataclass(frozen=True)
class Inbox:
    """A running inbox."""

    url: str
    smtp_url: str
    supervisor: Supervisor

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", trust_env=False)

    def mails(self) -> list[str]:
        """The paths of the mails' pages, as the list has them."""
        return re.findall(r'href="(/mails/[^"]+)"', self.get("/").text)


@contextmanager
def running_inbox(folder: Path) -> Iterator[Inbox]:
    state = State(folder)
    state.lock()
    supervisor = Supervisor(folder / "logs", lambda _: None)
    ports = state.ports("inbox", "smtp")
    try:
        supervisor.start(inbox_process("inbox", ports["inbox"], ports["smtp"], folder / "mails", REPOSITORY))
        yield Inbox(f"http://127.0.0.1:{ports['inbox']}", f"smtp://127.0.0.1:{ports['smtp']}", supervisor)
    finally:
        supervisor.stop()
        state.release()


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    """An inbox of this test's own."""
    with running_inbox(tmp_path) as started:
        yield started


def invite(database: Database, connection: Connection, smtp_url: str, name: str = "Fête") -> str:
    """Have the notifier send an invitation by SMTP; the link in it."""
    event_id = event(connection)
    connection.execute("UPDATE events SET name = %s WHERE id = %s", (name, event_id))
    person_id, invitation_id = person(connection, event_id), uuid4()
    connection.execute("UPDATE face_persons SET status = 'invited', invitation_email = 'guest@example.net'")
    face_id = face(connection, event_id, photo(connection, event_id), person_id=person_id)
    connection.execute("UPDATE faces SET thumbnail_object = 'face.jpg' WHERE id = %s", (face_id,))
    token = make_token(SECRET, invitation_id)
    connection.execute(
        """
        INSERT INTO invitations (id, event_id, face_person_id, token_hash, email, expires_at)
        VALUES (%s, %s, %s, %s, 'guest@example.net', now() + interval '30 days')
        """,
        (invitation_id, event_id, person_id, hash_token(token)),
    )
    objects = MemoryObjects()
    objects.put(DERIVED_BUCKET, "face.jpg", b"\xff\xd8jpeg")
    settings = CallbackSettings.model_validate(
        {
            "database_url": "postgresql://unused",
            "google_cloud_project": "unused",
            "derived_bucket": DERIVED_BUCKET,
            "smtp_url": smtp_url,
            "mail_from": "Trombi <trombi@localhost>",
            "public_url": "http://localhost:8080",
            "invitation_secret": SECRET,
        }
    ).mail()
    assert settings is not None
    notifier = Notifier(database, objects, DERIVED_BUCKET, MailService(settings, SmtpMailer(parse_smtp_url(smtp_url))))
    notifier.invite(InvitationMade(event_id=event_id, invitation_id=invitation_id))
    return f"http://localhost:8080/invite/{token}"


def test_a_mail_of_the_notifier_is_listed_and_shown_with_its_link_and_its_images(
    inbox: Inbox, database: Database, connection: Connection
) -> None:
    assert "No mail yet" in inbox.get("/").text
    link = invite(database, connection, inbox.smtp_url)
    (path,) = inbox.mails()
    assert "Est-ce vous sur les photos de «\xa0Fête\xa0»" in inbox.get("/").text
    page = inbox.get(path).text
    assert f'<a href="{link}"' in page
    assert "guest@example.net" in page
    html = inbox.get(f"{path}/html").text
    assert f'href="{link}"' in html
    assert 'src="data:image/jpeg;base64,' in html
    assert "cid:" not in html
    assert inbox.get(f"{path}/eml").content.startswith(b"To: guest@example.net\r\n")


def test_the_newest_mail_comes_first_and_a_restart_keeps_them_all(
    tmp_path: Path, database: Database, connection: Connection
) -> None:
    with running_inbox(tmp_path) as inbox:
        links = [invite(database, connection, inbox.smtp_url, name) for name in ("one", "two", "three")]
        listed = inbox.mails()
        subjects = re.findall(r"photos de «\xa0(\w+)\xa0»", inbox.get("/").text)
        assert subjects == ["three", "two", "one"]
        inbox.supervisor.kill("inbox")
        inbox.supervisor.wait_ready("inbox")
        assert inbox.mails() == listed
    with running_inbox(tmp_path) as again:
        assert again.mails() == listed
        assert links[0] in again.get(listed[-1]).text
        invite(database, connection, again.smtp_url, "four")
        assert len(again.mails()) == 4


def test_a_mail_is_shown_without_scripts_and_loads_nothing_from_elsewhere(inbox: Inbox) -> None:
    hostile = (
        "Subject: <script>alert(1)</script>\r\nTo: a@b\r\nContent-Type: text/html\r\n\r\n"
        '<head><script>alert(2)</script></head><img src="https://example.org/pixel">'
    )
    with smtplib.SMTP("127.0.0.1", int(inbox.smtp_url.rpartition(":")[2])) as smtp:
        smtp.sendmail("a@b", "c@d", hostile)
    (path,) = inbox.mails()
    for page in (inbox.get("/"), inbox.get(path)):
        assert "<script" not in page.text
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert 'sandbox="allow-popups' in inbox.get(path).text
    policy = inbox.get(f"{path}/html").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "sandbox allow-popups" in policy
    assert "allow-scripts" not in policy
    assert "allow-same-origin" not in policy


@pytest.mark.parametrize("name", ["..%2Finbox", "x", "01795374851097569591-6da8cb39", "..%2F..%2Fetc%2Fpasswd"])
def test_a_mail_that_is_not_there_is_not_found(inbox: Inbox, name: str) -> None:
    for path in (f"/mails/{name}", f"/mails/{name}/html", f"/mails/{name}/eml"):
        assert inbox.get(path).status_code == 404
