"""How far an event has come: as JSON, and as server-sent events that move by themselves."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from datetime import datetime
from threading import BoundedSemaphore
from time import monotonic, sleep
from uuid import UUID

import flask
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, ConfigDict

from functions.admin.door import access
from functions.admin.door.answers import unless_known
from functions.admin.door.auth import Caller
from functions.admin.door.paths import InEvent
from functions.admin.door.problems import Problem
from functions.admin.door.resources import Resources
from functions.admin.events import store as events_store
from functions.admin.events.store import ProgressRows
from shared.errors import Retryable
from shared.log import logger

_MOST_FAILURES = 10
_EVENT_STREAM = "text/event-stream"
_POLL_SECONDS = 2.0
_LISTEN_SECONDS = 0.25
_HEARTBEAT_SECONDS = 15.0
# Below five minutes, after which Cloud Run ends a request; the browser comes back by itself.
_STREAM_SECONDS = 285.0
_COME_BACK_MILLISECONDS = 2000


class PhotoProgress(BaseModel):
    """``waiting`` is what is neither done nor failed."""

    total: int
    done: int
    failed: int
    waiting: int


class PersonProgress(BaseModel):
    """``found`` is all of them, ``identified`` those that are linked to a user."""

    found: int
    identified: int
    invited: int
    ignored: int


class ClusteringProgress(BaseModel):
    """Whether a clustering is asked for or under way, and when the last one ended."""

    running: bool
    last_at: datetime | None


class PhotoFailure(BaseModel):
    """Why a photo was not looked at; ``code`` is for programs."""

    media_id: UUID
    code: str
    reason: str


class Progress(BaseModel):
    """Numbers; the words are the page's. ``failures`` are the newest few."""

    # As the library wants it: the other media type of the answer.
    model_config = ConfigDict(openapi_extra={"content": {_EVENT_STREAM: {"schema": {"type": "string"}}}})  # type: ignore[typeddict-unknown-key]

    photos: PhotoProgress
    persons: PersonProgress
    faces: int
    clustering: ClusteringProgress
    failures: list[PhotoFailure]


def routes(resources: Resources) -> APIBlueprint:
    """Make the routes of progress."""
    api = APIBlueprint("progress", __name__, abp_tags=[Tag(name="events")])
    # A stream holds a thread of the server as long as it lasts: half of them stay free for everything else.
    free_streams = BoundedSemaphore(max(1, resources.settings.threads // 2))

    @api.get("/event/<uuid:event_id>/progress", responses={200: Progress, 304: None})
    def get_progress(path: InEvent) -> flask.Response:
        """How far the event has come.

        With `Accept: text/event-stream` as server-sent events: one `progress` with the same JSON now and after each
        change, a comment every 15 seconds, and the end after 5 minutes. 503 when too many are watching: ask for the
        JSON every few seconds instead.
        """
        caller: Caller = flask.g.caller

        def look() -> Progress:
            with resources.transaction(caller) as connection:
                access.to_event(connection, caller, path.event_id)
                return _progress(events_store.progress(connection, path.event_id, _MOST_FAILURES))

        if flask.request.accept_mimetypes.best_match(["application/json", _EVENT_STREAM]) != _EVENT_STREAM:
            return unless_known(look().model_dump(mode="json"))
        first = look()
        if not free_streams.acquire(blocking=False):
            raise Problem(
                503, "too_many_streams", "too many are watching: ask for the JSON", headers={"Retry-After": "15"}
            )
        response = flask.Response(stream(first, look, pause, monotonic, server_is_stopping), mimetype=_EVENT_STREAM)
        # Also when the browser leaves before the first byte, when no generator has begun that could end.
        response.call_on_close(free_streams.release)
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Accel-Buffering"] = "no"
        return response

    return api


def stream(
    first: Progress,
    look: Callable[[], Progress],
    wait: Callable[[float], object],
    now: Callable[[], float],
    is_stopping: Callable[[], bool],
) -> Iterator[str]:
    """Server-sent events: ``first``, then what ``look`` returns each time it differs, until five minutes are over.

    It ends sooner when the server ``is_stopping``. Nothing is held between two looks. ``wait`` takes seconds, ``now``
    returns them.
    """
    ends = now() + _STREAM_SECONDS
    told, told_at = first, now()
    yield f"retry: {_COME_BACK_MILLISECONDS}\n{_event(first)}"
    while now() < ends:
        wait(_POLL_SECONDS)
        if is_stopping():
            return
        try:
            seen = look()
        except Problem:
            return  # an organiser no longer, or the event is gone: coming back tells which
        except Retryable as error:
            logger().warning("progress was not looked at", reason=str(error))
            seen = told
        if seen != told:
            told, told_at = seen, now()
            yield _event(seen)
        elif now() - told_at >= _HEARTBEAT_SECONDS:
            told_at = now()
            yield ": still here\n\n"


def pause(seconds: float) -> None:
    """Sleep, but no longer than the server runs."""
    ends = monotonic() + seconds
    while (left := ends - monotonic()) > 0 and not server_is_stopping():
        sleep(min(left, _LISTEN_SECONDS))


def server_is_stopping() -> bool:
    """Whether the gunicorn worker that this thread belongs to was told to stop.

    It would otherwise wait for the stream to end by itself. Its handler of SIGTERM is a method of the worker, which
    knows; only the main thread could install a handler of ours, and requests are served by others.
    """
    worker = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return not getattr(worker, "alive", True)


def _event(progress: Progress) -> str:
    return f"event: progress\ndata: {progress.model_dump_json()}\n\n"


def _progress(rows: ProgressRows) -> Progress:
    photos, rest = rows.photos, rows.rest
    return Progress(
        photos=PhotoProgress(**photos, waiting=photos["total"] - photos["done"] - photos["failed"]),
        persons=PersonProgress(**rows.persons),
        faces=rest["faces"],
        clustering=ClusteringProgress(running=rest["clustering"], last_at=rest["clustered_at"]),
        failures=[PhotoFailure(**row) for row in rows.failures],
    )
