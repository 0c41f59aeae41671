"""Record that a job has finished, and decide whether to cluster its event now."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from functions.callback import store
from functions.callback.debounce import decide
from functions.callback.settings import CallbackSettings
from shared import job_ledger, outbox
from shared.consent import consents
from shared.contracts import JobFinished, Notification
from shared.database import Connection, Database, again_on_conflict
from shared.log import log_context, logger
from shared.outbox import Outbox


class Results:
    """The use case behind ``face-results``."""

    def __init__(self, database: Database, outbox_: Outbox, settings: CallbackSettings) -> None:
        self._database = database
        self._outbox = outbox_
        self._settings = settings

    def finished(self, message: JobFinished) -> None:
        """Record the outcome, and request clustering if it is due.

        Raises:
            Retryable: the database is unavailable.
        """
        with log_context(job_id=message.job_id, event_id=message.event_id, media_id=message.media_id):
            self._note(message)
            self._outbox.drain_quietly()

    @again_on_conflict
    def _note(self, message: JobFinished) -> None:
        with self._database.transaction() as connection:
            if message.event_id is not None:
                store.hold_event(connection, message.event_id)
            job_ledger.note_reported(connection, message.job_id, message.run)
            if message.event_id is not None:
                consider_clustering(connection, message.event_id, self._settings)


def consider_clustering(connection: Connection, event_id: UUID, settings: CallbackSettings) -> bool:
    """Request clustering if it is due; otherwise, once nothing is left to do, notify people of the last run.

    Returns whether clustering was requested.

    Nothing is left to do when no photo waits, no run is open and no change is waiting for a later run, so that people
    are not notified after every run while photos still arrive. The last step towards that may be the end of a run, the
    last photo (one without faces), or the passing of time.
    """
    locked = store.lock_counters(connection, event_id, timedelta(seconds=settings.photo_grace))
    if locked is None or not consents(connection, event_id):
        return False
    counters, now = locked
    decision = decide(counters, now, settings.debounce())
    if decision.request:
        job_id = store.request_clustering(connection, event_id)
        logger().info("clustering requested", job_id=str(job_id), changed_photos=counters.changed_photos)
    elif decision.due_at is None and not counters.run_is_open and not counters.photos_wait:
        finished = job_ledger.take_finished_run(connection, event_id)
        if finished is not None:
            job_id, run = finished
            outbox.add_message(
                connection, Notification(kind="clustering_finished", event_id=event_id, job_id=job_id, run=run)
            )
    return decision.request
