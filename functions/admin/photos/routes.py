"""The photo for the page of a person: scaled down, for organisers and for who is tagged in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore
from typing import Annotated

import flask
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, ConfigDict, Field

from functions.admin.door import access
from functions.admin.door.answers import is_known, picture, picture_tag
from functions.admin.door.audit import note_read
from functions.admin.door.auth import Caller
from functions.admin.door.paths import OfMedia
from functions.admin.door.problems import Problem, not_found, unprocessable
from functions.admin.door.resources import Resources
from functions.admin.photos.preview import STEPS, preview, preview_limits, step
from functions.admin.review import faces_store
from functions.admin.review.faces_store import Row
from shared.decode import BadImage, NotAnImage, memory_needed
from shared.errors import Busy, Permanent
from shared.memory_budget import MemoryBudget
from shared.storage import ObjectMissing

# So many files are in memory at a time; what is decoded of them shares the memory that one of the largest may take.
_AT_ONCE = 2
# Photos wait for their turn and for memory, and not for ever.
_PATIENCE_SECONDS = 30.0


class PhotoQuery(BaseModel):
    """How large."""

    model_config = ConfigDict(frozen=True)

    width: Annotated[
        int,
        Field(
            ge=STEPS[0],
            le=STEPS[-1],
            description=f"neither side gets longer; rounded down to one of {', '.join(map(str, STEPS))}",
        ),
    ] = 1024


def routes(resources: Resources) -> APIBlueprint:
    """Make the route that reads photos."""
    api = APIBlueprint("photos", __name__, abp_tags=[Tag(name="photos")])
    turns = BoundedSemaphore(_AT_ONCE)
    memory = MemoryBudget(resources.settings.max_photo_memory, _AT_ONCE, _PATIENCE_SECONDS)

    @api.get("/media/<uuid:media_id>/image", responses={200: {"content": {"image/jpeg": {}}}, 304: None})
    def get_photo(path: OfMedia, query: PhotoQuery) -> flask.Response:
        """Get the photo, upright, as JPEG without EXIF, whatever its format was."""
        caller: Caller = flask.g.caller
        with resources.transaction(caller) as connection:
            entered = access.to_media(connection, caller, path.media_id, "member")
            photo = faces_store.photo(connection, entered.event_id, path.media_id)
            if photo is None:
                raise _no_photo()
            note_read(connection, caller, entered.event_id, "photo", path.media_id)
        size = step(query.width)
        tag = picture_tag(path.media_id, photo["object_generation"], size)
        if is_known(tag):
            return picture(None, tag)
        with _turn(turns):
            return picture(_preview(resources, photo, size, memory), tag)

    return api


def _preview(resources: Resources, photo: Row, size: int, memory: MemoryBudget) -> bytes:
    try:
        data = resources.objects.read(
            photo["bucket"],
            photo["object_name"],
            photo["object_generation"],
            max_bytes=resources.settings.max_photo_bytes,
        )
        limits = resources.settings.decode_limits()
        with memory.taken(memory_needed(data, preview_limits(limits, size))):
            return preview(data, size, limits)
    except Busy:
        raise _busy() from None
    except ObjectMissing:
        raise _no_photo() from None
    except (BadImage, NotAnImage) as error:
        raise unprocessable("unreadable", error.reason) from None
    except Permanent as error:
        raise unprocessable(error.code, error.reason) from None


@contextmanager
def _turn(turns: BoundedSemaphore) -> Iterator[None]:
    if not turns.acquire(timeout=_PATIENCE_SECONDS):
        raise _busy()
    try:
        yield
    finally:
        turns.release()


def _busy() -> Exception:
    return Problem(503, "try_again", "too many photos are asked for at once", headers={"Retry-After": "5"})


def _no_photo() -> Exception:
    return not_found("there is no such photo")
