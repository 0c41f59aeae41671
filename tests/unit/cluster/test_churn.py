"""Photos arrive while people look: how many faces change person that nobody touched."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

from functions.cluster.faces.rules import group_faces
from functions.cluster.parameters import DEFAULTS, ClusterParameters, parameters_of
from functions.cluster.persons.plan import applied, person_id_from_faces, plan_persons
from functions.cluster.states import FaceState, PersonState, Plan
from tests.simulated_events import SCENARIOS, SimulatedEvent, simulate

pytestmark = pytest.mark.long

EVENT_ID = UUID("2e2ac5b5-8f8e-4a53-9b6c-1f0f6b1f5a01")


def run(
    event: SimulatedEvent,
    faces: list[FaceState],
    persons: list[PersonState],
    order: NDArray[np.int64],
    parameters: ClusterParameters = DEFAULTS,
) -> tuple[Plan, list[FaceState], list[PersonState]]:
    shuffled = [faces[row] for row in order]
    rows = event.embeddings[order]
    labels = group_faces(rows, shuffled, parameters).labels
    plan = plan_persons(rows, shuffled, persons, labels, new_id=person_id_from_faces(EVENT_ID), parameters=parameters)
    after, persons = applied(plan, shuffled, persons)
    back = np.empty_like(order)
    back[order] = np.arange(order.size)
    return plan, [after[place] for place in back], persons


def test_ten_percent_more_photos_move_one_face_in_a_thousand_at_most() -> None:
    moved = before = 0
    for name, scenario in SCENARIOS.items():
        for seed in range(3):
            event = simulate(replace(scenario, faces=1100), seed)
            last = event.photo[1000]
            first = event.subset(np.flatnonzero(event.photo < last))
            rng = np.random.default_rng(seed)
            _, faces, persons = run(first, first.faces, [], rng.permutation(len(first.faces)))
            everyone = faces + event.faces[len(faces) :]
            plan, _, _ = run(event, everyone, persons, rng.permutation(len(everyone)))
            moved, before = moved + plan.moved_faces, before + plan.faces_with_person_before
            assert plan.churn <= 0.005, (name, seed)
    assert moved / before <= 0.001


@pytest.mark.parametrize("pack", ["mini", "buffalo_l"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_without_new_photos_nothing_moves_whatever_the_order_of_the_rows(name: str, pack: str) -> None:
    event = simulate(replace(SCENARIOS[name], faces=700), 4)
    rng = np.random.default_rng(0)
    _, faces, persons = run(event, event.faces, [], np.arange(700), parameters_of(pack))
    for _ in range(2):
        plan, faces, persons = run(event, faces, persons, rng.permutation(700), parameters_of(pack))
        assert plan.changes_nothing
        assert plan.churn == 0.0


def test_photos_that_come_in_one_by_one_end_in_the_same_persons_as_all_at_once() -> None:
    event = simulate(replace(SCENARIOS["wedding"], faces=600), 9)
    faces: list[FaceState] = []
    persons: list[PersonState] = []
    for end in range(60, 601, 60):
        faces = faces + event.faces[len(faces) : end]
        arrived = event.subset(np.arange(end))
        _, faces, persons = run(arrived, faces, persons, np.arange(end))
    _, at_once, _ = run(event, event.faces, [], np.arange(600))
    assert pair_agreement(faces, at_once) == 1.0


def pair_agreement(one: list[FaceState], other: list[FaceState]) -> float:
    """The adjusted Rand index of two assignments."""
    return float(
        adjusted_rand_score(
            [str(face.person_id or face.face_id) for face in one],
            [str(face.person_id or face.face_id) for face in other],
        )
    )
