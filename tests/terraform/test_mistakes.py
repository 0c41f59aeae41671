"""Seeded mistakes are caught: here as many at once as can be, one at a time by make terraform-mistakes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.terraform.mistakes import MISTAKES, Mistake, batches, caught_by
from tests.terraform.workspace import Workspace, workspace


@pytest.fixture(scope="module")
def made() -> Iterator[Workspace]:
    with tempfile.TemporaryDirectory(prefix="trombi-mistakes-") as folder, workspace(Path(folder)) as opened:
        yield opened


@pytest.mark.parametrize("batch", batches(), ids=lambda batch: f"{batch[0].name} and {len(batch) - 1} more")
def test_mistakes_are_caught(made: Workspace, batch: list[Mistake]) -> None:
    found = caught_by(made, *batch)
    assert [mistake.name for mistake in batch if not found.get(mistake.caught_by)] == [], found


def test_there_are_enough_mistakes_and_no_two_are_the_same() -> None:
    assert len({(mistake.file, mistake.old, mistake.new) for mistake in MISTAKES}) == len(MISTAKES) >= 25
