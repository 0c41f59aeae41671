"""``GET /metrics``: the metric views as Prometheus reads them, for service callers.

The database is asked at each scrape: nothing is counted in the process, of which there are many. The number of series
does not grow with the number of events: what there is per event is summed, and shown for a few by id.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import flask
from flask_openapi3 import APIBlueprint, Tag
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from functions.admin.door.auth import Caller
from functions.admin.door.problems import forbidden
from functions.admin.door.resources import Resources
from functions.admin.operations import metrics_store
from functions.admin.operations.metrics_store import Row

# Events that have series of their own.
_MOST_EVENTS = 20


def routes(resources: Resources) -> APIBlueprint:
    """Make the route of metrics."""
    api = APIBlueprint("metrics", __name__, abp_tags=[Tag(name="operations")])

    @api.get("/metrics", responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}})
    def get_metrics() -> flask.Response:
        """Get the metrics in Prometheus' text format; for service callers."""
        caller: Caller = flask.g.caller
        if not caller.is_service:
            raise forbidden("metrics are for service callers")
        with resources.transaction(caller) as connection:
            rows = metrics_store.read(connection, _MOST_EVENTS)
        return flask.Response(exposition(rows), content_type=CONTENT_TYPE_PLAIN_0_0_4)

    return api


def exposition(rows: Mapping[str, list[Row]]) -> bytes:
    """Format the rows of `metrics_store` in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Rows(rows))
    return generate_latest(registry)


class _Rows(Collector):
    def __init__(self, rows: Mapping[str, list[Row]]) -> None:
        self._rows = rows

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics that have rows."""
        yield from _jobs(self._rows)
        yield from _detection(self._rows)
        yield from _clustering(self._rows)
        yield from _bus(self._rows)
        failures = CounterMetricFamily("trombi_auth_failures", "Credentials that were refused.", labels=["reason"])
        for row in self._rows["auth_failures"]:
            failures.add_metric([row["reason"]], row["failures"])
        yield failures


def _jobs(rows: Mapping[str, list[Row]]) -> Iterator[Metric]:
    pending = rows["pending_jobs"]
    labels = ("job_type", "priority", "status")
    yield _gauge("trombi_jobs_open", "Jobs that are pending or processing.", labels, "jobs", pending)
    yield _gauge("trombi_jobs_oldest_age_seconds", "Age of the oldest open job.", labels, "age", pending)
    finished, by_type = rows["failure_rate"], ("job_type",)
    yield _gauge("trombi_jobs_finished_1d", "Jobs that ended in the last 24 hours.", by_type, "finished", finished)
    yield _gauge("trombi_jobs_failed_1d", "Those of them that failed.", by_type, "failed", finished)
    yield _gauge(
        "trombi_jobs_failure_ratio_1d", "Failed of finished jobs, last 24 hours.", by_type, "failure_rate", finished
    )
    yield _gauge(
        "trombi_jobs_failed_by_reason_1d",
        "Jobs that failed in the last 24 hours, by the reason's code.",
        ("job_type", "error_code"),
        "jobs",
        rows["failures_by_reason"],
    )
    times = rows["processing_time"]
    yield _seconds(
        "trombi_jobs_processing_seconds_mean_1d",
        "Mean time from a job's start to its end, last 24 hours.",
        by_type,
        "mean_ms",
        times,
    )
    yield _seconds(
        "trombi_jobs_processing_seconds_p95_1d",
        "95th percentile of the time from a job's start to its end, last 24 hours.",
        by_type,
        "p95_ms",
        times,
    )


def _detection(rows: Mapping[str, list[Row]]) -> Iterator[Metric]:
    stages = rows["detection_milliseconds"]
    yield _seconds(
        "trombi_detection_seconds_mean_1d",
        "Mean time of a photo by stage, last 24 hours.",
        ("stage",),
        "mean_ms",
        stages,
    )
    yield _seconds(
        "trombi_detection_seconds_p95_1d",
        "95th percentile of a photo's time by stage, last 24 hours.",
        ("stage",),
        "p95_ms",
        stages,
    )
    [faces] = rows["faces_per_photo"]
    photos = faces["photos"]
    yield _one("trombi_faces_per_photo_mean", "Mean number of faces found on a photo.", _ratio(faces["faces"], photos))
    yield _one("trombi_faces_per_photo_max", "Most faces found on one photo.", faces["most_faces"])
    [covered] = rows["coverage"]
    yield _one("trombi_events", "Events that there are.", covered["events"])
    yield _one("trombi_photos", "Photos that there are.", covered["photos"])
    yield _one("trombi_photos_processed", "Photos with a completed detection.", covered["processed"])
    by_event = rows["event_coverage"]
    yield _gauge(
        "trombi_event_coverage_ratio",
        f"Processed photos of an event; of the {_MOST_EVENTS} events with most to do.",
        ("event_id",),
        "coverage",
        by_event,
    )
    yield _gauge(
        "trombi_event_photos_missing",
        f"Photos of an event that are not processed; of the {_MOST_EVENTS} events with most to do.",
        ("event_id",),
        "missing",
        by_event,
    )


def _clustering(rows: Mapping[str, list[Row]]) -> Iterator[Metric]:
    [runs] = rows["noise_ratio"]
    yield _one("trombi_clustered_events", "Events that were clustered.", runs["events"])
    yield _one("trombi_clustered_faces", "Faces in the last run of each event.", runs["faces"])
    yield _one("trombi_clustered_persons", "Persons that the last run of each event found.", runs["persons"])
    yield _one(
        "trombi_cluster_noise_ratio",
        "Faces that are nobody's, of all faces in the last run of each event.",
        _ratio(runs["noise"], runs["faces"]),
    )
    yield _one("trombi_cluster_churn_faces", "Faces whose person changed in the last run of each event.", runs["churn"])
    by_event = rows["event_noise"]
    yield _gauge(
        "trombi_event_noise_ratio",
        f"Faces that are nobody's in an event's last run; the {_MOST_EVENTS} highest of the last week.",
        ("event_id",),
        "noise_ratio",
        by_event,
    )
    yield _gauge(
        "trombi_event_silhouette",
        "Mean silhouette of those runs; without a value where it is not defined.",
        ("event_id",),
        "silhouette",
        [row for row in by_event if row["silhouette"] is not None],
    )


def _bus(rows: Mapping[str, list[Row]]) -> Iterator[Metric]:
    latency, by_type = rows["callback_latency"], ("job_type",)
    yield _seconds(
        "trombi_callback_latency_seconds_mean_1d",
        "Mean time from a job's end until callback knew of it, last 24 hours.",
        by_type,
        "mean_ms",
        latency,
    )
    yield _seconds(
        "trombi_callback_latency_seconds_p95_1d",
        "95th percentile of the time from a job's end until callback knew of it, last 24 hours.",
        by_type,
        "p95_ms",
        latency,
    )
    outbox, kind = rows["outbox"], ("kind",)
    yield _gauge("trombi_outbox_entries", "Entries of the outbox that are due.", kind, "entries", outbox)
    yield _gauge("trombi_outbox_oldest_age_seconds", "Age of the oldest of them.", kind, "age", outbox)
    yield _gauge("trombi_outbox_attempts_max", "Most attempts that one of them took.", kind, "most_attempts", outbox)
    letters, topic = rows["dead_letters"], ("topic",)
    yield _gauge("trombi_dead_letters_waiting", "Dead letters that were not replayed.", topic, "waiting", letters)
    yield _gauge("trombi_dead_letters_kept", "Dead letters that are kept.", topic, "received", letters)


def _gauge(name: str, text: str, labels: tuple[str, ...], value: str, rows: Iterable[Row]) -> Metric:
    metric = GaugeMetricFamily(name, text, labels=labels)
    for row in rows:
        metric.add_metric([str(row[label]) for label in labels], float(row[value]))
    return metric


def _seconds(name: str, text: str, labels: tuple[str, ...], milliseconds: str, rows: Iterable[Row]) -> Metric:
    converted = [{**row, milliseconds: float(row[milliseconds]) / 1000} for row in rows]
    return _gauge(name, text, labels, milliseconds, converted)


def _one(name: str, text: str, value: Any) -> Metric:  # noqa: ANN401 - whatever number the driver makes of SQL's
    return GaugeMetricFamily(name, text, value=float(value))


def _ratio(part: Any, whole: Any) -> float:  # noqa: ANN401 - as above
    return float(part) / float(whole) if whole else 0.0
