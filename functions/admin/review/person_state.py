"""A person as the API shows it: after a decision, in a list, and beside a 409."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from functions.admin.door.problems import not_found
from functions.admin.review import decisions_store
from shared.database import Connection

Status = Literal["pending", "linked", "invited", "ignored", "merged"]


class LinkedUser(BaseModel):
    """The account that a person is linked to."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    display_name: str | None


class PersonState(BaseModel):
    """One person of an event. ``version`` grows with every decision on it."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    event_id: UUID
    status: Status
    version: int
    face_count: int
    photo_count: int
    cover_face_id: UUID | None
    linked_user: LinkedUser | None
    invitation_email: str | None
    merged_into_id: UUID | None
    created_at: datetime


def person_state(connection: Connection, person_id: UUID) -> dict[str, Any]:
    """Return the person as JSON values.

    Raises:
        Problem: 404, there is no such person.
    """
    row = decisions_store.state(connection, person_id)
    if row is None:
        raise not_found("no such person")
    return state_of_row(row)


def state_of_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """As :func:`person_state`, of a row that has its columns and ``linked_user_id``, ``linked_name``."""
    linked = row["linked_user_id"]
    return PersonState(
        id=row["id"],
        event_id=row["event_id"],
        status=row["status"],
        version=row["version"],
        face_count=row["face_count"],
        photo_count=row["photo_count"],
        cover_face_id=row["cover_face_id"],
        linked_user=LinkedUser(id=linked, display_name=row["linked_name"]) if linked else None,
        invitation_email=row["invitation_email"],
        merged_into_id=row["merged_into_id"],
        created_at=row["created_at"],
    ).model_dump(mode="json")
