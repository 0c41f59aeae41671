"""A cloud for tests: real Postgres, bus and storage, and functions that record what they are pushed.

As a program (``python -m tests.integration.local.small_cloud STATE_DIRECTORY``) it starts one, prints its
addresses and runs until it is stopped.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import psycopg

from local.bus.setup import BusClient
from local.cloud.cloud import BusKind, Cloud, CloudOptions, Function
from local.cloud.postgres import remove_data
from local.cloud.state import Addresses
from shared.bus import Retry, load_bus

RECORDER = Path(__file__).with_name("recorder") / "main.py"
# "callback" is the one that the notifications topic is pushed to.
FUNCTIONS = (Function("callback", RECORDER), Function("detect", RECORDER, threads=2))
PATIENCE_SECONDS = 60.0
_CREATE_TABLE = "CREATE TABLE IF NOT EXISTS recorded (path text NOT NULL, content text NOT NULL)"
_LONGEST_TICK = 3600.0


def options(state: Path, bus: BusKind = "small", tick_seconds: float = _LONGEST_TICK) -> CloudOptions:
    """A cloud on ``state`` that repeats refused pushes after a second or two."""
    quick = load_bus().model_copy(update={"retry": Retry(minimum_backoff_seconds=1, maximum_backoff_seconds=2)})
    return CloudOptions(
        state_dir=state,
        bus=bus,
        bus_declaration=quick,
        functions=FUNCTIONS,
        tick_seconds=tick_seconds,
        fast_postgres=True,
        migrate=False,
    )


@contextlib.contextmanager
def state_directory() -> Iterator[Path]:
    """A folder that every user can pass through, unlike pytest's, so that Postgres stays in it under root."""
    folder = Path(tempfile.mkdtemp(prefix="trombi-cloud-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def closed_directory() -> Iterator[Path]:
    """A folder that only its owner can pass through; Postgres' own folder is removed with it."""
    folder = Path(tempfile.mkdtemp(prefix="trombi-closed-"))
    try:
        yield folder
    finally:
        remove_data(folder)
        shutil.rmtree(folder)


def start(cloud: Cloud) -> Addresses:
    """Start ``cloud`` and make the table that the functions record in."""
    addresses = cloud.start()
    with psycopg.connect(addresses.database_url) as connection:
        connection.execute(_CREATE_TABLE)
    return addresses


def publish(addresses: Addresses, topic: str, *contents: str) -> None:
    """Publish one message for every content, each in a request of its own."""
    with contextlib.closing(BusClient(addresses.pubsub_host, addresses.project)) as client:
        for content in contents:
            client.publish(topic, content.encode(), {})


def recorded(addresses: Addresses, path: str) -> list[str]:
    """What was pushed to ``path`` so far; nothing while Postgres is away."""
    query = "SELECT content FROM recorded WHERE path = %s ORDER BY content"
    try:
        with psycopg.connect(addresses.database_url, connect_timeout=5) as connection:
            return [content for (content,) in connection.execute(query, (path,))]
    except psycopg.OperationalError:
        return []


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Return as soon as ``condition`` holds; fail, naming ``what``, if it does not in a minute."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS:.0f} s: {what}"
        pause.wait(0.05)


def main() -> None:
    """Start a cloud on the folder of the command line, print its addresses, run until stopped."""
    with Cloud(options(Path(sys.argv[1]))) as cloud:
        sys.stdout.write(json.dumps(asdict(cloud.addresses)) + "\n")
        sys.stdout.flush()
        cloud.wait()


if __name__ == "__main__":
    main()
