"""From clusters to persons: keeps what humans decided, and moves as few faces as it can.

- A face that a human placed stays where it is, and so does every face of a linked, invited or ignored person.
- Clusters become existing persons by the vote of the faces already in them (:mod:`functions.cluster.persons.matching`).
- A face leaves its person only for a clearly better one; one that no cluster holds stays while it still fits.
- What a human put together (a merge, a move, a split) is a fact: the faces stay, and take no others along or away.
- A face never returns to a person it was rejected from; two faces of one photo are put into one person only where they
  are the same face twice (:mod:`functions.cluster.faces.same_photo`).
- New faces of a linked, invited or ignored person are suggested, not added.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from uuid import UUID, uuid5

import numpy as np
from numpy.typing import NDArray

from functions.cluster.parameters import DEFAULTS, ClusterParameters
from functions.cluster.persons.before import Before
from functions.cluster.persons.changes import changes
from functions.cluster.persons.matching import NOBODY, Standing, match_groups
from functions.cluster.persons.placing import place_faces
from functions.cluster.states import FaceState, PersonState, Plan

NewId = Callable[[Sequence[UUID]], UUID]
"""Makes the id of a new person from the sorted ids of its faces; called again with a longer list on a clash."""

MAX_ROUNDS = 6
"""Planning repeats on its own result until that stands still; two rounds are usual."""


def person_id_from_faces(event_id: UUID) -> NewId:
    """Make ids that depend on the event and the faces alone: the same input gives the same persons."""

    def new_id(face_ids: Sequence[UUID]) -> UUID:
        return uuid5(event_id, ",".join(str(face_id) for face_id in face_ids))

    return new_id


def plan_persons(
    embeddings: NDArray[np.float32],
    faces: Sequence[FaceState],
    persons: Sequence[PersonState],
    labels: NDArray[np.integer],
    *,
    new_id: NewId,
    parameters: ClusterParameters = DEFAULTS,
) -> Plan:
    """Plan what to change so that the event's persons follow the clusters, and human decisions stay.

    ``embeddings`` is float32[n, d] with rows of length 1, ``labels`` int[n] (-1 for none), both in the order of
    ``faces``, on which the plan does not depend. ``persons`` are all of the event's, merged ones included.
    Applying the plan and planning again with the same labels gives a plan that changes nothing.
    """
    order = np.array(sorted(range(len(faces)), key=lambda index: faces[index].face_id), dtype=np.int64)
    sorted_faces = [faces[index] for index in order]
    width = np.asarray(embeddings).shape[-1] if faces else 1
    rows = np.asarray(embeddings, dtype=np.float32).reshape(len(faces), width)[order]
    sorted_labels = np.asarray(labels, dtype=np.int64)[order]

    before = Before.of(rows, sorted_faces, persons, parameters)
    now, created = list(before.start), dict[UUID, None]()
    for _ in range(MAX_ROUNDS):
        after = _round(before, now, created, sorted_labels, new_id)
        if after == now:
            break
        now = after
    return changes(before, now, created)


def _round(
    before: Before, now: list[UUID | None], created: dict[UUID, None], labels: NDArray[np.int64], new_id: NewId
) -> list[UUID | None]:
    """Plan once from where the faces are ``now``; return where they go. New persons are added to ``created``."""
    people = [*before.live, *created]
    number = {person: index for index, person in enumerate(people)}
    standing = Standing(
        person=np.array([NOBODY if person is None else number[person] for person in now], dtype=np.int64),
        anchored=before.anchored & np.array([person is not None for person in now], dtype=bool),
        held=np.array([person in before.held for person in people], dtype=bool),
        joined=np.array([person in before.joined for person in people], dtype=bool),
        apart=_apart_by_number(before, number),
    )
    groups = match_groups(
        before.embeddings,
        labels,
        standing,
        before.side_by_side.meet,
        before.parameters.min_overlap,
        before.parameters.fragment_similarity,
    )
    seen = {number[person] for person in before.touched if person in number}
    placed = place_faces(before, people, seen, standing, groups)
    return _named(before, placed, people, created, new_id)


def _apart_by_number(before: Before, number: dict[UUID, int]) -> set[tuple[int, int]]:
    pairs = [sorted(number[person] for person in pair if person in number) for pair in before.apart]
    return {(pair[0], pair[1]) for pair in pairs if len(pair) > 1}


def _named(
    before: Before, placed: NDArray[np.int64], people: list[UUID], created: dict[UUID, None], new_id: NewId
) -> list[UUID | None]:
    """Turn numbers into ids: those beyond ``people`` become new persons when at least two faces would be in them."""
    members: dict[int, list[UUID]] = {}
    for face, person in zip(before.faces, placed, strict=True):
        if person >= len(people):
            members.setdefault(int(person), []).append(face.face_id)
    names: dict[int, UUID | None] = {NOBODY: None} | dict(enumerate(people))
    for person, face_ids in members.items():
        names[person] = _make_person(before, face_ids, created, new_id) if len(face_ids) > 1 else None
    return [names[int(person)] for person in placed]


def _make_person(before: Before, face_ids: list[UUID], created: dict[UUID, None], new_id: NewId) -> UUID:
    """Return a new person's id, which no person of the event has had."""
    seed = sorted(face_ids)
    person = new_id(seed)
    while person in before.persons or person in created:
        seed = [*seed, person]
        person = new_id(seed)
    created[person] = None
    return person


def applied(
    plan: Plan, faces: Sequence[FaceState], persons: Sequence[PersonState]
) -> tuple[list[FaceState], list[PersonState]]:
    """Return the states after a plan is carried out, as the database would hold them."""
    emptied = set(plan.emptied_persons)
    new_faces = [replace(face, person_id=plan.assignments.get(face.face_id, face.person_id)) for face in faces]
    kept = [person for person in persons if person.person_id not in emptied]
    made = [PersonState(new.person_id, cluster_label=new.cluster_label) for new in plan.new_persons]
    new_persons = [
        replace(
            person,
            representative_face_id=plan.representatives.get(person.person_id, person.representative_face_id),
            cover_chosen_by_human=person.cover_chosen_by_human and person.person_id not in plan.representatives,
        )
        for person in [*kept, *made]
    ]
    return new_faces, new_persons
