"""Run one clustering of one event: load, group, apply human decisions, write.

An event has one run at a time. No rows are locked while the run computes. Before it writes, it locks the event, loads
faces, persons and decisions again, and plans on them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from uuid import UUID

from functions.cluster import store
from functions.cluster.faces.rules import Grouping, group_faces
from functions.cluster.faces.silhouette import sampled_silhouette
from functions.cluster.parameters import ClusterParameters, parameters_of
from functions.cluster.persons.plan import person_id_from_faces, plan_persons
from functions.cluster.states import Plan
from functions.cluster.store import EventFaces, RunReport
from functions.cluster.workers import Workers, threads
from shared import consent, job_ledger
from shared.contracts import ClusterRequested
from shared.database import Connection, Database, again_on_conflict
from shared.errors import Permanent, Retryable
from shared.job_ledger import Job
from shared.log import log_context, logger
from shared.outbox import Outbox


class ClusterRun:
    """The use case behind ``cluster-requests``."""

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        parameters_of_pack: Callable[[str | None], ClusterParameters] = parameters_of,
        workers: Workers = threads,
    ) -> None:
        """``parameters_of_pack`` gives the parameters for the model id that is stored with the event's embeddings."""
        self._database = database
        self._outbox = outbox
        self._parameters_of_pack = parameters_of_pack
        self._workers = workers

    def requested(self, message: ClusterRequested) -> None:
        """Cluster the event, unless this request was dealt with before.

        Raises:
            Retryable: another run of the event is going on, or the database or the workers are away.
        """
        with log_context(job_id=message.job_id, event_id=message.event_id):
            try:
                if self._accept(message):
                    self._run(message)
            except Exception as error:
                job_ledger.note_error(self._database, message.job_id, error)
                raise
            self._outbox.drain_quietly()

    @again_on_conflict
    def _accept(self, message: ClusterRequested) -> bool:
        with self._database.transaction() as connection:
            consent.event_exists(connection, message.event_id)
            job = job_ledger.lock(connection, message.job_id)
            if job is None or job.run != message.run or job.has_ended:
                logger().info("a stale or repeated request: nothing to do")
                return False
            if job.event_id != message.event_id or job.job_type != "cluster":
                raise Permanent("wrong_event", "the request names another event than its job does")
            if job.status == "failed" and store.another_run_is_open(connection, job):
                logger().info("given up meanwhile, and asked for anew by another job: nothing to do")
                return False
            if not consent.keep_consent(connection, message.event_id):
                job_ledger.fail(
                    connection, job, "no_consent", "face recognition is not switched on, or the event is archived"
                )
                return False
            job_ledger.start(connection, job)
            return True

    @again_on_conflict
    def _run(self, message: ClusterRequested) -> None:
        with self._database.transaction() as connection:
            if not store.try_lock_run(connection, message.event_id):
                busy = "another run of this event is going on"
                raise Retryable(busy)
            started = time.perf_counter()
            event = store.load(connection, message.event_id)
            parameters = self._parameters_of_pack(event.embedding_model)
            loaded = time.perf_counter()
            with self._workers() as runner:
                grouping = group_faces(event.embeddings, event.faces, parameters, runner=runner)
            grouped = time.perf_counter()
            separation = sampled_silhouette(event.embeddings, grouping.labels)
            measured = time.perf_counter()

            job = self._lock_for_writing(connection, message)
            if job is None:
                return
            plan = self._plan(connection, message.event_id, event, grouping, parameters)
            planned = time.perf_counter()
            store.write_plan(connection, message.event_id, plan)
            written = time.perf_counter()
            stages = {
                "load": loaded - started,
                "group": grouped - loaded,
                "silhouette": measured - grouped,
                "plan": planned - measured,
                "write": written - planned,
                "total": written - started,
            }
            milliseconds = {stage: round(seconds * 1000, 1) for stage, seconds in stages.items()}
            report = RunReport(
                faces=len(event.faces),
                clusters=len({int(label) for label in grouping.labels} - {-1}),
                noise=int((grouping.labels < 0).sum()),
                silhouette=separation,
                churn=plan.moved_faces,
                suggestions=len(plan.suggestions) + len(plan.merge_suggestions) + len(plan.split_suggestions),
                milliseconds=milliseconds,
                parameters=asdict(parameters),
                embedding_model=event.embedding_model,
            )
            persons = store.write_report(connection, job, message.event_id, report)
            job_ledger.complete(
                connection,
                job,
                {
                    "faces": report.faces,
                    "clusters": report.clusters,
                    "persons": persons,
                    "noise": report.noise,
                    "churn": report.churn,
                    "milliseconds": milliseconds,
                },
            )
        logger().info("clustered", faces=report.faces, persons=persons, noise=report.noise, churn=report.churn)

    def _lock_for_writing(self, connection: Connection, message: ClusterRequested) -> Job | None:
        """Lock the job again; None if it ended, or consent was withdrawn, while the run computed.

        Accounts and the event's row come before the job's in the order of locks.
        """
        store.hold_users(connection, message.event_id)
        consent.event_exists(connection, message.event_id)
        job = job_ledger.lock(connection, message.job_id)
        if job is None or job.run != message.run or job.status != "processing":
            return None
        if not consent.keep_consent(connection, message.event_id):
            job_ledger.fail(connection, job, "no_consent", "consent was withdrawn while the event was clustered")
            return None
        return job

    def _plan(
        self,
        connection: Connection,
        event_id: UUID,
        event: EventFaces,
        grouping: Grouping,
        parameters: ClusterParameters,
    ) -> Plan:
        """Plan on the faces, persons and decisions as they are now: none of them changes until the end."""
        store.lock_decisions(connection, event_id)
        faces, persons = store.load_states(connection, event_id)
        row_of = {face.face_id: row for row, face in enumerate(event.faces)}
        kept = [face for face in faces if face.face_id in row_of]
        rows = [row_of[face.face_id] for face in kept]
        return plan_persons(
            event.embeddings[rows],
            kept,
            persons,
            grouping.labels[rows],
            new_id=person_id_from_faces(event_id),
            parameters=parameters,
        )
