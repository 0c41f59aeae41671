"""What every test may use, and the list of suites that could not run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import hypothesis
import psycopg
import pytest
from xdist.scheduler import LoadFileScheduling

from functions.detect import packs
from shared.database import Connection, Database
from tests.databases import Databases, running_postgres
from tests.examples import USUAL, examples
from tests.not_run import MARK

# No deadline: how long an example takes says how busy the machine is.
hypothesis.settings.register_profile("any machine", max_examples=examples(USUAL), deadline=None)
hypothesis.settings.load_profile("any machine")


_ONE_CLOUD = ("tests/browser/", "tests/integration/end_to_end/")
"""Folders whose tests share a running cloud: one worker takes all of them, so that the cloud starts once."""


class _ByCloud(LoadFileScheduling):  # type: ignore[misc] # its package says nothing of types
    """A file is for one worker, and so is a folder with a cloud."""

    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        return next((folder for folder in _ONE_CLOUD if file.startswith(folder)), file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _ByCloud:
    """Say which tests a worker takes together."""
    return _ByCloud(config, log)


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
    """A real Postgres of this session's own."""
    with running_postgres(tmp_path_factory.mktemp("postgres")) as port:
        yield port


@pytest.fixture(scope="session")
def databases(postgres_port: int) -> Iterator[Databases]:
    """Migrated databases on it."""
    with closing(Databases.on(postgres_port)) as made:
        yield made


@pytest.fixture
def database_url(databases: Databases) -> Iterator[str]:
    """The address of a migrated, empty database of this test's own."""
    with databases.borrowed() as url:
        yield url


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
