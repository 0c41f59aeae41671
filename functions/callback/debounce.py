"""When to cluster an event (pure): a function of the event's counters and the clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class DebounceSettings:
    """``every`` in photos. See `decide` for what each does."""

    every: int = 20
    max_wait: timedelta = timedelta(seconds=120)
    min_interval: timedelta = timedelta(seconds=15)


@dataclass(frozen=True)
class EventCounters:
    """What is known of an event.

    Attributes:
        changed_photos: photos whose faces changed since clustering was last asked for.
        first_change_at: when the first of them did; None when there is none.
        last_requested_at: when clustering was last asked for; None when never.
        photos_wait: a known photo of the event is still to be processed.
        run_is_open: clustering was asked for and has not ended.
    """

    changed_photos: int
    first_change_at: datetime | None
    last_requested_at: datetime | None
    photos_wait: bool
    run_is_open: bool


@dataclass(frozen=True)
class Decision:
    """``due_at`` says when to look again if nothing happens before; None: only when something happens."""

    request: bool
    due_at: datetime | None = None


def decide(counters: EventCounters, now: datetime, settings: DebounceSettings) -> Decision:
    """Whether to ask for clustering now.

    Yes, as soon as faces changed and no known photo is waiting; or ``every`` photos changed; or ``max_wait``
    went by since the first change. Never while a run is open (its end asks again, so that requests during a
    run make one more run and not a queue), and never within ``min_interval`` of the last request.
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
