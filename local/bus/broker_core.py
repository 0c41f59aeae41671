"""The small broker's rules: what its requests do, whatever carries them.

Topics and subscriptions live in memory, backed by the journal; every subscription has its pusher.  A request
that Pub/Sub would refuse, or that asks for what this broker does not do, raises :class:`RefusedError`.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
import time
from datetime import UTC, datetime

from google.protobuf import empty_pb2
from google.protobuf.duration_pb2 import Duration
from google.pubsub_v1 import types
from grpc import StatusCode

from local.bus import broker_store
from local.bus.broker_push import Pusher, backoff_limits
from local.bus.broker_store import Delivery, Journal

_TOPIC = re.compile(r"projects/[^/]+/topics/[A-Za-z][\w.~+%-]{2,254}")
_SUBSCRIPTION = re.compile(r"projects/[^/]+/subscriptions/[A-Za-z][\w.~+%-]{2,254}")
_DEFAULT_ACK_DEADLINE_SECONDS = 10
_ACK_DEADLINE_SECONDS = range(10, 601)
_DELIVERY_ATTEMPTS = range(5, 101)
_LONGEST_BACKOFF_SECONDS = 600
_DEFAULT_RETENTION_SECONDS = 7 * 24 * 3600
_DELETED_TOPIC = "_deleted-topic_"
_UPDATABLE = frozenset(
    {
        "ack_deadline_seconds",
        "dead_letter_policy",
        "expiration_policy",
        "message_retention_duration",
        "push_config",
        "retry_policy",
    }
)


class RefusedError(Exception):
    """A request that is not granted, with the gRPC status to answer."""

    def __init__(self, code: StatusCode, reason: str) -> None:
        """Refuse with ``code`` because of ``reason``."""
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Broker:
    """Every request of ``google.pubsub.v1`` that this broker grants, as a method of the same name."""

    def __init__(self, journal: Journal, concurrency: int) -> None:
        """``concurrency`` is the most pushes in flight that one subscription may have."""
        self._journal = journal
        self._concurrency = concurrency
        self._topics: dict[str, types.Topic] = {}
        self._pushers: dict[str, Pusher] = {}

    async def restore(self) -> None:
        """Take up everything where the journal says it was left."""
        for declaration in await self._journal.change(broker_store.declared_topics):
            topic = types.Topic.deserialize(declaration)
            self._topics[topic.name] = topic
        for declaration in await self._journal.change(broker_store.declared_subscriptions):
            subscription = types.Subscription.deserialize(declaration)
            self._pushers[subscription.name] = self._pusher(subscription)
        self._dispatch(await self._journal.change(broker_store.undelivered))

    def close(self) -> None:
        """Break off every push; what was not acknowledged stays in the journal."""
        for pusher in self._pushers.values():
            pusher.close()

    async def create_topic(self, request: types.Topic) -> types.Topic:
        """CreateTopic."""
        if not _TOPIC.fullmatch(request.name):
            raise RefusedError(StatusCode.INVALID_ARGUMENT, f"not a topic name: {request.name!r}")
        if request.name in self._topics:
            raise RefusedError(StatusCode.ALREADY_EXISTS, f"topic exists: {request.name}")
        content = types.Topic.serialize(request)
        self._topics[request.name] = request
        await self._journal.change(lambda db: broker_store.put_topic(db, request.name, content))
        return request

    async def get_topic(self, request: types.GetTopicRequest) -> types.Topic:
        """GetTopic."""
        return self._topic(request.topic)

    async def list_topics(self, request: types.ListTopicsRequest) -> types.ListTopicsResponse:
        """ListTopics, all on one page."""
        topics = [topic for name, topic in self._topics.items() if _is_in(request.project, name)]
        return types.ListTopicsResponse(topics=topics)

    async def delete_topic(self, request: types.DeleteTopicRequest) -> empty_pb2.Empty:
        """DeleteTopic; its subscriptions stay, without a topic."""
        name = self._topic(request.topic).name
        del self._topics[name]
        await self._journal.change(lambda db: broker_store.drop_topic(db, name))
        for pusher in self._pushers.values():
            if pusher.declaration.topic == name:
                pusher.declaration.topic = _DELETED_TOPIC
                await self._store(pusher.declaration)
        return empty_pb2.Empty()

    async def publish(self, request: types.PublishRequest) -> types.PublishResponse:
        """Publish: stored, answered, delivered; the answer means that the messages are on disk."""
        topic = self._topic(request.topic).name
        messages = list(request.messages)
        if not messages or not all(message.data or message.attributes for message in messages):
            raise RefusedError(StatusCode.INVALID_ARGUMENT, "a message has neither data nor attributes")
        contents = [types.PubsubMessage.serialize(message) for message in messages]
        # A publisher that dies cancels its request: what is stored by then is delivered all the same.
        message_ids = await asyncio.shield(asyncio.ensure_future(self._take(topic, contents)))
        return types.PublishResponse(message_ids=[str(message_id) for message_id in message_ids])

    async def _take(self, topic: str, contents: list[bytes]) -> list[int]:
        """Store messages, have them delivered, and return their ids."""
        now = time.time()

        def store(db: sqlite3.Connection) -> list[tuple[int, list[Delivery]]]:
            return [broker_store.put_message(db, topic, content, now) for content in contents]

        stored = await self._journal.change(store)
        for _, deliveries in stored:
            self._dispatch(deliveries)
        return [message_id for message_id, _ in stored]

    async def create_subscription(self, request: types.Subscription) -> types.Subscription:
        """CreateSubscription."""
        if request.name in self._pushers:
            raise RefusedError(StatusCode.ALREADY_EXISTS, f"subscription exists: {request.name}")
        self._topic(request.topic)
        return await self._put(request)

    async def get_subscription(self, request: types.GetSubscriptionRequest) -> types.Subscription:
        """GetSubscription."""
        return self._subscription(request.subscription)

    async def update_subscription(self, request: types.UpdateSubscriptionRequest) -> types.Subscription:
        """UpdateSubscription; the mask names whole top-level fields."""
        changed = _copy(self._subscription(request.subscription.name))
        paths = set(request.update_mask.paths)
        if not paths or paths - _UPDATABLE:
            refused = ", ".join(sorted(paths - _UPDATABLE)) or "an empty mask"
            raise RefusedError(StatusCode.INVALID_ARGUMENT, f"cannot be updated: {refused}")
        for path in paths:
            if path in request.subscription:
                setattr(changed, path, getattr(request.subscription, path))
            else:
                delattr(changed, path)
        return await self._put(changed)

    async def modify_push_config(self, request: types.ModifyPushConfigRequest) -> empty_pb2.Empty:
        """ModifyPushConfig; an empty one stops the pushes until there is another."""
        changed = _copy(self._subscription(request.subscription))
        changed.push_config = request.push_config
        await self._put(changed)
        return empty_pb2.Empty()

    async def delete_subscription(self, request: types.DeleteSubscriptionRequest) -> empty_pb2.Empty:
        """DeleteSubscription, and what it still had to deliver."""
        name = self._subscription(request.subscription).name
        self._pushers.pop(name).close()
        await self._journal.change(lambda db: broker_store.drop_subscription(db, name))
        return empty_pb2.Empty()

    async def list_subscriptions(self, request: types.ListSubscriptionsRequest) -> types.ListSubscriptionsResponse:
        """ListSubscriptions, all on one page."""
        pushers = self._pushers.items()
        found = [pusher.declaration for name, pusher in pushers if _is_in(request.project, name)]
        return types.ListSubscriptionsResponse(subscriptions=found)

    def _topic(self, name: str) -> types.Topic:
        if name not in self._topics:
            raise RefusedError(StatusCode.NOT_FOUND, f"no such topic: {name}")
        return self._topics[name]

    def _subscription(self, name: str) -> types.Subscription:
        if name not in self._pushers:
            raise RefusedError(StatusCode.NOT_FOUND, f"no such subscription: {name}")
        return self._pushers[name].declaration

    def _pusher(self, subscription: types.Subscription) -> Pusher:
        return Pusher(subscription, self._journal, self._dead_letter, self._concurrency)

    def _dispatch(self, deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            if delivery.subscription in self._pushers:
                self._pushers[delivery.subscription].add(delivery)

    async def _put(self, subscription: types.Subscription) -> types.Subscription:
        subscription.ack_deadline_seconds = subscription.ack_deadline_seconds or _DEFAULT_ACK_DEADLINE_SECONDS
        if "message_retention_duration" not in subscription:
            subscription.message_retention_duration = Duration(seconds=_DEFAULT_RETENTION_SECONDS)
        problem = _problem(subscription)
        if problem:
            raise RefusedError(StatusCode.INVALID_ARGUMENT, problem)
        if subscription.name not in self._pushers:
            self._pushers[subscription.name] = self._pusher(subscription)
        await self._store(subscription)
        self._pushers[subscription.name].declare(subscription)
        return subscription

    async def _store(self, subscription: types.Subscription) -> None:
        content = types.Subscription.serialize(subscription)
        name, topic = subscription.name, subscription.topic
        await self._journal.change(lambda db: broker_store.put_subscription(db, name, topic, content))

    async def _dead_letter(self, subscription: types.Subscription, delivery: Delivery) -> bool:
        """Move a delivery to the dead-letter topic in one transaction; False if there is no such topic."""
        topic = subscription.dead_letter_policy.dead_letter_topic
        if topic not in self._topics:
            return False
        _, project, _, name = subscription.name.split("/")
        message = types.PubsubMessage.deserialize(delivery.content)
        published = datetime.fromtimestamp(delivery.published_at, UTC)
        message.attributes.update(
            {
                "CloudPubSubDeadLetterSourceDeliveryCount": str(delivery.attempts),
                "CloudPubSubDeadLetterSourceSubscription": name,
                "CloudPubSubDeadLetterSourceSubscriptionProject": project,
                "CloudPubSubDeadLetterSourceTopicPublishTime": published.isoformat(timespec="milliseconds"),
            }
        )
        content = types.PubsubMessage.serialize(message)

        def move(db: sqlite3.Connection) -> list[Delivery]:
            _, deliveries = broker_store.put_message(db, topic, content, time.time())
            broker_store.drop_delivery(db, delivery)
            return deliveries

        self._dispatch(await self._journal.change(move))
        return True


def _problem(subscription: types.Subscription) -> str | None:
    """Say why Pub/Sub would refuse a subscription, or which feature of it this broker lacks; None if it is fine."""
    attempts = subscription.dead_letter_policy.max_delivery_attempts
    shortest, longest = backoff_limits(subscription)
    refusals = {
        f"not a subscription name: {subscription.name!r}": not _SUBSCRIPTION.fullmatch(subscription.name),
        "ack_deadline_seconds must be 10 to 600": (subscription.ack_deadline_seconds not in _ACK_DEADLINE_SECONDS),
        "max_delivery_attempts must be 5 to 100": bool(attempts) and attempts not in _DELIVERY_ATTEMPTS,
        "minimum_backoff must not exceed maximum_backoff, nor that 600 s": (
            not 0 <= shortest <= longest <= _LONGEST_BACKOFF_SECONDS
        ),
        "the small broker has no filters": bool(subscription.filter),
        "the small broker pushes with the wrapper only": "no_wrapper" in subscription.push_config,
        "the small broker does not deliver exactly once": subscription.enable_exactly_once_delivery,
    }
    return next((refusal for refusal, applies in refusals.items() if applies), None)


def _copy(subscription: types.Subscription) -> types.Subscription:
    copied: types.Subscription = types.Subscription.deserialize(types.Subscription.serialize(subscription))
    return copied


def _is_in(project: str, name: str) -> bool:
    return name.startswith(f"{project}/")
