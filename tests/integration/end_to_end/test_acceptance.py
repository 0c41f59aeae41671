"""Photos in a bucket become persons in the database: everybody found, nobody mixed up, nobody in the landscapes."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from local.cloud.cloud import Cloud
from tests.clustering_quality import quality
from tests.integration.end_to_end.whole_cloud import Event, acceptance_photos


def test_the_people_of_an_event_are_found_and_kept_apart(cloud: Cloud, tmp_path: Path) -> None:
    wanted = acceptance_photos(tmp_path)
    event = Event.made(cloud.addresses, wanted.files)
    started = time.perf_counter()
    event.upload()
    event.wait_until_settled()
    took = time.perf_counter() - started
    event.assert_each_photo_was_done_once()

    report = event.host.report(event.event_id, event.photos)
    faces_of = {photo["name"]: photo["faces"] for photo in report["photos"]}
    found = sum(len(faces) for faces in faces_of.values())
    assert found >= wanted.least_faces
    assert len(report["persons"]) == wanted.persons
    assert [name for name in wanted.landscapes if faces_of[name]] == []

    # A photo of one person, with one face in it, says whose face that is.
    labelled = [
        (faces_of[name][0]["person"], person) for name, person in wanted.person_of.items() if len(faces_of[name]) == 1
    ]
    assert len(labelled) >= 0.9 * len(wanted.person_of)
    ids = sorted({person_id for person_id, _ in labelled if person_id})
    people = sorted({person for _, person in labelled})
    measured = quality(
        np.array([ids.index(person_id) if person_id else -1 for person_id, _ in labelled]),
        np.array([people.index(person) for _, person in labelled]),
    )
    summary = f"{len(wanted.files)} photos, {found} faces, {len(report['persons'])} persons in {took:.1f} s; {measured}"
    print(summary)  # noqa: T201 - what a reader of the test's log asks for
    assert measured.precision == 1.0
    assert measured.recall >= 0.93
    assert len({person for person_id, person in labelled if person_id}) == wanted.persons


def test_a_run_is_reported_and_told(cloud: Cloud, photos: dict[str, Path]) -> None:
    event = Event.made(cloud.addresses, photos)
    event.upload()
    event.wait_until_settled()
    runs = event.rows("SELECT * FROM cluster_runs WHERE event_id = %s ORDER BY created_at", event.event_id)
    last = runs[-1]
    outcome = event.outcome()
    assert last["faces"] == sum(outcome.faces.values())
    assert last["persons"] == len(outcome.persons)
    assert last["milliseconds"]["total"] > 0
    covers = event.rows(
        "SELECT representative_face_id FROM face_persons WHERE event_id = %s AND status = 'pending'", event.event_id
    )
    assert len(covers) == len(outcome.persons)
    assert all(cover["representative_face_id"] for cover in covers)
    tags = event.rows(
        "SELECT * FROM media_tags JOIN media ON media.id = media_id WHERE media.event_id = %s", event.event_id
    )
    assert tags == [], "nothing is tagged without a human"
