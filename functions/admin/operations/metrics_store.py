"""The metric views, read as they are; of what there is one row per event, sums and the worst few."""

from __future__ import annotations

from typing import Any

from shared.database import Connection

Row = dict[str, Any]

# A scrape that takes longer than this is given up rather than keep the database busy until the next.
_TIMEOUT = "SELECT set_config('statement_timeout', '20s', true)"

_VIEWS = {
    "pending_jobs": "SELECT *, extract(epoch FROM now() - oldest_created_at) AS age FROM metric_pending_jobs",
    "failure_rate": "SELECT * FROM metric_failure_rate",
    "failures_by_reason": "SELECT * FROM metric_failures_by_reason",
    "processing_time": "SELECT * FROM metric_processing_time",
    "detection_milliseconds": "SELECT * FROM metric_detection_milliseconds",
    "callback_latency": "SELECT * FROM metric_callback_latency",
    "outbox": "SELECT *, extract(epoch FROM now() - oldest_created_at) AS age FROM metric_outbox",
    "dead_letters": "SELECT * FROM metric_dead_letters",
    # Days are a dashboard's business: a counter only grows.
    "auth_failures": "SELECT reason, sum(failures) AS failures FROM metric_auth_failures GROUP BY reason",
    "coverage": """
        SELECT count(*) AS events, coalesce(sum(photos), 0) AS photos, coalesce(sum(processed), 0) AS processed
        FROM metric_event_coverage
    """,
    # The events with most left to do: those that somebody may have to look after.
    "event_coverage": """
        SELECT event_id, coverage, photos - processed AS missing FROM metric_event_coverage
        ORDER BY photos - processed DESC, photos DESC, event_id LIMIT %(most_events)s
    """,
    "faces_per_photo": """
        SELECT coalesce(sum(photos), 0) AS photos, coalesce(sum(mean_faces * photos), 0) AS faces,
            coalesce(max(most_faces), 0) AS most_faces
        FROM metric_faces_per_photo
    """,
    "noise_ratio": """
        SELECT count(*) AS events, coalesce(sum(faces), 0) AS faces, coalesce(sum(persons), 0) AS persons,
            coalesce(sum(noise_ratio * faces), 0) AS noise, coalesce(sum(churn), 0) AS churn
        FROM metric_noise_ratio
    """,
    # Those of the last week with the most noise.
    "event_noise": """
        SELECT event_id, noise_ratio, silhouette FROM metric_noise_ratio
        WHERE created_at > now() - interval '7 days'
        ORDER BY noise_ratio DESC, faces DESC, event_id LIMIT %(most_events)s
    """,
}


def read(connection: Connection, most_events: int) -> dict[str, list[Row]]:
    """Return the rows of each view; of a view by event, at most ``most_events``."""
    connection.execute(_TIMEOUT)
    return {
        view: connection.execute(statement, {"most_events": most_events}).fetchall()
        for view, statement in _VIEWS.items()
    }
