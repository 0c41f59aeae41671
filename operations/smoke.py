"""The database's part of a smoke test, run inside the deployment: ``python -m operations.smoke``.

``prepare EVENT`` creates an event with consent; ``wait EVENT MEDIA SECONDS`` waits until a photo of it has been
processed, and fails unless a face was found; ``remove EVENT`` deletes the event and everything in it.
`terraform/smoke.py` uploads the photo. Only events that ``prepare`` created are ever changed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from operations import store
from shared.database import Database
from shared.errors import Retryable, SettingsError
from shared.settings import Settings

_POLL_SECONDS = 0.5


class SmokeTestFailed(Exception):
    """The expected result did not occur; the message says what happened instead, and where to look."""


@dataclass(frozen=True)
class Seen:
    """A processed photo: the number of its faces, and the seconds from the creation of its job to the end."""

    faces: int
    seconds: float


def prepare(database: Database, event_id: UUID) -> None:
    """Create an event with consent, unless it exists.

    Raises:
        Retryable: the database is unavailable.
    """
    with database.transaction() as connection:
        store.prepare_event(connection, event_id)


def wait(database: Database, event_id: UUID, media_id: UUID, seconds: float, pause: Callable[[float], None]) -> Seen:
    """Wait, for at most ``seconds``, until the photo has been processed; ``pause`` waits between two queries.

    Raises:
        SmokeTestFailed: its job failed, found no face, or did not end in time.
        Retryable: the database is unavailable.
    """
    deadline = time.monotonic() + seconds
    status = None
    while True:
        with database.transaction() as connection:
            row = store.photo_outcome(connection, event_id, media_id)
        status = row["status"] if row else None
        if row is not None and status == "failed":
            raise SmokeTestFailed(f"detection failed ({row['error_code']}): {row['error']}")
        if row is not None and status == "completed":
            if row["faces"] == 0:
                raise SmokeTestFailed(f"no face was found ({row['skipped'] or 'the photo was looked at'})")
            return Seen(int(row["faces"]), float(row["seconds"]))
        if time.monotonic() >= deadline:
            break
        pause(_POLL_SECONDS)
    where = (
        "its job is " + status if status else "no job was made: look at media-uploads' subscription and detect's log"
    )
    raise SmokeTestFailed(f"no face within {seconds:.0f} s; {where}")


def remove(database: Database, event_id: UUID) -> bool:
    """Delete the event and everything in it; return False when it does not exist.

    Raises:
        SmokeTestFailed: no smoke test created the event.
        Retryable: the database is unavailable.
    """
    with database.transaction() as connection:
        ours = store.is_smoke_event(connection, event_id)
        if ours is None:
            return False
        if not ours:
            raise SmokeTestFailed("that event was not made by a smoke test, so it is left alone")
        return store.remove_event(connection, event_id)


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m operations.smoke", description=__doc__)
    parser.add_argument("step", choices=("prepare", "wait", "remove"))
    parser.add_argument("event", type=UUID)
    parser.add_argument("media", type=UUID, nargs="?")
    parser.add_argument("seconds", type=float, nargs="?", default=300)
    given = parser.parse_args(words)
    if given.step == "wait" and given.media is None:
        parser.error("wait needs the photo's id too")
    return given


def main(words: Sequence[str] | None = None) -> int:
    """Run one step; return 0 when it succeeded, 1 when it failed, 2 when the settings are wrong."""
    given = _arguments(words)
    try:
        settings = Settings.from_environment()
    except SettingsError as error:
        sys.stdout.write(f"{error}\n")
        return 2
    database = Database(settings.database_url, pool_size=2)
    try:
        if given.step == "prepare":
            prepare(database, given.event)
            sys.stdout.write(f"event {given.event} is there and consents\n")
        elif given.step == "wait":
            seen = wait(database, given.event, given.media, given.seconds, time.sleep)
            sys.stdout.write(f"{seen.faces} faces, {seen.seconds:.1f} s after the upload was heard of\n")
        else:
            was_there = remove(database, given.event)
            sys.stdout.write(f"event {given.event} {'is gone' if was_there else 'was not there'}\n")
    except (SmokeTestFailed, Retryable) as error:
        sys.stdout.write(f"{error}\n")
        return 1
    finally:
        database.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
