"""Telling people. The words are made here, from ids, when they are told: a message carries none."""

from __future__ import annotations

from functions.callback import store
from shared.contracts import Notification
from shared.database import Database
from shared.log import log_context, logger

_CLUSTERING_FINISHED = {
    "fr": ("Analyse terminée : {n} personne détectée", "Analyse terminée : {n} personnes détectées"),
    "en": ("Analysis finished: {n} person found", "Analysis finished: {n} people found"),
}


def clustering_finished(language: str, persons: int) -> str:
    """The sentence for the event's creator. French counts 0 as singular, English does not."""
    one, many = _CLUSTERING_FINISHED.get(language, _CLUSTERING_FINISHED["en"])
    is_one = persons < 2 if language == "fr" else persons == 1  # noqa: PLR2004 - two is the first plural
    return (one if is_one else many).format(n=persons)


class Notifier:
    """The use case behind ``notifications``: says it in the log; the host app hears it by subscribing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def tell(self, message: Notification) -> None:
        """Say what happened.

        Raises:
            Retryable: the database is away.
        """
        with log_context(event_id=message.event_id, job_id=message.job_id):
            with self._database.transaction() as connection:
                outcome = store.run_outcome(connection, message.job_id, message.run, message.event_id)
            if outcome is None:
                logger().info("a notification of something that is gone")
                return
            logger().info("notification", kind=message.kind, text=clustering_finished(*outcome))
