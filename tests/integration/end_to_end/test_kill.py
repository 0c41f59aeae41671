"""Whatever is killed with -9 in the middle: every photo ends processed once, with the same people as otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.cloud import Cloud
from tests.integration.end_to_end.whole_cloud import Event, Outcome, sixty_photos

PARTS = ("detect", "callback", "cluster", "broker", "postgres", "storage")


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_is_killed_in_the_middle_costs_nothing(
    cloud: Cloud, photos: dict[str, Path], undisturbed: Outcome, part: str
) -> None:
    event = Event.made(cloud.addresses, photos)
    event.upload()
    event.wait_for_done(10)
    assert event.done() < len(photos), "it is killed in the middle"
    cloud.kill(part)
    cloud.wait_ready(part)
    event.wait_until_settled()
    event.assert_each_photo_was_done_once()
    assert event.outcome() == undisturbed


def test_sixty_photos_survive_the_death_of_every_part_one_after_another(cloud: Cloud, tmp_path: Path) -> None:
    files = sixty_photos(tmp_path)
    assert len(files) == 60
    calm = Event.made(cloud.addresses, files)
    calm.upload()
    calm.wait_until_settled()
    calm.assert_each_photo_was_done_once()

    event = Event.made(cloud.addresses, files)
    event.upload()
    for number, part in enumerate(PARTS):
        event.wait_for_done(10 + 7 * number)
        cloud.kill(part)
    for part in PARTS:
        cloud.wait_ready(part)
    event.wait_until_settled()
    event.assert_each_photo_was_done_once()
    assert event.outcome() == calm.outcome()
