"""How the small broker delivers one subscription: HTTP pushes, retries with backoff, order, dead letters."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import random
import ssl
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from google.pubsub_v1.types import PubsubMessage, Subscription

from local.bus import broker_store
from local.bus.broker_store import Delivery, Journal

# https://cloud.google.com/pubsub/docs/push#receive_push
ACKNOWLEDGING_STATUSES = frozenset({102, 200, 201, 202, 204})
# What Pub/Sub's own push backoff does when a subscription has no retry policy.
_DEFAULT_BACKOFF_SECONDS = (0.1, 60.0)
# The defaults of RetryPolicy's two fields.
_DEFAULT_POLICY_SECONDS = (10.0, 600.0)
_JITTER = 0.1
_DEFAULT_DELIVERY_ATTEMPTS = 5
_LARGEST_ANSWER = 1 << 20
# Pub/Sub starts with "a small single-digit window size". Detect has as many places: at its smallest none is refused.
_SMALLEST_WINDOW = 4

DeadLetter = Callable[[Subscription, Delivery], Awaitable[bool]]


def publish_time(published_at: float) -> str:
    """Format a Unix time in seconds as Pub/Sub does: RFC 3339, milliseconds, UTC."""
    moment = datetime.fromtimestamp(published_at, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def envelope(subscription: Subscription, delivery: Delivery, attempt: int) -> bytes:
    """Build the JSON body of a push, with both spellings of the field names, as Pub/Sub does."""
    message = PubsubMessage.deserialize(delivery.content)
    moment = publish_time(delivery.published_at)
    name = str(delivery.message_id)
    content: dict[str, Any] = {
        "messageId": name,
        "message_id": name,
        "publishTime": moment,
        "publish_time": moment,
    }
    if message.data:
        content["data"] = base64.b64encode(message.data).decode("ascii")
    if message.attributes:
        content["attributes"] = dict(message.attributes)
    if message.ordering_key:
        content["orderingKey"] = message.ordering_key
    body: dict[str, Any] = {"message": content, "subscription": subscription.name}
    if subscription.dead_letter_policy.dead_letter_topic:
        body["deliveryAttempt"] = attempt
    return json.dumps(body).encode()


async def post(url: str, body: bytes) -> int | None:
    """POST ``body`` as JSON and return the status, None when there was no answer.

    A connection of its own for every push: a connection that is kept open can be closed by the server just
    when the next push is written, and that push would count as a failed attempt.  The status line is read as
    it comes, because 102 acknowledges a push and HTTP libraries wait for the status after it.
    """
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    host = parts.hostname or ""
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    head = (
        f"POST {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nUser-Agent: CloudPubSub-Google\r\nConnection: close\r\n\r\n"
    )
    try:
        reader, writer = await asyncio.open_connection(
            host, parts.port or (443 if secure else 80), ssl=ssl.create_default_context() if secure else None
        )
    except OSError:
        return None
    try:
        writer.write(head.encode("latin-1") + body)
        await writer.drain()
        status_line = (await reader.readline()).split(maxsplit=2)
        status = int(status_line[1])
        # Take the answer in, or the server sees a connection that was broken off.
        await reader.read(_LARGEST_ANSWER)
    except (OSError, ValueError, IndexError):
        return None
    finally:
        writer.close()
    return status


def backoff_limits(subscription: Subscription) -> tuple[float, float]:
    """Return the shortest and the longest wait between two deliveries, in seconds."""
    if "retry_policy" not in subscription:
        return _DEFAULT_BACKOFF_SECONDS
    policy = Subscription.pb(subscription).retry_policy
    shortest, longest = _DEFAULT_POLICY_SECONDS
    if policy.HasField("minimum_backoff"):
        shortest = policy.minimum_backoff.ToTimedelta().total_seconds()
    if policy.HasField("maximum_backoff"):
        longest = policy.maximum_backoff.ToTimedelta().total_seconds()
    return shortest, longest


def backoff_seconds(subscription: Subscription, attempts: int) -> float:
    """How long to wait after ``attempts`` (at least 1) failed deliveries."""
    shortest, longest = backoff_limits(subscription)
    # Beyond 2^32 every backoff has long met its maximum.
    exponential: float = shortest * 2 ** min(attempts - 1, 32)
    return min(longest, exponential) * random.uniform(1, 1 + _JITTER)  # noqa: S311 - jitter is no secret


class Window:
    """How many pushes of a subscription may be in flight: it feels its way up to what is answered, as Pub/Sub does.

    https://cloud.google.com/pubsub/docs/push#delivery_rate: it starts small, grows with every success (doubling with
    each round of answers) and shrinks with every failure. How fast, Pub/Sub does not say: here as TCP does it, half
    at a failure, and from there on by one a round.
    """

    def __init__(self, largest: int) -> None:
        """Never more than `largest` pushes."""
        self._largest = float(largest)
        self._smallest = float(min(_SMALLEST_WINDOW, largest))
        self._threshold = self._largest
        self._size = self._smallest

    @property
    def size(self) -> int:
        """Pushes that may be in flight now."""
        return int(self._size)

    def succeeded(self) -> None:
        """Record that a push was acknowledged."""
        step = 1 if self._size < self._threshold else 1 / self._size
        self._size = min(self._largest, self._size + step)

    def failed(self) -> None:
        """Record that a push was refused, or not answered in time."""
        self._size = self._threshold = max(self._smallest, self._size / 2)


class Pusher:
    """Delivers the messages of one subscription, some at a time, until each is acknowledged or dead."""

    def __init__(self, declaration: Subscription, journal: Journal, dead_letter: DeadLetter, concurrency: int) -> None:
        """``dead_letter`` moves a delivery to the dead-letter topic and says whether that could be done."""
        self.declaration = declaration
        self._journal = journal
        self._dead_letter = dead_letter
        self._window = Window(concurrency)
        self._due: deque[Delivery] = deque()
        self._ordered: dict[str, deque[Delivery]] = {}
        self._pushes: set[asyncio.Task[None]] = set()
        self._closed = False

    def declare(self, declaration: Subscription) -> None:
        """Go on under a changed declaration: the next push follows it, those in flight do not."""
        self.declaration = declaration
        self._fill()

    def close(self) -> None:
        """Deliver nothing any more."""
        self._closed = True
        for push in self._pushes:
            push.cancel()

    def add(self, delivery: Delivery) -> None:
        """Deliver a message, after those of the same ordering key that came before."""
        key = self._ordering_key(delivery)
        if key:
            waiting = self._ordered.setdefault(key, deque())
            waiting.append(delivery)
            if len(waiting) > 1:
                return
        self._schedule(delivery)

    def _ordering_key(self, delivery: Delivery) -> str:
        if not self.declaration.enable_message_ordering:
            return ""
        return str(PubsubMessage.deserialize(delivery.content).ordering_key)

    def _schedule(self, delivery: Delivery) -> None:
        delay = delivery.due_at - time.time()
        if delay > 0:
            asyncio.get_running_loop().call_later(delay, self._make_due, delivery)
        else:
            self._make_due(delivery)

    def _make_due(self, delivery: Delivery) -> None:
        self._due.append(delivery)
        self._fill()

    def _fill(self) -> None:
        """Start as many pushes as are due and allowed; none while there is no endpoint."""
        endpoint = self.declaration.push_config.push_endpoint
        while self._due and endpoint and not self._closed and len(self._pushes) < self._window.size:
            push = asyncio.create_task(self._deliver(self._due.popleft()))
            self._pushes.add(push)
            push.add_done_callback(self._free)

    def _free(self, push: asyncio.Task[None]) -> None:
        self._pushes.discard(push)
        if not push.cancelled():
            push.result()
        self._fill()

    async def _deliver(self, delivery: Delivery) -> None:
        subscription = self.declaration
        retention = Subscription.pb(subscription).message_retention_duration.ToTimedelta()
        if time.time() - delivery.published_at > retention.total_seconds():
            await self._forget(delivery)
            return
        tried = replace(delivery, attempts=delivery.attempts + 1)
        status: int | None = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(subscription.ack_deadline_seconds):
                body = envelope(subscription, delivery, tried.attempts)
                status = await post(subscription.push_config.push_endpoint, body)
        if status in ACKNOWLEDGING_STATUSES:
            self._window.succeeded()
            await self._forget(tried)
            return
        self._window.failed()
        policy = subscription.dead_letter_policy
        limit = policy.max_delivery_attempts or _DEFAULT_DELIVERY_ATTEMPTS
        is_dead = bool(policy.dead_letter_topic) and tried.attempts >= limit
        if is_dead and await self._dead_letter(subscription, tried):
            self._next_of(tried)
            return
        again = replace(tried, due_at=time.time() + backoff_seconds(subscription, tried.attempts))
        await self._journal.change(lambda connection: broker_store.postpone(connection, again))
        self._schedule(again)

    async def _forget(self, delivery: Delivery) -> None:
        await self._journal.change(lambda connection: broker_store.drop_delivery(connection, delivery))
        self._next_of(delivery)

    def _next_of(self, delivery: Delivery) -> None:
        """Release the message after ``delivery`` in the order of its key."""
        key = self._ordering_key(delivery)
        if key not in self._ordered:
            return
        waiting = self._ordered[key]
        waiting.popleft()
        if waiting:
            self._schedule(waiting[0])
        else:
            del self._ordered[key]
