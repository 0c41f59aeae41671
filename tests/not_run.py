"""Suites that need something this machine does not have: told at the end, and a failure where CI runs."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

MARK = "suite not run: "


def not_run(suite: str, how_to_get: str) -> NoReturn:
    """Leave a suite out because something is missing; with CI=true that is a failure.

    ``how_to_get`` says exactly what to install. `conftest.py` lists all of them at the end of the run.
    """
    message = f"{suite}: {how_to_get}"
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must run every suite; {message}")
    pytest.skip(MARK + message)
