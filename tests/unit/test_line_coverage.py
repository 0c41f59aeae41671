"""The count of lines that tests run fails `make test` where a package has too few."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests import line_coverage
from tests.line_coverage import percent, shortfalls

ROOT = Path(__file__).resolve().parents[2]


def test_a_package_with_too_few_lines_run_is_named_and_others_do_not_make_up_for_it() -> None:
    lines = {"functions/a.py": (1000, 0), "functions/b.py": (0, 100), "shared/c.py": (89, 11)}
    assert shortfalls(lines) == ["89.0 % of the lines of shared/ run in tests, 90 % have to"]
    assert shortfalls(lines | {"shared/d.py": (10, 0)}) == []
    assert percent([]) == 100.0


def test_a_run_of_few_tests_fails_by_its_coverage_alone(tmp_path: Path) -> None:
    passing = tmp_path / "test_one.py"
    passing.write_text("from shared.version import VERSION\n\ndef test_it():\n    assert VERSION\n", encoding="utf-8")
    options = ("-q", "-n", "1", "-p", line_coverage.__name__, f"--rootdir={tmp_path}")
    command = [sys.executable, "-m", "pytest", *options, str(passing)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "TROMBI_"))}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (run.returncode, "1 passed" in run.stdout) == (1, True), run.stdout + run.stderr
    assert "of the lines of functions/ run in tests, 90 % have to" in run.stdout
    assert "0.0 %  shared/push.py" in run.stdout, "nothing imported it"
    assert "shared/version.py" not in run.stdout, "all of it ran, in the worker"


def test_make_test_measures() -> None:
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"-p {line_coverage.__name__}" in recipe
