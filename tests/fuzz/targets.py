"""What hostile bytes are thrown at, and what may come of it: anything else that is raised is a finding."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from typing import Final

import flask
from werkzeug.test import EnvironBuilder

from shared.contracts import MESSAGES, SCHEMA_ATTRIBUTE, StorageNotification, message_type
from shared.decode import BadImage, DecodeLimits, NotAnImage, decode, memory_needed
from shared.errors import Malformed, Permanent
from shared.push import PUBSUB_EVENT, STORAGE_EVENTS, parse_delivery

# Small, so that a made-up header cannot ask for much.
LIMITS: Final = DecodeLimits(max_pixels=1_000_000, max_bytes=64 * 2**20)

_COLOURS: Final = 3

# Headers of the requests that a body is put in: a push subscription's, and Eventarc's in both modes.
_CLOUD_EVENT: Final = {"ce-id": "1", "ce-source": "//storage", "ce-specversion": "1.0"}
HEADERS: Final[tuple[Mapping[str, str], ...]] = (
    {"Content-Type": "application/json"},
    *(
        {**_CLOUD_EVENT, "Content-Type": "application/json", "ce-type": kind}
        for kind in (PUBSUB_EVENT, *STORAGE_EVENTS)
    ),
    {"Content-Type": "application/cloudevents+json"},
)


def fuzz_decode(data: bytes) -> None:
    """A file: decoded, or refused in words."""
    needed = memory_needed(data, LIMITS)
    with contextlib.suppress(BadImage, NotAnImage):
        photo = decode(data, LIMITS)
        assert photo.rgb.shape[2] == _COLOURS
        assert needed > 0, "what is decoded was announced to the budget"


def fuzz_push(data: bytes) -> None:
    """A request: one byte for its headers, then its body."""
    if not data:
        return
    headers = HEADERS[data[0] % len(HEADERS)]
    builder = EnvironBuilder(method="POST", headers=list(headers.items()), data=data[1:])
    with contextlib.suppress(Malformed):
        delivery = parse_delivery(flask.Request(builder.get_environ()))
        assert isinstance(delivery.message_id, str)
        assert all(isinstance(value, str) for value in delivery.attributes.values())


def fuzz_contracts(data: bytes) -> None:
    """A message: a line of attributes as JSON, then its body."""
    line, _, body = data.partition(b"\n")
    try:
        given = json.loads(line)
    except (ValueError, RecursionError):
        given = {}
    attributes = {str(key): str(value) for key, value in given.items()} if isinstance(given, dict) else {}
    for message in MESSAGES:
        with contextlib.suppress(Malformed):
            message.parse(body, attributes)
        with contextlib.suppress(Malformed):
            parsed = message.parse(body, {SCHEMA_ATTRIBUTE: message.schema_name()})
            again = message.parse(json.dumps(parsed.data()).encode(), parsed.attributes())
            assert again == parsed, "a message is written as it is read"
        message_type(message.topic, attributes)
    with contextlib.suppress(Malformed, Permanent):
        StorageNotification.parse(body, attributes).photo_ids()


TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = {
    "decode": fuzz_decode,
    "push": fuzz_push,
    "contracts": fuzz_contracts,
}


def fuzz_all(data: bytes) -> None:
    """One byte for the target, then its input."""
    if data:
        list(TARGETS.values())[data[0] % len(TARGETS)](data[1:])
