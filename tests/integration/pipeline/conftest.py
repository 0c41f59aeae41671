"""Real storage, a real engine, and an event to use them on."""

from __future__ import annotations

import io
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.cloud import storage
from PIL import Image

from functions.detect.engine import Engine
from local.cloud.processes import Supervisor
from local.cloud.state import State
from local.cloud.storage import NotificationTarget, create_buckets, storage_process
from local.demo.sample_event import make_sample_event
from local.demo.sample_pictures import face_free_pictures
from shared.database import Connection
from tests.integration.pipeline.scene import Buckets, RememberingEngine, Scene

_PROJECT = "trombi-test"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def storage_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The emulated storage; its buckets notify nobody."""
    state = State(tmp_path_factory.mktemp("storage"))
    state.lock()
    supervisor = Supervisor(state.directory / "logs", lambda _: None)
    port = state.ports("storage")["storage"]
    try:
        nobody = NotificationTarget("127.0.0.1:9", _PROJECT, bucket="nobody")
        supervisor.start(storage_process("storage", port, state.directory, nobody))
        yield f"http://127.0.0.1:{port}"
    finally:
        supervisor.stop()
        state.release()


@pytest.fixture
def buckets(storage_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Buckets]:
    """Two empty buckets of this test's own."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage_url)
    number = next(_numbers)
    photos, derived = f"photos-{number}", f"derived-{number}"
    create_buckets(storage_url, _PROJECT, photos, derived)
    client = storage.Client(project=_PROJECT)
    yield Buckets(client, _PROJECT, photos, derived)
    client.close()


@pytest.fixture(scope="session")
def engine(mini_pack: Path) -> RememberingEngine:
    """The pack ``mini`` at work."""
    return RememberingEngine(Engine(mini_pack, threads=min(2, os.cpu_count() or 1)))


@pytest.fixture
def scene(database_url: str, connection: Connection, buckets: Buckets, engine: RememberingEngine) -> Iterator[Scene]:
    """An event that consents, with nothing in it."""
    made = Scene(database_url, connection, buckets, engine)
    yield made
    made.close()


@pytest.fixture(scope="session")
def sample_photos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The sample event's photos by name, ``guest-1-1`` and so on."""
    folder = tmp_path_factory.mktemp("sample")
    return {path.stem: path.read_bytes() for path in make_sample_event(folder)}


@pytest.fixture(scope="session")
def portrait(sample_photos: dict[str, bytes]) -> bytes:
    """A photo of one face."""
    return sample_photos["guest-1-1"]


@pytest.fixture(scope="session")
def two_people(sample_photos: dict[str, bytes]) -> bytes:
    """A photo of two faces."""
    return sample_photos["group-middle"]


@pytest.fixture(scope="session")
def landscape() -> bytes:
    """A photo of nobody."""
    stream = io.BytesIO()
    Image.open(face_free_pictures()[0].path).convert("RGB").save(stream, "JPEG")
    return stream.getvalue()
