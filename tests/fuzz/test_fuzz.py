"""A few seconds of what `make fuzz` does for as long as one likes."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

from tests.fuzz.__main__ import HOW_TO_GET
from tests.not_run import not_run

_REPOSITORY = Path(__file__).resolve().parents[2]
_SECONDS = 4
_LEAST_RUNS = 300


def test_nothing_is_found_in_a_few_seconds(tmp_path: Path) -> None:
    if importlib.util.find_spec("atheris") is None:
        not_run("Fuzzing", HOW_TO_GET)
    finished = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "all", "--seconds", str(_SECONDS)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(_REPOSITORY), "PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert finished.returncode == 0, finished.stdout[-4000:] + finished.stderr[-4000:]
    runs = re.search(r"stat::number_of_executed_units: (\d+)", finished.stderr)
    assert runs is not None, finished.stderr[-2000:]
    assert int(runs[1]) >= _LEAST_RUNS
