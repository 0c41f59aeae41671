"""A second object under a photo's media id: companions, further pictures, renames; the photo stays what it is."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import timedelta
from itertools import permutations
from typing import Any
from uuid import UUID, uuid4

import pytest
from PIL import Image

from functions.admin.events import store as events_store
from functions.callback.store import request_photos_without_job
from shared.contracts import StorageNotification
from tests.integration.pipeline.scene import Scene, SimulatedCrash, deleted, media_of

_MOV = b"\0\0\0\x14ftypqt  \0\0\0\0qt  " + b"\0" * 1000
_BY_NAME = [
    ("photo.MOV", _MOV),
    ("photo.mp4", _MOV),
    ("photo.jpg.xmp", b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'),
    ("photo.AAE", b"<plist/>"),
    ("photo.jpg.json", b"{}"),
    ("photo.wav", b"RIFF\0\0\0\0WAVE"),
    (".DS_Store", b"\0\0\0\1Bud1"),
    ("Thumbs.db", b"\xd0\xcf\x11\xe0"),
    ("._photo.jpg", b"\0\5\x16\7"),
    ("@eaDir/photo.jpg/SYNOPHOTO_THUMB_M.jpg", b"\xff\xd8\xff\xe0"),
]


def _put(scene: Scene, photo: StorageNotification, name: str, data: bytes) -> StorageNotification:
    folder = photo.object_name.rpartition("/")[0]
    return scene.upload(data, name=f"{folder}/{name}")


def _answer_requests(scene: Scene) -> None:
    """Deliver what detection was asked for, each message twice."""
    for message in scene.publisher.requests():
        scene.detection.requested(message)
        scene.detection.requested(message)


def _kept(scene: Scene, media_id: UUID) -> dict[str, Any]:
    """What is to stay of a photo."""
    return {
        "faces": [(row["id"], row["face_person_id"], row["placed_by_human"]) for row in scene.faces(media_id)],
        "tags": scene.rows("SELECT tagged_user_id, source, face_id FROM media_tags WHERE media_id = %s", media_id),
        "object": scene.rows(
            "SELECT object_name, object_generation, deleted_generation FROM media WHERE id = %s", media_id
        ),
        "thumbnails": scene.buckets.thumbnails(),
        "progress": _progress(scene),
    }


def _progress(scene: Scene) -> dict[str, Any]:
    progress = events_store.progress(scene.connection, scene.event_id, 10)
    return {**progress.photos, "failures": len(progress.failures)}


@pytest.fixture
def photo(scene: Scene, two_people: bytes) -> StorageNotification:
    """A photo whose faces people have placed and tagged."""
    uploaded = scene.upload(two_people)
    scene.detection.uploaded(uploaded)
    person_id, user_id = uuid4(), uuid4()
    scene.connection.execute("INSERT INTO users (id) VALUES (%s)", (user_id,))
    scene.connection.execute("INSERT INTO face_persons (id, event_id) VALUES (%s, %s)", (person_id, scene.event_id))
    scene.connection.execute("UPDATE faces SET face_person_id = %s, placed_by_human = true", (person_id,))
    scene.connection.execute(
        "INSERT INTO media_tags (media_id, tagged_user_id, source, face_id)"
        " SELECT media_id, %s, 'face_clustering', id FROM faces ORDER BY id LIMIT 1",
        (user_id,),
    )
    return uploaded


@pytest.mark.parametrize(("name", "data"), _BY_NAME, ids=[name for name, _ in _BY_NAME])
def test_a_companion_beside_a_photo_is_not_even_read_and_changes_nothing(
    scene: Scene, photo: StorageNotification, name: str, data: bytes
) -> None:
    before = _kept(scene, media_of(photo))
    scene.store.reads.clear()
    beside = _put(scene, photo, name, data)
    for message in (beside, beside, photo):
        scene.detection.uploaded(message)
    assert scene.store.reads == []
    assert _kept(scene, media_of(photo)) == before
    job = scene.job_of(beside)
    assert (job["status"], job["result"]["skipped"]) == ("completed", "companion of a photo")
    scene.detection.uploaded(scene.remove(beside))
    scene.detection.uploaded(beside)
    assert _kept(scene, media_of(photo)) == before


def test_a_folder_s_placeholder_makes_no_job_and_changes_nothing(scene: Scene, photo: StorageNotification) -> None:
    before = scene.dump()
    for name in ("events/", f"events/{scene.event_id}/", photo.object_name.rpartition("/")[0] + "/"):
        placeholder = scene.upload(b"", name=name)
        scene.detection.uploaded(placeholder)
        scene.detection.uploaded(deleted(placeholder))
    assert scene.dump() == before


def test_what_no_name_tells_is_a_companion_by_its_bytes(scene: Scene, photo: StorageNotification) -> None:
    before = _kept(scene, media_of(photo))
    beside = _put(scene, photo, "recording", _MOV)
    scene.detection.uploaded(beside)
    assert scene.job_of(beside)["result"]["skipped"] == "companion of a photo"
    assert _kept(scene, media_of(photo)) == before


def test_a_second_picture_is_refused_with_what_to_do_and_changes_nothing(
    scene: Scene, photo: StorageNotification, portrait: bytes
) -> None:
    before = _kept(scene, media_of(photo))
    second = _put(scene, photo, "photo_64x64.jpg", portrait)
    for message in (second, second, photo):
        scene.detection.uploaded(message)
    job = scene.job_of(second)
    assert (job["status"], job["error_code"]) == ("failed", "second_picture")
    assert "media id of its own" in job["error"]
    assert job["result"]["object"] == second.object_name
    assert _kept(scene, media_of(photo)) == before, "and the event does not look as if a photo had failed"
    with scene.database.transaction() as connection:
        assert request_photos_without_job(connection, timedelta(0), 100) == 0
    scene.detection.uploaded(scene.remove(second))
    scene.detection.uploaded(second)
    assert _kept(scene, media_of(photo)) == before


def test_a_second_picture_that_its_metadata_places_is_refused_too(
    scene: Scene, photo: StorageNotification, portrait: bytes
) -> None:
    before = _kept(scene, media_of(photo))
    claims = {"event_id": str(scene.event_id), "media_id": str(media_of(photo))}
    elsewhere = scene.upload(portrait, name="resized/1.jpg", metadata=claims)
    scene.detection.uploaded(elsewhere)
    assert scene.job_of(elsewhere)["error_code"] == "second_picture"
    assert _kept(scene, media_of(photo)) == before


@pytest.mark.parametrize("row", ["none", "announced"])
@pytest.mark.parametrize("name", ["photo.MOV", "recording", "._photo.jpg"])
def test_a_companion_that_comes_before_its_photo_does_not_keep_it_out(
    scene: Scene, two_people: bytes, name: str, row: str
) -> None:
    photo = scene.upload(two_people)
    beside = _put(scene, photo, name, _MOV)
    if row == "announced":
        scene.connection.execute(
            "INSERT INTO media (id, event_id, bucket, object_name) VALUES (%s, %s, %s, %s)",
            (media_of(photo), scene.event_id, photo.bucket, photo.object_name),
        )
    scene.detection.uploaded(beside)
    assert _progress(scene) == {"total": 1, "done": 0 if row == "announced" else 1, "failed": 0, "failures": 0}
    scene.detection.uploaded(photo)
    scene.detection.uploaded(beside)
    assert len(scene.faces(media_of(photo))) == 2
    assert scene.rows("SELECT object_name FROM media") == [{"object_name": photo.object_name}]
    assert scene.job_of(beside)["status"] == "completed"
    scene.detection.uploaded(scene.remove(beside))
    assert len(scene.faces(media_of(photo))) == 2
    assert _progress(scene) == {"total": 1, "done": 1, "failed": 0, "failures": 0}


def test_a_companion_s_job_does_not_keep_the_sweep_from_a_photo_whose_message_was_lost(
    scene: Scene, two_people: bytes
) -> None:
    photo = scene.upload(two_people)
    scene.announce(photo)
    scene.connection.execute("DELETE FROM ml_jobs")
    scene.detection.uploaded(_put(scene, photo, "photo.MOV", _MOV))
    with scene.database.transaction() as connection:
        assert request_photos_without_job(connection, timedelta(0), 100) == 1
    scene.settle()
    _answer_requests(scene)
    assert len(scene.faces(media_of(photo))) == 2


def test_a_broken_first_picture_does_not_keep_out_the_second(scene: Scene, two_people: bytes) -> None:
    broken = scene.upload(two_people[:3000])
    scene.detection.uploaded(broken)
    assert scene.job_of(broken)["status"] == "failed"
    second = _put(scene, broken, "again.jpg", two_people)
    scene.detection.uploaded(second)
    assert len(scene.faces(media_of(second))) == 2


def test_a_picture_refused_while_the_first_was_looked_at_becomes_the_photo_when_that_is_none(
    scene: Scene, two_people: bytes
) -> None:
    first = scene.upload(_MOV, name=f"events/{scene.event_id}/{uuid4()}/recording")
    second = _put(scene, first, "photo.jpg", two_people)

    def meanwhile() -> None:
        scene.store.before_read = lambda: None
        scene.detection.uploaded(second)
        assert scene.job_of(second)["error_code"] == "second_picture"

    scene.store.before_read = meanwhile
    scene.detection.uploaded(first)
    _answer_requests(scene)
    assert len(scene.faces(media_of(first))) == 2
    assert scene.job_of(second)["status"] == "completed"


# ------------------------------------------------------------ rename


def _rename(scene: Scene, photo: StorageNotification) -> list[StorageNotification]:
    """Copy and delete, as every storage renames; returns what is said of the two, the copy first."""
    bucket = scene.buckets.client.bucket(photo.bucket)
    name = photo.object_name.rpartition("/")[0] + "/renamed.jpg"
    copy = bucket.copy_blob(bucket.blob(photo.object_name), bucket, name)
    copy.reload()
    made = photo.model_copy(
        update={"object_name": name, "generation": int(copy.generation), "uploaded_at": copy.time_created}
    )
    return [made, scene.remove(photo)]


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 1, 0, 1), (1, 0, 1, 0)], ids=str)
def test_a_rename_keeps_faces_tags_and_decisions_in_whatever_order_it_is_heard_of(
    scene: Scene, photo: StorageNotification, order: tuple[int, ...]
) -> None:
    before = _kept(scene, media_of(photo))
    messages = _rename(scene, photo)
    for number in order:
        scene.detection.uploaded(messages[number])
    scene.settle()
    _answer_requests(scene)
    for message in (*messages, photo):
        scene.detection.uploaded(message)
    _answer_requests(scene)
    after = _kept(scene, media_of(photo))
    assert after.pop("object") == [
        {
            "object_name": messages[0].object_name,
            "object_generation": messages[0].generation,
            "deleted_generation": 0,
        }
    ]
    before.pop("object")
    assert after == before
    assert scene.rows("SELECT status FROM ml_jobs WHERE status IN ('pending', 'processing')") == []
    scene.detection.uploaded(scene.remove(messages[0]))
    assert scene.faces() == []
    assert scene.buckets.thumbnails() == set()


def test_a_rename_survives_a_crash_at_any_step(scene: Scene, photo: StorageNotification) -> None:
    before = _kept(scene, media_of(photo))
    before.pop("object")
    messages = _rename(scene, photo)
    scene.detection.uploaded(messages[0])
    dying = 0
    while True:
        scene.restart(crash_at=dying)
        try:
            scene.detection.uploaded(messages[1])
        except SimulatedCrash:
            dying += 1
            continue
        break
    assert dying > 3
    scene.restart()
    scene.detection.uploaded(messages[1])
    scene.settle()
    # What a process published just before it died is on the bus too.
    (row,) = scene.rows("SELECT id, run, status FROM ml_jobs WHERE status <> 'completed'")
    request = scene.ask(media_of(photo)) if not scene.publisher.requests() else scene.publisher.requests()[0]
    assert request.job_id == row["id"]
    scene.detection.requested(request)
    after = _kept(scene, media_of(photo))
    after.pop("object")
    assert after == before


def test_a_deleted_photo_is_not_followed_by_what_it_replaced_or_what_is_no_picture(
    scene: Scene, photo: StorageNotification, portrait: bytes
) -> None:
    for name, data in (("photo.MOV", _MOV), ("recording", _MOV)):
        scene.detection.uploaded(_put(scene, photo, name, data))
    newer = scene.upload(portrait, media_of(photo))
    scene.detection.uploaded(newer)
    scene.detection.uploaded(scene.remove(newer))
    assert scene.faces() == []
    assert scene.publisher.requests() == []
    assert _progress(scene)["total"] == 0


def test_of_several_pictures_that_wait_the_largest_becomes_the_photo(
    scene: Scene, photo: StorageNotification, two_people: bytes
) -> None:
    small = io.BytesIO()
    Image.open(io.BytesIO(two_people)).resize((160, 120)).save(small, "JPEG")
    for name, data in (("a_small.jpg", small.getvalue()), ("copy.jpg", two_people)):
        scene.detection.uploaded(_put(scene, photo, name, data))
    scene.detection.uploaded(scene.remove(photo))
    _answer_requests(scene)
    assert scene.rows("SELECT object_name LIKE '%%/copy.jpg' AS is_the_copy FROM media") == [{"is_the_copy": True}]
    assert len(scene.faces()) == 2


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_a_photo_of_one_media_id_is_never_lost_to_a_copy_and_a_companion_in_any_order(
    scene: Scene, two_people: bytes, order: tuple[int, ...]
) -> None:
    photo = scene.upload(two_people)
    messages = [photo, _put(scene, photo, "photo.MOV", _MOV), _put(scene, photo, "photo_2.jpg", two_people)]
    for number in order:
        scene.detection.uploaded(messages[number])
    assert len(scene.faces()) == 2
    assert _progress(scene) == {"total": 1, "done": 1, "failed": 0, "failures": 0}


# ------------------------------------------------------------ announced


@pytest.mark.parametrize("first", ["announced", "uploaded"])
def test_an_announced_replacement_becomes_the_photo(
    scene: Scene, photo: StorageNotification, portrait: bytes, first: str
) -> None:
    def announce() -> None:
        scene.connection.execute("UPDATE media SET object_name = %s WHERE id = %s", (new.object_name, media_of(photo)))

    new = _put(scene, photo, "edited.jpg", portrait)
    steps: list[Callable[[], None]] = [announce, lambda: scene.detection.uploaded(new)]
    for step in steps if first == "announced" else reversed(steps):
        step()
    with scene.database.transaction() as connection:
        request_photos_without_job(connection, timedelta(0), 100)
    scene.settle()
    _answer_requests(scene)
    assert [row["object_generation"] for row in scene.faces()] == [new.generation]
    assert scene.job_of(new)["status"] == "completed"
    scene.detection.uploaded(photo)
    scene.detection.uploaded(scene.remove(photo))
    assert [row["object_generation"] for row in scene.faces()] == [new.generation]
    assert _progress(scene) == {"total": 1, "done": 1, "failed": 0, "failures": 0}


def test_a_copy_that_comes_before_the_announced_photo_does_not_take_its_place(
    scene: Scene, two_people: bytes, portrait: bytes
) -> None:
    photo = scene.upload(two_people)
    scene.announce(photo)
    small = _put(scene, photo, "small.jpg", portrait)
    scene.detection.uploaded(small)
    assert scene.job_of(small)["error_code"] == "second_picture"
    scene.detection.uploaded(photo)
    assert len(scene.faces()) == 2


def test_where_the_announced_object_never_comes_the_one_that_did_is_the_photo(scene: Scene, two_people: bytes) -> None:
    uploaded = scene.upload(two_people)
    request = scene.announce(uploaded.model_copy(update={"object_name": uploaded.object_name + ".heic"}))
    scene.detection.uploaded(uploaded)
    assert scene.faces() == []
    scene.detection.requested(request)
    _answer_requests(scene)
    assert len(scene.faces()) == 2
    assert scene.rows("SELECT id FROM ml_jobs WHERE status <> 'completed'") == []


def test_an_upload_that_was_deleted_before_it_was_heard_of_keeps_no_other_out(scene: Scene, two_people: bytes) -> None:
    gone = scene.upload(two_people)
    other = _put(scene, gone, "other.jpg", two_people)
    scene.remove(gone)
    scene.detection.uploaded(gone)
    scene.detection.uploaded(deleted(gone))
    scene.detection.uploaded(other)
    scene.settle()
    _answer_requests(scene)
    assert len(scene.faces()) == 2
    assert _progress(scene) == {"total": 1, "done": 1, "failed": 0, "failures": 0}
