"""Whatever is killed with -9 in the middle: every photo ends processed once, with the same people as otherwise."""

from __future__ import annotations

from pathlib import Path

from local.cloud.cloud import Cloud
from tests.integration.end_to_end.whole_cloud import Event, sixty_photos

PARTS = ("detect", "callback", "cluster", "broker", "postgres", "storage")


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
