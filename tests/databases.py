"""Migrated databases for tests: emptied after each use and used again, as making one writes ten megabytes."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import sql

from local.cloud.postgres import database_url as url_of
from local.cloud.postgres import postgres_process, program, remove_data
from local.cloud.processes import Supervisor
from local.cloud.state import State
from sql.migrate import migrate
from sql.schema import SCHEMA

_TEMPLATE = "migrated"
# What tests delete leaves dead rows behind, which make indexes slow.
_MOST_USES = 30

_TABLES = """
SELECT relname FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'trombi'::regnamespace AND relname <> 'schema_migrations' ORDER BY relname
"""
# What a test may have changed beside rows: columns, rights, comments, functions, policies, triggers, constraints.
_SHAPE = """
SELECT ARRAY[
    (SELECT string_agg(concat(relname, relacl, relrowsecurity, relforcerowsecurity), ' ' ORDER BY oid)
        FROM pg_class WHERE relnamespace = 'trombi'::regnamespace),
    (SELECT string_agg(concat(attrelid, attname, attnotnull, attacl), ' ' ORDER BY attrelid, attnum)
        FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid WHERE relnamespace = 'trombi'::regnamespace),
    (SELECT string_agg(concat(objoid, objsubid, description), ' ' ORDER BY objoid, objsubid)
        FROM pg_description JOIN pg_class ON pg_class.oid = objoid WHERE relnamespace = 'trombi'::regnamespace),
    (SELECT string_agg(concat(oid, proacl, prosrc), ' ' ORDER BY oid)
        FROM pg_proc WHERE pronamespace = 'trombi'::regnamespace),
    (SELECT string_agg(concat(oid, polqual, polwithcheck), ' ' ORDER BY oid) FROM pg_policy),
    (SELECT string_agg(concat(oid, tgenabled), ' ' ORDER BY oid) FROM pg_trigger),
    (SELECT string_agg(concat(oid, conname), ' ' ORDER BY oid) FROM pg_constraint)
]
"""
_OTHERS_OUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> %s"
_FROM_ONE_AGAIN = "SELECT setval(oid, 1, false) FROM pg_class WHERE relkind = 'S'"


@contextmanager
def running_postgres(folder: Path) -> Iterator[int]:
    """Run a Postgres of the caller's own; its port."""
    state = State(folder)
    state.lock()
    supervisor = Supervisor(state.directory / "logs", lambda _: None)
    port = state.ports("postgres")["postgres"]
    try:
        process = postgres_process("postgres", port, state.directory, lambda _: None, fast=True)
        # Nothing of it is kept, so that nothing need be written when it stops.
        supervisor.start(replace(process, stop_signal=signal.SIGQUIT))
        yield port
    finally:
        supervisor.stop()
        remove_data(state.directory)
        state.release()


def dump(url: str, *options: str) -> str:
    """Return the database as SQL, by pg_dump: schema, rights and rows."""
    command = [str(program("pg_dump")), *options, url]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    # Each dump has a key of its own.
    return "\n".join(line for line in text.splitlines() if not line.startswith(("\\restrict", "\\unrestrict")))


def run_schema(url: str) -> None:
    """Do to the database what ``psql < sql/schema.sql`` does."""
    with SCHEMA.open(encoding="utf-8") as text:
        command = [str(program("psql")), "--quiet", "--no-psqlrc", "--output=/dev/null", url]
        ran = subprocess.run(command, stdin=text, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise AssertionError(ran.stderr)


def empty(databases: Databases) -> str:
    """Make a database with nothing in it; its address."""
    name = f"empty_{os.getpid()}_{uuid4().hex}"
    with psycopg.connect(url_of(databases.port), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return url_of(databases.port, name)


@dataclass
class Databases:
    """The databases of one Postgres; each is in one test's hands at a time."""

    port: int
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    # Name and number of uses so far.
    _free: list[tuple[str, int]] = field(default_factory=list)
    # By name: a connection that stays open has read the catalogue by the second time.
    _cleaners: dict[str, psycopg.Connection[Any]] = field(default_factory=dict)

    @classmethod
    def on(cls, port: int) -> Databases:
        """Make the database that all others are copies of."""
        made = cls(port)
        made._run(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_TEMPLATE)))
        migrate(url_of(port, _TEMPLATE))
        with psycopg.connect(url_of(port, _TEMPLATE)) as connection:
            filled = [name for (name,) in connection.execute(_TABLES) if _holds_rows(connection, name)]
        # A table that a migration fills would be empty for every test but the first.
        assert filled == [], f"migrations fill {filled}"
        return made

    def fresh(self) -> str:
        """Make a database that nobody has used, and nobody will use again; its address."""
        return url_of(self.port, self._make())

    @contextmanager
    def borrowed(self) -> Iterator[str]:
        """An empty database; its address."""
        name, uses = self._free.pop() if self._free else (self._make(), 0)
        yield url_of(self.port, name)
        if uses + 1 < _MOST_USES and self._empty(name):
            self._free.append((name, uses + 1))
        else:
            if name in self._cleaners:
                self._cleaners.pop(name).close()
            self._run(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def close(self) -> None:
        """Close what is kept open."""
        for cleaner in self._cleaners.values():
            cleaner.close()

    def _make(self) -> str:
        name = f"test_{os.getpid()}_{next(self._numbers)}"
        self._run(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(_TEMPLATE)),
        )
        return name

    def _empty(self, name: str) -> bool:
        """Take every row out; False when the test has changed more than rows."""
        try:
            connection = self._cleaner(name)
            connection.execute(_OTHERS_OUT, (connection.info.backend_pid,))
            if _shape(connection) != self._unchanged:
                return False
            connection.execute(self._emptying)
        except psycopg.Error:
            return False
        return True

    def _cleaner(self, name: str) -> psycopg.Connection[Any]:
        if name not in self._cleaners:
            self._cleaners[name] = psycopg.connect(url_of(self.port, name), autocommit=True)
        return self._cleaners[name]

    @cached_property
    def _emptying(self) -> sql.Composed:
        """All of it at once: a thousand tests wait for it."""
        with psycopg.connect(url_of(self.port, _TEMPLATE)) as connection:
            tables = [sql.SQL("DELETE FROM {}").format(sql.Identifier(name)) for (name,) in connection.execute(_TABLES)]
        without_triggers = sql.SQL("SET session_replication_role = replica")  # and without foreign keys
        return sql.SQL("; ").join([without_triggers, *tables, sql.SQL(_FROM_ONE_AGAIN)])

    @cached_property
    def _unchanged(self) -> Any:
        with psycopg.connect(url_of(self.port, _TEMPLATE)) as connection:
            return _shape(connection)

    def _run(self, statement: sql.Composed) -> None:
        with psycopg.connect(url_of(self.port), autocommit=True) as connection:
            connection.execute(statement)


def _shape(connection: psycopg.Connection[Any]) -> Any:
    return connection.execute(_SHAPE).fetchone()


def _holds_rows(connection: psycopg.Connection[Any], table: str) -> bool:
    return connection.execute(sql.SQL("SELECT FROM {} LIMIT 1").format(sql.Identifier(table))).fetchone() is not None
