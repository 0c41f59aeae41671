"""Places in lists: opaque to the caller, and checked in full when they come back.

A page ends with the place of its last item, not with a number of items: nothing is skipped or told twice because rows
came or went before that place. A place that somebody makes up is harmless: it is only where a list of what they may
see goes on.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from typing import Annotated, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from functions.admin.door.problems import Problem, unprocessable

_LONGEST = 1000

CursorText = Annotated[
    str, Field(min_length=1, max_length=_LONGEST, description="`next_cursor` of the page before, for the same list")
]
PageSize = Annotated[int, Field(ge=1, le=200, description="how many items")]


class Place(BaseModel):
    """Where a page ended. ``list_of`` says which list it is a place of: see `fingerprint`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    list_of: Annotated[str, Field(min_length=16, max_length=16)]
    id: UUID


Kind = TypeVar("Kind", bound=Place)


def fingerprint(*of: object) -> str:
    """16 characters that stand for a list: its name, what it is a list of, its order and its filters."""
    text = json.dumps(of, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write(place: Place) -> str:
    """The place as text that is safe in a URL."""
    return base64.urlsafe_b64encode(place.model_dump_json().encode()).rstrip(b"=").decode()


def read(kind: type[Kind], text: str | None, list_of: str) -> Kind | None:
    """The place that `write` made into ``text``; None is the beginning.

    Raises:
        Problem: 422, it is no place, or a place of another list.
    """
    if text is None:
        return None
    try:
        content = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        place = kind.model_validate_json(content)
    except (binascii.Error, ValidationError, ValueError):
        raise _wrong() from None
    if place.list_of != list_of or write(place) != text:
        raise _wrong()
    return place


def _wrong() -> Problem:
    return unprocessable("invalid", "cursor: not a cursor of this list; begin without one")
