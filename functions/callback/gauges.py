"""How things stand in the database, as one log entry a tick: the alerts and the dashboard read it out of the log."""

from __future__ import annotations

from shared.database import Database
from shared.log import logger

# The entry's message and its fields: `terraform/monitoring.tf` makes a metric of each.
MESSAGE = "gauges"
NAMES = ("dead_letters", "failed_share", "oldest_outbox_seconds", "oldest_pending_seconds", "pending_jobs")

# Low priority waits on purpose, so its age is no sign of trouble. Of a handful of jobs a share says nothing.
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


def tell(database: Database) -> dict[str, float]:
    """Log the gauges, and return them by name: counts, seconds, and a share from 0 to 1.

    Raises:
        Retryable: the database is away.
    """
    with database.transaction() as connection:
        row = connection.execute(_GAUGES).fetchone()
    gauges = {name: float(row[name] or 0) if row else 0.0 for name in NAMES}
    logger().info(MESSAGE, **gauges)
    return gauges
