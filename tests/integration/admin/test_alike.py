"""GET /person/{id}/alike: whom a person may be, the most alike first."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import numpy as np
import psycopg
import pytest
from numpy.typing import NDArray

from tests.arrange import event, face, member, one_hot, person, photo
from tests.integration.admin.conftest import AdminSite
from tests.integration.admin.test_reviewer_role import as_user


def towards(other: int, cosine: float) -> NDArray[np.float32]:
    """A unit vector at that cosine to the first axis, for the rest along another one."""
    return np.float32(cosine) * one_hot(0) + np.float32(np.sqrt(1 - cosine**2)) * one_hot(other)


def someone(site: AdminSite, event_id: UUID, *embeddings: NDArray[np.float32], **of: Any) -> UUID:
    """A person with these faces, each on a photo of its own, the first ones of the best quality."""
    person_id = person(site.connection, event_id, **of)
    for number, embedding in enumerate(embeddings):
        media_id = photo(site.connection, event_id)
        face(site.connection, event_id, media_id, embedding, person_id=person_id, quality=0.9 - number / 100)
    return person_id


def alike(site: AdminSite, person_id: UUID, user_id: UUID | None = None, query: str = "") -> list[UUID]:
    status, answer = site.ask("GET", f"/person/{person_id}/alike{query}", user_id)
    assert status == 200, answer
    return [UUID(found) for found in answer["person_ids"]]


@pytest.mark.parametrize("by", ["service", "organiser"])
def test_the_most_alike_come_first_whatever_their_status(site: AdminSite, by: str) -> None:
    event_id = event(site.connection)
    asked = someone(site, event_id, one_hot(0))
    far = someone(site, event_id, towards(1, 0.1), towards(2, 0.2))
    near = someone(site, event_id, towards(3, 0.6), status="ignored")
    # Changed over the years: one face fits, and the mean of all does not.
    sister = someone(site, event_id, towards(4, -0.3), towards(5, 0.5), towards(6, -0.4))
    someone(site, event(site.connection), one_hot(0))
    person(site.connection, event_id)  # without a face there is nothing to compare
    user_id = None if by == "service" else member(site.connection, event_id, "organizer")
    assert alike(site, asked, user_id) == [near, sister, far]
    # The read is in the audit.
    noted = site.connection.execute("SELECT what, subject_id FROM biometric_reads").fetchall()
    assert noted == [{"what": "likeness", "subject_id": asked}]


def test_one_odd_face_decides_nothing_unless_it_is_the_one_asked_about(site: AdminSite) -> None:
    event_id = event(site.connection)
    asked = someone(site, event_id, one_hot(0), towards(9, 0.98), one_hot(7))
    like_most, like_odd = someone(site, event_id, towards(3, 0.9)), someone(site, event_id, one_hot(7))
    assert alike(site, asked) == [like_most, like_odd]
    odd = site.connection.execute(
        "SELECT id FROM faces WHERE face_person_id = %s ORDER BY quality_score LIMIT 1", (asked,)
    ).fetchone()
    assert odd is not None
    assert alike(site, asked, query=f"?face_id={odd['id']}") == [like_odd, like_most]


def test_a_face_of_somebody_else_is_not_asked_about(site: AdminSite) -> None:
    event_id, foreign = event(site.connection), event(site.connection)
    asked = someone(site, event_id, one_hot(0))
    someone(site, event_id, one_hot(1))
    other = face(site.connection, foreign, photo(site.connection, foreign), one_hot(1))
    owner = member(site.connection, event_id, "owner")
    assert alike(site, asked, owner, f"?face_id={other}") == []


def test_nothing_is_alike_once_biometrics_are_erased(site: AdminSite) -> None:
    event_id = event(site.connection)
    asked = someone(site, event_id, one_hot(0))
    someone(site, event_id, one_hot(0))
    assert site.ask("PUT", f"/event/{event_id}/consent", None, enabled=False)[0] == 200
    assert alike(site, asked) == []


def test_it_is_an_organisers_business(site: AdminSite) -> None:
    event_id = event(site.connection)
    user_id = member(site.connection, event_id)
    own = someone(site, event_id, one_hot(0), status="linked", linked_user_id=user_id)
    assert site.ask("GET", f"/person/{own}/alike", user_id)[0] == 403
    elsewhere = member(site.connection, event(site.connection), "owner")
    assert site.ask("GET", f"/person/{own}/alike", elsewhere)[0] == 404


def test_the_database_itself_tells_nobody_else_and_no_embedding_to_anybody(site: AdminSite) -> None:
    event_id = event(site.connection)
    asked = someone(site, event_id, one_hot(0))
    other = someone(site, event_id, one_hot(1))
    organiser = member(site.connection, event_id, "owner")
    statement = "SELECT trombi_persons_alike(%s, NULL) AS id"
    with as_user(site.connection, organiser) as request:
        assert request.execute(statement, (asked,)).fetchall() == [{"id": other}]
    with as_user(site.connection, organiser) as request, pytest.raises(psycopg.errors.InsufficientPrivilege):
        request.execute("SELECT embedding FROM faces")
    for stranger in (member(site.connection, event_id), member(site.connection, event(site.connection), "owner")):
        with as_user(site.connection, stranger) as request, pytest.raises(psycopg.errors.InsufficientPrivilege):
            request.execute(statement, (asked,))
