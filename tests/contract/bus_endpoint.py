"""An HTTP server for tests to be pushed to: it keeps every push and answers as it is told."""

from __future__ import annotations

import base64
import json
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

# How long a test waits for a push that has to come. Google's emulator takes up to 13 s for dead letters.
PATIENCE_SECONDS = 40.0


@dataclass(frozen=True)
class Push:
    """One request: its path, its decoded envelope, and when it came (``time.monotonic``)."""

    path: str
    content_type: str
    envelope: dict[str, Any]
    at: float

    @property
    def message(self) -> dict[str, Any]:
        """The message within the envelope."""
        message: dict[str, Any] = self.envelope["message"]
        return message

    @property
    def data(self) -> bytes:
        """The message's decoded data."""
        return base64.b64decode(self.message.get("data", ""))

    @property
    def attributes(self) -> dict[str, str]:
        """The message's attributes."""
        return dict(self.message.get("attributes", {}))


Answer = Callable[[Push], int | None]


def accept(_: Push) -> int:
    """Acknowledge."""
    return 204


class Endpoint:
    """Listens on a free port of the loopback interface, or on ``port``, while it is open.

    ``answer`` is called for every push and returns the status; None leaves the push without an answer for as
    long as the endpoint is open.  It may be replaced at any time.
    """

    def __init__(self, answer: Answer = accept, port: int = 0) -> None:
        """Listen at once."""
        self.answer = answer
        self.pushes: queue.Queue[Push] = queue.Queue()
        self._closing = threading.Event()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                body = json.loads(self.rfile.read(length))
                push = Push(self.path, self.headers["Content-Type"], body, time.monotonic())
                endpoint.pushes.put(push)
                status = endpoint.answer(push)
                if status is None:
                    endpoint._closing.wait()
                    return
                self.send_response(status)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            request_queue_size = 128

        self._server = Server(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._server.server_port

    @property
    def url(self) -> str:
        """Its address, with a path of its own."""
        return f"http://127.0.0.1:{self.port}/pushed"

    def next(self, seconds: float = PATIENCE_SECONDS) -> Push:
        """The next push, waited for."""
        try:
            return self.pushes.get(timeout=seconds)
        except queue.Empty:
            message = f"nothing was pushed within {seconds:.0f} s"
            raise AssertionError(message) from None

    def until(self, wanted: Callable[[Push], bool]) -> list[Push]:
        """The pushes up to and with the first that is ``wanted``."""
        pushes = [self.next()]
        while not wanted(pushes[-1]):
            pushes.append(self.next())
        return pushes

    def close(self) -> None:
        """Stop listening."""
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        """Listen already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()
