"""A message that nobody understands ends as a failed job with its error, and is kept whole."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.bus.setup import BusClient
from local.cloud.cloud import Cloud
from shared.bus import Retry, load_bus
from tests.integration.end_to_end.whole_cloud import Event, options, running_cloud, wait_until
from tests.integration.local.small_cloud import state_directory

# The fewest that Pub/Sub allows.
_ATTEMPTS = 5
_TOPICS = [topic.name for topic in load_bus().topics]


@pytest.fixture(scope="module")
def impatient(mini_pack: Path) -> Iterator[Cloud]:
    """A cloud that gives a message up after a few quick attempts."""
    assert mini_pack.is_dir()
    declared = load_bus()
    quick = Retry(minimum_backoff_seconds=0, maximum_backoff_seconds=1)
    dead_letter = declared.dead_letter.model_copy(update={"max_delivery_attempts": _ATTEMPTS, "retry": quick})
    bus = declared.model_copy(update={"retry": quick, "dead_letter": dead_letter})
    with (
        state_directory() as state,
        running_cloud(dataclasses.replace(options(state), bus_declaration=bus)) as started,
    ):
        yield started


def test_a_malformed_message_on_any_topic_ends_as_a_failed_job_and_a_kept_letter(
    impatient: Cloud, photos: dict[str, Path]
) -> None:
    addresses = impatient.addresses
    contents = {topic: f'{{"no message of ours, to {topic}": 1}}'.encode() for topic in _TOPICS}
    with contextlib.closing(BusClient(addresses.pubsub_host, addresses.project)) as client:
        for topic, content in contents.items():
            client.publish(topic, content, {"from": "a test"})

    event = Event.made(addresses, dict(list(photos.items())[:3]))
    wait_until(lambda: len(event.rows("SELECT FROM dead_letters")) >= len(_TOPICS), "a dead letter for every topic")
    letters = event.rows(
        """
        SELECT dead_letters.*, ml_jobs.job_type, ml_jobs.status, ml_jobs.error_code, ml_jobs.error AS job_error
        FROM dead_letters JOIN ml_jobs ON ml_jobs.id = dead_letters.job_id
        """
    )
    assert {letter["topic"] for letter in letters} == set(_TOPICS)
    assert len(letters) == len(_TOPICS)
    for letter in letters:
        assert bytes(letter["data"]) == contents[letter["topic"]]
        assert letter["attributes"]["from"] == "a test"
        assert letter["delivery_attempts"] == _ATTEMPTS
        assert letter["job_type"] == ("cluster" if letter["topic"] == "cluster-requests" else "detect")
        assert (letter["status"], letter["error_code"]) == ("failed", "dead_letter")
        assert letter["job_error"] == letter["error"]
        assert f"given up after {_ATTEMPTS} deliveries" in letter["error"]
        assert (
            "expected a message of schema" in letter["error"] or "not a Cloud Storage notification" in letter["error"]
        )

    event.upload()
    event.wait_until_settled()
    event.assert_each_photo_was_done_once()
