"""Requests as Pub/Sub and Eventarc make them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from shared.push import PUBSUB_EVENT

Request = tuple[dict[str, str], bytes]


def envelope(data: bytes = b"{}", attributes: Mapping[str, str] | None = None, **more: Any) -> dict[str, Any]:
    """A Pub/Sub push envelope as JSON values; ``more`` beside the message."""
    return {
        "message": {
            "data": base64.b64encode(data).decode(),
            "attributes": dict(attributes or {}),
            "messageId": "136969346945",
            "message_id": "136969346945",
            "publishTime": "2024-05-01T15:30:00.130Z",
        },
        "subscription": "projects/p/subscriptions/s",
        **more,
    }


def pushed(content: object) -> Request:
    """A push subscription's request."""
    return {"Content-Type": "application/json"}, json.dumps(content).encode()


def cloud_event(event_type: str, content: object, **headers: str) -> Request:
    """Eventarc's request in binary mode, which is what it sends."""
    return {
        "Content-Type": "application/json",
        "ce-id": "1096434104173400",
        "ce-source": "//storage.googleapis.com/projects/_/buckets/photos",
        "ce-specversion": "1.0",
        "ce-type": event_type,
        "ce-time": "2024-05-01T15:30:00.130Z",
        **headers,
    }, json.dumps(content).encode()


def structured(event_type: str, content: object, **more: Any) -> Request:
    """A CloudEvent in structured mode."""
    event = {
        "specversion": "1.0",
        "id": "1096434104173400",
        "source": "//pubsub.googleapis.com/projects/p/topics/t",
        "type": event_type,
        "datacontenttype": "application/json",
        "data": content,
        **more,
    }
    return {"Content-Type": "application/cloudevents+json"}, json.dumps(event).encode()


def every_way(data: bytes, attributes: Mapping[str, str]) -> dict[str, Request]:
    """The three ways in which one message may come."""
    content = envelope(data, attributes)
    return {
        "push": pushed(content),
        "binary": cloud_event(PUBSUB_EVENT, content),
        "structured": structured(PUBSUB_EVENT, content),
    }
