"""Erase data whose retention period has ended: at every tick, in batches. docs/privacy.md has the schedule."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from functions.callback import retention_store
from shared.database import Database, again_on_conflict
from shared.log import logger

# The most rows of one transaction, and the most transactions of one tick for each kind; the next tick continues.
_BATCH = 500
_MOST_BATCHES = 20


@dataclass(frozen=True)
class RetentionPeriods:
    """How long each kind of data is kept.

    ``biometrics``: embeddings, landmarks and thumbnails, from their detection; also the records that refer to them: the
    audit of reads, dead letters, refused uploads, the consent log of deleted events, and the tombstones of deleted
    photos (as long as a replayed dead letter could restore the photo). ``answers``: the responses kept for requests
    with an idempotency key. ``addresses``: the addresses of invitations, from their answer or expiry.
    """

    biometrics: timedelta
    answers: timedelta = timedelta(days=1)
    addresses: timedelta = timedelta(days=30)


def erase_what_is_due(database: Database, periods: RetentionPeriods) -> int:
    """Erase the data whose retention period has ended; return the number of rows.

    Raises:
        Retryable: the database is unavailable.
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
