"""Publish messages to Pub/Sub."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Protocol

from google.api_core.exceptions import GoogleAPIError
from google.cloud import pubsub_v1

from shared.errors import Retryable

_PUBLISH_TIMEOUT_SECONDS = 20.0


class Publisher(Protocol):
    """Publishes messages to the bus."""

    def publish(self, topic: str, data: bytes, attributes: Mapping[str, str]) -> None:
        """Publish a message, and return once the bus has stored it.

        Raises:
            Retryable: the bus did not accept the message.
        """
        ...


class PubSubPublisher:
    """Google Cloud Pub/Sub, or an emulator that ``PUBSUB_EMULATOR_HOST`` names."""

    def __init__(self, project: str) -> None:
        self._project = project

    @cached_property
    def _client(self) -> pubsub_v1.PublisherClient:
        # Each publish waits for its result, so delaying messages to build batches would only add latency.
        return pubsub_v1.PublisherClient(batch_settings=pubsub_v1.types.BatchSettings(max_messages=1, max_latency=0))

    def publish(self, topic: str, data: bytes, attributes: Mapping[str, str]) -> None:
        """See `Publisher`."""
        path = f"projects/{self._project}/topics/{topic}"
        try:
            self._client.publish(path, data, **attributes).result(timeout=_PUBLISH_TIMEOUT_SECONDS)
        except (GoogleAPIError, TimeoutError) as error:
            message = f"topic {topic} did not accept the message ({type(error).__name__})"
            raise Retryable(message) from error
