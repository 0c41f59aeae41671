"""No way in by guessing: every documented operation, called with real ids by those whom it is not for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from tests.arrange import event, face, member, person, photo
from tests.integration.admin.conftest import AdminSite
from tests.integration.admin.party import Operation, Party, arrange_party, everything, operations

# What is about the caller, and about nobody else: an answer without anything of the event for a stranger.
OF_THE_CALLER = {"GET /events", "GET /privacy/export", "POST /session", "DELETE /session"}


@pytest.fixture
def party(site: AdminSite) -> Party:
    return arrange_party(site)


def documented(site: AdminSite) -> list[Operation]:
    return list(operations(site.client.get("/openapi.json").get_json()))


def call(site: AdminSite, party: Party, operation: Operation, headers: dict[str, str]) -> tuple[int, bytes]:
    answer = site.client.open(
        operation.address(party.ids), method=operation.method, json=operation.body(party.ids), headers=headers
    )
    return answer.status_code, answer.data


def named(party: Party) -> list[bytes]:
    """What would give the event away, were it in an answer."""
    return [str(party.ids[name]).encode() for name in ("event_id", "person_id", "face_id", "media_id", "user_id")]


def test_nobody_gets_in_without_a_token(site: AdminSite, party: Party) -> None:
    before = everything(site.connection)
    for operation in documented(site):
        if operation.is_public:
            continue
        status, body = call(site, party, operation, {})
        assert status == 401, operation.name
        assert not [text for text in named(party) if text in body], operation.name
    assert everything(site.connection) == before


@pytest.mark.parametrize("who", ["stranger", "another_organiser"])
def test_who_does_not_belong_to_the_event_is_told_nothing_and_changes_nothing(
    site: AdminSite, party: Party, who: str
) -> None:
    before = everything(site.connection)
    for operation in documented(site):
        if operation.is_public:
            continue
        status, body = call(site, party, operation, site.token(getattr(party, who)))
        if operation.name in OF_THE_CALLER and status in (200, 204):
            assert not [text for text in named(party) if text in body], operation.name
            continue
        assert status in (403, 404), f"{operation.name} answers {status}: {body!r}"
        if "{" in operation.path:
            # The very answer that an id gets which was never given.
            unknown = replace(party, ids={**party.ids, **{name: uuid4() for name in party.ids if name.endswith("_id")}})
            assert call(site, unknown, operation, site.token(getattr(party, who))) == (status, body), operation.name
    assert everything(site.connection) == before


def test_a_member_decides_nothing(site: AdminSite, party: Party) -> None:
    before = everything(site.connection)
    decides = [one for one in documented(site) if one.method != "GET" and not one.is_public]
    assert decides
    for operation in decides:
        if operation.name in OF_THE_CALLER or operation.path == "/privacy/purge":
            continue  # a member may have themself forgotten
        status, body = call(site, party, operation, site.token(party.member))
        assert status == 403, f"{operation.name} answers {status}: {body!r}"
    assert everything(site.connection) == before


def test_the_organiser_gets_through_every_door(site: AdminSite, party: Party) -> None:
    """What the tests above show is the door, and not that the requests are wrong."""
    for operation in sorted(documented(site), key=lambda one: one.method):  # what reads comes before what purges
        if operation.is_public or operation.path == "/metrics":
            continue
        invited = replace(party, ids={**party.ids, "person_id": party.ids["invited_person_id"]})
        whom = invited if operation.path.endswith("/invitation") else party
        status, body = call(site, whom, operation, site.token(party.organiser))
        # What has to be sent depends on what is there: refusals are about that, and not about who asks.
        assert status in (200, 201, 202, 204, 409, 422), f"{operation.name} answers {status}: {body!r}"


# ---------------------------------------------------------------- members


def person_of(site: AdminSite, party: Party, **changed: Any) -> tuple[Any, Any, Any]:
    """Another person of the event, with a face on a photo."""
    person_id = person(site.connection, party.event_id, **changed)
    media_id = photo(site.connection, party.event_id)
    return person_id, face(site.connection, party.event_id, media_id, person_id=person_id), media_id


def test_a_member_reads_what_concerns_them_alone(site: AdminSite, party: Party) -> None:
    person_id, face_id, media_id = person_of(site, party)
    own, other = party.ids, {**party.ids, "person_id": person_id, "face_id": face_id, "media_id": media_id}
    for path in ("/person/{person_id}", "/person/{person_id}/faces", "/face/{face_id}/thumbnail"):
        assert site.client.get(path.format(**own), headers=site.token(party.member)).status_code == 200, path
        assert site.client.get(path.format(**other), headers=site.token(party.member)).status_code == 404, path


def test_a_member_who_was_suggested_and_confirmed_sees_the_photo(site: AdminSite, party: Party) -> None:
    """A run suggested the face; an organiser said yes."""
    suggested = site.connection.execute(
        "SELECT face_id, media_id FROM face_suggestions JOIN faces ON faces.id = face_id WHERE face_suggestions"
        ".face_person_id = %s",
        (party.ids["person_id"],),
    ).fetchone()
    assert suggested is not None
    photo_url = f"/media/{suggested['media_id']}/image"
    assert site.client.get(photo_url, headers=site.token(party.member)).status_code == 404
    move = (f"/face/{suggested['face_id']}/move", party.organiser)
    assert site.ask("POST", *move, person_id=party.ids["person_id"])[0] == 200
    tags = site.connection.execute(
        "SELECT source FROM media_tags WHERE media_id = %s AND tagged_user_id = %s",
        (suggested["media_id"], party.member),
    ).fetchall()
    assert tags == [{"source": "suggested"}]
    assert site.client.get(photo_url, headers=site.token(party.member)).status_code == 200


def test_who_left_the_event_reads_nothing_any_more(site: AdminSite, party: Party) -> None:
    site.connection.execute("DELETE FROM event_members WHERE user_id = %s", (party.member,))
    for path in ("/person/{person_id}", "/person/{person_id}/faces", "/face/{face_id}/thumbnail"):
        answer = site.client.get(path.format(**party.ids), headers=site.token(party.member))
        assert answer.status_code == 404, path


def test_a_member_of_two_events_organises_only_the_one_that_they_organise(site: AdminSite, party: Party) -> None:
    user_id = member(site.connection, event(site.connection), "owner")
    site.connection.execute("INSERT INTO event_members VALUES (%s, %s, 'member')", (party.event_id, user_id))
    assert site.ask("POST", f"/person/{party.ids['person_id']}/ignore", user_id)[0] == 403
