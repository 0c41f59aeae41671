"""How long a process that dies is started again: by time, never by how often it died."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from local.cloud import processes
from local.cloud.processes import Process
from tests.faults.faulty_cloud import PATIENCE_SECONDS, quick_bus


@dataclass
class World:
    """A clock that only waiting moves, and a process whose lives the test describes.

    It cannot start before ``room_at``; each attempt takes ``dies_after`` seconds. ``ready_for``: how long a life lasts
    that could start.
    """

    dies_after: float
    room_at: float
    ready_for: float
    now: float = 0.0
    starts: int = 0
    pauses: tuple[float, ...] = ()


def quiet(_: str) -> None:
    """Tell nobody."""


def kept(monkeypatch: pytest.MonkeyPatch, world: World, *, was_ready: bool, until: float) -> str | None:
    """Let the keeper keep the process ``until`` a moment; why it gave the process up, or None."""
    monkeypatch.setattr(processes, "time", SimpleNamespace(monotonic=lambda: world.now))
    monkeypatch.setattr(processes, "_end_group", lambda _: None)

    class Child:
        pid = 1
        returncode: int | None = None

        def __init__(self) -> None:
            world.starts += 1
            self.has_room = (was_ready and world.starts == 1) or world.now >= world.room_at

        def poll(self) -> int | None:
            return None if self.has_room else 1

        def wait(self) -> int:
            world.now += world.ready_for if self.has_room else world.dies_after
            return 1

    class Keeper(processes._Keeper):
        def _spawn(self) -> Any:
            return Child()

        def tail(self) -> str:
            return "its log"

    class Stopping:
        """In the place of the event that is set to stop the keeper: to wait for it takes no time but the clock's."""

        def is_set(self) -> bool:
            return world.now >= until

        def wait(self, seconds: float) -> bool:
            world.now += seconds
            world.pauses = (*world.pauses, seconds)
            return self.is_set()

    keeper = Keeper(Process("postgres", ("postgres",), is_ready=lambda: True), Path("log"), quiet, quiet)
    keeper._stopping = Stopping()  # type: ignore[assignment]
    keeper.run()
    return keeper.failure


@pytest.mark.parametrize("dies_after", [0.001, 0.1, 2.0])
def test_postgres_is_started_until_there_is_room_however_fast_it_dies(
    monkeypatch: pytest.MonkeyPatch, dies_after: float
) -> None:
    world = World(dies_after, room_at=160.0, ready_for=100.0)
    assert kept(monkeypatch, world, was_ready=True, until=200.0) is None
    assert world.now >= 260.0, "it runs again"


def test_the_pauses_grow_so_that_waiting_costs_little(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(0.01, room_at=160.0, ready_for=100.0)
    assert kept(monkeypatch, world, was_ready=True, until=200.0) is None
    assert list(world.pauses) == sorted(world.pauses)
    assert world.starts < 25


def test_what_never_comes_back_is_given_up_in_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(0.01, room_at=10_000.0, ready_for=1.0)
    failure = kept(monkeypatch, world, was_ready=True, until=10_000.0)
    assert failure is not None
    assert failure.startswith("postgres keeps dying")
    assert 100 < world.now < 180


@pytest.mark.parametrize("dies_after", [0.001, 1.0, 30.0])
def test_what_never_started_is_told_soon_and_never_after_one_try(
    monkeypatch: pytest.MonkeyPatch, dies_after: float
) -> None:
    world = World(dies_after, room_at=10_000.0, ready_for=1.0)
    assert kept(monkeypatch, world, was_ready=False, until=10_000.0) is not None
    assert world.starts >= 2
    assert world.now < 2 * dies_after + 20


def test_one_that_is_killed_now_and_then_is_never_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(0.01, room_at=0.0, ready_for=3.0)
    assert kept(monkeypatch, world, was_ready=True, until=2000.0) is None
    assert max(world.pauses) < 1


def test_no_message_of_a_fault_run_is_given_up_before_the_run_is() -> None:
    bus = quick_bus()
    shortest, longest = bus.retry.minimum_backoff_seconds, bus.retry.maximum_backoff_seconds
    deliveries = bus.dead_letter.max_delivery_attempts
    assert sum(min(longest, shortest * 2**number) for number in range(deliveries - 1)) > PATIENCE_SECONDS
