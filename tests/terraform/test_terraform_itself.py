"""The real terraform's own checks: format, validity, and the tests written in its language."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.terraform.provider_schema import ROOT
from tests.terraform.workspace import Workspace, require_terraform, workspace


@pytest.fixture(scope="module")
def made() -> Iterator[Workspace]:
    with tempfile.TemporaryDirectory(prefix="trombi-terraform-") as folder, workspace(Path(folder)) as opened:
        yield opened


def test_files_are_formatted() -> None:
    ran = subprocess.run(
        [require_terraform(), "fmt", "-check", "-recursive", "-diff", str(ROOT / "terraform")],
        env={**os.environ, "TF_CLI_CONFIG_FILE": os.devnull, "CHECKPOINT_DISABLE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (0, "")


def test_everything_is_valid_without_a_warning(made: Workspace) -> None:
    said = made.terraform("validate", "-no-color")
    assert "Success! The configuration is valid." in said
    assert "Warning" not in said


@pytest.mark.parametrize("file", sorted(path.name for path in (ROOT / "terraform" / "tests").glob("*.tftest.hcl")))
def test_terraform_test_passes(made: Workspace, file: str) -> None:
    said = made.terraform("test", "-no-color", f"-filter=tests/{file}")
    assert "0 failed" in said
    assert "skipped" not in said
