"""HTTP entry point and composition root of admin. The routes are registered in ``site.py``."""

from __future__ import annotations

import flask
import functions_framework

from functions.admin.door.auth import Authenticator
from functions.admin.door.resources import Resources
from functions.admin.settings import AdminSettings
from functions.admin.site import make_site
from shared.database import Database
from shared.log import log_context, start_logging, trace_of
from shared.outbox import Outbox
from shared.publish import PubSubPublisher
from shared.service import READY_PATH, check_at_start, made_once
from shared.storage import CloudStorage


class Admin:
    """The application of one process, with what it needs."""

    def __init__(self, resources: Resources) -> None:
        self.resources = resources
        self.site = make_site(resources, Authenticator(resources.settings))

    def answer(self, request: flask.Request) -> flask.Response:
        """Answer one request; ``GET /healthz`` opens no connection."""
        if request.path == READY_PATH and request.method == "GET":
            return flask.Response("ready\n", mimetype="text/plain")
        with log_context(trace=trace_of(dict(request.headers), self.resources.settings.google_cloud_project)):
            # The request is passed unchanged to the site's own WSGI application; streamed answers stay streamed.
            answer: flask.Response = flask.Response.from_app(self.site.wsgi_app, request.environ)  # type: ignore[assignment]
            return answer


@made_once
def admin() -> Admin:
    """Make everything this process needs, on its first request (workers fork after import)."""
    settings = AdminSettings.from_environment()
    start_logging("admin", settings.log_level)
    database = Database(settings.database_url, pool_size=settings.database_pool_size)
    objects = CloudStorage(settings.google_cloud_project)
    # Without an object store the outbox leaves deletions of objects to other functions: admin may only read buckets.
    outbox = Outbox(database, PubSubPublisher(settings.google_cloud_project))
    return Admin(Resources(settings, database, outbox, objects))


@functions_framework.http
def main(request: flask.Request) -> flask.Response:
    """Answer a request: the API of ``site.py``, or ``GET /healthz``."""
    return admin().answer(request)


check_at_start(__name__, "admin", AdminSettings.from_environment)
