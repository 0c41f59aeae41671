"""Human decisions against twenty re-clusterings in which faces arrive, leave and are detected anew."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from uuid import UUID, uuid5

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from functions.cluster.faces.rules import group_faces
from functions.cluster.faces.same_photo import conflicting
from functions.cluster.parameters import DEFAULTS, ClusterParameters, parameters_of
from functions.cluster.persons.plan import applied, person_id_from_faces, plan_persons
from functions.cluster.states import FaceState, PersonState, PersonStatus, Plan
from tests.examples import examples
from tests.simulated_events import SCENARIOS, SimulatedEvent, simulate, unit
from tests.unit.cluster.small_events import survivor_of

pytestmark = pytest.mark.long

EVENT_ID = UUID("0d8f6e0e-8f6c-4f0b-8c3e-2f2b6a3a7c11")
HELD = {"linked", "invited", "ignored"}


@dataclass
class Organiser:
    """An event as the database holds it, and the decisions of the human who looks at it."""

    event: SimulatedEvent
    rng: np.random.Generator
    parameters: ClusterParameters = DEFAULTS
    faces: dict[UUID, FaceState] = field(default_factory=dict)
    embeddings: dict[UUID, NDArray[np.float32]] = field(default_factory=dict)
    persons: dict[UUID, PersonState] = field(default_factory=dict)
    made: int = 0

    def __post_init__(self) -> None:
        self.outside = list(range(len(self.event.faces)))
        self.rng.shuffle(self.outside)

    def arrive(self, count: int) -> None:
        for row in self.outside[:count]:
            face = self.event.faces[row]
            self.faces[face.face_id] = face
            self.embeddings[face.face_id] = self.event.embeddings[row]
        del self.outside[:count]

    def leave(self, count: int) -> None:
        for face_id in self._some(list(self.faces), count):
            del self.faces[face_id]
            del self.embeddings[face_id]
            for person in list(self.persons.values()):
                if person.representative_face_id == face_id:
                    self.persons[person.person_id] = replace(person, representative_face_id=None)

    def detect_again(self, count: int) -> None:
        for face_id in self._some(list(self.faces), count):
            noise = self.rng.standard_normal(512) * 0.01
            self.embeddings[face_id] = unit(self.embeddings[face_id] + noise)

    def run(self) -> Plan:
        order = [list(self.faces)[index] for index in self.rng.permutation(len(self.faces))]
        faces = [self.faces[face_id] for face_id in order]
        embeddings = (
            np.stack([self.embeddings[face_id] for face_id in order]) if order else np.zeros((0, 512), np.float32)
        )
        persons = list(self.persons.values())
        labels = group_faces(embeddings, faces, self.parameters).labels
        plan = plan_persons(
            embeddings, faces, persons, labels, new_id=person_id_from_faces(EVENT_ID), parameters=self.parameters
        )
        after, persons_after = applied(plan, faces, persons)
        self.faces = {face.face_id: face for face in after}
        self.persons = {person.person_id: person for person in persons_after}
        return plan

    def decide(self, kind: str) -> None:
        getattr(self, f"_{kind}")()

    def members(self, person_id: UUID) -> list[UUID]:
        return sorted(face.face_id for face in self.faces.values() if face.person_id == person_id)

    def _some(self, ids: list[UUID], count: int) -> list[UUID]:
        ids = sorted(ids)
        return [ids[index] for index in self.rng.permutation(len(ids))[:count]]

    def _live(self) -> list[UUID]:
        return [person.person_id for person in self.persons.values() if person.status != "merged"]

    def _put(self, face_id: UUID, person_id: UUID) -> None:
        face = self.faces[face_id]
        rejected = face.rejected_person_ids | ({face.person_id} if face.person_id else set())
        self.faces[face_id] = replace(
            face, person_id=person_id, placed_by_human=True, rejected_person_ids=frozenset(rejected - {person_id})
        )

    def _place(self) -> None:
        for face_id in self._some(list(self.faces), 1):
            for person_id in self._some(self._live(), 1):
                self._put(face_id, person_id)

    def _reject(self) -> None:
        for face_id in self._some([f.face_id for f in self.faces.values() if f.person_id], 1):
            face = self.faces[face_id]
            assert face.person_id
            self.faces[face_id] = replace(
                face,
                person_id=None,
                placed_by_human=False,
                rejected_person_ids=face.rejected_person_ids | {face.person_id},
            )

    def _hold(self, status: PersonStatus) -> None:
        for person_id in self._some([p for p in self._live() if self.members(p)], 1):
            self.persons[person_id] = replace(self.persons[person_id], status=status, touched_by_human=True)

    def _link(self) -> None:
        self._hold("linked")

    def _invite(self) -> None:
        self._hold("invited")

    def _ignore(self) -> None:
        self._hold("ignored")

    def _merge(self) -> None:
        chosen = self._some(self._live(), 2)
        if len(chosen) == 2:
            into, gone = chosen
            for face_id in self.members(gone):
                face = self.faces[face_id]
                rejected = face.rejected_person_ids - {into, gone}
                self.faces[face_id] = replace(face, person_id=into, placed_by_human=True, rejected_person_ids=rejected)
            self.persons[gone] = replace(self.persons[gone], status="merged", merged_into_id=into)
            self.persons[into] = replace(self.persons[into], touched_by_human=True)

    def _split(self) -> None:
        for person_id in self._some([p for p in self._live() if len(self.members(p)) > 3], 1):
            self.made += 1
            made = uuid5(EVENT_ID, f"made by hand {self.made}")
            self.persons[made] = PersonState(made, touched_by_human=True)
            for face_id in self._some(self.members(person_id), 2):
                self._put(face_id, made)


DECISIONS = ["place", "reject", "link", "invite", "ignore", "merge", "split"]


def check_decisions(before: Organiser, placed: dict[UUID, UUID | None], held: dict[UUID, set[UUID]]) -> None:
    faces, persons = before.faces, before.persons
    for face_id, person_id in placed.items():
        assert faces[face_id].person_id == person_id, "a face placed by a human moved"
    for face in faces.values():
        survivor = survivor_of(persons)
        rejected = {survivor(person) for person in face.rejected_person_ids}
        assert face.placed_by_human or face.person_id is None or face.person_id not in rejected
    for person_id, members in held.items():
        assert person_id in persons, "a held person lost its id"
        assert set(before.members(person_id)) == members, "a held person lost or gained faces"
    for face in faces.values():
        assert face.person_id is None or persons[face.person_id].status != "merged"
    assert_no_two_people_of_one_photo(before)


def assert_no_two_people_of_one_photo(organiser: Organiser) -> None:
    """In no undecided person; who placed a face saw the others of its photo."""
    members: dict[UUID, list[FaceState]] = {}
    for face in organiser.faces.values():
        if face.person_id and organiser.persons[face.person_id].status not in HELD:
            members.setdefault(face.person_id, []).append(face)
    for together in members.values():
        if len({face.media_id for face in together}) == len(together):
            continue
        photos = np.unique([face.media_id.int % 2**62 for face in together], return_inverse=True)[1]
        embeddings = np.stack([organiser.embeddings[face.face_id] for face in together])
        for pair in conflicting(embeddings, photos, organiser.parameters):
            assert any(together[row].placed_by_human for row in pair)


@pytest.mark.parametrize(("scenario", "pack"), [("wedding", "mini"), ("crowd", "buffalo_l"), ("siblings", "mini")])
@given(seed=st.integers(0, 10_000), data=st.data())
@settings(max_examples=examples(3), deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
def test_fifty_decisions_survive_twenty_clusterings(scenario: str, pack: str, seed: int, data: st.DataObject) -> None:
    event = simulate(replace(SCENARIOS[scenario], faces=400), seed % 7)
    organiser = Organiser(event, np.random.default_rng(seed), parameters_of(pack))
    organiser.arrive(180)
    organiser.run()
    decisions = data.draw(st.lists(st.sampled_from(DECISIONS), min_size=50, max_size=50))
    for run in range(20):
        for decision in decisions[run * 5 // 2 : (run + 1) * 5 // 2]:
            organiser.decide(decision)
        organiser.arrive(10)
        organiser.leave(3)
        organiser.detect_again(3)
        placed = {face.face_id: face.person_id for face in organiser.faces.values() if face.placed_by_human}
        held = {
            person.person_id: set(organiser.members(person.person_id))
            for person in organiser.persons.values()
            if person.status in HELD
        }
        organiser.run()
        check_decisions(organiser, placed, held)
        assert organiser.run().changes_nothing, "a second run on the same faces changed something"
