"""Every message of the whole flow three times and shuffled, through the functions' own entries: the same database."""

from __future__ import annotations

import base64
import json
import logging
import random
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import functions_framework
import pytest
import structlog
from flask.testing import FlaskClient

from functions.detect import packs
from shared.bus import load_bus
from shared.contracts import StorageNotification, Tick, encode
from shared.database import Database
from shared.publish import PubSubPublisher
from tests.integration.pipeline.scene import Scene, media_of

_FUNCTIONS = Path(__file__).resolve().parents[3] / "functions"
_NAMES = UUID("0b0f6c0e-55c8-4f59-8c67-6b4c5a0f7f10")
_PHOTOS = ("group-everybody", "group-left-half", "group-middle", "guest-1-1", "guest-1-2", "guest-3-1", "guest-3-2")
# Far more than any flow needs: it does not come to rest.
_MOST_DELIVERIES = 2000


class ShufflingBus:
    """Holds messages; delivers each ``copies`` times, in random order, and again while it is not acknowledged."""

    def __init__(self, seed: int | None, copies: int) -> None:
        self._random = random.Random(seed) if seed is not None else None
        self._copies = copies
        self._waiting: list[tuple[str, dict[str, Any]]] = []
        self._targets = {subscription.topic: subscription for subscription in load_bus().subscriptions()}
        self._published = 0
        self.delivered = 0
        self.clients: dict[str, FlaskClient] = {}

    def publish(self, topic: str, data: bytes, attributes: Mapping[str, str]) -> None:
        self._published += 1
        envelope = {
            "message": {
                "messageId": str(self._published),
                "data": base64.b64encode(data).decode(),
                "attributes": dict(attributes),
            },
            "subscription": f"projects/test/subscriptions/{self._targets[topic].name}",
        }
        self._waiting += [(topic, envelope)] * self._copies

    def run(self) -> None:
        """Deliver until nothing is left."""
        while self._waiting:
            self.delivered += 1
            assert self.delivered < _MOST_DELIVERIES, "the flow does not come to rest"
            number = self._random.randrange(len(self._waiting)) if self._random else 0
            topic, envelope = self._waiting.pop(number)
            target = self._targets[topic]
            answer = self.clients[target.function].post(target.path, json=envelope)
            assert answer.status_code in (204, 503), answer.get_data(as_text=True)
            if answer.status_code == 503:
                self._waiting.append((topic, envelope))


@pytest.fixture
def _quiet() -> Iterator[None]:
    """The functions set up the process's log; what was there before comes back."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], level = before
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def functions(
    scene: Scene, _quiet: None, monkeypatch: pytest.MonkeyPatch, mini_pack: Path
) -> Iterator[dict[str, FlaskClient]]:
    """The functions as they are deployed, in this process."""
    assert mini_pack.is_dir()
    environment = {
        "DATABASE_URL": scene.database_url,
        "GOOGLE_CLOUD_PROJECT": scene.buckets.project,
        "PHOTOS_BUCKET": scene.buckets.photos,
        "DERIVED_BUCKET": scene.buckets.derived,
        "FACE_PACK": "mini",
        "FACE_MODEL_DIR": str(packs.model_root()),
        "CLUSTER_MIN_INTERVAL": "0",
        "LOG_LEVEL": "ERROR",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    opened: list[Database] = []
    initialise = Database.__init__

    def noted(self: Database, url: str, *, pool_size: int = 4) -> None:
        opened.append(self)
        initialise(self, url, pool_size=pool_size)

    monkeypatch.setattr(Database, "__init__", noted)
    monkeypatch.setattr(sys, "path", list(sys.path))
    create_app: Any = functions_framework.create_app
    yield {
        name: create_app("main", str(_FUNCTIONS / name / "main.py")).test_client()
        for name in ("detect", "callback", "cluster")
    }
    sys.modules.pop("main", None)
    for database in opened:
        database.close()


def _play(
    scene: Scene,
    functions: dict[str, FlaskClient],
    monkeypatch: pytest.MonkeyPatch,
    uploads: list[StorageNotification],
    seed: int | None,
    copies: int,
) -> dict[str, Any]:
    scene.clear()
    scene.connection.execute("DELETE FROM face_persons")
    bus = ShufflingBus(seed, copies)
    bus.clients = functions
    monkeypatch.setattr(
        PubSubPublisher, "publish", lambda _, topic, data, attributes: bus.publish(topic, data, attributes)
    )
    for upload in uploads:
        scene.connection.execute(
            "INSERT INTO media (id, event_id, bucket, object_name) VALUES (%s, %s, %s, %s)",
            (media_of(upload), scene.event_id, upload.bucket, upload.object_name),
        )
        bus.publish("media-uploads", b"{}", _attributes(upload))
    bus.run()
    bus.publish("ticks", encode(Tick().data()), Tick().attributes())
    bus.run()
    assert bus.delivered >= copies * (2 * len(uploads) + 3)
    return _whole_database(scene)


def _attributes(upload: StorageNotification) -> dict[str, str]:
    return {
        "eventType": upload.event_type,
        "bucketId": upload.bucket,
        "objectId": upload.object_name,
        "objectGeneration": str(upload.generation),
        "payloadFormat": "JSON_API_V1",
    }


def _whole_database(scene: Scene) -> dict[str, Any]:
    dump = scene.dump()
    persons = scene.rows(
        "SELECT id, status, representative_face_id, metadata FROM face_persons WHERE event_id = %s", scene.event_id
    )
    members = {
        person["id"]: frozenset(row["id"] for row in dump["faces"] if row["face_person_id"] == person["id"])
        for person in persons
    }
    # How often the event was clustered on the way, and so which run made a person's id, depends on the order.
    dump["persons"] = {
        members[person["id"]]: (person["status"], person["representative_face_id"], json.dumps(person["metadata"]))
        for person in persons
    }
    for face in dump["faces"]:
        face["face_person_id"] = members.get(face["face_person_id"])
    dump["jobs"] = [job for job in dump["jobs"] if job["job_type"] == "detect"]
    dump["open"] = scene.rows("SELECT * FROM ml_jobs WHERE status NOT IN ('completed')")
    dump["unreported"] = scene.rows("SELECT * FROM ml_jobs WHERE reported_at IS NULL")
    last = scene.rows("SELECT faces, persons, noise FROM cluster_runs ORDER BY created_at DESC LIMIT 1")
    dump["last run"] = last
    return dump


def test_every_message_three_times_and_shuffled_leaves_the_same_database(
    scene: Scene,
    functions: dict[str, FlaskClient],
    monkeypatch: pytest.MonkeyPatch,
    sample_photos: dict[str, bytes],
) -> None:
    uploads = [scene.upload(sample_photos[name], uuid5(_NAMES, name)) for name in _PHOTOS]
    plain = _play(scene, functions, monkeypatch, uploads, None, 1)
    assert len(plain["faces"]) == 15
    assert plain["open"] == []
    assert plain["unreported"] == []
    assert len(plain["persons"]) >= 2
    for seed in (1, 2, 3):
        assert _play(scene, functions, monkeypatch, uploads, seed, 3) == plain, f"seed {seed}"
