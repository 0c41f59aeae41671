"""The same block tasks on the workers of a Dask cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from distributed import LocalCluster

from functions.cluster.dask_runner import DaskRunner, OnDemand, connected
from functions.cluster.run import ClusterRun
from functions.cluster.tree.block_runner import Pair
from functions.cluster.tree.spanning_tree import MAX_ALL_PAIRS, minimum_spanning_tree
from functions.cluster.workers import workers_at
from shared.errors import Retryable
from shared.outbox import Outbox
from tests.arrange import job_row
from tests.bulk_event import insert_event
from tests.integration.cluster.conftest import Clustering
from tests.simulated_events import Scenario, simulate

FACES = MAX_ALL_PAIRS + 100
"""Enough for the event to be spread over the workers."""


@pytest.fixture(scope="module")
def scheduler_address() -> Iterator[str]:
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as workers:  # type: ignore[no-untyped-call]
        yield workers.scheduler_address


def test_two_workers_give_the_very_same_tree_as_threads_and_as_the_whole_matrix(scheduler_address: str) -> None:
    embeddings = simulate(Scenario(faces=FACES, main_presence=0.3, main_persons=2), 1).embeddings
    whole = minimum_spanning_tree(embeddings, 2, max_all_pairs=FACES)
    threads = minimum_spanning_tree(embeddings, 2, block_rows=600)
    with connected(scheduler_address) as client:
        workers = minimum_spanning_tree(embeddings, 2, block_rows=600, runner=DaskRunner(client))
    for name in ("left", "right", "weight", "distance"):
        assert np.array_equal(getattr(threads, name), getattr(whole, name)), name
        assert np.array_equal(getattr(workers, name), getattr(whole, name)), name


def test_a_run_on_two_workers_writes_the_persons_that_a_run_on_threads_writes(
    clustering: Clustering, scheduler_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulated = simulate(Scenario(faces=FACES, main_presence=0.3, main_persons=2), 2)
    event_id = insert_event(clustering.connection, simulated)
    clustering.cluster(event_id)
    on_threads = clustering.persons(event_id)
    assert len(on_threads) > 50
    clustering.connection.execute("UPDATE faces SET face_person_id = NULL WHERE event_id = %s", (event_id,))
    clustering.connection.execute("DELETE FROM face_persons WHERE event_id = %s", (event_id,))

    tasks: list[Pair] = []
    run = OnDemand.run

    def noting_run(self: OnDemand, function: Any, blocks: Sequence[Any], pairs: Sequence[Pair]) -> Any:
        tasks.extend(pairs)
        return run(self, function, blocks, pairs)

    monkeypatch.setattr(OnDemand, "run", noting_run)
    outbox = Outbox(clustering.database, clustering.bus)
    message = clustering.request(event_id)
    ClusterRun(clustering.database, outbox, workers=workers_at(scheduler_address)).requested(message)
    assert tasks, "no task went to the workers"
    assert clustering.persons(event_id) == on_threads


def test_a_run_whose_workers_are_away_is_tried_again_and_its_job_says_why(
    clustering: Clustering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("functions.cluster.dask_runner.CONNECT_SECONDS", 1)
    event_id = insert_event(clustering.connection, simulate(Scenario(faces=FACES), 3))
    outbox = Outbox(clustering.database, clustering.bus)
    message = clustering.request(event_id)
    # Port 9 is "discard": nobody listens there.
    run = ClusterRun(clustering.database, outbox, workers=workers_at("tcp://127.0.0.1:9"))
    with pytest.raises(Retryable, match="DASK_SCHEDULER_ADDRESS"):
        run.requested(message)
    job = job_row(clustering.connection, message.job_id)
    assert job["status"] == "processing"
    assert "DASK_SCHEDULER_ADDRESS" in job["error"]
    assert clustering.persons(event_id) == {}


def test_a_small_event_needs_no_worker(clustering: Clustering) -> None:
    event_id = insert_event(clustering.connection, simulate(Scenario(faces=60), 3))
    outbox = Outbox(clustering.database, clustering.bus)
    ClusterRun(clustering.database, outbox, workers=workers_at("tcp://127.0.0.1:9")).requested(
        clustering.request(event_id)
    )
    assert clustering.persons(event_id) != {}
