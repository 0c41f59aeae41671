"""Delivered twice, late, out of order or on two threads: the same database."""

from __future__ import annotations

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from uuid import UUID, uuid4

import psycopg
import pytest

from functions.callback.store import request_photos_without_job
from functions.detect import store
from shared.contracts import StorageNotification
from tests.integration.pipeline.scene import Scene, boxes, deleted, media_of


def _story(scene: Scene, photos: dict[str, bytes], landscape: bytes) -> list[StorageNotification]:
    """Messages of five photos; one is deleted, one overwritten, one is no picture."""
    first = scene.upload(photos["guest-1-1"])
    group = scene.upload(photos["group-middle"])
    nobody = scene.upload(landscape)
    text = scene.upload(b"a text\n")
    replaced = scene.upload(photos["guest-2-1"])
    replacing = scene.upload(photos["group-left-half"], media_of(replaced))
    gone = scene.upload(photos["guest-3-1"])
    return [
        first,
        group,
        nobody,
        text,
        replaced,
        replacing,
        deleted(replaced, overwritten_by=replacing.generation),
        gone,
        scene.remove(gone),
    ]


def test_every_message_three_times_in_any_order_on_two_threads_gives_the_same_database(
    scene: Scene, sample_photos: dict[str, bytes], landscape: bytes
) -> None:
    messages = _story(scene, sample_photos, landscape)
    for message in messages:
        scene.detection.uploaded(message)
    plain = scene.dump()
    assert plain["outbox"] == []
    assert len(plain["faces"]) == 6
    for seed in range(6):
        scene.clear()
        scene.restart()
        thrice = messages * 3
        random.Random(seed).shuffle(thrice)
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(scene.detection.uploaded, thrice))
        scene.settle()
        found = scene.dump()
        for table in ("faces", "tags", "media", "thumbnails", "outbox"):
            assert found[table] == plain[table], f"seed {seed}, {table}"
        assert _lasting_jobs(found) == _lasting_jobs(plain), f"seed {seed}"
        assert set(_told(scene).values()) == {1}, f"seed {seed}: one message for each run"
        assert {job_id for job_id, _ in _told(scene)} == {row["id"] for row in scene.rows("SELECT id FROM ml_jobs")}


def _lasting_jobs(dump: dict[str, object]) -> list[object]:
    """The jobs whose object is still there; whether an object that is gone was ever looked at depends on order."""
    jobs = dump["jobs"]
    media = dump["media"]
    assert isinstance(jobs, list)
    assert isinstance(media, list)
    current = {
        (row["id"], row["object_generation"])
        for row in media
        if row["deleted_generation"] < (row["object_generation"] or 0)
    }
    lasting = [row for row in jobs if (row["media_ids"][0], row["object_generation"]) in current]
    assert len(lasting) == len(current)
    for row in lasting:
        # What was new and what was known depends on whether the photo it replaced was looked at before.
        for field in ("new", "gone"):
            (row["result"] or {}).pop(field, None)
    return lasting


def _told(scene: Scene) -> Counter[tuple[UUID | None, str]]:
    return Counter((sent.job_id, str(sent.run)) for sent in scene.publisher.finished())


def test_one_message_on_two_threads_at_once_is_worked_on_by_both_and_written_once(
    scene: Scene, two_people: bytes
) -> None:
    uploaded = scene.upload(two_people)
    together = Barrier(2, timeout=20)

    def meet() -> None:
        together.wait()

    scene.store.after_read = meet
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(scene.detection.uploaded, [uploaded, uploaded]))
    assert len(scene.store.reads) == 2
    assert len(scene.faces()) == 2
    assert len(scene.publisher.finished()) == 1
    assert scene.job_of(uploaded)["attempts"] == 2
    assert scene.buckets.thumbnails() == {face["thumbnail_object"] for face in scene.faces()}
    assert scene.rows("SELECT changed_photos FROM event_counters") == [{"changed_photos": 1}]


def test_the_first_rows_of_a_photo_and_of_an_event_are_made_by_two_at_once(scene: Scene) -> None:
    event_ids = [scene.make_event() for _ in range(200)]
    media_ids = [uuid4() for _ in event_ids]
    together = Barrier(2, timeout=20)

    def make(_number: int) -> None:
        with psycopg.connect(scene.database_url, autocommit=True, row_factory=psycopg.rows.dict_row) as connection:
            for event_id, media_id in zip(event_ids, media_ids, strict=True):
                together.wait()
                assert store.make_photo(connection, media_id, event_id, 1, None) is not None
                together.wait()
                store.refuse_other_model(connection, event_id, "a model")

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(make, range(2)))
    assert scene.rows("SELECT count(*) AS n FROM media") == [{"n": 200}]
    assert scene.rows("SELECT count(*) AS n FROM event_counters WHERE embedding_model = 'a model'") == [{"n": 200}]


def test_an_older_generation_after_a_newer_changes_nothing(scene: Scene, portrait: bytes, two_people: bytes) -> None:
    older = scene.upload(portrait)
    newer = scene.upload(two_people, media_of(older))
    assert newer.generation > older.generation
    scene.detection.uploaded(newer)
    before = scene.dump()
    scene.store.reads.clear()
    scene.detection.uploaded(older)
    assert scene.dump() == before
    assert scene.store.reads == []


def test_a_deletion_that_comes_before_its_upload_wins(scene: Scene, portrait: bytes) -> None:
    uploaded = scene.upload(portrait)
    removal = scene.remove(uploaded)
    scene.detection.uploaded(removal)
    scene.detection.uploaded(uploaded)
    assert scene.store.reads == []
    assert scene.faces() == []
    assert scene.rows("SELECT * FROM ml_jobs") == []
    assert scene.rows("SELECT * FROM event_counters WHERE changed_photos > 0") == []


def test_a_deletion_takes_faces_tags_and_thumbnails_and_asks_for_clustering(
    scene: Scene, two_people: bytes, portrait: bytes
) -> None:
    kept = scene.upload(portrait)
    uploaded = scene.upload(two_people)
    scene.detection.uploaded(kept)
    scene.detection.uploaded(uploaded)
    _tag_everybody(scene, media_of(uploaded))
    scene.connection.execute("UPDATE event_counters SET changed_photos = 0, first_change_at = NULL")
    removal = scene.remove(uploaded)
    for _ in range(3):
        scene.detection.uploaded(removal)
    assert scene.faces(media_of(uploaded)) == []
    assert scene.rows("SELECT * FROM media_tags") == []
    assert scene.buckets.thumbnails() == {face["thumbnail_object"] for face in scene.faces(media_of(kept))}
    assert scene.rows("SELECT changed_photos FROM event_counters") == [{"changed_photos": 1}]


def test_a_late_deletion_of_the_replaced_object_does_not_touch_what_replaced_it(scene: Scene, portrait: bytes) -> None:
    older = scene.upload(portrait)
    scene.detection.uploaded(older)
    removal = scene.remove(older)
    newer = scene.upload(portrait, media_of(older))
    scene.detection.uploaded(newer)
    before = scene.dump()
    scene.detection.uploaded(removal)
    assert scene.dump() == before
    assert len(scene.faces()) == 1


def test_an_upload_after_a_deletion_is_a_photo_again(scene: Scene, portrait: bytes) -> None:
    older = scene.upload(portrait)
    scene.detection.uploaded(older)
    scene.detection.uploaded(scene.remove(older))
    newer = scene.upload(portrait, media_of(older))
    scene.detection.uploaded(newer)
    scene.settle()
    (face,) = scene.faces()
    assert face["object_generation"] == newer.generation
    assert scene.buckets.thumbnails() == {face["thumbnail_object"]}


def test_an_upload_while_the_thumbnails_of_the_deleted_photo_are_still_to_be_erased_keeps_its_own(
    scene: Scene, portrait: bytes
) -> None:
    older = scene.upload(portrait)
    scene.detection.uploaded(older)
    removal = scene.remove(older)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scene.outbox, "drain_quietly", lambda: None)
        scene.detection.uploaded(removal)
        newer = scene.upload(portrait, media_of(older))
        scene.detection.uploaded(newer)
    scene.settle()
    (face,) = scene.faces()
    assert scene.buckets.thumbnails() == {face["thumbnail_object"]}


def test_a_deletion_while_the_photo_is_looked_at_leaves_nothing(scene: Scene, two_people: bytes) -> None:
    uploaded = scene.upload(two_people)
    scene.store.after_read = lambda: _once(scene, uploaded)
    scene.detection.uploaded(uploaded)
    scene.settle()
    assert scene.faces() == []
    assert scene.buckets.thumbnails() == set()
    assert scene.job_of(uploaded)["result"]["skipped"] == "the photo was deleted"
    assert len(scene.publisher.finished()) == 1


def _once(scene: Scene, uploaded: StorageNotification) -> None:
    scene.store.after_read = lambda: None
    scene.detection.uploaded(scene.remove(uploaded))


def test_an_overwritten_photo_keeps_the_ids_of_the_faces_that_are_still_there(scene: Scene, two_people: bytes) -> None:
    older = scene.upload(two_people)
    scene.detection.uploaded(older)
    before = scene.faces()
    newer = scene.upload(two_people, media_of(older))
    scene.detection.uploaded(deleted(older, overwritten_by=newer.generation))
    assert scene.faces() == before
    scene.detection.uploaded(newer)
    after = scene.faces()
    assert [face["id"] for face in after] == [face["id"] for face in before]
    assert {face["object_generation"] for face in after} == {newer.generation}
    assert scene.buckets.thumbnails() == {face["thumbnail_object"] for face in after}
    assert scene.job_of(newer)["result"]["new"] == 0


def test_a_photo_that_is_overwritten_twice_keeps_its_people_though_one_version_was_never_seen(
    scene: Scene, two_people: bytes
) -> None:
    first = scene.upload(two_people)
    scene.detection.uploaded(first)
    person_id = _place_by_human(scene, media_of(first))
    before = scene.faces()
    second = scene.upload(two_people, media_of(first))
    third = scene.upload(two_people, media_of(first))
    scene.detection.uploaded(second)
    assert scene.job_of(second)["result"]["skipped"].startswith("the object was deleted or replaced")
    scene.detection.uploaded(third)
    after = scene.faces()
    assert [face["id"] for face in after] == [face["id"] for face in before]
    assert {face["face_person_id"] for face in after} == {person_id}


def test_a_photo_replaced_by_a_landscape_loses_faces_tags_and_thumbnails(
    scene: Scene, two_people: bytes, landscape: bytes
) -> None:
    older = scene.upload(two_people)
    scene.detection.uploaded(older)
    _tag_everybody(scene, media_of(older))
    _place_by_human(scene, media_of(older))
    newer = scene.upload(landscape, media_of(older))
    scene.detection.uploaded(newer)
    assert scene.faces() == []
    assert scene.rows("SELECT * FROM media_tags") == []
    assert scene.buckets.thumbnails() == set()
    assert scene.job_of(newer)["result"]["gone"] == 2


@pytest.mark.parametrize("first", ["upload", "request"])
def test_a_photo_that_the_sweep_asked_for_while_its_upload_was_on_its_way_has_one_job(
    scene: Scene, portrait: bytes, first: str
) -> None:
    uploaded = scene.upload(portrait)
    request = scene.announce(uploaded)
    if first == "upload":
        scene.detection.uploaded(uploaded)
        scene.detection.requested(request)
    else:
        scene.detection.requested(request)
        scene.detection.uploaded(uploaded)
    (job,) = scene.rows("SELECT id, status, object_generation, result ->> 'faces' AS faces FROM ml_jobs")
    assert job == {
        "id": request.job_id,
        "status": "completed",
        "object_generation": uploaded.generation,
        "faces": "1",
    }
    assert len(scene.store.reads) == (1 if first == "upload" else 2), "one look at the bucket's index, one read"
    assert len(scene.publisher.finished()) == 1


def test_the_sweep_does_not_ask_for_a_photo_whose_upload_is_being_accepted(scene: Scene, portrait: bytes) -> None:
    uploaded = scene.upload(portrait)
    scene.announce(uploaded)
    scene.connection.execute("DELETE FROM ml_jobs")
    with scene.database.transaction() as accepting:
        photo = store.lock_photo(accepting, media_of(uploaded), scene.event_id)
        assert photo is not None
        store.job_of_object(accepting, photo, uploaded.generation)
        store.set_object(accepting, photo, uploaded.bucket, uploaded.object_name, uploaded.generation)
        with scene.database.transaction() as sweeping:
            assert request_photos_without_job(sweeping, timedelta(0), 100) == 0
    assert len(scene.rows("SELECT * FROM ml_jobs")) == 1
    with scene.database.transaction() as sweeping:
        assert request_photos_without_job(sweeping, timedelta(0), 100) == 0


# ------------------------------------------------------------ looking again


def test_looking_again_keeps_id_person_and_decision(scene: Scene, two_people: bytes) -> None:
    uploaded = scene.upload(two_people)
    scene.detection.uploaded(uploaded)
    person_id = _place_by_human(scene, media_of(uploaded))
    before = scene.dump()
    message = scene.ask(media_of(uploaded))
    for _ in range(2):
        scene.detection.requested(message)
    after = scene.dump()
    assert after["faces"] == before["faces"]
    assert {face["face_person_id"] for face in after["faces"]} == {person_id}
    assert all(face["placed_by_human"] for face in after["faces"])
    assert after["thumbnails"] == before["thumbnails"]
    assert after["counters"] == before["counters"]
    assert scene.job()["run"] == 2
    assert scene.job()["result"]["new"] == 0
    assert [sent.run for sent in scene.publisher.finished()] == [1, 2]


def test_a_request_of_an_older_run_is_stale(scene: Scene, portrait: bytes) -> None:
    uploaded = scene.upload(portrait)
    scene.detection.uploaded(uploaded)
    older = scene.ask(media_of(uploaded))
    scene.ask(media_of(uploaded))
    scene.store.reads.clear()
    scene.detection.requested(older)
    assert scene.store.reads == []
    assert scene.job()["status"] == "pending"


def test_a_purged_face_does_not_come_back(scene: Scene, two_people: bytes) -> None:
    uploaded = scene.upload(two_people)
    scene.detection.uploaded(uploaded)
    purged, kept = scene.faces()
    scene.connection.execute(
        "INSERT INTO face_tombstones (media_id, event_id, bbox) SELECT media_id, event_id, bbox FROM faces "
        "WHERE id = %s",
        (purged["id"],),
    )
    scene.connection.execute("DELETE FROM faces WHERE id = %s", (purged["id"],))
    scene.buckets.client.bucket(scene.buckets.derived).blob(purged["thumbnail_object"]).delete()
    scene.detection.requested(scene.ask(media_of(uploaded)))
    assert boxes(scene.faces()) == boxes([kept])
    assert scene.job()["result"]["purged"] == 1
    assert scene.buckets.thumbnails() == {kept["thumbnail_object"]}
    scene.detection.uploaded(scene.upload(two_people, media_of(uploaded)))
    assert boxes(scene.faces()) == boxes([kept])


def test_a_face_that_is_found_again_keeps_the_thumbnail_that_was_about_to_be_erased(
    scene: Scene, two_people: bytes
) -> None:
    uploaded = scene.upload(two_people)
    scene.detection.uploaded(uploaded)
    lost, _ = scene.faces()
    scene.connection.execute("DELETE FROM faces WHERE id = %s", (lost["id"],))
    scene.connection.execute(
        "INSERT INTO outbox (kind, bucket, object_prefix) VALUES ('delete_objects', %s, %s)",
        (scene.buckets.derived, lost["thumbnail_object"]),
    )
    scene.detection.requested(scene.ask(media_of(uploaded)))
    scene.settle()
    assert len(scene.faces()) == 2
    assert scene.buckets.thumbnails() == {face["thumbnail_object"] for face in scene.faces()}


def _tag_everybody(scene: Scene, media_id: UUID) -> None:
    for face in scene.faces(media_id):
        user_id = uuid4()
        scene.connection.execute("INSERT INTO users (id) VALUES (%s)", (user_id,))
        scene.connection.execute(
            "INSERT INTO media_tags (media_id, tagged_user_id, source, face_id) VALUES (%s, %s, 'face_clustering', %s)",
            (media_id, user_id, face["id"]),
        )


def _place_by_human(scene: Scene, media_id: UUID) -> UUID:
    person_id = uuid4()
    scene.connection.execute("INSERT INTO face_persons (id, event_id) VALUES (%s, %s)", (person_id, scene.event_id))
    scene.connection.execute(
        "UPDATE faces SET face_person_id = %s, placed_by_human = true WHERE media_id = %s", (person_id, media_id)
    )
    return person_id
