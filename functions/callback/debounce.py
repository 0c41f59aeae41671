"""Decide when to cluster an event: a pure function of the event's counters and the clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class DebounceSettings:
    """Limits of the debounce; `decide` says how each is used. ``every`` is a number of photos."""

    every: int = 20
    max_wait: timedelta = timedelta(seconds=120)
    min_interval: timedelta = timedelta(seconds=15)


@dataclass(frozen=True)
class EventCounters:
    """What the decision depends on.

    Attributes:
        changed_photos: the number of photos whose faces changed since clustering was last requested.
        first_change_at: when the first of them changed; None when none has.
        last_requested_at: when clustering was last requested; None when it never was.
        photos_wait: a known photo of the event has not been processed yet.
        run_is_open: clustering was requested and has not ended.
    """

    changed_photos: int
    first_change_at: datetime | None
    last_requested_at: datetime | None
    photos_wait: bool
    run_is_open: bool


@dataclass(frozen=True)
class Decision:
    """Whether to request clustering now, and when to decide again if nothing happens before.

    ``due_at`` is None when only a new result can change the decision.
    """

    request: bool
    due_at: datetime | None = None


def decide(counters: EventCounters, now: datetime, settings: DebounceSettings) -> Decision:
    """Decide whether to request clustering now.

    Clustering is requested when faces changed and one of these holds: no known photo waits to be processed,
    ``every`` photos changed, or ``max_wait`` has passed since the first change. It is never requested while a run
    is open (the decision is made again when that run ends, so changes during a run cause one more run, not a queue
    of runs), nor within ``min_interval`` of the last request.
    """
    if counters.changed_photos == 0 or counters.first_change_at is None or counters.run_is_open:
        return Decision(request=False)
    latest = counters.first_change_at + settings.max_wait
    is_wanted = not counters.photos_wait or counters.changed_photos >= settings.every or now >= latest
    earliest = now
    if counters.last_requested_at is not None:
        earliest = max(now, counters.last_requested_at + settings.min_interval)
    if is_wanted and earliest <= now:
        return Decision(request=True)
    return Decision(request=False, due_at=earliest if is_wanted else max(earliest, latest))
