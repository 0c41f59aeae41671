"""The push entry: envelopes and CloudEvents in, statuses out."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import flask
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contracts import DetectRequested, StorageNotification
from shared.errors import Busy, Malformed, Permanent, Retryable
from shared.log import configure_logging
from shared.push import MAX_BODY_BYTES, PUBSUB_EVENT, Delivery
from shared.service import Service
from tests.unit.shared.quiet import plain_logging_afterwards
from tests.unit.shared.requests_of import Request, cloud_event, envelope, every_way, pushed, structured

EVENT, MEDIA = "3d9c7a44-1b2e-4c6f-8d0a-9e8b7c6d5f41", "a1f0c3d2-5e4b-4a69-b788-1c2d3e4f5061"
FINALIZED = "google.cloud.storage.object.v1.finalized"
STRUCTURED = {"Content-Type": "application/cloudevents+json"}
DELETED = "google.cloud.storage.object.v1.deleted"
OBJECT = {
    "bucket": "photos",
    "name": f"events/{EVENT}/{MEDIA}/été.jpg",
    "generation": "1714577400123456",
    "metadata": {"event_id": EVENT},
    "contentType": "image/jpeg",
    "size": "3",
}


class Entry:
    """A function of one route that keeps what it is given and answers as it is told."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.outcome: Callable[[Delivery], None] = lambda _: None
        service = Service({"/messages": self._handle}, "project")
        app = flask.Flask("entry")
        app.add_url_rule("/<path:_>", view_func=lambda _: service.answer(flask.request), methods=["GET", "POST", "PUT"])
        self.client = app.test_client()

    def _handle(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)
        self.outcome(delivery)

    def post(self, request: Request, path: str = "/messages") -> tuple[int, str]:
        headers, body = request
        answer = self.client.post(path, data=body, headers=headers)
        return answer.status_code, answer.get_data(as_text=True)


@pytest.fixture
def entry() -> Entry:
    return Entry()


ENTRY = Entry()
"""For hypothesis, which makes no new fixture for every example."""


# ---------------------------------------------------------------- what comes in


@pytest.mark.parametrize("way", ["push", "binary", "structured"])
def test_a_pubsub_message_is_the_same_whichever_way_it_comes(entry: Entry, way: str) -> None:
    assert entry.post(every_way(b'{"a":"\xc3\xa9"}', {"schema": "x", "k": "é"})[way]) == (204, "")
    assert entry.deliveries == [
        Delivery(
            message_id="136969346945",
            data=b'{"a":"\xc3\xa9"}',
            attributes={"schema": "x", "k": "é"},
            subscription="projects/p/subscriptions/s",
        )
    ]


def test_the_delivery_attempt_is_told_where_the_bus_tells_it(entry: Entry) -> None:
    entry.post(pushed(envelope(deliveryAttempt=5)))
    assert entry.deliveries[0].delivery_attempt == 5


def test_a_message_without_data_or_attributes_is_empty(entry: Entry) -> None:
    assert entry.post(pushed({"message": {"messageId": "1"}}))[0] == 204
    assert entry.deliveries == [Delivery("1", b"", {})]


@pytest.mark.parametrize("make", [cloud_event, structured])
@pytest.mark.parametrize(("event_type", "word"), [(FINALIZED, "OBJECT_FINALIZE"), (DELETED, "OBJECT_DELETE")])
def test_a_storage_event_reads_as_the_storage_notification_would(
    entry: Entry, make: Callable[[str, object], Request], event_type: str, word: str
) -> None:
    assert entry.post(make(event_type, OBJECT)) == (204, "")
    (delivery,) = entry.deliveries
    notification = StorageNotification.parse(delivery.data, delivery.attributes)
    assert notification.event_type == word
    assert (notification.bucket, notification.object_name) == ("photos", OBJECT["name"])
    assert notification.generation == 1714577400123456
    assert tuple(map(str, notification.photo_ids())) == (EVENT, MEDIA)


def test_a_structured_event_may_carry_its_data_as_base64(entry: Entry) -> None:
    headers, body = structured(PUBSUB_EVENT, None)
    event = json.loads(body)
    del event["data"]
    event["data_base64"] = base64.b64encode(json.dumps(envelope(b"abc")).encode()).decode()
    assert entry.post((headers, json.dumps(event).encode())) == (204, "")
    assert entry.deliveries[0].data == b"abc"


MALFORMED: dict[str, tuple[Request, str]] = {
    "no JSON": (({"Content-Type": "application/json"}, b"hello"), "not a JSON object"),
    "empty": (({"Content-Type": "application/json"}, b""), "not a JSON object"),
    "a list": (pushed([]), "not a JSON object"),
    "deeply nested": (({"Content-Type": "application/json"}, b"[" * 100_000), "not a JSON object"),
    "a number of 5000 digits": (({"Content-Type": "application/json"}, b"9" * 5000), "not a JSON object"),
    "no message": (pushed({}), "no 'message' object"),
    "message is a text": (pushed({"message": "x"}), "no 'message' object"),
    "no message id": (pushed({"message": {"data": ""}}), "no 'messageId'"),
    "message id is a number": (pushed({"message": {"messageId": 1}}), "no 'messageId'"),
    "attributes are a list": (pushed({"message": {"messageId": "1", "attributes": [1]}}), "'attributes'"),
    "an attribute is a number": (pushed({"message": {"messageId": "1", "attributes": {"a": 1}}}), "'attributes'"),
    "data is no base64": (pushed({"message": {"messageId": "1", "data": "*"}}), "not base64"),
    "data is not ASCII": (pushed({"message": {"messageId": "1", "data": "é"}}), "not base64"),
    "data is a list": (pushed({"message": {"messageId": "1", "data": [1]}}), "not base64"),
    "an event of another type": (cloud_event("com.example.hello", OBJECT), "'com.example.hello', which no function"),
    "an event without its version": (cloud_event(PUBSUB_EVENT, {}, **{"ce-specversion": ""}), "not a CloudEvent"),
    "an event of version 9": (cloud_event(PUBSUB_EVENT, {}, **{"ce-specversion": "9"}), "not a CloudEvent"),
    "an event of a list": (cloud_event(PUBSUB_EVENT, [1]), "not a JSON object"),
    "a structured event of a number": (structured(PUBSUB_EVENT, 5), "not a JSON object"),
    "a structured event of nothing": (structured(FINALIZED, None), "not a JSON object"),
    "a structured event that is a list": ((STRUCTURED, b"[]"), "not a CloudEvent"),
    "a structured event that is no JSON": ((STRUCTURED, b"{"), "not a CloudEvent"),
    "a type of half a character": (structured("\ud800", {}), "which no function here handles"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_body_that_cannot_be_understood_is_answered_400_and_told_why(entry: Entry, name: str) -> None:
    request, told = MALFORMED[name]
    status, text = entry.post(request)
    assert (status, told in text) == (400, True), text
    assert entry.deliveries == []
    assert entry.post(pushed(envelope()))[0] == 204, "the function is alive"


def test_a_body_that_is_too_large_is_answered_400_and_told_why(entry: Entry) -> None:
    body = b" " * (MAX_BODY_BYTES + 1)
    assert entry.post(({"Content-Type": "application/json"}, body)) == (
        400,
        "the request's body has more than 16 MiB, which no message can have\n",
    )
    assert entry.post(pushed(envelope()))[0] == 204, "the function is alive"


def test_the_largest_message_of_pubsub_gets_through(entry: Entry) -> None:
    assert entry.post(pushed(envelope(b"x" * 10_000_000)))[0] == 204
    assert len(entry.deliveries[0].data) == 10_000_000


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
messages = st.fixed_dictionaries(
    {},
    optional={
        "data": json_values | st.binary().map(lambda data: base64.b64encode(data).decode()),
        "attributes": json_values | st.dictionaries(st.text(st.characters()), st.text(st.characters())),
        "messageId": json_values,
    },
)
contents = json_values | messages | st.fixed_dictionaries({"message": json_values | messages})
requests = st.one_of(
    st.binary().map(lambda body: ({"Content-Type": "application/json"}, body)),
    st.binary().map(lambda body: (STRUCTURED, body)),
    contents.map(pushed),
    st.builds(cloud_event, st.sampled_from([PUBSUB_EVENT, FINALIZED, DELETED, "?"]), contents),
    st.builds(structured, st.sampled_from([PUBSUB_EVENT, FINALIZED, DELETED]) | json_values, contents),
    json_values.map(lambda value: (STRUCTURED, json.dumps(value).encode())),
)


@settings(deadline=None)
@given(request=requests)
def test_no_body_whatsoever_is_an_error_of_the_function(request: Request) -> None:
    status, text = ENTRY.post(request)
    assert status in (204, 400)
    assert bool(text) == (status == 400)


@settings(deadline=None)
@given(
    attributes=st.dictionaries(st.text(st.characters()), st.text(st.characters())),
    data=st.binary(),
    schema=st.sampled_from(["trombi.DetectRequested.v1", "x"]),
)
def test_a_parser_behind_the_entry_answers_400_or_takes_the_message(
    attributes: dict[str, str], data: bytes, schema: str
) -> None:
    entry = Entry()

    def parse(delivery: Delivery) -> None:
        DetectRequested.parse(delivery.data, delivery.attributes)

    def parse_object(delivery: Delivery) -> None:
        StorageNotification.parse(delivery.data, delivery.attributes).photo_ids()

    for entry.outcome in (parse, parse_object):
        assert entry.post(pushed(envelope(data, {**attributes, "schema": schema})))[0] in (204, 400)


# ---------------------------------------------------------------- what goes out


def raises(error: Exception) -> Callable[[Delivery], None]:
    def outcome(_: Delivery) -> None:
        raise error

    return outcome


OUTCOMES: list[tuple[Exception | None, int, str]] = [
    (None, 204, ""),
    (Permanent("corrupt", "the file is broken"), 204, ""),
    (Malformed("no such field"), 400, "no such field\n"),
    (Malformed("half a character \ud800"), 400, "half a character \\ud800\n"),
    (Retryable("the database is away"), 503, "the database is away\n"),
    (Busy("there is no place for more"), 429, "there is no place for more\n"),
    (RuntimeError("secret"), 500, "unexpected RuntimeError; the log has its traceback\n"),
    (KeyError("secret"), 500, "unexpected KeyError; the log has its traceback\n"),
]


@pytest.mark.parametrize(("error", "status", "text"), OUTCOMES)
@pytest.mark.parametrize("way", ["push", "binary", "structured"])
def test_an_outcome_becomes_a_status(entry: Entry, way: str, error: Exception | None, status: int, text: str) -> None:
    if error is not None:
        entry.outcome = raises(error)
    assert entry.post(every_way(b"{}", {})[way]) == (status, text)
    entry.outcome = lambda _: None
    assert entry.post(every_way(b"{}", {})[way]) == (204, ""), "the function is alive"


def test_an_unknown_error_is_loud(entry: Entry, capsys: pytest.CaptureFixture[str]) -> None:
    with plain_logging_afterwards():
        configure_logging("entry")
        entry.outcome = raises(RuntimeError("the reason"))
        headers, body = pushed(envelope())
        trace = "0123456789abcdef0123456789abcdef"
        entry.post(({**headers, "traceparent": f"00-{trace}-0123456789abcdef-01"}, body))
        (line,) = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (line["severity"], line["function"]) == ("ERROR", "entry")
    assert line["trace"] == f"projects/project/traces/{trace}"
    assert line["message_id"] == "136969346945"
    assert line["exception"][0]["exc_value"] == "the reason"


def test_only_a_post_to_a_known_path_is_a_message(entry: Entry) -> None:
    assert entry.post(pushed(envelope()), "/elsewhere") == (404, "nothing here; messages are pushed to /messages\n")
    assert entry.client.get("/messages").status_code == 405
    assert entry.client.get("/messages").headers["Allow"] == "POST"
    assert entry.client.put("/messages").status_code == 405
    assert entry.deliveries == []


def test_the_probe_is_answered_without_calling_anything(entry: Entry) -> None:
    entry.outcome = raises(RuntimeError())
    assert entry.client.get("/healthz").status_code == 200
    assert entry.deliveries == []
