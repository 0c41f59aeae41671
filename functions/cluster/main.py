"""Cluster's push entry: a request comes in, the event's persons are written."""

from __future__ import annotations

import flask
import functions_framework

from functions.cluster.run import ClusterRun
from functions.cluster.settings import ClusterSettings
from functions.cluster.workers import workers_at
from shared.contracts import ClusterRequested
from shared.database import Database
from shared.log import start_logging
from shared.outbox import Outbox
from shared.publish import PubSubPublisher
from shared.push import Delivery
from shared.service import Service, check_at_start, made_once


@made_once
def service() -> Service:
    """Build everything this process needs, on the first request (a worker forks after import)."""
    settings = ClusterSettings.from_environment()
    start_logging("cluster", settings.log_level)
    database = Database(settings.database_url, pool_size=settings.database_pool_size)
    outbox = Outbox(database, PubSubPublisher(settings.google_cloud_project))
    run = ClusterRun(database, outbox, settings.parameters, workers_at(settings.dask_scheduler_address))

    def requested(delivery: Delivery) -> None:
        run.requested(ClusterRequested.parse(delivery.data, delivery.attributes))

    return Service({"/cluster-requests": requested}, settings.google_cloud_project)


@functions_framework.http
def main(request: flask.Request) -> flask.Response:
    """Serve ``POST /cluster-requests`` and ``GET /healthz``."""
    return service().answer(request)


check_at_start(__name__, "cluster", ClusterSettings.from_environment)
