"""SQL of retention: erase rows that are older than their period, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta

from shared.database import Connection, one_row

# statement_timestamp() is the same for all rows, so that an index can find the older ones; clock_timestamp() may differ
# from row to row, and no index could be used.
# The database's own functions know where biometric data and addresses are: sql/migrations/0005_privacy.sql.
_BIOMETRICS = "SELECT erase_biometrics_older_than(%(biometrics)s, %(batch)s) AS erased"
_ADDRESSES = "SELECT erase_addresses_older_than(%(addresses)s, %(batch)s) AS erased"
_ANSWERS = """
WITH gone AS (
    DELETE FROM idempotency_keys WHERE (caller, key) IN (
        SELECT caller, key FROM idempotency_keys WHERE created_at < statement_timestamp() - %(answers)s
        LIMIT %(batch)s FOR UPDATE SKIP LOCKED
    ) RETURNING 1
) SELECT count(*) AS erased FROM gone
"""
# File names may be personal, and a dead letter holds the whole message.
_DEAD_LETTERS = """
WITH gone AS (
    DELETE FROM dead_letters WHERE id IN (
        SELECT id FROM dead_letters WHERE received_at < statement_timestamp() - %(biometrics)s
        ORDER BY received_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED
    ) RETURNING 1
) SELECT count(*) AS erased FROM gone
"""
_UNPLACED_JOBS = """
WITH gone AS (
    DELETE FROM ml_jobs WHERE id IN (
        SELECT id FROM ml_jobs WHERE event_id IS NULL AND completed_at < statement_timestamp() - %(biometrics)s
        ORDER BY completed_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED
    ) RETURNING 1
) SELECT count(*) AS erased FROM gone
"""
_READS = """
WITH gone AS (
    DELETE FROM biometric_reads WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM biometric_reads WHERE day < (statement_timestamp() - %(biometrics)s)::date
        ORDER BY day, subject_id LIMIT %(batch)s FOR UPDATE SKIP LOCKED
    )) RETURNING 1
) SELECT count(*) AS erased FROM gone
"""
# The consent log proves what was allowed, and is kept as long as its event exists.
_CONSENTS = """
WITH gone AS (
    DELETE FROM event_consents WHERE id IN (
        SELECT id FROM event_consents WHERE at < statement_timestamp() - %(biometrics)s
            AND NOT EXISTS (SELECT FROM events WHERE events.id = event_id)
        LIMIT %(batch)s FOR UPDATE SKIP LOCKED
    ) RETURNING 1
) SELECT count(*) AS erased FROM gone
"""
_DELETED_PHOTOS = """
WITH gone AS (
    DELETE FROM deleted_photos WHERE media_id IN (
        SELECT media_id FROM deleted_photos
        WHERE deleted_at < statement_timestamp() - %(biometrics)s AND settled_at IS NOT NULL
        ORDER BY deleted_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED
    ) RETURNING 1
) SELECT count(*) AS erased FROM gone
"""
_SCHEDULE: Mapping[str, str] = {
    "biometrics": _BIOMETRICS,
    "addresses": _ADDRESSES,
    "answers": _ANSWERS,
    "dead_letters": _DEAD_LETTERS,
    "unplaced_jobs": _UNPLACED_JOBS,
    "reads": _READS,
    "consents": _CONSENTS,
    "deleted_photos": _DELETED_PHOTOS,
}
# A receipt stays incomplete when two drains carry out its last two deletions at the same time.
_COMPLETE_RECEIPTS = """
UPDATE purge_receipts SET completed_at = clock_timestamp() WHERE id IN (
    SELECT id FROM purge_receipts WHERE completed_at IS NULL
        AND NOT EXISTS (SELECT FROM outbox WHERE outbox.receipt_id = purge_receipts.id)
    FOR UPDATE SKIP LOCKED
)
"""


def kinds() -> Iterable[str]:
    """Return the kinds of data that have a retention period, in the order in which they are erased."""
    return _SCHEDULE.keys()


def erase_batch(connection: Connection, kind: str, periods: Mapping[str, timedelta], most: int) -> int:
    """Erase up to ``most`` rows of a kind that are older than its period; return how many."""
    return int(one_row(connection, _SCHEDULE[kind], {**periods, "batch": most})["erased"])


def complete_receipts(connection: Connection) -> None:
    """Complete the purge receipts whose deletions in buckets are all done."""
    connection.execute(_COMPLETE_RECEIPTS)
