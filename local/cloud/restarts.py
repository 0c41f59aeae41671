"""How long a process that keeps dying is started again (pure): by time, however fast the machine lets it die."""

from __future__ import annotations

# A process that stayed ready for so long has come through: what it dies of later is a new trouble.
STEADY_SECONDS = 2.0
# Whatever it waits for (room on the disk, a database) may take its time to come.
GIVE_UP_SECONDS = 120.0
# One that has never been ready is most likely wrong in itself, and somebody waits to be told.
GIVE_UP_AT_FIRST_SECONDS = 10.0
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0


class Restarts:
    """The deaths of one process since it was last steady."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._pause = 0.0
        self._has_been_ready = False

    def pause_after_death(self, now: float, ready_since: float | None) -> float | None:
        """Seconds to wait before the process is started again; None: it is given up.

        ``now`` and ``ready_since`` (None: this life was never ready) are seconds of one monotonic clock. The first
        death is never the last. Pauses double up to five seconds.
        """
        self._has_been_ready |= ready_since is not None
        was_steady = ready_since is not None and now - ready_since >= STEADY_SECONDS
        if self._since is None or was_steady:
            self._since, self._pause = now, _FIRST_PAUSE_SECONDS
            return self._pause
        if now - self._since >= (GIVE_UP_SECONDS if self._has_been_ready else GIVE_UP_AT_FIRST_SECONDS):
            return None
        self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS)
        return self._pause
