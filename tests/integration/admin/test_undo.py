"""Any sequence of decisions, undone in reverse, leaves the database as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from uuid import UUID

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.admin.door.problems import Problem
from functions.admin.review import decisions, ledger
from shared.database import Connection, Database
from tests import arrange
from tests.databases import Databases
from tests.integration.admin.reviewing import Review

KINDS = [
    "link", "unlink", "invite", "accept", "decline", "merge", "split", "move", "reject", "distinct", "one_person",
    "ignore", "restore", "cover", "suggested",
]  # fmt: skip


class Organiser:
    """Decides at random, as somebody who clicks whatever there is."""

    def __init__(self, review: Review, seed: int) -> None:
        self.review = review
        self.rng = np.random.default_rng(seed)
        self.invitations: list[UUID] = []

    def some(self, ids: list[UUID], count: int = 1) -> list[UUID]:
        if len(ids) < count:
            raise IndexError("there are not as many")
        return [ids[index] for index in self.rng.permutation(len(ids))[:count]]

    def people(self, *statuses: str) -> list[UUID]:
        rows = self.review.connection.execute(
            "SELECT id FROM face_persons WHERE event_id = %s AND status <> 'merged' ORDER BY created_at, id",
            (self.review.event_id,),
        ).fetchall()
        found = [row["id"] for row in rows]
        return [person for person in found if not statuses or self.review.row(person)["status"] in statuses]

    def decide(self, kind: str) -> UUID | None:
        """One decision of the kind, where it can be made; its id."""
        act: Callable[[Connection], decisions.Decided] = getattr(self, f"_{kind}")
        with suppress(Problem, IndexError), self.review.database.transaction() as connection:
            return act(connection).decision_id
        return None

    def _link(self, connection: Connection) -> decisions.Decided:
        (person,) = self.some(self.people("pending", "invited", "ignored"))
        (user,) = self.some(self.review.members)
        return decisions.link(connection, self.review.organiser, person, user, again=True)

    def _unlink(self, connection: Connection) -> decisions.Decided:
        return decisions.unlink(connection, self.review.organiser, self.some(self.people("linked", "invited"))[0])

    def _invite(self, connection: Connection) -> decisions.Decided:
        (person,) = self.some(self.people("pending", "invited", "ignored"))
        self.invitations.append(self.review.invite(connection, person, f"guest{len(self.invitations)}@example.org"))
        row = connection.execute(
            "SELECT id FROM decisions WHERE event_id = %s ORDER BY version DESC LIMIT 1", (self.review.event_id,)
        ).fetchone()
        assert row is not None
        return decisions.Decided(row["id"], person)

    def _accept(self, connection: Connection) -> decisions.Decided:
        return decisions.accept(connection, self.some(self.invitations)[0], self.some(self.review.members)[0])

    def _decline(self, connection: Connection) -> decisions.Decided:
        return decisions.decline(connection, self.some(self.invitations)[0])

    def _merge(self, connection: Connection) -> decisions.Decided:
        into, *gone = self.some(self.people(), int(self.rng.integers(2, 4)))
        return decisions.merge(connection, self.review.organiser, gone, into)

    def _split(self, connection: Connection) -> decisions.Decided:
        (person,) = self.some([person for person in self.people() if len(self.review.faces_of(person)) > 1])
        faces = self.some(self.review.faces_of(person), int(self.rng.integers(1, 3)))
        return decisions.split(connection, self.review.organiser, person, faces)

    def _all_faces(self) -> list[UUID]:
        return sorted(row["id"] for row in arrange.rows(self.review.connection, "faces"))

    def _move(self, connection: Connection) -> decisions.Decided:
        faces = self.some(self._all_faces(), int(self.rng.integers(1, 4)))
        to = None if self.rng.random() < 0.2 else self.some(self.people())[0]
        return decisions.move(connection, self.review.organiser, faces, to)

    def _reject(self, connection: Connection) -> decisions.Decided:
        (face,) = self.some(self._all_faces())
        person = self.some(self.people())[0] if self.rng.random() < 0.3 else None
        return decisions.reject(connection, self.review.organiser, [face], person)

    def _distinct(self, connection: Connection) -> decisions.Decided:
        return decisions.distinct(connection, self.review.organiser, *self.some(self.people(), 2))

    def _one_person(self, connection: Connection) -> decisions.Decided:
        return decisions.one_person(connection, self.review.organiser, self.some(self.people())[0])

    def _ignore(self, connection: Connection) -> decisions.Decided:
        return decisions.ignore(connection, self.review.organiser, self.some(self.people("pending", "invited"))[0])

    def _restore(self, connection: Connection) -> decisions.Decided:
        return decisions.restore(connection, self.review.organiser, self.some(self.people("ignored"))[0])

    def _cover(self, connection: Connection) -> decisions.Decided:
        (person,) = self.some([person for person in self.people() if self.review.faces_of(person)])
        return decisions.cover(connection, self.review.organiser, person, self.some(self.review.faces_of(person))[0])

    def _suggested(self, connection: Connection) -> decisions.Decided:
        """Say yes to a suggestion."""
        rows = arrange.rows(self.review.connection, "face_suggestions")
        row = rows[int(self.rng.integers(len(rows)))] if rows else None
        if row is None:
            raise IndexError
        return decisions.move(connection, self.review.organiser, [row["face_id"]], row["face_person_id"])


@pytest.fixture(scope="module")
def make_review(databases: Databases) -> Iterator[Callable[[], Review]]:
    """Makes events, each in the same database: what one of them does is no business of the others."""
    url = databases.fresh()
    database = Database(url, pool_size=4)
    with psycopg.connect(url, autocommit=True, row_factory=psycopg.rows.dict_row) as connection:

        def make() -> Review:
            connection.execute("TRUNCATE events, users, event_counters, outbox CASCADE")
            review = Review(database, connection)
            connection.execute(
                "INSERT INTO media_tags (media_id, tagged_user_id, source) SELECT id, %s, 'manual' FROM media LIMIT 3",
                (review.members[0],),
            )
            return review

        yield make
    database.close()


@given(seed=st.integers(0, 10_000), kinds=st.lists(st.sampled_from(KINDS), min_size=30, max_size=30))
@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_thirty_decisions_undone_in_reverse_restore_the_database(
    make_review: Callable[[], Review], seed: int, kinds: list[str]
) -> None:
    review = make_review()
    before = review.snapshot()
    organiser = Organiser(review, seed)
    made = [decision for kind in kinds if (decision := organiser.decide(kind)) is not None]
    assert made
    for decision_id in reversed(made):
        with review.database.transaction() as connection:
            ledger.undo(connection, review.organiser, review.event_id, decision_id)
    assert review.snapshot() == before


@given(seed=st.integers(0, 10_000), kinds=st.lists(st.sampled_from(KINDS), min_size=20, max_size=20))
@settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_clustering_in_between_loses_no_decision_and_undoing_all_leaves_none(
    make_review: Callable[[], Review], seed: int, kinds: list[str]
) -> None:
    review = make_review()
    before = review.snapshot()
    organiser = Organiser(review, seed)
    made: list[UUID] = []
    for number, kind in enumerate(kinds):
        decision = organiser.decide(kind)
        if decision is not None:
            made.append(decision)
        if number % 3 == 2:
            decided = what_humans_said(review)
            review.arrive(int(organiser.rng.integers(review.persons)), 1, seed=number)
            review.cluster()
            assert what_humans_said(review) == decided
    for number, decision_id in enumerate(reversed(made)):
        with review.database.transaction() as connection:
            ledger.undo(connection, review.organiser, review.event_id, decision_id)
        if number % 4 == 3:
            review.cluster()
    after = review.snapshot()
    for table in ("media_tags", "face_rejections", "invitations", "event_members"):
        assert after[table] == before[table]
    assert not [row for row in arrange.rows(review.connection, "faces") if row["placed_by_human"]]
    persons = arrange.rows(review.connection, "face_persons")
    assert {row["status"] for row in persons} == {"pending"}
    assert all(row["metadata"].get("manual_edits", 0) == 0 for row in persons)


def what_humans_said(review: Review) -> dict[str, object]:
    """All that no run may change: placed faces, held persons and their faces, merges, rejections, tags."""
    faces = arrange.rows(review.connection, "faces")
    persons = {row["id"]: row for row in arrange.rows(review.connection, "face_persons")}
    held = {key for key, row in persons.items() if row["status"] in ("linked", "invited", "ignored")}
    rejections = {(row["face_id"], row["face_person_id"]) for row in arrange.rows(review.connection, "face_rejections")}
    assert not {
        row["id"] for row in faces if (row["id"], row["face_person_id"]) in rejections and not row["placed_by_human"]
    }
    return {
        "placed": {row["id"]: row["face_person_id"] for row in faces if row["placed_by_human"]},
        "held": {key: {row["id"] for row in faces if row["face_person_id"] == key} for key in held},
        "status": {
            key: (row["status"], row["linked_user_id"], row["merged_into_id"])
            for key, row in persons.items()
            if row["status"] != "pending"
        },
        "rejected": rejections,
        "tags": {
            (row["media_id"], row["tagged_user_id"], row["source"])
            for row in arrange.rows(review.connection, "media_tags")
        },
    }
