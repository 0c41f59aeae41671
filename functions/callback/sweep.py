"""The work of a tick: resume whatever was left unfinished. Safe to run at any time, also several times at once."""

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

# The most rows of one kind that one tick handles; the next tick continues.
_BATCH = 200


@dataclass(frozen=True)
class Swept:
    """How much of each kind of work a tick did."""

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
        """Do all periodic work.

        Drain the outbox; handle deleted photos and stuck jobs; request jobs for photos without an upload message;
        release waiting jobs; make the debounce's decisions that became due; erase data whose retention period ended.

        Raises:
            Retryable: the database is unavailable.
        """
        drained = self._outbox.drain()
        deleted = self._settle_deleted_photos()
        stuck = self._handle_stuck_jobs()
        grace = timedelta(seconds=self._settings.photo_grace)
        without_job = self._transact(lambda connection: store.request_photos_without_job(connection, grace, _BATCH))
        released = self._transact(lambda connection: store.release_put_back(connection, _BATCH))
        released += self._transact(
            lambda connection: store.release_waiting(connection, self._settings.low_priority_batch)
        )
        requests = self._debounce()
        erased = erase_what_is_due(self._database, self._settings.retention())
        swept = Swept(drained, stuck, without_job, released, requests, erased, deleted)
        if swept != Swept(0, 0, 0, 0, 0):
            logger().info("swept", **vars(swept))
        self._outbox.drain_quietly()
        return swept

    def _settle_deleted_photos(self) -> int:
        """Finish the deletion of photos whose rows the host app deleted.

        This is done here and not in the host app's own statement, so that its statement waits for no lock.
        """
        with self._database.transaction() as connection:
            found = store.unsettled_deletions(connection, _BATCH)
        return sum(
            self._transact(partial(store.settle_deletion, media_id=media, event_id=event)) for media, event in found
        )

    @again_on_conflict
    def _transact(self, work: Callable[[Connection], int]) -> int:
        """Run ``work`` in one transaction."""
        with self._database.transaction() as connection:
            return work(connection)

    def _handle_stuck_jobs(self) -> int:
        after = timedelta(seconds=self._settings.job_stuck_after)
        with self._database.transaction() as connection:
            found = store.stuck_jobs(connection, after, _BATCH)
        return sum(self._handle_stuck_job(job_id, after) for job_id in found)

    @again_on_conflict
    def _handle_stuck_job(self, job_id: UUID, after: timedelta) -> bool:
        """Publish the job's message again, or fail the job after its last attempt; False when it is not stuck."""
        with self._database.transaction() as connection:
            job = job_ledger.lock(connection, job_id)
            if job is None or not store.is_still_stuck(connection, job, after):
                return False
            if job.attempts < self._settings.job_max_attempts:
                store.ask_again(connection, job)
                logger().warning("a stuck job is requested again", job_id=str(job_id), attempts=job.attempts)
            else:
                last = store.job_error(connection, job) or "no attempt recorded an error"
                reason = f"given up after {job.attempts} attempts that did not end; the last error: {last}"
                job_ledger.fail(connection, job, "stuck", reason)
                logger().error("a stuck job is given up", job_id=str(job_id), attempts=job.attempts)
            return True

    def _debounce(self) -> int:
        with self._database.transaction() as connection:
            changed = store.changed_events(connection, _BATCH)
            untold = store.untold_events(connection, _BATCH)
        requests = 0
        for event_id in [*changed, *untold]:
            requests += self._transact(partial(consider_clustering, event_id=event_id, settings=self._settings))
        return requests
