"""The process that owns the cloud is killed: nothing of it stays, and the next one goes on where it stopped."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil

from local.cloud.state import running
from tests.integration.end_to_end.whole_cloud import Event, Outcome, options, running_cloud, wait_until
from tests.integration.local.small_cloud import state_directory

_REPOSITORY = Path(__file__).resolve().parents[3]


def test_a_killed_owner_leaves_no_process_and_its_work_is_finished_by_the_next(
    photos: dict[str, Path], undisturbed: Outcome, mini_pack: Path
) -> None:
    assert mini_pack.is_dir()
    with state_directory() as state:
        command = [sys.executable, "-m", "local", "up", "--bus", "small", "--pack", "mini", "--state", str(state)]
        with subprocess.Popen(command, cwd=_REPOSITORY, stdout=subprocess.DEVNULL) as owner:
            wait_until(lambda: running(state) is not None, "the cloud is up")
            addresses = running(state)
            assert addresses is not None
            event = Event.made(addresses, photos)
            event.upload()
            event.wait_for_done(5)
            family = psutil.Process(owner.pid).children(recursive=True)
            assert len(family) >= 7
            owner.kill()
        _, alive = psutil.wait_procs(family, timeout=60)
        assert alive == []
        assert running(state) is None

        with running_cloud(options(state)) as cloud:
            # The parts are where they were, so that whoever knew them finds them again.
            assert cloud.addresses == addresses
            event.wait_until_settled()
            event.assert_each_photo_was_done_once()
            assert event.outcome() == undisturbed
