"""Clustering beside erasure: what was erased stays so, and what people said about it stays too."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from functions.cluster import run as run_module
from functions.cluster.faces.rules import group_faces
from shared.contracts import ClusterRequested
from shared.database import Connection
from tests.arrange import event, job_row, member, portraits, rows
from tests.integration.cluster.conftest import Clustering


def meanwhile(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Let something happen once, while the run computes."""
    pending = [happens]

    def group(*arguments: Any, **named: Any) -> object:
        grouping = group_faces(*arguments, **named)
        if pending:
            pending.pop()()
        return grouping

    monkeypatch.setattr(run_module, "group_faces", group)


def archive(clustering: Clustering) -> None:
    clustering.connection.execute("UPDATE events SET archived_at = now()")


def link(clustering: Clustering, event_id: UUID, person_id: UUID | None) -> UUID:
    user_id = member(clustering.connection, event_id)
    clustering.connection.execute(
        "UPDATE face_persons SET status = 'linked', linked_user_id = %s WHERE id = %s", (user_id, person_id)
    )
    return user_id


def test_a_late_run_leaves_the_persons_of_an_archived_event_alone(clustering: Clustering) -> None:
    event_id = event(clustering.connection)
    clustering.add_people(event_id)
    clustering.cluster(event_id)
    before = clustering.persons(event_id), rows(clustering.connection, "face_persons")
    late = clustering.request(event_id)
    archive(clustering)
    clustering.run().requested(late)
    assert (clustering.persons(event_id), rows(clustering.connection, "face_persons")) == before
    assert job_row(clustering.connection, late.job_id)["error_code"] == "no_consent"


def test_a_run_that_was_computing_while_the_event_was_archived_writes_nothing(
    clustering: Clustering, monkeypatch: pytest.MonkeyPatch
) -> None:
    event_id = event(clustering.connection)
    clustering.add_people(event_id, 2, 4)
    clustering.cluster(event_id)
    before = rows(clustering.connection, "face_persons")
    clustering.add_people(event_id, 2, 4, first=2)
    meanwhile(monkeypatch, lambda: archive(clustering))
    clustering.cluster(event_id)
    assert rows(clustering.connection, "face_persons") == before
    assert rows(clustering.connection, "face_suggestions") == []


def test_faces_purged_while_the_run_computes_stay_purged_and_nobody_else_is_lost(
    clustering: Clustering, monkeypatch: pytest.MonkeyPatch
) -> None:
    event_id = event(clustering.connection)
    purged, kept = clustering.add_people(event_id, 2, 4)
    clustering.cluster(event_id)
    user_id = link(clustering, event_id, clustering.person_of(purged[0]))
    more = clustering.add_faces(event_id, portraits(2, 2, seed=9)[1])
    meanwhile(
        monkeypatch,
        lambda: clustering.connection.execute("SELECT purge_face_data_for_user(%s, %s)", (user_id, event_id)),
    )
    clustering.cluster(event_id)
    assert clustering.groups(event_id) == [{*kept, *more}]
    assert len(clustering.persons(event_id)) == 1
    clustering.cluster(event_id)
    assert clustering.groups(event_id) == [{*kept, *more}]


def test_what_a_purge_leaves_is_clustered_again_with_right_counts(clustering: Clustering) -> None:
    event_id = event(clustering.connection)
    purged, kept = clustering.add_people(event_id, 2, 4)
    clustering.cluster(event_id)
    user_id = link(clustering, event_id, clustering.person_of(purged[0]))
    clustering.connection.execute("SELECT purge_face_data_for_user(%s, %s)", (user_id, event_id))
    message: ClusterRequested = clustering.cluster(event_id)
    (left,) = rows(clustering.connection, "face_persons")
    assert left["metadata"]["face_count"] == len(kept)
    assert job_row(clustering.connection, message.job_id)["result"]["faces"] == len(kept)


def test_a_person_whose_embeddings_are_past_their_retention_keeps_place_cover_and_count(
    clustering: Clustering,
) -> None:
    event_id = event(clustering.connection)
    old, young = clustering.add_people(event_id, 2, 4)
    clustering.cluster(event_id)
    (mixed,) = clustering.add_people(event_id, 1, 4, first=2)
    clustering.cluster(event_id)
    clustering.connection.execute(
        "UPDATE faces SET created_at = now() - interval '2 years' WHERE id = ANY(%s)", ([*old, mixed[0]],)
    )
    before = {row["id"]: row for row in rows(clustering.connection, "face_persons")}
    while clustering.connection.execute("SELECT erase_biometrics_older_than('1 year', 3) AS n").fetchone() != {"n": 0}:
        pass
    clustering.cluster(event_id)
    after = {row["id"]: row for row in rows(clustering.connection, "face_persons")}
    assert clustering.groups(event_id) == sorted(map(set, (old, young, mixed)), key=min)
    of_old, of_mixed = clustering.person_of(old[0]), clustering.person_of(mixed[0])
    assert of_old is not None
    assert of_mixed is not None
    assert after[of_old]["representative_face_id"] == before[of_old]["representative_face_id"]
    assert [after[id_]["metadata"]["face_count"] for id_ in (of_old, of_mixed)] == [4, 4]


def test_purges_decisions_and_runs_at_once_wait_for_each_other_and_none_is_lost(clustering: Clustering) -> None:
    event_id = event(clustering.connection)
    people = clustering.add_people(event_id, 6, 3)
    clustering.cluster(event_id)
    persons = [clustering.person_of(faces[0]) for faces in people]
    users = [link(clustering, event_id, person_id) for person_id in persons[:4]]
    failed: list[BaseException] = []

    def at_once(work: Callable[[Connection], object]) -> threading.Thread:
        def run() -> None:
            try:
                with clustering.database.transaction() as connection:
                    work(connection)
            except Exception as error:  # noqa: BLE001 - told below
                failed.append(error)

        return threading.Thread(target=run)

    def purge(user_id: UUID) -> threading.Thread:
        return at_once(
            lambda connection: connection.execute("SELECT purge_face_data_for_user(%s, %s)", (user_id, event_id))
        )

    def count_decision(connection: Connection) -> None:
        statement = "UPDATE event_counters SET decision_version = decision_version + 1 WHERE event_id = %s"
        connection.execute(statement, (event_id,))
        statement = "UPDATE face_persons SET version = version + 1 WHERE event_id = %s AND status = 'pending'"
        connection.execute(statement, (event_id,))

    threads = [*map(purge, users), *(at_once(count_decision) for _ in range(4))]
    threads.append(threading.Thread(target=clustering.cluster, args=(event_id,)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    clustering.cluster(event_id)
    assert clustering.groups(event_id) == sorted(map(set, people[4:]), key=min)
    versions = clustering.connection.execute("SELECT version FROM face_persons").fetchall()
    assert versions == [{"version": 4}] * 2
