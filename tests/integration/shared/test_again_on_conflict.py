"""A transaction that Postgres ends for another's sake is done again; nothing else is."""

from __future__ import annotations

import threading

import psycopg
import pytest

from shared.database import Conflict, Connection, Database, again_on_conflict, savepoint
from shared.errors import Retryable
from tests.arrange import rows, user


def test_of_two_who_lock_the_wrong_way_round_both_succeed(database: Database, connection: Connection) -> None:
    first, second = user(connection), user(connection)
    both_hold_one = threading.Barrier(2, timeout=20)
    tries: list[str] = []

    @again_on_conflict
    def rename(name: str, order: tuple[object, object]) -> None:
        is_first_try = name not in tries
        tries.append(name)
        with database.transaction() as own:
            for number, user_id in enumerate(order):
                own.execute("UPDATE users SET display_name = display_name || %s WHERE id = %s", (name, user_id))
                if number == 0 and is_first_try:
                    both_hold_one.wait()

    other = threading.Thread(target=rename, args=("b", (second, first)))
    other.start()
    rename("a", (first, second))
    other.join()
    assert len(tries) == 3, "one of them was ended, and done again"
    assert all(sorted(row["display_name"][-2:]) == ["a", "b"] for row in rows(connection, "users"))


def test_what_always_ends_in_a_conflict_is_given_up(database: Database) -> None:
    tries = []

    @again_on_conflict
    def fail() -> None:
        tries.append(1)
        with database.transaction():
            raise psycopg.errors.SerializationFailure

    with pytest.raises(Conflict):
        fail()
    assert len(tries) == 4


def test_a_database_that_is_away_is_not_asked_again(database: Database) -> None:
    tries = []

    @again_on_conflict
    def fail() -> None:
        tries.append(1)
        with database.transaction():
            raise psycopg.OperationalError

    with pytest.raises(Retryable):
        fail()
    assert len(tries) == 1


def test_a_part_is_done_again_without_what_came_before_it(database: Database, connection: Connection) -> None:
    user_id = user(connection)
    failures = [psycopg.errors.DeadlockDetected(), None]

    @again_on_conflict
    def part(own: Connection) -> None:
        with savepoint(own):
            own.execute("UPDATE users SET display_name = display_name || 'x' WHERE id = %s", (user_id,))
            failure = failures.pop(0)
            if failure is not None:
                raise failure

    with database.transaction() as own:
        own.execute("UPDATE users SET display_name = 'before' WHERE id = %s", (user_id,))
        part(own)
    assert [row["display_name"] for row in rows(connection, "users")] == ["beforex"]
