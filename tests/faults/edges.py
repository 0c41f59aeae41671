"""Where a function touches the world, every touch a named step at which its process may die.

`watch` is called by the wrappers in ``functions/`` before the real function makes anything.  It changes the classes
that the product touches the world with; the product itself knows nothing of it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any

import flask
import psutil
from google.cloud.storage.retry import DEFAULT_RETRY

from shared import database, publish, service, storage
from shared.database import Connection, Database
from shared.publish import PubSubPublisher
from shared.push import Handler
from shared.storage import CloudStorage
from tests.faults.messenger import Messenger
from tests.faults.plan import PATIENCE, FaultDirectory

# What the supervisor of the emulated cloud starts again only after a pause, and not for ever.
_LEAST_SECONDS_BETWEEN_SERVER_DEATHS = 4.0
# What opens a transaction for somebody else.
_NOT_CALLERS = (__name__, "contextlib", "functions.admin.door.resources")


class Steps:
    """The steps of one process."""

    def __init__(self, function: str, faults: FaultDirectory) -> None:
        self._function = function
        self._faults = faults
        self._local = threading.local()

    def begin(self) -> None:
        """A delivery begins: what is done once more within it is told apart from the first time."""
        self._local.seen = Counter[str]()

    def again(self, name: str) -> str:
        """``name``, or with "again" when this delivery did the same before."""
        seen: Counter[str] = getattr(self._local, "seen", None) or Counter()
        seen[name] += 1
        self._local.seen = seen
        return name if seen[name] == 1 else f"{name} again"

    def take(self, name: str) -> None:
        """Pass a step, or die at it."""
        plan = self._faults.plan()
        if plan is None:
            return
        step = f"{self._function}: {name}"
        passing = self._faults.count(plan.run, step)
        self._faults.log(plan.run, "passed", step=step)
        dies = plan.kill_once and passing >= plan.kills_at(step) and not self._faults.has_killed(plan.run, step)
        if plan.kill_chance and plan.luck("kill", step, passing).random() < plan.kill_chance:
            dies = self._faults.count(plan.run, "kills by chance") <= plan.most_kills
        if dies:
            server = plan.luck("server", step, passing).random() < plan.whole_function and self._may_take_server()
            self._faults.note_kill(plan.run, step, server=server)
            if server:
                os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)

    def _may_take_server(self) -> bool:
        """Not while the server is young: one that dies again and again is rightly given up by its supervisor."""
        return time.time() - psutil.Process(os.getppid()).create_time() > _LEAST_SECONDS_BETWEEN_SERVER_DEATHS


def _around(steps: Steps, method: Callable[..., Any], name: Callable[..., str]) -> Callable[..., Any]:
    @wraps(method)
    def watched(*arguments: Any, **options: Any) -> Any:
        what = steps.again(name(*arguments))
        steps.take(f"before {what}")
        result = method(*arguments, **options)
        steps.take(f"after {what}")
        return result

    return watched


def _caller() -> str:
    """The function that opened the transaction: of all frames the first that is neither ours nor contextlib's."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__") in _NOT_CALLERS:
        frame = frame.f_back
    module = str(frame.f_globals.get("__name__", "")).rsplit(".", 1)[-1]
    return f"{module}.{frame.f_code.co_name.strip('_')}"


def watch(function: str) -> Steps:
    """Make steps of everything that ``function`` does to the world; returns them for what only it does."""
    faults = FaultDirectory.from_environment()
    steps = Steps(function, faults)
    transaction = Database.transaction

    @contextmanager
    def watched_transaction(self: Database) -> Iterator[Connection]:
        name = steps.again(_caller())
        steps.take(f"before the transaction of {name}")
        with transaction(self) as connection:
            yield connection
            steps.take(f"before the commit of {name}")
        steps.take(f"after the commit of {name}")

    classes: list[tuple[type, str, Callable[..., str]]] = [
        (PubSubPublisher, "publish", lambda _self, topic, *_: f"publishing to {topic}"),
        (CloudStorage, "generation", lambda *_: "asking for a generation"),
        (CloudStorage, "list_objects", lambda *_: "listing objects"),
        (CloudStorage, "read", lambda *_: "reading an object"),
        (CloudStorage, "write", lambda *_: "writing an object"),
        (CloudStorage, "delete_prefix", lambda *_: "deleting objects"),
    ]
    for owner, method, name in classes:
        setattr(owner, method, _around(steps, getattr(owner, method), name))
    Database.transaction = watched_transaction  # type: ignore[method-assign]
    service.handle_push = _watched_push(steps, Messenger(faults, service.handle_push))  # type: ignore[assignment,attr-defined]
    _shorten_patience()
    return steps


def _watched_push(steps: Steps, messenger: Messenger) -> Callable[[flask.Request, Handler, str], flask.Response]:
    def handle(request: flask.Request, handler: Handler, project: str) -> flask.Response:
        steps.begin()
        path = request.path
        steps.take(f"before handling {path}")
        answer = messenger.handle(request, handler, project)
        steps.take(f"before answering {path}")
        answer.call_on_close(lambda: steps.take(f"after answering {path}"))
        return answer

    return handle


def _shorten_patience() -> None:
    """With `PATIENCE` in the environment (seconds) nothing waits longer than that: for tests of what is away."""
    seconds = os.environ.get(PATIENCE)
    if seconds is None:
        return
    values: Mapping[tuple[Any, str], Any] = {
        (database, "_LOCK_TIMEOUT"): f"{float(seconds):.1f}s",
        (database, "_POOL_TIMEOUT_SECONDS"): float(seconds),
        (storage, "_TIMEOUT_SECONDS"): float(seconds),
        (publish, "_PUBLISH_TIMEOUT_SECONDS"): float(seconds),
    }
    for (module, name), value in values.items():
        getattr(module, name)  # it is still called that
        setattr(module, name, value)
    DEFAULT_RETRY._timeout = float(seconds)
