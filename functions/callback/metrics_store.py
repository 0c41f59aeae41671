"""SQL of callback's metrics: the gauges, and the count of refused requests."""

from __future__ import annotations

from typing import Any

from shared.database import Connection

# Low-priority jobs wait on purpose, so their age is left out. The failed share of fewer than 20 jobs is not meaningful.
_GAUGES = """
SELECT
    (SELECT coalesce(sum(waiting), 0) FROM metric_dead_letters)::integer AS dead_letters,
    (SELECT CASE WHEN sum(finished) >= 20 THEN sum(failed)::float8 / sum(finished)::float8 ELSE 0 END
        FROM metric_failure_rate) AS failed_share,
    (SELECT coalesce(extract(epoch FROM now() - min(oldest_created_at)), 0) FROM metric_outbox)::float8
        AS oldest_outbox_seconds,
    (SELECT coalesce(extract(epoch FROM now() - min(oldest_created_at)), 0) FROM metric_pending_jobs
        WHERE priority <> 'low')::float8 AS oldest_pending_seconds,
    (SELECT coalesce(sum(jobs), 0) FROM metric_pending_jobs)::integer AS pending_jobs
"""
_COUNT_FAILURE = """
INSERT INTO auth_failures (reason) VALUES (%s)
ON CONFLICT (day, reason) DO UPDATE SET failures = auth_failures.failures + 1
"""


def read_gauges(connection: Connection) -> dict[str, Any] | None:
    """Return the gauges, one column each."""
    return connection.execute(_GAUGES).fetchone()


def count_auth_failure(connection: Connection, reason: str) -> None:
    """Add one to today's number of requests that were refused for this reason."""
    connection.execute(_COUNT_FAILURE, (reason,))
