"""Rows of ``ml_jobs`` are written in one module."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
WRITES = re.compile(r"\b(?:INSERT\s+INTO|UPDATE|MERGE\s+INTO|COPY)\s+(?:ONLY\s+)?(?:\w+\.)?\"?ml_jobs\b", re.IGNORECASE)
LEDGER = "shared/job_ledger.py"


def writers() -> dict[str, int]:
    """Modules of what is deployed whose text writes ``ml_jobs``, and how often."""
    found = {}
    for folder in ("functions", "shared"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if count := len(WRITES.findall(path.read_text())):
                found[path.relative_to(ROOT).as_posix()] = count
    return found


def test_only_the_job_ledger_inserts_and_updates_jobs() -> None:
    assert set(writers()) == {LEDGER}


def test_each_kind_of_job_is_inserted_by_one_statement() -> None:
    inserts = re.findall(r"INSERT INTO ml_jobs \(([^)]*)\)", (ROOT / LEDGER).read_text())
    # A photo's, an event's, and a failure that belongs to no event.
    assert len(inserts) == len(set(inserts)) == 3


def test_nothing_looks_for_jobs_by_containment_which_has_no_index() -> None:
    for folder in ("functions", "shared", "local", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            assert not re.search(r"media_ids\s*(?:@>|&&|<@)", path.read_text()), path
