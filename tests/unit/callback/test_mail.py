"""Mail on the wire: composed without room for injection, handed in to a real SMTP server, refusals told apart."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from functions.callback.mail import (
    InlineImage,
    MailContent,
    MailRefused,
    SmtpMailer,
    SmtpServer,
    compose,
    parse_smtp_url,
)
from shared.errors import Retryable
from shared.mailbox import parse_mailbox
from tests.mail_server import MailServer, mail_server

LETTER = MailContent("fr", "Été", "Bonjour,\n", "<p>Bonjour,</p>", (InlineImage("face-1", b"\xff\xd8jpeg"),))
SENDER = parse_mailbox("Trombi <no-reply@example.org>")
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


def message(to: str = "guest@example.net", letter: MailContent = LETTER) -> EmailMessage:
    return compose(letter, sender=SENDER, to=to, message_id="invitation.1", now=NOW, reply_to="host@example.com")


# ---------------------------------------------------------------- SMTP_URL


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.example.org", SmtpServer("mail.example.org", 587, "starttls")),
        ("smtp://mail.example.org:25", SmtpServer("mail.example.org", 25, "starttls")),
        ("smtp://mail.example.org?starttls=no", SmtpServer("mail.example.org", 587, "none")),
        ("smtp://mail.example.org/?starttls=yes", SmtpServer("mail.example.org", 587, "starttls")),
        ("smtps://mail.example.org", SmtpServer("mail.example.org", 465, "tls")),
        ("smtp://localhost:2525", SmtpServer("localhost", 2525, "where_offered")),
        ("smtp://127.0.0.1:2525", SmtpServer("127.0.0.1", 2525, "where_offered")),
        ("smtp://[::1]:2525", SmtpServer("::1", 2525, "where_offered")),
        ("smtp://a%40b:p%2F%3A@mail.example.org", SmtpServer("mail.example.org", 587, "starttls", "a@b", "p/:")),
    ],
)
def test_a_server_s_address_is_understood(url: str, server: SmtpServer) -> None:
    assert parse_smtp_url(url) == server


@pytest.mark.parametrize(
    "url",
    [
        *("", "mail.example.org", "http://mail.example.org", "smtp://", "smtp://host:port", "smtp://host:99999"),
        *("smtp://user:se/cret@host", "smtp://user:se#cret@host", "smtp://host?starttls=maybe", "smtp://host?tls=1"),
    ],
)
def test_an_address_of_no_server_is_refused_without_repeating_the_password(url: str) -> None:
    with pytest.raises(ValueError, match=r"smtp|URL|host|option") as caught:
        parse_smtp_url(url)
    assert "cret" not in str(caught.value)


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(parse_smtp_url("smtp://user:secret@host"))


# ---------------------------------------------------------------- composing


def test_a_mail_has_text_html_and_its_images() -> None:
    composed = message()
    assert composed["Subject"] == "Été"
    assert composed["Message-ID"] == "<invitation.1@example.org>"
    assert (composed["Reply-To"], composed["To"]) == ("host@example.com", "guest@example.net")
    text, html = composed.get_body(("plain",)), composed.get_body(("html",))
    assert text is not None
    assert html is not None
    assert text.get_content() == "Bonjour,\n"
    assert html.get_content().strip() == "<p>Bonjour,</p>"
    (image,) = [part for part in composed.walk() if part.get_content_type() == "image/jpeg"]
    assert image["Content-ID"] == "<face-1>"
    assert image.get_content_disposition() == "inline"
    assert image.get_payload(decode=True) == b"\xff\xd8jpeg"


def test_a_mail_without_images_is_text_and_html() -> None:
    kinds = [part.get_content_type() for part in message(letter=MailContent("en", "x", "x\n", "<p>x</p>")).walk()]
    assert kinds == ["multipart/alternative", "text/plain", "text/html"]


@pytest.mark.parametrize("to", ["", "nobody", "a@b, c@d", "a@b\r\nBcc: c@d"])
def test_what_is_no_address_is_refused(to: str) -> None:
    with pytest.raises(MailRefused) as caught:
        message(to)
    assert "c@d" not in str(caught.value)


def test_a_subject_cannot_add_a_header() -> None:
    with pytest.raises(ValueError, match="linefeed"):
        message(letter=MailContent("en", "x\r\nBcc: c@d", "x", "x"))


# ---------------------------------------------------------------- handing in


@pytest.fixture
def server() -> Iterator[MailServer]:
    """A server on this machine, without encryption."""
    with mail_server() as started:
        yield started


def test_a_mail_arrives_as_it_was_composed(server: MailServer) -> None:
    SmtpMailer(parse_smtp_url(server.url)).send(message())
    (arrived,) = server.mails
    assert server.recipients == [["guest@example.net"]]
    assert arrived["Subject"] == "Été"
    assert [part.get_content_type() for part in arrived.walk()].count("image/jpeg") == 1


def test_an_international_address_is_written_to_where_the_server_can(server: MailServer) -> None:
    SmtpMailer(parse_smtp_url(server.url)).send(message("élise@exämple.org"))
    assert server.recipients == [["élise@xn--exmple-cua.org"]]


@pytest.mark.parametrize("answer", ["450 try later", "421 closing", "451 guest@example.net is greylisted"])
@pytest.mark.parametrize("of", ["to_recipient", "to_message"])
def test_what_the_server_does_not_take_now_is_tried_again(server: MailServer, of: str, answer: str) -> None:
    setattr(server, of, answer)
    with pytest.raises(Retryable) as caught:
        SmtpMailer(parse_smtp_url(server.url)).send(message())
    assert "guest" not in str(caught.value)
    assert server.mails == []


@pytest.mark.parametrize("answer", ["550 no such user guest@example.net", "554 looks like spam"])
@pytest.mark.parametrize("of", ["to_recipient", "to_message"])
def test_what_the_server_will_never_take_is_refused(server: MailServer, of: str, answer: str) -> None:
    setattr(server, of, answer)
    with pytest.raises(MailRefused, match="55") as caught:
        SmtpMailer(parse_smtp_url(server.url)).send(message())
    assert "guest" not in str(caught.value)


def test_a_server_that_is_away_is_tried_again() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        with pytest.raises(Retryable, match="ConnectionRefusedError"):
            SmtpMailer(parse_smtp_url(f"smtp://127.0.0.1:{port}")).send(message())


def test_a_server_that_says_nothing_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.callback.mail._TIMEOUT_SECONDS", 0.1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(Retryable, match="unavailable or busy"):
            SmtpMailer(parse_smtp_url(f"smtp://127.0.0.1:{silent.getsockname()[1]}")).send(message())


# ---------------------------------------------------------------- encryption and passwords


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A certificate of 127.0.0.1 that this process trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "certificate.pem"
    file.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def test_mail_is_encrypted_where_that_is_offered_and_signed_in(certificate: ssl.SSLContext) -> None:
    with mail_server(certificate, password="pass/word") as server:
        url = f"smtp://user:pass%2Fword@127.0.0.1:{server.port}"
        SmtpMailer(parse_smtp_url(url)).send(message())
        assert (server.encrypted, server.users) == ([True], ["user"])


def test_a_certificate_that_is_not_trusted_is_not_written_to(
    certificate: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with mail_server(certificate) as server:
        with pytest.raises(Retryable, match="SSLCertVerificationError"):
            SmtpMailer(parse_smtp_url(server.url)).send(message())
        assert server.mails == []


def test_mail_is_not_sent_in_the_clear_where_encryption_is_required(server: MailServer) -> None:
    required = SmtpServer("127.0.0.1", server.port, "starttls", "user", "password")
    with pytest.raises(Retryable, match=r"no STARTTLS; \?starttls=no"):
        SmtpMailer(required).send(message())
    assert server.mails == []


def test_a_wrong_password_is_the_operator_s_to_mend(certificate: ssl.SSLContext) -> None:
    with mail_server(certificate, password="right") as server:
        with pytest.raises(Retryable, match="refuses the connection or sender") as caught:
            SmtpMailer(parse_smtp_url(f"smtp://user:wrong@127.0.0.1:{server.port}")).send(message())
        assert "wrong" not in str(caught.value)
        assert server.mails == []


def test_a_password_that_the_server_does_not_want_is_told(server: MailServer) -> None:
    with pytest.raises(Retryable, match="supports no login"):
        SmtpMailer(parse_smtp_url(f"smtp://user:secret@127.0.0.1:{server.port}")).send(message())
