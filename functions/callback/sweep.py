"""The tick: whatever was left over is picked up here. Safe to run at any time, any number of times at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from uuid import UUID

from functions.callback import store
from functions.callback.results import consider_clustering
from functions.callback.retention import erase_what_is_due
from functions.callback.settings import CallbackSettings
from shared import job_ledger
from shared.database import Connection, Database, again_on_conflict
from shared.log import logger
from shared.outbox import Outbox

# Bounds one tick; the next one goes on.
_BATCH = 200


@dataclass(frozen=True)
class Swept:
    """What a tick found to do."""

    outbox_entries: int
    stuck_jobs: int
    photos_without_job: int
    released_jobs: int
    clustering_requests: int
    erased: int = 0
    deleted_photos: int = 0


class Sweep:
    """The use case behind ``ticks``."""

    def __init__(self, database: Database, outbox: Outbox, settings: CallbackSettings) -> None:
        self._database = database
        self._outbox = outbox
        self._settings = settings

    def tick(self) -> Swept:
        """Drain the outbox, look after deleted photos, stuck jobs, forgotten photos and waiting jobs; debounce.

        In the end erase what was kept long enough.

        Raises:
            Retryable: the database is away.
        """
        drained = self._outbox.drain()
        deleted = self._settle_deleted_photos()
        stuck = self._look_after_stuck_jobs()
        grace = timedelta(seconds=self._settings.photo_grace)
        forgotten = self._in_one(lambda connection: store.request_photos_without_job(connection, grace, _BATCH))
        released = self._in_one(lambda connection: store.release_put_back(connection, _BATCH))
        released += self._in_one(
            lambda connection: store.release_waiting(connection, self._settings.low_priority_batch)
        )
        requests = self._debounce()
        erased = erase_what_is_due(self._database, self._settings.retention())
        swept = Swept(drained, stuck, forgotten, released, requests, erased, deleted)
        if swept != Swept(0, 0, 0, 0, 0):
            logger().info("swept", **vars(swept))
        self._outbox.drain_quietly()
        return swept

    def _settle_deleted_photos(self) -> int:
        """What the deletion of a photo's row leaves: done here, so that the host app's statement waits for nobody."""
        with self._database.transaction() as connection:
            found = store.unsettled_deletions(connection, _BATCH)
        return sum(
            self._in_one(partial(store.settle_deletion, media_id=media, event_id=event)) for media, event in found
        )

    @again_on_conflict
    def _in_one(self, work: Callable[[Connection], int]) -> int:
        """Do ``work`` in one transaction."""
        with self._database.transaction() as connection:
            return work(connection)

    def _look_after_stuck_jobs(self) -> int:
        after = timedelta(seconds=self._settings.job_stuck_after)
        with self._database.transaction() as connection:
            found = store.stuck_jobs(connection, after, _BATCH)
        return sum(self._look_after(job_id, after) for job_id in found)

    @again_on_conflict
    def _look_after(self, job_id: UUID, after: timedelta) -> bool:
        """Ask for the job again, or give it up when it was tried often enough."""
        with self._database.transaction() as connection:
            job = job_ledger.lock(connection, job_id)
            if job is None or not store.is_still_stuck(connection, job, after):
                return False
            if job.attempts < self._settings.job_max_attempts:
                store.ask_again(connection, job)
                logger().warning("a stuck job is asked for again", job_id=str(job_id), attempts=job.attempts)
            else:
                last = store.job_error(connection, job) or "no attempt left an error"
                reason = f"given up after {job.attempts} attempts that did not end; the last: {last}"
                job_ledger.fail(connection, job, "stuck", reason)
                logger().error("a stuck job is given up", job_id=str(job_id), attempts=job.attempts)
            return True

    def _debounce(self) -> int:
        with self._database.transaction() as connection:
            changed = store.changed_events(connection, _BATCH)
            untold = store.untold_events(connection, _BATCH)
        requests = 0
        for event_id in [*changed, *untold]:
            requests += self._in_one(partial(consider_clustering, event_id=event_id, settings=self._settings))
        return requests
