"""The small broker with dying publishers, bad endpoints and its own death: what it has taken is delivered."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from unittest.mock import patch

from google.protobuf.duration_pb2 import Duration
from google.pubsub_v1 import types
from hypothesis import given, settings
from hypothesis import strategies as st

from local.bus.broker_core import Broker
from local.bus.broker_store import Journal, undelivered
from tests.examples import examples

_TOPIC = "projects/p/topics/topic"
_SUBSCRIPTION = types.Subscription(
    name="projects/p/subscriptions/subscription",
    topic=_TOPIC,
    push_config=types.PushConfig(push_endpoint="http://127.0.0.1:9/"),
    retry_policy=types.RetryPolicy(minimum_backoff=Duration(), maximum_backoff=Duration()),
)
_PATIENCE_SECONDS = 20


class Endpoint:
    """Answers as it likes, but takes each message in the end; counts what it handled."""

    def __init__(self, luck: Random) -> None:
        self._luck = luck
        self._refused: Counter[str] = Counter()
        self.handled: Counter[str] = Counter()
        self.acknowledged: Counter[str] = Counter()

    async def post(self, _url: str, body: bytes) -> int | None:
        name = json.loads(body)["message"]["attributes"]["name"]
        for _ in range(self._luck.randrange(3)):
            await asyncio.sleep(0)
        self.handled[name] += 1
        # A status that refuses, a connection that breaks before or after the work: all the same to the broker.
        if self._refused[name] < 3 and self._luck.random() < 0.4:
            self._refused[name] += 1
            return self._luck.choice([None, 429, 500, 503])
        self.acknowledged[name] += 1
        return 204


async def _publish(broker: Broker, name: str, cancelled_after: int | None) -> bool:
    """Publish one message; its publisher dies after so many steps of the loop.  True: it was answered."""
    message = types.PubsubMessage(attributes={"name": name})
    task = asyncio.ensure_future(broker.publish(types.PublishRequest(topic=_TOPIC, messages=[message])))
    if cancelled_after is not None:
        for _ in range(cancelled_after):
            await asyncio.sleep(0)
        task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return False
    return True


async def _left(journal: Journal) -> int:
    return len(await journal.change(undelivered))


async def _until_nothing_is_left(journal: Journal) -> None:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while await _left(journal):  # noqa: ASYNC110 - the broker tells nobody that it is done
            await asyncio.sleep(0)


async def _live(folder: Path, endpoint: Endpoint, publishers: Sequence[int | None], deaths: Sequence[int]) -> set[str]:
    """The broker's whole life, with its deaths after so many messages; returns what it said that it had taken."""
    answered: set[str] = set()
    number = 0
    for lifetime in [*deaths, len(publishers)]:
        journal = Journal(folder / "journal")
        broker = Broker(journal, concurrency=4)
        await broker.restore()
        if not number:
            await broker.create_topic(types.Topic(name=_TOPIC))
            await broker.create_subscription(_SUBSCRIPTION)
        for cancelled_after in publishers[number : number + lifetime]:
            if await _publish(broker, str(number), cancelled_after):
                answered.add(str(number))
            number += 1
        if number >= len(publishers):
            await _until_nothing_is_left(journal)
        broker.close()
        journal.close()
    return answered


@settings(max_examples=examples(15), deadline=None)
@given(
    seed=st.integers(0, 2**32),
    publishers=st.lists(st.none() | st.integers(0, 6), min_size=1, max_size=12),
    deaths=st.lists(st.integers(1, 6), max_size=3),
)
def test_what_the_broker_has_taken_is_delivered_whoever_dies(
    seed: int, publishers: list[int | None], deaths: list[int]
) -> None:
    endpoint = Endpoint(Random(seed))
    with tempfile.TemporaryDirectory() as folder, patch("local.bus.broker_push.post", endpoint.post):
        answered = asyncio.run(_live(Path(folder), endpoint, publishers, deaths))
    assert set(endpoint.acknowledged) >= answered


def test_a_message_whose_publisher_dies_just_after_it_was_stored_is_delivered(tmp_path: Path) -> None:
    endpoint = Endpoint(Random(0))

    async def scenario() -> int:
        journal = Journal(tmp_path / "journal")
        broker = Broker(journal, concurrency=4)
        await broker.create_topic(types.Topic(name=_TOPIC))
        await broker.create_subscription(_SUBSCRIPTION)
        # Cancelled while the journal writes: what is written then is no longer the publisher's business.
        assert not await _publish(broker, "orphan", cancelled_after=1)
        await _until_nothing_is_left(journal)
        broker.close()
        journal.close()
        return endpoint.acknowledged["orphan"]

    with patch("local.bus.broker_push.post", endpoint.post):
        assert asyncio.run(scenario()) == 1
