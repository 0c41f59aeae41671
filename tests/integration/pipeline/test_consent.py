"""Nothing runs without consent: not even a read."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import pytest

from tests.integration.pipeline.scene import Scene, SimulatedCrash, media_of


@pytest.mark.parametrize(
    ("state", "code"),
    [({"consents": False}, "no_consent"), ({"archived": True}, "event_archived")],
    ids=["never switched on", "archived"],
)
def test_a_photo_of_an_event_without_consent_is_not_read(
    scene: Scene, portrait: bytes, state: dict[str, bool], code: str
) -> None:
    event_id = scene.make_event(**{"consents": True, **state})
    uploaded = scene.upload(portrait, event_id=event_id)
    scene.detection.uploaded(uploaded)
    scene.detection.uploaded(uploaded)
    job = scene.job_of(uploaded)
    assert (job["status"], job["error_code"]) == ("failed", code)
    assert "not read" in job["error"]
    assert job["attempts"] == 0
    assert scene.store.reads == []
    assert scene.faces() == []
    assert [message.status for message in scene.publisher.finished()] == ["failed"]


def test_a_photo_of_an_unknown_event_is_not_read(scene: Scene, portrait: bytes) -> None:
    event_id = uuid4()
    uploaded = scene.upload(portrait, event_id=event_id)
    scene.detection.uploaded(uploaded)
    scene.detection.uploaded(uploaded)
    (job,) = scene.rows("SELECT * FROM ml_jobs")
    assert (job["status"], job["error_code"]) == ("failed", "unknown_event")
    assert job["event_id"] is None
    assert str(event_id) in job["result"]["object"]
    assert scene.store.reads == []
    assert scene.rows("SELECT * FROM media") == []


def test_a_requested_photo_is_not_read_without_consent_either(scene: Scene, portrait: bytes) -> None:
    uploaded = scene.upload(portrait)
    scene.detection.uploaded(uploaded)
    message = scene.ask(media_of(uploaded))
    scene.withdraw_consent()
    scene.store.reads.clear()
    scene.detection.requested(message)
    assert scene.job()["error_code"] == "no_consent"
    assert scene.store.reads == []


def test_an_announced_photo_whose_object_is_not_known_yet_is_not_even_looked_for_without_consent(
    scene: Scene, portrait: bytes
) -> None:
    message = scene.announce(scene.upload(portrait))
    scene.withdraw_consent()
    scene.detection.requested(message)
    job = scene.job()
    assert (job["status"], job["error_code"]) == ("failed", "no_consent")
    assert scene.store.reads == []


def test_an_announced_photo_whose_upload_message_was_lost_is_found_by_the_request(
    scene: Scene, portrait: bytes
) -> None:
    message = scene.announce(scene.upload(portrait))
    scene.detection.requested(message)
    assert scene.job()["status"] == "completed"
    assert len(scene.faces(message.media_id)) == 1
    assert len(scene.rows("SELECT * FROM ml_jobs")) == 1


def test_consent_that_is_withdrawn_while_the_photo_is_looked_at_leaves_nothing(scene: Scene, two_people: bytes) -> None:
    uploaded = scene.upload(two_people)
    scene.store.before_write = scene.withdraw_consent
    scene.detection.uploaded(uploaded)
    job = scene.job_of(uploaded)
    assert (job["status"], job["error_code"]) == ("failed", "no_consent")
    assert scene.faces() == []
    assert scene.buckets.thumbnails() == set()
    assert scene.rows("SELECT * FROM outbox") == []


def test_consent_that_is_withdrawn_after_a_crash_leaves_no_thumbnail(scene: Scene, two_people: bytes) -> None:
    uploaded = scene.upload(two_people)
    scene.store.before_write = _crash_at_second()
    with pytest.raises(SimulatedCrash):
        scene.detection.uploaded(uploaded)
    assert len(scene.buckets.thumbnails()) == 1
    scene.withdraw_consent()
    scene.restart()
    scene.detection.uploaded(uploaded)
    assert scene.job_of(uploaded)["error_code"] == "no_consent"
    scene.an_hour_later()
    assert scene.buckets.thumbnails() == set()
    assert scene.rows("SELECT * FROM outbox") == []


def _crash_at_second() -> Callable[[], None]:
    calls = iter((False, True))

    def crash() -> None:
        if next(calls):
            raise SimulatedCrash

    return crash
