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


# ---------------------------------------------------------------- one person or two


def half(site: AdminSite, event_id: UUID, *, faces: int = 4, others: int = 2) -> tuple[UUID, list[UUID], list[UUID]]:
    """A person, the faces of whom nothing is asked, and those that may be somebody else."""
    person_id = person(site.connection, event_id)
    every = [
        face(
            site.connection, event_id, photo(site.connection, event_id), person_id=person_id, quality=0.5 + number / 10
        )
        for number in range(faces)
    ]
    for face_id in every[:others]:
        site.connection.execute("INSERT INTO split_suggestions VALUES (%s, %s, 0.6)", (person_id, face_id))
    return person_id, every[others:], every[:others]


def test_a_person_who_may_be_two_is_asked_about_with_a_face_of_each_half(site: AdminSite) -> None:
    event_id = event(site.connection)
    person_id, rest, others = half(site, event_id)
    (question,) = asked(site, event_id)["items"]
    assert (question["kind"], question["person"]["id"]) == ("split", str(person_id))
    assert question["score"] == pytest.approx(0.6)
    assert [shown["id"] for shown in question["faces"]] == [str(rest[-1]), str(others[-1])]
    assert set(question["face_ids"]) == {str(face_id) for face_id in others}
    counted = site.connection.execute("SELECT what, subject_id FROM biometric_reads").fetchall()
    assert {(row["what"], row["subject_id"]) for row in counted} == {("face", rest[-1]), ("face", others[-1])}


def test_one_person_is_not_asked_again_until_that_is_undone(site: AdminSite) -> None:
    event_id = event(site.connection)
    person_id, _, _ = half(site, event_id)
    organiser = member(site.connection, event_id, "organizer")
    status, answer = site.ask("POST", f"/person/{person_id}/one-person", organiser)
    assert status == 200
    assert asked(site, event_id)["items"] == []
    decided = site.ask("GET", f"/event/{event_id}/decisions", organiser)[1]["items"]
    assert [row["kind"] for row in decided] == ["one_person"]
    assert site.ask("POST", f"/decisions/{answer['decision_id']}/undo", organiser)[0] == 200
    assert len(asked(site, event_id)["items"]) == 1


def test_two_people_are_a_split_and_nothing_is_left_to_ask(site: AdminSite) -> None:
    event_id = event(site.connection)
    person_id, rest, _ = half(site, event_id)
    (question,) = asked(site, event_id)["items"]
    organiser = member(site.connection, event_id, "organizer")
    status, answer = site.ask("POST", f"/person/{person_id}/split", organiser, face_ids=question["face_ids"])
    assert status == 200
    assert (answer["person"]["face_count"], answer["made"]["face_count"]) == (len(rest), 2)
    assert asked(site, event_id)["items"] == []


@pytest.mark.parametrize(
    "since",
    [
        "UPDATE faces SET face_person_id = NULL WHERE id = %(face)s",
        "UPDATE face_persons SET status = 'ignored' WHERE id = %(person)s",
        "DELETE FROM faces WHERE face_person_id = %(person)s AND id NOT IN (SELECT face_id FROM split_suggestions)",
        "UPDATE events SET archived_at = now()",
        "UPDATE faces SET embedding = NULL WHERE face_person_id = %(person)s",
    ],
)
def test_a_half_that_is_no_half_any_more_is_not_asked_about(site: AdminSite, since: str) -> None:
    event_id = event(site.connection)
    person_id, _, others = half(site, event_id)
    site.connection.execute(since, {"face": others[0], "person": person_id})
    assert asked(site, event_id)["items"] == []
