"""An account that the host app deletes by SQL leaves nobody who is linked to nobody."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from functions.admin.door.problems import Problem
from functions.admin.review import decisions, ledger
from shared.database import Connection, Database
from tests import arrange
from tests.integration.admin.conftest import open_site
from tests.integration.admin.reviewing import Review


@pytest.fixture
def review(database: Database, connection: Connection) -> Review:
    """An event of four people; nobody is linked yet."""
    return Review(database, connection)


def linked(review: Review) -> tuple[UUID, UUID]:
    """A person who is linked, and to whom."""
    person_id, user_id = review.people()[0], review.members[0]
    review.connection.execute("UPDATE users SET email = 'amy@example.org' WHERE id = %s", (user_id,))
    with review.database.transaction() as connection:
        decisions.link(connection, review.organiser, person_id, user_id)
    return person_id, user_id


def delete(review: Review, user_id: UUID) -> None:
    review.connection.execute("DELETE FROM users WHERE id = %s", (user_id,))


def refused(review: Review, decision_id: UUID) -> Problem:
    """How the undo of a decision is refused; it changes nothing."""
    before = review.snapshot()
    with pytest.raises(Problem) as caught, review.database.transaction() as connection:
        ledger.undo(connection, review.organiser, review.event_id, decision_id)
    assert review.snapshot() == before
    return caught.value


def undo(review: Review, decision_id: UUID) -> None:
    with review.database.transaction() as connection:
        ledger.undo(connection, review.organiser, review.event_id, decision_id)


def purged(review: Review, user_id: UUID) -> dict[str, int]:
    """What a purge by the user's id says that it erased."""
    statement = "SELECT purge_face_data_for_user(%s, %s) AS receipt"
    row = review.connection.execute(statement, (user_id, review.event_id)).fetchone()
    assert row is not None
    erased: dict[str, int] = row["receipt"]["erased"]
    return erased


def everything(review: Review) -> str:
    """All rows of all tables as text."""
    tables = review.connection.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'trombi'::regnamespace"
    ).fetchall()
    return " ".join(
        str(review.connection.execute(psycopg.sql.SQL("SELECT {t}::text FROM {t}").format(t=name)).fetchall())
        for name in (psycopg.sql.Identifier(row["relname"]) for row in tables)
    )


def test_nobody_stays_linked_to_an_account_that_is_gone(review: Review) -> None:
    person_id, user_id = linked(review)
    faces = review.faces_of(person_id)
    review.connection.execute("UPDATE event_counters SET changed_photos = 0, first_change_at = NULL")
    (before,) = arrange.rows(review.connection, "event_counters")
    delete(review, user_id)
    row = review.row(person_id)
    assert (row["status"], row["linked_user_id"]) == ("pending", None)
    metadata: Any = row["metadata"]
    assert metadata["manual_edits"] == 0, "the link no longer counts"
    assert review.tagged(user_id) == {}
    assert review.faces_of(person_id) == faces
    (after,) = arrange.rows(review.connection, "event_counters")
    assert after["decision_version"] > before["decision_version"]
    assert after["changed_photos"] == 1, "the faces are free to be clustered again"
    (receipt,) = arrange.rows(review.connection, "purge_receipts")
    assert (receipt["reason"], receipt["erased"]["tags"]) == ("account_deleted", len(faces))
    assert str(user_id) not in everything(review)


def test_the_person_can_be_linked_invited_and_merged_again(review: Review) -> None:
    person_id, user_id = linked(review)
    other = review.people()[1]
    with review.database.transaction() as connection:
        decisions.link(connection, review.organiser, other, review.members[1])
    delete(review, user_id)
    with review.database.transaction() as connection:
        review.invite(connection, person_id)
    with review.database.transaction() as connection:
        decisions.link(connection, review.organiser, person_id, review.members[2])
    with review.database.transaction() as connection:
        decisions.unlink(connection, review.organiser, person_id)
    with review.database.transaction() as connection:
        decisions.merge(connection, review.organiser, [person_id], other)
    assert review.row(person_id)["merged_into_id"] == other


def test_an_account_goes_the_same_way_when_the_host_s_own_cascade_takes_it(review: Review) -> None:
    person_id, user_id = linked(review)
    review.connection.execute("CREATE TABLE accounts (id uuid PRIMARY KEY)")
    review.connection.execute("INSERT INTO accounts SELECT id FROM users")
    review.connection.execute("ALTER TABLE users ADD FOREIGN KEY (id) REFERENCES accounts (id) ON DELETE CASCADE")
    review.connection.execute("DELETE FROM accounts WHERE id = %s", (user_id,))
    assert (review.row(person_id)["status"], review.tagged(user_id)) == ("pending", {})


def test_no_undo_brings_back_who_is_gone(review: Review) -> None:
    first, second, third, *_ = review.people()
    user_id = review.members[0]
    made = []
    with review.database.transaction() as connection:
        made.append(decisions.cover(connection, review.organiser, second, review.faces_of(second)[-1]).decision_id)
        made.append(decisions.link(connection, review.organiser, first, user_id).decision_id)
        made.append(decisions.cover(connection, review.organiser, first, review.faces_of(first)[-1]).decision_id)
        made.append(decisions.merge(connection, review.organiser, [third], first).decision_id)
        made.append(decisions.unlink(connection, review.organiser, first).decision_id)
    delete(review, user_id)
    for decision_id in (made[4], made[1]):
        problem = refused(review, decision_id)
        assert (problem.status, problem.code) == (409, "erased")
        assert problem.extra["current"]["status"] in ("pending", "merged")
        assert "linked_user" in problem.extra["current"]
    # What is about the faces is undone as ever, and links nobody.
    for decision_id in (made[3], made[2], made[0]):
        undo(review, decision_id)
    assert {review.row(person_id)["status"] for person_id in (first, second, third)} == {"pending"}
    assert {review.row(person_id)["linked_user_id"] for person_id in (first, second, third)} == {None}


@pytest.mark.parametrize("into_linked", [True, False])
@pytest.mark.parametrize("linked_first", [True, False])
def test_a_merge_is_not_beyond_undoing_because_the_account_is_gone(
    review: Review, *, into_linked: bool, linked_first: bool
) -> None:
    one, other = review.people()[:2]
    user_id = review.members[0]
    faces = {person_id: review.faces_of(person_id) for person_id in (one, other)}
    survivor, gone = (one, other) if into_linked else (other, one)
    with review.database.transaction() as connection:
        if linked_first:
            decisions.link(connection, review.organiser, one, user_id)
        merged = decisions.merge(connection, review.organiser, [gone], survivor).decision_id
        if not linked_first:
            decisions.link(connection, review.organiser, survivor, user_id)
    delete(review, user_id)
    assert str(user_id) not in everything(review)
    undo(review, merged)
    for person_id in (one, other):
        row = review.row(person_id)
        assert (row["status"], row["linked_user_id"], row["merged_into_id"]) == ("pending", None, None)
        metadata: Any = row["metadata"]
        assert metadata.get("manual_edits", 0) == 0
        assert review.faces_of(person_id) == faces[person_id]
    assert review.tagged(user_id) == {}
    # The purge that comes after it erases who they were, and nobody whom the undo took apart from them.
    theirs = one if linked_first else survivor
    erased = purged(review, user_id)
    assert (erased["faces"], erased["persons"]) == (len(faces[theirs]), 1)
    (left,) = {one, other} - {theirs}
    assert review.faces_of(left) == faces[left]


def test_what_was_merged_into_who_is_gone_is_purged_with_them_while_it_is_merged(review: Review) -> None:
    one, other = review.people()[:2]
    user_id = review.members[0]
    count = len(review.faces_of(one)) + len(review.faces_of(other))
    with review.database.transaction() as connection:
        decisions.link(connection, review.organiser, one, user_id)
        decisions.merge(connection, review.organiser, [one], other)
    delete(review, user_id)
    erased = purged(review, user_id)
    assert (erased["faces"], erased["persons"]) == (count, 2)


def test_faces_that_were_split_or_moved_from_who_is_gone_go_back(review: Review) -> None:
    person_id, user_id = linked(review)
    other = review.people()[1]
    faces = review.faces_of(person_id)
    with review.database.transaction() as connection:
        split = decisions.split(connection, review.organiser, person_id, faces[:1]).decision_id
        moved = decisions.move(connection, review.organiser, faces[1:2], other).decision_id
    delete(review, user_id)
    assert str(user_id) not in everything(review)
    for decision_id in (moved, split):
        undo(review, decision_id)
    assert review.faces_of(person_id) == faces
    assert purged(review, user_id)["faces"] == len(faces)


def test_what_an_organiser_decided_is_undone_after_their_account_is_gone(review: Review) -> None:
    person_id, user_id = linked(review)
    second = arrange.member(review.connection, review.event_id, "organizer")
    with review.database.transaction() as connection:
        unlinked = decisions.unlink(connection, second, person_id).decision_id
    # The tags that come back name the first organiser as who tagged.
    delete(review, review.organiser)
    with review.database.transaction() as connection:
        ledger.undo(connection, second, review.event_id, unlinked)
    assert review.row(person_id)["linked_user_id"] == user_id
    tags = arrange.rows(review.connection, "media_tags")
    assert tags
    assert {row["tagged_by_user_id"] for row in tags} == {None}


def test_an_invitation_that_was_accepted_goes_with_the_account_and_an_open_one_stays(review: Review) -> None:
    accepted, opened, *_ = review.people()
    user_id = review.members[0]
    with review.database.transaction() as connection:
        invitation_id = review.invite(connection, accepted, "amy@example.org")
        open_id = review.invite(connection, opened, "penny@example.org")
    with review.database.transaction() as connection:
        answered = decisions.accept(connection, invitation_id, user_id).decision_id
    delete(review, user_id)
    assert [row["id"] for row in arrange.rows(review.connection, "invitations")] == [open_id]
    assert "amy@example.org" not in everything(review)
    assert refused(review, answered).code == "erased"
    assert review.row(opened)["status"] == "invited"


def test_a_purge_that_comes_after_the_account_is_gone_still_erases_and_says_what(review: Review) -> None:
    person_id, user_id = linked(review)
    faces = review.faces_of(person_id)
    delete(review, user_id)
    statement = "SELECT purge_face_data_for_user(%s, %s) AS receipt"
    row = review.connection.execute(statement, (user_id, review.event_id)).fetchone()
    assert row is not None
    erased = row["receipt"]["erased"]
    assert (erased["faces"], erased["embeddings"], erased["persons"]) == (len(faces), len(faces), 1)
    assert person_id not in review.people()
    again = review.connection.execute(statement, (user_id, review.event_id)).fetchone()
    assert again is not None
    assert set(again["receipt"]["erased"].values()) == {0}


def test_a_purge_by_an_id_without_an_account_does_not_pass_for_one_with(
    review: Review, database_url: str, connection: Connection
) -> None:
    person_id, user_id = linked(review)
    faces = review.faces_of(person_id)
    with open_site(database_url, connection) as site:

        def ask(purged_user: UUID, caller: UUID | None = None) -> tuple[str, int]:
            asking = caller or review.organiser
            status, said = site.ask("POST", "/privacy/purge", asking, event_id=review.event_id, user_id=purged_user)
            assert status == 200, said
            return said["account"], said["erased"]["faces"]

        assert ask(review.members[1]) == ("known", 0)
        assert ask(review.members[1], review.members[1]) == ("known", 0)
        # Of another event's account nothing is told.
        assert ask(arrange.member(connection, arrange.event(connection))) == ("unknown", 0)
        delete(review, user_id)
        assert ask(user_id) == ("unknown", len(faces))
        assert ask(user_id) == ("unknown", 0)


def test_a_purge_of_a_former_account_leaves_who_was_linked_since(review: Review) -> None:
    person_id, user_id = linked(review)
    delete(review, user_id)
    with review.database.transaction() as connection:
        decisions.link(connection, review.organiser, person_id, review.members[1])
    review.connection.execute("SELECT purge_face_data_for_user(%s, %s)", (user_id, review.event_id))
    assert review.row(person_id)["linked_user_id"] == review.members[1]


def test_who_leaves_the_event_stays_who_they_are_in_its_photos(review: Review) -> None:
    person_id, user_id = linked(review)
    tags = review.tagged(user_id)
    review.connection.execute("DELETE FROM event_members WHERE user_id = %s", (user_id,))
    assert (review.row(person_id)["linked_user_id"], review.tagged(user_id)) == (user_id, tags)
    with review.database.transaction() as connection:
        decisions.unlink(connection, review.organiser, person_id)
    assert review.tagged(user_id) == {}


def test_somebody_whose_account_goes_this_moment_gets_an_answer_and_no_error(review: Review) -> None:
    person_id = review.people()[0]
    with pytest.raises(Problem) as caught, review.database.transaction() as connection:
        decisions.link(connection, uuid4(), person_id, review.members[0])
    assert (caught.value.status, caught.value.code) == (409, "account_gone")
