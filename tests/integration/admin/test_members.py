"""GET /event/{id}/members?q=: whom an organiser may choose."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from tests.arrange import event, member, person
from tests.integration.admin.conftest import AdminSite


def known(site: AdminSite, event_id: UUID, name: str | None, email: str | None = None, role: str = "member") -> UUID:
    user_id = member(site.connection, event_id, role)
    site.connection.execute("UPDATE users SET display_name = %s, email = %s WHERE id = %s", (name, email, user_id))
    return user_id


def found(site: AdminSite, event_id: UUID, q: str) -> list[dict[str, Any]]:
    answer = site.client.get(f"/event/{event_id}/members", query_string={"q": q}, headers=site.token())
    assert answer.status_code == 200
    items: list[dict[str, Any]] = answer.get_json()["items"]
    return items


def names(site: AdminSite, event_id: UUID, q: str) -> list[str | None]:
    return [item["display_name"] for item in found(site, event_id, q)]


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("élo", ["Éloïse Martin", "Jean Éloi"]),
        ("ELO", ["Éloïse Martin", "Jean Éloi"]),
        ("mar", ["Martine", "Éloïse Martin"]),
        ("mart elo", ["Éloïse Martin"]),
        ("zz@", ["Jean Éloi"]),
        ("ZZ@ex", ["Jean Éloi"]),
        ("tin", []),
        ("%", []),
        ("\\", []),
        ("nobody", []),
        ("", ["Jean Éloi", "Martine", "Éloïse Martin"]),
        ("  ", ["Jean Éloi", "Martine", "Éloïse Martin"]),
    ],
)
def test_members_are_found_by_the_beginnings_of_their_words_or_address_the_best_first(
    site: AdminSite, q: str, expected: list[str]
) -> None:
    event_id = event(site.connection)
    known(site, event_id, "Éloïse Martin", "a_b@example.org")
    known(site, event_id, "Jean Éloi", "zz@example.org")
    known(site, event_id, "Martine", "m@example.org")
    known(site, event(site.connection), "Éloïse elsewhere")
    assert sorted(names(site, event_id, q), key=str) == sorted(expected, key=str)
    if len(expected) == 2:
        assert names(site, event_id, q) == expected, "whose first name begins so comes first"


def test_characters_of_patterns_stand_for_themselves(site: AdminSite) -> None:
    event_id = event(site.connection)
    known(site, event_id, "Anna", "a_b@example.org")
    known(site, event_id, "Berta", "axb@example.org")
    assert names(site, event_id, "a_b") == ["Anna"]
    assert names(site, event_id, "a%") == []


def test_an_address_is_told_only_where_the_name_does_not_tell_people_apart(site: AdminSite) -> None:
    event_id = event(site.connection)
    known(site, event_id, "Paul Durand", "paul1@example.org")
    known(site, event_id, "paul  dúrand", "paul2@example.org")
    known(site, event_id, "Paula", "paula@example.org")
    known(site, event_id, None, "paulin@example.org")
    told = {item["display_name"]: item["email"] for item in found(site, event_id, "paul")}
    assert told == {
        "Paul Durand": "paul1@example.org",
        "paul  dúrand": "paul2@example.org",
        "Paula": None,
        None: "paulin@example.org",
    }


def test_who_is_linked_already_is_marked_with_their_persons_of_this_event(site: AdminSite) -> None:
    event_id, other = event(site.connection), event(site.connection)
    user_id, owner = known(site, event_id, "Anna"), known(site, event_id, "Berta", role="owner")
    own = [person(site.connection, event_id, status="linked", linked_user_id=user_id) for _ in range(2)]
    person(site.connection, other, status="linked", linked_user_id=user_id)
    anna, berta = found(site, event_id, "")
    assert (anna["id"], anna["role"], {UUID(id_) for id_ in anna["person_ids"]}) == (str(user_id), "member", set(own))
    assert (berta["id"], berta["role"], berta["person_ids"]) == (str(owner), "organiser", [])


def test_no_more_than_twenty_are_told(site: AdminSite) -> None:
    event_id = event(site.connection)
    for number in range(25):
        known(site, event_id, f"Member {number:02}")
    assert names(site, event_id, "member") == [f"Member {number:02}" for number in range(20)]


def test_members_are_an_organisers_business(site: AdminSite) -> None:
    event_id, other = event(site.connection), event(site.connection)
    path = f"/event/{event_id}/members?q=a"
    assert site.ask("GET", path, known(site, event_id, "Anna"))[0] == 403
    assert site.ask("GET", path, known(site, other, "Owner", role="owner"))[0] == 404
    owner = known(site, event_id, "Owner", role="owner")
    status, answer = site.ask("GET", path, owner)
    assert (status, [item["display_name"] for item in answer["items"]]) == (200, ["Anna"])
