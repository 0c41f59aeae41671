"""Detection beside erasure: a purge or an archive at any moment of a photo's way leaves nothing that comes back."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from functions.detect import store
from shared.contracts import StorageNotification
from tests.integration.pipeline.scene import Scene, boxes, media_of


def linked_user(scene: Scene, face_id: UUID) -> UUID:
    """Somebody to whom a face's person is linked."""
    user_id, person_id = uuid4(), uuid4()
    scene.connection.execute("INSERT INTO users (id) VALUES (%s)", (user_id,))
    scene.connection.execute(
        "INSERT INTO face_persons (id, event_id, status, linked_user_id) VALUES (%s, %s, 'linked', %s)",
        (person_id, scene.event_id, user_id),
    )
    scene.connection.execute("UPDATE faces SET face_person_id = %s WHERE id = %s", (person_id, face_id))
    return user_id


def purge(scene: Scene, user_id: UUID) -> dict[str, Any]:
    (row,) = scene.rows("SELECT purge_face_data_for_user(%s, %s) AS receipt", user_id, scene.event_id)
    receipt: dict[str, Any] = row["receipt"]
    return receipt


def looked_at(scene: Scene, photo: bytes) -> tuple[StorageNotification, dict[str, Any], dict[str, Any]]:
    """A photo of two people that was looked at; its upload and its faces."""
    uploaded = scene.upload(photo)
    scene.detection.uploaded(uploaded)
    first, second = scene.faces()
    return uploaded, first, second


def test_a_purge_takes_rows_at_once_and_thumbnails_with_the_next_drain(scene: Scene, two_people: bytes) -> None:
    _, purged, kept = looked_at(scene, two_people)
    receipt = purge(scene, linked_user(scene, purged["id"]))
    assert [face["id"] for face in scene.faces()] == [kept["id"]]
    assert receipt["completed_at"] is None
    scene.settle()
    assert scene.buckets.thumbnails() == {kept["thumbnail_object"]}
    (row,) = scene.rows("SELECT completed_at FROM purge_receipts")
    assert row["completed_at"] is not None


def test_looking_again_by_request_and_by_upload_does_not_bring_the_face_back(scene: Scene, two_people: bytes) -> None:
    uploaded, purged, kept = looked_at(scene, two_people)
    purge(scene, linked_user(scene, purged["id"]))
    scene.detection.requested(scene.ask(media_of(uploaded)))
    scene.detection.uploaded(scene.upload(two_people, media_of(uploaded)))
    scene.settle()
    assert boxes(scene.faces()) == boxes([kept])
    assert scene.buckets.thumbnails() == {kept["thumbnail_object"]}


def test_a_purge_while_thumbnails_are_uploaded_is_kept_to(scene: Scene, two_people: bytes) -> None:
    uploaded, purged, kept = looked_at(scene, two_people)
    user_id = linked_user(scene, purged["id"])
    waiting = [user_id]

    def purge_once() -> None:
        if waiting:
            purge(scene, waiting.pop())

    scene.store.before_write = purge_once
    scene.detection.requested(scene.ask(media_of(uploaded)))
    scene.settle()
    assert [face["id"] for face in scene.faces()] == [kept["id"]]
    assert scene.buckets.thumbnails() == {kept["thumbnail_object"]}


def test_a_purge_in_the_last_moment_before_faces_are_written_is_kept_to(
    scene: Scene, two_people: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The faces are matched once the event's counters are locked: a purge comes before that, or after the writing."""
    uploaded, purged, kept = looked_at(scene, two_people)
    user_id = linked_user(scene, purged["id"])
    lock_counters = store.refuse_other_model
    calls: list[object] = []

    def purge_then_lock(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == 1:
            purge(scene, user_id)
        lock_counters(*arguments)

    monkeypatch.setattr(store, "refuse_other_model", purge_then_lock)
    scene.detection.requested(scene.ask(media_of(uploaded)))
    scene.settle()
    assert len(calls) > 1, "it was matched anew"
    assert [face["id"] for face in scene.faces()] == [kept["id"]]
    assert scene.buckets.thumbnails() == {kept["thumbnail_object"]}


def test_an_archive_while_a_photo_is_looked_at_leaves_no_biometrics(scene: Scene, two_people: bytes) -> None:
    uploaded, _, _ = looked_at(scene, two_people)
    scene.store.before_write = lambda: scene.connection.execute("UPDATE events SET archived_at = now()")  # type: ignore[assignment]
    scene.detection.requested(scene.ask(media_of(uploaded)))
    scene.settle()
    assert len(scene.faces()) == 2
    assert [face["embedding"] for face in scene.faces()] == [None, None]
    assert scene.job()["error_code"] == "event_archived"
    assert scene.buckets.thumbnails() == set()


def test_consent_given_again_brings_back_the_same_faces_with_their_persons(scene: Scene, two_people: bytes) -> None:
    uploaded, first, second = looked_at(scene, two_people)
    linked_user(scene, first["id"])
    before = [(face["id"], face["face_person_id"]) for face in scene.faces()]
    scene.withdraw_consent()
    # Not drained in between: the deletion of the old thumbnails must not take the new ones.
    scene.connection.execute("UPDATE events SET face_recognition_enabled = true")
    scene.detection.requested(scene.ask(media_of(uploaded)))
    scene.settle()
    after = scene.faces()
    assert [(face["id"], face["face_person_id"]) for face in after] == before
    assert all(face["embedding"] is not None for face in after)
    assert scene.buckets.thumbnails() == {first["thumbnail_object"], second["thumbnail_object"]}
