"""A person has one best face: a decision, a run, the mail and the invitation page all show the same, and one count."""

from __future__ import annotations

from uuid import UUID, uuid4

import numpy as np
import pytest

from functions.admin.invitations import store as invitations_store
from functions.admin.review import decisions, decisions_store, persons_store
from functions.admin.review.persons_store import PersonFilter
from functions.callback import store as callback_store
from shared.database import Connection, Database
from tests.integration.admin.reviewing import Review

GOOD = {"quality_score": 0.9, "sharpness": 400.0, "yaw": 5.0, "pitch": 3.0, "size_px": 150}
_MEASURE = """
UPDATE faces SET quality_score = %(quality_score)s, sharpness = %(sharpness)s, yaw = %(yaw)s, pitch = %(pitch)s,
    size_px = %(size_px)s::integer, thumbnail_object = 'events/x/' || id WHERE id = %(id)s
"""


@pytest.fixture
def review(database: Database, connection: Connection) -> Review:
    return Review(database, connection)


def score(connection: Connection, **measures: float | None) -> float:
    """The score of a face that is good but for these measures."""
    row = connection.execute(
        """
        SELECT trombi_cover_score(%(quality_score)s::real, %(sharpness)s::real, %(yaw)s::real, %(pitch)s::real,
            %(size_px)s::integer) AS score
        """,
        {**GOOD, **measures},
    ).fetchone()
    assert row is not None
    return float(row["score"])


@pytest.mark.parametrize(
    "worse",
    [
        {"quality_score": 0.6},
        {"sharpness": 20.0},
        {"yaw": -50.0},
        {"pitch": 40.0},
        {"size_px": 40},
        {"sharpness": None},
        {"yaw": None},
    ],
)
def test_quality_frontality_sharpness_and_size_all_count(
    connection: Connection, worse: dict[str, float | None]
) -> None:
    assert score(connection, **worse) < score(connection)


def test_extra_pixels_and_the_side_turned_to_do_not_count_and_scores_are_between_nothing_and_one(
    connection: Connection,
) -> None:
    assert score(connection, size_px=900) == score(connection)
    assert score(connection, yaw=-5.0) == score(connection)
    assert score(connection, yaw=120.0) == 0.0
    assert 0.0 < score(connection) < 1.0


def measured(review: Review, person_id: UUID, seed: int) -> None:
    """Give the person's faces measures in which the detector's confidence alone would choose the worst face."""
    rng = np.random.default_rng(seed)
    for face_id in review.faces_of(person_id):
        unknown = rng.random(3) < 0.2
        # Few values, so that there are equals.
        review.connection.execute(
            _MEASURE,
            {
                "id": face_id,
                "quality_score": float(rng.choice([0.7, 0.85, 1.0])),
                "sharpness": None if unknown[0] else float(rng.choice([20.0, 100.0, 400.0])),
                "yaw": None if unknown[1] else float(rng.choice([-95.0, -30.0, 0.0, 60.0])),
                "pitch": None if unknown[2] else float(rng.choice([-20.0, 0.0])),
                "size_px": float(rng.choice([60, 112, 200])),
            },
        )


def shown(review: Review, person_id: UUID) -> dict[str, UUID | None]:
    """The first face that each of the ways to show a person shows."""
    wanted = PersonFilter(review.event_id, ["pending", "linked", "invited", "ignored"], 0, None, None, None)
    state = decisions_store.state(review.connection, person_id)
    assert state is not None
    listed = {row["id"]: row for row in persons_store.persons(review.connection, wanted, "photos", None, 100)}
    mail = callback_store.best_faces(review.connection, person_id, 3)
    return {
        "detail": state["cover_face_id"],
        "list": listed[person_id]["cover_face_id"],
        "suggestion": persons_store.states(review.connection, [person_id])[person_id]["cover_face_id"],
        "mail": mail[0].id,
        "invitation page": invitations_store.faces(review.connection, person_id, 3)[0],
    }


@pytest.mark.parametrize("seed", range(3))
def test_the_same_face_is_shown_after_a_run_after_a_decision_and_after_the_next_run(review: Review, seed: int) -> None:
    person_id, other = review.people()[:2]
    measured(review, person_id, seed)
    review.cluster()
    by_run = shown(review, person_id)
    assert len(set(by_run.values())) == 1, by_run
    cover = by_run["list"]
    assert cover is not None
    with review.database.transaction() as connection:
        decisions.move(connection, review.organiser, [cover], other)
    by_decision = shown(review, person_id)
    assert len(set(by_decision.values())) == 1, by_decision
    assert by_decision["list"] != cover
    review.cluster()
    assert shown(review, person_id) == by_decision, "a run after a decision chooses the same"


@pytest.mark.parametrize("seed", range(3))
def test_a_person_of_whom_nobody_decided_anything_keeps_its_cover_when_the_choice_is_made_in_the_database(
    review: Review, seed: int
) -> None:
    person_id = review.people()[0]
    measured(review, person_id, seed)
    review.cluster()
    by_run = shown(review, person_id)
    # As when the cover is deleted and put back: chosen by the database, then by a run.
    review.connection.execute("UPDATE face_persons SET representative_face_id = NULL WHERE id = %s", (person_id,))
    mail = callback_store.best_faces(review.connection, person_id, 1)[0].id
    assert mail == by_run["mail"], "a mail that is written before there is a cover shows the same"
    review.connection.execute(
        "UPDATE face_persons SET representative_face_id = trombi_best_cover(id) WHERE id = %s", (person_id,)
    )
    assert shown(review, person_id) == by_run
    review.cluster()
    assert shown(review, person_id) == by_run


def test_the_faces_after_the_cover_come_in_the_order_of_the_score_in_mail_and_invitation_page(review: Review) -> None:
    person_id = review.people()[0]
    measured(review, person_id, 3)
    review.cluster()
    rows = review.connection.execute(
        """
        SELECT faces.id FROM faces JOIN face_persons ON face_persons.id = face_person_id WHERE face_person_id = %s
        ORDER BY faces.id = representative_face_id DESC,
            trombi_cover_score(quality_score, sharpness, yaw, pitch, size_px) DESC, faces.id
        """,
        (person_id,),
    ).fetchall()
    by_score = [row["id"] for row in rows]
    assert invitations_store.faces(review.connection, person_id, 60) == by_score
    assert [face.id for face in callback_store.best_faces(review.connection, person_id, 60)] == by_score


def test_a_face_without_a_picture_is_no_cover_for_a_run_either(review: Review) -> None:
    person_id = review.people()[0]
    for face_id in review.faces_of(person_id):
        review.connection.execute(_MEASURE, {**GOOD, "id": face_id})
    review.cluster()
    cover = shown(review, person_id)["list"]
    review.connection.execute("UPDATE faces SET thumbnail_object = NULL WHERE id = %s", (cover,))
    review.cluster()
    now = shown(review, person_id)
    assert cover not in now.values()
    assert len(set(now.values())) == 1, now


def test_every_way_to_show_a_person_counts_the_same(review: Review) -> None:
    person_id = review.people()[0]
    with review.database.transaction() as connection:
        invitation_id = review.invite(connection, person_id)
    row = review.connection.execute("SELECT token_hash FROM invitations WHERE id = %s", (invitation_id,)).fetchone()
    assert row is not None
    # Two faces on one photo are one photo.
    review.connection.execute(
        """
        INSERT INTO faces (id, media_id, event_id, object_generation, face_person_id, bbox, embedding_model,
            quality_score, size_px)
        SELECT %s, media_id, event_id, object_generation, face_person_id, bbox, embedding_model, 0.5, 50
        FROM faces WHERE face_person_id = %s LIMIT 1
        """,
        (uuid4(), person_id),
    )
    faces, photos = len(review.faces_of(person_id)), len(review.media_of(person_id))
    assert photos == faces - 1
    wanted = PersonFilter(review.event_id, ["invited"], 1, None, None, None)
    [listed] = persons_store.persons(review.connection, wanted, "photos", None, 10)
    states = persons_store.states(review.connection, [person_id])[person_id]
    detail = decisions_store.state(review.connection, person_id)
    opened = invitations_store.by_token(review.connection, row["token_hash"])
    mailed = callback_store.invitation(review.connection, invitation_id, review.event_id)
    assert detail == states
    assert {name: listed[name] for name in states} == states
    assert (states["face_count"], states["photo_count"], listed["ranked_photos"]) == (faces, photos, photos)
    assert opened is not None
    assert mailed is not None
    assert (opened["photos"], mailed.photos) == (photos, photos)
