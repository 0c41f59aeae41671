"""The declaration of topics, subscriptions, retries and dead letters, read from ``bus.json``.

The emulated cloud and Terraform both create what this file declares, so that what developers run and what operators
deploy cannot differ.
"""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

FunctionName = Literal["detect", "cluster", "callback", "admin"]


class _Declared(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Retry(_Declared):
    """Exponential backoff between two deliveries of one message, in seconds."""

    minimum_backoff_seconds: int
    maximum_backoff_seconds: int

    @property
    def minimum(self) -> timedelta:
        """The wait before the second delivery."""
        return timedelta(seconds=self.minimum_backoff_seconds)

    @property
    def maximum(self) -> timedelta:
        """The longest wait between two deliveries."""
        return timedelta(seconds=self.maximum_backoff_seconds)


class PushTarget(_Declared):
    """A push subscription: messages are POSTed to ``path`` of ``function``."""

    name: str
    function: FunctionName
    path: str
    ack_deadline_seconds: int


class Topic(_Declared):
    """A topic and the subscriptions it is pushed to."""

    name: str
    subscriptions: tuple[PushTarget, ...]


class DeadLetterTarget(_Declared):
    """The subscription that every dead-letter topic gets (without one, dead letters are lost)."""

    name_suffix: str
    function: FunctionName
    path_prefix: str
    ack_deadline_seconds: int


class DeadLetter(_Declared):
    """When a message moves to its topic's dead-letter topic: after ``max_delivery_attempts`` failed deliveries."""

    topic_suffix: str
    max_delivery_attempts: int
    subscription: DeadLetterTarget
    retry: Retry


class Subscription(_Declared):
    """A subscription to create, with every field resolved.

    ``dead_letter_topic`` is None for subscriptions on dead-letter topics, which retry as long as the message is
    retained.
    """

    name: str
    topic: str
    function: FunctionName
    path: str
    ack_deadline_seconds: int
    retry: Retry
    dead_letter_topic: str | None
    max_delivery_attempts: int | None


class Bus(_Declared):
    """The whole declaration."""

    topics: tuple[Topic, ...]
    retry: Retry
    dead_letter: DeadLetter
    message_retention_seconds: int

    def topic_names(self) -> tuple[str, ...]:
        """Return every topic to create: the declared ones, then their dead-letter topics."""
        names = tuple(topic.name for topic in self.topics)
        return names + tuple(self.dead_letter_topic(name) for name in names)

    def dead_letter_topic(self, topic: str) -> str:
        """Return the dead-letter topic of ``topic``."""
        return topic + self.dead_letter.topic_suffix

    def subscriptions(self) -> tuple[Subscription, ...]:
        """Return every subscription to create, including those on dead-letter topics."""
        live = [
            Subscription(
                name=target.name,
                topic=topic.name,
                function=target.function,
                path=target.path,
                ack_deadline_seconds=target.ack_deadline_seconds,
                retry=self.retry,
                dead_letter_topic=self.dead_letter_topic(topic.name),
                max_delivery_attempts=self.dead_letter.max_delivery_attempts,
            )
            for topic in self.topics
            for target in topic.subscriptions
        ]
        target = self.dead_letter.subscription
        dead = [
            Subscription(
                name=topic.name + target.name_suffix,
                topic=self.dead_letter_topic(topic.name),
                function=target.function,
                path=target.path_prefix + topic.name,
                ack_deadline_seconds=target.ack_deadline_seconds,
                retry=self.dead_letter.retry,
                dead_letter_topic=None,
                max_delivery_attempts=None,
            )
            for topic in self.topics
        ]
        return (*live, *dead)


@cache
def load_bus() -> Bus:
    """Read the declaration in ``bus.json`` beside this module."""
    return Bus.model_validate_json(Path(__file__).with_name("bus.json").read_text(encoding="utf-8"))
