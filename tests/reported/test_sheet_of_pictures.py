"""A sheet, a strip or a collage of an event's own pictures changes nobody who is known."""

from __future__ import annotations

from uuid import UUID

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.database import Connection, Database
from tests import arrange
from tests.integration.admin.reviewing import Review


@pytest.fixture
def review(database: Database, connection: Connection) -> Review:
    return Review(database, connection, persons=6, each=5)


def embedding(review: Review, face_id: UUID) -> NDArray[np.float32]:
    row = review.connection.execute("SELECT embedding::real[] AS row FROM faces WHERE id = %s", (face_id,)).fetchone()
    assert row is not None
    return np.array(row["row"], dtype=np.float32)


def sheet(review: Review, face_ids: list[UUID]) -> list[UUID]:
    """One photo of pictures that are there already: each face as it was, but for the grain of the print."""
    rng = np.random.default_rng(11)
    media_id = arrange.photo(review.connection, review.event_id)
    made = []
    for face_id in face_ids:
        row = embedding(review, face_id) + 0.1 * rng.standard_normal(512) / np.sqrt(512)
        made.append(arrange.face(review.connection, review.event_id, media_id, row / np.linalg.norm(row)))
    return made


def known(review: Review, without: list[UUID]) -> dict[UUID, UUID]:
    return {
        row["id"]: row["face_person_id"]
        for row in arrange.rows(review.connection, "faces")
        if row["face_person_id"] and row["id"] not in without
    }


@pytest.mark.parametrize(("people", "each"), [(4, 4), (4, 2), (1, 4), (6, 5)])
def test_the_event_s_own_pictures_on_one_sheet_take_nobody_apart(review: Review, people: int, each: int) -> None:
    before = known(review, [])
    pictures = [face_id for person in review.people()[:people] for face_id in review.faces_of(person)[:each]]
    made = sheet(review, pictures)
    for _ in range(2):
        review.cluster()
        assert known(review, made) == before
        there = {row["face_person_id"] for row in arrange.rows(review.connection, "faces") if row["id"] in made}
        assert there <= {*before.values(), None}, "what is left over is nobody's"
    review.connection.execute("DELETE FROM faces WHERE id = ANY(%s)", (made,))
    review.cluster()
    assert known(review, []) == before
