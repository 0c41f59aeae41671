"""The cluster function end to end, load, cluster and write, on a real Postgres: ``python -m benchmarks.cluster_run``.

Milliseconds are those of the run's own report, of the first run of an event (every person is new) and of a second one
(nothing changed). Every event is clustered in a process of its own, after a warm-up on a small one; memory is the most
that process held above what it held before.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from benchmarks.cluster import reset_peak, status_megabytes
from functions.cluster.run import ClusterRun
from local.cloud.postgres import database_url, postgres_process, remove_data
from local.cloud.processes import Supervisor
from local.cloud.state import State
from shared.contracts import ClusterRequested
from shared.database import Connection, Database
from shared.outbox import Outbox
from sql import vector_index
from sql.migrate import migrate
from tests.arrange import cluster_job
from tests.bulk_event import insert_event
from tests.fakes import RecordingPublisher
from tests.simulated_events import Scenario, simulate

SIZES = (1_000, 10_000)
WARM_UP = 300


def measure(url: str, count: int) -> None:
    """Cluster a simulated event of ``count`` faces twice, and print the figures as a line of JSON."""
    with psycopg.connect(url, autocommit=True, row_factory=dict_row) as connection:
        database = Database(url)
        run = ClusterRun(database, Outbox(database, RecordingPublisher()))
        _cluster(connection, run, WARM_UP, seed=count + 1)
        before = reset_peak()
        seconds, stages = _cluster(connection, run, count, seed=count)
        print(json.dumps({"seconds": seconds, "stages": stages, "megabytes": status_megabytes("VmHWM") - before}))
        database.close()


def _cluster(
    connection: Connection, run: ClusterRun, count: int, *, seed: int
) -> tuple[list[float], list[dict[str, float]]]:
    """Seconds and milliseconds by stage of the first and the second run of a new event."""
    scenario = replace(Scenario(main_persons=2, main_presence=0.3), faces=count)
    event_id = insert_event(connection, simulate(scenario, seed))
    seconds = []
    for _ in range(2):
        message = ClusterRequested(job_id=cluster_job(connection, event_id), run=1, event_id=event_id)
        began = time.perf_counter()
        run.requested(message)
        seconds.append(time.perf_counter() - began)
    return seconds, _reports(connection, event_id)


def _reports(connection: Connection, event_id: UUID) -> list[dict[str, float]]:
    rows = connection.execute(
        "SELECT milliseconds FROM cluster_runs WHERE event_id = %s ORDER BY created_at", (event_id,)
    )
    return [row["milliseconds"] for row in rows]


@contextmanager
def _postgres() -> Iterator[str]:
    """Make a migrated database for this benchmark alone, flushed to disk as in production."""
    with tempfile.TemporaryDirectory() as folder:
        state = State(Path(folder))
        state.lock()
        supervisor = Supervisor(state.directory / "logs", lambda _: None)
        port = state.ports("postgres")["postgres"]
        try:
            supervisor.start(postgres_process("postgres", port, state.directory, lambda _: None))
            migrate(database_url(port))
            yield database_url(port)
        finally:
            supervisor.stop()
            remove_data(state.directory)
            state.release()


def main() -> None:
    """Read the command line, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default=",".join(str(size) for size in SIZES))
    parser.add_argument("--with-vector-index", action="store_true", help="what make vector-index costs: run with it")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        measure(arguments.url, arguments.one)
        return
    stages = ("load", "group", "silhouette", "plan", "write")
    print("".join(f"{name:>12}" for name in ("faces", "run", "seconds", *(f"{stage} ms" for stage in stages), "MB")))
    with _postgres() as url:
        if arguments.with_vector_index:
            vector_index.build(url)
        for size in (int(size) for size in arguments.sizes.split(",")):
            command = [sys.executable, "-m", "benchmarks.cluster_run", "--one", str(size), "--url", url]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603 - ourselves
            result = json.loads(done.stdout.splitlines()[-1])
            for name, seconds, milliseconds in zip(
                ("first", "second"), result["seconds"], result["stages"], strict=True
            ):
                cells = "".join(f"{milliseconds[stage]:>12.0f}" for stage in stages)
                print(f"{size:>12,}{name:>12}{seconds:>12.2f}{cells}{result['megabytes']:>12.0f}", flush=True)


if __name__ == "__main__":
    main()
