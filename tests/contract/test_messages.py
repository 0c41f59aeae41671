"""The messages on the bus: golden files that are never edited, and strictness towards everything else."""

from __future__ import annotations

import contextlib
import json
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args, get_origin
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.bus import load_bus
from shared.contracts import (
    MESSAGES,
    ClusterRequested,
    DetectRequested,
    InvitationMade,
    JobFinished,
    Message,
    Notification,
    StorageNotification,
    Tick,
    encode,
    message_type,
)
from shared.errors import Malformed, Permanent

GOLDEN = Path(__file__).with_name("golden")
BY_NAME = {message.__name__: message for message in MESSAGES}
OWN = sorted(path.name for path in GOLDEN.glob("[A-Z]*.json"))
STORAGE = sorted(path.name for path in GOLDEN.glob("storage.*.json"))
EVENT, MEDIA = "3d9c7a44-1b2e-4c6f-8d0a-9e8b7c6d5f41", "a1f0c3d2-5e4b-4a69-b788-1c2d3e4f5061"
OTHER = "11111111-1111-4111-8111-111111111111"


def golden(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((GOLDEN / name).read_text(encoding="utf-8"))
    return content


def schema(message: type[Message]) -> dict[str, str]:
    return {"schema": message.schema_name()}


# ---------------------------------------------------------------- golden


def test_every_message_has_a_golden_file_for_its_version() -> None:
    assert {message.schema_name().removeprefix("trombi.") + ".json" for message in MESSAGES} <= set(OWN)


@pytest.mark.parametrize("name", OWN)
def test_a_golden_message_is_read_and_written_as_it_always_was(name: str) -> None:
    message, content = BY_NAME[name.partition(".")[0]], golden(name)
    parsed = message.parse(content["data"].encode(), content["attributes"])
    assert encode(parsed.data()) == content["data"].encode()
    assert parsed.attributes() == content["attributes"]
    assert parsed.topic == content["topic"]


@pytest.mark.parametrize("name", STORAGE)
def test_a_golden_storage_notification_is_understood(name: str) -> None:
    content = golden(name)
    parsed = StorageNotification.parse(json.dumps(content["payload"]).encode(), content["attributes"])
    expected = content["expected"]
    assert parsed.event_type == expected["event_type"]
    assert parsed.bucket == "trombi-photos"
    assert parsed.object_name == content["payload"]["name"]
    assert parsed.generation == expected["generation"]
    assert parsed.overwritten_by_generation == expected["overwritten_by_generation"]
    assert parsed.photo_ids() == (UUID(expected["event_id"]), UUID(expected["media_id"]))
    assert parsed.uploaded_at == datetime.fromisoformat(content["payload"]["timeCreated"])


def test_a_notification_without_a_payload_is_understood_by_its_attributes() -> None:
    content = golden("storage.production.finalize.json")
    parsed = StorageNotification.parse(b"", {**content["attributes"], "payloadFormat": "NONE"})
    assert parsed.photo_ids() == (UUID(EVENT), UUID(MEDIA))


def test_messages_and_the_bus_name_the_same_topics() -> None:
    declared = {topic.name for topic in load_bus().topics}
    assert {message.topic for message in MESSAGES} | {StorageNotification.topic} == declared


@pytest.mark.parametrize("message", MESSAGES)
def test_the_schema_tells_which_of_a_topic_s_messages_it_is(message: type[Message]) -> None:
    assert message_type(message.topic, schema(message)) is message


def test_a_schema_that_no_message_of_the_topic_has_is_left_to_the_topic_s_first() -> None:
    assert message_type("notifications", {"schema": "trombi.Tick.v1"}) is Notification
    assert message_type("notifications", {}) is Notification
    assert message_type("media-uploads", schema(Tick)) is None


# ---------------------------------------------------------------- nothing personal


def allowed_types(annotation: Any) -> set[Any]:
    """The plain types and literal values that an annotation is made of."""
    if get_origin(annotation) is Literal:
        return set(get_args(annotation))
    arguments = get_args(annotation)
    return set().union(*(allowed_types(argument) for argument in arguments)) if arguments else {annotation}


@pytest.mark.parametrize("message", MESSAGES)
def test_no_field_of_a_message_could_hold_a_name_an_address_or_an_embedding(message: type[Message]) -> None:
    # A purge cannot reach a retained message: only ids, counts and words from a fixed list may be in one.
    words = {"detect", "cluster", "completed", "failed", "clustering_finished", 1}
    for name, field in message.model_fields.items():
        types = allowed_types(field.annotation)
        assert types <= {UUID, int, type(None)} | words, f"{message.__name__}.{name} may hold more than an id"
        assert all(part in {UUID, int, type(None)} for part in types if isinstance(part, type))


# ---------------------------------------------------------------- strictness


def valid_body(message: type[Message]) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(golden(f"{message.schema_name().removeprefix('trombi.')}.json")["data"])
    return body


FIELDS = [(message, name) for message in MESSAGES for name in message.model_fields]


@pytest.mark.parametrize(("message", "name"), FIELDS)
def test_a_missing_field_is_malformed_and_named(message: type[Message], name: str) -> None:
    body = valid_body(message)
    del body[name]
    with pytest.raises(Malformed, match=f"{name}: Field required"):
        message.parse(encode(body), schema(message))


@pytest.mark.parametrize(("message", "name"), FIELDS)
@pytest.mark.parametrize("value", [[], {}, True, 1.0, 1.5, "", "somebody@example.org", "\u0000", -1, 0, 2**31, 10**30])
def test_a_value_of_the_wrong_type_or_size_is_malformed_and_the_field_named(
    message: type[Message], name: str, value: object
) -> None:
    with pytest.raises(Malformed, match=name):
        message.parse(encode(valid_body(message) | {name: value}), schema(message))


@pytest.mark.parametrize("message", MESSAGES)
def test_an_unknown_field_is_malformed_and_its_value_not_repeated(message: type[Message]) -> None:
    with pytest.raises(Malformed, match="email: Extra inputs") as caught:
        message.parse(encode(valid_body(message) | {"email": "somebody@example.org"}), schema(message))
    assert "somebody" not in str(caught.value)


@pytest.mark.parametrize("message", MESSAGES)
def test_another_version_is_malformed(message: type[Message]) -> None:
    with pytest.raises(Malformed, match="version"):
        message.parse(encode(valid_body(message) | {"version": 2}), schema(message))


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("other", [None, "", "trombi.Tick.v2", "Tick", "trombi.Unknown.v1", "x" * 10_000, "\udc80"])
def test_another_schema_is_malformed_and_both_are_named(message: type[Message], other: str | None) -> None:
    attributes = {} if other is None else {"schema": other}
    with pytest.raises(Malformed, match=f"expected a message of schema '{message.schema_name()}', got") as caught:
        message.parse(encode(valid_body(message)), attributes)
    assert len(str(caught.value)) < 500
    str(caught.value).encode()


@pytest.mark.parametrize("one", MESSAGES)
@pytest.mark.parametrize("other", MESSAGES)
def test_a_message_is_not_taken_for_another(one: type[Message], other: type[Message]) -> None:
    if one is other:
        assert one.parse(encode(valid_body(one)), schema(one)).version == 1
    else:
        with pytest.raises(Malformed):
            one.parse(encode(valid_body(other)), schema(other))


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"1", b'"x"', b"{", b"\xff\xfe", b"{}trailing", b"[" * 100_000])
@pytest.mark.parametrize("message", MESSAGES)
def test_what_is_no_json_object_is_malformed(message: type[Message], data: bytes) -> None:
    with pytest.raises(Malformed):
        message.parse(data, schema(message))


@pytest.mark.parametrize("message", MESSAGES)
def test_a_huge_message_is_malformed_in_few_words(message: type[Message]) -> None:
    body = valid_body(message) | {f"unknown {'x' * 1000} {number}": "x" * 100 for number in range(5_000)}
    with pytest.raises(Malformed) as caught:
        message.parse(encode(body), schema(message))
    assert len(str(caught.value)) < 1_000
    assert "and 4995 more" in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.uuids().map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
field_names = st.sampled_from(sorted({name for message in MESSAGES for name in message.model_fields}))
bodies = (
    st.binary()
    | json_values.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(field_names | st.text(max_size=5), json_values).map(lambda body: json.dumps(body).encode())
)


@settings(deadline=None)
@given(message=st.sampled_from(MESSAGES), data=bodies)
def test_any_bytes_are_a_message_or_malformed_and_nothing_else(message: type[Message], data: bytes) -> None:
    try:
        parsed = message.parse(data, schema(message))
    except Malformed:
        return
    assert message.parse(encode(parsed.data()), parsed.attributes()) == parsed


@settings(deadline=None)
@given(run=st.integers(1, 2**31 - 1), ids=st.tuples(st.uuids(), st.uuids(), st.uuids()))
def test_what_is_sent_is_what_is_received(run: int, ids: tuple[UUID, UUID, UUID]) -> None:
    job_id, event_id, media_id = ids
    sent: list[Message] = [
        DetectRequested(job_id=job_id, run=run, event_id=event_id, media_id=media_id),
        ClusterRequested(job_id=job_id, run=run, event_id=event_id),
        Notification(kind="clustering_finished", event_id=event_id, job_id=job_id, run=run),
        InvitationMade(event_id=event_id, invitation_id=job_id),
        Tick(),
        JobFinished(job_id=job_id, run=run, job_type="detect", status="failed", event_id=None, media_id=media_id),
    ]
    for message in sent:
        assert type(message).parse(encode(message.data()), message.attributes()) == message


# ---------------------------------------------------------------- storage notifications

ATTRIBUTES = golden("storage.production.finalize.json")["attributes"]


@pytest.mark.parametrize("attribute", ["eventType", "bucketId", "objectId", "objectGeneration"])
def test_a_notification_without_an_attribute_is_malformed(attribute: str) -> None:
    with pytest.raises(Malformed):
        StorageNotification.parse(b"{}", {key: value for key, value in ATTRIBUTES.items() if key != attribute})


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("eventType", "OBJECT_EXPLODED"),
        ("eventType", ""),
        ("bucketId", ""),
        ("objectId", ""),
        ("objectId", "x" * 1025),
        ("objectId", f"events/{EVENT}/{MEDIA}/a\0b.jpg"),
        ("objectGeneration", ""),
        ("objectGeneration", "0"),
        ("objectGeneration", "-1"),
        ("objectGeneration", "1.5"),
        ("objectGeneration", "1e3"),
        ("objectGeneration", "\u0663"),
        ("objectGeneration", str(2**63)),
        ("objectGeneration", "9" * 5000),
        # Taken for absent, it would turn an overwrite into the deletion of the photo.
        ("overwrittenByGeneration", "none"),
        ("overwrittenByGeneration", ""),
        ("overwrittenByGeneration", "0"),
    ],
)
def test_a_notification_with_a_wrong_attribute_is_malformed(attribute: str, value: str) -> None:
    with pytest.raises(Malformed, match="Cloud Storage notification"):
        StorageNotification.parse(b"{}", {**ATTRIBUTES, attribute: value})


@pytest.mark.parametrize(
    "payload", [b"[]", b"null", b"1", b"{", b"\xff", b'{"metadata":[]}', b'{"metadata":{"event_id":1}}', b"[" * 99_999]
)
def test_a_payload_that_is_no_object_resource_is_malformed(payload: bytes) -> None:
    with pytest.raises(Malformed):
        StorageNotification.parse(payload, ATTRIBUTES)


@settings(deadline=None)
@given(
    attributes=st.dictionaries(
        st.sampled_from([*ATTRIBUTES, "overwrittenByGeneration", "unknown"]),
        st.text() | st.integers().map(str) | st.just("OBJECT_FINALIZE"),
    ),
    payload=bodies,
)
def test_any_notification_is_understood_or_malformed_and_its_photo_found_or_refused(
    attributes: dict[str, str], payload: bytes
) -> None:
    try:
        parsed = StorageNotification.parse(payload, {**ATTRIBUTES, **attributes})
    except Malformed:
        return
    with contextlib.suppress(Permanent):
        assert all(isinstance(photo_id, UUID) for photo_id in parsed.photo_ids())


def photo_ids(name: str, metadata: dict[str, str] | None = None) -> tuple[UUID, UUID]:
    payload = json.dumps({"name": name, "metadata": metadata or {}}).encode()
    return StorageNotification.parse(payload, {**ATTRIBUTES, "objectId": name}).photo_ids()


@pytest.mark.parametrize(
    ("name", "metadata"),
    [
        (f"events/{EVENT}/{MEDIA}/a.jpg", {}),
        (f"events/{EVENT}/{MEDIA}/folder/été 🎉\nnewline.jpg", {}),
        (f"events/{EVENT.upper()}/{MEDIA.upper()}/a.jpg", {}),
        (f"events/{EVENT}/{MEDIA}/..", {}),
        ("upload-0001.jpg", {"event_id": EVENT, "media_id": MEDIA}),
        (f"events/{EVENT}/{MEDIA}/a.jpg", {"event_id": EVENT, "media_id": MEDIA, "guest": "x"}),
        (f"events/{EVENT}/{MEDIA}/a.jpg", {"event_id": EVENT.upper()}),
        (f"events/{EVENT}/not-an-id/a.jpg", {"media_id": MEDIA}),
        ("../../etc/passwd", {"event_id": EVENT, "media_id": MEDIA}),
    ],
)
def test_the_photo_is_found_by_the_object_s_name_or_its_metadata(name: str, metadata: dict[str, str]) -> None:
    assert photo_ids(name, metadata) == (UUID(EVENT), UUID(MEDIA))


@pytest.mark.parametrize(
    ("name", "metadata", "told"),
    [
        ("a.jpg", {}, "belongs to no photo"),
        (f"events/{EVENT}/{MEDIA}", {}, "belongs to no photo"),
        (f"events/{EVENT}/{MEDIA}/", {}, "belongs to no photo"),
        (f"events/{EVENT}//a.jpg", {}, "belongs to no photo"),
        (f"/events/{EVENT}/{MEDIA}/a.jpg", {}, "belongs to no photo"),
        (f"events/../{EVENT}/{MEDIA}/a.jpg", {}, "belongs to no photo"),
        (f"events/{EVENT}/../{MEDIA}/a.jpg", {}, "media_id is missing"),
        (f"events/{{{EVENT}}}/{MEDIA}/a.jpg", {}, "event_id is missing"),
        (f"events/urn:uuid:{EVENT}/{MEDIA}/a.jpg", {}, "event_id is missing"),
        (f"events/{EVENT.replace('-', '')}/{MEDIA}/a.jpg", {}, "event_id is missing"),
        (f"events/{EVENT}/{MEDIA} /a.jpg", {}, "media_id is missing"),
        (f"events/{EVENT}/{MEDIA[:-1]}\u0661/a.jpg", {}, "media_id is missing"),
        ("a.jpg", {"event_id": EVENT}, "media_id is missing"),
        ("a.jpg", {"event_id": EVENT, "media_id": ""}, "metadata media_id is not a UUID"),
        (f"events/{EVENT}/{MEDIA}/a.jpg", {"media_id": "null"}, "metadata media_id is not a UUID"),
        (f"events/{EVENT}/{MEDIA}/a.jpg", {"event_id": f"{{{EVENT}}}"}, "metadata event_id is not a UUID"),
        (f"events/{EVENT}/{MEDIA}/a.jpg", {"event_id": OTHER}, "different event_id"),
        (f"events/{EVENT}/{MEDIA}/a.jpg", {"media_id": OTHER}, "different media_id"),
    ],
)
def test_an_object_that_names_no_photo_or_two_is_refused_with_the_reason(
    name: str, metadata: dict[str, str], told: str
) -> None:
    with pytest.raises(Permanent, match=told) as caught:
        photo_ids(name, metadata)
    assert caught.value.code == "unknown_object"


@settings(deadline=None)
@given(
    event_id=st.uuids(),
    media_id=st.uuids(),
    # An object's name is UTF-8 without NUL: Cloud Storage takes no other.
    filename=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1),
)
def test_whatever_the_file_is_called_the_photo_is_found(event_id: UUID, media_id: UUID, filename: str) -> None:
    name = f"events/{event_id}/{media_id}/{filename}"[:1000]
    assert photo_ids(name) == (event_id, media_id)


def test_a_refusal_repeats_nothing_that_a_name_may_hold() -> None:
    with pytest.raises(Permanent) as caught:
        photo_ids(f"events/{uuid4()}/somebody@example.org/a.jpg")
    assert "somebody" not in caught.value.reason
