"""Hand-written stand-ins for what is outside the database; they pass the contract suites of the real adapters."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.bus import load_bus
from shared.errors import Permanent, Retryable
from shared.storage import ObjectMissing, StoredObject


@dataclass(frozen=True)
class Published:
    """One message that the bus took."""

    topic: str
    data: bytes
    attributes: Mapping[str, str]

    @property
    def body(self) -> dict[str, Any]:
        """The data as JSON values."""
        body: dict[str, Any] = json.loads(self.data)
        return body


@dataclass
class RecordingPublisher:
    """A bus that keeps what it is given.

    ``before`` is called with each message before it is taken; what it raises, publishing raises. ``away`` makes
    every publishing Retryable.
    """

    topics: frozenset[str] = field(default_factory=lambda: frozenset(load_bus().topic_names()))
    messages: list[Published] = field(default_factory=list)
    away: bool = False
    before: Callable[[Published], None] = lambda _: None

    def publish(self, topic: str, data: bytes, attributes: Mapping[str, str]) -> None:
        """See `shared.publish.Publisher`."""
        if self.away or topic not in self.topics:
            raise Retryable(f"topic {topic} did not accept the message")
        message = Published(topic, bytes(data), dict(attributes))
        self.before(message)
        self.messages.append(message)

    def to(self, topic: str) -> list[Published]:
        """The messages of one topic, in the order of their publishing."""
        return [message for message in self.messages if message.topic == topic]

    def take(self) -> list[Published]:
        """All messages so far; they are forgotten."""
        taken, self.messages = self.messages, []
        return taken


@dataclass(frozen=True)
class _Object:
    generation: int
    data: bytes
    content_type: str


@dataclass(frozen=True)
class Contents:
    """All buckets at one moment."""

    objects: Mapping[tuple[str, str], _Object]
    newest: int


class MemoryObjects:
    """Buckets in memory. ``away`` makes every call Retryable; ``reads`` names what was read."""

    def __init__(self) -> None:
        self.away = False
        self.reads: list[str] = []
        self._objects: dict[tuple[str, str], _Object] = {}
        self._newest = 1_700_000_000_000_000
        self._lock = threading.Lock()

    def generation(self, bucket: str, name: str) -> int:
        """See `shared.storage.ObjectStore`."""
        return self._find(bucket, name).generation

    def read(self, bucket: str, name: str, generation: int, *, max_bytes: int) -> bytes:
        """See `shared.storage.ObjectStore`."""
        found = self._find(bucket, name)
        self.reads.append(name)
        if found.generation != generation:
            raise ObjectMissing(f"there is no such object at generation {generation}")
        if len(found.data) > max_bytes:
            raise Permanent("too_large", "the file is too large; upload a smaller one")
        return found.data

    def list_objects(self, bucket: str, prefix: str, *, most: int) -> list[StoredObject]:
        """See `shared.storage.ObjectStore`."""
        self._answer()
        with self._lock:
            found = [
                StoredObject(key[1], stored.generation, len(stored.data), {})
                for key, stored in sorted(self._objects.items())
                if key[0] == bucket and key[1].startswith(prefix)
            ]
        return found[:most]

    def write(self, bucket: str, name: str, data: bytes, *, content_type: str) -> None:
        """See `shared.storage.ObjectStore`."""
        self._answer()
        with self._lock:
            self._newest += 1
            self._objects[bucket, name] = _Object(self._newest, bytes(data), content_type)

    def delete_prefix(self, bucket: str, prefix: str) -> int:
        """See `shared.storage.ObjectStore`."""
        self._answer()
        with self._lock:
            names = [key for key in self._objects if key[0] == bucket and key[1].startswith(prefix)]
            for key in names:
                del self._objects[key]
        return len(names)

    def put(self, bucket: str, name: str, data: bytes, content_type: str = "image/jpeg") -> int:
        """Upload an object, as a host app does; returns its generation."""
        self.write(bucket, name, data, content_type=content_type)
        return self._objects[bucket, name].generation

    def find(self, bucket: str, name: str) -> int | None:
        """The generation of an object; None when there is none."""
        found = self._objects.get((bucket, name))
        return None if found is None else found.generation

    def remove(self, bucket: str, name: str) -> None:
        """Delete just this object, as a host app does."""
        del self._objects[bucket, name]

    def contents(self) -> Contents:
        """All buckets as they are, for `put_back`."""
        return Contents(dict(self._objects), self._newest)

    def put_back(self, contents: Contents) -> None:
        """Make all buckets what they were, the next generation included."""
        self._objects, self._newest = dict(contents.objects), contents.newest

    def names(self, bucket: str) -> list[str]:
        """The names of all objects of a bucket, sorted."""
        return sorted(name for of_bucket, name in self._objects if of_bucket == bucket)

    def _find(self, bucket: str, name: str) -> _Object:
        self._answer()
        found = self._objects.get((bucket, name))
        if found is None:
            raise ObjectMissing("there is no such object")
        return found

    def _answer(self) -> None:
        if self.away:
            raise Retryable("the bucket is unavailable or busy")
