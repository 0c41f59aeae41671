"""Where block tasks run."""

from __future__ import annotations

import importlib.util
import socket

import pytest

from functions.cluster.dask_runner import OnDemand
from functions.cluster.settings import ClusterSettings
from functions.cluster.workers import threads, workers_at
from shared.errors import Retryable, SettingsError


def test_without_an_address_blocks_run_on_this_machine() -> None:
    assert workers_at(None) is threads
    with threads() as runner:
        assert runner is None


def test_a_missing_package_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"DASK_SCHEDULER_ADDRESS .* distributed .* the extra dask"):
        workers_at("tcp://scheduler:8786")


def test_nothing_is_connected_before_there_is_a_block_to_run() -> None:
    with workers_at("tcp://nobody.invalid:8786")() as runner:
        assert isinstance(runner, OnDemand)


def test_a_scheduler_that_does_not_answer_is_tried_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.cluster.dask_runner.CONNECT_SECONDS", 1)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{unused.getsockname()[1]}"
        with workers_at(address)() as runner:
            assert runner is not None
            with pytest.raises(Retryable, match="DASK_SCHEDULER_ADDRESS"):
                list(runner.run(lambda one, other: one + other, [1, 2], [(0, 1)]))


@pytest.mark.parametrize(
    ("address", "outcome"),
    [
        ("tcp://scheduler:8786", "accepted"),
        ("tls://10.0.0.2:8786", "accepted"),
        ("scheduler:8786", "refused"),
        ("tcp://scheduler", "refused"),
    ],
)
def test_the_address_names_its_protocol_and_port(
    address: str,
    outcome: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://localhost/trombi")
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "project")
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", address)
    if outcome == "accepted":
        assert ClusterSettings.from_environment().dask_scheduler_address == address
    else:
        with pytest.raises(SettingsError, match="DASK_SCHEDULER_ADDRESS"):
            ClusterSettings.from_environment()
