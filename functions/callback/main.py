"""Callback's entry point: receive job results, ticks, dead letters and notifications."""

from __future__ import annotations

import flask
import functions_framework

from functions.callback import gauges
from functions.callback.dead_letters import DeadLetters
from functions.callback.mail import SmtpMailer
from functions.callback.notify import MailService, Notifier
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
    """Build what this process needs, on the first request (workers fork after import)."""
    settings = CallbackSettings.from_environment()
    start_logging("callback", settings.log_level)
    database = Database(settings.database_url, pool_size=settings.database_pool_size)
    project = settings.google_cloud_project
    objects = CloudStorage(project)
    outbox = Outbox(database, PubSubPublisher(project), objects, settings.derived_bucket)
    results = Results(database, outbox, settings)
    sweep = Sweep(database, outbox, settings)
    mail = settings.mail()
    mail_service = None if mail is None else MailService(mail, SmtpMailer(mail.server))
    notifier = Notifier(database, objects, settings.derived_bucket, mail_service)
    dead_letters = DeadLetters(database, outbox)
    reports = SignedReports(database, outbox, settings.secrets_of_workers, project)

    def finished(delivery: Delivery) -> None:
        results.finished(JobFinished.parse(delivery.data, delivery.attributes))

    def ticked(delivery: Delivery) -> None:
        Tick.parse(delivery.data, delivery.attributes)
        sweep.tick()
        gauges.log_gauges(database)

    def notified(delivery: Delivery) -> None:
        if message_type(Notification.topic, delivery.attributes) is InvitationMade:
            notifier.invite(InvitationMade.parse(delivery.data, delivery.attributes))
        else:
            notifier.tell(Notification.parse(delivery.data, delivery.attributes))

    def dead_letter_handler(topic: str) -> Handler:
        return lambda delivery: dead_letters.received(topic, delivery)

    routes: dict[str, Handler] = {"/face-results": finished, "/ticks": ticked, "/notifications": notified}
    bus = load_bus()
    for topic in bus.topics:
        routes[bus.dead_letter.subscription.path_prefix + topic.name] = dead_letter_handler(topic.name)
    return Service(routes, project, {SIGNED_PATH: reports.answer})


@functions_framework.http
def main(request: flask.Request) -> flask.Response:
    """Answer one request: one path per subscription of ``bus.json``, ``POST /ml/callback``, and ``GET /healthz``."""
    return service().answer(request)


@functions_framework.http
def signed(request: flask.Request) -> flask.Response:
    """Answer ``POST /ml/callback`` and ``GET /healthz`` only: the paths that workers outside Google Cloud may reach.

    The bus's paths trust every caller, so the service that has them must never be open to the public.
    """
    if request.path not in (SIGNED_PATH, READY_PATH):
        return flask.Response("there is nothing at this path\n", 404, mimetype="text/plain")
    return service().answer(request)


check_at_start(__name__, "callback", CallbackSettings.from_environment)
