"""What every test may use, and the list of suites that could not run."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from functions.detect import packs
from local.migrate import migrate
from local.postgres import database_url as url_of
from local.postgres import postgres_process, remove_data
from local.processes import Supervisor
from local.state import State
from shared.database import Connection, Database
from tests.not_run import MARK

_TEMPLATE = "migrated"
_numbers = itertools.count(1)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """End with the suites that could not run here, and what would let them."""
    reasons = {
        str(report.longrepr[2]).split(MARK, 1)[1]
        for report in terminalreporter.stats.get("skipped", [])
        if isinstance(report.longrepr, tuple) and MARK in str(report.longrepr[2])
    }
    if reasons:
        terminalreporter.section("suites that could not run here")
        for reason in sorted(reasons):
            terminalreporter.write_line(f"- {reason}")


@pytest.fixture(scope="session")
def postgres_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A real Postgres of this session's own, with a database ``migrated`` that is at the newest migration."""
    state = State(tmp_path_factory.mktemp("postgres"))
    state.lock()
    supervisor = Supervisor(state.directory / "logs", lambda _: None)
    port = state.ports("postgres")["postgres"]
    try:
        process = postgres_process("postgres", port, state.directory, lambda _: None, fast=True)
        # Nothing of it is kept, so that nothing need be written when it stops.
        supervisor.start(replace(process, stop_signal=signal.SIGQUIT))
        with psycopg.connect(url_of(port), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_TEMPLATE)))
        migrate(url_of(port, _TEMPLATE))
        yield port
    finally:
        supervisor.stop()
        remove_data(state.directory)
        state.release()


@pytest.fixture
def database_url(postgres_port: int) -> str:
    """The address of a migrated, empty database of this test's own."""
    return fresh_database(postgres_port)


def fresh_database(postgres_port: int) -> str:
    """Make a migrated, empty database; its address."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(url_of(postgres_port), autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(_TEMPLATE))
        )
    return url_of(postgres_port, name)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The functions' own way to this test's database."""
    opened = Database(database_url, pool_size=8)
    yield opened
    opened.close()


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    """A connection that commits each statement, for arranging and looking."""
    with psycopg.connect(database_url, autocommit=True, row_factory=psycopg.rows.dict_row) as opened:
        yield opened


@pytest.fixture(scope="session")
def mini_pack() -> Path:
    """The folder of the model pack ``mini``, built if need be."""
    return packs.fetch("mini")
