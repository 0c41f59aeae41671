"""A photo in the bucket becomes faces in the database; what cannot be placed is refused with its reason."""

from __future__ import annotations

import io
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest
from PIL import Image

from functions.detect.boxes import Box, box_iou
from shared.contracts import StorageNotification
from tests.integration.pipeline.scene import MODEL, Scene, media_of


def test_a_photo_leaves_its_faces_their_thumbnails_and_a_result(scene: Scene, two_people: bytes) -> None:
    uploaded = scene.upload(two_people)
    scene.detection.uploaded(uploaded)

    faces = scene.faces()
    assert len(faces) == 2
    for face in faces:
        assert face["media_id"] == media_of(uploaded)
        assert face["event_id"] == scene.event_id
        assert face["object_generation"] == uploaded.generation
        assert face["embedding_model"] == MODEL
        assert face["face_person_id"] is None
        assert 0.5 < face["quality_score"] <= 1
        assert face["size_px"] > 30
        assert face["sharpness"] > 0
        assert len(face["landmarks"]) == 5
        box = face["bbox"]
        for x, y in face["landmarks"]:
            assert box["x"] < x < box["x"] + box["w"]
            assert box["y"] < y < box["y"] + box["h"]
    assert abs(np.linalg.norm(_embedding(scene, faces[0]["id"])) - 1) < 1e-5

    names = {face["thumbnail_object"] for face in faces}
    assert scene.buckets.thumbnails() == names
    for name in names:
        stored = scene.buckets.client.bucket(scene.buckets.derived).get_blob(name)
        assert stored.content_type == "image/jpeg"
        assert Image.open(io.BytesIO(stored.download_as_bytes())).size == (160, 160)

    job = scene.job_of(uploaded)
    assert (job["status"], job["error"], job["run"], job["attempts"]) == ("completed", None, 1, 1)
    result = job["result"]
    assert (result["faces"], result["new"], result["gone"], result["purged"]) == (2, 2, 0, 0)
    assert (result["model"], result["format"]) == (MODEL, "jpeg")
    milliseconds = result["milliseconds"]
    assert set(milliseconds) == {"read", "decode", "detect", "embed", "thumbnail", "upload", "total"}
    assert all(value >= 0 for value in milliseconds.values())
    assert milliseconds["total"] >= milliseconds["read"] + milliseconds["decode"] + milliseconds["upload"]

    assert [(sent.job_id, sent.run, sent.status, sent.media_id) for sent in scene.publisher.finished()] == [
        (job["id"], 1, "completed", media_of(uploaded))
    ]
    assert scene.rows("SELECT changed_photos FROM event_counters") == [{"changed_photos": 1}]
    assert scene.rows("SELECT * FROM outbox") == []


def test_a_photo_of_nobody_is_completed_and_changes_no_counter(scene: Scene, landscape: bytes) -> None:
    uploaded = scene.upload(landscape)
    scene.detection.uploaded(uploaded)
    assert scene.job_of(uploaded)["result"]["faces"] == 0
    assert scene.faces() == []
    assert scene.rows("SELECT changed_photos FROM event_counters") == [{"changed_photos": 0}]


def test_a_photo_that_the_host_announced_keeps_its_row(scene: Scene, portrait: bytes) -> None:
    media_id = uuid4()
    scene.connection.execute("INSERT INTO media (id, event_id) VALUES (%s, %s)", (media_id, scene.event_id))
    uploaded = scene.upload(portrait, media_id)
    scene.detection.uploaded(uploaded)
    (media,) = scene.rows("SELECT * FROM media")
    assert (media["bucket"], media["object_name"]) == (scene.buckets.photos, uploaded.object_name)
    assert media["object_generation"] == uploaded.generation
    assert len(scene.faces(media_id)) == 1


def test_a_photo_is_found_by_its_custom_metadata(scene: Scene, portrait: bytes) -> None:
    media_id = uuid4()
    claims = {"event_id": str(scene.event_id), "media_id": str(media_id)}
    scene.detection.uploaded(scene.upload(portrait, name="from/another/app.jpg", metadata=claims))
    assert len(scene.faces(media_id)) == 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_box_is_where_the_face_is_in_the_upright_photo(scene: Scene, portrait: bytes, orientation: int) -> None:
    upright = Image.open(io.BytesIO(portrait)).convert("RGB")
    undo = {
        1: [],
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }[orientation]
    stored = upright
    for step in undo:
        stored = stored.transpose(step)
    exif = Image.Exif()
    exif[0x0112] = orientation
    plain, turned = io.BytesIO(), io.BytesIO()
    upright.save(plain, "PNG")
    stored.save(turned, "PNG", exif=exif)
    first, second = scene.upload(plain.getvalue()), scene.upload(turned.getvalue())
    scene.detection.uploaded(first)
    scene.detection.uploaded(second)
    (expected,), (found,) = scene.faces(media_of(first)), scene.faces(media_of(second))
    assert box_iou(Box(**expected["bbox"]), Box(**found["bbox"])) > 0.99
    assert scene.job_of(second)["result"]["width"] == upright.width


# ------------------------------------------------------------ what cannot be placed


def _refused(scene: Scene, uploaded: StorageNotification) -> dict[str, Any]:
    scene.detection.uploaded(uploaded)
    scene.detection.uploaded(uploaded)
    assert scene.store.reads == []
    assert scene.faces() == []
    (job,) = scene.rows("SELECT * FROM ml_jobs")
    assert job["status"] == "failed"
    return job


def test_an_object_whose_name_and_metadata_contradict_each_other_is_refused(scene: Scene, portrait: bytes) -> None:
    job = _refused(scene, scene.upload(portrait, metadata={"media_id": str(uuid4())}))
    assert job["error_code"] == "unknown_object"
    assert "different media_id" in job["error"]
    assert job["event_id"] is None


def test_an_object_that_names_no_photo_is_refused_and_told_how_to_name_it(scene: Scene, portrait: bytes) -> None:
    job = _refused(scene, scene.upload(portrait, name="holiday/photo.jpg"))
    assert job["error_code"] == "unknown_object"
    assert "events/{event_id}/{media_id}/{filename}" in job["error"]
    assert job["result"]["object"] == "holiday/photo.jpg"


def test_an_object_of_another_bucket_is_refused(scene: Scene, portrait: bytes) -> None:
    elsewhere = scene.upload(portrait).model_copy(update={"bucket": scene.buckets.derived})
    job = _refused(scene, elsewhere)
    assert job["error_code"] == "unknown_object"
    assert "photos bucket" in job["error"]


def test_a_media_id_of_another_event_is_refused_and_that_photo_is_left_alone(
    scene: Scene, portrait: bytes, two_people: bytes
) -> None:
    theirs = scene.upload(two_people, event_id=scene.make_event())
    scene.detection.uploaded(theirs)
    before = scene.dump()
    ours = scene.upload(portrait, media_of(theirs))
    scene.detection.uploaded(ours)
    scene.detection.uploaded(ours.model_copy(update={"event_type": "OBJECT_DELETE"}))
    after = scene.dump()
    refusals = [job for job in after["jobs"] if job["status"] == "failed"]
    assert [job["error_code"] for job in refusals] == ["wrong_event"]
    assert "another event" in refusals[0]["error"]
    assert after["faces"] == before["faces"]
    assert after["media"] == before["media"]
    assert after["thumbnails"] == before["thumbnails"]


def test_embeddings_of_another_model_are_refused_with_the_words_of_both(
    scene: Scene, portrait: bytes, two_people: bytes
) -> None:
    first = scene.upload(portrait)
    scene.detection.uploaded(first)
    before = scene.dump()
    scene.restart(model="another-model")
    second = scene.upload(two_people)
    scene.detection.uploaded(second)
    job = scene.job_of(second)
    assert (job["status"], job["error_code"]) == ("failed", "model_mismatch")
    assert MODEL in job["error"]
    assert "another-model" in job["error"]
    assert "FACE_PACK and FACE_MIRRORED" in job["error"]
    assert scene.store.reads == []
    after = scene.dump()
    for unchanged in ("faces", "counters", "thumbnails"):
        assert after[unchanged] == before[unchanged]


def test_an_event_whose_faces_are_all_gone_may_change_its_model(scene: Scene, portrait: bytes) -> None:
    first = scene.upload(portrait)
    scene.detection.uploaded(first)
    scene.detection.uploaded(scene.remove(first))
    scene.restart(model="another-model")
    scene.detection.uploaded(scene.upload(portrait))
    assert [face["embedding_model"] for face in scene.faces()] == ["another-model"]


def _embedding(scene: Scene, face_id: UUID) -> Any:
    (row,) = scene.rows("SELECT embedding::real[] AS values FROM faces WHERE id = %s", face_id)
    return np.array(row["values"])
