"""Makes a bus what ``shared/bus.json`` declares: topics, and push subscriptions to the functions.

Idempotent: what exists is compared and only what differs is changed.  It uses the API of the real Pub/Sub.
"""

from __future__ import annotations

from collections.abc import Mapping

import grpc
from google.api_core.exceptions import AlreadyExists, NotFound
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.pubsub_v1 import PublisherClient, SubscriberClient, types
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from shared.bus import Bus, Subscription

_SECONDS = 10.0
_COMPARED = (
    "push_config",
    "ack_deadline_seconds",
    "retry_policy",
    "dead_letter_policy",
    "message_retention_duration",
    "expiration_policy",
)


class BusClient:
    """The two API clients of an emulated bus at ``host`` (``127.0.0.1:PORT``), for one project.

    To be closed.  Not meant for the real Pub/Sub, which cannot push to this machine.
    """

    def __init__(self, host: str, project: str) -> None:
        """Connect when first used."""
        # Loopback is never behind a proxy, but gRPC would ask the environment's for it.
        self._channel = grpc.insecure_channel(host, options=[("grpc.enable_http_proxy", 0)])
        self.project = project
        self.publisher = PublisherClient(transport=PublisherGrpcTransport(channel=self._channel))
        self.subscriber = SubscriberClient(transport=SubscriberGrpcTransport(channel=self._channel))

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def topic_path(self, name: str) -> str:
        """Return the full name of a topic."""
        return f"projects/{self.project}/topics/{name}"

    def subscription_path(self, name: str) -> str:
        """Return the full name of a subscription."""
        return f"projects/{self.project}/subscriptions/{name}"

    def publish(self, topic: str, data: bytes, attributes: Mapping[str, str]) -> str:
        """Publish one message at once and return its id.

        Raises:
            google.api_core.exceptions.GoogleAPICallError: the bus is away or there is no such topic.

        """
        message = types.PubsubMessage(data=data, attributes=dict(attributes))
        path = self.topic_path(topic)
        answer = self.publisher.publish(topic=path, messages=[message], timeout=_SECONDS, retry=None)
        return str(answer.message_ids[0])


def create_topics(client: BusClient, bus: Bus) -> None:
    """Create the declared topics, dead-letter topics included, that do not exist yet."""
    for name in bus.topic_names():
        try:
            client.publisher.create_topic(name=client.topic_path(name), timeout=_SECONDS)
        except AlreadyExists:
            continue


def create_subscriptions(client: BusClient, bus: Bus, function_urls: Mapping[str, str]) -> None:
    """Create the declared subscriptions, or change those that differ from the declaration.

    Args:
        client: the bus.
        bus: the declaration; its topics exist already.
        function_urls: the base address of every function that runs, without a slash at the end.
            Subscriptions of other functions are left out.

    """
    for declared in bus.subscriptions():
        if declared.function in function_urls:
            url = function_urls[declared.function] + declared.path
            _put(client, _resolve(client, bus, declared, url))


def _resolve(client: BusClient, bus: Bus, declared: Subscription, url: str) -> types.Subscription:
    resolved = types.Subscription(
        name=client.subscription_path(declared.name),
        topic=client.topic_path(declared.topic),
        push_config=types.PushConfig(push_endpoint=url),
        ack_deadline_seconds=declared.ack_deadline_seconds,
        retry_policy=types.RetryPolicy(minimum_backoff=declared.retry.minimum, maximum_backoff=declared.retry.maximum),
        message_retention_duration=Duration(seconds=bus.message_retention_seconds),
        # Present but empty: the subscription never expires.
        expiration_policy=types.ExpirationPolicy(),
    )
    if declared.dead_letter_topic is not None:
        resolved.dead_letter_policy = types.DeadLetterPolicy(
            dead_letter_topic=client.topic_path(declared.dead_letter_topic),
            max_delivery_attempts=declared.max_delivery_attempts,
        )
    return resolved


def _put(client: BusClient, wanted: types.Subscription) -> None:
    try:
        found = client.subscriber.get_subscription(subscription=wanted.name, timeout=_SECONDS)
    except NotFound:
        client.subscriber.create_subscription(request=wanted, timeout=_SECONDS)
        return
    if found.topic != wanted.topic:
        # A subscription cannot move to another topic.
        client.subscriber.delete_subscription(subscription=wanted.name, timeout=_SECONDS)
        client.subscriber.create_subscription(request=wanted, timeout=_SECONDS)
        return
    different = [name for name in _COMPARED if getattr(found, name) != getattr(wanted, name)]
    if different:
        client.subscriber.update_subscription(
            subscription=wanted, update_mask=FieldMask(paths=different), timeout=_SECONDS
        )
