"""Events of a handful of faces, built by hand: people are axes, faces lean towards them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID, uuid5

import numpy as np
from numpy.typing import NDArray

from functions.cluster.parameters import DEFAULTS, ClusterParameters
from functions.cluster.persons.plan import applied, person_id_from_faces, plan_persons
from functions.cluster.states import FaceState, PersonState, Plan
from tests.simulated_events import unit

EVENT_ID = UUID("6a1f0b46-93a0-4c4e-9f8b-5d9d3c1f2e01")
DIMENSIONS = 64


def some_id(name: str) -> UUID:
    """An id for a name, always the same."""
    return uuid5(EVENT_ID, name)


@dataclass
class SmallEvent:
    """Faces with their labels, and persons; ids are made from names."""

    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))
    faces: list[FaceState] = field(default_factory=list)
    persons: list[PersonState] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    rows: list[NDArray[np.float32]] = field(default_factory=list)

    def face(
        self,
        name: str,
        axis: int,
        *,
        label: int,
        person: str | None = None,
        placed: bool = False,
        rejected: tuple[str, ...] = (),
        photo: str | None = None,
        blend: int | None = None,
        weight: float = 1.0,
        spread: float = 0.02,
    ) -> None:
        """A face of the person on ``axis`` (and so much of the one on ``blend``, if given); a photo each by default.

        Two faces of one person have a cosine of about ``1 / (1 + 64 * spread ** 2)``.
        """
        direction = np.zeros(DIMENSIONS)
        direction[axis] = 1.0
        if blend is not None:
            direction[blend] = weight
        self.rows.append(unit(unit(direction) + spread * self.rng.standard_normal(DIMENSIONS)))
        self.labels.append(label)
        self.faces.append(
            FaceState(
                face_id=some_id(name),
                media_id=some_id(photo or f"photo of {name}"),
                person_id=some_id(person) if person else None,
                placed_by_human=placed,
                rejected_person_ids=frozenset(some_id(other) for other in rejected),
                quality_score=0.9,
            )
        )

    def person(self, name: str, **state: object) -> None:
        """A person row; pending unless said otherwise."""
        self.persons.append(PersonState(some_id(name), **state))  # type: ignore[arg-type]

    @property
    def embeddings(self) -> NDArray[np.float32]:
        return np.stack(self.rows) if self.rows else np.zeros((0, DIMENSIONS), np.float32)

    def plan(self, parameters: ClusterParameters = DEFAULTS, order: NDArray[np.int64] | None = None) -> Plan:
        order = np.arange(len(self.faces)) if order is None else order
        return plan_persons(
            self.embeddings[order],
            [self.faces[row] for row in order],
            self.persons,
            np.array(self.labels, dtype=np.int64)[order],
            new_id=person_id_from_faces(EVENT_ID),
            parameters=parameters,
        )

    def run(self, parameters: ClusterParameters = DEFAULTS) -> Plan:
        """Plan, and carry the plan out."""
        plan = self.plan(parameters)
        self.faces, self.persons = applied(plan, self.faces, self.persons)
        return plan

    def person_of(self, name: str) -> UUID | None:
        return next(face.person_id for face in self.faces if face.face_id == some_id(name))


def survivor_of(persons: dict[UUID, PersonState]) -> Callable[[UUID], UUID]:
    """Follows merges to the person that lives on."""

    def survivor(person_id: UUID) -> UUID:
        while person_id in persons and persons[person_id].merged_into_id:
            merged_into = persons[person_id].merged_into_id
            assert merged_into
            person_id = merged_into
        return person_id

    return survivor
