"""Whether photos in lots end in the persons of one run: ``python -m benchmarks.clustering_lots [--orders N]``.

Events of the simulator with the constants of ArcFace packs, and labelled sets of real photos with those of ``mini``
where they lie beside the repository: orders that end as one run does, and the part of the faces with a person that
changed it on the way.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from functions.cluster.parameters import ClusterParameters, parameters_of
from functions.cluster.states import FaceState
from tests.labelled_faces import FOLDER, load_sets, small_event, together
from tests.lots import at_once, in_lots, random_lots
from tests.simulated_events import SCENARIOS, simulate

Event = tuple[str, NDArray[np.float32], list[FaceState], NDArray[np.int64], ClusterParameters]


def events(faces: int) -> Iterator[Event]:
    """Name, embeddings, faces, photos and parameters of each event."""
    for name, scenario in SCENARIOS.items():
        event = simulate(replace(scenario, faces=faces), 0)
        yield f"simulated {name}", event.embeddings, event.faces, event.photo, parameters_of("buffalo_l")
    sets = load_sets()
    if not sets:
        print(f"no labelled sets in {FOLDER}: simulated events only")
        return
    small = {f"all sets, small {seed}": small_event(together(list(sets.values())), seed) for seed in range(4)}
    for name, labelled in {**sets, **small}.items():
        yield name, labelled.embeddings, labelled.faces, labelled.photo, parameters_of("mini")


def main() -> None:
    """Read the command line, print a line for each event."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=300)
    parser.add_argument("--faces", type=int, default=400)
    arguments = parser.parse_args()
    for name, embeddings, faces, photo, parameters in events(arguments.faces):
        whole = at_once(embeddings, faces, parameters)
        random = np.random.default_rng(0)
        runs = [in_lots(embeddings, faces, random_lots(photo, random), parameters) for _ in range(arguments.orders)]
        same = sum(run.persons == whole for run in runs)
        differing = [len(run.persons ^ whole) for run in runs if run.persons != whole]
        churn = sum(run.moved for run in runs) / max(1, sum(run.looked_at for run in runs))
        more = f", the others in {np.mean(differing):.1f} persons more or fewer" if differing else ""
        print(f"{name}: {same} of {arguments.orders} as one run{more}; {100 * churn:.2f} % changed person", flush=True)


if __name__ == "__main__":
    main()
