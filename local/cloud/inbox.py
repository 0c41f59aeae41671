"""An inbox for every address: it takes all mail by SMTP, keeps it as files, and shows it on a page.

Nothing goes out.  A mail is one ``.eml`` file in the folder, written whole or not at all, so that a restart
keeps it; the page lists the newest first, and shows HTML in a frame without scripts, whose links open in a
tab of their own.
"""

from __future__ import annotations

import argparse
import base64
import logging
import re
import signal
import sys
import threading
import time
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any
from uuid import uuid4

import flask
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from werkzeug.serving import make_server

from local.cloud.processes import Process, accepts_connections, answers

_HOST = "127.0.0.1"
_LARGEST_MAIL_BYTES = 32 * 2**20
_NAME = re.compile(r"[0-9]{20}-[0-9a-f]{8}")
_HEAD = re.compile(r"<head[^>]*>", re.IGNORECASE)
_CONTENT_ID = re.compile(r"cid:([^\s\"'<>)]+)")
# The page runs no script; a mail loads nothing at all from elsewhere.
_PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; base-uri 'none'; form-action 'none'"
_MAIL_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; form-action 'none';"
    " sandbox allow-popups allow-popups-to-escape-sandbox"
)
_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 0 auto; padding: 1rem }
li { margin: .5rem 0 } small { opacity: .75 }
pre { white-space: pre-wrap; overflow-wrap: anywhere }
iframe { width: 100%; height: 70vh; border: 1px solid; border-radius: .5rem; background: #fff }
dt { float: left; clear: left; opacity: .75 } dd { margin-left: 7rem }
"""
_LIST = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="5"><title>Inbox</title><style>{{ style|safe }}</style>
<h1>Inbox</h1>
{% if mails %}<ol reversed>{% for mail in mails %}
<li><a href="/mails/{{ mail.name }}">{{ mail.subject or "(no subject)" }}</a><br>
<small>to {{ mail.to }} · {{ mail.date }}</small></li>{% endfor %}</ol>
{% else %}<p>No mail yet. Whatever Trombi sends arrives here, and goes nowhere else.</p>{% endif %}
"""
_MAIL = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{ mail.subject }}</title><style>{{ style|safe }}</style>
<p><a href="/">Inbox</a></p><h1>{{ mail.subject or "(no subject)" }}</h1>
<dl>{% for header, value in mail.headers %}<dt>{{ header }}</dt><dd>{{ value }}</dd>{% endfor %}</dl>
{% if mail.html %}<iframe sandbox="allow-popups allow-popups-to-escape-sandbox" title="The mail as HTML"
 src="/mails/{{ mail.name }}/html"></iframe>{% endif %}
<h2>As plain text</h2><pre>{{ mail.text|urlize(target="_blank", rel="noopener noreferrer") }}</pre>
<p><a href="/mails/{{ mail.name }}/eml">The file</a></p>
"""


@dataclass(frozen=True)
class Mail:
    """One mail as it is shown; ``html`` has its images inside, as data."""

    name: str
    to: str
    subject: str
    date: str
    headers: tuple[tuple[str, str], ...]
    text: str
    html: str


class Mails:
    """The folder of ``.eml`` files, named by the time of their coming."""

    def __init__(self, folder: Path) -> None:
        """``folder`` is made if it does not exist."""
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # mails hold links that open invitations

    def keep(self, content: bytes) -> None:
        """Write a mail."""
        name = f"{time.time_ns():020}-{uuid4().hex[:8]}"
        unfinished = self._folder / f"{name}.new"
        unfinished.write_bytes(content)
        unfinished.rename(self._folder / f"{name}.eml")

    def names(self) -> list[str]:
        """Return the mails' names, the newest first."""
        return sorted((path.stem for path in self._folder.glob("*.eml")), reverse=True)

    def content(self, name: str) -> bytes | None:
        """Return the mail's bytes; None when there is no such mail."""
        if _NAME.fullmatch(name) is None:
            return None
        path = self._folder / f"{name}.eml"
        return path.read_bytes() if path.is_file() else None

    def mail(self, name: str) -> Mail | None:
        """Return the mail as it is shown; None when there is no such mail."""
        content = self.content(name)
        if content is None:
            return None
        message = message_from_bytes(content, EmailMessage, policy=default)
        headers = ("From", "To", "Reply-To", "Subject", "Date", "Message-ID")
        text, html = message.get_body(("plain",)), message.get_body(("html",))
        return Mail(
            name=name,
            to=str(message.get("To", "")),
            subject=str(message.get("Subject", "")),
            date=str(message.get("Date", "")),
            headers=tuple((header, str(message[header])) for header in headers if message[header]),
            text=_content(text),
            html=_with_images(_content(html), message),
        )


def inbox_process(name: str, port: int, smtp_port: int, folder: Path, directory: Path) -> Process:
    """Describe the inbox's process: page on ``port``, SMTP on ``smtp_port``, run in ``directory``."""
    return Process(
        name=name,
        command=(
            *(sys.executable, "-m", "local.cloud.inbox", "--port", str(port), "--smtp-port", str(smtp_port)),
            *("--folder", str(folder)),
        ),
        is_ready=lambda: accepts_connections(smtp_port) and answers(f"http://{_HOST}:{port}/"),
        directory=directory,
    )


def page(mails: Mails) -> flask.Flask:
    """Make the web page."""
    site = flask.Flask("inbox", static_folder=None)

    @site.get("/")
    def all_mails() -> str:
        shown = [mail for name in mails.names() if (mail := mails.mail(name)) is not None]
        return flask.render_template_string(_LIST, mails=shown, style=_STYLE)

    @site.get("/mails/<name>")
    def one_mail(name: str) -> str:
        return flask.render_template_string(_MAIL, mail=_found(mails.mail(name)), style=_STYLE)

    @site.get("/mails/<name>/html")
    def html(name: str) -> flask.Response:
        body = _HEAD.sub(r'\g<0><base target="_blank">', _found(mails.mail(name)).html, count=1)
        return flask.Response(body, headers={"Content-Security-Policy": _MAIL_POLICY})

    @site.get("/mails/<name>/eml")
    def file(name: str) -> flask.Response:
        disposition = {"Content-Disposition": f'attachment; filename="{name}.eml"'}
        return flask.Response(_found(mails.content(name)), headers=disposition, mimetype="message/rfc822")

    @site.after_request
    def protect(response: flask.Response) -> flask.Response:
        response.headers.setdefault("Content-Security-Policy", _PAGE_POLICY)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cache-Control"] = "no-store"
        return response

    return site


def _found(value: Any) -> Any:  # noqa: ANN401 - what comes in goes out
    if value is None:
        flask.abort(404)
    return value


def _content(part: Any) -> str:  # noqa: ANN401 - the standard library's types are wide here
    return str(part.get_content()) if part is not None else ""


def _with_images(html: str, message: EmailMessage) -> str:
    """Replace ``cid:`` URLs in the HTML by the images themselves."""
    images = {
        str(part["Content-ID"]).strip("<>"): (part.get_content_type(), part.get_payload(decode=True))
        for part in message.walk()
        if part["Content-ID"] and part.get_content_maintype() == "image"
    }

    def inside(found: re.Match[str]) -> str:
        if found[1] not in images:
            return found[0]
        kind, content = images[found[1]]
        return f"data:{kind};base64,{base64.b64encode(content).decode()}"  # type: ignore[arg-type]  # decoded: bytes

    return _CONTENT_ID.sub(inside, html)


class _Handler:
    """What aiosmtpd calls with every mail."""

    def __init__(self, mails: Mails) -> None:
        self._mails = mails

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - its name
        """Keep the mail; answered only once it is on disk."""
        content = envelope.content
        self._mails.keep(content if isinstance(content, bytes) else str(content).encode())
        return "250 kept"


def serve(port: int, smtp_port: int, folder: Path) -> None:
    """Take mail and show it, on the loopback interface, until SIGTERM or SIGINT."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # the list asks for itself every few seconds
    mails = Mails(folder)
    controller = Controller(
        _Handler(mails), hostname=_HOST, port=smtp_port, data_size_limit=_LARGEST_MAIL_BYTES, ident="Trombi inbox"
    )
    server = make_server(_HOST, port, page(mails), threaded=True)
    for number in (signal.SIGTERM, signal.SIGINT):
        # From another thread: this one is in serve_forever, which shutdown() waits for.
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    controller.start()
    try:
        server.serve_forever()
    finally:
        controller.stop()
        server.server_close()


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m local.cloud.inbox", description="An inbox for every address.")
    parser.add_argument("--port", type=int, required=True, help="the page's port on 127.0.0.1")
    parser.add_argument("--smtp-port", type=int, required=True, help="the SMTP port on 127.0.0.1")
    parser.add_argument("--folder", type=Path, required=True, help="where mails are kept, made if it does not exist")
    arguments = parser.parse_args()
    serve(arguments.port, arguments.smtp_port, arguments.folder)


if __name__ == "__main__":
    main()
