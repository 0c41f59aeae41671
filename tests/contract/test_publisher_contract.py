"""One suite for every Publisher: the stand-in that tests use, and the real adapter before a bus."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import uuid4

import pytest

from shared.contracts import DetectRequested, encode
from shared.errors import Retryable
from shared.publish import Publisher, PubSubPublisher
from tests.contract.bus_endpoint import Endpoint
from tests.contract.bus_implementations import GOOGLE, PROJECT, SMALL, Implementation, RunningBus, running
from tests.fakes import RecordingPublisher

Received = tuple[bytes, dict[str, str]]


@dataclass
class Side:
    """A publisher, a topic that exists, and what arrives there."""

    publisher: Publisher
    topic: str
    received: Callable[[], Received]


@pytest.fixture(scope="module")
def small_bus() -> Iterator[RunningBus]:
    """The small broker."""
    with running(SMALL) as bus:
        yield bus


@pytest.fixture(scope="module")
def google_bus() -> Iterator[RunningBus]:
    """Google's emulator, where it is installed."""
    with running(GOOGLE) as bus:
        yield bus


def fake() -> Side:
    publisher = RecordingPublisher()

    def received() -> Received:
        message = publisher.messages.pop(0)
        return message.data, dict(message.attributes)

    return Side(publisher, "detect-requests", received)


def implementation(name: str) -> Implementation:
    return SMALL if name == "small_bus" else GOOGLE


@pytest.fixture(params=["fake", "small_bus", "google_bus"])
def side(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Side]:
    """A publisher and what it publishes to."""
    if request.param == "fake":
        yield fake()
        return
    bus: RunningBus = request.getfixturevalue(request.param)
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", bus.host)
    topic = bus.topic()
    with Endpoint() as endpoint:
        bus.subscribe(topic, endpoint.url)

        def received() -> Received:
            push = endpoint.next()
            return push.data, push.attributes

        publisher = PubSubPublisher(PROJECT)
        yield Side(publisher, topic, received)
        publisher._client.stop()


def test_what_is_published_arrives_byte_for_byte(side: Side) -> None:
    message = DetectRequested(job_id=uuid4(), run=1, event_id=uuid4(), media_id=uuid4())
    side.publisher.publish(side.topic, encode(message.data()), message.attributes())
    data, attributes = side.received()
    assert DetectRequested.parse(data, attributes) == message


@pytest.mark.parametrize("data", [b'{"a":1}', '{"é":"\\u0000"}'.encode(), b"\x00\xff", b"x" * 300_000])
def test_any_bytes_and_attributes_get_through(side: Side, data: bytes) -> None:
    side.publisher.publish(side.topic, data, {"schema": "x", "note": "é 🎉"})
    received, attributes = side.received()
    assert received == data
    assert {key: attributes[key] for key in ("schema", "note")} == {"schema": "x", "note": "é 🎉"}


def test_a_topic_that_is_not_there_is_tried_again(side: Side) -> None:
    with pytest.raises(Retryable, match="topic no-such-topic did not accept the message"):
        side.publisher.publish("no-such-topic", b"{}", {})
    side.publisher.publish(side.topic, b"{}", {"k": "v"})
    assert side.received()[0] == b"{}"


@pytest.mark.parametrize("which", ["fake", "Pub/Sub"])
def test_a_bus_that_is_away_is_tried_again(which: str, monkeypatch: pytest.MonkeyPatch, free_port_host: str) -> None:
    publisher: Publisher
    if which == "fake":
        publisher = RecordingPublisher(away=True)
    else:
        monkeypatch.setattr("shared.publish._PUBLISH_TIMEOUT_SECONDS", 1.0)
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", free_port_host)
        publisher = PubSubPublisher(PROJECT)
    with pytest.raises(Retryable, match="did not accept the message"):
        publisher.publish("detect-requests", b"{}", {})


@pytest.fixture
def free_port_host() -> str:
    """An address where nobody listens."""
    return "127.0.0.1:1"
