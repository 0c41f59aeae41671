"""Another picture under a photo's name: nobody inherits who somebody else is, and an edit changes nobody."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from functions.admin.review import decisions, ledger
from functions.detect.boxes import Box, box_iou
from shared.contracts import StorageNotification
from tests.arrange import member
from tests.integration.pipeline.scene import Scene, boxes, media_of

# Portraits in one framing: the faces of these two share .92 of their boxes, and are two people (cosine .13).
SOMEBODY, STRANGER = "guest-2-1", "guest-4-1"
Photos = dict[str, bytes]


def picture(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def jpeg(image: Image.Image, quality: int = 90) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def side_by_side(*photos: bytes) -> Image.Image:
    """Portraits in equal columns, so that a mirror image puts each person where another was."""
    column = (330, 440)
    joined = Image.new("RGB", (column[0] * len(photos), column[1]))
    for number, data in enumerate(photos):
        joined.paste(ImageOps.fit(picture(data), column), (number * column[0], 0))
    return joined


def cropped(image: Image.Image, by: float) -> Image.Image:
    x, y = round(image.width * by), round(image.height * by)
    return image.crop((x, y, image.width - x, image.height - y))


EDITS: dict[str, Callable[[Image.Image], bytes]] = {
    "re-encoded": lambda image: jpeg(image, 50),
    "as PNG": png,
    "half the size": lambda image: jpeg(image.resize((image.width // 2, image.height // 2))),
    "brightened": lambda image: jpeg(ImageEnhance.Brightness(image).enhance(1.3)),
    "sharpened": lambda image: jpeg(image.filter(ImageFilter.UnsharpMask(2, 150, 3))),
    "cropped": lambda image: jpeg(cropped(image, 0.03)),
}


def looked_at(scene: Scene, data: bytes) -> tuple[StorageNotification, dict[str, Any]]:
    """A photo whose first face a human said is a user's: linked, tagged, placed."""
    uploaded = scene.upload(data)
    scene.detection.uploaded(uploaded)
    face = scene.faces()[0]
    user_id, person_id = uuid4(), uuid4()
    scene.connection.execute("INSERT INTO users (id) VALUES (%s)", (user_id,))
    scene.connection.execute(
        "INSERT INTO face_persons (id, event_id, status, linked_user_id) VALUES (%s, %s, 'linked', %s)",
        (person_id, scene.event_id, user_id),
    )
    scene.connection.execute(
        "UPDATE faces SET face_person_id = %s, placed_by_human = true WHERE id = %s", (person_id, face["id"])
    )
    scene.connection.execute(
        "INSERT INTO media_tags (media_id, tagged_user_id, source, face_id, bbox) "
        "SELECT media_id, %s, 'face_clustering', id, bbox FROM faces WHERE id = %s",
        (user_id, face["id"]),
    )
    return uploaded, scene.faces()[0]


def replace(scene: Scene, uploaded: StorageNotification, data: bytes) -> StorageNotification:
    newer = scene.upload(data, media_of(uploaded))
    scene.detection.uploaded(newer)
    scene.settle()
    assert scene.job_of(newer)["status"] == "completed"
    assert scene.buckets.thumbnails() == {face["thumbnail_object"] for face in scene.faces()} - {None}
    return newer


def tags(scene: Scene) -> list[dict[str, Any]]:
    return scene.rows("SELECT face_id, bbox, source FROM media_tags")


def assert_is_still(scene: Scene, before: dict[str, Any]) -> None:
    (face,) = [face for face in scene.faces() if face["id"] == before["id"]]
    assert (face["face_person_id"], face["placed_by_human"]) == (before["face_person_id"], True)
    assert tags(scene) == [{"face_id": face["id"], "bbox": face["bbox"], "source": "face_clustering"}]


def assert_inherited_nothing(scene: Scene, before: dict[str, Any]) -> None:
    assert scene.faces() != []
    for face in scene.faces():
        assert (face["face_person_id"], face["placed_by_human"]) == (None, False)
        assert face["id"] != before["id"]
    assert tags(scene) == []


def erase(scene: Scene, *columns: str) -> None:
    for column in columns:
        scene.connection.execute(f"UPDATE faces SET {column} = NULL")
    if "thumbnail_object" in columns:
        for name in scene.buckets.thumbnails():
            scene.buckets.client.bucket(scene.buckets.derived).blob(name).delete()


# ------------------------------------------------------------ who is who


def test_a_stranger_in_the_same_place_inherits_neither_person_nor_tag_nor_a_human_s_word(
    scene: Scene, sample_photos: Photos
) -> None:
    uploaded, before = looked_at(scene, sample_photos[SOMEBODY])
    replace(scene, uploaded, sample_photos[STRANGER])
    (after,) = scene.faces()
    assert box_iou(Box(**before["bbox"]), Box(**after["bbox"])) > 0.8
    assert_inherited_nothing(scene, before)


def test_in_a_mirrored_photo_nobody_becomes_whoever_stood_on_the_other_side(
    scene: Scene, sample_photos: Photos
) -> None:
    both = side_by_side(sample_photos[SOMEBODY], sample_photos["guest-3-1"])
    uploaded, before = looked_at(scene, png(both))
    replace(scene, uploaded, png(ImageOps.mirror(both)))
    assert any(box_iou(Box(**before["bbox"]), Box(**face["bbox"])) > 0.5 for face in scene.faces())
    assert_inherited_nothing(scene, before)


def test_one_person_exchanged_in_a_photo_leaves_the_other_as_they_were(scene: Scene, sample_photos: Photos) -> None:
    uploaded, before = looked_at(scene, png(side_by_side(sample_photos[SOMEBODY], sample_photos["guest-3-1"])))
    other = scene.faces()[1]
    replace(scene, uploaded, png(side_by_side(sample_photos[SOMEBODY], sample_photos[STRANGER])))
    assert_is_still(scene, before)
    assert other["id"] not in {face["id"] for face in scene.faces()}
    assert len(scene.faces()) == 2


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_of_the_photo_keeps_everybody_and_tags_follow_the_boxes(
    scene: Scene, sample_photos: Photos, edit: str
) -> None:
    uploaded, before = looked_at(scene, sample_photos[SOMEBODY])
    newer = replace(scene, uploaded, EDITS[edit](picture(sample_photos[SOMEBODY])))
    assert_is_still(scene, before)
    assert scene.job_of(newer)["result"]["gone"] == 0


def test_swapped_and_swapped_back_the_first_face_does_not_return_by_itself(scene: Scene, sample_photos: Photos) -> None:
    uploaded, before = looked_at(scene, sample_photos[SOMEBODY])
    replace(scene, uploaded, sample_photos[STRANGER])
    replace(scene, uploaded, sample_photos[SOMEBODY])
    assert_inherited_nothing(scene, before)


def test_a_manual_tag_stays_with_a_photo_that_was_replaced_and_points_at_no_stranger(
    scene: Scene, sample_photos: Photos
) -> None:
    uploaded, _ = looked_at(scene, sample_photos[SOMEBODY])
    scene.connection.execute("UPDATE media_tags SET source = 'manual'")
    replace(scene, uploaded, sample_photos[STRANGER])
    assert tags(scene) == [{"face_id": None, "bbox": None, "source": "manual"}]


# ------------------------------------------------------------ what cannot be read


def test_what_cannot_be_read_under_a_photo_s_name_erases_nobody_and_good_bytes_find_them_again(
    scene: Scene, sample_photos: Photos
) -> None:
    good = sample_photos[SOMEBODY]
    uploaded, before = looked_at(scene, good)
    kept = (scene.faces(), tags(scene), scene.buckets.thumbnails())
    for bad, outcome in (
        (good[: len(good) // 2], ("failed", "truncated")),
        (good[:2] + b"\x5a" * 500, ("failed", "truncated")),
        (b"", ("failed", "empty")),
        (b"a text\n", ("completed", None)),
    ):
        broken = scene.upload(bad, media_of(uploaded))
        for _ in range(2):
            scene.detection.uploaded(broken)
        scene.detection.requested(scene.ask(media_of(broken)))
        scene.settle()
        job = scene.job_of(broken)
        assert (job["status"], job["error_code"]) == outcome
        assert (scene.faces(), tags(scene), scene.buckets.thumbnails()) == kept
    replace(scene, uploaded, good)
    assert_is_still(scene, before)


@pytest.mark.parametrize("newer", ["an edit", "a stranger"])
def test_after_what_cannot_be_read_other_bytes_are_compared_with_the_last_readable_ones(
    scene: Scene, sample_photos: Photos, newer: str
) -> None:
    uploaded, before = looked_at(scene, sample_photos[SOMEBODY])
    scene.detection.uploaded(scene.upload(sample_photos[SOMEBODY][:5000], media_of(uploaded)))
    if newer == "an edit":
        replace(scene, uploaded, jpeg(picture(sample_photos[SOMEBODY]), 60))
        assert_is_still(scene, before)
    else:
        replace(scene, uploaded, sample_photos[STRANGER])
        assert_inherited_nothing(scene, before)


def test_the_same_bytes_that_are_refused_by_lower_limits_lose_nobody(scene: Scene, sample_photos: Photos) -> None:
    uploaded, before = looked_at(scene, sample_photos[SOMEBODY])
    for setting, limit, code in (
        ("max_photo_pixels", 10_000, "too_many_pixels"),
        ("max_photo_bytes", 1000, "too_large"),
    ):
        limits: dict[str, Any] = {setting: limit}
        scene.restart(**limits)
        again = scene.upload(sample_photos[SOMEBODY], media_of(uploaded))
        scene.detection.uploaded(again)
        assert scene.job_of(again)["error_code"] == code
        assert_is_still(scene, before)
        scene.detection.requested(scene.ask(media_of(uploaded)))
        assert_is_still(scene, before)


@pytest.mark.parametrize("order", ["second picture first", "cut version first"])
def test_a_second_picture_does_not_take_the_place_of_a_photo_whose_newest_version_is_cut(
    scene: Scene, sample_photos: Photos, order: str
) -> None:
    uploaded, before = looked_at(scene, sample_photos[SOMEBODY])
    second = scene.upload(sample_photos[STRANGER], name=f"{uploaded.object_name}.copy.jpg")
    cut = scene.upload(sample_photos[SOMEBODY][:5000], media_of(uploaded))
    for message in (second, cut) if order == "second picture first" else (cut, second):
        scene.detection.uploaded(message)
    assert scene.job_of(second)["error_code"] == "second_picture"
    assert scene.publisher.requests() == []
    replace(scene, uploaded, sample_photos[SOMEBODY])
    assert_is_still(scene, before)


def test_deleting_a_cut_version_erases_the_faces_of_the_one_before(scene: Scene, sample_photos: Photos) -> None:
    uploaded, _ = looked_at(scene, sample_photos[SOMEBODY])
    cut = scene.upload(sample_photos[SOMEBODY][:5000], media_of(uploaded))
    scene.detection.uploaded(cut)
    scene.detection.uploaded(scene.remove(cut))
    scene.settle()
    assert (scene.faces(), tags(scene), scene.buckets.thumbnails()) == ([], [], set())


def test_a_deleted_photo_is_erased_though_a_picture_that_cannot_be_read_takes_its_place(
    scene: Scene, sample_photos: Photos
) -> None:
    uploaded, _ = looked_at(scene, sample_photos[SOMEBODY])
    scene.detection.uploaded(scene.upload(sample_photos[STRANGER][:5000], name=f"{uploaded.object_name}.copy.jpg"))
    scene.detection.uploaded(scene.remove(uploaded))
    for request in scene.publisher.requests():
        scene.detection.requested(request)
    scene.settle()
    assert scene.job()["error_code"] == "truncated"
    assert (scene.faces(), tags(scene), scene.buckets.thumbnails()) == ([], [], set())


@pytest.mark.parametrize("deleted_first", [True, False])
def test_a_deleted_photo_is_erased_though_its_announced_replacement_cannot_be_read(
    scene: Scene, sample_photos: Photos, *, deleted_first: bool
) -> None:
    uploaded, _ = looked_at(scene, sample_photos[SOMEBODY])
    name = f"{uploaded.object_name}.edited.jpg"
    scene.connection.execute("UPDATE media SET object_name = %s", (name,))
    cut = scene.upload(sample_photos[SOMEBODY][:5000], name=name)
    gone = scene.remove(uploaded)
    for message in (gone, cut) if deleted_first else (cut, gone):
        scene.detection.uploaded(message)
    scene.settle()
    assert (scene.faces(), tags(scene), scene.buckets.thumbnails()) == ([], [], set())


def test_who_is_purged_after_a_cut_version_does_not_come_back_with_the_good_bytes(
    scene: Scene, sample_photos: Photos
) -> None:
    uploaded, _ = looked_at(scene, sample_photos[SOMEBODY])
    scene.detection.uploaded(scene.upload(sample_photos[SOMEBODY][:5000], media_of(uploaded)))
    purge(scene)
    assert (scene.faces(), tags(scene), scene.buckets.thumbnails()) == ([], [], set())
    replace(scene, uploaded, sample_photos[SOMEBODY])
    assert scene.faces() == []


# ------------------------------------------------------------ what there is to compare


def test_in_the_same_bytes_place_alone_decides_though_nothing_is_left_to_compare(
    scene: Scene, sample_photos: Photos
) -> None:
    uploaded, before = looked_at(scene, sample_photos[SOMEBODY])
    erase(scene, "embedding", "landmarks", "thumbnail_object")
    scene.restart(model="another-model")
    scene.detection.requested(scene.ask(media_of(uploaded)))
    replace(scene, uploaded, sample_photos[SOMEBODY])
    assert_is_still(scene, before)
    assert {face["embedding_model"] for face in scene.faces()} == {"another-model"}


def test_in_other_bytes_with_nothing_left_to_compare_it_is_a_new_face(scene: Scene, sample_photos: Photos) -> None:
    uploaded, before = looked_at(scene, sample_photos[SOMEBODY])
    erase(scene, "embedding", "landmarks", "thumbnail_object")
    replace(scene, uploaded, jpeg(picture(sample_photos[SOMEBODY]), 80))
    assert_inherited_nothing(scene, before)


@pytest.mark.parametrize("swapped", [False, True], ids=["re-encoded", "swapped"])
def test_across_packs_the_old_thumbnail_is_compared(scene: Scene, sample_photos: Photos, *, swapped: bool) -> None:
    uploaded, before = looked_at(scene, sample_photos[SOMEBODY])
    erase(scene, "embedding")
    scene.restart(model="another-model")
    newer = sample_photos[STRANGER] if swapped else jpeg(picture(sample_photos[SOMEBODY]), 80)
    replace(scene, uploaded, newer)
    if swapped:
        assert_inherited_nothing(scene, before)
    else:
        assert_is_still(scene, before)


def test_faces_older_than_the_checksum_are_known_by_their_generation_and_then_by_their_looks(
    scene: Scene, sample_photos: Photos
) -> None:
    uploaded, before = looked_at(scene, sample_photos[SOMEBODY])
    unknown = "UPDATE media SET faces_crc32c = NULL, faces_picture_hash = NULL"
    scene.connection.execute(unknown)
    erase(scene, "embedding", "landmarks", "thumbnail_object")
    scene.detection.requested(scene.ask(media_of(uploaded)))
    assert_is_still(scene, before)
    (noted,) = scene.rows("SELECT faces_crc32c, octet_length(faces_picture_hash) AS bytes FROM media")
    assert (len(noted["faces_crc32c"]), noted["bytes"]) == (8, 32)
    scene.connection.execute(unknown)
    replace(scene, uploaded, sample_photos[SOMEBODY])
    assert_is_still(scene, before)
    scene.connection.execute(unknown)
    replace(scene, uploaded, sample_photos[STRANGER])
    assert_inherited_nothing(scene, before)


@pytest.mark.parametrize("same_bytes", [True, False], ids=["same bytes", "other bytes"])
def test_a_placed_face_that_is_not_found_stays_in_the_same_bytes_alone(
    scene: Scene, sample_photos: Photos, *, same_bytes: bool
) -> None:
    uploaded, found = looked_at(scene, sample_photos[SOMEBODY])
    scene.connection.execute(
        """
        UPDATE faces SET bbox = '{"x": 0.8, "y": 0.8, "w": 0.1, "h": 0.1}' WHERE id = %s
        """,
        (found["id"],),
    )
    data = sample_photos[SOMEBODY] if same_bytes else jpeg(picture(sample_photos[SOMEBODY]), 80)
    newer = replace(scene, uploaded, data)
    ids = {face["id"]: face["object_generation"] for face in scene.faces()}
    assert len(ids) == 1 + same_bytes
    assert ids.get(found["id"]) == (newer.generation if same_bytes else None)


def test_a_deleted_photo_keeps_no_trace_of_its_picture(scene: Scene, sample_photos: Photos) -> None:
    uploaded, _ = looked_at(scene, sample_photos[SOMEBODY])
    scene.detection.uploaded(scene.remove(uploaded))
    assert scene.rows("SELECT faces_crc32c, faces_picture_hash FROM media") == [
        {"faces_crc32c": None, "faces_picture_hash": None}
    ]


# ------------------------------------------------------------ decisions


def test_what_was_decided_on_a_replaced_face_stays_in_the_history_and_is_undone_without_touching_the_stranger(
    scene: Scene, sample_photos: Photos
) -> None:
    organiser, guest = member(scene.connection, scene.event_id, "organizer"), member(scene.connection, scene.event_id)
    shots = [scene.upload(sample_photos[name]) for name in (SOMEBODY, "guest-2-2", "guest-2-3")]
    for shot in shots:
        scene.detection.uploaded(shot)
    faces = {shot.object_name: scene.faces(media_of(shot))[0]["id"] for shot in shots}
    first, second, third = (faces[shot.object_name] for shot in shots)
    people = [uuid4(), uuid4()]
    for person in people:
        scene.connection.execute("INSERT INTO face_persons (id, event_id) VALUES (%s, %s)", (person, scene.event_id))
    scene.connection.execute("UPDATE faces SET face_person_id = %s", (people[0],))

    made: list[UUID] = []
    for decide in (
        lambda connection: decisions.cover(connection, organiser, people[0], first),
        lambda connection: decisions.link(connection, organiser, people[0], guest),
        lambda connection: decisions.move(connection, organiser, [first], people[1]),
        lambda connection: decisions.reject(connection, organiser, [first]),
        lambda connection: decisions.split(connection, organiser, people[0], [second]),
    ):
        with scene.database.transaction() as connection:
            made.append(decide(connection).decision_id)  # type: ignore[no-untyped-call]

    replace(scene, shots[0], sample_photos[STRANGER])
    (stranger,) = scene.faces(media_of(shots[0]))
    assert stranger["id"] != first
    assert len(scene.rows("SELECT id FROM decisions WHERE %s = ANY(face_ids)", first)) == 2, "moved, and rejected"
    for decision_id in reversed(made):
        with scene.database.transaction() as connection:
            ledger.undo(connection, organiser, scene.event_id, decision_id)
    (after,) = scene.faces(media_of(shots[0]))
    assert after == stranger
    assert scene.rows("SELECT * FROM media_tags") == []
    assert {face["face_person_id"] for face in scene.faces() if face["id"] in (second, third)} == {people[0]}
    (shown,) = scene.rows("SELECT representative_face_id FROM face_persons WHERE id = %s", people[0])
    assert shown["representative_face_id"] in (second, third)


def test_a_tag_that_an_undo_puts_back_is_where_its_face_is_now(scene: Scene, sample_photos: Photos) -> None:
    organiser = member(scene.connection, scene.event_id, "organizer")
    uploaded, before = looked_at(scene, sample_photos[SOMEBODY])
    with scene.database.transaction() as connection:
        decided = decisions.unlink(connection, organiser, before["face_person_id"])
    assert tags(scene) == []
    replace(scene, uploaded, jpeg(cropped(picture(sample_photos[SOMEBODY]), 0.03)))
    with scene.database.transaction() as connection:
        ledger.undo(connection, organiser, scene.event_id, decided.decision_id)
    assert scene.faces()[0]["bbox"] != before["bbox"]
    assert_is_still(scene, before)


# ------------------------------------------------------------ purged


def purge(scene: Scene) -> None:
    (user,) = scene.rows("SELECT linked_user_id AS id FROM face_persons WHERE linked_user_id IS NOT NULL")
    scene.rows("SELECT purge_face_data_for_user(%s, %s)", user["id"], scene.event_id)
    scene.settle()


def test_a_purged_face_comes_back_by_no_copy_of_its_picture_and_by_no_pack(scene: Scene, sample_photos: Photos) -> None:
    both = side_by_side(sample_photos[SOMEBODY], sample_photos["guest-3-1"])
    uploaded, _ = looked_at(scene, png(both))
    kept = scene.faces()[1]
    purge(scene)
    scene.detection.requested(scene.ask(media_of(uploaded)))
    assert boxes(scene.faces()) == boxes([kept])
    for copy in (png(both), jpeg(both, 60), jpeg(both.resize((both.width // 2, both.height // 2)))):
        newer = replace(scene, uploaded, copy)
        assert scene.job_of(newer)["result"]["purged"] == 1
        assert [face["id"] for face in scene.faces()] == [kept["id"]]
    erase(scene, "embedding")
    scene.restart(model="another-model")
    replace(scene, uploaded, png(both))
    assert [face["id"] for face in scene.faces()] == [kept["id"]]


@pytest.mark.parametrize("other", ["another person's portrait", "a mirror image"])
def test_a_purged_face_hides_nobody_in_another_picture(scene: Scene, sample_photos: Photos, other: str) -> None:
    both = side_by_side(sample_photos[SOMEBODY], sample_photos["guest-3-1"])
    uploaded, purged = looked_at(scene, sample_photos[SOMEBODY] if other.startswith("another") else png(both))
    purge(scene)
    newer = replace(
        scene, uploaded, sample_photos[STRANGER] if other.startswith("another") else png(ImageOps.mirror(both))
    )
    assert scene.job_of(newer)["result"]["purged"] == 0
    assert any(box_iou(Box(**purged["bbox"]), Box(**face["bbox"])) > 0.5 for face in scene.faces())
    replace(scene, uploaded, sample_photos[SOMEBODY] if other.startswith("another") else png(both))
    assert not any(box_iou(Box(**purged["bbox"]), Box(**face["bbox"])) > 0.5 for face in scene.faces())


def test_a_purge_holds_though_the_photo_s_row_was_deleted_and_made_again(scene: Scene, sample_photos: Photos) -> None:
    uploaded, _ = looked_at(scene, sample_photos[SOMEBODY])
    purge(scene)
    scene.connection.execute("DELETE FROM media")
    newer = replace(scene, uploaded, sample_photos[SOMEBODY])
    assert scene.job_of(newer)["result"]["purged"] == 1
    assert scene.faces() == []
