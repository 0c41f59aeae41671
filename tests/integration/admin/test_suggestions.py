"""GET /event/{id}/suggestions: what a run left for people to decide."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from tests.arrange import event, face, member, person, photo
from tests.integration.admin.conftest import AdminSite


def stray(site: AdminSite, event_id: UUID) -> UUID:
    return face(site.connection, event_id, photo(site.connection, event_id))


def suggest(site: AdminSite, face_id: UUID, person_id: UUID, score: float) -> None:
    site.connection.execute("INSERT INTO face_suggestions VALUES (%s, %s, %s)", (face_id, person_id, score))


def suggest_merge(site: AdminSite, one: UUID, other: UUID, score: float) -> None:
    site.connection.execute(
        "INSERT INTO merge_suggestions VALUES (least(%(a)s, %(b)s), greatest(%(a)s, %(b)s), %(score)s)",
        {"a": one, "b": other, "score": score},
    )


def asked(site: AdminSite, event_id: UUID, query: str = "") -> dict[str, Any]:
    status, answer = site.ask("GET", f"/event/{event_id}/suggestions{query}")
    assert status == 200
    return answer


def test_faces_and_merges_are_asked_about_the_likeliest_first(site: AdminSite) -> None:
    event_id, other = event(site.connection), event(site.connection)
    anna, berta = (person(site.connection, event_id) for _ in range(2))
    for person_id in (anna, berta):
        face(site.connection, event_id, photo(site.connection, event_id), person_id=person_id)
    likely, unlikely = stray(site, event_id), stray(site, event_id)
    suggest(site, likely, anna, 0.9)
    suggest(site, unlikely, berta, 0.25)
    suggest_merge(site, anna, berta, 0.5)
    suggest(site, stray(site, other), person(site.connection, other), 0.99)
    first, second, third = asked(site, event_id)["items"]
    assert (first["kind"], first["score"]) == ("face", pytest.approx(0.9))
    assert (first["face"]["id"], first["person"]["id"]) == (str(likely), str(anna))
    assert first["face"]["thumbnail_url"] == f"/face/{likely}/thumbnail"
    assert (second["kind"], second["score"]) == ("merge", 0.5)
    assert {told["id"] for told in second["persons"]} == {str(anna), str(berta)}
    assert [told["face_count"] for told in second["persons"]] == [1, 1]
    assert third["face"]["id"] == str(unlikely)
    counted = site.connection.execute("SELECT what, subject_id FROM biometric_reads").fetchall()
    assert {(row["what"], row["subject_id"]) for row in counted} == {("face", likely), ("face", unlikely)}


@pytest.mark.parametrize(
    "decision",
    [
        "UPDATE faces SET face_person_id = %(person)s WHERE id = %(face)s",
        "UPDATE faces SET placed_by_human = true WHERE id = %(face)s",
        "INSERT INTO face_rejections VALUES (%(face)s, %(person)s)",
        "UPDATE face_persons SET status = 'ignored' WHERE id = %(person)s",
        "UPDATE face_persons SET status = 'merged', merged_into_id = %(other)s WHERE id = %(person)s",
    ],
)
def test_what_was_answered_since_the_run_is_not_asked_again(site: AdminSite, decision: str) -> None:
    event_id = event(site.connection)
    person_id, other = person(site.connection, event_id), person(site.connection, event_id)
    face_id = stray(site, event_id)
    suggest(site, face_id, person_id, 0.9)
    assert len(asked(site, event_id)["items"]) == 1
    site.connection.execute(decision, {"face": face_id, "person": person_id, "other": other})
    assert asked(site, event_id)["items"] == []


def test_suggestions_come_page_by_page(site: AdminSite) -> None:
    event_id = event(site.connection)
    persons = [person(site.connection, event_id) for _ in range(3)]
    for score in (0.7, 0.7, 0.3):
        face_id = stray(site, event_id)
        for person_id in persons:
            suggest(site, face_id, person_id, score)
    suggest_merge(site, persons[0], persons[1], 0.7)
    whole = asked(site, event_id)["items"]
    assert len(whole) == 10
    found, query = [], "?limit=3"
    for _ in range(4):
        page = asked(site, event_id, query)
        found += page["items"]
        query = f"?limit=3&cursor={page['next_cursor']}"
    assert found == whole
    assert page["next_cursor"] is None


def test_suggestions_are_an_organisers_business(site: AdminSite) -> None:
    event_id, other = event(site.connection), event(site.connection)
    suggest(site, stray(site, event_id), person(site.connection, event_id), 0.9)
    path = f"/event/{event_id}/suggestions"
    status, answer = site.ask("GET", path, member(site.connection, event_id, "organizer"))
    assert (status, len(answer["items"])) == (200, 1)
    assert site.ask("GET", path, member(site.connection, event_id))[0] == 403
    assert site.ask("GET", path, member(site.connection, other, "owner"))[0] == 404
