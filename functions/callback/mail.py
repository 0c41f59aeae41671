"""Compose mails and hand them to an SMTP server."""

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

# For each SMTP command; all of them together stay well within the subscription's ack deadline of a minute.
_TIMEOUT_SECONDS = 8.0
_SUBMISSION_PORT, _SMTPS_PORT = 587, 465
_FIRST_PERMANENT = 500

Encryption = Literal["tls", "starttls", "where_offered", "none"]


class MailRefused(TrombiError):
    """The mail server refuses this mail for good; the text holds no address."""


@dataclass(frozen=True)
class SmtpServer:
    """The SMTP server to send mail through.

    ``encryption``: ``tls`` from the start, ``starttls`` required, STARTTLS ``where_offered``, or ``none``.
    """

    host: str
    port: int
    encryption: Encryption
    user: str | None = None
    password: str = field(default="", repr=False)


@dataclass(frozen=True)
class InlineImage:
    """An image of the HTML part, which refers to it as ``cid:NAME``; ``jpeg`` is the file's bytes."""

    name: str
    jpeg: bytes = field(repr=False)


@dataclass(frozen=True)
class MailContent:
    """A mail's content: its subject (one line), and the same text as plain text and as HTML."""

    language: str
    subject: str
    text: str
    html: str
    images: Sequence[InlineImage] = ()


class Mailer(Protocol):
    """Sends composed messages."""

    def send(self, message: EmailMessage) -> None:
        """Send one composed message.

        Raises:
            Retryable: the server is unavailable or busy, or refuses the connection's credentials or sender (an operator
                can correct that while the message is retried).
            MailRefused: the server refuses this message for good.
        """
        ...


def parse_smtp_url(url: str) -> SmtpServer:
    """Parse ``smtp://user:password@host:port`` or ``smtps://user:password@host:port``.

    ``smtp`` uses STARTTLS, which is required unless the host is this machine; ``?starttls=no`` turns it off. The ports
    default to 587 and 465.

    Raises:
        ValueError: the URL is not of this form; says what is wrong, without any part of the password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("not a URL with a host and a port") from None
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise ValueError("must be smtp://user:password@host:port or smtps://user:password@host:port")
    if parts.path not in ("", "/") or parts.fragment:
        raise ValueError("must end after the host and port (in a password, write / as %2F, # as %23 and ? as %3F)")
    options = parse_qs(parts.query, keep_blank_values=True)
    starttls = options.pop("starttls", ["yes"])
    if options or starttls not in (["yes"], ["no"]):
        raise ValueError("has an unknown option: the only one is ?starttls=no")
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
    content: MailContent, *, sender: Address, to: str, message_id: str, now: datetime, reply_to: str | None = None
) -> EmailMessage:
    """Compose the message: plain text, and HTML with its images.

    ``message_id`` is the part of the Message-ID before the @.

    Raises:
        MailRefused: ``to`` is not a mail address.
    """
    message = EmailMessage(policy=SMTP)
    try:
        message["To"] = parse_mailbox(to)
    except ValueError:
        raise MailRefused("the recipient is not a mail address") from None
    message["From"] = sender
    if reply_to is not None:
        message["Reply-To"] = parse_mailbox(reply_to)
    message["Subject"] = content.subject
    message["Date"] = format_datetime(now)
    message["Message-ID"] = f"<{message_id}@{sender.domain}>"
    message["Content-Language"] = content.language
    # Asks mail programs not to send automatic replies, such as out-of-office notices (RFC 3834).
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(content.text, cte="quoted-printable")
    message.add_alternative(content.html, subtype="html", cte="quoted-printable")
    html = message.get_payload()[-1]  # type: ignore[index]  # two alternatives: this is a list
    for image in content.images:
        html.add_related(  # type: ignore[union-attr]
            image.jpeg, "image", "jpeg", cid=f"<{image.name}>", disposition="inline", filename=f"{image.name}.jpg"
        )
    return message


class SmtpMailer:
    """Sends mail through an SMTP server, with one connection for each message."""

    def __init__(self, server: SmtpServer) -> None:
        self._server = server

    def send(self, message: EmailMessage) -> None:
        """Send one composed message; see `Mailer`. The server's own texts are not repeated: they may name addresses."""
        try:
            smtp = self._connect()
            try:
                smtp.send_message(message)
            finally:
                _quit(smtp)
        except smtplib.SMTPRecipientsRefused as error:
            raise _by_code(next(iter(error.recipients.values()))[0], "the recipient") from None
        except smtplib.SMTPDataError as error:
            raise _by_code(error.smtp_code, "the message") from None
        except smtplib.SMTPNotSupportedError:
            # Raised here for SMTPUTF8 only: `_connect` reports a missing STARTTLS or login.
            raise MailRefused("the mail server does not support international addresses") from None
        except smtplib.SMTPResponseException as error:
            # The host name, password or sender was refused: the bus keeps the message until the operator corrects it.
            problem = f"the mail server refuses the connection or sender ({type(error).__name__} {error.smtp_code})"
            raise Retryable(problem) from None
        except (smtplib.SMTPException, OSError) as error:
            raise Retryable(f"the mail server is unavailable or busy ({type(error).__name__})") from None

    def _connect(self) -> smtplib.SMTP:
        """Connect, encrypt the connection and log in, as the settings require."""
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
                _log_in(smtp, server.user, server.password)
        except BaseException:
            smtp.close()
            raise
        return smtp


def _quit(smtp: smtplib.SMTP) -> None:
    """Close the session. Errors are ignored: the message was accepted or refused before."""
    try:
        smtp.quit()
    except (smtplib.SMTPException, OSError):
        smtp.close()


def _encrypt(smtp: smtplib.SMTP, context: ssl.SSLContext, *, required: bool) -> None:
    if smtp.has_extn("starttls"):
        smtp.starttls(context=context)
    elif required:
        raise Retryable("the mail server offers no STARTTLS; ?starttls=no in SMTP_URL sends mail without it")


def _log_in(smtp: smtplib.SMTP, user: str, password: str) -> None:
    try:
        smtp.login(user, password)
    except smtplib.SMTPNotSupportedError:
        raise Retryable("the mail server supports no login; remove user and password from SMTP_URL") from None


def _by_code(code: int, what: str) -> Exception:
    if code >= _FIRST_PERMANENT:
        return MailRefused(f"the mail server refuses {what} ({code})")
    return Retryable(f"the mail server does not accept {what} at the moment ({code})")


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
