"""Callback's push entry: results, ticks, dead letters and notifications come in."""

from __future__ import annotations

import flask
import functions_framework

from functions.callback import gauges
from functions.callback.dead_letters import DeadLetters
from functions.callback.mail import SmtpMailer
from functions.callback.notify import Notifier, Post
from functions.callback.results import Results
from functions.callback.settings import CallbackSettings
from functions.callback.signed import PATH as SIGNED_PATH
from functions.callback.signed import SignedReports
from functions.callback.sweep import Sweep
from shared.bus import load_bus
from shared.contracts import InvitationMade, JobFinished, Notification, Tick, message_type
from shared.database import Database
from shared.log import start_logging
from shared.outbox import Outbox
from shared.publish import PubSubPublisher
from shared.push import Delivery, Handler
from shared.service import READY_PATH, Service, check_at_start, made_once
from shared.storage import CloudStorage


@made_once
def service() -> Service:
    """Everything this process needs, made on the first request (a worker forks after import)."""
    settings = CallbackSettings.from_environment()
    start_logging("callback", settings.log_level)
    database = Database(settings.database_url, pool_size=settings.database_pool_size)
    project = settings.google_cloud_project
    objects = CloudStorage(project)
    outbox = Outbox(database, PubSubPublisher(project), objects, settings.derived_bucket)
    results = Results(database, outbox, settings)
    sweep = Sweep(database, outbox, settings)
    mail = settings.mail()
    post = None if mail is None else Post(mail, SmtpMailer(mail.server))
    notifier = Notifier(database, objects, settings.derived_bucket, post)
    letters = DeadLetters(database, outbox)
    reports = SignedReports(database, outbox, settings.secrets_of_workers, project)

    def finished(delivery: Delivery) -> None:
        results.finished(JobFinished.parse(delivery.data, delivery.attributes))

    def ticked(delivery: Delivery) -> None:
        Tick.parse(delivery.data, delivery.attributes)
        sweep.tick()
        gauges.tell(database)

    def notified(delivery: Delivery) -> None:
        if message_type(Notification.topic, delivery.attributes) is InvitationMade:
            notifier.invite(InvitationMade.parse(delivery.data, delivery.attributes))
        else:
            notifier.tell(Notification.parse(delivery.data, delivery.attributes))

    def letter_of(topic: str) -> Handler:
        return lambda delivery: letters.received(topic, delivery)

    routes: dict[str, Handler] = {"/face-results": finished, "/ticks": ticked, "/notifications": notified}
    bus = load_bus()
    for topic in bus.topics:
        routes[bus.dead_letter.subscription.path_prefix + topic.name] = letter_of(topic.name)
    return Service(routes, project, {SIGNED_PATH: reports.answer})


@functions_framework.http
def main(request: flask.Request) -> flask.Response:
    """The function: one path per subscription of ``bus.json``, ``POST /ml/callback``, and ``GET /healthz``."""
    return service().answer(request)


@functions_framework.http
def signed(request: flask.Request) -> flask.Response:
    """``POST /ml/callback`` and ``GET /healthz`` alone: what may be open to workers outside Google Cloud.

    The bus's own paths believe whoever reaches them, so that the service they are on is never open.
    """
    if request.path not in (SIGNED_PATH, READY_PATH):
        return flask.Response("nothing here\n", 404, mimetype="text/plain")
    return service().answer(request)


check_at_start(__name__, "callback", CallbackSettings.from_environment)
