"""What each face rule gains: ``python -m benchmarks.clustering_quality [--faces N] [--seeds K]``.

First on simulated events, with the constants of ArcFace packs: BCubed F per scenario (mean over the seeds), and the
clusters of three or more faces that are less than 80 % one person (sum over scenarios, mean over the seeds). Then on
labelled faces of real photos, with those of ``mini``, where they lie beside the repository: BCubed precision and recall
over labelled faces, precision with strangers counted, and impure persons an event; of the sets as they are, and of
small events (people with one to eight photos) drawn from all of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from functions.cluster.faces.rules import group_faces
from functions.cluster.parameters import ClusterParameters, parameters_of
from tests.clustering_quality import ONE_FOR_ALL, WIDER_CAP, quality
from tests.labelled_faces import FOLDER, LabelledEvent, load_sets, scores, small_event, together
from tests.simulated_events import SCENARIOS, SimulatedEvent, simulate

SMALL_EVENTS = 8

RULES: dict[str, tuple[str, ...]] = {
    "gate": ("seed_min_quality", "seed_min_size_px", "seed_min_sharpness", "seed_max_yaw", "seed_max_pitch"),
    "cap": ("max_distance",),
    "mean": ("apart_similarity",),
    "same photo": ("conflict_similarity", "same_face_similarity"),
    "join": ("join_similarity",),
    "pairs": ("pair_similarity",),
}
"""The rules in their order, and the parameters by which each is off when they are None."""


def rows(pack: str) -> Iterator[tuple[str, ClusterParameters]]:
    """Yield the rules added one after another, then all rules with one of them left out."""
    whole = parameters_of(pack)
    values = asdict(whole)
    now = whole.without_rules()
    yield "HDBSCAN 3/2/0.4", now
    for rule, names in RULES.items():
        on: dict[str, Any] = {name: values[name] for name in names}
        now = replace(now, **on)
        yield f"+ {rule}", now
    for rule, names in RULES.items():
        off: dict[str, Any] = dict.fromkeys(names)
        yield f"all but {rule}", replace(whole, **off)
    yield "all but the margin of join", replace(whole, join_margin=0.0)
    yield "all, a mirror being two people", replace(whole, same_face_similarity=None)


def simulated_row(events: list[list[SimulatedEvent]], parameters: ClusterParameters) -> str:
    """Mean BCubed F of each scenario and of all, and impure clusters over all of them."""
    means, impure = [], 0.0
    for seeds in events:
        results = [quality(group_faces(e.embeddings, e.faces, parameters).labels, e.identity) for e in seeds]
        means.append(float(np.mean([result.f for result in results])))
        impure += float(np.mean([result.impure for result in results]))
    return " | ".join([*(f"{mean:.3f}" for mean in [*means, float(np.mean(means))]), f"{impure:.1f}"])


def real_row(families: Sequence[Sequence[LabelledEvent]], parameters: ClusterParameters) -> str:
    """Precision, recall, strict precision and impure persons of each family of events: the mean over it."""
    cells = []
    for family in families:
        results = [scores(e, group_faces(e.embeddings, e.faces, parameters).labels) for e in family]
        means = np.mean([list(asdict(result).values()) for result in results], axis=0)
        cells.append(f"{means[0]:.3f} / {means[1]:.3f} / {means[2]:.3f} / {means[3]:.1f}")
    return " | ".join(cells)


def main() -> None:
    """Read the command line, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    events = [
        [simulate(replace(scenario, faces=arguments.faces), seed) for seed in range(arguments.seeds)]
        for scenario in SCENARIOS.values()
    ]
    print("| simulated | " + " | ".join(SCENARIOS) + " | mean | impure |")
    print("|---" * (len(SCENARIOS) + 3) + "|")
    beaten = (
        ("to beat in purity: cap at .65", WIDER_CAP),
        ("to beat in F: cap at .65, join at .35, pairs", ONE_FOR_ALL),
    )
    for name, parameters in [*rows("buffalo_l"), *beaten]:
        print(f"| {name} | {simulated_row(events, parameters)} |", flush=True)

    sets = list(load_sets().values())
    if not sets:
        print(f"\nno labelled sets in {FOLDER}: no table of real photos")
        return
    small = [small_event(together(sets), seed) for seed in range(SMALL_EVENTS)]
    print(f"\n| real photos: P / R / P with strangers / impure | {len(sets)} sets | {SMALL_EVENTS} small events |")
    print("|---|---|---|")
    for name, parameters in rows("mini"):
        print(f"| {name} | {real_row([sets, small], parameters)} |", flush=True)


if __name__ == "__main__":
    main()
