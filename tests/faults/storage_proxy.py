"""A wire between the functions and storage that damages what is read.

As Cloud Storage itself, and unlike its emulator, it tells no checksum with a part of an object.
"""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from urllib.parse import urlsplit

DAMAGES = ("flipped", "flipped and cut", "shortened", "cut", "stalled", "refused")
"""One byte is another; one is, and the connection breaks after it; the end is missing and the length says so too; the
connection breaks in the middle; nothing comes after the middle; the connection breaks before anything comes."""
_LONGEST_STALL_SECONDS = 60
_OFF = {"host", "connection", "transfer-encoding", "content-length", "keep-alive"}


class StorageProxy:
    """Passes everything on; `damage` makes it damage reads."""

    def __init__(self) -> None:
        self.upstream = ""
        self.done: Counter[str] = Counter()
        self._kinds: Sequence[str] = ()
        self._luck = Random(0)
        self._most = 0
        self._of_object: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.released = threading.Event()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Stop."""
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @contextlib.contextmanager
    def damage(self, seed: int, kinds: Sequence[str] = DAMAGES, most_each: int = 2) -> Iterator[None]:
        """The first ``most_each`` reads of every object are damaged, in a way that ``seed`` chooses."""
        self.done.clear()
        self._of_object.clear()
        self._luck, self._kinds, self._most = Random(seed), tuple(kinds), most_each
        self.released.clear()
        try:
            yield
        finally:
            self._kinds = ()
            self.released.set()

    def next_damage(self, name: str) -> tuple[str | None, float]:
        """What to do to this read of an object, and where in it."""
        with self._lock:
            if not self._kinds or self._of_object[name] >= self._most:
                return None, 0.0
            self._of_object[name] += 1
            kind = self._luck.choice(self._kinds)
            self.done[kind] += 1
            return kind, self._luck.random()


class _Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def handle_one_request(self) -> None:
        """A client that has left is none of our business."""
        with contextlib.suppress(ConnectionError):
            super().handle_one_request()

    def _pass_on(self) -> None:
        proxy = self.server.proxy
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(proxy.upstream)
        upstream = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _OFF}
            upstream.request(self.command, self.path, body, headers)
            answer = upstream.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            self.close_connection = True
            return
        finally:
            upstream.close()
        is_read = self.command == "GET" and self.path.startswith("/download/") and answer.status < 300
        kind, place = proxy.next_damage(self.path.split("?")[0]) if is_read and content else (None, 0.0)
        if kind == "refused":
            self.close_connection = True
            return
        content, end = _damaged(content, kind, place)
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            is_checksum_of_a_part = answer.status == 206 and name.lower() == "x-goog-hash"
            if name.lower() not in _OFF and not is_checksum_of_a_part:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[:end])
        if end < len(content):
            self.wfile.flush()
            if kind == "stalled":
                proxy.released.wait(_LONGEST_STALL_SECONDS)
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = _pass_on  # noqa: N815 - http.server's names

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, proxy: StorageProxy) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.proxy = proxy


def _damaged(content: bytes, kind: str | None, place: float) -> tuple[bytes, int]:
    """What is sent instead of ``content``, and after how much of it the connection breaks or stalls."""
    middle = int(place * len(content))
    if kind == "shortened":
        return content[:middle], middle
    if kind in ("flipped", "flipped and cut"):
        content = content[:middle] + bytes([content[middle] ^ 0x40]) + content[middle + 1 :]
    if kind == "flipped and cut":
        return content, max(middle + (len(content) - middle) // 2, middle + 1)
    return content, middle if kind in ("cut", "stalled") else len(content)
