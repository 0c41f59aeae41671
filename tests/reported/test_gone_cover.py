"""A person whose cover is gone is never left without one, whichever way it went, and no human's choice is claimed."""

from __future__ import annotations

from uuid import UUID

import pytest

from functions.admin.review import decisions, ledger
from shared.database import Connection, Database
from tests.integration.admin.reviewing import Review


@pytest.fixture
def review(database: Database, connection: Connection) -> Review:
    return Review(database, connection)


def choose(review: Review, person_id: UUID) -> UUID:
    """The organiser takes another face than the machine did for the cover."""
    now = review.row(person_id)["representative_face_id"]
    chosen = next(face_id for face_id in review.faces_of(person_id) if face_id != now)
    with review.database.transaction() as connection:
        decisions.cover(connection, review.organiser, person_id, chosen)
    return chosen


def hold(review: Review, person_id: UUID, status: str) -> None:
    with review.database.transaction() as connection:
        if status == "linked":
            decisions.link(connection, review.organiser, person_id, review.members[0])
        elif status == "invited":
            review.invite(connection, person_id)
        elif status == "ignored":
            decisions.ignore(connection, review.organiser, person_id)


def assert_has_another(review: Review, person_id: UUID, gone: UUID) -> None:
    row = review.row(person_id)
    assert row["representative_face_id"] in set(review.faces_of(person_id)) - {gone}
    assert not row["cover_chosen_by_human"]


GOING = {
    "the face": "DELETE FROM faces WHERE id = %(face)s",
    "the photo's row": "DELETE FROM media WHERE id = (SELECT media_id FROM faces WHERE id = %(face)s)",
}


@pytest.mark.parametrize("status", ["pending", "linked", "invited", "ignored"])
@pytest.mark.parametrize("going", GOING)
def test_a_chosen_cover_that_is_deleted_leaves_no_blank_person_though_nothing_is_clustered(
    review: Review, status: str, going: str
) -> None:
    person_id = review.people()[0]
    chosen = choose(review, person_id)
    hold(review, person_id, status)
    review.connection.execute(GOING[going], {"face": chosen})
    assert_has_another(review, person_id, chosen)
    at_once = review.row(person_id)["representative_face_id"]
    review.cluster()
    assert review.row(person_id)["representative_face_id"] == at_once, "a run chooses the same"


def test_the_cover_of_an_archived_event_is_replaced_as_well(review: Review) -> None:
    person_id = review.people()[0]
    chosen = choose(review, person_id)
    review.connection.execute("UPDATE events SET archived_at = now()")
    review.connection.execute("DELETE FROM faces WHERE id = %s", (chosen,))
    assert_has_another(review, person_id, chosen)


def test_the_cover_goes_with_the_last_face_and_its_choice_too(review: Review) -> None:
    person_id = review.people()[0]
    choose(review, person_id)
    review.connection.execute("DELETE FROM faces WHERE face_person_id = %s", (person_id,))
    row = review.row(person_id)
    assert (row["representative_face_id"], row["cover_chosen_by_human"]) == (None, False)


def test_a_cover_that_was_purged_with_somebody_else_s_tag_is_replaced(review: Review) -> None:
    person_id = review.people()[0]
    chosen = choose(review, person_id)
    review.connection.execute(
        """
        INSERT INTO media_tags (media_id, tagged_user_id, source, face_id)
        SELECT media_id, %s, 'face_clustering', id FROM faces WHERE id = %s
        """,
        (review.members[1], chosen),
    )
    review.connection.execute("SELECT purge_face_data_for_user(%s, %s)", (review.members[1], review.event_id))
    assert chosen not in review.faces_of(person_id)
    assert_has_another(review, person_id, chosen)


@pytest.mark.parametrize("kind", ["move", "reject", "split"])
def test_a_chosen_cover_that_a_decision_takes_away_is_replaced(review: Review, kind: str) -> None:
    person_id, other = review.people()[:2]
    chosen = choose(review, person_id)
    with review.database.transaction() as connection:
        if kind == "move":
            decisions.move(connection, review.organiser, [chosen], other)
        elif kind == "reject":
            decisions.reject(connection, review.organiser, [chosen])
        else:
            decisions.split(connection, review.organiser, person_id, [chosen])
    assert_has_another(review, person_id, chosen)


def test_a_person_whose_faces_all_moved_away_claims_no_chosen_cover(review: Review) -> None:
    person_id, other = review.people()[:2]
    choose(review, person_id)
    with review.database.transaction() as connection:
        decisions.move(connection, review.organiser, review.faces_of(person_id), other)
    row = review.row(person_id)
    assert (row["representative_face_id"], row["cover_chosen_by_human"]) == (None, False)


def test_an_undo_that_takes_a_face_back_replaces_the_cover_that_it_was_meanwhile(review: Review) -> None:
    person_id, other = review.people()[:2]
    face_id = review.faces_of(person_id)[0]
    with review.database.transaction() as connection:
        rejected = decisions.reject(connection, review.organiser, [face_id])
    # As a run does it that finds the face more like the other person.
    review.connection.execute("UPDATE faces SET face_person_id = %s WHERE id = %s", (other, face_id))
    review.connection.execute("UPDATE face_persons SET representative_face_id = %s WHERE id = %s", (face_id, other))
    with review.database.transaction() as connection:
        ledger.undo(connection, review.organiser, review.event_id, rejected.decision_id)
    assert face_id in review.faces_of(person_id)
    assert_has_another(review, other, face_id)


def test_an_undo_does_not_bring_back_the_choice_of_a_cover_that_is_gone(review: Review) -> None:
    person_id, other = review.people()[:2]
    chosen = choose(review, person_id)
    with review.database.transaction() as connection:
        moved = decisions.move(connection, review.organiser, review.faces_of(person_id), other)
    review.connection.execute("DELETE FROM faces WHERE id = %s", (chosen,))
    with review.database.transaction() as connection:
        ledger.undo(connection, review.organiser, review.event_id, moved.decision_id)
    assert_has_another(review, person_id, chosen)


def test_a_run_replaces_a_chosen_cover_that_is_no_longer_of_the_person(review: Review) -> None:
    person_id, other = review.people()[:2]
    chosen = choose(review, person_id)
    # As a host may do it, that knows no ledger.
    review.connection.execute(
        "UPDATE faces SET face_person_id = %s, placed_by_human = true WHERE id = %s", (other, chosen)
    )
    review.cluster()
    assert_has_another(review, person_id, chosen)
