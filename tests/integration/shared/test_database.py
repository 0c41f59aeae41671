"""The functions' way to Postgres."""

from __future__ import annotations

import psycopg
import pytest

from shared.database import Database, one_row, savepoint


def test_a_connection_that_nobody_answers_any_more_is_given_up_within_a_minute(database: Database) -> None:
    with database.transaction() as connection:
        told = connection.info.get_parameters()
    silent = int(told["keepalives_idle"]) + int(told["keepalives_interval"]) * int(told["keepalives_count"])
    assert silent <= 60
    assert int(told["tcp_user_timeout"]) <= 60_000


def test_an_address_says_nothing_of_schemas_and_a_session_s_next_user_inherits_nothing(database_url: str) -> None:
    """As behind a pooler in transaction mode, which hands one session to everybody in turn."""
    opened = Database(database_url.partition("&options=")[0], pool_size=1)
    try:
        for _ in range(2):
            with opened.transaction() as connection:
                row = connection.execute(
                    "SELECT current_setting('search_path') AS path, count(*) FROM faces"
                ).fetchone()
                assert row == {"path": "trombi, pg_temp", "count": 0}
                assert one_row(connection, "SHOW lock_timeout", ()) == {"lock_timeout": "10s"}
            assert one_row(connection, "SHOW search_path", ()) == {"search_path": '"$user", public'}
            connection.rollback()
        with opened.transaction() as connection, pytest.raises(psycopg.errors.DivisionByZero), savepoint(connection):
            connection.execute("SELECT 1 / 0")
        assert one_row(connection, "SHOW search_path", ()) == {"search_path": '"$user", public'}
        connection.rollback()
    finally:
        opened.close()
