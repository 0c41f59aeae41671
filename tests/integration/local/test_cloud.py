"""The emulated cloud as a whole: it comes up, comes back, keeps what it had, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from local.cloud.cloud import Cloud, CloudOptions, Function
from local.cloud.postgres import data_directory
from local.cloud.processes import ProcessFailedError
from local.cloud.state import Addresses, AlreadyRunningError, running
from local.demo.host import storage_client
from tests.contract.bus_implementations import GOOGLE, require
from tests.integration.local import small_cloud
from tests.integration.local.small_cloud import publish, recorded, wait_until

REPOSITORY = Path(__file__).resolve().parents[3]
_PARTS = ("postgres", "broker", "storage", "callback")


@pytest.fixture
def state() -> Iterator[Path]:
    """A new state directory."""
    with small_cloud.state_directory() as folder:
        yield folder


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    """A running cloud on the small broker."""
    with small_cloud.state_directory() as folder:
        cloud = Cloud(small_cloud.options(folder))
        small_cloud.start(cloud)
        yield cloud
        cloud.stop()


@pytest.fixture
def owner(state: Path) -> Iterator[subprocess.Popen[str]]:
    """A process of its own that runs a cloud on ``state`` and has printed its addresses."""
    command = [sys.executable, "-m", "tests.integration.local.small_cloud", str(state)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as owner:
        try:
            yield owner
        finally:
            owner.kill()


def addresses_of(owner: subprocess.Popen[str]) -> Addresses:
    """The addresses that the owner prints once its cloud is up."""
    assert owner.stdout is not None
    return Addresses(**json.loads(owner.stdout.readline()))


@contextlib.contextmanager
def stopping(cloud: Cloud) -> Iterator[None]:
    """Stop ``cloud`` at the end."""
    try:
        yield
    finally:
        cloud.stop()


def is_gone(process: psutil.Process) -> bool:
    """Whether the process has ended, even if nobody has asked for its status yet."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_an_upload_reaches_its_function(cloud: Cloud) -> None:
    addresses = cloud.addresses
    with contextlib.closing(storage_client(addresses)) as client:
        photos = client.bucket(addresses.photos_bucket)
        photos.blob("events/1/2/photo.jpg").upload_from_string(b"abc", content_type="image/jpeg")
        client.bucket(addresses.derived_bucket).blob("face.jpg").upload_from_string(b"abc")
    wait_until(lambda: bool(recorded(addresses, "/media-uploads")), "the notification of an upload")
    (payload,) = recorded(addresses, "/media-uploads")
    assert json.loads(payload)["name"] == "events/1/2/photo.jpg"


@pytest.mark.parametrize("part", _PARTS)
def test_a_part_that_is_killed_comes_back_and_no_message_is_lost(cloud: Cloud, part: str) -> None:
    addresses = cloud.addresses
    before = cloud.pids()[part]
    wanted = [f"{part} {number:02}" for number in range(60)]
    publish(addresses, "notifications", *wanted[:30])
    cloud.kill(part)
    if part == "broker":
        # The others publish through their outbox, which waits for the bus: so does this test.
        cloud.wait_ready(part)
    publish(addresses, "notifications", *wanted[30:])
    cloud.wait_ready(part)
    assert cloud.pids()[part] != before
    wait_until(lambda: set(wanted) <= set(recorded(addresses, "/notifications")), "every message")


def test_googles_emulator_gets_its_topics_and_subscriptions_back(state: Path) -> None:
    require(GOOGLE)
    cloud = Cloud(small_cloud.options(state, bus="google"))
    addresses = small_cloud.start(cloud)
    with stopping(cloud):
        publish(addresses, "notifications", "before")
        wait_until(lambda: recorded(addresses, "/notifications") == ["before"], "the first message")
        cloud.kill("broker")
        cloud.wait_ready("broker")
        publish(addresses, "notifications", "after")
        wait_until(lambda: "after" in recorded(addresses, "/notifications"), "the second message")


def test_ticks_keep_coming(state: Path) -> None:
    cloud = Cloud(small_cloud.options(state, tick_seconds=0.2))
    addresses = small_cloud.start(cloud)
    with stopping(cloud):
        wait_until(lambda: len(recorded(addresses, "/ticks")) >= 3, "three ticks")
        assert set(recorded(addresses, "/ticks")) == {'{"version":1}'}


def test_a_restart_keeps_addresses_rows_objects_and_undelivered_messages(state: Path) -> None:
    cloud = Cloud(small_cloud.options(state))
    first = small_cloud.start(cloud)
    with contextlib.closing(storage_client(first)) as client:
        photo = client.bucket(first.photos_bucket).blob("events/1/2/kept.jpg")
        photo.metadata = {"event_id": "1"}
        photo.upload_from_string(b"kept")
    wait_until(lambda: len(recorded(first, "/media-uploads")) == 1, "the notification of the upload")
    with psycopg.connect(first.database_url) as connection:
        # Without its table the function refuses what it is pushed.
        connection.execute("ALTER TABLE recorded RENAME TO hidden")
    publish(first, "notifications", "patient")
    cloud.stop()
    assert running(state) is None
    assert not (state / "cloud.json").exists()

    again = Cloud(small_cloud.options(state))
    second = again.start()
    with stopping(again):
        assert second == first
        with psycopg.connect(second.database_url) as connection:
            connection.execute("ALTER TABLE hidden RENAME TO recorded")
        with contextlib.closing(storage_client(second)) as client:
            found = client.bucket(second.photos_bucket).get_blob("events/1/2/kept.jpg")
            assert found is not None
            assert (found.generation, found.metadata) == (photo.generation, {"event_id": "1"})
        wait_until(lambda: recorded(second, "/notifications") == ["patient"], "the message from before")
        assert len(recorded(second, "/media-uploads")) == 1


def test_an_owner_that_is_killed_leaves_no_process_and_no_lock(state: Path, owner: subprocess.Popen[str]) -> None:
    addresses = addresses_of(owner)
    hanging = threading.Thread(target=hang, args=(addresses.function_urls["detect"],))
    tree = psutil.Process(owner.pid).children(recursive=True)
    names = " ".join(" ".join(process.cmdline()) for process in tree)
    # Postgres and its own, the broker, storage, two functions with a worker each.
    assert len(tree) >= 10
    for part in ("pginstall18", "local.bus.broker", "fake-gcs-server", "local.cloud.function_server"):
        assert part in names
    hanging.start()
    publish(addresses, "notifications", *(str(number) for number in range(20)))
    owner.kill()
    owner.wait()
    wait_until(lambda: all(is_gone(process) for process in tree), "the end of all its processes")
    hanging.join()
    assert running(state) is None
    again = Cloud(small_cloud.options(state))
    with stopping(again):
        assert small_cloud.start(again) == addresses
        wait_until(lambda: len(set(recorded(addresses, "/notifications"))) == 20, "every message")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_owner_that_is_asked_to_stop_stops_everything_although_a_request_hangs(
    state: Path, owner: subprocess.Popen[str], number: signal.Signals
) -> None:
    addresses = addresses_of(owner)
    wait_until(lambda: running(state) == addresses, "the addresses for other commands")
    assert json.loads((state / "cloud.json").read_text())["pid"] == owner.pid
    tree = psutil.Process(owner.pid).children(recursive=True)
    hanging = threading.Thread(target=hang, args=(addresses.function_urls["detect"],))
    hanging.start()
    owner.send_signal(number)
    # The request would hang for ever: that the owner ends at all shows that its grace is limited.
    assert owner.wait(timeout=small_cloud.PATIENCE_SECONDS) == 0
    hanging.join()
    assert all(is_gone(process) for process in tree)
    assert not (state / "cloud.json").exists()


def test_a_second_cloud_on_the_same_state_is_refused(cloud: Cloud) -> None:
    folder = cloud.state_directory
    second = Cloud(small_cloud.options(folder))
    with pytest.raises(AlreadyRunningError, match=rf"process {os.getpid()}\)"):
        second.start()
    assert running(folder) == cloud.addresses


def test_a_function_that_cannot_start_is_named_with_its_error(state: Path, tmp_path: Path) -> None:
    broken = tmp_path / "main.py"
    broken.write_text("import a_module_that_nobody_has\n")
    options = CloudOptions(state_dir=state, bus="small", functions=(Function("broken", broken),), migrate=False)
    cloud = Cloud(options)
    with pytest.raises(ProcessFailedError, match=r"broken keeps dying(?s:.*)a_module_that_nobody_has"):
        cloud.start()
    assert not cloud.pids()
    assert running(state) is None


def test_postgres_finds_a_place_when_the_state_is_closed_to_its_user() -> None:
    with small_cloud.closed_directory() as folder:
        told: list[str] = []
        cloud = Cloud(small_cloud.options(folder), told.append)
        addresses = small_cloud.start(cloud)
        with stopping(cloud):
            assert recorded(addresses, "/nothing") == []
            data = data_directory(folder)
            assert (data / "PG_VERSION").exists()
            elsewhere = data.parent != folder
            assert elsewhere == (os.geteuid() == 0)
            assert any(f"the database is in {data}" in line for line in told) == elsewhere


def hang(url: str) -> None:
    """Ask a function for an answer that never comes."""
    with contextlib.suppress(httpx.TransportError):
        httpx.post(f"{url}/hang", timeout=None, trust_env=False)
