"""Blurred and half-hidden heads among an event's photos: kept, and never a person of strangers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from local.cloud.cloud import Cloud
from tests.integration.end_to_end.whole_cloud import Event, acceptance_photos
from tests.poor_faces import make_poor_photos


def test_blurred_and_half_hidden_heads_of_strangers_become_no_person(cloud: Cloud, tmp_path: Path) -> None:
    wanted = acceptance_photos(tmp_path)
    people = {wanted.files[name]: person for name, person in wanted.person_of.items()}
    poor = make_poor_photos(people, tmp_path)
    person_of = {**wanted.person_of, **{path.name: person for path, person in poor.items()}}
    files = {path.name: path for path in [*people, *poor]}
    event = Event.made(cloud.addresses, files)
    event.upload()
    event.wait_until_settled()

    report = event.host.report(event.event_id, event.photos)
    members: dict[str, Counter[str]] = {}
    found = 0
    for photo in report["photos"]:
        for face in photo["faces"]:
            found += photo["name"].startswith("poor-")
            if face["person"]:
                members.setdefault(face["person"], Counter())[person_of[photo["name"]]] += 1
    assert found >= 5, "such heads are found, or this test would show nothing"
    mixed = {person: names for person, names in members.items() if max(names.values()) < 0.8 * names.total()}
    assert mixed == {}
    assert len(members) == wanted.persons
