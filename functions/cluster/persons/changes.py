"""The difference between where faces were and where they are: the plan, with its covers and questions."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

import numpy as np

from functions.cluster.persons.before import Before
from functions.cluster.persons.suggestions import suggest_faces, suggest_merges
from functions.cluster.persons.two_people import suggest_splits
from functions.cluster.states import (
    FaceState,
    MergeSuggestion,
    NewPerson,
    PersonSummary,
    Plan,
    SplitSuggestion,
    Suggestion,
)

Members = dict[UUID, list[int]]
"""The faces (rows, ascending) of each person that has any."""


def changes(before: Before, now: list[UUID | None], created: Collection[UUID]) -> Plan:
    """Return what to change so that each face is in the person that ``now`` says.

    ``created`` are the ids of new persons, in the order they were made; those that kept no face are left out.
    """
    members: Members = {}
    for row, person in enumerate(now):
        if person is not None:
            members.setdefault(person, []).append(row)
    kept = [person for person in created if person in members]
    emptied = _emptied(before, members)
    return Plan(
        assignments={
            face.face_id: person for face, person in zip(before.faces, now, strict=True) if person != face.person_id
        },
        new_persons=_new_persons(before, members, kept),
        emptied_persons=tuple(sorted(emptied)),
        representatives=_covers(before, members, [p for p in [*before.live, *kept] if p not in emptied]),
        suggestions=_suggestions(before, now, members),
        merge_suggestions=_merge_suggestions(before, members),
        split_suggestions=_split_suggestions(before, members),
        summaries={person: _summary(before, rows) for person, rows in sorted(members.items())},
        moved_faces=sum(1 for was, person in zip(before.start, now, strict=True) if was is not None and was != person),
        faces_with_person_before=sum(1 for person in before.start if person is not None),
    )


def _summary(before: Before, rows: list[int]) -> PersonSummary:
    return PersonSummary(
        face_count=len(rows), avg_quality=float(np.mean([before.faces[row].quality_score for row in rows]))
    )


def _new_persons(before: Before, members: Members, kept: list[UUID]) -> tuple[NewPerson, ...]:
    """List the new persons, the largest first, with the lowest cluster labels that are free."""
    used = {person.cluster_label for person in before.persons.values()}
    label = 0
    result: list[NewPerson] = []
    for person in sorted(kept, key=lambda person: (-len(members[person]), person)):
        while label in used:
            label += 1
        result.append(NewPerson(person, label))
        label += 1
    return tuple(result)


def _emptied(before: Before, members: Members) -> set[UUID]:
    """Find pending persons without faces that no human touched and nothing was merged into."""
    survivors = {person.merged_into_id for person in before.persons.values()}
    return {
        person_id
        for person_id in before.live
        if person_id not in members
        and person_id not in survivors
        and before.persons[person_id].status == "pending"
        and not before.persons[person_id].touched_by_human
        and not before.persons[person_id].cover_chosen_by_human
    }


def _best_face(faces: list[FaceState]) -> FaceState:
    """Return the face with the highest ``cover_score``, of equals the smallest id: as ``trombi_best_faces`` of SQL."""
    return min(faces, key=lambda face: (-face.cover_score, face.face_id))


def _covers(before: Before, members: Members, persons: list[UUID]) -> dict[UUID, UUID | None]:
    """Find covers that change. A cover a human chose, and that of a held person, stays while its face does."""
    changed: dict[UUID, UUID | None] = {}
    for person_id in persons:
        faces = [before.faces[row] for row in members.get(person_id, [])]
        person = before.persons.get(person_id)
        now = person.representative_face_id if person else None
        is_kept = person is not None and (person.cover_chosen_by_human or person_id in before.held)
        if is_kept and any(face.face_id == now for face in faces):
            continue
        best = _best_face(faces).face_id if faces else None
        if best != now:
            changed[person_id] = best
    return changed


def _suggestions(before: Before, now: list[UUID | None], members: Members) -> tuple[Suggestion, ...]:
    loose = np.flatnonzero(~before.anchored & np.array([person is None for person in now], dtype=bool))
    return suggest_faces(
        before.embeddings,
        before.faces,
        loose,
        members,
        sorted(before.held),
        lambda row, person: person in before.rejected[row],
        before.side_by_side.conflict,
        before.parameters.suggestion_similarity,
    )


def _merge_suggestions(before: Before, members: Members) -> tuple[MergeSuggestion, ...]:
    ignored = {person.person_id for person in before.persons.values() if person.status == "ignored"}
    identified = {person.person_id for person in before.persons.values() if person.status in ("linked", "invited")}
    return suggest_merges(
        before.embeddings,
        before.faces,
        {person: rows for person, rows in members.items() if person not in ignored},
        before.held,
        identified,
        lambda one, other: frozenset((one, other)) in before.apart,
        before.side_by_side.look_different,
        before.parameters.merge_similarity,
    )


def _split_suggestions(before: Before, members: Members) -> tuple[SplitSuggestion, ...]:
    settled = {p.person_id for p in before.persons.values() if p.status == "ignored" or p.said_to_be_one}
    return suggest_splits(
        before.embeddings,
        before.faces,
        {person: rows for person, rows in members.items() if person not in settled},
        before.side_by_side.two_people,
        before.parameters,
    )
