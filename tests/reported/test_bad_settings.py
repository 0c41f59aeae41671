"""A wrong setting ends the function at its start with a line that names it, and nobody waits for what cannot come."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import functions_framework
import pytest

from functions.detect import packs
from local.cloud.function_process import FUNCTIONS
from local.cloud.processes import Process, ProcessFailedError, Supervisor
from shared.service import BAD_SETTINGS_STATUS

SOURCES = {function.name: str(function.source) for function in FUNCTIONS}
RIGHT = {
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
    "GOOGLE_CLOUD_PROJECT": "project",
    "PHOTOS_BUCKET": "photos",
    "DERIVED_BUCKET": "derived",
    "FACE_PACK": "mini",
    "FACE_MODEL_DIR": str(packs.model_root()),
    "JWT_SECRET": "s" * 32,
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Right settings, and no function that stays loaded."""
    for name, value in RIGHT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    sys.modules.pop("main", None)


def load(function: str) -> None:
    """What functions-framework does before it serves."""
    functions_framework.create_app("main", SOURCES[function])  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("function", SOURCES)
def test_right_settings_start(function: str, capsys: pytest.CaptureFixture[str]) -> None:
    load(function)
    assert "main" in sys.modules
    assert "cannot start" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("function", "variable", "value", "told"),
    [
        *((function, "DATABASE_URL", "mysql://", "DATABASE_URL: String should match") for function in SOURCES),
        ("admin", "FACE_CALIBRATION", "/nowhere.json", "FACE_CALIBRATION: not JSON"),
        ("cluster", "FACE_CALIBRATION", "/nowhere.json", "must be the JSON itself, not the name of a file"),
        (
            "cluster",
            "FACE_CALIBRATION",
            '{"version": 1, "packs": {"mini": {}}}',
            "FACE_CALIBRATION: packs.mini.cluster",
        ),
        ("cluster", "CLUSTER_PAIRS", "7", "CLUSTER_PAIRS: Input should be less than or equal to 1"),
        ("callback", "SMTP_URL", "smtp://127.0.0.1:25", "PUBLIC_URL: is required when SMTP_URL is set"),
        ("admin", "JWT_SECRET", "short", "JWT_SECRET: String should have at least 32 characters"),
        ("detect", "FACE_PACK", "nonsense", "FACE_PACK: Input should be 'buffalo_l', 'auraface' or 'mini'"),
        ("detect", "FACE_MODEL_DIR", "/nowhere", "/nowhere/models/mini"),
    ],
)
def test_a_wrong_setting_does_not_end_in_a_traceback_at_every_probe(
    function: str,
    variable: str,
    value: str,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as ended:
        load(function)
    assert ended.value.code == BAD_SETTINGS_STATUS
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{function} cannot start: ")
    assert told in line


def test_the_emulated_cloud_does_not_keep_silent_about_it_and_does_not_try_again(tmp_path: Path) -> None:
    line = "cluster cannot start: these environment variables need attention: CLUSTER_PAIRS: too much"
    script = f"import sys; print('starting'); sys.stderr.write({line!r} + chr(10)); sys.exit({BAD_SETTINGS_STATUS})"
    told: list[str] = []
    supervisor = Supervisor(tmp_path, told.append)
    try:
        with pytest.raises(ProcessFailedError) as failed:
            supervisor.start(Process("cluster", (sys.executable, "-uc", script), is_ready=lambda: False))
        assert str(failed.value) == line
        assert told == [line]
        assert supervisor.starts("cluster") == 1
    finally:
        supervisor.stop()
