"""Every message on the bus: typed, versioned and strictly parsed.

Messages carry ids and object generations only, never an embedding, a name, an address or image bytes, since a purge
cannot reach a message that the bus retains. A changed format is a new version beside the old one; the golden files in
``tests/contract/golden`` are never edited.
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
# The most problems that an error names, and the most characters of a field's name.
_MOST_PROBLEMS = 5
_LONGEST_NAME = 64


def _only_an_integer(value: object) -> object:
    """Refuse values that merely equal an integer, such as ``true`` and ``1.0``."""
    if type(value) is not int:
        raise ValueError("a version is an integer")
    return value


class Message(BaseModel):
    """Base class of Trombi's own messages. A subclass names its topic; class name and version are its schema."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    topic: ClassVar[str]

    version: Annotated[Literal[1], BeforeValidator(_only_an_integer)] = 1

    @classmethod
    def schema_name(cls) -> str:
        """Return name and version, as in the message's ``schema`` attribute: ``trombi.Tick.v1``."""
        return f"trombi.{cls.__name__}.v1"

    @classmethod
    def parse(cls, data: bytes, attributes: Mapping[str, str]) -> Self:
        """Parse a message strictly.

        Raises:
            Malformed: another schema, no JSON, or a missing, unknown or mistyped field, which the text names.
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
        """Return the message's attributes."""
        return {SCHEMA_ATTRIBUTE: self.schema_name()}


class DetectRequested(Message):
    """A request to find the faces in one known photo."""

    topic: ClassVar[str] = "detect-requests"

    job_id: UUID
    run: Run
    event_id: UUID
    media_id: UUID


class JobFinished(Message):
    """A job has ended. ``event_id`` and ``media_id`` are null when the job has none."""

    topic: ClassVar[str] = "face-results"

    job_id: UUID
    run: Run
    job_type: JobType
    status: FinishedStatus
    event_id: UUID | None
    media_id: UUID | None


class ClusterRequested(Message):
    """A request to group the faces of one event."""

    topic: ClassVar[str] = "cluster-requests"

    job_id: UUID
    run: Run
    event_id: UUID


class Tick(Message):
    """A minute has passed: time for periodic work."""

    topic: ClassVar[str] = "ticks"


class Notification(Message):
    """Something that people may want to know. Recipients and text are looked up when the mail is sent."""

    topic: ClassVar[str] = "notifications"

    kind: Literal["clustering_finished"]
    event_id: UUID
    job_id: UUID
    run: Run


class InvitationMade(Message):
    """An invitation was made: a mail has to ask somebody whether the faces are theirs.

    Address and text are looked up when the mail is sent.
    """

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
    """Return the class of a topic's messages; if there are several, the one that the ``schema`` attribute names.

    When the attribute names none of them, the topic's first class is returned, whose parser then says what is wrong.
    None when no message of Trombi's own is sent to this topic.
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
    """Cloud Storage's own message that an object was created (finalized) or deleted.

    ``overwritten_by_generation`` is set on the deletion that an overwrite causes; ``uploaded_at`` is when this
    generation of the object was created, None when the message has no payload.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    topic: ClassVar[str] = "media-uploads"

    event_type: Literal["OBJECT_FINALIZE", "OBJECT_DELETE", "OBJECT_ARCHIVE", "OBJECT_METADATA_UPDATE"]
    bucket: Annotated[str, Field(min_length=1)]
    # Cloud Storage allows NUL in an object's name; Postgres does not allow it in text.
    object_name: Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[^\x00]+$")]
    generation: Generation
    overwritten_by_generation: Generation | None
    metadata: dict[str, str]
    uploaded_at: AwareDatetime | None = None

    @classmethod
    def parse(cls, data: bytes, attributes: Mapping[str, str]) -> Self:
        """Parse a ``JSON_API_V1`` notification.

        Raises:
            Malformed: an attribute is missing or mistyped, or the payload is not an object resource.
        """
        overwritten_by = attributes.get("overwrittenByGeneration")
        if overwritten_by is not None and _integer(overwritten_by) is None:
            # If this were treated as absent, an overwrite would count as the deletion of the photo.
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
        """Return the event and the media that the object belongs to; see `photo_ids`."""
        return photo_ids(self.object_name, self.metadata)


def photo_ids(object_name: str, metadata: Mapping[str, str]) -> tuple[UUID, UUID]:
    """Return the ids of the event and the media that an object belongs to, from its name or custom metadata.

    Raises:
        Permanent: neither contains them, or they contradict each other.
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
    """Parse a decimal integer of at most 19 digits; None for any other text."""
    return int(text) if text is not None and re.fullmatch(r"[0-9]{1,19}", text) else None


def _uuid(text: str) -> UUID | None:
    try:
        parsed = UUID(text)
    except ValueError:
        return None
    # UUID() also accepts braces, URNs and missing hyphens; here an id has one spelling.
    return parsed if str(parsed) == text.lower() else None


def _what_is_wrong(what: str, error: ValidationError) -> str:
    """Name the first wrong fields and their problems, without repeating their values."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    problems = [
        f"{'.'.join(str(part)[:_LONGEST_NAME] for part in problem['loc']) or 'body'}: {problem['msg']}"
        for problem in found[:_MOST_PROBLEMS]
    ]
    if len(found) > _MOST_PROBLEMS:
        problems.append(f"and {len(found) - _MOST_PROBLEMS} more")
    return f"not {what}: " + "; ".join(problems)


def encode(data: Mapping[str, Any]) -> bytes:
    """Serialise a message's body for publishing: compact JSON with sorted keys."""
    return json.dumps(data, separators=(",", ":"), sort_keys=True).encode()
