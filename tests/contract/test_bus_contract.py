"""What Trombi relies on of Pub/Sub, held against the small broker and against Google's own emulator."""

from __future__ import annotations

import itertools
import queue
from collections.abc import Iterator

import grpc
import pytest
from google.api_core.exceptions import (
    AlreadyExists,
    GoogleAPICallError,
    InvalidArgument,
    MethodNotImplemented,
    NotFound,
)
from google.protobuf.field_mask_pb2 import FieldMask
from google.pubsub_v1 import types

from local.bus.setup import create_subscriptions, create_topics
from shared.bus import load_bus
from tests.contract.bus_endpoint import Endpoint, Push, accept
from tests.contract.bus_implementations import GOOGLE, SMALL, Implementation, RunningBus, running


@pytest.fixture(scope="module", params=[SMALL, GOOGLE], ids=lambda implementation: implementation.name)
def bus(request: pytest.FixtureRequest) -> Iterator[RunningBus]:
    """Each bus in turn, running."""
    implementation: Implementation = request.param
    with running(implementation) as bus:
        yield bus


@pytest.fixture(scope="module")
def small() -> Iterator[RunningBus]:
    """The small broker, running, for what only it promises."""
    with running(SMALL) as bus:
        yield bus


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """A server that accepts every push unless told otherwise."""
    with Endpoint() as endpoint:
        yield endpoint


class Script:
    """Answers with the given statuses in turn, then accepts."""

    def __init__(self, *statuses: int | None) -> None:
        self._left: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        for status in statuses:
            self._left.put(status)

    def __call__(self, push: Push) -> int | None:
        try:
            return self._left.get_nowait()
        except queue.Empty:
            return accept(push)


def test_a_message_arrives_with_its_data_and_attributes(bus: RunningBus, endpoint: Endpoint) -> None:
    topic = bus.topic()
    subscription = bus.subscribe(topic, endpoint.url)
    content = "é\0\n".encode() + bytes(range(256))
    (message_id,) = bus.publish(topic, content, schema="trombi.Tick.v1", accent="é")
    push = endpoint.next()
    assert push.path == "/pushed"
    assert push.content_type.startswith("application/json")
    assert push.data == content
    assert push.attributes == {"schema": "trombi.Tick.v1", "accent": "é"}
    assert push.envelope["subscription"] == subscription
    assert push.message["messageId"] == push.message["message_id"] == message_id
    assert push.message["publishTime"] == push.message["publish_time"]
    assert push.message["publishTime"].endswith("Z")


def test_a_message_may_have_attributes_only(bus: RunningBus, endpoint: Endpoint) -> None:
    topic = bus.topic()
    bus.subscribe(topic, endpoint.url)
    bus.publish(topic, b"", kind="bare")
    push = endpoint.next()
    assert push.data == b""
    assert push.attributes == {"kind": "bare"}


def test_every_subscription_of_a_topic_gets_its_own_delivery(bus: RunningBus, endpoint: Endpoint) -> None:
    topic = bus.topic()
    with Endpoint(Script(500)) as other:
        bus.subscribe(topic, endpoint.url)
        bus.subscribe(topic, other.url)
        (message_id,) = bus.publish(topic, b"both")
        assert endpoint.next().message["messageId"] == message_id
        assert [other.next().message["messageId"] for _ in range(2)] == [message_id] * 2


def test_a_refused_push_is_repeated_with_growing_pauses_until_it_is_accepted(
    bus: RunningBus, endpoint: Endpoint
) -> None:
    endpoint.answer = Script(500, 503, 429)
    topic = bus.topic()
    bus.subscribe(topic, endpoint.url, backoff=(0.5, 10))
    bus.publish(topic, b"again")
    pushes = [endpoint.next() for _ in range(4)]
    assert {push.message["messageId"] for push in pushes} == {pushes[0].message["messageId"]}
    pauses = [after.at - before.at for before, after in itertools.pairwise(pushes)]
    # The emulator polls and adds its own: 1.0, 2.9 and 3.0 s measured, against the broker's 0.5, 1 and 2.
    assert min(pauses) >= 0.45
    assert pauses[2] > 1.5 * pauses[0]


def test_a_push_is_repeated_until_there_is_a_server(bus: RunningBus, endpoint: Endpoint) -> None:
    with Endpoint() as gone:
        port = gone.port
    topic = bus.topic()
    bus.subscribe(topic, f"http://127.0.0.1:{port}/pushed")
    bus.subscribe(topic, endpoint.url)
    bus.publish(topic, b"patience")
    endpoint.next()
    with Endpoint(port=port) as late:
        assert late.next().data == b"patience"


def test_what_has_the_same_ordering_key_waits_for_what_came_before(bus: RunningBus, endpoint: Endpoint) -> None:
    endpoint.answer = Script(500, 500)
    topic = bus.topic()
    bus.subscribe(topic, endpoint.url, ordered=True)
    bus.publish(topic, b"first", b"second", b"third", ordering_key="one key")
    pushes = endpoint.until(lambda push: push.data == b"third")
    assert [push.data for push in pushes] == [b"first"] * 3 + [b"second", b"third"]
    told = {push.message.get("orderingKey") for push in pushes}
    assert told == ({"one key"} if bus.implementation.tells_ordering_key else {None})


def test_a_message_that_is_always_refused_holds_up_no_other(bus: RunningBus, endpoint: Endpoint) -> None:
    endpoint.answer = lambda push: 500 if push.data == b"poison" else 204
    topic = bus.topic()
    bus.subscribe(topic, endpoint.url)
    contents = [b"poison", *(b"%d" % number for number in range(20))]
    bus.publish(topic, *contents)
    missing = set(contents)
    while missing:
        missing.discard(endpoint.next().data)


def test_a_message_refused_too_often_goes_to_the_dead_letter_topic(bus: RunningBus, endpoint: Endpoint) -> None:
    endpoint.answer = lambda _: 500
    topic, dead_letter_topic = bus.topic(), bus.topic()
    with Endpoint() as graveyard:
        subscription = bus.subscribe(topic, endpoint.url, dead_letter_topic=dead_letter_topic)
        bus.subscribe(dead_letter_topic, graveyard.url)
        bus.publish(topic, b"unloved", schema="kept")
        attempts = [endpoint.next() for _ in range(5)]
        dead = graveyard.next()
    told = [push.envelope.get("deliveryAttempt") for push in attempts]
    assert told == ([1, 2, 3, 4, 5] if bus.implementation.tells_delivery_attempt else [None] * 5)
    assert endpoint.pushes.empty()
    assert dead.data == b"unloved"
    source = {
        name.removeprefix("CloudPubSubDeadLetterSource"): value
        for name, value in dead.attributes.items()
        if name.startswith("CloudPubSubDeadLetterSource")
    }
    assert {name: value for name, value in dead.attributes.items() if not name.startswith("CloudPubSub")} == {
        "schema": "kept"
    }
    assert source["DeliveryCount"] == "5"
    assert source["Subscription"] == subscription.rsplit("/", 1)[-1]
    assert source["SubscriptionProject"] == "contract"
    assert source["TopicPublishTime"]


@pytest.mark.parametrize("status", [102, 200, 201, 202, 203, 204, 301, 400, 404, 429, 500, 503])
def test_which_answers_acknowledge(bus: RunningBus, endpoint: Endpoint, status: int) -> None:
    # In order, the second message tells whether the first was taken as delivered or pushed again.
    endpoint.answer = Script(status)
    topic = bus.topic()
    bus.subscribe(topic, endpoint.url, ordered=True)
    bus.publish(topic, b"first", b"second", ordering_key="key")
    pushes = endpoint.until(lambda push: push.data == b"second")
    acknowledged = status in bus.implementation.acknowledging
    assert [push.data for push in pushes] == [b"first"] * (1 if acknowledged else 2) + [b"second"]


def test_a_push_without_an_answer_is_repeated_after_the_ack_deadline(bus: RunningBus, endpoint: Endpoint) -> None:
    endpoint.answer = Script(None)
    topic = bus.topic()
    bus.subscribe(topic, endpoint.url, ack_deadline_seconds=10)
    bus.publish(topic, b"hello?")
    first, second = endpoint.next(), endpoint.next()
    assert first.message["messageId"] == second.message["messageId"]
    assert 9 < second.at - first.at < 25


def test_a_changed_endpoint_gets_what_the_old_one_refused(bus: RunningBus, endpoint: Endpoint) -> None:
    endpoint.answer = lambda _: 503
    topic = bus.topic()
    subscription = bus.subscribe(topic, endpoint.url)
    bus.publish(topic, b"moved")
    endpoint.next()
    with Endpoint() as new:
        config = types.PushConfig(push_endpoint=new.url)
        bus.client.subscriber.modify_push_config(subscription=subscription, push_config=config)
        assert new.next().data == b"moved"
        with Endpoint() as newest:
            bus.client.subscriber.update_subscription(
                subscription=types.Subscription(
                    name=subscription, push_config=types.PushConfig(push_endpoint=newest.url)
                ),
                update_mask=FieldMask(paths=["push_config"]),
            )
            bus.publish(topic, b"moved again")
            assert newest.next().data == b"moved again"


def test_names_are_taken_once_and_must_exist(bus: RunningBus, endpoint: Endpoint) -> None:
    topic = bus.topic()
    path = bus.client.topic_path(topic)
    with pytest.raises(AlreadyExists):
        bus.client.publisher.create_topic(name=path)
    assert bus.client.publisher.get_topic(topic=path).name == path
    assert path in [found.name for found in bus.client.publisher.list_topics(project="projects/contract")]
    with pytest.raises(NotFound):
        bus.publish("never-made", b"lost")
    with pytest.raises(NotFound):
        bus.subscribe("never-made", endpoint.url)
    with pytest.raises(InvalidArgument):
        bus.client.publisher.create_topic(name=bus.client.topic_path("ab"))
    with pytest.raises(InvalidArgument):
        bus.publish(topic, b"")


def test_a_deleted_subscription_gets_nothing_more(bus: RunningBus, endpoint: Endpoint) -> None:
    topic = bus.topic()
    endpoint.answer = lambda _: 500
    subscription = bus.subscribe(topic, endpoint.url)
    bus.publish(topic, b"refused")
    endpoint.next()
    bus.client.subscriber.delete_subscription(subscription=subscription)
    with pytest.raises(NotFound):
        bus.client.subscriber.get_subscription(subscription=subscription)
    listed = bus.client.subscriber.list_subscriptions(project="projects/contract")
    assert subscription not in [found.name for found in listed]


def test_the_declared_bus_is_made_and_brought_up_to_date(bus: RunningBus) -> None:
    declaration = load_bus()
    urls = {name: f"http://127.0.0.1:1/{name}" for name in ("detect", "cluster", "callback")}
    create_topics(bus.client, declaration)
    create_subscriptions(bus.client, declaration, {name: f"{url}/old" for name, url in urls.items()})
    for _ in range(2):
        create_topics(bus.client, declaration)
        create_subscriptions(bus.client, declaration, urls)
    for declared in declaration.subscriptions():
        path = bus.client.subscription_path(declared.name)
        made = bus.client.subscriber.get_subscription(subscription=path)
        assert made.topic == bus.client.topic_path(declared.topic)
        assert made.push_config.push_endpoint == urls[declared.function] + declared.path
        assert made.ack_deadline_seconds == declared.ack_deadline_seconds
        assert made.retry_policy.minimum_backoff == declared.retry.minimum
        assert made.retry_policy.maximum_backoff == declared.retry.maximum
        if declared.dead_letter_topic is None:
            assert not made.dead_letter_policy.dead_letter_topic
        else:
            dead_letter_topic = bus.client.topic_path(declared.dead_letter_topic)
            assert made.dead_letter_policy.dead_letter_topic == dead_letter_topic
            assert made.dead_letter_policy.max_delivery_attempts == declared.max_delivery_attempts


def test_what_a_killed_bus_still_had_to_deliver(bus: RunningBus, endpoint: Endpoint) -> None:
    endpoint.answer = lambda _: 503
    topic = bus.topic()
    bus.subscribe(topic, endpoint.url)
    contents = {b"%d" % number for number in range(40)}
    bus.publish(topic, *contents)
    endpoint.next()
    if not bus.implementation.survives_being_killed:
        bus.kill()
        with pytest.raises(NotFound):
            bus.publish(topic, b"it forgot its topics")
        return
    bus.kill()
    endpoint.answer = accept
    missing = set(contents)
    while missing:
        missing.discard(endpoint.next().data)


def test_the_small_broker_loses_nothing_that_it_took_while_being_killed_again_and_again(
    small: RunningBus, endpoint: Endpoint
) -> None:
    topic = small.topic()
    small.subscribe(topic, endpoint.url)
    taken: set[bytes] = set()
    for round_number in range(3):
        for number in range(20):
            content = b"%d/%d" % (round_number, number)
            small.publish(topic, content)
            taken.add(content)
        small.kill()
    while taken:
        taken.discard(endpoint.next().data)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"ack_deadline_seconds": 9}, "ack_deadline_seconds"),
        ({"ack_deadline_seconds": 601}, "ack_deadline_seconds"),
        ({"filter": 'attributes.a = "b"'}, "filters"),
        ({"enable_exactly_once_delivery": True}, "exactly once"),
        ({"name": "projects/contract/subscriptions/1st"}, "not a subscription name"),
        ({"dead_letter_policy": types.DeadLetterPolicy(max_delivery_attempts=4)}, "max_delivery_attempts"),
        (
            {"push_config": types.PushConfig(no_wrapper=types.PushConfig.NoWrapper(write_metadata=True))},
            "wrapper",
        ),
        (
            {"retry_policy": types.RetryPolicy(minimum_backoff={"seconds": 20}, maximum_backoff={"seconds": 10})},
            "minimum_backoff",
        ),
    ],
)
def test_the_small_broker_refuses_what_it_would_do_otherwise(
    small: RunningBus, change: dict[str, object], reason: str
) -> None:
    topic = small.topic()
    wanted: dict[str, object] = {
        "name": small.client.subscription_path("refused"),
        "topic": small.client.topic_path(topic),
        "push_config": types.PushConfig(push_endpoint="http://127.0.0.1:1/"),
    }
    with pytest.raises(InvalidArgument, match=reason):
        small.client.subscriber.create_subscription(request=types.Subscription({**wanted, **change}))


def test_the_small_broker_does_not_pretend_to_be_pulled_from(small: RunningBus, endpoint: Endpoint) -> None:
    subscription = small.subscribe(small.topic(), endpoint.url)
    with pytest.raises(MethodNotImplemented) as refusal:
        small.client.subscriber.pull(subscription=subscription, max_messages=1)
    assert isinstance(refusal.value, GoogleAPICallError)
    assert refusal.value.grpc_status_code is grpc.StatusCode.UNIMPLEMENTED
