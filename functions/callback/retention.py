"""Erase data whose retention period has ended, by the tick, in batches. docs/privacy.md has the schedule as a table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from functions.callback import retention_store
from shared.database import Database, again_on_conflict
from shared.log import logger

# Bounds one transaction, and one tick; the next tick goes on.
_BATCH = 500
_MOST_BATCHES = 20


@dataclass(frozen=True)
class RetentionPeriods:
    """How long each kind is kept.

    ``biometrics``: embeddings, landmarks and thumbnails, since their detection; and records that refer to them: the
    audit of reads, dead letters, refused uploads, the consent log of deleted events, and that a photo was deleted (for
    as long as a dead letter may be replayed that would restore it). ``answers``: kept answers to requests that may be
    repeated. ``addresses``: of invitations, since they were answered or expired.
    """

    biometrics: timedelta
    answers: timedelta = timedelta(days=1)
    addresses: timedelta = timedelta(days=30)


def erase_what_is_due(database: Database, periods: RetentionPeriods) -> int:
    """Erase what is older than its period; return the number of rows.

    Raises:
        Retryable: the database is away.
    """
    erased = {kind: _erase(database, kind, periods) for kind in retention_store.kinds()}
    if any(erased.values()):
        logger().info("retention", **{kind: rows for kind, rows in erased.items() if rows})
    with database.transaction() as connection:
        retention_store.complete_receipts(connection)
    return sum(erased.values())


def _erase(database: Database, kind: str, periods: RetentionPeriods) -> int:
    total = 0
    for _ in range(_MOST_BATCHES):
        erased = _erase_batch(database, kind, periods)
        total += erased
        if not erased:
            break
    return total


@again_on_conflict
def _erase_batch(database: Database, kind: str, periods: RetentionPeriods) -> int:
    with database.transaction() as connection:
        return retention_store.erase_batch(connection, kind, vars(periods), _BATCH)
