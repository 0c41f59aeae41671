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

from functions.cluster.faces.centroids import group_sums, similarity_to_others
from functions.cluster.parameters import DEFAULTS, ClusterParameters
from functions.cluster.persons.matching import NOBODY, Groups, Standing, match_groups
from functions.cluster.persons.side_by_side import SideBySide
from functions.cluster.persons.suggestions import suggest_faces, suggest_merges
from functions.cluster.persons.two_people import suggest_splits
from functions.cluster.states import (
    FaceState,
    MergeSuggestion,
    NewPerson,
    PersonState,
    PersonSummary,
    Plan,
    SplitSuggestion,
    Suggestion,
)

NewId = Callable[[Sequence[UUID]], UUID]
"""Makes the id of a new person from the sorted ids of its faces; called again with a longer list on a clash."""

MAX_ROUNDS = 6
"""Planning repeats on its own result until that stands still; two rounds are usual."""


def person_id_from_faces(event_id: UUID) -> NewId:
    """Ids that depend on the event and the faces alone: the same input gives the same persons."""

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
    """What to change so that the event's persons follow the clusters, and human decisions stay.

    ``embeddings`` is float32[n, d] with rows of length 1, ``labels`` int[n] (-1 for none), both in the order of
    ``faces``, on which the plan does not depend. ``persons`` are all of the event's, merged ones included.
    Applying the plan and planning again with the same labels gives a plan that changes nothing.
    """
    order = np.array(sorted(range(len(faces)), key=lambda index: faces[index].face_id), dtype=np.int64)
    sorted_faces = [faces[index] for index in order]
    width = np.asarray(embeddings).shape[-1] if faces else 1
    rows = np.asarray(embeddings, dtype=np.float32).reshape(len(faces), width)[order]
    sorted_labels = np.asarray(labels, dtype=np.int64)[order]

    board = _Board(rows, sorted_faces, list(persons), new_id, parameters)
    for _ in range(MAX_ROUNDS):
        if not board.play(sorted_labels):
            break
    return board.plan()


class _Board:
    """The state of one planning: faces and persons before it, and where each face is now."""

    def __init__(
        self,
        embeddings: NDArray[np.float32],
        faces: list[FaceState],
        persons: list[PersonState],
        new_id: NewId,
        parameters: ClusterParameters,
    ) -> None:
        self.embeddings = embeddings
        self.faces = faces
        self.before = {person.person_id: person for person in persons}
        self.new_id = new_id
        self.parameters = parameters
        self.survivor = {person.person_id: _survivor(person.person_id, self.before) for person in persons}
        self.live = [person.person_id for person in persons if person.status != "merged"]
        self.created: dict[UUID, None] = {}  # the new persons, in the order they were made
        self.held = {p.person_id for p in persons if p.status in ("linked", "invited", "ignored")}
        self.seen: set[int] = set()  # those of them that a human decided something on, by number
        self.touched = {p.person_id for p in persons if p.touched_by_human}
        self.rejected = [{self.survivor.get(person) or person for person in face.rejected_person_ids} for face in faces]
        self.start = [self._standing_person(face, index) for index, face in enumerate(faces)]
        self.current = list(self.start)
        self.anchored = np.array(
            [face.placed_by_human or person in self.held for face, person in zip(faces, self.start, strict=True)],
            dtype=bool,
        )
        self.joined = {self.survivor[p.person_id] for p in persons if p.status == "merged"} | {
            person for face, person in zip(faces, self.start, strict=True) if face.placed_by_human
        }
        self.apart = self._persons_apart()
        numbers = {media_id: number for number, media_id in enumerate(dict.fromkeys(face.media_id for face in faces))}
        photo = np.array([numbers[face.media_id] for face in faces], dtype=np.int64)
        of_person = {person: number for number, person in enumerate(self.live)}
        together = np.array([NOBODY if person is None else of_person[person] for person in self.start], dtype=np.int64)
        placed = np.array([face.placed_by_human for face in faces], dtype=bool)
        self.side_by_side = SideBySide(embeddings, photo, together, placed, parameters)

    def _standing_person(self, face: FaceState, index: int) -> UUID | None:
        """The surviving person a face is in; a rejection counts unless a human placed the face there after all."""
        person = self.survivor.get(face.person_id) if face.person_id is not None else None
        if person in self.rejected[index] and not face.placed_by_human:
            return None
        return person

    def _persons_apart(self) -> set[frozenset[UUID]]:
        """Persons told apart by a human: a face of the one was rejected from the other."""
        return {
            frozenset((person, other))
            for person, rejected in zip(self.start, self.rejected, strict=True)
            for other in rejected
            if person is not None and other != person
        }

    def play(self, labels: NDArray[np.int64]) -> bool:
        """One round of planning from where the faces are now; whether any face changed."""
        people = [*self.live, *self.created]
        number = {person: index for index, person in enumerate(people)}
        standing = Standing(
            person=np.array([NOBODY if person is None else number[person] for person in self.current], dtype=np.int64),
            anchored=self.anchored & np.array([person is not None for person in self.current], dtype=bool),
            held=np.array([person in self.held for person in people], dtype=bool),
            joined=np.array([person in self.joined for person in people], dtype=bool),
            apart=self._apart_by_number(number),
        )
        self.seen = {number[person] for person in self.touched if person in number}
        groups = match_groups(
            self.embeddings,
            labels,
            standing,
            self.side_by_side.meet,
            self.parameters.min_overlap,
            self.parameters.fragment_similarity,
        )
        after = self._place(groups, standing, people)
        changed = after != self.current
        self.current = after
        return changed

    def _apart_by_number(self, number: dict[UUID, int]) -> set[tuple[int, int]]:
        pairs = [sorted(number[person] for person in pair if person in number) for pair in self.apart]
        return {(pair[0], pair[1]) for pair in pairs if len(pair) > 1}

    def _place(self, groups: Groups, standing: Standing, people: list[UUID]) -> list[UUID | None]:
        """Where each face goes: anchored ones stay, the others take the best person that will have them."""
        target = (
            np.where(groups.group >= 0, groups.person[groups.group], NOBODY) if groups.person.size else groups.group
        )
        target_count = max(len(people), int(groups.person.max(initial=NOBODY)) + 1)
        # An anchored face stands for its person even where no cluster holds it.
        stands_for = np.where(self.anchored & (standing.person != NOBODY), standing.person, target)
        sums = group_sums(self.embeddings, stands_for, target_count)
        alive = np.zeros(target_count, dtype=bool)
        alive[stands_for[stands_for != NOBODY]] = True

        own = similarity_to_others(self.embeddings, sums, stands_for, target)
        stay = self._likeness_to_own(sums, stands_for, standing, target_count)
        result = np.where(self.anchored, standing.person, NOBODY)
        nobody: set[int] = set()
        conflicts = self._conflicts(target, standing.person)
        seated: dict[int, set[int]] = {}  # by person, of the faces that conflicts are about
        for row in np.flatnonzero(self.anchored & (result != NOBODY)).tolist():
            seated.setdefault(int(result[row]), set()).add(row)
        # Who is in a person that a human decided on keeps their place there before anybody comes.
        is_new = ~np.isin(standing.person, sorted(self.seen))
        for row in np.lexsort((-np.maximum(own, stay), is_new)).tolist():
            if self.anchored[row]:
                continue
            for person in self._preferences(row, target, own, stay, standing, alive):
                if not conflicts.get((person, row), nobody).isdisjoint(seated.get(person, nobody)):
                    continue
                if person < len(people) and people[person] in self.rejected[row]:
                    continue
                if person < len(people) and standing.held[person]:
                    break  # a new face of a held person: nobody's for now, and suggested
                seated.setdefault(person, set()).add(row)
                result[row] = person
                break
        return self._named(result, people)

    def _conflicts(self, target: NDArray[np.int64], current: NDArray[np.int64]) -> dict[tuple[int, int], set[int]]:
        """By person and face that may be in it: the faces of the same photo that must not be in it as well."""
        found: dict[tuple[int, int], set[int]] = {}
        rows = np.tile(np.arange(target.size), 2)
        person = np.concatenate([target, current])
        claims = np.unique(np.column_stack([person, rows])[person != NOBODY], axis=0)
        for claim in np.split(claims, np.flatnonzero(np.diff(claims[:, 0])) + 1):
            for one, other in self.side_by_side.conflicts(claim[:, 1]):
                found.setdefault((int(claim[0, 0]), one), set()).add(other)
                found.setdefault((int(claim[0, 0]), other), set()).add(one)
        return found

    def _likeness_to_own(
        self, sums: NDArray[np.float32], stands_for: NDArray[np.int64], standing: Standing, count: int
    ) -> NDArray[np.float64]:
        """How alike each face is to the others of the person it is in; float64[n], -1 where there are none.

        The faces that a human placed may look like nobody else in there: without them it counts as well.
        """
        whole = similarity_to_others(self.embeddings, sums, stands_for, standing.person)
        if not self.joined:
            return whole
        unplaced = np.where(self.anchored, NOBODY, stands_for)
        rest = group_sums(self.embeddings, unplaced, count)
        return np.maximum(whole, similarity_to_others(self.embeddings, rest, unplaced, standing.person))

    def _preferences(
        self,
        row: int,
        target: NDArray[np.int64],
        own: NDArray[np.float64],
        stay: NDArray[np.float64],
        standing: Standing,
        alive: NDArray[np.bool_],
    ) -> list[int]:
        """The persons a face may go to, the preferred first: its cluster's, and the one it is in, which has a bonus.

        Whoever decided something on a person has seen its faces: none of them leaves for nobody.
        """
        wanted, incumbent = int(target[row]), int(standing.person[row])
        choices: list[tuple[float, int]] = []
        if wanted != NOBODY:
            choices.append((own[row], wanted))
        if incumbent not in (NOBODY, wanted):
            least = self.parameters.keep_similarity
            fits = least is not None and alive[incumbent] and stay[row] >= least
            if fits or incumbent in self.seen:
                choices.append((stay[row] + self.parameters.keep_bonus, incumbent))
        return [person for _, person in sorted(choices, key=lambda choice: -choice[0])]

    def _named(self, result: NDArray[np.int64], people: list[UUID]) -> list[UUID | None]:
        """Persons by id: numbers beyond ``people`` become new persons when at least two faces would be in them."""
        members: dict[int, list[UUID]] = {}
        for face, person in zip(self.faces, result, strict=True):
            if person >= len(people):
                members.setdefault(int(person), []).append(face.face_id)
        names: dict[int, UUID | None] = {NOBODY: None} | dict(enumerate(people))
        for person, face_ids in members.items():
            names[person] = self._make_person(face_ids) if len(face_ids) > 1 else None
        return [names[int(person)] for person in result]

    def _make_person(self, face_ids: list[UUID]) -> UUID:
        """A new person's id, which no person of the event has had."""
        seed = sorted(face_ids)
        person = self.new_id(seed)
        while person in self.before or person in self.created:
            seed = [*seed, person]
            person = self.new_id(seed)
        self.created[person] = None
        return person

    def plan(self) -> Plan:
        """The difference between where faces were and where they are."""
        members: dict[UUID, list[int]] = {}
        for row, person in enumerate(self.current):
            if person is not None:
                members.setdefault(person, []).append(row)
        moved = sum(
            1 for before, after in zip(self.start, self.current, strict=True) if before is not None and before != after
        )
        return Plan(
            assignments={
                face.face_id: person
                for face, person in zip(self.faces, self.current, strict=True)
                if person != face.person_id
            },
            new_persons=self._new_persons(members),
            emptied_persons=tuple(sorted(self._emptied(members))),
            representatives=self._representatives(members),
            suggestions=self._suggestions(members),
            merge_suggestions=self._merge_suggestions(members),
            split_suggestions=self._split_suggestions(members),
            summaries={
                person: PersonSummary(
                    face_count=len(rows),
                    avg_quality=float(np.mean([self.faces[row].quality_score for row in rows])),
                )
                for person, rows in sorted(members.items())
            },
            moved_faces=moved,
            faces_with_person_before=sum(1 for person in self.start if person is not None),
        )

    def _new_persons(self, members: dict[UUID, list[int]]) -> tuple[NewPerson, ...]:
        """Created persons that kept faces, the largest first, with the lowest cluster labels that are free."""
        used = {person.cluster_label for person in self.before.values()}
        created = sorted(
            (person for person in self.created if person in members),
            key=lambda person: (-len(members[person]), person),
        )
        label = 0
        result: list[NewPerson] = []
        for person in created:
            while label in used:
                label += 1
            result.append(NewPerson(person, label))
            label += 1
        return tuple(result)

    def _emptied(self, members: dict[UUID, list[int]]) -> list[UUID]:
        """Pending persons without faces that no human touched and nothing was merged into."""
        survivors = {person.merged_into_id for person in self.before.values()}
        return [
            person_id
            for person_id in self.live
            if person_id not in members
            and person_id not in survivors
            and self.before[person_id].status == "pending"
            and not self.before[person_id].touched_by_human
            and not self.before[person_id].cover_chosen_by_human
        ]

    def _representatives(self, members: dict[UUID, list[int]]) -> dict[UUID, UUID | None]:
        """Covers that change. A cover a human chose, and that of a held person, stays while its face does."""
        emptied = set(self._emptied(members))
        changed: dict[UUID, UUID | None] = {}
        for person_id in [*self.live, *(person for person in self.created if person in members)]:
            if person_id in emptied:
                continue
            faces = [self.faces[row] for row in members.get(person_id, [])]
            person = self.before.get(person_id)
            now = person.representative_face_id if person else None
            is_kept = person is not None and (person.cover_chosen_by_human or person_id in self.held)
            if is_kept and any(face.face_id == now for face in faces):
                continue
            best = _best_face(faces).face_id if faces else None
            if best != now:
                changed[person_id] = best
        return changed

    def _suggestions(self, members: dict[UUID, list[int]]) -> tuple[Suggestion, ...]:
        loose = np.flatnonzero(~self.anchored & np.array([person is None for person in self.current], dtype=bool))
        return suggest_faces(
            self.embeddings,
            self.faces,
            loose,
            members,
            sorted(self.held),
            lambda row, person: person in self.rejected[row],
            self.side_by_side.conflict,
            self.parameters.suggestion_similarity,
        )

    def _merge_suggestions(self, members: dict[UUID, list[int]]) -> tuple[MergeSuggestion, ...]:
        ignored = {person.person_id for person in self.before.values() if person.status == "ignored"}
        identified = {person.person_id for person in self.before.values() if person.status in ("linked", "invited")}
        return suggest_merges(
            self.embeddings,
            self.faces,
            {person: rows for person, rows in members.items() if person not in ignored},
            self.held,
            identified,
            lambda one, other: frozenset((one, other)) in self.apart,
            self.side_by_side.look_different,
            self.parameters.merge_similarity,
        )

    def _split_suggestions(self, members: dict[UUID, list[int]]) -> tuple[SplitSuggestion, ...]:
        settled = {p.person_id for p in self.before.values() if p.status == "ignored" or p.said_to_be_one}
        return suggest_splits(
            self.embeddings,
            self.faces,
            {person: rows for person, rows in members.items() if person not in settled},
            self.side_by_side.two_people,
            self.parameters,
        )


def _best_face(faces: list[FaceState]) -> FaceState:
    """Return the face with the highest ``cover_score``, of equals the smallest id: as ``trombi_best_faces`` of SQL."""
    return min(faces, key=lambda face: (-face.cover_score, face.face_id))


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


def applied(
    plan: Plan, faces: Sequence[FaceState], persons: Sequence[PersonState]
) -> tuple[list[FaceState], list[PersonState]]:
    """The states after a plan is carried out, as the database would hold them."""
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
