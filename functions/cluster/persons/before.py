"""What holds before a run plans: faces, persons and what people decided on them, in one form for all of planning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from functions.cluster.parameters import ClusterParameters
from functions.cluster.persons.matching import NOBODY
from functions.cluster.persons.side_by_side import SideBySide
from functions.cluster.states import FaceState, PersonState


@dataclass(frozen=True)
class Before:
    """Faces (rows 0..n-1, in the order of their ids) and persons as they stand before the run."""

    embeddings: NDArray[np.float32]
    faces: list[FaceState]
    persons: dict[UUID, PersonState]
    parameters: ClusterParameters
    live: list[UUID]
    """The persons that are not merged into another."""
    held: set[UUID]
    """Linked, invited and ignored persons: no face leaves them, and none joins without being asked about."""
    touched: set[UUID]
    """Persons that a human decided something on."""
    rejected: list[set[UUID]]
    """For each face the surviving persons that it is not, as a human said."""
    start: list[UUID | None]
    """The surviving person that each face is in."""
    anchored: NDArray[np.bool_]
    """bool[n]: faces that stay where they are."""
    joined: set[UUID | None]
    """Persons that a human put together: by merging several, or by placing faces in them."""
    apart: set[frozenset[UUID]]
    """Pairs of persons that a human told apart: a face of the one was rejected from the other."""
    side_by_side: SideBySide

    @classmethod
    def of(
        cls,
        embeddings: NDArray[np.float32],
        faces: list[FaceState],
        persons: Sequence[PersonState],
        parameters: ClusterParameters,
    ) -> Before:
        """Read the states. ``embeddings`` is float32[n, d] in the order of ``faces``, which come by their ids."""
        by_id = {person.person_id: person for person in persons}
        survivor = {person_id: _survivor(person_id, by_id) for person_id in by_id}
        live = [person.person_id for person in persons if person.status != "merged"]
        held = {p.person_id for p in persons if p.status in ("linked", "invited", "ignored")}
        rejected = [{survivor.get(person) or person for person in face.rejected_person_ids} for face in faces]
        start = [_standing_person(face, survivor, never) for face, never in zip(faces, rejected, strict=True)]
        placed = np.array([face.placed_by_human for face in faces], dtype=bool)
        return cls(
            embeddings=embeddings,
            faces=faces,
            persons=by_id,
            parameters=parameters,
            live=live,
            held=held,
            touched={p.person_id for p in persons if p.touched_by_human},
            rejected=rejected,
            start=start,
            anchored=placed | np.array([person in held for person in start], dtype=bool),
            joined={survivor[p.person_id] for p in persons if p.status == "merged"}
            | {person for face, person in zip(faces, start, strict=True) if face.placed_by_human},
            apart=_told_apart(start, rejected),
            side_by_side=SideBySide(
                embeddings, _photo_numbers(faces), _person_numbers(start, live), placed, parameters
            ),
        )


def _standing_person(face: FaceState, survivor: dict[UUID, UUID | None], rejected: set[UUID]) -> UUID | None:
    """Return the surviving person a face is in; a rejection counts unless a human placed the face there after all."""
    person = survivor.get(face.person_id) if face.person_id is not None else None
    if person in rejected and not face.placed_by_human:
        return None
    return person


def _told_apart(start: Sequence[UUID | None], rejected: Sequence[set[UUID]]) -> set[frozenset[UUID]]:
    return {
        frozenset((person, other))
        for person, never in zip(start, rejected, strict=True)
        for other in never
        if person is not None and other != person
    }


def _photo_numbers(faces: Sequence[FaceState]) -> NDArray[np.int64]:
    numbers = {media_id: number for number, media_id in enumerate(dict.fromkeys(face.media_id for face in faces))}
    return np.array([numbers[face.media_id] for face in faces], dtype=np.int64)


def _person_numbers(start: Sequence[UUID | None], live: Sequence[UUID]) -> NDArray[np.int64]:
    number = {person: index for index, person in enumerate(live)}
    return np.array([NOBODY if person is None else number[person] for person in start], dtype=np.int64)


def _survivor(person_id: UUID, persons: dict[UUID, PersonState]) -> UUID | None:
    """Follow merges to the person that lives on; None when the chain ends nowhere."""
    seen: set[UUID] = set()
    current: UUID | None = person_id
    while current is not None and current in persons and current not in seen:
        seen.add(current)
        person = persons[current]
        if person.status != "merged":
            return current
        current = person.merged_into_id
    return None
