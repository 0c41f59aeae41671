"""The two buses that the contract holds for, and the ways in which they are known to differ."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from google.pubsub_v1 import types

from local.bus import google_emulator
from local.bus.broker import broker_process
from local.bus.setup import BusClient
from local.cloud.processes import Process, Supervisor
from local.cloud.state import State
from tests.not_run import not_run

REPOSITORY = Path(__file__).resolve().parents[2]
PROJECT = "contract"
_BUS = "bus"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Implementation:
    """A bus, and where it is not Pub/Sub.

    ``acknowledging`` are the statuses that end a delivery; Pub/Sub's are 102, 200, 201, 202 and 204.
    """

    name: str
    process: Callable[[int, Path], Process]
    missing: Callable[[], str | None]
    acknowledging: frozenset[int]
    tells_delivery_attempt: bool
    tells_ordering_key: bool
    tells_dead_letter_source: bool
    survives_being_killed: bool


SMALL = Implementation(
    name="small broker",
    process=lambda port, state: broker_process(_BUS, port, state / "broker.sqlite", REPOSITORY),
    missing=lambda: None,
    acknowledging=frozenset({102, 200, 201, 202, 204}),
    tells_delivery_attempt=True,
    tells_ordering_key=True,
    tells_dead_letter_source=True,
    survives_being_killed=True,
)
GOOGLE = Implementation(
    name="Google's Pub/Sub emulator",
    process=lambda port, _: google_emulator.google_process(_BUS, port),
    missing=google_emulator.available,
    acknowledging=frozenset({102, 200, 201, 203, 204}),
    tells_delivery_attempt=False,
    tells_ordering_key=False,
    tells_dead_letter_source=True,
    survives_being_killed=False,
)


class RunningBus:
    """A bus process and a client for it, with topics and subscriptions of their own for every test."""

    def __init__(self, implementation: Implementation, supervisor: Supervisor, host: str) -> None:
        """The process runs already."""
        self.implementation = implementation
        self.host = host
        self.client = BusClient(host, PROJECT)
        self._supervisor = supervisor

    def topic(self) -> str:
        """Create a topic and return its short name."""
        name = f"topic-{next(_numbers)}"
        self.client.publisher.create_topic(name=self.client.topic_path(name))
        return name

    def subscribe(
        self,
        topic: str,
        endpoint: str,
        *,
        backoff: tuple[float, float] = (0.1, 0.5),
        ordered: bool = False,
        dead_letter_topic: str | None = None,
        ack_deadline_seconds: int = 10,
    ) -> str:
        """Create a push subscription to the address ``endpoint`` and return its full name.

        ``backoff`` are the shortest and longest waits in seconds.
        """
        name = self.client.subscription_path(f"subscription-{next(_numbers)}")
        shortest, longest = (timedelta(seconds=seconds) for seconds in backoff)
        subscription = types.Subscription(
            name=name,
            topic=self.client.topic_path(topic),
            push_config=types.PushConfig(push_endpoint=endpoint),
            ack_deadline_seconds=ack_deadline_seconds,
            enable_message_ordering=ordered,
            retry_policy=types.RetryPolicy(minimum_backoff=shortest, maximum_backoff=longest),
        )
        if dead_letter_topic is not None:
            subscription.dead_letter_policy = types.DeadLetterPolicy(
                dead_letter_topic=self.client.topic_path(dead_letter_topic), max_delivery_attempts=5
            )
        self.client.subscriber.create_subscription(request=subscription)
        return name

    def publish(self, topic: str, *contents: bytes, ordering_key: str = "", **attributes: str) -> list[str]:
        """Publish one message for every content, in one request; return their ids."""
        answer = self.client.publisher.publish(
            topic=self.client.topic_path(topic),
            messages=[
                types.PubsubMessage(data=content, attributes=attributes, ordering_key=ordering_key)
                for content in contents
            ],
        )
        return list(answer.message_ids)

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Freeze the process meanwhile: connections to it hang; afterwards it is killed and started again."""
        os.kill(self._supervisor.pids()[_BUS], signal.SIGSTOP)
        try:
            yield
        finally:
            self.kill()

    def kill(self) -> None:
        """Kill the process with -9 and wait until it has been started again."""
        self._supervisor.kill(_BUS)
        self._supervisor.wait_ready(_BUS)
        # A channel that saw its server die waits before it tries again: take a fresh one.
        self.client.close()
        self.client = BusClient(self.host, PROJECT)


def require(implementation: Implementation) -> None:
    """Do not run a test whose bus is not installed, and say what to install; under CI that is a failure."""
    missing = implementation.missing()
    if missing is not None:
        not_run(implementation.name, missing)


@contextlib.contextmanager
def running(implementation: Implementation) -> Iterator[RunningBus]:
    """The bus as a process of its own, ended afterwards."""
    require(implementation)
    with tempfile.TemporaryDirectory(prefix="trombi-bus-") as folder:
        port = State(Path(folder)).ports(_BUS)[_BUS]
        supervisor = Supervisor(Path(folder) / "logs", print)
        try:
            supervisor.start(implementation.process(port, Path(folder)))
            bus = RunningBus(implementation, supervisor, f"127.0.0.1:{port}")
            yield bus
            bus.client.close()
        finally:
            supervisor.stop()
