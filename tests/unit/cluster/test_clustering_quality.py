"""How well simulated events are grouped, and that every face rule earns its place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from functions.cluster.faces.rules import group_faces
from functions.cluster.parameters import DEFAULTS, ClusterParameters
from tests.clustering_quality import CAPPED, ONE_FOR_ALL, PLAIN, WIDER_CAP, Quality, quality
from tests.simulated_events import SCENARIOS, SimulatedEvent, simulate

pytestmark = pytest.mark.long

SEEDS = (0, 1)

LEAST_F = {"wedding": 0.981, "hard": 0.960, "crowd": 0.964, "siblings": 0.983, "groups": 0.975, "main siblings": 0.965}


@cache
def events(name: str) -> tuple[SimulatedEvent, ...]:
    return tuple(simulate(replace(SCENARIOS[name], faces=2000), seed) for seed in SEEDS)


@cache
def results(name: str, parameters: ClusterParameters) -> tuple[Quality, ...]:
    return tuple(
        quality(group_faces(event.embeddings, event.faces, parameters).labels, event.identity) for event in events(name)
    )


def mean_f(name: str, parameters: ClusterParameters) -> float:
    return float(np.mean([result.f for result in results(name, parameters)]))


def impure(parameters: ClusterParameters, names: Iterable[str] = SCENARIOS) -> int:
    return sum(result.impure for name in names for result in results(name, parameters))


@pytest.mark.parametrize("name", SCENARIOS)
def test_people_are_found(name: str) -> None:
    assert mean_f(name, DEFAULTS) >= LEAST_F[name]


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_rules_beat_hdbscan_alone(name: str) -> None:
    assert mean_f(name, DEFAULTS) > mean_f(name, PLAIN) + 0.03


def test_clusters_are_pure_and_all_rules_together_leave_no_more_impure_ones_than_the_cap_alone() -> None:
    assert impure(PLAIN) > 10 * max(impure(CAPPED), 1)
    assert impure(DEFAULTS) <= impure(CAPPED)


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_scenario_is_worse_than_the_simpler_rules_this_began_with(name: str) -> None:
    assert mean_f(name, DEFAULTS) > mean_f(name, ONE_FOR_ALL)
    assert impure(DEFAULTS, [name]) <= impure(WIDER_CAP, [name])


@pytest.mark.parametrize(
    ("name", "without"),
    [
        ("main siblings", replace(DEFAULTS, conflict_similarity=None)),
        ("hard", replace(DEFAULTS, join_similarity=None)),
        ("crowd", replace(DEFAULTS, pair_similarity=None)),
    ],
    ids=["split", "join", "pairs"],
)
def test_every_rule_gains_something_where_it_is_needed(name: str, without: ClusterParameters) -> None:
    assert mean_f(name, DEFAULTS) > mean_f(name, without) + 0.005


def test_the_cap_keeps_people_apart_that_a_mean_likeness_does_not() -> None:
    uncapped = impure(replace(DEFAULTS, max_distance=None))
    assert uncapped >= 10
    assert impure(DEFAULTS) <= uncapped / 5


def test_the_simulated_faces_have_the_similarities_of_arcface() -> None:
    event = simulate(replace(SCENARIOS["siblings"], faces=2000, hard=0.0, middling=0.0, bursts=0.0), 0)
    likeness = event.embeddings @ event.embeddings.T
    same = event.identity[:, None] == event.identity
    pairs = np.triu(np.ones_like(same), 1)
    assert 0.6 <= likeness[same & pairs].mean() <= 0.75
    strangers = likeness[~same & pairs]
    assert -0.02 <= np.median(strangers) <= 0.1
    assert 0.05 <= strangers.std() <= 0.1
