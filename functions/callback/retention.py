"""What is kept no longer: erased by the tick, a batch at a time. docs/privacy.md has the schedule as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from shared.database import Database, again_on_conflict, one_row
from shared.log import logger

# Bounds one transaction, and one tick; the next tick goes on.
_BATCH = 500
_MOST_BATCHES = 20


@dataclass(frozen=True)
class RetentionPeriods:
    """How long each kind is kept.

    ``biometrics``: embeddings, landmarks and thumbnails since their detection, and what tells of them: the audit of
    reads, dead letters, refused uploads, the consent log of deleted events; and that a photo was deleted, as long as a
    letter may be replayed that would bring it back. ``answers``: for requests that are sent
    again. ``addresses``: of invitations, since they were answered or expired.
    """

    biometrics: timedelta
    answers: timedelta = timedelta(days=1)
    addresses: timedelta = timedelta(days=30)


# SQL knows where biometrics and addresses are: sql/migrations/0005_privacy.sql.
_BIOMETRICS = "SELECT erase_biometrics_older_than(%(biometrics)s, %(batch)s) AS erased"
_ADDRESSES = "SELECT erase_addresses_older_than(%(addresses)s, %(batch)s) AS erased"
_ANSWERS = """
WITH gone AS (
    DELETE FROM idempotency_keys WHERE (caller, key) IN (
        SELECT caller, key FROM idempotency_keys WHERE created_at < clock_timestamp() - %(answers)s
        LIMIT %(batch)s FOR UPDATE SKIP LOCKED
    ) RETURNING 1
) SELECT count(*) AS erased FROM gone
"""
# File names may be personal, and a letter holds the message whole.
_DEAD_LETTERS = """
WITH gone AS (
    DELETE FROM dead_letters WHERE id IN (
        SELECT id FROM dead_letters WHERE received_at < clock_timestamp() - %(biometrics)s
        ORDER BY received_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED
    ) RETURNING 1
) SELECT count(*) AS erased FROM gone
"""
_UNPLACED_JOBS = """
WITH gone AS (
    DELETE FROM ml_jobs WHERE id IN (
        SELECT id FROM ml_jobs WHERE event_id IS NULL AND completed_at < clock_timestamp() - %(biometrics)s
        ORDER BY completed_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED
    ) RETURNING 1
) SELECT count(*) AS erased FROM gone
"""
_READS = """
WITH gone AS (
    DELETE FROM biometric_reads WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM biometric_reads WHERE day < (clock_timestamp() - %(biometrics)s)::date
        ORDER BY day, subject_id LIMIT %(batch)s FOR UPDATE SKIP LOCKED
    )) RETURNING 1
) SELECT count(*) AS erased FROM gone
"""
# The log of consent proves what was allowed as long as there is the event.
_CONSENTS = """
WITH gone AS (
    DELETE FROM event_consents WHERE id IN (
        SELECT id FROM event_consents WHERE at < clock_timestamp() - %(biometrics)s
            AND NOT EXISTS (SELECT FROM events WHERE events.id = event_id)
        LIMIT %(batch)s FOR UPDATE SKIP LOCKED
    ) RETURNING 1
) SELECT count(*) AS erased FROM gone
"""
_DELETED_PHOTOS = """
WITH gone AS (
    DELETE FROM deleted_photos WHERE media_id IN (
        SELECT media_id FROM deleted_photos
        WHERE deleted_at < clock_timestamp() - %(biometrics)s AND settled_at IS NOT NULL
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
# Two drains that did the last two deletions at once left the receipt to this.
_COMPLETE_RECEIPTS = """
UPDATE purge_receipts SET completed_at = clock_timestamp() WHERE id IN (
    SELECT id FROM purge_receipts WHERE completed_at IS NULL
        AND NOT EXISTS (SELECT FROM outbox WHERE outbox.receipt_id = purge_receipts.id)
    FOR UPDATE SKIP LOCKED
)
"""


def erase_what_is_due(database: Database, periods: RetentionPeriods) -> int:
    """Erase what was kept long enough; returns how many rows.

    Raises:
        Retryable: the database is away.
    """
    erased = {kind: _erase(database, statement, periods) for kind, statement in _SCHEDULE.items()}
    if any(erased.values()):
        logger().info("retention", **{kind: rows for kind, rows in erased.items() if rows})
    with database.transaction() as connection:
        connection.execute(_COMPLETE_RECEIPTS)
    return sum(erased.values())


def _erase(database: Database, statement: str, periods: RetentionPeriods) -> int:
    total = 0
    for _ in range(_MOST_BATCHES):
        erased = _erase_batch(database, statement, periods)
        total += erased
        if not erased:
            break
    return total


@again_on_conflict
def _erase_batch(database: Database, statement: str, periods: RetentionPeriods) -> int:
    with database.transaction() as connection:
        return int(one_row(connection, statement, {**vars(periods), "batch": _BATCH})["erased"])
