"""Mail as it goes over the wire: a composed message, and the SMTP server that takes it."""

from __future__ import annotations

import ipaddress
import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Literal, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from shared.errors import Retryable, TrombiError
from shared.mailbox import parse_mailbox

# For each step of the conversation; all of them together stay well within the bus's deadline of a minute.
_TIMEOUT_SECONDS = 8.0
_SUBMISSION_PORT, _SMTPS_PORT = 587, 465
_FIRST_PERMANENT = 500

Encryption = Literal["tls", "starttls", "where_offered", "none"]


class MailRefused(TrombiError):
    """The mail server will not take this mail, however often it is tried; the text holds no address."""


@dataclass(frozen=True)
class SmtpServer:
    """Where mail is handed in. ``encryption``: from the start, by STARTTLS or not at all, by STARTTLS if offered."""

    host: str
    port: int
    encryption: Encryption
    user: str | None = None
    password: str = field(default="", repr=False)


@dataclass(frozen=True)
class InlineImage:
    """A picture within the HTML part, which shows it as ``cid:NAME``. ``jpeg`` is the file."""

    name: str
    jpeg: bytes = field(repr=False)


@dataclass(frozen=True)
class Letter:
    """What somebody is to read: one line of subject, and the same words as plain text and as HTML."""

    language: str
    subject: str
    text: str
    html: str
    images: Sequence[InlineImage] = ()


class Mailer(Protocol):
    """What takes mail."""

    def send(self, message: EmailMessage) -> None:
        """Hand in one composed message.

        Raises:
            Retryable: the server is away or busy, or does not know us (what somebody can mend).
            MailRefused: it will not take this message.
        """
        ...


def parse_smtp_url(url: str) -> SmtpServer:
    """``smtp://user:password@host:port`` (STARTTLS, required unless the host is this machine) or ``smtps://``.

    ``?starttls=no`` does without. Ports default to 587 and 465. Errors repeat nothing of the password.

    Raises:
        ValueError: says what is wrong.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("not a URL with a host and a port") from None
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise ValueError("must be smtp://user:password@host:port or smtps://user:password@host:port")
    if parts.path not in ("", "/") or parts.fragment:
        raise ValueError("has something after the host (in a password, / is %2F, # is %23 and ? is %3F)")
    options = parse_qs(parts.query, keep_blank_values=True)
    starttls = options.pop("starttls", ["yes"])
    if options or starttls not in (["yes"], ["no"]):
        raise ValueError("knows one option only: ?starttls=no")
    encryption: Encryption = "none"
    if parts.scheme == "smtps":
        encryption = "tls"
    elif starttls == ["yes"]:
        encryption = "where_offered" if _is_this_machine(parts.hostname) else "starttls"
    return SmtpServer(
        host=parts.hostname,
        port=port or (_SMTPS_PORT if encryption == "tls" else _SUBMISSION_PORT),
        encryption=encryption,
        user=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password or ""),
    )


def compose(
    letter: Letter, *, sender: Address, to: str, message_id: str, now: datetime, reply_to: str | None = None
) -> EmailMessage:
    """The message: plain text and HTML with its images. ``message_id`` is the part before the @ of the Message-ID.

    Raises:
        MailRefused: ``to`` is no address.
    """
    message = EmailMessage(policy=SMTP)
    try:
        message["To"] = parse_mailbox(to)
    except ValueError:
        raise MailRefused("it is no address") from None
    message["From"] = sender
    if reply_to is not None:
        message["Reply-To"] = parse_mailbox(reply_to)
    message["Subject"] = letter.subject
    message["Date"] = format_datetime(now)
    message["Message-ID"] = f"<{message_id}@{sender.domain}>"
    message["Content-Language"] = letter.language
    # Holiday replies stay away.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.text, cte="quoted-printable")
    message.add_alternative(letter.html, subtype="html", cte="quoted-printable")
    html = message.get_payload()[-1]  # type: ignore[index]  # two alternatives: this is a list
    for image in letter.images:
        html.add_related(  # type: ignore[union-attr]
            image.jpeg, "image", "jpeg", cid=f"<{image.name}>", disposition="inline", filename=f"{image.name}.jpg"
        )
    return message


class SmtpMailer:
    """Hands mail in to an SMTP server, one connection for each message."""

    def __init__(self, server: SmtpServer) -> None:
        self._server = server

    def send(self, message: EmailMessage) -> None:
        """See `Mailer`. Texts of the server are repeated nowhere: they name addresses."""
        try:
            smtp = self._connected()
            try:
                smtp.send_message(message)
            finally:
                _leave(smtp)
        except smtplib.SMTPRecipientsRefused as error:
            raise _by_code(next(iter(error.recipients.values()))[0], "the recipient") from None
        except smtplib.SMTPDataError as error:
            raise _by_code(error.smtp_code, "the message") from None
        except smtplib.SMTPNotSupportedError:
            # With STARTTLS missing we are not connected yet: that is told by `_connected`.
            raise MailRefused("the mail server takes no international addresses") from None
        except smtplib.SMTPResponseException as error:
            # Our name, our password, our sender: for the operator to mend, and the bus keeps the message meanwhile.
            raise Retryable(f"the mail server does not accept us ({type(error).__name__} {error.smtp_code})") from None
        except (smtplib.SMTPException, OSError) as error:
            raise Retryable(f"the mail server is away or busy ({type(error).__name__})") from None

    def _connected(self) -> smtplib.SMTP:
        """A connection, encrypted and signed in as the settings want it."""
        server = self._server
        context = ssl.create_default_context()
        smtp: smtplib.SMTP
        if server.encryption == "tls":
            smtp = smtplib.SMTP_SSL(server.host, server.port, timeout=_TIMEOUT_SECONDS, context=context)
        else:
            smtp = smtplib.SMTP(server.host, server.port, timeout=_TIMEOUT_SECONDS)
        try:
            smtp.ehlo_or_helo_if_needed()
            if server.encryption in ("starttls", "where_offered"):
                _encrypt(smtp, context, required=server.encryption == "starttls")
            if server.user is not None:
                _sign_in(smtp, server.user, server.password)
        except BaseException:
            smtp.close()
            raise
        return smtp


def _leave(smtp: smtplib.SMTP) -> None:
    """Say goodbye. That this fails changes nothing: the message has been taken, or not, before."""
    try:
        smtp.quit()
    except (smtplib.SMTPException, OSError):
        smtp.close()


def _encrypt(smtp: smtplib.SMTP, context: ssl.SSLContext, *, required: bool) -> None:
    if smtp.has_extn("starttls"):
        smtp.starttls(context=context)
    elif required:
        raise Retryable("the mail server offers no STARTTLS; ?starttls=no in SMTP_URL does without")


def _sign_in(smtp: smtplib.SMTP, user: str, password: str) -> None:
    try:
        smtp.login(user, password)
    except smtplib.SMTPNotSupportedError:
        raise Retryable("the mail server takes no password; leave it out of SMTP_URL") from None


def _by_code(code: int, what: str) -> Exception:
    if code >= _FIRST_PERMANENT:
        return MailRefused(f"the mail server refuses {what} ({code})")
    return Retryable(f"the mail server does not take {what} now ({code})")


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
