"""What may go wrong, made to go wrong on the real parts: nothing is lost and nothing is doubled.

The short version of ``make faults`` (docs/reliability.md), all on one cloud.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Literal

import pytest

from tests.faults import scenarios
from tests.faults.coded_photos import coded_photo
from tests.faults.faulty_cloud import FaultyCloud, faulty_cloud
from tests.faults.resources import HOW_TO_GET_A_DISK
from tests.not_run import not_run

# Some 150 deaths, one after the other, take half a minute, and several times that where the machine is busy.
pytestmark = pytest.mark.timeout(900)
_PHOTOS = 14


@pytest.fixture(scope="module")
def cloud() -> Iterator[FaultyCloud]:
    """One cloud for all of these."""
    before = os.environ.get("STORAGE_EMULATOR_HOST")
    with faulty_cloud() as started:
        yield started
    # The host app has set it for its process.
    os.environ.pop("STORAGE_EMULATOR_HOST", None)
    if before is not None:
        os.environ["STORAGE_EMULATOR_HOST"] = before


def test_without_faults_the_event_is_as_its_photos_say(cloud: FaultyCloud) -> None:
    result, event = scenarios.calm(cloud, _PHOTOS)
    result.assert_nothing_lost_or_doubled()
    assert len(event.expected_persons()) == 6
    # What the others are measured by sees a face that is missing and one that is too many.
    cloud.rows("DELETE FROM faces WHERE media_id = %s RETURNING id", event.photos["photo-003.tiff"])
    assert any(lost.startswith("face ('photo-003.tiff'") for lost in event.lost())
    event.contents["photo-004.tiff"] = coded_photo("another", (1,))
    assert any(doubled.startswith("face ('photo-004.tiff'") for doubled in event.doubled())


def test_every_function_dies_at_every_step_and_nothing_is_lost_or_doubled(cloud: FaultyCloud) -> None:
    result, _ = scenarios.killed_at_every_step(cloud, _PHOTOS, seed=1, within=1, whole_function=0.02)
    assert len(result.history.kills()) >= 130
    result.assert_nothing_lost_or_doubled()


def test_deliveries_that_come_twice_late_out_of_order_or_unacknowledged_change_nothing(cloud: FaultyCloud) -> None:
    result = scenarios.bad_messenger(cloud, _PHOTOS, seed=1, chance=0.12)
    result.assert_nothing_lost_or_doubled()
    assert result.mails_too_many == 0


def test_a_postgres_that_stands_still_or_is_locked_keeps_all_waiting_and_loses_nothing(cloud: FaultyCloud) -> None:
    scenarios.stalled_postgres(cloud).assert_nothing_lost_or_doubled()


@pytest.mark.parametrize("whose", ["Postgres", "storage"])
def test_a_full_disk_refuses_photos_until_there_is_room_and_all_are_done_then(
    cloud: FaultyCloud, whose: Literal["Postgres", "storage"]
) -> None:
    if cloud.database_disk is None or cloud.storage_disk is None:
        not_run("Faults: full disks", HOW_TO_GET_A_DISK)
    scenarios.full_disk(cloud, _PHOTOS, whose).assert_nothing_lost_or_doubled()


def test_a_postgres_that_panics_for_want_of_room_is_waited_for(cloud: FaultyCloud) -> None:
    if cloud.database_disk is None:
        not_run("Faults: full disks", HOW_TO_GET_A_DISK)
    scenarios.no_room_for_the_log(cloud, _PHOTOS).assert_nothing_lost_or_doubled()


def test_an_object_that_is_damaged_on_its_way_is_never_taken_for_the_photo(cloud: FaultyCloud) -> None:
    scenarios.damaged_objects(cloud, _PHOTOS, seed=1).assert_nothing_lost_or_doubled()


def test_all_of_it_together_costs_nothing(cloud: FaultyCloud) -> None:
    scenarios.everything(cloud, _PHOTOS, seed=1).assert_nothing_lost_or_doubled()
