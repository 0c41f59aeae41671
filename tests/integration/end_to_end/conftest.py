"""One cloud for the tests that do not need their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.cloud.cloud import Cloud
from tests.integration.end_to_end.whole_cloud import Event, Outcome, options, running_cloud, sample_folder
from tests.integration.local.small_cloud import state_directory

_PHOTOS = 24


# It ends with this folder: an idle cloud goes on ticking.
@pytest.fixture(scope="package")
def cloud(mini_pack: Path) -> Iterator[Cloud]:
    """The whole cloud, with the small broker and the pack ``mini``."""
    assert mini_pack.is_dir()
    with state_directory() as state, running_cloud(options(state)) as started:
        yield started


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small event's photos."""
    return sample_folder(tmp_path_factory.mktemp("photos"), _PHOTOS)


@pytest.fixture(scope="package")
def undisturbed(cloud: Cloud, photos: dict[str, Path]) -> Outcome:
    """What becomes of the small event when nothing is killed."""
    event = Event.made(cloud.addresses, photos)
    event.upload()
    event.wait_until_settled()
    event.assert_each_photo_was_done_once()
    return event.outcome()
