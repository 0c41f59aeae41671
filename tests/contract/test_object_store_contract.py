"""One suite for every ObjectStore: the stand-in that tests use, and the real adapter before the emulator."""

from __future__ import annotations

import gzip
import itertools
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from local.cloud.processes import Supervisor
from local.cloud.state import State
from local.cloud.storage import NotificationTarget, create_buckets, storage_process
from shared.errors import Permanent, Retryable
from shared.storage import CloudStorage, ObjectMissing, ObjectStore
from tests.contract.bus_implementations import PROJECT, SMALL, running
from tests.fakes import MemoryObjects
from tests.faults.storage_proxy import DAMAGES, StorageProxy

BUCKET = "contract-bucket"
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def emulator_url() -> Iterator[str]:
    """The emulator with one bucket that notifies nobody."""
    with tempfile.TemporaryDirectory(prefix="trombi-store-") as folder, running(SMALL) as bus:
        port = State(Path(folder)).ports("storage")["storage"]
        url = f"http://127.0.0.1:{port}"
        supervisor = Supervisor(Path(folder) / "logs", print)
        try:
            supervisor.start(storage_process("storage", port, Path(folder), NotificationTarget(bus.host, PROJECT)))
            create_buckets(url, PROJECT, BUCKET)
            yield url
        finally:
            supervisor.stop()


@pytest.fixture(params=["fake", "Cloud Storage"])
def objects(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    """An ObjectStore."""
    if request.param == "fake":
        yield MemoryObjects()
        return
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", request.getfixturevalue("emulator_url"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    store = CloudStorage(PROJECT)
    yield store
    store._client.close()


@pytest.fixture
def folder() -> str:
    """A prefix that no other test uses."""
    return f"events/{next(_numbers)}"


def write(objects: ObjectStore, name: str, data: bytes = b"abc") -> int:
    objects.write(BUCKET, name, data, content_type="image/jpeg")
    return objects.generation(BUCKET, name)


@pytest.mark.parametrize("data", [b"abc", b"", b"\x00" * 300_000])
def test_what_was_written_is_read(objects: ObjectStore, folder: str, data: bytes) -> None:
    name = f"{folder}/été 1#?.jpg"
    generation = write(objects, name, data)
    assert generation > 0
    assert objects.read(BUCKET, name, generation, max_bytes=len(data)) == data


def test_writing_again_makes_a_newer_generation_and_the_old_one_is_gone(objects: ObjectStore, folder: str) -> None:
    name = f"{folder}/twice.jpg"
    old = write(objects, name, b"old")
    new = write(objects, name, b"new")
    assert new > old
    assert objects.read(BUCKET, name, new, max_bytes=10) == b"new"
    with pytest.raises(ObjectMissing):
        objects.read(BUCKET, name, old, max_bytes=10)


def test_a_listing_tells_what_is_there_now_by_name_and_no_more_than_was_asked_for(
    objects: ObjectStore, folder: str
) -> None:
    assert objects.list_objects(BUCKET, f"{folder}/", most=10) == []
    write(objects, f"{folder}/b.jpg", b"old")
    newest = {name: write(objects, name, b"123") for name in (f"{folder}/b.jpg", f"{folder}/a/c.jpg")}
    write(objects, f"{folder}2/d.jpg")
    listed = objects.list_objects(BUCKET, f"{folder}/", most=10)
    assert [found.name for found in listed] == sorted(newest)
    assert {found.name: found.generation for found in listed} == newest
    assert {found.size for found in listed} == {3}
    assert objects.list_objects(BUCKET, f"{folder}/", most=1) == listed[:1]


def test_what_is_not_there_is_missing(objects: ObjectStore, folder: str) -> None:
    with pytest.raises(ObjectMissing):
        objects.generation(BUCKET, f"{folder}/never.jpg")
    with pytest.raises(ObjectMissing):
        objects.read(BUCKET, f"{folder}/never.jpg", 1, max_bytes=10)


@pytest.mark.parametrize("size", [11, 1000])
def test_what_is_larger_than_allowed_is_refused_for_good(objects: ObjectStore, folder: str, size: int) -> None:
    name = f"{folder}/large.jpg"
    generation = write(objects, name, b"x" * size)
    with pytest.raises(Permanent, match="upload a smaller one") as caught:
        objects.read(BUCKET, name, generation, max_bytes=10)
    assert caught.value.code == "too_large"


def test_everything_under_a_prefix_is_deleted_and_nothing_else(objects: ObjectStore, folder: str) -> None:
    kept = f"{folder}/other/1.jpg"
    for name in (f"{folder}/a/1.jpg", f"{folder}/a/b/2.jpg", kept):
        write(objects, name)
    assert objects.delete_prefix(BUCKET, f"{folder}/a/") == 2
    assert objects.delete_prefix(BUCKET, f"{folder}/a/") == 0
    assert objects.read(BUCKET, kept, objects.generation(BUCKET, kept), max_bytes=10) == b"abc"
    with pytest.raises(ObjectMissing):
        objects.generation(BUCKET, f"{folder}/a/1.jpg")


def test_deleting_in_a_bucket_that_is_gone_finds_nothing(objects: ObjectStore) -> None:
    assert objects.delete_prefix("no-such-bucket", "events/") == 0


@contextmanager
def refusing_server() -> Iterator[str]:
    """Answers everything with 403, as a bucket does whose permission was taken away."""

    class Handler(BaseHTTPRequestHandler):
        def _refuse(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(403)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST = do_PUT = do_DELETE = _refuse  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(params=["fake", "Cloud Storage"])
def away(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    """An ObjectStore that cannot do its work now."""
    if request.param == "fake":
        objects = MemoryObjects()
        objects.away = True
        yield objects
        return
    with refusing_server() as url:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        store = CloudStorage(PROJECT)
        yield store
        store._client.close()


def test_a_store_that_is_away_is_tried_again(away: ObjectStore) -> None:
    with pytest.raises(Retryable):
        away.generation(BUCKET, "a")
    with pytest.raises(Retryable):
        away.read(BUCKET, "a", 1, max_bytes=10)
    with pytest.raises(Retryable):
        away.write(BUCKET, "a", b"abc", content_type="image/jpeg")
    with pytest.raises(Retryable):
        away.delete_prefix(BUCKET, "a")


# ------------------------------------------------------------ what comes over the wire


@pytest.fixture
def proxy(emulator_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[StorageProxy]:
    """Stands between the adapter and the emulator, and damages what it is asked to."""
    opened = StorageProxy()
    opened.upstream = emulator_url
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", opened.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("shared.storage._TIMEOUT_SECONDS", 0.3)
    monkeypatch.setattr("google.cloud.storage.retry.DEFAULT_RETRY._timeout", 0.5)
    monkeypatch.setattr("google.cloud.storage.retry.DEFAULT_RETRY._initial", 0.05)
    yield opened
    opened.close()


@pytest.fixture
def distant(proxy: StorageProxy) -> Iterator[CloudStorage]:
    """Cloud Storage behind the proxy."""
    store = CloudStorage(PROJECT)
    yield store
    store._client.close()


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_was_damaged_on_its_way_is_read_right_or_tried_again(
    proxy: StorageProxy, distant: CloudStorage, folder: str, damage: str
) -> None:
    data = bytes(range(256)) * 300
    generation = write(distant, f"{folder}/photo.jpg", data)
    refusals = []
    for seed in range(6):
        with proxy.damage(seed, [damage], most_each=1):
            try:
                assert distant.read(BUCKET, f"{folder}/photo.jpg", generation, max_bytes=10**6) == data
            except Retryable as refusal:
                refusals.append(str(refusal))
            assert proxy.done[damage] == 1
    if damage == "flipped":
        assert refusals == ["the bucket is unavailable or busy (DataCorruption)"] * 6
    if damage == "flipped and cut":
        # The library checks no download that it had to take up again.
        assert refusals == ["the object was damaged in transfer: its checksum differs from the stored one"] * 6
    assert distant.read(BUCKET, f"{folder}/photo.jpg", generation, max_bytes=10**6) == data


def test_an_object_that_is_stored_compressed_is_read_as_it_was(
    proxy: StorageProxy, distant: CloudStorage, folder: str
) -> None:
    blob = distant._client.bucket(BUCKET).blob(f"{folder}/photo.jpg")
    blob.content_encoding = "gzip"
    blob.upload_from_string(gzip.compress(b"abc" * 1000), content_type="image/jpeg")
    assert distant.read(BUCKET, blob.name, blob.generation, max_bytes=3000) == b"abc" * 1000
    with pytest.raises(Permanent):
        distant.read(BUCKET, blob.name, blob.generation, max_bytes=2999)
