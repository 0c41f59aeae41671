"""The push entry point: parse an HTTP request of the bus into a `Delivery`, and map the outcome to an HTTP status.

It accepts Pub/Sub push envelopes (emulator, Cloud Run push subscriptions) and Eventarc CloudEvents, binary or
structured, that carry a Pub/Sub message or a Cloud Storage object.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import flask
from cloudevents.exceptions import GenericException
from cloudevents.http import from_http
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from shared.errors import Busy, Malformed, Permanent, Retryable
from shared.log import log_context, logger, trace_of

PUBSUB_EVENT = "google.cloud.pubsub.topic.v1.messagePublished"
STORAGE_EVENTS = {
    "google.cloud.storage.object.v1.finalized": "OBJECT_FINALIZE",
    "google.cloud.storage.object.v1.deleted": "OBJECT_DELETE",
}
MAX_BODY_BYTES = 16 * 2**20  # Pub/Sub's largest message is 10 MB, which base64 makes a third larger


@dataclass(frozen=True)
class Delivery:
    """One delivery of one message.

    ``delivery_attempt`` counts from 1 when the subscription has a dead-letter topic; otherwise it is None.
    """

    message_id: str
    data: bytes
    attributes: Mapping[str, str]
    delivery_attempt: int | None = None
    subscription: str | None = None


Handler = Callable[[Delivery], None]


def parse_delivery(request: flask.Request) -> Delivery:
    """Parse the message in a push request.

    Raises:
        Malformed: the request is neither a Pub/Sub envelope nor a CloudEvent of a known type; says what is missing.
    """
    request.max_content_length = MAX_BODY_BYTES
    try:
        body = request.get_data(cache=True)
    except RequestEntityTooLarge:
        message = f"the request's body has more than {MAX_BODY_BYTES // 2**20} MiB, which no message can have"
        raise Malformed(message) from None
    except ClientDisconnected:
        raise Malformed("the request ended before its body did") from None
    is_cloud_event = "ce-type" in request.headers or request.mimetype == "application/cloudevents+json"
    if not is_cloud_event:
        return _from_envelope(_json_object(body))
    try:
        event = from_http(dict(request.headers), body)
    except (GenericException, ValueError, TypeError, KeyError, AttributeError) as error:
        message = f"not a CloudEvent: {error}"
        raise Malformed(message) from None
    event_type = str(event["type"])
    content = event.data if isinstance(event.data, dict) else _json_object(event.data or b"")
    if event_type == PUBSUB_EVENT:
        return _from_envelope(content)
    if event_type in STORAGE_EVENTS:
        return _from_storage_object(str(event["id"]), STORAGE_EVENTS[event_type], content)
    message = f"a CloudEvent of type {event_type!r}, which no function here handles"
    raise Malformed(message)


def _json_object(body: bytes | str) -> dict[str, Any]:
    try:
        parsed = json.loads(body)
    except (ValueError, TypeError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):
        message = "the request's body is not a JSON object: expected a Pub/Sub push envelope or a CloudEvent"
        raise Malformed(message)
    return parsed


def _from_envelope(envelope: Mapping[str, Any]) -> Delivery:
    message = envelope.get("message")
    if not isinstance(message, dict):
        problem = "the Pub/Sub envelope has no 'message' object"
        raise Malformed(problem)
    attributes = message.get("attributes") or {}
    if not isinstance(attributes, dict) or not all(isinstance(value, str) for value in attributes.values()):
        problem = "the message's 'attributes' are not an object of strings"
        raise Malformed(problem)
    message_id = message.get("messageId") or message.get("message_id")
    if not isinstance(message_id, str):
        problem = "the message has no 'messageId'"
        raise Malformed(problem)
    try:
        data = base64.b64decode(message.get("data") or "", validate=True)
    except (binascii.Error, ValueError, TypeError):
        problem = "the message's 'data' is not base64"
        raise Malformed(problem) from None
    attempt = envelope.get("deliveryAttempt")
    subscription = envelope.get("subscription")
    return Delivery(
        message_id=message_id,
        data=data,
        attributes=attributes,
        delivery_attempt=attempt if isinstance(attempt, int) else None,
        subscription=subscription if isinstance(subscription, str) else None,
    )


def _from_storage_object(event_id: str, event_type: str, resource: Mapping[str, Any]) -> Delivery:
    """Convert a direct Cloud Storage event into the form of a Cloud Storage notification."""
    attributes = {"eventType": event_type, "payloadFormat": "JSON_API_V1"}
    for attribute, field in (("bucketId", "bucket"), ("objectId", "name"), ("objectGeneration", "generation")):
        if field in resource:
            attributes[attribute] = str(resource[field])
    return Delivery(message_id=event_id, data=json.dumps(resource).encode(), attributes=attributes)


def handle_push(request: flask.Request, handler: Handler, project: str) -> flask.Response:
    """Parse the request, call ``handler``, and map the outcome to a status.

    204 means done or permanently refused, 400 malformed, 429 busy, 503 retryable, 500 an unexpected error. The text of
    a 4xx or 5xx answer says what was wrong.
    """
    with log_context(trace=trace_of(dict(request.headers), project)):
        message_id = None
        try:
            delivery = parse_delivery(request)
            message_id = delivery.message_id
            with log_context(message_id=message_id):
                handler(delivery)
        except Malformed as error:
            logger().error("malformed message", message_id=message_id, reason=str(error))
            return _answer(400, str(error))
        except Permanent as refusal:
            # Handlers record refusals with the job and return. This one found no job to record it with.
            logger().error("message refused", message_id=message_id, code=refusal.code, reason=refusal.reason)
            return _answer(204)
        except Busy as error:
            # Expected under load, and therefore not a warning.
            logger().info("busy: will be tried again", message_id=message_id, reason=str(error))
            return _answer(429, str(error))
        except Retryable as error:
            logger().warning("will be tried again", message_id=message_id, reason=str(error))
            return _answer(503, str(error))
        except Exception as error:  # noqa: BLE001 - an unexpected error is logged, answered 500, and retried
            logger().exception("unexpected error", message_id=message_id)
            return _answer(500, f"unexpected {type(error).__name__}; the log has its traceback")
        return _answer(204)


def _answer(status: int, text: str = "") -> flask.Response:
    body = f"{text}\n".encode(errors="backslashreplace") if text else b""
    return flask.Response(body, status=status, mimetype="text/plain")
