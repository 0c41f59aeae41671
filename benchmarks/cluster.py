"""How fast and how large clustering is, beside the other implementations of HDBSCAN, in one run.

``python -m benchmarks.cluster [--sizes 1000,5000,…] [--repeat N]``; the cluster function with its database is measured
by ``python -m benchmarks.cluster_run``.

Every method runs in a process of its own, after a warm-up on a few hundred faces; its memory is the most the process
held above what it held before the call. The limit is the time this machine's sgemm takes for the full similarity
matrix (n * n * d multiplications and additions), measured just before each method, as other load comes and goes.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import hdbscan
import numpy as np
import sklearn.cluster
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_info

from functions.cluster.faces.rules import group_faces
from functions.cluster.states import FaceState
from functions.cluster.tree import BlockRunner, cluster
from tests.simulated_events import Scenario, simulate

SIZES = (1_000, 5_000, 10_000, 20_000, 50_000, 100_000)
"""200,000 by ``--sizes 200000 --methods trombi``: four minutes."""
LARGEST_FOR_MATRIX = 20_000
"""hdbscan and sklearn hold several n x n matrices of float64: 9 GB here."""

LEAST_SECONDS = 1.0
"""A method that is repeated is repeated for so long at least: of a few runs of 20 ms, the best says little."""

PARAMETERS = {"min_cluster_size": 3, "cluster_selection_epsilon": 0.4}

Embeddings = NDArray[np.float32]
Method = Callable[[Embeddings], NDArray[Any]]


def trombi(embeddings: Embeddings) -> NDArray[Any]:
    """Our engine, face rules off."""
    return cluster(embeddings, min_samples=2, **PARAMETERS).labels  # type: ignore[arg-type]


def trombi_rules(embeddings: Embeddings) -> NDArray[Any]:
    """Our engine with all face rules."""
    faces = [FaceState(UUID(int=row), UUID(int=row)) for row in range(embeddings.shape[0])]
    return group_faces(embeddings, faces).labels


def trombi_dask(embeddings: Embeddings) -> NDArray[Any]:
    """Our engine on two Dask workers."""
    return cluster(embeddings, min_samples=2, runner=_dask_runner(), **PARAMETERS).labels  # type: ignore[arg-type]


def hdbscan_precomputed(embeddings: Embeddings) -> NDArray[Any]:
    """``hdbscan`` on a precomputed float64 matrix, the matrix included."""
    rows = embeddings.astype(np.float64)
    distances = np.maximum(1.0 - rows @ rows.copy().T, 0.0)
    np.fill_diagonal(distances, 0.0)
    return np.asarray(hdbscan.HDBSCAN(metric="precomputed", min_samples=2, **PARAMETERS).fit(distances).labels_)


def sklearn_cosine(embeddings: Embeddings) -> NDArray[Any]:
    """``sklearn.cluster.HDBSCAN``, whose ``min_samples`` counts the point itself."""
    # Its epsilon search fails on numpy 2.4: a numpy scalar where it wants an array.
    parameters = dict(PARAMETERS, cluster_selection_epsilon=0.0)
    model = sklearn.cluster.HDBSCAN(metric="cosine", min_samples=3, copy=True, **parameters)
    return np.asarray(model.fit(embeddings).labels_)


def fast_hdbscan_cosine(embeddings: Embeddings) -> NDArray[Any]:
    """``fast_hdbscan``: approximate neighbours, other labels."""
    fast_hdbscan = importlib.import_module("fast_hdbscan")  # compiles for seconds: not for the others to wait for
    return np.asarray(fast_hdbscan.HDBSCAN(metric="cosine", min_samples=2, **PARAMETERS).fit(embeddings).labels_)


METHODS: dict[str, Method] = {
    "trombi": trombi,
    "trombi, all face rules": trombi_rules,
    "trombi, 2 Dask workers": trombi_dask,
    "hdbscan precomputed": hdbscan_precomputed,
    "sklearn cosine, epsilon 0": sklearn_cosine,
    "fast_hdbscan cosine": fast_hdbscan_cosine,
}
NEEDS = {"trombi, 2 Dask workers": "distributed", "fast_hdbscan cosine": "fast_hdbscan"}
NEEDS_MATRIX = {"hdbscan precomputed", "sklearn cosine, epsilon 0"}


@dataclass(frozen=True)
class Measured:
    """Seconds (the best of the repetitions), megabytes above the start, and sgemm's seconds for the same matrix."""

    seconds: float
    megabytes: float
    limit: float


def sgemm_seconds(count: int, dimensions: int) -> float:
    """How long this machine's sgemm would take, now and with all processors, for an n x n x d product."""
    rows = np.random.default_rng(0).standard_normal((2000, dimensions)).astype(np.float32)
    out = np.empty((2000, 2000), dtype=np.float32)
    best = np.inf
    for _ in range(6):
        begin = time.perf_counter()
        np.dot(rows, rows[::-1].copy().T, out=out)
        best = min(best, time.perf_counter() - begin)
    return best * (count / 2000) ** 2


def measure(method: str, file: Path, repeat: int) -> Measured:
    """Run one method on the embeddings in ``file``; writes its labels beside them."""
    embeddings = np.load(file)
    METHODS[method](embeddings[:400])
    limit = sgemm_seconds(*embeddings.shape)
    before = reset_peak()
    taken: list[float] = []
    while len(taken) < repeat or (repeat > 1 and sum(taken) < LEAST_SECONDS):
        begin = time.perf_counter()
        labels = METHODS[method](embeddings)
        taken.append(time.perf_counter() - begin)
    megabytes = status_megabytes("VmHWM") - before
    np.save(file.with_suffix(".labels.npy"), labels)
    return Measured(min(taken), megabytes, min(limit, sgemm_seconds(*embeddings.shape)))


def reset_peak() -> float:
    """Forget the most memory this process ever held; the megabytes it holds now."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return status_megabytes("VmRSS")


def status_megabytes(name: str) -> float:
    """Read one line of this process's status, in megabytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def in_its_own_process(method: str, file: Path, repeat: int) -> Measured | str:
    """As :func:`measure`, in a fresh process; the last line of its complaint when it fails."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.cluster",
        "--one",
        method,
        "--file",
        str(file),
        "--repeat",
        str(repeat),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ourselves
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["failed"])[-1]
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def compare(sizes: Sequence[int], methods: Sequence[str], repeat: int) -> None:
    """Print the table."""
    print(
        f"{_kernel()}; {len(os.sched_getaffinity(0))} processors; the best of {repeat} or a second (1 from 20,000 on)"
    )
    print(f"{'n':>7}  {'method':<26}{'seconds':>9}{'x sgemm':>9}{'MB':>8}{'clusters':>10}{'ARI':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            file = Path(folder) / f"{size}.npy"
            np.save(file, simulate(Scenario(faces=size, main_persons=2, main_presence=0.3), 1).embeddings)
            ours: NDArray[Any] | None = None
            for method in methods:
                if method in NEEDS_MATRIX and size > LARGEST_FOR_MATRIX:
                    print(f"{size:>7,}  {method:<26}{'needs too much memory':>26}")
                    continue
                if importlib.util.find_spec(NEEDS.get(method, "numpy")) is None:
                    print(f"{size:>7,}  {method:<26}  not installed: pip install {NEEDS[method]}")
                    continue
                result = in_its_own_process(method, file, repeat if size < LARGEST_FOR_MATRIX else 1)
                if isinstance(result, str):
                    print(f"{size:>7,}  {method:<26}  {result}")
                    continue
                labels = np.load(file.with_suffix(".labels.npy"))
                ours = labels if ours is None else ours
                share = result.seconds / result.limit
                print(
                    f"{size:>7,}  {method:<26}{result.seconds:>9.3f}{share:>9.2f}{result.megabytes:>8.0f}"
                    f"{labels.max() + 1:>10}{adjusted_rand_score(ours, labels):>8.4f}",
                    flush=True,
                )


def _kernel() -> str:
    """Which BLAS runs, and which of its kernels."""
    return ", ".join(
        f"{pool['internal_api']} {pool['version']} {pool.get('architecture', '')}" for pool in threadpool_info()
    )


@cache
def _dask_runner() -> BlockRunner:
    """Two local workers, one thread each; the same ones for every call."""
    distributed = importlib.import_module("distributed")
    workers = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0")
    runner: BlockRunner = importlib.import_module("functions.cluster.dask_runner").DaskRunner(
        distributed.Client(workers)
    )
    return runner


def main() -> None:
    """Read the command line."""
    # Where set, these slow numpy's own choice of a kernel.
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        if name in os.environ:
            print(f"{name} is set: unset it, it slows numpy", file=sys.stderr)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default=",".join(str(size) for size in SIZES))
    parser.add_argument("--methods", default=",".join(METHODS).replace(", ", "; "))
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--one", choices=METHODS, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one, arguments.file, arguments.repeat).__dict__))
        return
    methods = [name.replace("; ", ", ") for name in arguments.methods.split(",")]
    compare([int(size) for size in arguments.sizes.split(",")], methods, arguments.repeat)


if __name__ == "__main__":
    main()
