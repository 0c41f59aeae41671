"""Photos that come in lots, with a clustering after each, beside all of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from functions.cluster.faces.rules import group_faces
from functions.cluster.parameters import ClusterParameters
from functions.cluster.persons.plan import applied, person_id_from_faces, plan_persons
from functions.cluster.states import FaceState, PersonState

EVENT_ID = UUID("9d0a3f7e-1a0b-4f5e-8a6c-57a4f3b9c001")

Partition = frozenset[frozenset[UUID]]
"""Who is with whom: the faces of each person."""


@dataclass(frozen=True)
class InLots:
    """How it ended; faces that changed person on the way, and how often faces were looked at that had one."""

    persons: Partition
    moved: int
    looked_at: int


def at_once(embeddings: NDArray[np.float32], faces: Sequence[FaceState], parameters: ClusterParameters) -> Partition:
    """The persons of one run over all faces."""
    return in_lots(embeddings, faces, [np.arange(len(faces))], parameters).persons


def in_lots(
    embeddings: NDArray[np.float32],
    faces: Sequence[FaceState],
    lots: Sequence[NDArray[np.int64]],
    parameters: ClusterParameters,
) -> InLots:
    """The persons after a run for each lot (rows), of the faces that have arrived by then."""
    arrived: list[int] = []
    now = list(faces)
    persons: list[PersonState] = []
    moved = looked_at = 0
    for lot in lots:
        arrived += lot.tolist()
        rows, states = embeddings[arrived], [now[row] for row in arrived]
        labels = group_faces(rows, states, parameters).labels
        plan = plan_persons(rows, states, persons, labels, new_id=person_id_from_faces(EVENT_ID), parameters=parameters)
        after, persons = applied(plan, states, persons)
        for row, state in zip(arrived, after, strict=True):
            now[row] = state
        moved, looked_at = moved + plan.moved_faces, looked_at + plan.faces_with_person_before
    members: dict[UUID, set[UUID]] = {}
    for face in now:
        if face.person_id is not None:
            members.setdefault(face.person_id, set()).add(face.face_id)
    return InLots(frozenset(frozenset(group) for group in members.values()), moved, looked_at)


def random_lots(photo: NDArray[np.integer], random: np.random.Generator) -> list[NDArray[np.int64]]:
    """The rows of each of two to five lots: whole photos, in a random order, cut anywhere."""
    photos = random.permutation(np.unique(photo))
    cuts = np.sort(random.choice(np.arange(1, photos.size), int(random.integers(1, 5)), replace=False))
    return [np.flatnonzero(np.isin(photo, lot)) for lot in np.split(photos, cuts)]
