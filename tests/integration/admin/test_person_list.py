"""GET /event/{id}/face-persons and GET /person/{id}: the grid of persons."""

from __future__ import annotations

import base64
import gzip
import json
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.arrange import event, face, member, person, photo
from tests.integration.admin.conftest import AdminSite


def named(site: AdminSite, event_id: UUID, name: str | None, role: str = "member") -> UUID:
    user_id = member(site.connection, event_id, role)
    site.connection.execute("UPDATE users SET display_name = %s WHERE id = %s", (name, user_id))
    return user_id


def on_photos(site: AdminSite, event_id: UUID, photos: int, **of: Any) -> UUID:
    """A person on so many photos of their own."""
    person_id = person(site.connection, event_id, **of)
    for _ in range(photos):
        face(site.connection, event_id, photo(site.connection, event_id), person_id=person_id)
    return person_id


def linked(site: AdminSite, event_id: UUID, name: str | None) -> UUID:
    return on_photos(site, event_id, 1, status="linked", linked_user_id=named(site, event_id, name))


def listed(site: AdminSite, event_id: UUID, query: str = "", user_id: UUID | None = None) -> list[dict[str, Any]]:
    status, answer = site.ask("GET", f"/event/{event_id}/face-persons{query}", user_id)
    assert status == 200, answer
    items: list[dict[str, Any]] = answer["items"]
    return items


def ids(items: list[dict[str, Any]]) -> list[UUID]:
    return [UUID(item["id"]) for item in items]


def page_by_page(site: AdminSite, event_id: UUID, query: str) -> list[UUID]:
    found: list[UUID] = []
    cursor = ""
    while True:
        _, answer = site.ask("GET", f"/event/{event_id}/face-persons?{query}{cursor}")
        found += ids(answer["items"])
        if answer["next_cursor"] is None:
            return found
        cursor = f"&cursor={answer['next_cursor']}"


# ---------------------------------------------------------------- what is told


def test_a_person_is_told_with_what_is_counted_now(site: AdminSite) -> None:
    event_id = event(site.connection)
    user_id = named(site, event_id, "Zoé")
    person_id = on_photos(site, event_id, 2, status="linked", linked_user_id=user_id)
    twice = photo(site.connection, event_id)
    faces = [face(site.connection, event_id, twice, person_id=person_id) for _ in range(2)]
    site.connection.execute(
        """UPDATE face_persons SET metadata = '{"face_count": 77}', representative_face_id = %s, version = 3""",
        (faces[0],),
    )
    (item,) = listed(site, event_id)
    assert datetime.fromisoformat(item.pop("created_at")).tzinfo is not None
    assert item == {
        "id": str(person_id),
        "event_id": str(event_id),
        "status": "linked",
        "version": 3,
        "face_count": 4,
        "photo_count": 3,
        "cover_face_id": str(faces[0]),
        "cover_url": f"/face/{faces[0]}/thumbnail",
        "linked_user": {"id": str(user_id), "display_name": "Zoé"},
        "invitation_email": None,
        "merged_into_id": None,
    }
    status, alone = site.ask("GET", f"/person/{person_id}")
    assert status == 200
    alone.pop("created_at")
    assert alone == item


def test_merged_and_empty_persons_are_listed_only_when_asked_for(site: AdminSite) -> None:
    event_id = event(site.connection)
    shown, empty = on_photos(site, event_id, 1), person(site.connection, event_id)
    merged = person(site.connection, event_id, status="merged", merged_into_id=shown)
    assert ids(listed(site, event_id)) == [shown]
    assert set(ids(listed(site, event_id, "?min_faces=0"))) == {shown, empty}
    assert ids(listed(site, event_id, "?status=merged&min_faces=0")) == [merged]
    assert site.ask("GET", f"/person/{merged}")[1]["merged_into_id"] == str(shown)


def test_an_event_without_persons_has_an_empty_list(site: AdminSite) -> None:
    event_id = event(site.connection)
    assert site.ask("GET", f"/event/{event_id}/face-persons") == (200, {"items": [], "next_cursor": None})


# ---------------------------------------------------------------- filters


def test_each_filter_leaves_what_it_says(site: AdminSite) -> None:
    event_id = event(site.connection)
    pending, often = on_photos(site, event_id, 1), on_photos(site, event_id, 3)
    ignored = on_photos(site, event_id, 1, status="ignored")
    invited = on_photos(site, event_id, 1, status="invited")
    elsewhere = event(site.connection)
    on_photos(site, elsewhere, 1)
    media_id = photo(site.connection, event_id)
    for person_id in (pending, ignored):
        face(site.connection, event_id, media_id, person_id=person_id)
    assert set(ids(listed(site, event_id))) == {pending, often, ignored, invited}
    assert set(ids(listed(site, event_id, "?status=ignored&status=invited"))) == {ignored, invited}
    assert set(ids(listed(site, event_id, f"?media_id={media_id}"))) == {pending, ignored}
    assert ids(listed(site, event_id, "?min_faces=3")) == [often]
    assert ids(listed(site, event_id, f"?media_id={media_id}&status=pending")) == [pending]
    assert ids(listed(site, elsewhere, f"?media_id={media_id}")) == []


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("zoe", {"Zoé Ångström", "Anne Zoeller"}),
        ("ZOÉ", {"Zoé Ångström", "Anne Zoeller"}),
        ("ang", {"Zoé Ångström"}),
        ("zo%20an", {"Zoé Ångström", "Anne Zoeller"}),
        ("pier", {"Jean-Pierre O’Neil"}),
        ("neil%20jean", {"Jean-Pierre O’Neil"}),
        ("sor", {"Søren"}),
        ("oel", set()),
        ("%25", set()),
        ("_", {"Zoé Ångström", "Anne Zoeller", "Jean-Pierre O’Neil", "Søren", None}),
        ("zo_", {"Zoé Ångström", "Anne Zoeller"}),
        ("zoe%5C", set()),
    ],
)
def test_names_are_found_by_the_beginnings_of_their_words(site: AdminSite, asked: str, found: set[str | None]) -> None:
    event_id = event(site.connection)
    for name in ("Zoé Ångström", "Anne Zoeller", "Jean-Pierre O’Neil", "Søren", None):
        linked(site, event_id, name)
    names = [item["linked_user"]["display_name"] for item in listed(site, event_id, f"?q={asked}")]
    assert set(names) == found


@pytest.mark.parametrize(
    "query",
    ["status=odd", "order=odd", "limit=0", "limit=201", "min_faces=-1", "media_id=x", f"q={'x' * 101}", "q=%00"],
)
def test_a_filter_that_is_wrong_is_refused_in_words(site: AdminSite, query: str) -> None:
    status, problem = site.ask("GET", f"/event/{event(site.connection)}/face-persons?{query}")
    assert (status, problem["code"]) == (422, "invalid")


# ---------------------------------------------------------------- order and pages


def test_the_three_orders(site: AdminSite) -> None:
    event_id = event(site.connection)
    few, many = on_photos(site, event_id, 1), on_photos(site, event_id, 3)
    beate, anna = linked(site, event_id, "béate"), linked(site, event_id, "Anna")
    for age, person_id in enumerate((few, beate, many, anna)):
        made = timedelta(hours=age)
        site.connection.execute("UPDATE face_persons SET created_at = now() - %s WHERE id = %s", (made, person_id))
    assert ids(listed(site, event_id, "?order=newest")) == [few, beate, many, anna]
    assert ids(listed(site, event_id))[0] == many
    assert ids(listed(site, event_id, "?order=photos"))[0] == many
    assert ids(listed(site, event_id, "?order=name"))[:2] == [anna, beate]


@pytest.mark.parametrize("order", ["photos", "newest", "name"])
@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_pages_tell_everybody_once_and_in_order(site: AdminSite, order: str, limit: int) -> None:
    event_id = event(site.connection)
    for name in ("Anna", "Anna", None):
        linked(site, event_id, name)
    for photos in (1, 2, 2):
        on_photos(site, event_id, photos)
    site.connection.execute("UPDATE face_persons SET created_at = now() WHERE status = 'pending'")
    whole = ids(listed(site, event_id, f"?order={order}"))
    assert len(whole) == 6
    assert page_by_page(site, event_id, f"order={order}&limit={limit}") == whole


def test_no_person_is_skipped_or_told_twice_while_faces_arrive(site: AdminSite) -> None:
    event_id = event(site.connection)
    persons = [on_photos(site, event_id, photos) for photos in (4, 3, 2, 1)]
    _, first = site.ask("GET", f"/event/{event_id}/face-persons?limit=2")
    for _ in range(9):  # the last becomes the first, and the first page's last falls behind everybody
        face(site.connection, event_id, photo(site.connection, event_id), person_id=persons[3])
        face(site.connection, event_id, photo(site.connection, event_id), person_id=persons[2])
    newcomer = on_photos(site, event_id, 2)
    _, second = site.ask("GET", f"/event/{event_id}/face-persons?limit=9&cursor={first['next_cursor']}")
    assert ids(first["items"] + second["items"]) == [*persons, newcomer]
    assert [item["photo_count"] for item in second["items"]] == [11, 10, 2], "told as they are now"
    assert ids(listed(site, event_id))[0] == persons[2]


def forged(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content, separators=(",", ":")).encode()).rstrip(b"=").decode()


def test_a_cursor_that_is_not_of_this_list_is_refused(site: AdminSite) -> None:
    event_id, other = event(site.connection), event(site.connection)
    for _ in range(3):
        on_photos(site, event_id, 1)
        on_photos(site, other, 1)
    path = f"/event/{event_id}/face-persons"
    _, first = site.ask("GET", f"{path}?limit=1")
    cursor = first["next_cursor"]
    place = json.loads(base64.urlsafe_b64decode(cursor + "=="))
    wrong = [
        f"{path}?cursor={cursor}&order=name",
        f"{path}?cursor={cursor}&status=pending",
        f"{path}?cursor={cursor}&min_faces=2",
        f"/event/{other}/face-persons?cursor={cursor}",
        f"/events?cursor={cursor}",
        *(
            f"{path}?cursor={text}"
            for text in (
                "nonsense",
                "é",
                cursor[:-3],
                cursor + "=",
                forged([]),
                forged({}),
                forged({**place, "more": 1}),
                forged({**place, "photos": 2**70}),
                forged({**place, "photos": -1}),
                forged({**place, "as_of": "yesterday"}),
                forged({**place, "as_of": "2026-01-01T00:00:00"}),
                forged({**place, "id": "x"}),
                forged({**place, "name": "a\0"}),
                "A" * 1001,
            )
        ),
    ]
    for address in wrong:
        status, problem = site.ask("GET", address)
        assert (status, problem["code"]) == (422, "invalid"), address
    assert site.ask("GET", f"{path}?limit=1&cursor={forged(place)}")[0] == 200, "as it was made"
    assert site.ask("GET", f"{path}?limit=9&cursor={cursor}")[0] == 200, "a page may be of another size"


# ---------------------------------------------------------------- who sees what


def test_a_member_sees_only_the_persons_that_they_are(site: AdminSite) -> None:
    event_id = event(site.connection)
    guest, other = named(site, event_id, "guest"), named(site, event_id, "other")
    own = [on_photos(site, event_id, 1, status="linked", linked_user_id=guest) for _ in range(2)]
    theirs = on_photos(site, event_id, 2, status="linked", linked_user_id=other)
    on_photos(site, event_id, 1)
    assert set(ids(listed(site, event_id, user_id=guest))) == set(own)
    assert ids(listed(site, event_id, "?status=pending", guest)) == []
    assert ids(listed(site, event_id, user_id=named(site, event_id, "third"))) == []
    assert site.ask("GET", f"/person/{own[0]}", guest)[0] == 200
    assert site.ask("GET", f"/person/{theirs}", guest)[0] == 404


def test_strangers_cannot_tell_an_event_from_none(site: AdminSite) -> None:
    event_id, other = event(site.connection), event(site.connection)
    person_id = on_photos(site, event_id, 1)
    stranger = named(site, other, "organiser elsewhere", "owner")
    answers = [
        site.ask("GET", f"/event/{event_id}/face-persons", stranger),
        site.ask("GET", f"/event/{uuid4()}/face-persons", stranger),
    ]
    assert answers[0] == answers[1]
    assert answers[0][0] == 404
    assert site.ask("GET", f"/person/{person_id}", stranger) == site.ask("GET", f"/person/{uuid4()}", stranger)
    assert site.client.get(f"/event/{event_id}/face-persons").status_code == 401


def test_the_address_that_somebody_was_invited_at_is_for_organisers(site: AdminSite) -> None:
    event_id = event(site.connection)
    person_id = on_photos(site, event_id, 1, status="invited")
    site.connection.execute("UPDATE face_persons SET invitation_email = 'a@example.org'")
    owner, guest = named(site, event_id, "owner", "owner"), named(site, event_id, "guest")
    assert listed(site, event_id, user_id=owner)[0]["invitation_email"] == "a@example.org"
    assert listed(site, event_id, "?status=invited", guest) == []
    assert site.ask("GET", f"/person/{person_id}", guest)[0] == 404


# ---------------------------------------------------------------- asking again


def test_asking_again_costs_nothing_until_something_changed(site: AdminSite) -> None:
    event_id = event(site.connection)
    person_id = on_photos(site, event_id, 1)
    tags = []
    for path in (f"/event/{event_id}/face-persons", f"/person/{person_id}"):
        first = site.client.get(path, headers=site.token())
        assert "no-store" in first.headers["Cache-Control"], "names are not left on a disk"
        again = site.client.get(path, headers=site.token() | {"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
        tags.append((path, first.headers["ETag"]))
    face(site.connection, event_id, photo(site.connection, event_id), person_id=person_id)
    for path, tag in tags:
        changed = site.client.get(path, headers=site.token() | {"If-None-Match": tag})
        assert (changed.status_code, changed.headers["ETag"] == tag) == (200, False)


def test_a_list_of_several_pages_is_not_sent_again_either(site: AdminSite) -> None:
    event_id = event(site.connection)
    for photos in (3, 2, 1):
        on_photos(site, event_id, photos)
    path = f"/event/{event_id}/face-persons?limit=2"
    first = site.client.get(path, headers=site.token())
    second_path = f"{path}&cursor={first.get_json()['next_cursor']}"
    second = site.client.get(second_path, headers=site.token())
    for asked, answer in ((path, first), (second_path, second)):
        again = site.client.get(asked, headers=site.token() | {"If-None-Match": answer.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b""), asked
    # One more person: the first page goes on where it did not before.
    known = site.token() | {"If-None-Match": second.headers["ETag"]}
    for _ in range(2):
        on_photos(site, event_id, 1)
    assert site.client.get(second_path, headers=known).status_code == 200


def test_a_long_list_is_packed_for_who_takes_it(site: AdminSite) -> None:
    event_id = event(site.connection)
    path = f"/event/{event_id}/face-persons"
    takes = site.token() | {"Accept-Encoding": "gzip, br"}
    short = site.client.get(path, headers=takes)
    assert "Content-Encoding" not in short.headers, "two braces are not worth it"
    for _ in range(5):
        on_photos(site, event_id, 1)
    plain = site.client.get(path, headers=site.token())
    packed = site.client.get(path, headers=takes)
    assert packed.headers["Content-Encoding"] == "gzip"
    assert len(packed.data) == packed.content_length < len(plain.data) / 2
    assert json.loads(gzip.decompress(packed.data)) == plain.get_json()
    assert "Accept-Encoding" in plain.headers["Vary"]
    assert "Content-Encoding" not in plain.headers
    assert (
        "Content-Encoding" not in site.client.get(path, headers=site.token() | {"Accept-Encoding": "gzip;q=0"}).headers
    )
    for answer in (plain, packed):
        again = site.client.get(path, headers=takes | {"If-None-Match": answer.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")


# ---------------------------------------------------------------- the list of events


def events_of(site: AdminSite, user_id: UUID | None = None, query: str = "") -> list[dict[str, Any]]:
    status, answer = site.ask("GET", f"/events{query}", user_id)
    assert status == 200
    items: list[dict[str, Any]] = answer["items"]
    return items


def test_a_user_is_told_their_events_and_what_they_are_in_them(site: AdminSite) -> None:
    organised, attended, foreign = event(site.connection), event(site.connection), event(site.connection, archived=True)
    user_id = named(site, organised, "somebody", "organizer")
    site.connection.execute("INSERT INTO event_members VALUES (%s, %s, 'member')", (attended, user_id))
    on_photos(site, organised, 2)
    on_photos(site, organised, 1, status="linked", linked_user_id=user_id)
    person(site.connection, organised)
    on_photos(site, attended, 1)
    photo(site.connection, organised)
    site.connection.execute("UPDATE events SET created_at = now() - interval '1 day' WHERE id = %s", (organised,))
    first, second = events_of(site, user_id)
    assert (first["id"], first["role"], first["counts"]) == (str(attended), "member", None)
    assert (second["id"], second["role"]) == (str(organised), "organiser")
    assert second["counts"] == {"photos": 4, "persons": 2, "identified": 1}
    assert events_of(site, uuid4()) == []
    everything = {item["id"]: item for item in events_of(site)}
    assert set(everything) == {str(organised), str(attended), str(foreign)}
    assert everything[str(foreign)]["archived"] is True
    assert {item["role"] for item in everything.values()} == {"service"}


def test_events_come_page_by_page_the_newest_first(site: AdminSite) -> None:
    for _ in range(5):
        event(site.connection)
    whole = events_of(site)
    assert all(one["created_at"] >= other["created_at"] for one, other in pairwise(whole))
    found: list[dict[str, Any]] = []
    query = "?limit=2"
    for _ in range(3):
        _, answer = site.ask("GET", f"/events{query}")
        found += answer["items"]
        query = f"?limit=2&cursor={answer['next_cursor']}"
    assert found == whole
    assert answer["next_cursor"] is None
