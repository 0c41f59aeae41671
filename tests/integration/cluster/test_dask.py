"""The same block tasks on the workers of a Dask cluster."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from distributed import Client, LocalCluster

from functions.cluster.dask_runner import DaskRunner, connected
from functions.cluster.spanning_tree import minimum_spanning_tree
from tests.simulated_events import Scenario, simulate


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    workers = LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0")  # type: ignore[no-untyped-call]
    with workers, connected(workers.scheduler_address) as client:
        yield client


def test_two_workers_give_the_very_same_tree_as_threads_and_as_the_whole_matrix(client: Client) -> None:
    embeddings = simulate(Scenario(faces=1500, main_presence=0.3, main_persons=2), 1).embeddings
    whole = minimum_spanning_tree(embeddings, 2)
    threads = minimum_spanning_tree(embeddings, 2, dense_rows=1, block_rows=600)
    workers = minimum_spanning_tree(embeddings, 2, dense_rows=1, block_rows=600, runner=DaskRunner(client))
    for name in ("left", "right", "weight", "distance"):
        assert np.array_equal(getattr(threads, name), getattr(whole, name)), name
        assert np.array_equal(getattr(workers, name), getattr(whole, name)), name
