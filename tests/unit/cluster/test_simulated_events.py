"""That simulated events look like real ones to whoever groups faces: the same bounds for both."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from functions.cluster.states import FaceState
from tests.labelled_faces import HOW_TO_GET, NAMES, load_sets
from tests.not_run import not_run
from tests.simulated_events import MINI_SCENARIOS, SimulatedEvent, in_lots, simulate

POOR_SCORE, POOR_SHARPNESS = 0.8, 15.0

BOUNDS = {
    "strangers, mean": (-0.03, 0.09),
    "strangers, standard deviation": (0.12, 0.18),
    "strangers, one pair in a hundred": (0.32, 0.66),
    "one person, mean": (0.55, 0.78),
    "one person, standard deviation": (0.08, 0.18),
    "one person, one pair in a hundred is less": (0.10, 0.46),
    "one person, one pair in a hundred is more": (0.82, 0.99),
}
"""What the cosines of five labelled sets of real photos keep to, each by itself (pack `mini`, faces that are not poor;
single sets have: mean of strangers -.01 to .06, deviation .14 to .17; mean of one person .57 to .76, deviation .09 to
.17), and simulated events as well."""

POOR_BOUNDS = {"two poor strangers, mean": (0.4, 0.68), "two poor strangers, standard deviation": (0.13, 0.24)}
"""The same of heads too blurred to tell anybody by, in the two sets that have more than ten of them."""


@dataclass(frozen=True)
class Cosines:
    """Cosines of pairs of faces, float32, by whose they are; poor ones apart."""

    strangers: NDArray[np.float32]
    one_person: NDArray[np.float32]
    poor_strangers: NDArray[np.float32]


def cosines(embeddings: NDArray[np.float32], who: NDArray[np.generic], poor: NDArray[np.bool_]) -> Cosines:
    """Compare all faces; those with the name "?" are left out, those named "" are each for themselves."""
    first, second = np.triu_indices(len(who), 1)
    likeness = (embeddings @ embeddings.T)[first, second]
    names = np.array([str(name) or f"~{row}" for row, name in enumerate(who)])
    known = (names[first] != "?") & (names[second] != "?")
    alike = (names[first] == names[second]) & known
    good = ~poor[first] & ~poor[second]
    return Cosines(
        strangers=likeness[known & ~alike & good],
        one_person=likeness[alike & good],
        poor_strangers=likeness[known & ~alike & poor[first] & poor[second]],
    )


def statistics(found: Cosines) -> dict[str, float]:
    """What `BOUNDS` bounds."""
    return {
        "strangers, mean": float(found.strangers.mean()),
        "strangers, standard deviation": float(found.strangers.std()),
        "strangers, one pair in a hundred": float(np.quantile(found.strangers, 0.99)),
        "one person, mean": float(found.one_person.mean()),
        "one person, standard deviation": float(found.one_person.std()),
        "one person, one pair in a hundred is less": float(np.quantile(found.one_person, 0.01)),
        "one person, one pair in a hundred is more": float(np.quantile(found.one_person, 0.99)),
    }


def outside(measured: dict[str, float], bounds: dict[str, tuple[float, float]]) -> dict[str, float]:
    """Those that are not within their bounds."""
    return {name: value for name, value in measured.items() if not bounds[name][0] <= value <= bounds[name][1]}


def poor_statistics(found: Cosines) -> dict[str, float]:
    """What `POOR_BOUNDS` bounds."""
    return {
        "two poor strangers, mean": float(found.poor_strangers.mean()),
        "two poor strangers, standard deviation": float(found.poor_strangers.std()),
    }


def are_poor(faces: list[FaceState]) -> NDArray[np.bool_]:
    """Which faces found nobody: bool[n]."""
    return np.array([face.quality_score < POOR_SCORE or (face.sharpness or 0.0) < POOR_SHARPNESS for face in faces])


@cache
def simulated(name: str) -> tuple[SimulatedEvent, Cosines, NDArray[np.bool_]]:
    event = simulate(replace(MINI_SCENARIOS[name], faces=600), seed=1)
    poor = are_poor(event.faces)
    return event, cosines(event.embeddings, event.identity, poor), poor


@pytest.mark.parametrize("name", NAMES)
def test_the_bounds_hold_for_real_photos(name: str) -> None:
    event = load_sets().get(name)
    if event is None:
        not_run("statistics of labelled photos", HOW_TO_GET)
    poor = are_poor(event.faces)
    found = cosines(event.embeddings, event.who, poor)
    assert not outside(statistics(found), BOUNDS)
    if np.count_nonzero(poor & (event.who == "")) > 10:
        assert not outside(poor_statistics(found), POOR_BOUNDS)


@pytest.mark.parametrize("name", MINI_SCENARIOS)
def test_simulated_events_keep_to_the_same_bounds(name: str) -> None:
    _, found, _ = simulated(name)
    assert not outside(statistics(found), BOUNDS)


@pytest.mark.parametrize("name", ["party", "blurred heads"])
def test_blurred_heads_are_alike_and_told_by_score_and_sharpness(name: str) -> None:
    event, found, poor = simulated(name)
    assert not outside(poor_statistics(found), POOR_BOUNDS)
    strangers = np.arange(len(poor)) >= round(600 * (1 - MINI_SCENARIOS[name].blurred))
    assert poor[strangers].mean() > 0.9, "nearly all blurred heads are seen to be poor"
    guests_own = MINI_SCENARIOS[name].blurred_guests
    assert poor[~strangers].mean() < guests_own + 0.03, "and next to no others"
    assert len(event.faces) == 600


def test_most_guests_are_in_few_photos() -> None:
    event, _, _ = simulated("few photos each")
    _, photos = np.unique(event.identity[: round(600 * 0.95)], return_counts=True)
    assert photos.max() <= 8
    assert np.mean(photos <= 2) > 0.5


def test_twins_side_by_side_babies_and_siblings_are_as_alike_as_real_ones() -> None:
    scenario = replace(MINI_SCENARIOS["families"], faces=600)
    twins: list[float] = []
    babies: list[float] = []
    siblings: list[float] = []
    for seed in range(6):
        event = simulate(scenario, seed)
        likeness = event.embeddings @ event.embeddings.T
        guests = int(event.identity.max()) + 1
        for pair in range(scenario.twins):
            one, other = (event.identity == 2 * pair), (event.identity == 2 * pair + 1)
            together = event.photo[:, None] == event.photo[None, :]
            twins += likeness[one[:, None] & other[None, :] & together].tolist()
        cribs = (event.identity >= guests - scenario.babies)[:, None] & (event.identity[:, None] < event.identity)
        babies += likeness[cribs].tolist()
        for pair in range(scenario.twins, int(guests * scenario.siblings / 2)):
            one, other = event.identity == 2 * pair, event.identity == 2 * pair + 1
            siblings += likeness[np.ix_(one, other)].ravel().tolist()
    assert 0.78 <= np.median(twins) <= 0.9
    assert 0.58 <= np.median(babies) <= 0.75
    assert 0.28 <= np.median(siblings) <= 0.45


def test_lots_grow_photo_by_photo_to_the_whole_event() -> None:
    event, _, _ = simulated("few photos each")
    lots = in_lots(event, 3, seed=5)
    assert [set(before) <= set(after) for before, after in pairwise(lots)] == [True, True]
    assert len(lots[-1]) == 600
    assert 0 < len(lots[0]) < len(lots[1]) < 600
    for rows in lots:
        assert not set(event.photo[rows].tolist()) & set(np.delete(event.photo, rows).tolist()), "no photo is torn"
