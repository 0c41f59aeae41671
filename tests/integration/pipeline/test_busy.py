"""More photos than detect has room for: refused at once, before anything is begun, and done once in the end."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from threading import Barrier, Event
from uuid import UUID

import pytest

from functions.callback.dead_letters import DeadLetters
from functions.callback.settings import CallbackSettings
from functions.callback.sweep import Sweep
from shared.contracts import DetectRequested, Message, StorageNotification, encode
from shared.errors import Busy, Retryable
from shared.push import Delivery
from tests.integration.pipeline.scene import Scene, deleted, media_of

WAIT = 20.0
_GIVEN_UP_AFTER = 10


@contextmanager
def full(scene: Scene) -> Iterator[None]:
    """Every place is taken."""
    with ExitStack() as taken:
        for _ in range(4):
            taken.enter_context(scene.detection._places.taken())
        yield


def as_upload(message: StorageNotification, message_id: str) -> Delivery:
    attributes = {
        "eventType": message.event_type,
        "bucketId": message.bucket,
        "objectId": message.object_name,
        "objectGeneration": str(message.generation),
        "CloudPubSubDeadLetterSourceDeliveryCount": str(_GIVEN_UP_AFTER),
    }
    return Delivery(message_id, b"{}", attributes)


def as_request(message: Message, message_id: str) -> Delivery:
    return Delivery(message_id, encode(message.data()), message.attributes())


class Callback:
    """The half of callback that hears of what the bus gave up on, on the scene's database and bus."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._settings = CallbackSettings(
            database_url=scene.database_url, google_cloud_project="unused", derived_bucket=scene.buckets.derived
        )

    def gives_up(self, topic: str, delivery: Delivery) -> None:
        DeadLetters(self._scene.database, self._scene.outbox).received(topic, delivery)

    def tick(self) -> list[DetectRequested]:
        """One tick; returns what it asks detect for."""
        self._scene.publisher.messages.clear()
        Sweep(self._scene.database, self._scene.outbox, self._settings).tick()
        return [
            DetectRequested.parse(data, attributes)
            for topic, data, attributes in self._scene.publisher.messages
            if topic == DetectRequested.topic
        ]


@pytest.fixture
def uploaded(scene: Scene, portrait: bytes) -> StorageNotification:
    return scene.upload(portrait)


def test_who_finds_no_place_is_refused_before_any_transaction_or_read(
    scene: Scene, uploaded: StorageNotification
) -> None:
    asked = DetectRequested(job_id=UUID(int=1), run=1, event_id=scene.event_id, media_id=media_of(uploaded))
    with full(scene):
        for _ in range(3):
            with pytest.raises(Busy):
                scene.detection.uploaded(uploaded)
            with pytest.raises(Busy):
                scene.detection.requested(asked)
    assert scene.steps.passed == []
    scene.detection.uploaded(uploaded)
    assert (scene.job()["status"], scene.job()["attempts"], len(scene.faces())) == ("completed", 1, 1)


def test_a_deletion_needs_no_place(scene: Scene, uploaded: StorageNotification) -> None:
    scene.detection.uploaded(uploaded)
    with full(scene):
        scene.detection.uploaded(deleted(uploaded))
    assert scene.faces() == []


def test_who_waits_inside_for_too_long_is_refused_and_counts_as_not_tried(
    scene: Scene, uploaded: StorageNotification
) -> None:
    scene.restart(face_patience=0.01)
    with scene.detection._room.taken(2**40):
        for _ in range(2):
            with pytest.raises(Busy):
                scene.detection.uploaded(uploaded)
    job = scene.job()
    assert (job["status"], job["attempts"], job["error"]) == ("processing", 0, None)
    scene.detection.uploaded(uploaded)
    assert (scene.job()["status"], scene.job()["attempts"], len(scene.faces())) == ("completed", 1, 1)


def test_of_twelve_photos_at_once_four_get_in_and_all_are_done_once_in_the_end(scene: Scene, portrait: bytes) -> None:
    photos = [scene.upload(portrait) for _ in range(12)]
    answered, start, may_read = Barrier(len(photos) - 4 + 1, timeout=WAIT), Barrier(len(photos), timeout=WAIT), Event()

    def wait_in_front_of_the_bucket() -> None:
        assert may_read.wait(WAIT)

    def deliver(photo: StorageNotification) -> bool:
        start.wait()
        try:
            scene.detection.uploaded(photo)
        except Busy:
            answered.wait()
            return False
        return True

    scene.store.before_read = wait_in_front_of_the_bucket
    with ThreadPoolExecutor(len(photos)) as threads:
        running = [threads.submit(deliver, photo) for photo in photos]
        # Those who found no place know it while the others are still inside.
        answered.wait()
        may_read.set()
        outcomes = [future.result(WAIT) for future in running]
    assert sum(outcomes) == 4
    for photo, was_done in zip(photos, outcomes, strict=True):
        if not was_done:
            scene.detection.uploaded(photo)
    jobs = scene.rows("SELECT status, attempts FROM ml_jobs WHERE job_type = 'detect'")
    assert [(job["status"], job["attempts"]) for job in jobs] == [("completed", 1)] * 12
    assert len(scene.faces()) == len(scene.buckets.thumbnails()) == 12


@pytest.mark.parametrize("rounds", [1, 3])
def test_busy_as_often_as_the_bus_delivers_then_done_once(
    scene: Scene, uploaded: StorageNotification, rounds: int
) -> None:
    callback = Callback(scene)
    with full(scene):
        for _ in range(_GIVEN_UP_AFTER):
            with pytest.raises(Busy):
                scene.detection.uploaded(uploaded)
        callback.gives_up("media-uploads", as_upload(uploaded, "m"))
        (asked,) = callback.tick()
        for number in range(1, rounds):
            for _ in range(_GIVEN_UP_AFTER):
                with pytest.raises(Busy):
                    scene.detection.requested(asked)
            callback.gives_up("detect-requests", as_request(asked, f"round {number}"))
            (asked,) = callback.tick()
    assert scene.job()["status"] == "pending"
    for _ in range(2):
        scene.detection.requested(asked)
        scene.detection.uploaded(uploaded)
    assert [(job["status"], job["attempts"]) for job in scene.rows("SELECT * FROM ml_jobs")] == [("completed", 1)]
    assert len(scene.faces()) == len(scene.buckets.thumbnails()) == 1
    assert callback.tick() == []
    assert scene.rows("SELECT FROM dead_letters WHERE replayed_at IS NULL") == []


def test_a_photo_that_was_tried_and_then_found_no_place_fails_when_the_bus_gives_it_up(
    scene: Scene, uploaded: StorageNotification
) -> None:
    def away() -> None:
        raise Retryable("the bucket is away")

    scene.store.before_read = away
    with pytest.raises(Retryable):
        scene.detection.uploaded(uploaded)
    with full(scene), pytest.raises(Busy):
        scene.detection.uploaded(uploaded)
    Callback(scene).gives_up("media-uploads", as_upload(uploaded, "m"))
    job = scene.job()
    assert (job["status"], job["error_code"]) == ("failed", "dead_letter")
    assert job["error"].endswith("the last error: Retryable: the bucket is away")
