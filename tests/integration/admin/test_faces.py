"""GET /person/{id}/faces and GET /face/{id}/thumbnail: what the biometrics look like, and who looked."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg.types.json import Jsonb

from tests.arrange import DERIVED_BUCKET, cluster_job, event, face, member, person, photo
from tests.integration.admin.conftest import AdminSite

JPEG = b"\xff\xd8 a thumbnail"


def with_thumbnail(site: AdminSite, event_id: UUID, person_id: UUID | None = None, *, stored: bool = True) -> UUID:
    face_id = face(site.connection, event_id, photo(site.connection, event_id), person_id=person_id)
    name = f"faces/{event_id}/{face_id}.jpg"
    site.connection.execute("UPDATE faces SET thumbnail_object = %s WHERE id = %s", (name, face_id))
    if stored:
        site.objects.put(DERIVED_BUCKET, name, JPEG)
    return face_id


def person_of(site: AdminSite, event_id: UUID, user_id: UUID) -> UUID:
    return person(site.connection, event_id, status="linked", linked_user_id=user_id)


def reads(site: AdminSite) -> dict[tuple[str, str, UUID], int]:
    found = site.connection.execute("SELECT actor, what, subject_id, reads FROM biometric_reads").fetchall()
    return {(row["actor"], row["what"], row["subject_id"]): row["reads"] for row in found}


# ---------------------------------------------------------------- a person's faces


def test_a_face_is_told_with_its_box_and_where_to_see_it(site: AdminSite) -> None:
    event_id = event(site.connection)
    media_id, person_id = photo(site.connection, event_id), person(site.connection, event_id)
    face_id = face(site.connection, event_id, media_id, person_id=person_id, placed_by_human=True, quality=0.75)
    box = {"x": 0.25, "y": 0.5, "w": 0.125, "h": 0.0625}
    site.connection.execute("UPDATE faces SET bbox = %s", (Jsonb(box),))
    assert site.ask("GET", f"/person/{person_id}/faces") == (
        200,
        {
            "items": [
                {
                    "id": str(face_id),
                    "media_id": str(media_id),
                    "person_id": str(person_id),
                    "bbox": box,
                    "quality": 0.75,
                    "placed_by_human": True,
                    "thumbnail_url": f"/face/{face_id}/thumbnail",
                    "photo_url": f"/media/{media_id}/image",
                }
            ],
            "next_cursor": None,
        },
    )


def test_faces_come_page_by_page_the_best_first(site: AdminSite) -> None:
    event_id = event(site.connection)
    person_id = person(site.connection, event_id)
    qualities = [0.5, 0.7, 0.7, 0.7, 0.9, 0.1]
    for quality in qualities:
        face(site.connection, event_id, photo(site.connection, event_id), person_id=person_id, quality=quality)
    _, whole = site.ask("GET", f"/person/{person_id}/faces")
    assert [item["quality"] for item in whole["items"]] == pytest.approx(sorted(qualities, reverse=True))
    found, query = [], "?limit=2"
    for _ in range(3):
        _, page = site.ask("GET", f"/person/{person_id}/faces{query}")
        found += page["items"]
        query = f"?limit=2&cursor={page['next_cursor']}"
    assert found == whole["items"]
    assert page["next_cursor"] is None
    other = person(site.connection, event_id)
    _, first = site.ask("GET", f"/person/{person_id}/faces?limit=1")
    assert site.ask("GET", f"/person/{other}/faces?cursor={first['next_cursor']}")[0] == 422


def test_a_member_sees_their_own_faces_and_nobody_else_s(site: AdminSite) -> None:
    event_id = event(site.connection)
    guest = member(site.connection, event_id)
    own, other = person_of(site, event_id, guest), person(site.connection, event_id)
    mine, shared = with_thumbnail(site, event_id, own), photo(site.connection, event_id)
    together = face(site.connection, event_id, shared, person_id=own)
    face(site.connection, event_id, shared, person_id=other)
    _, answer = site.ask("GET", f"/person/{own}/faces", guest)
    assert {UUID(item["id"]) for item in answer["items"]} == {mine, together}
    assert site.ask("GET", f"/person/{other}/faces", guest)[0] == 404


# ---------------------------------------------------------------- thumbnails


def test_a_thumbnail_is_kept_by_the_browser_alone_and_asked_about_each_time(site: AdminSite) -> None:
    event_id = event(site.connection)
    face_id = with_thumbnail(site, event_id)
    path = f"/face/{face_id}/thumbnail"
    first = site.client.get(path, headers=site.token())
    assert (first.status_code, first.data, first.mimetype) == (200, JPEG, "image/jpeg")
    assert first.headers["Cache-Control"] == "private, no-cache"
    reads_before = len(site.objects.reads)
    again = site.client.get(path, headers=site.token() | {"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert len(site.objects.reads) == reads_before, "the bucket is not asked"
    site.connection.execute("UPDATE faces SET object_generation = 2")
    changed = site.client.get(path, headers=site.token() | {"If-None-Match": first.headers["ETag"]})
    assert changed.status_code == 200
    site.connection.execute("""UPDATE faces SET bbox = '{"x": 0.3, "y": 0.1, "w": 0.2, "h": 0.2}'""")
    moved = site.client.get(path, headers=site.token() | {"If-None-Match": changed.headers["ETag"]})
    assert moved.status_code == 200, "the same object and embedder, another cut"


@pytest.mark.parametrize(
    "erasure", ["DELETE FROM faces", "UPDATE faces SET thumbnail_object = NULL, embedding = NULL, landmarks = NULL"]
)
def test_a_purged_thumbnail_is_gone_before_its_object_is(site: AdminSite, erasure: str) -> None:
    event_id = event(site.connection)
    face_id = with_thumbnail(site, event_id)
    path = f"/face/{face_id}/thumbnail"
    tag = site.client.get(path, headers=site.token()).headers["ETag"]
    site.connection.execute(erasure)
    assert site.objects.names(DERIVED_BUCKET) != []
    assert site.client.get(path, headers=site.token() | {"If-None-Match": tag}).status_code == 404
    assert site.ask("GET", path)[1]["code"] == "not_found"


def test_a_thumbnail_whose_object_is_missing_is_not_found_and_a_bucket_that_is_away_is_tried_again(
    site: AdminSite,
) -> None:
    event_id = event(site.connection)
    missing = with_thumbnail(site, event_id, stored=False)
    assert site.ask("GET", f"/face/{missing}/thumbnail")[0] == 404
    face_id = with_thumbnail(site, event_id)
    site.objects.away = True
    assert site.ask("GET", f"/face/{face_id}/thumbnail")[0] == 503


def test_a_thumbnail_is_for_organisers_and_for_whose_face_it_is(site: AdminSite) -> None:
    event_id, other = event(site.connection), event(site.connection)
    guest = member(site.connection, event_id)
    face_id = with_thumbnail(site, event_id, person_of(site, event_id, guest))
    path = f"/face/{face_id}/thumbnail"
    seen = {
        name: site.client.get(path, headers=site.token(user_id)).status_code
        for name, user_id in {
            "owner": member(site.connection, event_id, "owner"),
            "whose face it is": guest,
            "another guest": member(site.connection, event_id),
            "owner of another event": member(site.connection, other, "owner"),
        }.items()
    }
    assert seen == {"owner": 200, "whose face it is": 200, "another guest": 404, "owner of another event": 404}
    site.connection.execute("DELETE FROM event_members WHERE user_id = %s", (guest,))
    assert site.client.get(path, headers=site.token(guest)).status_code == 404, "who left the event sees nothing"
    assert site.ask("GET", f"/face/{uuid4()}/thumbnail")[0] == 404


def test_every_look_at_a_face_is_counted(site: AdminSite) -> None:
    event_id = event(site.connection)
    owner = member(site.connection, event_id, "owner")
    person_id = person(site.connection, event_id)
    face_id = with_thumbnail(site, event_id, person_id)
    for _ in range(2):
        site.client.get(f"/face/{face_id}/thumbnail", headers=site.token(owner))
    site.client.get(f"/face/{face_id}/thumbnail", headers=site.token())
    site.ask("GET", f"/person/{person_id}/faces", owner)
    site.ask("GET", f"/face/{face_id}/thumbnail", member(site.connection, event_id))
    assert reads(site) == {
        (str(owner), "thumbnail", face_id): 2,
        ("service", "thumbnail", face_id): 1,
        (str(owner), "person", person_id): 1,
    }


# ---------------------------------------------------------------- faces in no person


def ran(site: AdminSite, event_id: UUID) -> None:
    """A clustering has seen the event."""
    job_id = cluster_job(site.connection, event_id, status="completed")
    site.connection.execute(
        """
        INSERT INTO cluster_runs (job_id, run, event_id, faces, clusters, persons, noise, churn, suggestions,
            milliseconds, parameters) VALUES (%s, 1, %s, 0, 0, 0, 0, 0, 0, '{}', '{}')
        """,
        (job_id, event_id),
    )


def nobody(site: AdminSite, event_id: UUID, query: str = "") -> dict[str, Any]:
    status, answer = site.ask("GET", f"/event/{event_id}/faces-of-nobody{query}")
    assert status == 200
    return answer


def test_faces_of_nobody_are_told_with_the_reason(site: AdminSite) -> None:
    event_id = event(site.connection)
    person_id = person(site.connection, event_id)
    measures = {
        "too_small": "size_px = 19",
        "turned_too_far": "yaw = -76",
        "too_blurred": "sharpness = 5.9",
        "set_aside": "placed_by_human = true, sharpness = 5",
        "alone": "sharpness = 6, yaw = 75, pitch = -60, size_px = 20",
        "asked_about": "sharpness = 5",
    }
    faces = {reason: with_thumbnail(site, event_id) for reason in measures}
    for reason, measured in measures.items():
        site.connection.execute(f"UPDATE faces SET {measured} WHERE id = %s", (faces[reason],))
    site.connection.execute("INSERT INTO face_suggestions VALUES (%s, %s, 0.5)", (faces["asked_about"], person_id))
    with_thumbnail(site, event_id, person_id)
    with_thumbnail(site, event(site.connection))
    face(site.connection, event_id, photo(site.connection, event_id))  # erased: nothing to show
    ran(site, event_id)
    faces["waiting"] = with_thumbnail(site, event_id)
    items = nobody(site, event_id)["items"]
    assert {row["reason"]: UUID(row["id"]) for row in items} == faces
    assert {row["person_id"] for row in items} == {None}
    assert {(what, subject) for _, what, subject in reads(site)} == {("face", face_id) for face_id in faces.values()}


def test_faces_of_nobody_come_page_by_page(site: AdminSite) -> None:
    event_id = event(site.connection)
    made = {str(with_thumbnail(site, event_id)) for _ in range(5)}
    first = nobody(site, event_id, "?limit=3")
    second = nobody(site, event_id, f"?limit=3&cursor={first['next_cursor']}")
    assert {row["id"] for row in [*first["items"], *second["items"]]} == made
    assert second["next_cursor"] is None


def test_faces_of_nobody_are_an_organisers_business(site: AdminSite) -> None:
    event_id, other = event(site.connection), event(site.connection)
    path = f"/event/{event_id}/faces-of-nobody"
    assert site.ask("GET", path, member(site.connection, event_id, "organizer"))[0] == 200
    assert site.ask("GET", path, member(site.connection, event_id))[0] == 403
    assert site.ask("GET", path, member(site.connection, other, "owner"))[0] == 404
