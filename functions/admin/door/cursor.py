"""Cursors: positions in lists, opaque to the caller and validated in full when they come back.

A cursor holds the sort key of a page's last item, not an offset: rows that are added or removed before that position
make no item be skipped or repeated. A forged cursor is harmless: it only selects where a list of what its sender may
see continues.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from functions.admin.door.problems import Problem, unprocessable

_LONGEST = 1000

CursorText = Annotated[
    str, Field(min_length=1, max_length=_LONGEST, description="`next_cursor` of the previous page of the same list")
]
PageSize = Annotated[int, Field(ge=1, le=200, description="number of items on the page")]


class Position(BaseModel):
    """Where a page ended. ``list_of`` identifies the list: see `fingerprint`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    list_of: Annotated[str, Field(min_length=16, max_length=16)]
    id: UUID


Kind = TypeVar("Kind", bound=Position)
Row = TypeVar("Row")


def fingerprint(*of: object) -> str:
    """Return 16 characters that identify a list by its name, subject, order and filters."""
    text = json.dumps(of, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write(position: Position) -> str:
    """Return the position as URL-safe text."""
    return base64.urlsafe_b64encode(position.model_dump_json().encode()).rstrip(b"=").decode()


def read(kind: type[Kind], text: str | None, list_of: str) -> Kind | None:
    """Return the position that `write` encoded as ``text``; None stands for the beginning of the list.

    Raises:
        Problem: 422, it is not a cursor, or one of another list.
    """
    if text is None:
        return None
    try:
        content = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        position = kind.model_validate_json(content)
    except (binascii.Error, ValidationError, ValueError):
        raise _wrong() from None
    if position.list_of != list_of or write(position) != text:
        raise _wrong()
    return position


def next_page(rows: Sequence[object], page: Sequence[Row], position: Callable[[Row], Position]) -> str | None:
    """Return the cursor of the page after ``page``; None if ``rows``, read with one row to spare, hold no more.

    ``position`` is called with the page's last row.
    """
    return write(position(page[-1])) if len(rows) > len(page) else None


def _wrong() -> Problem:
    return unprocessable("invalid", "cursor: not a cursor of this list; begin without one")
