"""The version is one: in the package, in the code that images hold, and in the changelog."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from shared.log import start_logging
from shared.version import VERSION
from tests.unit.shared.quiet import plain_logging_afterwards

ROOT = Path(__file__).resolve().parents[2]


def test_the_version_in_the_images_is_that_of_the_package() -> None:
    package = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert package["version"] == VERSION


def test_the_changelog_describes_the_version() -> None:
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    versions = [heading.split()[0] for heading in headings if heading != "Unreleased"]
    assert versions[0] == VERSION, "the newest version that the changelog describes"


def test_a_function_s_first_log_entry_says_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with plain_logging_afterwards():
        start_logging("cluster")
    entry = json.loads(capsys.readouterr().err.splitlines()[0])
    assert (entry["message"], entry["function"], entry["version"]) == ("trombi started", "cluster", VERSION)
