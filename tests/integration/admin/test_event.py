"""GET /event/{id}: how an event stands."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.arrange import event, face, member, person, photo
from tests.integration.admin.conftest import AdminSite


@pytest.fixture
def event_id(site: AdminSite) -> UUID:
    """An event with three photos of two persons, one of whom is known, and a face of nobody."""
    made = event(site.connection)
    user_id = member(site.connection, made)
    person(site.connection, made)  # nobody counts who has no face
    for person_id in (
        person(site.connection, made, status="linked", linked_user_id=user_id),
        person(site.connection, made),
        None,
    ):
        face(site.connection, made, photo(site.connection, made), person_id=person_id)
    return made


def told(site: AdminSite, event_id: UUID, user_id: UUID | None = None) -> dict[str, Any]:
    status, answer = site.ask("GET", f"/event/{event_id}", user_id)
    assert status == 200, answer
    return answer


def test_an_event_is_told_with_its_consent_and_its_counts(site: AdminSite, event_id: UUID) -> None:
    state = told(site, event_id, member(site.connection, event_id, "owner"))
    assert datetime.fromisoformat(state["consent"].pop("consented_at")).tzinfo is not None
    assert datetime.fromisoformat(state.pop("created_at")).tzinfo is not None
    assert state == {
        "id": str(event_id),
        "name": "an event",
        "role": "organiser",
        "language": "fr",
        "consent": {"enabled": True, "text_version": "1"},
        "archived_at": None,
        "counts": {"photos": 3, "faces": 3, "persons": 2, "identified": 1},
    }
    assert told(site, event_id)["role"] == "service"


def test_consent_that_was_given_and_withdrawn_shows_at_once(site: AdminSite, event_id: UUID) -> None:
    owner = member(site.connection, event_id, "owner")
    path = f"/event/{event_id}"
    first = site.client.get(path, headers=site.token(owner))
    known = site.token(owner) | {"If-None-Match": first.headers["ETag"]}
    assert site.client.get(path, headers=known).status_code == 304
    assert site.ask("PUT", f"{path}/consent", owner, enabled=False)[0] == 200
    assert site.client.get(path, headers=known).status_code == 200
    off = told(site, event_id, owner)
    assert (off["consent"]["enabled"], off["consent"]["text_version"]) == (False, "1")
    assert off["counts"]["faces"] == 3, "counts stay"
    assert site.ask("PUT", f"{path}/consent", owner, enabled=True, text_version="2-fr")[0] == 200
    assert told(site, event_id, owner)["consent"]["text_version"] == "2-fr"
    assert site.ask("POST", f"{path}/archive", owner)[0] == 200
    assert datetime.fromisoformat(told(site, event_id, owner)["archived_at"]).tzinfo is not None


def test_a_member_is_told_no_counts_and_a_stranger_nothing(site: AdminSite, event_id: UUID) -> None:
    state = told(site, event_id, member(site.connection, event_id))
    assert (state["role"], state["counts"], state["consent"]["enabled"]) == ("member", None, True)
    elsewhere = member(site.connection, event(site.connection), "owner")
    for stranger in (elsewhere, uuid4()):
        assert site.ask("GET", f"/event/{event_id}", stranger)[0] == 404
    assert site.ask("GET", f"/event/{uuid4()}", elsewhere)[0] == 404
