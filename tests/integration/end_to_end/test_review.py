"""Two clusters of one person are merged: over the whole emulated cloud, as an organiser does it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import jwt

from local.cloud.cloud import Cloud
from tests.integration.end_to_end.whole_cloud import Event


def organiser_of(cloud: Cloud, event: Event) -> httpx.Client:
    """Admin, as the event's creator asks it."""
    (host,) = event.rows("SELECT creator_id AS id FROM events WHERE id = %s", event.event_id)
    claims = {"sub": str(host["id"]), "aud": "authenticated", "exp": int(time.time()) + 600}
    token = jwt.encode(claims, cloud._options.environment["JWT_SECRET"], algorithm="HS256")
    url = cloud.addresses.function_urls["admin"]
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, trust_env=False, timeout=30)


def faces_by_person(event: Event) -> dict[UUID, set[UUID]]:
    rows = event.rows(
        "SELECT face_person_id AS person, array_agg(id) AS faces FROM faces "
        "WHERE event_id = %s AND face_person_id IS NOT NULL GROUP BY 1",
        event.event_id,
    )
    return {row["person"]: set(row["faces"]) for row in rows}


def photos_tagged(event: Event, user_id: UUID) -> list[UUID]:
    rows = event.rows(
        "SELECT media_id FROM media_tags JOIN media ON media.id = media_id "
        "WHERE tagged_user_id = %s AND event_id = %s AND source = 'face_clustering' ORDER BY media_id",
        user_id,
        event.event_id,
    )
    return [row["media_id"] for row in rows]


def photos_of(event: Event, person_id: UUID) -> list[UUID]:
    rows = event.rows("SELECT DISTINCT media_id FROM faces WHERE face_person_id = %s ORDER BY media_id", person_id)
    return [row["media_id"] for row in rows]


def test_two_clusters_of_one_person_are_merged_with_all_faces_and_tags(cloud: Cloud, photos: dict[str, Path]) -> None:
    event = Event.made(cloud.addresses, photos)
    event.upload()
    event.wait_until_settled()
    before = faces_by_person(event)
    whole = max(before, key=lambda person: len(before[person]))
    (member,) = event.rows("INSERT INTO users (display_name) VALUES ('Member') RETURNING id")
    with organiser_of(cloud, event) as admin:
        # What one person in two clusters looks like: some of the faces are a person of their own.
        half = sorted(before[whole])[: len(before[whole]) // 2]
        split = decided(admin, f"/person/{whole}/split", face_ids=[str(face) for face in half])
        other = UUID(split["made"]["id"])
        assert faces_by_person(event)[other] == set(half)

        host = event.rows("SELECT creator_id AS id FROM events WHERE id = %s", event.event_id)[0]["id"]
        refused = admin.post(f"/person/{other}/link-user", json={"user_id": str(member["id"])})
        assert refused.status_code == 422, "who does not belong to the event cannot be linked"
        decided(admin, f"/person/{other}/link-user", user_id=str(host))
        assert photos_tagged(event, host) == photos_of(event, other)

        merged = decided(admin, f"/person/{other}/merge", into=str(whole))
        assert merged["person"]["id"] == str(whole)
        assert merged["person"]["linked_user"]["id"] == str(host)
        assert merged["person"]["face_count"] == len(before[whole])
        assert faces_by_person(event) == before, "all faces are reassigned"
        assert photos_tagged(event, host) == photos_of(event, whole)

        event.wait_until_settled()  # the clustering that the decisions asked for
        assert faces_by_person(event) == before
        assert photos_tagged(event, host) == photos_of(event, whole)

        undone = admin.post(f"/decisions/{merged['decision_id']}/undo")
        assert undone.status_code == 200, undone.text
        assert faces_by_person(event)[other] == set(half)
        assert photos_tagged(event, host) == photos_of(event, other)


def decided(admin: httpx.Client, path: str, **body: Any) -> dict[str, Any]:
    answer = admin.post(path, json=body)
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    return result
