"""Faces that people move never push others out, through decisions, clustering and undo on a real Postgres."""

from __future__ import annotations

from uuid import UUID

import pytest

from functions.admin.review import decisions, ledger
from functions.admin.review.person_state import person_state
from shared.database import Connection, Database
from tests.integration.admin.reviewing import Review


@pytest.fixture
def review(database: Database, connection: Connection) -> Review:
    return Review(database, connection)


@pytest.mark.parametrize("how", ["two", "all", "accepted", "merge"])
def test_a_person_nobody_named_keeps_its_own_faces_when_others_are_moved_in(review: Review, how: str) -> None:
    source, target = review.people()[:2]
    own, faces = review.faces_of(target), review.faces_of(source)
    newcomers: set[UUID] = set()
    with review.database.transaction() as connection:
        if how == "merge":
            made = decisions.merge(connection, review.organiser, [source], target)
        else:
            moved = {"two": faces[:2], "all": faces, "accepted": faces[:1]}[how]
            made = decisions.move(connection, review.organiser, moved, target)
    together = set(review.faces_of(target))
    for seed in range(2):
        newcomers |= set(review.arrive(2, 1, seed=seed))
        review.cluster()
        assert set(review.faces_of(target)) - newcomers == together
    with review.database.transaction() as connection:
        ledger.undo(connection, review.organiser, review.event_id, made.decision_id)
    for _ in range(2):
        assert set(review.faces_of(target)) - newcomers == set(own)
        assert set(review.faces_of(source)) - newcomers == set(faces)
        review.cluster()


def test_what_told_people_apart_before_they_were_merged_puts_nobody_out(review: Review) -> None:
    anna, bea, cleo, _ = review.people()
    with review.database.transaction() as connection:
        decisions.distinct(connection, review.organiser, anna, bea)
        decisions.merge(connection, review.organiser, [bea], cleo)
        decisions.merge(connection, review.organiser, [cleo], anna)
    together = set(review.faces_of(anna))
    review.cluster()
    assert set(review.faces_of(anna)) == together


def test_a_person_twice_in_a_photo_is_tagged_once_and_an_unlink_that_is_undone_tags_it_again(review: Review) -> None:
    person_id = review.people()[0]
    face_id = review.faces_of(person_id)[0]
    # The same face twice: a mirror.
    review.connection.execute(
        """
        INSERT INTO faces (id, media_id, event_id, object_generation, bbox, embedding, embedding_model, quality_score,
            sharpness, yaw, pitch, roll, size_px)
        SELECT gen_random_uuid(), media_id, event_id, object_generation, bbox, embedding, embedding_model,
            quality_score, sharpness, yaw, pitch, roll, size_px FROM faces WHERE id = %s
        """,
        (face_id,),
    )
    review.cluster()
    faces, photos = review.faces_of(person_id), review.media_of(person_id)
    assert len(faces) == len(photos) + 1
    user_id = review.members[1]
    with review.database.transaction() as connection:
        decisions.link(connection, review.organiser, person_id, user_id)
        state = person_state(connection, person_id)
    assert (state["face_count"], state["photo_count"]) == (len(faces), len(photos))
    assert set(review.tagged(user_id)) == photos
    with review.database.transaction() as connection:
        decisions.reject(connection, review.organiser, [face_id])
    assert set(review.tagged(user_id)) == photos, "the other of the two faces is still theirs"
    with review.database.transaction() as connection:
        gone = decisions.unlink(connection, review.organiser, person_id)
    assert review.tagged(user_id) == {}
    with review.database.transaction() as connection:
        ledger.undo(connection, review.organiser, review.event_id, gone.decision_id)
    assert set(review.tagged(user_id)) == photos
