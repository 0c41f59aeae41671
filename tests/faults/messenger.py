"""A messenger that is as bad as Pub/Sub may be: deliveries come twice, late, out of order, or are not acknowledged."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import flask
from werkzeug.test import EnvironBuilder

from shared.push import Handler
from tests.faults.plan import FaultDirectory, Plan

Push = Callable[[flask.Request, Handler, str], flask.Response]

TROUBLES = ("twice", "unacknowledged", "refused", "late", "delayed")
"""Handled by two threads at once; handled and answered 500; answered 503 before it is handled; handled, and once more
after later messages; refused until later messages have been handled."""
_MOST_OVERTAKING = 5
# A delayed message that nothing overtakes is let through after this many refusals.
_MOST_DELAYS = 8


@dataclass
class _Kept:
    """A delivery that comes once more, when so many others of its path have come."""

    due: int
    again: Callable[[], None]


@dataclass
class _Memory:
    lock: threading.Lock = field(default_factory=threading.Lock)
    kept: dict[str, list[_Kept]] = field(default_factory=dict)
    due: dict[tuple[str, str], int] = field(default_factory=dict)


class Messenger:
    """Stands before a function's own push entry."""

    def __init__(self, faults: FaultDirectory, push: Push) -> None:
        self._faults = faults
        self._push = push
        self._memory = _Memory()

    def handle(self, request: flask.Request, handler: Handler, project: str) -> flask.Response:
        """Handle a delivery, as the plan's chance for the n-th one of its path wants it."""
        plan = self._faults.plan()
        if plan is None:
            return self._push(request, handler, project)
        path, body = request.path, request.get_data(cache=True)
        number = self._faults.count(plan.run, f"deliveries to {path}")
        message = request.get_json(silent=True) or {}
        message_id = str(message.get("message", {}).get("messageId", ""))
        self._deliver_what_is_due(path, number)

        def once_more() -> flask.Response:
            copy = flask.Request(
                EnvironBuilder(path, method="POST", data=body, headers=_headers(request)).get_environ()
            )
            return self._noted(plan, path, message_id, lambda: self._push(copy, handler, project))

        if self._is_still_delayed(plan, path, message_id, number):
            return _refusal("delayed")
        trouble = self._trouble(plan, path, number)
        if trouble:
            self._faults.log(plan.run, "message", trouble=trouble, path=path, message_id=message_id)
        due = number + plan.luck(path, number).randint(1, _MOST_OVERTAKING)
        if trouble in ("refused", "delayed"):
            if trouble == "delayed":
                with self._memory.lock:
                    self._memory.due[path, message_id] = due
            return _refusal(trouble)
        if trouble == "twice":
            with ThreadPoolExecutor(2) as pool:
                answers = [work.result() for work in [pool.submit(once_more), pool.submit(once_more)]]
            return max(answers, key=lambda answer: answer.status_code)
        answer = once_more()
        if trouble == "late":
            with self._memory.lock:
                self._memory.kept.setdefault(path, []).append(_Kept(due, lambda: self._late(plan, path, once_more)))
        if trouble == "unacknowledged":
            return _refusal("the acknowledgement is lost", status=500)
        return answer

    def _late(self, plan: Plan, path: str, once_more: Callable[[], flask.Response]) -> None:
        status = once_more().status_code
        self._faults.log(plan.run, "message", trouble="came late", path=path, status=status)

    def _trouble(self, plan: Plan, path: str, number: int) -> str | None:
        luck = plan.luck("message", path, number).random()
        for trouble, chance in plan.messages.items():
            luck -= chance
            if luck < 0:
                return trouble
        return None

    def _is_still_delayed(self, plan: Plan, path: str, message_id: str, number: int) -> bool:
        with self._memory.lock:
            if (path, message_id) not in self._memory.due:
                return False
            refusals = self._faults.count(plan.run, f"delays of {message_id} at {path}")
            if number < self._memory.due[path, message_id] and refusals < _MOST_DELAYS:
                return True
            del self._memory.due[path, message_id]
            return False

    def _deliver_what_is_due(self, path: str, number: int) -> None:
        with self._memory.lock:
            kept = self._memory.kept.get(path, [])
            due = [delivery for delivery in kept if delivery.due <= number]
            self._memory.kept[path] = [delivery for delivery in kept if delivery.due > number]
        for delivery in due:
            delivery.again()

    def _noted(self, plan: Plan, path: str, message_id: str, push: Callable[[], flask.Response]) -> flask.Response:
        self._faults.log(plan.run, "begun", path=path, message_id=message_id)
        answer = push()
        text = answer.get_data(as_text=True).strip() if answer.status_code >= 400 else ""
        self._faults.log(plan.run, "answered", path=path, message_id=message_id, status=answer.status_code, text=text)
        return answer


def _refusal(reason: str, *, status: int = 503) -> flask.Response:
    return flask.Response(f"{reason}\n", status=status)


def _headers(request: flask.Request) -> list[tuple[str, str]]:
    return [(name, value) for name, value in request.headers.items() if name.lower() != "content-length"]
