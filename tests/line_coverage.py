"""Measures which lines of functions/ and shared/ the tests run: a pytest plugin, loaded by `make test`.

The run fails where either folder has fewer than 90 % of its lines run. Processes that tests start, such as the
functions of the emulated cloud, are not measured.

SlipCover puts probes into the modules' bytecode and removes those that were passed, which costs nothing that can be
measured. coverage.py takes half as much processor time again before Python 3.12: tracing slows every instruction.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from slipcover import Slipcover, merge_coverage
from slipcover.importer import SlipcoverLoader

ROOT = Path(__file__).resolve().parents[1]
MEASURED = ("functions", "shared")
AT_LEAST = 90.0
_PARTS = "TROMBI_COVERAGE_PARTS"  # the folder where each test process leaves its part, told to workers
_WORKER = "PYTEST_XDIST_WORKER"  # set by pytest-xdist in the processes that run tests


class _Probing(MetaPathFinder):
    """Finds the modules of the measured packages, and has probes put into them as they are imported."""

    def __init__(self, measuring: Slipcover) -> None:
        self._measuring = measuring

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] not in MEASURED:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader) and spec.origin is not None:
            spec.loader = SlipcoverLoader(self._measuring, spec.loader, spec.origin)
        return spec


Counts = tuple[int, int]
"""Lines that ran, and lines that did not."""
_LINES = pytest.StashKey[Mapping[str, Counts]]()
_MEASURING = pytest.StashKey[Slipcover]()


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Begin before tests/conftest.py imports anything that is measured."""
    is_worker = _WORKER in os.environ
    # One process is enough to count the lines of files that no test imports.
    measuring = Slipcover(source=[] if is_worker else [str(ROOT / package) for package in MEASURED])
    sys.meta_path.insert(0, _Probing(measuring))
    early_config.stash[_MEASURING] = measuring
    if not is_worker:
        os.environ[_PARTS] = tempfile.mkdtemp(prefix="coverage-")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Leave this process's part; the process that started the others adds all parts up, and judges."""
    parts = Path(os.environ[_PARTS])
    part = session.config.stash[_MEASURING].get_coverage()
    (parts / f"{os.environ.get(_WORKER, 'main')}.json").write_text(json.dumps(part), encoding="utf-8")
    if _WORKER in os.environ:
        return
    measured = reduce(merge_coverage, (json.loads(path.read_bytes()) for path in sorted(parts.iterdir())))
    shutil.rmtree(parts)
    session.config.stash[_LINES] = lines_by_file(measured["files"])
    if session.exitstatus == pytest.ExitCode.OK and shortfalls(session.config.stash[_LINES]):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the share of each package, and the files below what is asked for."""
    lines = terminalreporter.config.stash[_LINES]
    terminalreporter.section("lines of functions/ and shared/ that the tests run")
    for package in MEASURED:
        terminalreporter.write_line(f"{percent(of_package(lines, package)):5.1f} %  {package}/")
    for name, counts in sorted(lines.items(), key=lambda item: percent([item[1]])):
        if percent([counts]) < AT_LEAST:
            terminalreporter.write_line(f"{percent([counts]):5.1f} %  {name}")
    for shortfall in shortfalls(lines):
        terminalreporter.write_line(f"FAILED: {shortfall}", red=True)


def lines_by_file(files: Mapping[str, Mapping[str, Any]]) -> dict[str, Counts]:
    """The counts of each file, by its path in the repository, from SlipCover's merged report."""
    return {
        Path(name).resolve().relative_to(ROOT).as_posix(): (len(file["executed_lines"]), len(file["missing_lines"]))
        for name, file in files.items()
    }


def of_package(lines: Mapping[str, Counts], package: str) -> list[Counts]:
    """The counts of the files below a folder."""
    return [counts for name, counts in lines.items() if name.startswith(f"{package}/")]


def percent(counts: Iterable[Counts]) -> float:
    """The share of lines that ran, in percent; 100 of no line."""
    ran, missed = (sum(column) for column in zip((0, 0), *counts, strict=True))
    return 100 * ran / (ran + missed) if ran + missed else 100.0


def shortfalls(lines: Mapping[str, Counts]) -> list[str]:
    """What to tell of each package that has too few lines run, with what there must be."""
    shares = {package: percent(of_package(lines, package)) for package in MEASURED}
    return [
        f"{share:.1f} % of the lines of {package}/ run in tests, {AT_LEAST:.0f} % have to"
        for package, share in shares.items()
        if share < AT_LEAST
    ]
