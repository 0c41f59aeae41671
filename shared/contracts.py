"""Every message on the bus: typed, versioned, strictly parsed.

Messages carry ids and object generations only, never an embedding, a name, an address or image bytes: a
purge cannot reach a retained message. A change of shape is a new version beside the old one; the golden
files in ``tests/contract/golden`` are never edited.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from shared.errors import Malformed, Permanent

JobType = Literal["detect", "cluster"]
FinishedStatus = Literal["completed", "failed"]
Priority = Literal["high", "normal", "low"]
Run = Annotated[int, Field(ge=1, le=2**31 - 1)]
Generation = Annotated[int, Field(ge=1, le=2**63 - 1)]

SCHEMA_ATTRIBUTE = "schema"
# What an error tells of a message that is wrong all over.
_MOST_PROBLEMS = 5
_LONGEST_NAME = 64


def _only_an_integer(value: object) -> object:
    """Refuse what only equals 1: ``true`` and ``1.0`` are no version."""
    if type(value) is not int:
        raise ValueError("a version is an integer")
    return value


class Message(BaseModel):
    """A message of Trombi's own. Subclasses name their topic; the class name and version are its schema."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    topic: ClassVar[str]

    version: Annotated[Literal[1], BeforeValidator(_only_an_integer)] = 1

    @classmethod
    def schema_name(cls) -> str:
        """Name and version, as in the message's ``schema`` attribute: ``trombi.Tick.v1``."""
        return f"trombi.{cls.__name__}.v1"

    @classmethod
    def parse(cls, data: bytes, attributes: Mapping[str, str]) -> Self:
        """Parse a message strictly.

        Raises:
            Malformed: another schema, no JSON, a missing, unknown or mistyped field; says which.
        """
        schema = attributes.get(SCHEMA_ATTRIBUTE)
        if schema != cls.schema_name():
            got = "none" if schema is None else ascii(schema[:_LONGEST_NAME])
            message = f"expected a message of schema {cls.schema_name()!r}, got {got}"
            raise Malformed(message)
        try:
            parsed = cls.model_validate_json(data)
        except ValidationError as error:
            raise Malformed(_what_is_wrong(cls.schema_name(), error)) from None
        if "version" not in parsed.model_fields_set:
            message = f"not {cls.schema_name()}: version: Field required"
            raise Malformed(message)
        return parsed

    def data(self) -> dict[str, Any]:
        """Return the message's body as JSON values."""
        body: dict[str, Any] = self.model_dump(mode="json")
        return body

    def attributes(self) -> dict[str, str]:
        """Return the attributes that go with the body."""
        return {SCHEMA_ATTRIBUTE: self.schema_name()}


class DetectRequested(Message):
    """Find the faces of one known photo."""

    topic: ClassVar[str] = "detect-requests"

    job_id: UUID
    run: Run
    event_id: UUID
    media_id: UUID


class JobFinished(Message):
    """A job has ended. ``event_id`` and ``media_id`` are null where the job has none."""

    topic: ClassVar[str] = "face-results"

    job_id: UUID
    run: Run
    job_type: JobType
    status: FinishedStatus
    event_id: UUID | None
    media_id: UUID | None


class ClusterRequested(Message):
    """Group the faces of one event."""

    topic: ClassVar[str] = "cluster-requests"

    job_id: UUID
    run: Run
    event_id: UUID


class Tick(Message):
    """A minute has passed."""

    topic: ClassVar[str] = "ticks"


class Notification(Message):
    """Something that people may want to hear of; who and in which words is looked up when it is told."""

    topic: ClassVar[str] = "notifications"

    kind: Literal["clustering_finished"]
    event_id: UUID
    job_id: UUID
    run: Run


class InvitationMade(Message):
    """Somebody is to be asked by mail whether a person's faces are theirs; address and words are looked up then."""

    topic: ClassVar[str] = "notifications"

    event_id: UUID
    invitation_id: UUID


MESSAGES: tuple[type[Message], ...] = (
    DetectRequested,
    JobFinished,
    ClusterRequested,
    Tick,
    Notification,
    InvitationMade,
)


def message_type(topic: str, attributes: Mapping[str, str]) -> type[Message] | None:
    """Return the class of a topic's messages; where there are several, the one that the ``schema`` attribute names.

    Without a schema that fits it is the topic's first, whose parser then says what is wrong. None: no message of
    Trombi's own goes to this topic.
    """
    candidates = [message for message in MESSAGES if message.topic == topic]
    schema = attributes.get(SCHEMA_ATTRIBUTE)
    return next((message for message in candidates if message.schema_name() == schema), next(iter(candidates), None))


class _ObjectResource(BaseModel):
    """The parts of Cloud Storage's object resource (``JSON_API_V1``) that Trombi reads."""

    model_config = ConfigDict(extra="ignore")

    metadata: dict[str, str] = {}
    time_created: Annotated[AwareDatetime | None, Field(alias="timeCreated")] = None


_OBJECT_NAME = re.compile(r"^events/(?P<event_id>[^/]+)/(?P<media_id>[^/]+)/(?P<filename>.+)$", re.DOTALL)


class StorageNotification(BaseModel):
    """Cloud Storage's own message about an object: created (finalized) or deleted.

    ``overwritten_by_generation`` is set on the deletion that an overwrite causes; ``uploaded_at`` is when this
    generation of the object was made, None where the message has no payload.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    topic: ClassVar[str] = "media-uploads"

    event_type: Literal["OBJECT_FINALIZE", "OBJECT_DELETE", "OBJECT_ARCHIVE", "OBJECT_METADATA_UPDATE"]
    bucket: Annotated[str, Field(min_length=1)]
    # Cloud Storage allows NUL in a name, Postgres in no text.
    object_name: Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[^\x00]+$")]
    generation: Generation
    overwritten_by_generation: Generation | None
    metadata: dict[str, str]
    uploaded_at: AwareDatetime | None = None

    @classmethod
    def parse(cls, data: bytes, attributes: Mapping[str, str]) -> Self:
        """Parse a ``JSON_API_V1`` notification.

        Raises:
            Malformed: an attribute is missing or mistyped, or the payload is no object resource.
        """
        overwritten_by = attributes.get("overwrittenByGeneration")
        if overwritten_by is not None and _integer(overwritten_by) is None:
            # Taken for absent, it would turn an overwrite into the deletion of the photo.
            raise Malformed("not a Cloud Storage notification: overwrittenByGeneration: not a generation")
        try:
            resource = _ObjectResource.model_validate_json(data or b"{}")
            return cls.model_validate(
                {
                    "event_type": attributes.get("eventType"),
                    "bucket": attributes.get("bucketId"),
                    "object_name": attributes.get("objectId"),
                    "generation": _integer(attributes.get("objectGeneration")),
                    "overwritten_by_generation": _integer(overwritten_by),
                    "metadata": resource.metadata,
                    "uploaded_at": resource.time_created,
                }
            )
        except ValidationError as error:
            raise Malformed(_what_is_wrong("a Cloud Storage notification", error)) from None

    def photo_ids(self) -> tuple[UUID, UUID]:
        """As `photo_ids`."""
        return photo_ids(self.object_name, self.metadata)


def photo_ids(object_name: str, metadata: Mapping[str, str]) -> tuple[UUID, UUID]:
    """Return the event and the media that an object belongs to, by its name or its custom metadata.

    Raises:
        Permanent: neither names them, or they contradict each other.
    """
    named = _OBJECT_NAME.match(object_name)
    ids = []
    for key in ("event_id", "media_id"):
        by_name = _uuid(named[key]) if named else None
        claimed = metadata.get(key)
        by_metadata = _uuid(claimed) if claimed is not None else None
        if claimed is not None and by_metadata is None:
            code, reason = "unknown_object", f"the object's metadata {key} is not a UUID"
            raise Permanent(code, reason)
        if by_name and by_metadata and by_name != by_metadata:
            code, reason = "unknown_object", f"the object's name and its metadata name a different {key}"
            raise Permanent(code, reason)
        found = by_metadata or by_name
        if found is None:
            code = "unknown_object"
            reason = (
                "the object belongs to no photo: name it events/{event_id}/{media_id}/{filename}, or give it "
                f"custom metadata event_id and media_id ({key} is missing or not a UUID)"
            )
            raise Permanent(code, reason)
        ids.append(found)
    return ids[0], ids[1]


def _integer(text: str | None) -> int | None:
    """Parse a plain decimal of at most 64 bits; None for any other text."""
    return int(text) if text is not None and re.fullmatch(r"[0-9]{1,19}", text) else None


def _uuid(text: str) -> UUID | None:
    try:
        parsed = UUID(text)
    except ValueError:
        return None
    # UUID() also takes braces, URNs and missing hyphens; an id has one spelling.
    return parsed if str(parsed) == text.lower() else None


def _what_is_wrong(what: str, error: ValidationError) -> str:
    """Name the first fields that are wrong, without repeating their values."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    problems = [
        f"{'.'.join(str(part)[:_LONGEST_NAME] for part in problem['loc']) or 'body'}: {problem['msg']}"
        for problem in found[:_MOST_PROBLEMS]
    ]
    if len(found) > _MOST_PROBLEMS:
        problems.append(f"and {len(found) - _MOST_PROBLEMS} more")
    return f"not {what}: " + "; ".join(problems)


def encode(data: Mapping[str, Any]) -> bytes:
    """Serialise a message's body for publishing: compact JSON, keys sorted."""
    return json.dumps(data, separators=(",", ":"), sort_keys=True).encode()
