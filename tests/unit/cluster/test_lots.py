"""Photos come in any order and in any lots: the persons are those of one run over all of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.cluster.parameters import parameters_of
from tests.examples import examples
from tests.lots import at_once, in_lots, random_lots
from tests.simulated_events import SCENARIOS, simulate

pytestmark = pytest.mark.long


@pytest.mark.parametrize("pack", ["mini", "buffalo_l"])
@given(scenario=st.sampled_from(sorted(SCENARIOS)), seed=st.integers(0, 10_000))
@settings(max_examples=examples(12), deadline=None, derandomize=True)
def test_any_lots_of_the_same_photos_end_in_the_persons_of_one_run(pack: str, scenario: str, seed: int) -> None:
    event = simulate(replace(SCENARIOS[scenario], faces=160), seed % 50)
    parameters = parameters_of(pack)
    lots = random_lots(event.photo, np.random.default_rng(seed))
    assert in_lots(event.embeddings, event.faces, lots, parameters).persons == at_once(
        event.embeddings, event.faces, parameters
    )


def test_with_the_rules_that_keep_faces_where_they_were_they_do_not() -> None:
    """What the test above would see: a wider likeness of fragments keeps together what one run takes apart."""
    parameters = replace(parameters_of("buffalo_l"), keep_similarity=0.3, fragment_similarity=0.45)
    differing = 0
    for seed in range(12):
        event = simulate(replace(SCENARIOS["siblings"], faces=160), seed)
        lots = random_lots(event.photo, np.random.default_rng(seed))
        whole = at_once(event.embeddings, event.faces, parameters)
        differing += in_lots(event.embeddings, event.faces, lots, parameters).persons != whole
    assert differing > 0
