"""The host app deletes a photo's row, or the event, by SQL: before the object, after it, or while it is looked at."""

from __future__ import annotations

from uuid import uuid4

import pytest

from functions.callback.settings import CallbackSettings
from functions.callback.sweep import Sweep
from shared.contracts import StorageNotification
from tests.integration.pipeline.scene import Scene, deleted, media_of


def _delete_row(scene: Scene, photo: StorageNotification) -> None:
    scene.connection.execute("DELETE FROM media WHERE id = %s", (media_of(photo),))


def _tick(scene: Scene) -> None:
    settings = CallbackSettings(
        database_url=scene.database_url,
        google_cloud_project=scene.buckets.project,
        derived_bucket=scene.buckets.derived,
        photo_grace=0,
    )
    Sweep(scene.database, scene.outbox, settings).tick()


def _left(scene: Scene) -> dict[str, int]:
    """What is left of photos, by kind."""
    counts = scene.rows(
        """
        SELECT (SELECT count(*) FROM media) AS rows, (SELECT count(*) FROM faces) AS faces,
            (SELECT count(*) FROM ml_jobs WHERE job_type = 'detect' AND status IN ('pending', 'processing')) AS open,
            (SELECT count(*) FROM ml_jobs WHERE job_type = 'detect' AND status = 'failed') AS failed,
            (SELECT count(*) FROM outbox) AS outbox
        """
    )[0]
    return {**counts, "thumbnails": len(scene.buckets.thumbnails())}


_NOTHING = {"rows": 0, "faces": 0, "open": 0, "failed": 0, "outbox": 0, "thumbnails": 0}


@pytest.mark.parametrize("then", ["nothing", "object", "object before", "event"])
def test_a_deleted_row_leaves_no_thumbnail_and_no_message_makes_it_again(
    scene: Scene, two_people: bytes, then: str
) -> None:
    photo = scene.upload(two_people)
    scene.detection.uploaded(photo)
    if then == "object before":
        scene.detection.uploaded(scene.remove(photo))
    if then == "event":
        scene.connection.execute("DELETE FROM events WHERE id = %s", (scene.event_id,))
    else:
        _delete_row(scene, photo)
    if then == "object":
        scene.remove(photo)
    for message in (photo, deleted(photo), photo):
        scene.detection.uploaded(message)
    _tick(scene)
    assert _left(scene) == _NOTHING


def test_a_row_deleted_before_its_upload_was_heard_of_stays_deleted(scene: Scene, two_people: bytes) -> None:
    photo = scene.upload(two_people)
    request = scene.announce(photo)
    _delete_row(scene, photo)
    scene.detection.uploaded(photo)
    scene.detection.requested(request)
    _tick(scene)
    assert _left(scene) == _NOTHING
    assert scene.store.reads == []


@pytest.mark.parametrize("what", ["media", "events"])
@pytest.mark.parametrize("moment", ["before_read", "before_write"])
def test_a_row_deleted_while_its_photo_is_looked_at_leaves_nothing(
    scene: Scene, two_people: bytes, what: str, moment: str
) -> None:
    photo = scene.upload(two_people)

    def meanwhile() -> None:
        setattr(scene.store, moment, lambda: None)
        scene.connection.execute(f"DELETE FROM {what}")
        # The tick comes by while the thumbnails are being uploaded.
        _tick(scene)

    setattr(scene.store, moment, meanwhile)
    scene.detection.uploaded(photo)
    _tick(scene)
    assert _left(scene) == _NOTHING


def test_an_open_job_of_a_deleted_photo_is_ended_and_told(scene: Scene, portrait: bytes) -> None:
    photo = scene.upload(portrait)
    request = scene.announce(photo)
    _delete_row(scene, photo)
    _tick(scene)
    (told,) = scene.publisher.finished()
    assert (told.job_id, told.status) == (request.job_id, "completed")
    assert scene.job()["result"] == {"skipped": "the photo was deleted"}
    scene.detection.requested(request)
    assert scene.publisher.finished() == [told]


def test_the_event_of_a_deleted_photo_is_clustered_again_once(scene: Scene, two_people: bytes) -> None:
    photo, other = scene.upload(two_people), scene.upload(two_people)
    for message in (photo, other):
        scene.detection.uploaded(message)
    scene.connection.execute("UPDATE event_counters SET changed_photos = 0, first_change_at = NULL")
    _delete_row(scene, photo)
    for _ in range(2):
        _tick(scene)
    assert len(scene.rows("SELECT id FROM ml_jobs WHERE job_type = 'cluster'")) == 1
    assert len(scene.buckets.thumbnails()) == len(scene.faces()) == 2


def test_an_upload_after_the_deletion_makes_the_photo_again_and_older_messages_change_nothing(
    scene: Scene, two_people: bytes, portrait: bytes
) -> None:
    photo = scene.upload(two_people)
    scene.detection.uploaded(photo)
    _delete_row(scene, photo)
    newer = scene.upload(portrait, media_of(photo))
    for message in (photo, newer, photo, deleted(photo, overwritten_by=newer.generation)):
        scene.detection.uploaded(message)
    _tick(scene)
    assert [row["object_generation"] for row in scene.faces()] == [newer.generation]
    assert scene.buckets.thumbnails() == {row["thumbnail_object"] for row in scene.faces()}
    assert scene.job_of(newer)["status"] == "completed"


@pytest.mark.parametrize("how", ["upload message", "sweep"])
def test_a_row_that_the_host_app_makes_anew_is_looked_at_anew(scene: Scene, two_people: bytes, how: str) -> None:
    photo = scene.upload(two_people)
    scene.detection.uploaded(photo)
    with scene.connection.transaction():
        _delete_row(scene, photo)
        scene.connection.execute(
            "INSERT INTO media (id, event_id, bucket, object_name) VALUES (%s, %s, %s, %s)",
            (media_of(photo), scene.event_id, photo.bucket, photo.object_name),
        )
    if how == "upload message":
        scene.detection.uploaded(photo)
    _tick(scene)
    for request in scene.publisher.requests():
        scene.detection.requested(request)
    assert len(scene.faces()) == 2
    assert scene.buckets.thumbnails() == {row["thumbnail_object"] for row in scene.faces()}
    assert _left(scene)["open"] == 0


def test_a_message_of_a_deleted_event_tells_no_failure(scene: Scene, portrait: bytes) -> None:
    heard, unheard = scene.upload(portrait), scene.upload(portrait)
    scene.detection.uploaded(heard)
    scene.connection.execute("DELETE FROM events WHERE id = %s", (scene.event_id,))
    for message in (heard, unheard, deleted(unheard)):
        scene.detection.uploaded(message)
    _tick(scene)
    assert _left(scene) == _NOTHING


def test_a_face_that_is_deleted_by_sql_leaves_no_thumbnail(scene: Scene, two_people: bytes) -> None:
    scene.detection.uploaded(scene.upload(two_people))
    gone, kept = scene.faces()
    scene.connection.execute("DELETE FROM faces WHERE id = %s", (gone["id"],))
    _tick(scene)
    assert scene.buckets.thumbnails() == {kept["thumbnail_object"]}


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("photo.MOV", b"\0\0\0\x14ftypqt  \0\0\0\0qt  "),
        ("photo.jpg.xmp", b"<x:xmpmeta/>"),
        ("photo.AAE", b"<plist/>"),
        ("recording", b"\0\0\0\x14ftypqt  \0\0\0\0qt  "),
    ],
)
@pytest.mark.parametrize("row", ["seen", "announced"])
def test_what_is_no_picture_does_not_make_a_deleted_photo_again(
    scene: Scene, portrait: bytes, name: str, data: bytes, row: str
) -> None:
    photo = scene.upload(portrait)
    if row == "seen":
        scene.detection.uploaded(photo)
    else:
        scene.announce(photo)
    _delete_row(scene, photo)
    late = scene.upload(data, name=f"{photo.object_name.rpartition('/')[0]}/{name}")
    for message in (late, late, deleted(late), late):
        scene.detection.uploaded(message)
    scene.detection.uploaded(scene.remove(late))
    scene.detection.uploaded(late)
    _tick(scene)
    assert _left(scene) == _NOTHING


def test_a_second_picture_heard_of_after_the_row_was_deleted_does_not_make_the_photo_again(
    scene: Scene, two_people: bytes, portrait: bytes
) -> None:
    photo = scene.upload(two_people)
    scene.detection.uploaded(photo)
    second = scene.upload(portrait, name=photo.object_name + ".copy.jpg")
    _delete_row(scene, photo)
    for message in (second, deleted(second), second):
        scene.detection.uploaded(message)
    _tick(scene)
    assert _left(scene) == _NOTHING


def test_deleted_photos_of_another_media_id_are_not_confused(scene: Scene, portrait: bytes) -> None:
    first, second = scene.upload(portrait), scene.upload(portrait, uuid4())
    scene.detection.uploaded(first)
    _delete_row(scene, first)
    scene.detection.uploaded(second)
    _tick(scene)
    assert [row["media_id"] for row in scene.faces()] == [media_of(second)]


def test_the_file_name_of_a_refused_picture_goes_with_the_row(scene: Scene, two_people: bytes) -> None:
    photo = scene.upload(two_people)
    scene.detection.uploaded(photo)
    scene.detection.uploaded(scene.upload(two_people, name=photo.object_name + ".copy.jpg"))
    _delete_row(scene, photo)
    _tick(scene)
    assert scene.rows("SELECT id FROM ml_jobs WHERE result::text LIKE '%%copy.jpg%%'") == []
    assert len(scene.rows("SELECT id FROM ml_jobs WHERE error_code = 'second_picture'")) == 1
