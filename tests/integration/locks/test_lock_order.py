"""Every writer against every other: whoever waits gets on, nobody is ended by Postgres for another's sake.

One of the two is held after one of its statements (also within functions, triggers and cascades), wherever it is by
then with its locks; the other runs until it is done or waits; then the first goes on.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, cast

import psycopg
import pytest
from psycopg import sql

from functions.admin.door.problems import Problem
from shared import database
from shared.database import Connection, Database
from shared.errors import Permanent, Retryable
from tests.databases import Databases
from tests.examples import examples
from tests.integration.locks.writers import WRITERS, Stage, keep_rows, tables

_GATE = 4711
# Counts the statements of a transaction that asked for it, and waits at the gate at one of them.
_STEP = f"""
CREATE FUNCTION test_step() RETURNS void LANGUAGE plpgsql AS $$
DECLARE step integer := nullif(current_setting('test.step', true), '');
BEGIN
    IF step IS NOT NULL THEN
        PERFORM set_config('test.step', (step + 1)::text, true);
        IF step = current_setting('test.hold_at')::integer THEN
            PERFORM pg_advisory_xact_lock_shared({_GATE});
        END IF;
    END IF;
END $$;
CREATE FUNCTION test_step_of_trigger() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM test_step(); RETURN NULL; END $$;
"""
_WAITS = """
SELECT EXISTS (
    SELECT FROM pg_stat_activity WHERE pid = %(pid)s AND wait_event_type = 'Lock'
) AS waits
"""
_AT_GATE = f"""
SELECT EXISTS (
    SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = {_GATE} AND NOT granted AND pid = %(pid)s
) AS waits
"""
_ALL_STEPS = 10**6
_HOST = "host deletes"


class _Stepping:
    """A connection that takes a step after each statement."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, *args: Any, **kwargs: Any) -> Any:
        done = self._connection.execute(*args, **kwargs)
        self._connection.execute("SELECT test_step()")
        return done


class _WatchedDatabase(Database):
    """Holds each transaction at the same step."""

    def __init__(self, url: str) -> None:
        super().__init__(url, pool_size=1)
        self.pids: set[int] = set()
        self.start(-1)

    def start(self, hold_at: int) -> None:
        """From now on hold at this step; nothing has happened yet."""
        self.hold_at = hold_at
        self.steps = 0

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        with super().transaction() as connection:
            self.pids.add(connection.info.backend_pid)
            connection.execute(
                "SELECT set_config('test.step', '0', true), set_config('test.hold_at', %s, true)",
                (str(self.hold_at),),
            )
            yield cast("Connection", _Stepping(connection))
            row = connection.execute("SELECT current_setting('test.step')::integer AS steps").fetchone()
            self.steps = max(self.steps, row["steps"] if row else 0)


@dataclass
class _Run:
    """A writer on a thread of its own."""

    name: str
    stage: Stage
    database: _WatchedDatabase
    failure: BaseException | None = None
    thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._write, name=self.name)
        self.thread.start()

    def _write(self) -> None:
        try:
            # Refused as things are now, or a message that the bus brings again.
            with suppress(Problem, Permanent, Retryable):
                WRITERS[self.name](self.stage, self.database)
        except BaseException as failure:  # noqa: BLE001 - told by the test's own thread
            self.failure = failure

    def until(self, control: Connection, waits: str) -> bool:
        """Return once it is done (False), or waits (True)."""
        while self.thread.is_alive():
            for pid in sorted(self.database.pids):
                row = control.execute(waits, {"pid": pid}).fetchone()
                if row is not None and row["waits"]:
                    return True
            self.thread.join(0.003)
        return False


@dataclass
class Arena:
    """A database in which writers can be held."""

    control: Connection
    gate: Connection
    first: _WatchedDatabase
    second: _WatchedDatabase
    stage: Stage
    reset: sql.Composed
    # Why Postgres ended something for another's sake, also where it was done again.
    conflicts: list[str]
    steps: dict[str, int] = field(default_factory=dict)

    def meet(self, held: str, other: str, hold_at: int) -> list[str]:
        """Hold one writer after its step, let the other run, let the first go on; what went wrong."""
        self.control.execute(self.reset)
        self.stage.set_objects()
        self.conflicts.clear()
        self.first.start(hold_at)
        self.second.start(-1)
        self.gate.execute("SELECT pg_advisory_lock(%s)", (_GATE,))
        try:
            one = _Run(held, self.stage, self.first)
            one.until(self.control, _AT_GATE)
            two = _Run(other, self.stage, self.second)
            two.until(self.control, _WAITS)
        finally:
            self.gate.execute("SELECT pg_advisory_unlock(%s)", (_GATE,))
        for run in (one, two):
            run.thread.join()
        self.steps[held] = max(self.steps.get(held, 0), self.first.steps)
        wrong = [f"{run.name}: {run.failure!r}" for run in (one, two) if run.failure is not None]
        return [f"{held} held at {hold_at}, {other}: {what}" for what in [*self.conflicts, *wrong]]


@pytest.fixture(scope="module")
def conflicts() -> Iterator[list[str]]:
    """Every `Conflict` that there is, in whatever thread."""
    found: list[str] = []

    class Noted(database.Conflict):
        def __init__(self, reason: str) -> None:
            super().__init__(reason)
            found.append(f"{threading.current_thread().name}: {reason}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "Conflict", Noted)
        yield found


@pytest.fixture(scope="module")
def arena(databases: Databases, conflicts: list[str]) -> Iterator[Arena]:
    """One database for all of them; each pair has an event of its own."""
    url = databases.fresh()
    with (
        psycopg.connect(url, autocommit=True, row_factory=psycopg.rows.dict_row) as control,
        psycopg.connect(url, autocommit=True, row_factory=psycopg.rows.dict_row) as gate,
    ):
        stage = Stage(control)
        reset = keep_rows(control)
        control.execute(_STEP)
        for table in tables(control):
            control.execute(
                sql.SQL(
                    "CREATE TRIGGER test_step AFTER INSERT OR UPDATE OR DELETE ON {}"
                    " FOR EACH STATEMENT EXECUTE FUNCTION test_step_of_trigger()"
                ).format(sql.Identifier(table))
            )
        # Soon enough that a deadlock is seen for what it is, and not for a writer that takes its time.
        control.execute(sql.SQL("ALTER DATABASE {} SET deadlock_timeout = '50ms'").format(_name(url)))
        first, second = _WatchedDatabase(url), _WatchedDatabase(url)
        yield Arena(control, gate, first, second, stage, reset, conflicts)
        first.close()
        second.close()


def _name(url: str) -> sql.Identifier:
    return sql.Identifier(url.rpartition("/")[2].partition("?")[0])


@pytest.mark.parametrize("held", WRITERS)
def test_no_writer_is_ended_for_another_s_sake(arena: Arena, held: str) -> None:
    alone = arena.meet(held, held, _ALL_STEPS)
    count = arena.steps[held]
    assert count > 0, "a writer that writes nothing meets nobody"
    wrong = alone
    for other in WRITERS:
        # Of each two one is held, at one step, another one for each; TROMBI_EXAMPLES=n holds both, at n steps.
        if held != other and held.startswith(_HOST) and other.startswith(_HOST):
            continue  # an event and its people deleted at once, by two statements of the host app: theirs to repeat
        wanted = min(count, examples(1))
        if wanted == 1 and count > 1 and _is_held_by(held, other):
            continue
        start = zlib.crc32(f"{held} {other}".encode())
        for hold_at in sorted({(start + number * max(1, count // wanted)) % count for number in range(wanted)}):
            wrong += arena.meet(held, other, hold_at)
    assert wrong == []


def _is_held_by(one: str, other: str) -> bool:
    """Whether, of the two, it is the other's turn to be held."""
    names = sorted((one, other))
    return one != other and names[zlib.crc32(" ".join(names).encode()) % 2] == other
