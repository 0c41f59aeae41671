"""Child processes that are ready before they are used, come back when they die, and never outlive us.

On Linux every child is on a *leash* (``leash.py``): the kernel ends it when the thread that spawned it ends,
so even ``kill -9`` of the owner leaves nothing behind.  The signal follows the spawning *thread*, hence one
keeper thread a process, which lives exactly as long as its process is wanted.  On other systems ``atexit``
ends the children; a killed owner leaves them there.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from local.cloud import leash
from local.cloud.restarts import Restarts
from shared.service import BAD_SETTINGS_STATUS

Report = Callable[[str], None]

_POLL_SECONDS = 0.05
_READY_SECONDS = 60.0
_STOP_SECONDS = 5.0
_TAIL_LINES = 20
# Loopback is never behind a proxy, whatever the environment says.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ProcessFailedError(RuntimeError):
    """A process could not be started, has wrong settings, or keeps dying; the message has the end of its log."""


def accepts_connections(port: int) -> bool:
    """Whether something listens on ``port`` of the loopback interface."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def answers(url: str) -> bool:
    """Whether a GET of ``url`` is answered with 200."""
    try:
        with _DIRECT.open(url, timeout=2) as response:
            return bool(response.status == 200)  # noqa: PLR2004 - HTTP's OK
    except OSError:
        return False


@dataclass(frozen=True)
class Process:
    """What to run and how to know that it is ready.

    ``environment`` is added to this process's own.  ``on_ready`` is called after every start, the first and
    each restart, before the process counts as ready; what it raises is a failed start.  ``stop_signal`` asks
    for an orderly end; ``orphan_signal`` is what the kernel sends when the owner has died.  ``user`` is
    (uid, gid) to run as, for a program that refuses root.
    """

    name: str
    command: tuple[str, ...]
    is_ready: Callable[[], bool]
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: Path = Path("/")
    on_ready: Callable[[], None] | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    orphan_signal: signal.Signals = signal.SIGKILL
    user: tuple[int, int] | None = None


def leashed(command: Iterable[str], orphan_signal: signal.Signals, user: tuple[int, int] | None = None) -> list[str]:
    """``command`` so that it ends with this process's calling thread, run as ``user`` (uid, gid) if given."""
    uid, gid = user if user is not None else (os.geteuid(), os.getegid())
    return [
        *(sys.executable, "-I", "-S", leash.__file__),
        *(str(number) for number in (os.getpid(), int(orphan_signal), uid, gid)),
        *command,
    ]


class _Keeper(threading.Thread):
    """Spawns one process, waits for its end, spawns it again; all in one thread (see the module's text)."""

    def __init__(self, process: Process, log: Path, report: Report, failed: Callable[[str], None]) -> None:
        super().__init__(name=f"keeper of {process.name}", daemon=True)
        self.process = process
        self.log = log
        self.ready = threading.Event()
        self.starts = 0
        self._report = report
        self._failed = failed
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self._log_offset = 0
        self.failure: str | None = None

    @property
    def pid(self) -> int | None:
        """The process id of the running child, None between two lives."""
        child = self._child
        return child.pid if child is not None and child.returncode is None else None

    def run(self) -> None:
        """Keep the process alive until it is stopped or keeps dying."""
        restarts = Restarts()
        while not self._stopping.is_set():
            try:
                child = self._spawn()
            except OSError as error:
                self._give_up(f"{self.process.name} cannot be started: {error}")
                return
            ready_since = time.monotonic() if self._await_ready(child) else None
            returncode = child.wait()
            with self._changed:
                self.ready.clear()
            _end_group(child.pid)
            if self._stopping.is_set():
                return
            if returncode == BAD_SETTINGS_STATUS:
                self._give_up(self.last_line())
                return
            pause = restarts.pause_after_death(time.monotonic(), ready_since)
            if pause is None:
                self._give_up(f"{self.process.name} keeps dying ({_ending(returncode)})\n{self.tail()}")
                return
            self._report(f"{self.process.name} {_ending(returncode)}: starting it again")
            self._stopping.wait(pause)

    def _spawn(self) -> subprocess.Popen[bytes]:
        process = self.process
        with self.log.open("ab") as log:
            self._log_offset = log.tell()
            child = subprocess.Popen(
                leashed(process.command, process.orphan_signal, process.user),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=process.directory,
                env={**os.environ, **process.environment},
                start_new_session=True,
            )
        with self._changed:
            self._child = child
            self.starts += 1
            stop_now = self._stopping.is_set()
        if stop_now:
            self.signal(signal.SIGKILL)
        return child

    def _await_ready(self, child: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + _READY_SECONDS
        while child.poll() is None and not self._stopping.is_set():
            if self.process.is_ready():
                return self._become_ready()
            if time.monotonic() > deadline:
                self._report(f"{self.process.name} was not ready after {_READY_SECONDS:.0f} s")
                self.signal(signal.SIGKILL)
                return False
            self._stopping.wait(_POLL_SECONDS)
        return False

    def _become_ready(self) -> bool:
        if self.process.on_ready is not None:
            try:
                self.process.on_ready()
            except Exception as error:  # noqa: BLE001 - whatever it was, the process is not usable
                self._report(f"{self.process.name} started but could not be set up: {error!r}")
                self.signal(signal.SIGKILL)
                return False
        with self._changed:
            # kill() may have come in between: then this life is over already.
            child = self._child
            if child is not None and child.poll() is None:
                self.ready.set()
        return True

    def _give_up(self, message: str) -> None:
        self.failure = message
        self._failed(message)

    def tail(self) -> str:
        """Return the last lines that the process has written since its last start."""
        lines = self._lines()[-_TAIL_LINES:]
        return "\n".join([f"last lines of {self.log}:", *(f"  {line}" for line in lines)])

    def last_line(self) -> str:
        """Return the last line since the last start: for wrong settings, the one that names them."""
        return next(reversed(self._lines()), f"{self.process.name} has wrong settings")

    def _lines(self) -> list[str]:
        with self.log.open("rb") as log:
            log.seek(self._log_offset)
            return log.read().decode("utf-8", "replace").splitlines()

    def signal(self, number: signal.Signals, *, group: bool = True) -> None:
        """Send ``number`` to the child and, with ``group``, to everything that it started."""
        with self._changed:
            child = self._child
            if child is None or child.returncode is not None:
                return
            if number is signal.SIGKILL:
                self.ready.clear()
            with contextlib.suppress(ProcessLookupError):
                if group:
                    os.killpg(child.pid, number)
                else:
                    os.kill(child.pid, number)

    def stop(self, seconds: float) -> None:
        """End the process: ask, wait for at most ``seconds``, then kill."""
        self._stopping.set()
        # Only the head of the group is asked: it ends its own children in its own order.
        self.signal(self.process.stop_signal, group=False)
        self.join(seconds)
        if self.is_alive():
            self._report(f"{self.process.name} did not end within {seconds:.0f} s: killed")
            self.signal(signal.SIGKILL)
            self.join()


class Supervisor:
    """Starts named processes, restarts the ones that die, stops all of them in order.

    Everything a process prints goes to ``logs/NAME.log`` (the run before: ``NAME.log.1``).
    """

    def __init__(self, logs: Path, report: Report) -> None:
        """``report`` receives one line for everything worth telling: restarts, failures."""
        self._logs = logs
        self._report = report
        self._keepers: dict[str, _Keeper] = {}
        self._failures: list[str] = []
        self._failed = threading.Event()
        self._lock = threading.Lock()
        self._stopped = False
        logs.mkdir(parents=True, exist_ok=True)
        atexit.register(self.stop)

    def start(self, process: Process) -> None:
        """Start ``process`` and return once it is ready.  Different processes may be started by threads.

        Raises:
            ProcessFailedError: it died again and again without becoming ready, or at once of wrong settings.
            ValueError: a process of that name runs already.

        """
        log = self._logs / f"{process.name}.log"
        with self._lock:
            if self._stopped:
                message = f"{process.name} is not started: everything is being stopped"
                raise ProcessFailedError(message)
            if process.name in self._keepers:
                message = f"{process.name} runs already"
                raise ValueError(message)
            if log.exists():
                log.replace(log.with_suffix(".log.1"))
            keeper = _Keeper(process, log, self._report, self._note_failure)
            self._keepers[process.name] = keeper
            keeper.start()
        self.wait_ready(process.name)

    def wait_ready(self, name: str, seconds: float = 2 * _READY_SECONDS) -> None:
        """Wait until the process ``name`` is ready, for instance again after :meth:`kill`.

        Raises:
            ProcessFailedError: it keeps dying.
            TimeoutError: not ready after ``seconds``.

        """
        keeper = self._keepers[name]
        deadline = time.monotonic() + seconds
        while not keeper.ready.wait(_POLL_SECONDS):
            if keeper.failure is not None:
                raise ProcessFailedError(keeper.failure)
            if not keeper.is_alive():
                message = f"{name} was stopped before it was ready"
                raise ProcessFailedError(message)
            if time.monotonic() > deadline:
                message = f"{name} is not ready after {seconds:.0f} s\n{keeper.tail()}"
                raise TimeoutError(message)

    def kill(self, name: str) -> None:
        """Kill ``name`` and everything it started, at once and without warning; it comes back by itself."""
        self._keepers[name].signal(signal.SIGKILL)

    def pids(self) -> Mapping[str, int]:
        """Return the process id of every running process."""
        return {name: keeper.pid for name, keeper in self._keepers.items() if keeper.pid is not None}

    def starts(self, name: str) -> int:
        """How often ``name`` has been started so far."""
        return self._keepers[name].starts

    def wait_for_failure(self, seconds: float) -> None:
        """Watch for ``seconds``.

        Raises:
            ProcessFailedError: a process keeps dying.

        """
        if self._failed.wait(seconds):
            raise ProcessFailedError("\n".join(self._failures))

    def stop(self, *layers: Iterable[str], seconds: float = _STOP_SECONDS) -> None:
        """Stop everything: layer by layer, the processes of one layer together, then whatever is left."""
        with self._lock:
            self._stopped = True
        left = set(self._keepers) - {name for layer in layers for name in layer}
        for layer in (*layers, left):
            stoppers = [
                threading.Thread(target=self._keepers[name].stop, args=(seconds,))
                for name in layer
                if name in self._keepers
            ]
            for stopper in stoppers:
                stopper.start()
            for stopper in stoppers:
                stopper.join()
        atexit.unregister(self.stop)

    def _note_failure(self, message: str) -> None:
        self._failures.append(message)
        self._report(message)
        self._failed.set()


def _end_group(leader: int) -> None:
    """Kill what a process that has ended left in its group: a server's workers, for instance."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _ending(returncode: int) -> str:
    if returncode < 0:
        return f"was ended by {signal.Signals(-returncode).name}"
    return f"ended with status {returncode}"
