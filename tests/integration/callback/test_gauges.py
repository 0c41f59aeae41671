"""How things stand, as the log tells it every tick."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from functions.callback import gauges
from shared import outbox
from shared.contracts import Tick
from shared.log import configure_logging
from shared.push import Delivery
from tests.arrange import detect_job, event, photo
from tests.integration.callback.conftest import Callback
from tests.unit.shared.quiet import plain_logging_afterwards


def waiting(
    callback: Callback, status: str, count: int, *, age: timedelta = timedelta(0), priority: str = "normal"
) -> None:
    event_id = event(callback.connection)
    for _ in range(count):
        media_id = photo(callback.connection, event_id)
        detect_job(callback.connection, event_id, media_id, status=status, age=age, priority=priority)


def test_an_empty_database_is_all_zero(callback: Callback) -> None:
    assert gauges.log_gauges(callback.database) == dict.fromkeys(gauges.NAMES, 0)


def test_every_gauge_says_what_it_is_called(callback: Callback) -> None:
    waiting(callback, "pending", 2, age=timedelta(minutes=10))
    waiting(callback, "processing", 1)
    waiting(callback, "completed", 15)
    waiting(callback, "failed", 5)
    callback.letters().received("ticks", Delivery("1", b"", {}))
    callback.outbox.drain()
    with callback.database.transaction() as connection:
        outbox.add_message(connection, Tick())
    callback.connection.execute("UPDATE outbox SET created_at = now() - interval '5 minutes'")
    told = gauges.log_gauges(callback.database)
    assert (told["pending_jobs"], told["dead_letters"]) == (3, 1)
    # The dead letter is a failed job of its own.
    assert told["failed_share"] == pytest.approx(6 / 21)
    assert told["oldest_pending_seconds"] == pytest.approx(600, abs=60)
    assert told["oldest_outbox_seconds"] == pytest.approx(300, abs=60)


def test_what_waits_on_purpose_is_not_old(callback: Callback) -> None:
    waiting(callback, "pending", 1, age=timedelta(days=1), priority="low")
    told = gauges.log_gauges(callback.database)
    assert (told["pending_jobs"], told["oldest_pending_seconds"]) == (1, 0)


def test_a_handful_of_jobs_is_no_share(callback: Callback) -> None:
    waiting(callback, "failed", 5)
    assert gauges.log_gauges(callback.database)["failed_share"] == 0


def test_the_entry_is_one_line_with_every_gauge_as_a_number(
    callback: Callback, capsys: pytest.CaptureFixture[str]
) -> None:
    with plain_logging_afterwards():
        configure_logging("callback")
        gauges.log_gauges(callback.database)
    (line,) = capsys.readouterr().err.splitlines()
    entry = json.loads(line)
    assert (entry["message"], entry["function"]) == ("gauges", "callback")
    assert {name: entry[name] for name in gauges.NAMES} == dict.fromkeys(gauges.NAMES, 0.0)
