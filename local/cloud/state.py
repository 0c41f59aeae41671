"""What a running cloud leaves on disk for others: a lock, its ports, its addresses.

The lock belongs to the process and goes with it, even by ``kill -9``.  ``cloud.json`` tells other commands
where everything is; it counts only while the lock is held.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import random
import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

# Below the range (32768 and up on Linux) from which outgoing connections get theirs: nothing takes a port
# by chance between two runs, nor while its server is being started again.
_PORTS = range(20000, 30000)
# How long the processes of a cloud that was killed may take to let go of their ports.
_PORT_SECONDS = 3.0
_POLL_SECONDS = 0.05


class AlreadyRunningError(RuntimeError):
    """Another cloud runs on the same state directory."""


@dataclass(frozen=True)
class Addresses:
    """Where the parts of a cloud are: what an application needs to use it.

    ``pubsub_host`` is ``HOST:PORT``, as PUBSUB_EMULATOR_HOST wants it; ``function_urls`` have no slash at the
    end.  ``smtp_url`` is where functions hand mail in, ``inbox_url`` the page that shows it.
    """

    database_url: str
    pubsub_host: str
    storage_url: str
    project: str
    photos_bucket: str
    derived_bucket: str
    smtp_url: str
    inbox_url: str
    function_urls: Mapping[str, str]


class State:
    """A state directory, locked by the one cloud that runs on it."""

    def __init__(self, directory: Path) -> None:
        """``directory`` is made when it is locked."""
        self.directory = directory
        self._lock: IO[str] | None = None
        self._unclean = False

    @property
    def _addresses_path(self) -> Path:
        return self.directory / "cloud.json"

    def lock(self) -> None:
        """Take the directory for this process.

        Raises:
            AlreadyRunningError: another process has it; the message names it.

        """
        if not self.directory.exists():
            self.directory.mkdir(parents=True)
            if os.geteuid() == 0:
                # PostgreSQL runs as another user then, and has to pass through.
                self.directory.chmod(0o711)
        lock = (self.directory / "lock").open("a+", encoding="utf-8")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read().strip() or "unknown"
            lock.close()
            message = (
                f"a cloud runs on {self.directory} already (process {owner}): "
                f"stop it (kill {owner}), or choose another state directory"
            )
            raise AlreadyRunningError(message) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock
        self._unclean = self._addresses_path.exists()
        self._addresses_path.unlink(missing_ok=True)

    def release(self) -> None:
        """Give the directory back; nothing happens if it was not taken."""
        if self._lock is None:
            return
        self._addresses_path.unlink(missing_ok=True)
        self._lock.close()
        self._lock = None

    def publish(self, addresses: Addresses) -> None:
        """Tell other commands where everything is."""
        content = {"pid": os.getpid(), "addresses": asdict(addresses)}
        _write(self._addresses_path, content)

    def ports(self, *names: str) -> dict[str, int]:
        """Choose a free port on the loopback interface for every name: the one it had before, if possible."""
        path = self.directory / "ports.json"
        known: dict[str, int] = {}
        with contextlib.suppress(OSError, ValueError):
            known = json.loads(path.read_text(encoding="utf-8"))
        patience = time.monotonic() + (_PORT_SECONDS if self._unclean else 0)
        chosen: dict[str, int] = {}
        candidates = _candidates()
        for name in names:
            before = known.get(name)
            if before is not None and _is_free_by(before, patience):
                chosen[name] = before
            else:
                taken = {*known.values(), *chosen.values()}
                chosen[name] = next(port for port in candidates if port not in taken and _is_free(port))
        _write(path, {**known, **chosen})
        return chosen

    def secret(self, name: str) -> str:
        """Return a random secret (64 hex digits), the same at every start on this directory."""
        path = self.directory / f"{name}.secret"
        with contextlib.suppress(FileNotFoundError):
            return path.read_text(encoding="ascii")
        made = secrets.token_hex(32)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(made)
        return made


def running(directory: Path) -> Addresses | None:
    """Return the addresses of the cloud that runs on ``directory``; None if there is none or it is starting."""
    try:
        with (directory / "lock").open(encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return None
    except BlockingIOError:
        pass
    except FileNotFoundError:
        return None
    try:
        content = json.loads((directory / "cloud.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return Addresses(**content["addresses"])


def _write(path: Path, content: object) -> None:
    """Write JSON so that a reader sees the old or the new file, never half of one."""
    unfinished = path.with_suffix(".new")
    unfinished.write_text(json.dumps(content, indent=2), encoding="utf-8")
    unfinished.replace(path)


def _candidates() -> Iterator[int]:
    while True:
        yield random.choice(_PORTS)  # noqa: S311 - any port will do


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: connections that are fading out do not keep the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _is_free_by(port: int, deadline: float) -> bool:
    while not _is_free(port):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True
