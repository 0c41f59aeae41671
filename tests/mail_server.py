"""A mail server for tests: real SMTP on the loopback interface; it keeps what it takes, or refuses as it is told."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


@dataclass
class MailServer:
    """``to_recipient`` and ``to_message`` are what it answers instead of taking a recipient or a message."""

    port: int = 0
    to_recipient: str | None = None
    to_message: str | None = None
    mails: list[EmailMessage] = field(default_factory=list)
    # Per mail: whom it was handed in for, and whether that was encrypted and signed in.
    recipients: list[list[str]] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    users: list[str | None] = field(default_factory=list)

    @property
    def url(self) -> str:
        """As SMTP_URL has it."""
        return f"smtp://127.0.0.1:{self.port}"

    async def handle_RCPT(  # noqa: N802 - its name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """A recipient."""
        if self.to_recipient is not None:
            return self.to_recipient
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - its name
        """A message."""
        if self.to_message is not None:
            return self.to_message
        assert isinstance(envelope.content, bytes)
        self.mails.append(message_from_bytes(envelope.content, EmailMessage, policy=default))
        self.recipients.append([str(address) for address in envelope.rcpt_tos])
        self.encrypted.append(session.ssl is not None)
        self.users.append(session.auth_data if isinstance(session.auth_data, str) else None)
        return "250 kept"


class _Controller(Controller):
    """Listens on a port that the system chooses."""

    def _trigger_server(self) -> None:
        assert self.server is not None
        self.port = self.server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        super()._trigger_server()  # type: ignore[no-untyped-call]


@contextmanager
def mail_server(certificate: ssl.SSLContext | None = None, password: str | None = None) -> Iterator[MailServer]:
    """A server that runs; with a certificate it offers STARTTLS, with a password too it wants that of ``user``."""
    server = MailServer()

    def sign_in(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any) -> AuthResult:
        right = isinstance(data, LoginPassword) and (data.login, data.password) == (b"user", (password or "").encode())
        return AuthResult(success=right, handled=False, auth_data="user")

    options: dict[str, Any] = {"tls_context": certificate} if certificate else {}
    if password is not None:
        options |= {"authenticator": sign_in, "auth_required": True}
    controller = _Controller(server, hostname="127.0.0.1", port=0, **options)
    controller.start()
    server.port = controller.port
    try:
        yield server
    finally:
        controller.stop()
