"""What people decided survives every run, also what they decide while a run computes."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from functions.cluster import run as run_module
from functions.cluster.faces.rules import group_faces
from shared.database import Connection
from tests.arrange import event, member, portraits, rows
from tests.integration.cluster.conftest import Clustering


def person_row(connection: Connection, person_id: UUID) -> str:
    row = connection.execute(
        "SELECT face_persons::text AS content FROM face_persons WHERE id = %s", (person_id,)
    ).fetchone()
    assert row is not None
    return str(row["content"])


def decide(clustering: Clustering, event_id: UUID, statement: str, *values: Any) -> None:
    """A decision, as the review writes it: the rows, and the version that running runs look at."""
    with clustering.database.transaction() as inner:
        inner.execute(
            "UPDATE event_counters SET decision_version = decision_version + 1 WHERE event_id = %s", (event_id,)
        )
        inner.execute(statement, values)


def set_status(clustering: Clustering, event_id: UUID, person_id: UUID, status: str) -> None:
    user_id = member(clustering.connection, event_id) if status == "linked" else None
    email = "guest@example.org" if status == "invited" else None
    decide(
        clustering,
        event_id,
        """
        UPDATE face_persons SET status = %s, linked_user_id = %s, invitation_email = %s,
            metadata = metadata || '{"manual_edits": 1}' WHERE id = %s
        """,
        status,
        user_id,
        email,
        person_id,
    )


def meanwhile(monkeypatch: pytest.MonkeyPatch, happens: Any) -> None:
    pending = [happens]

    def group(*arguments: Any, **named: Any) -> Any:
        grouping = group_faces(*arguments, **named)
        if pending:
            pending.pop()()
        return grouping

    monkeypatch.setattr(run_module, "group_faces", group)


def test_persons_keep_their_ids_when_faces_are_added(clustering: Clustering) -> None:
    event_id = event(clustering.connection)
    people = clustering.add_people(event_id, 3, 4)
    clustering.cluster(event_id)
    before = [clustering.person_of(faces[0]) for faces in people]
    more = portraits(4, 4, seed=99)
    for person, faces in enumerate(people):
        faces.extend(clustering.add_faces(event_id, more[person]))
    newcomer = clustering.add_faces(event_id, more[3])
    clustering.cluster(event_id)
    for person_id, faces in zip(before, people, strict=True):
        assert {clustering.person_of(face_id) for face_id in faces} == {person_id}
    assert clustering.person_of(newcomer[0]) not in {*before, None}


def test_a_person_whose_faces_are_gone_is_gone(clustering: Clustering) -> None:
    event_id = event(clustering.connection)
    kept, gone = clustering.add_people(event_id, 2, 4)
    clustering.cluster(event_id)
    clustering.connection.execute("DELETE FROM faces WHERE id = ANY(%s)", (gone,))
    clustering.cluster(event_id)
    assert clustering.persons(event_id) == {clustering.person_of(kept[0]): set(kept)}


@pytest.mark.parametrize("status", ["linked", "invited", "ignored"])
def test_a_person_that_people_decided_on_is_untouched_and_new_faces_are_suggested(
    clustering: Clustering, status: str
) -> None:
    event_id = event(clustering.connection)
    first, _ = clustering.add_people(event_id, 2, 4)
    clustering.cluster(event_id)
    person_id = clustering.person_of(first[0])
    assert person_id is not None
    set_status(clustering, event_id, person_id, status)
    before = person_row(clustering.connection, person_id)
    clustering.cluster(event_id)
    assert person_row(clustering.connection, person_id) == before
    added = clustering.add_faces(event_id, portraits(1, 3, seed=5)[0])
    clustering.cluster(event_id)
    clustering.cluster(event_id)
    assert person_row(clustering.connection, person_id) == before
    assert clustering.persons(event_id)[person_id] == set(first)
    suggested = {(row["face_id"], row["face_person_id"]) for row in rows(clustering.connection, "face_suggestions")}
    assert suggested == {(face_id, person_id) for face_id in added}
    assert {clustering.person_of(face_id) for face_id in added} == {None}
    assert rows(clustering.connection, "media_tags") == []


def test_a_merged_person_stays_merged(clustering: Clustering) -> None:
    event_id = event(clustering.connection)
    first, second, _ = clustering.add_people(event_id, 3, 4)
    clustering.cluster(event_id)
    survivor, merged = clustering.person_of(first[0]), clustering.person_of(second[0])
    assert survivor is not None
    assert merged is not None
    decide(
        clustering,
        event_id,
        """
        WITH gone AS (UPDATE face_persons SET status = 'merged', merged_into_id = %s, representative_face_id = NULL
            WHERE id = %s RETURNING id)
        UPDATE faces SET face_person_id = %s, placed_by_human = true WHERE face_person_id IN (SELECT id FROM gone)
        """,
        survivor,
        merged,
        survivor,
    )
    clustering.cluster(event_id)
    row_of_merged, row_of_survivor = (person_row(clustering.connection, person) for person in (merged, survivor))
    for _ in range(2):
        clustering.cluster(event_id)
    assert person_row(clustering.connection, merged) == row_of_merged
    assert person_row(clustering.connection, survivor) == row_of_survivor
    assert clustering.persons(event_id)[survivor] == {*first, *second}
    assert clustering.persons(event_id)[merged] == set()


def test_a_face_that_a_human_placed_never_moves(clustering: Clustering) -> None:
    event_id = event(clustering.connection)
    first, second = clustering.add_people(event_id, 2, 5)
    clustering.cluster(event_id)
    other = clustering.person_of(second[0])
    decide(
        clustering,
        event_id,
        "UPDATE faces SET face_person_id = %s, placed_by_human = true WHERE id = %s",
        other,
        first[0],
    )
    decide(
        clustering, event_id, "UPDATE faces SET face_person_id = NULL, placed_by_human = true WHERE id = %s", first[1]
    )
    clustering.cluster(event_id)
    assert clustering.person_of(first[0]) == other
    assert clustering.person_of(first[1]) is None


def test_a_rejected_face_never_comes_back(clustering: Clustering) -> None:
    event_id = event(clustering.connection)
    (faces,) = clustering.add_people(event_id, 1, 6)
    clustering.cluster(event_id)
    person_id = clustering.person_of(faces[0])
    decide(
        clustering,
        event_id,
        """
        WITH moved AS (UPDATE faces SET face_person_id = NULL WHERE id = %s)
        INSERT INTO face_rejections (face_id, face_person_id) VALUES (%s, %s)
        """,
        faces[0],
        faces[0],
        person_id,
    )
    for _ in range(3):
        clustering.cluster(event_id)
    assert clustering.person_of(faces[0]) != person_id
    assert clustering.persons(event_id)[person_id] == set(faces[1:])  # type: ignore[index]


def test_a_cover_that_a_human_chose_stays(clustering: Clustering) -> None:
    event_id = event(clustering.connection)
    (faces,) = clustering.add_people(event_id, 1, 4)
    clustering.cluster(event_id)
    (person,) = rows(clustering.connection, "face_persons")
    chosen = next(face_id for face_id in faces if face_id != person["representative_face_id"])
    decide(
        clustering,
        event_id,
        "UPDATE face_persons SET representative_face_id = %s, cover_chosen_by_human = true",
        chosen,
    )
    clustering.cluster(event_id)
    assert rows(clustering.connection, "face_persons")[0]["representative_face_id"] == chosen


# ---------------------------------------------------------------- decided while the run computes


def test_a_link_made_while_the_run_computes_is_respected(
    clustering: Clustering, monkeypatch: pytest.MonkeyPatch
) -> None:
    event_id = event(clustering.connection)
    (faces,) = clustering.add_people(event_id, 1, 4)
    clustering.cluster(event_id)
    person_id = clustering.person_of(faces[0])
    assert person_id is not None
    added = clustering.add_faces(event_id, portraits(1, 2, seed=5)[0])
    rows_then: list[str] = []

    def link() -> None:
        set_status(clustering, event_id, person_id, "linked")
        rows_then.append(person_row(clustering.connection, person_id))

    meanwhile(monkeypatch, link)
    clustering.cluster(event_id)
    assert [person_row(clustering.connection, person_id)] == rows_then
    assert clustering.persons(event_id)[person_id] == set(faces)
    assert all(clustering.person_of(face_id) != person_id for face_id in added)


def test_a_face_moved_while_the_run_computes_stays_where_it_was_put(
    clustering: Clustering, monkeypatch: pytest.MonkeyPatch
) -> None:
    event_id = event(clustering.connection)
    first, second = clustering.add_people(event_id, 2, 5)
    clustering.cluster(event_id)
    other = clustering.person_of(second[0])
    meanwhile(
        monkeypatch,
        lambda: decide(
            clustering,
            event_id,
            "UPDATE faces SET face_person_id = %s, placed_by_human = true WHERE id = %s",
            other,
            first[0],
        ),
    )
    clustering.cluster(event_id)
    assert clustering.person_of(first[0]) == other


def test_a_person_made_while_the_first_run_computes_keeps_its_faces(
    clustering: Clustering, monkeypatch: pytest.MonkeyPatch
) -> None:
    event_id = event(clustering.connection)
    (faces,) = clustering.add_people(event_id, 1, 5)
    person_id = uuid4()
    meanwhile(
        monkeypatch,
        lambda: decide(
            clustering,
            event_id,
            """
            WITH made AS (
                INSERT INTO face_persons (id, event_id, metadata) VALUES (%s, %s, '{"manual_edits": 1}') RETURNING id
            )
            UPDATE faces SET face_person_id = made.id, placed_by_human = true FROM made WHERE faces.id = %s
            """,
            person_id,
            event_id,
            faces[0],
        ),
    )
    clustering.cluster(event_id)
    assert clustering.persons(event_id) == {person_id: set(faces)}
