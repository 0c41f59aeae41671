"""Callback's push entry: results, ticks, dead letters and notifications come in."""

from __future__ import annotations

import flask
import functions_framework

from functions.callback.dead_letters import DeadLetters
from functions.callback.notify import Notifier
from functions.callback.results import Results
from functions.callback.settings import CallbackSettings
from functions.callback.sweep import Sweep
from shared.bus import load_bus
from shared.contracts import JobFinished, Notification, Tick
from shared.database import Database
from shared.log import configure_logging
from shared.outbox import Outbox
from shared.publish import PubSubPublisher
from shared.push import Delivery, Handler
from shared.service import Service, made_once
from shared.storage import CloudStorage


@made_once
def service() -> Service:
    """Everything this process needs, made on the first request (a worker forks after import)."""
    settings = CallbackSettings.from_environment()
    configure_logging("callback", settings.log_level)
    database = Database(settings.database_url, pool_size=settings.database_pool_size)
    project = settings.google_cloud_project
    outbox = Outbox(database, PubSubPublisher(project), CloudStorage(project))
    results = Results(database, outbox, settings)
    sweep = Sweep(database, outbox, settings)
    notifier = Notifier(database)
    letters = DeadLetters(database, outbox)

    def finished(delivery: Delivery) -> None:
        results.finished(JobFinished.parse(delivery.data, delivery.attributes))

    def ticked(delivery: Delivery) -> None:
        Tick.parse(delivery.data, delivery.attributes)
        sweep.tick()

    def notified(delivery: Delivery) -> None:
        notifier.tell(Notification.parse(delivery.data, delivery.attributes))

    def letter_of(topic: str) -> Handler:
        return lambda delivery: letters.received(topic, delivery)

    routes: dict[str, Handler] = {"/face-results": finished, "/ticks": ticked, "/notifications": notified}
    bus = load_bus()
    for topic in bus.topics:
        routes[bus.dead_letter.subscription.path_prefix + topic.name] = letter_of(topic.name)
    return Service(routes, project)


@functions_framework.http
def main(request: flask.Request) -> flask.Response:
    """The function: one path per subscription of ``bus.json``, and ``GET /healthz``."""
    return service().answer(request)
