"""Path parameters of the routes."""

from __future__ import annotations

from uuid import UUID

from pydantic import BaseModel, ConfigDict


class _Path(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class InEvent(_Path):
    """An event."""

    event_id: UUID


class OfPerson(_Path):
    """A person of an event."""

    person_id: UUID


class OfDecision(_Path):
    """A decision of an event's history."""

    decision_id: UUID


class OfFace(_Path):
    """A face in a photo."""

    face_id: UUID


class OfMedia(_Path):
    """A photo."""

    media_id: UUID
