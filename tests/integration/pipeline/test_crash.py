"""The process dies at any step, the message comes again: the same database, and no thumbnail too many."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache
from typing import Any
from uuid import uuid4

import pytest
from PIL import Image

from shared.contracts import DetectRequested, StorageNotification
from tests.integration.pipeline.scene import Scene, SimulatedCrash, media_of

Photos = dict[str, bytes]
# A story's beginning, undisturbed, and then the one message at which the process dies.
Beginning = Callable[[Scene, Photos], StorageNotification | DetectRequested]
_MOST_STEPS = 60


def _first_upload(scene: Scene, photos: Photos) -> StorageNotification:
    return scene.upload(photos["group-middle"])


def _other_picture(scene: Scene, photos: Photos) -> StorageNotification:
    """One of two people is somebody else now; the other is the same face in other bytes."""
    before = scene.upload(photos["group-middle"])
    scene.detection.uploaded(before)
    return scene.upload(_with_stranger(photos["group-middle"], photos["guest-1-1"]), media_of(before))


@cache
def _with_stranger(two_people: bytes, portrait: bytes) -> bytes:
    picture = Image.open(io.BytesIO(two_people))
    stranger = Image.open(io.BytesIO(portrait)).resize((picture.width // 2, picture.height))
    picture.paste(stranger, (picture.width // 2, 0))
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=90)
    return stream.getvalue()


def _deletion(scene: Scene, photos: Photos) -> StorageNotification:
    before = scene.upload(photos["group-middle"])
    scene.detection.uploaded(before)
    return scene.remove(before)


def _another_look(scene: Scene, photos: Photos) -> DetectRequested:
    before = scene.upload(photos["group-middle"])
    scene.detection.uploaded(before)
    lost, _ = scene.faces()
    scene.connection.execute("DELETE FROM faces WHERE id = %s", (lost["id"],))
    return scene.ask(media_of(before))


def _unreadable(scene: Scene, photos: Photos) -> StorageNotification:
    before = scene.upload(photos["group-middle"])
    scene.detection.uploaded(before)
    return scene.upload(photos["guest-1-1"][:5000], media_of(before))


def _deliver(scene: Scene, message: StorageNotification | DetectRequested) -> None:
    if isinstance(message, DetectRequested):
        scene.detection.requested(message)
    else:
        scene.detection.uploaded(message)


@pytest.mark.parametrize("beginning", [_first_upload, _other_picture, _deletion, _another_look, _unreadable])
def test_a_crash_at_any_step_loses_nothing_and_doubles_nothing(
    scene: Scene, sample_photos: Photos, beginning: Beginning
) -> None:
    expected, told, steps = _play(scene, sample_photos, beginning, None)
    assert len(steps) > 10
    assert expected["outbox"] == []
    for step in _different_places(steps):
        found, told_now, _ = _play(scene, sample_photos, beginning, step)
        where = f"crash at step {step}: {steps[step]} ({steps[max(0, step - 3) : step]})"
        assert found == expected, where
        assert set(told_now) == set(told), where


def _different_places(steps: list[str]) -> list[int]:
    """The steps, but for those where nothing happened since the one before: to die there is to die here."""
    return [
        number
        for number, step in enumerate(steps)
        if step in ("before commit", steps[0]) or not step.startswith("before")
    ]


def _play(
    scene: Scene, photos: Photos, beginning: Beginning, crash_at: int | None
) -> tuple[dict[str, Any], list[tuple[int, str]], list[str]]:
    """One whole story; returns the database in the end, what was told, and the steps of the one message."""
    scene.clear()
    scene.restart()
    message = beginning(scene, photos)
    scene.settle()
    scene.restart(crash_at=crash_at)
    if crash_at is None:
        _deliver(scene, message)
    else:
        with pytest.raises(SimulatedCrash):
            _deliver(scene, message)
    steps = scene.steps.passed
    told = scene.publisher.finished()
    scene.restart()
    if crash_at is not None:
        _deliver(scene, message)
    scene.settle()
    told += scene.publisher.finished()
    assert len({(sent.job_id, sent.run) for sent in told}) <= 1
    return _nameless(scene), [(sent.run, sent.status) for sent in told], steps


def _nameless(scene: Scene) -> dict[str, Any]:
    """The database without the ids and generations that differ from story to story."""
    dump = scene.dump()
    faces = {row["id"]: number for number, row in enumerate(scene.faces())}
    assert {f"{row['thumbnail_object']}" for row in dump["faces"]} == set(dump["thumbnails"])
    return {
        "jobs": [
            {name: row[name] for name in ("job_type", "status", "run", "error_code", "error", "result")}
            for row in dump["jobs"]
        ],
        "faces": sorted(
            (faces[row["id"]], str(row["bbox"]), row["embedding"], row["quality_score"], row["face_person_id"])
            for row in dump["faces"]
        ),
        "media": [row["deleted_generation"] == row["object_generation"] for row in dump["media"]],
        "tags": len(dump["tags"]),
        "counters": [row["changed_photos"] for row in dump["counters"]],
        "outbox": dump["outbox"],
    }


@pytest.mark.parametrize("then", ["consent withdrawn", "replaced", "deleted", "never again"])
def test_whatever_follows_a_crash_no_thumbnail_stays_that_no_face_refers_to(
    scene: Scene, sample_photos: Photos, landscape: bytes, then: str
) -> None:
    scene.detection.uploaded(scene.upload(sample_photos["group-middle"]))
    places = _different_places(scene.steps.passed)
    crashed = 0
    for step in [*places, _MOST_STEPS]:
        scene.clear()
        scene.event_id = scene.make_event()
        scene.restart(crash_at=step)
        uploaded = scene.upload(sample_photos["group-middle"])
        try:
            scene.detection.uploaded(uploaded)
        except SimulatedCrash:
            crashed += 1
        else:
            assert step == _MOST_STEPS
            break
        scene.restart()
        if then == "consent withdrawn":
            scene.withdraw_consent()
            scene.detection.uploaded(uploaded)
        elif then == "replaced":
            scene.detection.uploaded(scene.upload(landscape, media_of(uploaded)))
            scene.detection.uploaded(uploaded)
        elif then == "deleted":
            scene.detection.uploaded(scene.remove(uploaded))
            scene.detection.uploaded(uploaded)
        scene.an_hour_later()
        # Withdrawn consent erases the thumbnails of faces that stay.
        referred = {face["thumbnail_object"] for face in scene.faces()} - {None}
        assert scene.buckets.thumbnails() == referred, f"crash at step {step}: {scene.steps.passed[-1]}"
        assert scene.rows("SELECT * FROM outbox") == [], f"crash at step {step}"
    assert crashed == len(places) > 10


def test_a_crash_while_another_photo_waits_touches_only_its_own(scene: Scene, sample_photos: Photos) -> None:
    other = scene.upload(sample_photos["guest-2-1"], uuid4())
    scene.detection.uploaded(other)
    before = scene.faces(media_of(other))
    scene.restart(crash_at=12)
    with pytest.raises(SimulatedCrash):
        scene.detection.uploaded(scene.upload(sample_photos["group-middle"]))
    assert scene.faces(media_of(other)) == before
