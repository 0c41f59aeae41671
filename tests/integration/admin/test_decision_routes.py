"""Decisions over HTTP, with row level security between the caller and the rows."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.database import Connection, Database
from tests import arrange
from tests.integration.admin.conftest import AdminSite
from tests.integration.admin.reviewing import Review


@pytest.fixture
def review(database: Database, connection: Connection) -> Review:
    return Review(database, connection)


Request = tuple[str, dict[str, Any]]


def requests_of(review: Review) -> list[Request]:
    """Every route of decisions, each with a body that an organiser could send."""
    first, second, *_ = review.people()
    face, cover, *_ = review.faces_of(first)
    return [
        (f"/person/{first}/link-user", {"user_id": review.members[0]}),
        (f"/person/{first}/unlink", {}),
        (f"/person/{first}/split", {"face_ids": [face]}),
        (f"/person/{first}/ignore", {}),
        (f"/person/{first}/restore", {}),
        (f"/person/{first}/cover", {"face_id": cover}),
        (f"/person/{first}/distinct", {"person_id": second}),
        (f"/face/{face}/move", {"person_id": second}),
        (f"/face/{face}/reject", {}),
        (f"/person/{first}/merge", {"from": [second]}),
        (f"/person/{first}/merge", {"into": second}),
    ]


def test_an_organiser_decides_and_takes_everything_back(site: AdminSite, review: Review) -> None:
    before = review.snapshot()
    made: list[str] = []
    for path, body in requests_of(review):
        status, answer = site.ask("POST", path, review.organiser, **body)
        assert status in (200, 409), (path, answer)
        if status == 200:
            assert answer["person"]["event_id"] == str(review.event_id)
            made.append(answer["decision_id"])
        else:
            assert {"id", "status", "version"} <= answer["current"].keys(), (path, answer)
    assert len(made) >= 8
    _, history = site.ask("GET", f"/event/{review.event_id}/decisions", review.organiser)
    assert [item["id"] for item in history["items"]] == made[::-1]
    assert history["items"][0]["can_undo"]
    assert {item["actor_id"] for item in history["items"]} == {str(review.organiser)}
    for decision_id in reversed(made):
        status, answer = site.ask("POST", f"/decisions/{decision_id}/undo", review.organiser)
        assert (status, answer["undone"]) == (200, decision_id)
    assert review.snapshot() == before
    _, history = site.ask("GET", f"/event/{review.event_id}/decisions", review.organiser)
    assert not any(item["can_undo"] for item in history["items"])
    assert sum(item["undone"] for item in history["items"]) == len(made)


def test_nobody_else_decides(site: AdminSite, review: Review) -> None:
    other_event = arrange.event(site.connection)
    foreign_organiser = arrange.member(site.connection, other_event, "organizer")
    status, answer = site.ask("POST", f"/person/{review.people()[0]}/ignore", review.organiser)
    assert status == 200
    undo: Request = (f"/decisions/{answer['decision_id']}/undo", {})
    before = arrange.snapshot(site.connection)
    for path, body in [*requests_of(review), undo]:
        assert site.ask("POST", path, review.members[0], **body)[0] in (403, 404), path
        assert site.ask("POST", path, foreign_organiser, **body)[0] == 404, path
    for user in (review.members[0], foreign_organiser):
        assert site.ask("GET", f"/event/{review.event_id}/decisions", user)[0] in (403, 404)
    assert arrange.snapshot(site.connection) == before


def test_persons_of_another_event_are_not_reached_through_ones_own(site: AdminSite, review: Review) -> None:
    foreign = arrange.event(site.connection)
    organiser = arrange.member(site.connection, foreign, "owner")
    own = arrange.person(site.connection, foreign)
    own_face = arrange.face(site.connection, foreign, arrange.photo(site.connection, foreign), person_id=own)
    person = review.people()[0]
    face = review.faces_of(person)[0]
    before = arrange.snapshot(site.connection)
    reaching: list[Request] = [
        (f"/person/{own}/merge", {"into": person}),
        (f"/person/{own}/merge", {"from": [person]}),
        (f"/person/{own}/distinct", {"person_id": person}),
        (f"/person/{own}/cover", {"face_id": face}),
        (f"/person/{own}/split", {"face_ids": [face]}),
        (f"/face/{own_face}/move", {"person_id": person}),
        (f"/face/{own_face}/move", {"person_id": own, "face_ids": [face]}),
        (f"/face/{own_face}/reject", {"person_id": person}),
        (f"/face/{own_face}/reject", {"face_ids": [face]}),
    ]
    for path, body in reaching:
        assert site.ask("POST", path, organiser, **body)[0] in (404, 422), path
    assert site.ask("POST", f"/person/{own}/link-user", organiser, user_id=review.members[0])[0] == 422
    assert arrange.snapshot(site.connection) == before


def test_a_move_tells_the_persons_that_it_took_faces_from(site: AdminSite, review: Review) -> None:
    first, second, third, *_ = review.people()
    body = {"person_id": third, "face_ids": [review.faces_of(second)[0], review.faces_of(third)[0]]}
    before = {person: len(review.faces_of(person)) for person in (first, second)}
    face = review.faces_of(first)[0]
    status, answer = site.ask("POST", f"/face/{face}/move", review.organiser, key="k", **body)
    assert (status, UUID(answer["person"]["id"])) == (200, third)
    told = {UUID(source["id"]): source["face_count"] for source in answer["sources"]}
    assert told == {first: before[first] - 1, second: before[second] - 1}
    for source in answer["sources"]:
        shown = site.ask("GET", f"/person/{source['id']}", review.organiser)[1]
        assert shown["version"] == source["version"], "the next decision on it is about what was told"
    assert site.ask("POST", f"/face/{face}/move", review.organiser, key="k", **body) == (status, answer)


def test_a_request_sent_twice_decides_once(site: AdminSite, review: Review) -> None:
    path = f"/person/{review.people()[0]}/ignore"
    first = site.ask("POST", path, review.organiser, key="k")
    assert site.ask("POST", path, review.organiser, key="k") == first
    assert first[0] == 200
    assert site.ask("POST", path, review.organiser)[0] == 409
    assert len(arrange.rows(site.connection, "decisions")) == 1


@pytest.mark.parametrize(
    "body",
    [{"face_ids": []}, {"face_ids": ["x"]}, {"face_ids": [str(uuid4())] * 1001}, {}, {"face_ids": [], "x": 1}],
)
def test_a_body_that_is_wrong_is_named(site: AdminSite, review: Review, body: dict[str, Any]) -> None:
    status, answer = site.ask("POST", f"/person/{review.people()[0]}/split", review.organiser, **body)
    assert status == 422
    assert "face_ids" in answer["detail"]


def test_a_merge_says_one_direction(site: AdminSite, review: Review) -> None:
    first, second, *_ = review.people()
    unclear: list[dict[str, Any]] = [{}, {"into": second, "from": [second]}]
    for body in unclear:
        status, answer = site.ask("POST", f"/person/{first}/merge", review.organiser, **body)
        assert (status, "into" in answer["detail"]) == (422, True)
    both: dict[str, Any] = {"from": [second]}
    status, answer = site.ask("POST", f"/person/{first}/merge", review.organiser, **both)
    assert (status, UUID(answer["person"]["id"])) == (200, first)


def test_the_history_comes_in_pages(site: AdminSite, review: Review) -> None:
    person = review.people()[0]
    for act in ("ignore", "restore", "ignore"):
        assert site.ask("POST", f"/person/{person}/{act}", review.organiser)[0] == 200
    path = f"/event/{review.event_id}/decisions"
    _, first = site.ask("GET", f"{path}?limit=2", review.organiser)
    _, second = site.ask("GET", f"{path}?limit=2&cursor={first['next_cursor']}", review.organiser)
    assert [item["kind"] for item in first["items"] + second["items"]] == ["ignore", "restore", "ignore"]
    assert second["next_cursor"] is None
