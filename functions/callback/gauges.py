"""Log the state of the work as gauges, one log entry a tick: alerts and the dashboard are built on these entries."""

from __future__ import annotations

from functions.callback import metrics_store
from shared.database import Database
from shared.log import logger

# The entry's message and its fields: `terraform/monitoring.tf` makes a metric of each.
MESSAGE = "gauges"
NAMES = ("dead_letters", "failed_share", "oldest_outbox_seconds", "oldest_pending_seconds", "pending_jobs")


def log_gauges(database: Database) -> dict[str, float]:
    """Log the gauges and return them by name: counts, seconds, and a share from 0 to 1.

    Raises:
        Retryable: the database is unavailable.
    """
    with database.transaction() as connection:
        row = metrics_store.read_gauges(connection)
    gauges = {name: float(row[name] or 0) if row else 0.0 for name in NAMES}
    logger().info(MESSAGE, **gauges)
    return gauges
