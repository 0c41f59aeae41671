"""What each face rule gains, on simulated events: ``python -m benchmarks.clustering_quality [--faces N] [--seeds K]``.

BCubed F per scenario (mean over the seeds), and the clusters of three or more faces that are less than 80 % one person
(sum over scenarios, mean over the seeds).
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np

from functions.cluster.face_rules import group_faces
from functions.cluster.parameters import DEFAULTS, ClusterParameters
from tests.clustering_quality import CAPPED, ONE_FOR_ALL, PLAIN, WIDER_CAP, quality
from tests.simulated_events import SCENARIOS, SimulatedEvent, simulate

SPLIT = replace(CAPPED, conflict_similarity=DEFAULTS.conflict_similarity)
JOIN = replace(SPLIT, join_similarity=DEFAULTS.join_similarity)

ROWS: dict[str, ClusterParameters] = {
    "HDBSCAN 3/2/0.4": PLAIN,
    "+ cap": CAPPED,
    "+ cap, split": SPLIT,
    "+ cap, split, join": JOIN,
    "+ cap, split, join, pairs (all)": DEFAULTS,
    "all but cap": replace(DEFAULTS, max_distance=None),
    "all but split": replace(DEFAULTS, conflict_similarity=None),
    "all but join": replace(DEFAULTS, join_similarity=None),
    "all but the margin of join": replace(DEFAULTS, join_margin=0.0),
    "to beat in purity: cap at .65": WIDER_CAP,
    "to beat in F: cap at .65, join at .35, pairs": ONE_FOR_ALL,
}


def score(events: list[list[SimulatedEvent]], parameters: ClusterParameters) -> tuple[list[float], float]:
    """Mean BCubed F of each scenario, and impure clusters over all of them."""
    means, impure = [], 0.0
    for seeds in events:
        results = [quality(group_faces(e.embeddings, e.faces, parameters).labels, e.identity) for e in seeds]
        means.append(float(np.mean([result.f for result in results])))
        impure += float(np.mean([result.impure for result in results]))
    return means, impure


def main() -> None:
    """Read the command line, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    events = [
        [simulate(replace(scenario, faces=arguments.faces), seed) for seed in range(arguments.seeds)]
        for scenario in SCENARIOS.values()
    ]
    print("| rules | " + " | ".join(SCENARIOS) + " | mean | impure |")
    print("|---" * (len(SCENARIOS) + 3) + "|")
    for name, parameters in ROWS.items():
        means, impure = score(events, parameters)
        cells = " | ".join(f"{mean:.3f}" for mean in [*means, float(np.mean(means))])
        print(f"| {name} | {cells} | {impure:.1f} |", flush=True)


if __name__ == "__main__":
    main()
