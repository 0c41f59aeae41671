"""The HTTP side of a function: push routes by path, and a readiness probe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import cache, wraps
from threading import Lock
from typing import TypeVar

import flask

from shared.errors import SettingsError
from shared.push import Handler, handle_push

READY_PATH = "/healthz"
BAD_SETTINGS_STATUS = 78
"""The exit status of a function whose settings are wrong: EX_CONFIG of sysexits.h. Starting it again cannot help."""
_LOADED_BY_FRAMEWORK = "main"
"""The module name that functions-framework gives to the ``main.py`` that it serves; any other import serves nothing."""


Made = TypeVar("Made")
Endpoint = Callable[[flask.Request], flask.Response]


def made_once(make: Callable[[], Made]) -> Callable[[], Made]:
    """Call ``make`` on the first use and keep its result; concurrent first uses call it once.

    An exception is not kept: the next use tries again.
    """
    lock = Lock()
    cached = cache(make)

    @wraps(cached)
    def get() -> Made:
        with lock:
            return cached()

    return get


def check_at_start(module: str, function: str, check: Callable[[], object]) -> None:
    """End the process with one line on standard error when the settings of the function to be served are wrong.

    Called at the end of a function's ``main.py`` with its ``__name__``. ``check`` reads the settings and opens
    no connection; its result is dropped, since workers fork after this and read the settings again.

    Raises:
        SystemExit: with :data:`BAD_SETTINGS_STATUS`, after the line that names the settings and what to do.
    """
    if module != _LOADED_BY_FRAMEWORK:
        return
    try:
        check()
    except SettingsError as error:
        sys.stderr.write(f"{function} cannot start: {' '.join(str(error).split())}\n")
        raise SystemExit(BAD_SETTINGS_STATUS) from None


class Service:
    """Answers the requests of one function.

    ``GET /healthz``, for start-up probes, answers 200 once the service exists: its settings are valid and its model is
    loaded. It opens no connection.

    ``endpoints``, by path, answer requests that are not messages of the bus.
    """

    def __init__(
        self, routes: Mapping[str, Handler], project: str, endpoints: Mapping[str, Endpoint] | None = None
    ) -> None:
        self._routes = dict(routes)
        self._project = project
        self._endpoints = dict(endpoints or {})

    def answer(self, request: flask.Request) -> flask.Response:
        """Answer one request: a push to a known path, an endpoint, or the probe."""
        if request.path == READY_PATH and request.method == "GET":
            return flask.Response("ready\n", mimetype="text/plain")
        endpoint = self._endpoints.get(request.path)
        if endpoint is not None:
            return endpoint(request)
        handler = self._routes.get(request.path)
        if handler is None:
            known = ", ".join(sorted(self._routes))
            return flask.Response(f"nothing here; messages are pushed to {known}\n", 404, mimetype="text/plain")
        if request.method != "POST":
            return flask.Response("messages are pushed here by POST\n", 405, {"Allow": "POST"}, "text/plain")
        return handle_push(request, handler, self._project)
