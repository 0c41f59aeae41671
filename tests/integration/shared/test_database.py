"""The functions' way to Postgres."""

from __future__ import annotations

from shared.database import Database


def test_a_connection_that_nobody_answers_any_more_is_given_up_within_a_minute(database: Database) -> None:
    with database.transaction() as connection:
        told = connection.info.get_parameters()
    silent = int(told["keepalives_idle"]) + int(told["keepalives_interval"]) * int(told["keepalives_count"])
    assert silent <= 60
    assert int(told["tcp_user_timeout"]) <= 60_000
