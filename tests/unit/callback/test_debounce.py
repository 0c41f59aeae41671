"""When to cluster: a table, and random afternoons with a clock in hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.callback.debounce import DebounceSettings, Decision, EventCounters, decide
from tests.examples import examples

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
SETTINGS = DebounceSettings()
YES, NO = Decision(request=True), Decision(request=False)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def later(seconds: float) -> Decision:
    return Decision(request=False, due_at=at(seconds))


def counters(
    changed: int = 1,
    *,
    first: float | None = 0,
    last: float | None = None,
    waiting: int = 0,
    run: bool = False,
) -> EventCounters:
    return EventCounters(
        changed_photos=changed,
        first_change_at=None if first is None else at(first),
        last_requested_at=None if last is None else at(last),
        photos_wait=waiting > 0,
        run_is_open=run,
    )


@pytest.mark.parametrize(
    ("known", "now", "expected"),
    [
        # nothing changed
        (counters(0, first=None), 0, NO),
        (counters(0, first=None, last=-1000), 0, NO),
        (counters(0, first=None, waiting=3), 0, NO),
        # nothing waits: at once
        (counters(1), 0, YES),
        (counters(1, last=-15), 0, YES),
        # a photo waits: every 20, or 120 s after the first change
        (counters(1, waiting=1), 0, later(120)),
        (counters(19, waiting=1), 50, later(120)),
        (counters(20, waiting=1), 0, YES),
        (counters(500, waiting=1), 0, YES),
        (counters(1, waiting=1), 119.999, later(120)),
        (counters(1, waiting=1), 120, YES),
        (counters(1, waiting=1), 5000, YES),
        # never more often than every 15 s
        (counters(1, last=-14.999), 0, later(0.001)),
        (counters(20, waiting=1, last=-5), 0, later(10)),
        (counters(1, first=-200, waiting=1, last=-5), 0, later(10)),
        (counters(1, waiting=1, last=-5), 0, later(120)),
        (counters(1, waiting=1, first=-115, last=0), 0, later(15)),
        # a clock that went back does not ask twice
        (counters(1, last=60), 0, later(75)),
        # a run is open: its end asks again
        (counters(1, run=True), 0, NO),
        (counters(500, run=True, waiting=3), 5000, NO),
    ],
)
def test_when_clustering_is_asked_for(known: EventCounters, now: float, expected: Decision) -> None:
    assert decide(known, at(now), SETTINGS) == expected


def test_without_waiting_times_every_change_is_clustered_at_once() -> None:
    eager = DebounceSettings(every=1, max_wait=timedelta(0), min_interval=timedelta(0))
    assert decide(counters(1, waiting=9, last=0), at(0), eager) == YES


TICK = timedelta(seconds=60)


@dataclass
class Afternoon:
    """An event as callback keeps it, driven by what happens in it; checks what must hold at every instant."""

    settings: DebounceSettings
    now: datetime = NOON
    waiting: int = 0
    changed: int = 0
    first_change_at: datetime | None = None
    last_requested_at: datetime | None = None
    run_is_open: bool = False
    requests: list[datetime] = field(default_factory=list)
    next_tick: datetime = NOON + TICK

    def look(self) -> None:
        """What every result and every tick does."""
        known = EventCounters(
            self.changed, self.first_change_at, self.last_requested_at, self.waiting > 0, self.run_is_open
        )
        decision = decide(known, self.now, self.settings)
        if decision.request:
            assert not self.run_is_open, "a run is open"
            assert self.changed > 0, "nothing changed"
            if self.last_requested_at is not None:
                assert self.now - self.last_requested_at >= self.settings.min_interval, "too soon after the last"
            self.requests.append(self.now)
            self.changed, self.first_change_at = 0, None
            self.last_requested_at, self.run_is_open = self.now, True
        elif decision.due_at is not None:
            assert decision.due_at > self.now, "it is due already"
            assert not self.run_is_open
            due = decide(known, decision.due_at, self.settings)
            assert due.request, "when it is due it is asked for"
        else:
            assert self.run_is_open or self.changed == 0

    def pass_time(self, seconds: float) -> None:
        """Let time go by, with its ticks."""
        end = self.now + timedelta(seconds=seconds)
        while self.next_tick <= end:
            self.now = self.next_tick
            self.next_tick += TICK
            self.look()
            self.check_patience()
        self.now = end

    def check_patience(self) -> None:
        """No change waits longer than it may, but for the length of an open run."""
        if self.changed and not self.run_is_open:
            assert self.first_change_at is not None
            longest = max(self.settings.max_wait, self.settings.min_interval) + TICK
            waited_since = max(self.first_change_at, self.last_requested_at or self.first_change_at)
            assert self.now - waited_since <= longest, "a change was forgotten"

    def uploaded(self) -> None:
        self.waiting += 1

    def processed(self, *, has_faces: bool) -> None:
        if self.waiting:
            self.waiting -= 1
            if has_faces:
                self.changed += 1
                self.first_change_at = self.first_change_at or self.now
            self.look()

    def run_ended(self) -> None:
        if self.run_is_open:
            self.run_is_open = False
            self.look()


steps = st.one_of(
    st.tuples(st.just("upload"), st.integers(1, 30)),
    st.tuples(st.just("faces"), st.integers(1, 30)),
    st.tuples(st.just("no faces"), st.integers(1, 5)),
    st.tuples(st.just("run ended"), st.just(1)),
    st.tuples(st.just("wait"), st.integers(0, 200)),
    st.tuples(st.just("duplicate"), st.integers(1, 3)),
)
durations = st.integers(0, 300).map(lambda seconds: timedelta(seconds=seconds))


@settings(deadline=None, max_examples=examples(300))
@given(
    st.lists(steps, max_size=60),
    st.builds(DebounceSettings, every=st.integers(1, 40), max_wait=durations, min_interval=durations),
)
def test_on_any_afternoon_clustering_is_neither_too_often_nor_forgotten(
    happenings: list[tuple[str, int]], rule: DebounceSettings
) -> None:
    afternoon = Afternoon(rule)
    for what, count in happenings:
        for _ in range(count if what != "wait" else 0):
            if what == "upload":
                afternoon.uploaded()
            elif what == "run ended":
                afternoon.run_ended()
            elif what == "duplicate":
                afternoon.look()
            else:
                afternoon.processed(has_faces=what == "faces")
        if what == "wait":
            afternoon.pass_time(count)
    # the evening: what waits is processed, runs end, nothing more comes
    while afternoon.waiting:
        afternoon.processed(has_faces=True)
    for _ in range(3):
        afternoon.run_ended()
        afternoon.pass_time((rule.min_interval + TICK).total_seconds())
    assert (afternoon.changed, afternoon.run_is_open) == (0, False), "everything was clustered in the end"


@settings(deadline=None)
@given(changes=st.integers(1, 200), quiet=st.integers(0, 100))
def test_changes_during_a_run_make_exactly_one_more_run(changes: int, quiet: int) -> None:
    afternoon = Afternoon(SETTINGS)
    afternoon.uploaded()
    afternoon.processed(has_faces=True)
    assert len(afternoon.requests) == 1
    for _ in range(changes):
        afternoon.uploaded()
        afternoon.processed(has_faces=True)
        afternoon.look()
    afternoon.pass_time(quiet)
    assert len(afternoon.requests) == 1, "none while the run is open"
    afternoon.run_ended()
    afternoon.pass_time(200)
    afternoon.run_ended()
    afternoon.pass_time(1000)
    assert len(afternoon.requests) == 2


def test_a_steady_stream_of_photos_is_clustered_every_twenty() -> None:
    afternoon = Afternoon(SETTINGS)
    afternoon.waiting = 1
    for _ in range(200):
        afternoon.uploaded()
        afternoon.pass_time(2)
        afternoon.processed(has_faces=True)
        afternoon.run_ended()
    gaps = {
        (later_one - earlier).total_seconds()
        for earlier, later_one in zip(afternoon.requests, afternoon.requests[1:], strict=False)
    }
    assert gaps == {40.0}


def test_a_slow_stream_of_photos_is_clustered_every_two_minutes() -> None:
    afternoon = Afternoon(SETTINGS)
    afternoon.waiting = 1
    for _ in range(60):
        afternoon.uploaded()
        afternoon.pass_time(30)
        afternoon.processed(has_faces=True)
        afternoon.run_ended()
    assert len(afternoon.requests) == pytest.approx(60 * 30 / 150, abs=3)
