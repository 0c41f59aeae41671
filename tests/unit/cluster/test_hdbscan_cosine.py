"""Our HDBSCAN against the ``hdbscan`` package, on random inputs and on those made to trip it."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from hdbscan._hdbscan_linkage import mst_linkage_core
from hdbscan._hdbscan_reachability import mutual_reachability
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from functions.cluster.embeddings import EmbeddingsRefusedError
from functions.cluster.labels import relabelled
from functions.cluster.tree import all_pairs, blocked_tree, float64_candidates
from functions.cluster.tree.block_runner import ThreadRunner
from functions.cluster.tree.hdbscan_cosine import cluster, label_tree
from functions.cluster.tree.spanning_tree import SpanningTree, minimum_spanning_tree
from tests.examples import examples
from tests.simulated_events import SCENARIOS, Scenario, simulate, unit
from tests.unit.cluster.hdbscan_reference import (
    Embeddings,
    agreement,
    cosine_matrix,
    hdbscan_in_canonical_order,
    hdbscan_without_ties,
    plain_hdbscan,
    spanning_tree_of_all_pairs,
)

Make = Callable[[np.random.Generator, int], Embeddings]


def people(rng: np.random.Generator, count: int) -> Embeddings:
    return simulate(Scenario(faces=count, bystanders=0.3, siblings=0.3), int(rng.integers(1000))).embeddings


def blobs(rng: np.random.Generator, count: int) -> Embeddings:
    centres = unit(rng.standard_normal((max(2, count // 12), 64)))
    return unit(
        centres[rng.integers(0, len(centres), count)] + rng.uniform(0.03, 0.15) * rng.standard_normal((count, 64))
    )


def noise(rng: np.random.Generator, count: int) -> Embeddings:
    return unit(rng.standard_normal((count, 128)))


def one_cluster(rng: np.random.Generator, count: int) -> Embeddings:
    return unit(np.ones(64) + 0.2 * rng.standard_normal((count, 64)))


def on_a_sphere(rng: np.random.Generator, count: int) -> Embeddings:
    return unit(rng.standard_normal((count, 3)))


def antipodes(rng: np.random.Generator, count: int) -> Embeddings:
    half = blobs(rng, -(-count // 2))
    return np.concatenate([half, -half])[:count]


def duplicates(rng: np.random.Generator, count: int) -> Embeddings:
    rows = blobs(rng, count)
    rows[: count // 2] = rows[rng.integers(0, count, count // 2)]
    return rows


def near_duplicates(rng: np.random.Generator, count: int) -> Embeddings:
    rows = blobs(rng, count)
    copied = rng.integers(count // 2, count, count // 2)
    rows[: count // 2] = unit(rows[copied] + 1e-4 * rng.standard_normal((count // 2, 64)))
    return rows


def bursts(rng: np.random.Generator, count: int) -> Embeddings:
    """A few pictures, each very often and never quite the same: nearer to each other than float32 can tell."""
    pictures = unit(rng.standard_normal((3, 64)))[rng.integers(0, 3, count)]
    return unit(pictures + 1e-6 * rng.standard_normal((count, 64)))


def clones(rng: np.random.Generator, count: int) -> Embeddings:
    return blobs(rng, 24)[rng.integers(0, max(1, count // 30), count)]


def axes(rng: np.random.Generator, count: int) -> Embeddings:
    """All distances 0, 1 or 2."""
    return unit(np.eye(16)[rng.integers(0, 16, count)] * rng.choice([1.0, -1.0], (count, 1)))


def lattice(rng: np.random.Generator, count: int) -> Embeddings:
    """Few different distances, each very often."""
    rows = rng.integers(-1, 2, (count, 6)).astype(np.float64)
    rows[~rows.any(axis=1), 0] = 1.0
    return unit(rows)


WITHOUT_EXACT_TIES: list[Make] = [people, blobs, noise, one_cluster, on_a_sphere, antipodes, near_duplicates]
WITH_EXACT_TIES: list[Make] = [duplicates, clones, axes, lattice]
PARAMETERS = [(3, 2, 0.4), (2, 1, 0.0), (5, 3, 0.3), (3, 2, 0.0)]


def named(make: Make) -> str:
    return make.__name__


def labels_of(embeddings: Embeddings, parameters: tuple[int, int, float]) -> NDArray[np.int32]:
    size, samples, epsilon = parameters
    return cluster(embeddings, min_cluster_size=size, min_samples=samples, cluster_selection_epsilon=epsilon).labels


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("make", WITHOUT_EXACT_TIES, ids=named)
def test_labels_are_those_of_hdbscan(make: Make, seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(4, 400))
    embeddings, parameters = make(rng, count), PARAMETERS[seed % len(PARAMETERS)]
    assert agreement(labels_of(embeddings, parameters), hdbscan_without_ties(embeddings, *parameters)) == 1.0


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("make", WITH_EXACT_TIES, ids=named)
def test_labels_are_those_of_hdbscan_in_canonical_order_where_distances_tie(make: Make, seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(4, 200))
    embeddings, parameters = make(rng, count), PARAMETERS[seed % len(PARAMETERS)]
    assert agreement(labels_of(embeddings, parameters), hdbscan_in_canonical_order(embeddings, *parameters)) == 1.0


@pytest.mark.long
@pytest.mark.parametrize("make", [people, blobs, noise, duplicates], ids=named)
def test_labels_are_those_of_hdbscan_at_three_thousand(make: Make) -> None:
    embeddings = make(np.random.default_rng(1), 3000)
    assert agreement(labels_of(embeddings, (3, 2, 0.4)), hdbscan_without_ties(embeddings, 3, 2, 0.4)) == 1.0


@pytest.mark.parametrize("seed", range(5))
def test_with_one_sample_nothing_ties_and_hdbscan_as_it_comes_says_the_same(seed: int) -> None:
    embeddings = people(np.random.default_rng(seed), 500)
    assert agreement(labels_of(embeddings, (3, 1, 0.4)), plain_hdbscan(embeddings, 3, 1, 0.4)) == 1.0


def test_with_two_samples_hdbscan_as_it_comes_is_as_far_from_us_as_from_itself() -> None:
    from_us, from_itself = [], []
    for seed in range(4):
        embeddings = simulate(Scenario(faces=600), seed).embeddings
        ours, theirs = labels_of(embeddings, (3, 2, 0.4)), []
        for shuffle in range(4):
            order = np.random.default_rng(shuffle).permutation(600)
            labels = np.empty(600, dtype=np.int64)
            labels[order] = plain_hdbscan(embeddings[order], 3, 2, 0.4)
            theirs.append(labels)
        from_us += [agreement(ours, labels) for labels in theirs]
        from_itself += [agreement(one, other) for one, other in combinations(theirs, 2)]
    assert np.mean(from_itself) < 1.0, "the order of the rows decides nothing here, so the test shows nothing"
    assert np.mean(from_us) > np.mean(from_itself) - 0.005


@pytest.mark.parametrize("make", WITHOUT_EXACT_TIES + WITH_EXACT_TIES, ids=named)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 150))
@settings(max_examples=examples(10), deadline=None, derandomize=True)
def test_the_order_of_the_rows_does_not_matter(make: Make, seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    embeddings = make(rng, count)
    order = rng.permutation(count)
    clustering, shuffled = cluster(embeddings), cluster(embeddings[order])
    assert np.array_equal(relabelled(clustering.labels[order]), shuffled.labels)
    assert np.array_equal(clustering.probabilities[order], shuffled.probabilities)


@pytest.mark.parametrize("make", WITHOUT_EXACT_TIES + WITH_EXACT_TIES, ids=named)
@given(
    seed=st.integers(0, 10_000),
    count=st.integers(2, 250),
    block_rows=st.integers(5, 90),
    dimensions=st.integers(1, 40),
    min_samples=st.integers(1, 5),
)
@settings(max_examples=examples(8), deadline=None, derandomize=True)
def test_blocks_of_any_size_give_the_very_same_tree(
    make: Make, seed: int, count: int, block_rows: int, dimensions: int, min_samples: int
) -> None:
    embeddings = make(np.random.default_rng(seed), count)
    blocked = minimum_spanning_tree(
        embeddings,
        min_samples,
        runner=ThreadRunner(3),
        max_all_pairs=1,
        block_rows=block_rows,
        projected_dimensions=dimensions,
    )
    assert_same_tree(blocked, spanning_tree_of_all_pairs(embeddings, min_samples))


@pytest.mark.long
@pytest.mark.parametrize("make", [people, noise, near_duplicates, lattice], ids=named)
def test_at_a_thousand_the_tree_is_that_of_all_pairs(make: Make) -> None:
    embeddings = make(np.random.default_rng(6), 1000)
    assert_same_tree(minimum_spanning_tree(embeddings, 2), spanning_tree_of_all_pairs(embeddings, 2))


@pytest.mark.parametrize("make", [people, one_cluster, near_duplicates, bursts, lattice], ids=named)
@pytest.mark.parametrize("max_all_pairs", [1, 1000])
def test_pairs_that_are_told_apart_in_float64_give_the_very_same_tree(
    make: Make, max_all_pairs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocked_tree, "MAX_CANDIDATES_PER_ROW", 0)
    monkeypatch.setattr(float64_candidates, "MAX_CANDIDATES_PER_ROW", 0)
    monkeypatch.setattr(float64_candidates, "PART_ROWS", 40)
    looked_at = []

    def candidate_edges(
        products: NDArray[np.float64], wanted: NDArray[np.int64], tolerance: float
    ) -> float64_candidates.Pairs:
        looked_at.append(wanted.size)
        return all_pairs.candidate_edges(products, wanted, tolerance)

    monkeypatch.setattr(float64_candidates, "candidate_edges", candidate_edges)
    for seed, count in enumerate((30, 130, 400)):
        embeddings = make(np.random.default_rng(seed), count)
        found = minimum_spanning_tree(embeddings, 2, max_all_pairs=max_all_pairs, block_rows=110)
        assert_same_tree(found, spanning_tree_of_all_pairs(embeddings, 2))
    assert looked_at, "nothing was looked at in float64, so the test shows nothing"


@pytest.mark.long
def test_thousands_of_nearly_identical_faces_take_little_memory_and_time() -> None:
    rng = np.random.default_rng(0)
    embeddings = unit(unit(rng.standard_normal(512)) + 1e-5 * rng.standard_normal((6000, 512)))
    tracemalloc.start()
    try:
        began = time.process_time()
        tree = minimum_spanning_tree(embeddings, 2)
        seconds = time.process_time() - began
        peak = tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()
    assert tree.weight.max() < 1e-6
    assert peak < 250, "megabytes; the pairs alone are 18 million"
    assert seconds < 60


def assert_same_tree(one: SpanningTree, other: SpanningTree) -> None:
    for name in ("left", "right", "weight", "distance"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name


@pytest.mark.long
def test_blocks_at_five_thousand_give_the_labels_of_one_block() -> None:
    event = simulate(Scenario(faces=5000, main_presence=0.3, main_persons=2), 3)
    assert_same_tree(
        minimum_spanning_tree(event.embeddings, 2), minimum_spanning_tree(event.embeddings, 2, block_rows=5000)
    )


def test_the_tree_is_minimal_in_float64() -> None:
    embeddings = people(np.random.default_rng(4), 700)
    expected = np.sort(mst_linkage_core(mutual_reachability(cosine_matrix(embeddings), 2))[:, 2])
    assert np.abs(minimum_spanning_tree(embeddings, 2).weight - expected).max() < 1e-12


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_rows_than_a_cluster_are_noise(count: int) -> None:
    clustering = cluster(noise(np.random.default_rng(0), 3)[:count])
    assert clustering.labels.tolist() == [-1] * count
    assert clustering.labels.dtype == np.int32
    assert clustering.probabilities.tolist() == [0.0] * count


def test_no_rows_may_come_in_any_shape() -> None:
    for empty in (np.zeros((0, 512), np.float32), np.zeros((0, 0), np.float32), np.zeros(0, np.float32)):
        assert cluster(empty).labels.shape == (0,)


def test_clusters_are_numbered_in_the_order_of_their_first_rows() -> None:
    labels = cluster(people(np.random.default_rng(0), 300)).labels
    _, first = np.unique(labels[labels >= 0], return_index=True)
    assert (np.diff(first) > 0).all()
    assert first.size > 3


def test_probabilities_are_between_nothing_and_one_and_noise_has_none() -> None:
    clustering = cluster(people(np.random.default_rng(0), 300))
    assert clustering.probabilities.dtype == np.float32
    assert clustering.probabilities.min() == 0.0
    assert clustering.probabilities.max() == 1.0
    assert (clustering.probabilities[clustering.labels < 0] == 0.0).all()


def test_zero_padding_changes_nothing() -> None:
    embeddings = people(np.random.default_rng(0), 200)
    padded = np.concatenate([embeddings, np.zeros((200, 100), np.float32)], axis=1)
    assert np.array_equal(cluster(padded).labels, cluster(embeddings).labels)


@pytest.mark.parametrize(
    ("value", "reason"), [(np.nan, "NaN or infinite"), (np.inf, "NaN or infinite"), (0.9, "not of length 1")]
)
def test_bad_rows_are_refused_by_name(value: float, reason: str) -> None:
    embeddings = noise(np.random.default_rng(0), 20).copy()
    embeddings[[4, 11], 3] = value
    with pytest.raises(EmbeddingsRefusedError, match=f"rows 4, 11 .*{reason}"):
        cluster(embeddings)


def test_a_row_of_zeros_is_refused_and_long_lists_are_cut_short() -> None:
    with pytest.raises(
        EmbeddingsRefusedError, match=r"rows 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 5 more are not of length 1"
    ):
        cluster(np.zeros((15, 8), np.float32))


def test_a_vector_is_no_matrix() -> None:
    with pytest.raises(EmbeddingsRefusedError, match=r"shape \(8,\)"):
        cluster(np.ones(8, np.float32))


@pytest.mark.parametrize(
    ("parameters", "name"),
    [((1, 2, 0.4), "min_cluster_size"), ((3, 0, 0.4), "min_samples"), ((3, 2, -0.1), "cluster_selection_epsilon")],
)
def test_parameters_out_of_range_are_named(parameters: tuple[int, int, float], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        labels_of(noise(np.random.default_rng(0), 10), parameters)


def test_the_cap_only_takes_faces_out_of_clusters_that_reach_beyond_it() -> None:
    event = simulate(SCENARIOS["crowd"], 8)
    tree = minimum_spanning_tree(event.embeddings, 2)
    capped = label_tree(
        tree, min_cluster_size=3, min_samples=2, cluster_selection_epsilon=0.4, max_distance=0.65
    ).labels
    for label in range(capped.max() + 1):
        members = np.flatnonzero(capped == label)
        inside = np.isin(tree.left, members) & np.isin(tree.right, members)
        assert (tree.weight[inside] <= 0.65).sum() == members.size - 1
