"""However an address is spelled, whoever has it is found: by a purge, an invitation, a look-up, an export."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest

from functions.admin.review import decisions
from shared.database import Connection
from tests.arrange import rows
from tests.integration.admin.conftest import AdminSite, open_site
from tests.integration.admin.reviewing import Review

NORMAL = "jo.é@bücher.example"
SPELLINGS = [
    "jo.é@xn--bcher-kva.example",
    "JO.\u00c9@XN--BCHER-KVA.EXAMPLE",
    "Jo.e\u0301@bu\u0308cher.example",
    " jo.é@bücher.example. ",
    "jo.é\u200b@b\u00adücher.example",
    "ｊｏ.é@bücher\u3002example",  # noqa: RUF001 - full-width letters are the point
]


@pytest.fixture
def site(database_url: str, connection: Connection) -> Iterator[AdminSite]:
    """Admin on this test's database."""
    with open_site(database_url, connection) as made:
        yield made


@pytest.fixture
def review(site: AdminSite) -> Review:
    """An event of four people."""
    return Review(site.resources.database, site.connection)


def purge(site: AdminSite, review: Review, address: str) -> dict[str, int]:
    """What the receipt says was erased."""
    status, said = site.ask("POST", "/privacy/purge", review.organiser, event_id=review.event_id, email=address)
    assert status == 200, said
    erased: dict[str, int] = said["erased"]
    return erased


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_purge_finds_who_was_invited_and_who_has_the_account(site: AdminSite, review: Review, spelling: str) -> None:
    invited, linked, *_ = review.people()
    faces = len(review.faces_of(invited)) + len(review.faces_of(linked))
    status, _ = site.ask("POST", f"/person/{invited}/invite", review.organiser, email=SPELLINGS[0])
    assert status == 200
    # As a host app wrote it, with capitals and in another form.
    site.connection.execute("UPDATE users SET email = %s WHERE id = %s", (SPELLINGS[1], review.members[0]))
    with review.database.transaction() as connection:
        decisions.link(connection, review.organiser, linked, review.members[0])
    erased = purge(site, review, spelling)
    assert (erased["faces"], erased["persons"], erased["invitations"]) == (faces, 2, 1)
    assert set(purge(site, review, NORMAL).values()) == {0}


def test_a_purge_finds_every_account_that_has_the_address(site: AdminSite, review: Review) -> None:
    one, other, invited, *_ = review.people()
    faces = sum(len(review.faces_of(person)) for person in (one, other, invited))
    status, _ = site.ask("POST", f"/person/{invited}/invite", review.organiser, email=NORMAL)
    assert status == 200
    # Two accounts, as a host app has them that tells addresses apart by their spelling.
    for person, member, spelling in zip((one, other), review.members[:2], SPELLINGS[1:3], strict=True):
        site.connection.execute("UPDATE users SET email = %s WHERE id = %s", (spelling, member))
        with review.database.transaction() as connection:
            decisions.link(connection, review.organiser, person, member)
    site.connection.execute("UPDATE faces SET thumbnail_object = 'events/thumbnails/' || id")
    erased = purge(site, review, NORMAL)
    assert (erased["faces"], erased["persons"], erased["invitations"]) == (faces, 3, 1)
    receipts = rows(site.connection, "purge_receipts")
    assert [receipt["erased"] for receipt in receipts] == [erased]
    # Every thumbnail's erasure belongs to the one receipt, which says when all of it is done.
    left = [entry for entry in rows(site.connection, "outbox") if entry["kind"] == "delete_objects"]
    assert {entry["receipt_id"] for entry in left} == {receipts[0]["id"]}
    assert len(left) == faces
    assert receipts[0]["completed_at"] is None


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_what_the_host_calls_in_sql_takes_any_spelling(site: AdminSite, review: Review, spelling: str) -> None:
    (person_id, *_) = review.people()
    with review.database.transaction() as connection:
        review.invite(connection, person_id, SPELLINGS[2])
    row = site.connection.execute(
        "SELECT purge_face_data_for_address(%s, %s) AS receipt", (spelling, review.event_id)
    ).fetchone()
    assert row is not None
    assert row["receipt"]["erased"]["persons"] == 1


def test_an_address_is_kept_and_told_in_its_one_form(site: AdminSite, review: Review) -> None:
    (person_id, *_) = review.people()
    for spelling in SPELLINGS:
        status, said = site.ask("POST", f"/person/{person_id}/invite", review.organiser, email=spelling)
        assert (status, said["person"]["invitation_email"]) == (200, NORMAL)
    assert {row["email"] for row in rows(site.connection, "invitations")} == {NORMAL}
    # Only the newest of one address stands.
    states = site.connection.execute("SELECT invitation_state(id) AS state FROM invitations").fetchall()
    assert sorted(row["state"] for row in states) == ["open"] + ["withdrawn"] * (len(SPELLINGS) - 1)


def test_who_said_not_me_is_not_asked_again_under_another_spelling(site: AdminSite, review: Review) -> None:
    (person_id, *_) = review.people()
    with review.database.transaction() as connection:
        invitation_id = review.invite(connection, person_id, NORMAL)
    with review.database.transaction() as connection:
        decisions.decline(connection, invitation_id)
    status, said = site.ask("POST", f"/person/{person_id}/invite", review.organiser, email=SPELLINGS[1])
    assert (status, said["code"]) == (409, "declined")
    site.connection.execute("UPDATE users SET email = %s WHERE id = %s", (SPELLINGS[2], review.members[0]))
    status, said = site.ask("POST", f"/person/{person_id}/link-user", review.organiser, user_id=review.members[0])
    assert (status, said["code"]) == (409, "declined")


def test_two_spellings_of_one_address_are_no_two_people_to_merge(site: AdminSite, review: Review) -> None:
    one, other, *_ = review.people()
    for person_id, spelling in ((one, SPELLINGS[0]), (other, SPELLINGS[2])):
        assert site.ask("POST", f"/person/{person_id}/invite", review.organiser, email=spelling)[0] == 200
    status, said = site.ask("POST", f"/person/{one}/merge", review.organiser, into=other)
    assert status == 200, said


def test_a_member_is_found_by_their_address_however_it_is_spelled(site: AdminSite, review: Review) -> None:
    site.connection.execute("UPDATE users SET email = %s WHERE id = %s", (SPELLINGS[1], review.members[0]))
    for spelling in (NORMAL, SPELLINGS[0], SPELLINGS[2]):
        answer = site.client.get(
            f"/event/{review.event_id}/members", query_string={"q": spelling}, headers=site.token(review.organiser)
        )
        assert [item["id"] for item in answer.get_json()["items"]] == [str(review.members[0])], spelling


def test_an_export_holds_the_invitations_of_the_account_s_address(site: AdminSite, review: Review) -> None:
    (person_id, *_) = review.people()
    with review.database.transaction() as connection:
        review.invite(connection, person_id, SPELLINGS[0])
    site.connection.execute("UPDATE users SET email = %s WHERE id = %s", (SPELLINGS[1], review.members[0]))
    status, said = site.ask("GET", "/privacy/export", review.members[0])
    assert status == 200
    assert [invitation["email"] for invitation in said["invitations"]] == [NORMAL]
    assert [person["id"] for person in said["persons"]] == [str(person_id)]


def older(site: AdminSite, review: Review, person_id: UUID, spelling: str) -> None:
    """An invitation as it was kept before addresses had one form."""
    with review.database.transaction() as connection:
        review.invite(connection, person_id, NORMAL)
    site.connection.execute("SET session_replication_role = replica")  # without the triggers
    site.connection.execute("UPDATE invitations SET email = %s", (spelling,))
    site.connection.execute("UPDATE face_persons SET invitation_email = %s WHERE id = %s", (spelling, person_id))
    site.connection.execute(
        "UPDATE decisions SET inverse = replace(inverse::text, %s, %s)::jsonb WHERE kind = 'invite'",
        (NORMAL, spelling),
    )
    site.connection.execute("RESET session_replication_role")


def test_history_that_spells_an_address_otherwise_forgets_it_too(site: AdminSite, review: Review) -> None:
    (person_id, *_) = review.people()
    older(site, review, person_id, SPELLINGS[1])
    # What the migration does.
    site.connection.execute("UPDATE invitations SET email = email")
    site.connection.execute("UPDATE face_persons SET invitation_email = invitation_email")
    assert {row["email"] for row in rows(site.connection, "invitations")} == {NORMAL}
    purge(site, review, SPELLINGS[2])
    history = str(rows(site.connection, "decisions"))
    assert "bcher" not in history.lower()
    assert "bücher" not in history
