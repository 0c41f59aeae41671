"""One sequence of steps, played to the real functions and to the model alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID, uuid5

from functions.admin.door.problems import Problem
from functions.admin.review.decisions import Decided
from shared.database import Connection
from tests.model.expected import Expected, Face, Person, Photo, Said
from tests.model.pictures import Picture
from tests.model.system import Moment, System

NAMES = UUID("7d9d7c1e-50d1-4a7c-8f43-7d5f0f1f2b6a")
"""What the ids of everything that a sequence makes come from: they are the same every time."""

Thing = TypeVar("Thing")


class NotNow(Exception):
    """There is nothing that the step could be done to."""


@dataclass
class Start:
    """Where every sequence begins."""

    moment: Moment
    expected: Expected
    event_id: UUID
    organiser: UUID


class Play:
    """One sequence: the system, the model, and what was done so far."""

    def __init__(self, system: System, start: Start) -> None:
        system.go_back(start.moment)
        self.system = system
        self.expected = start.expected.copied()
        self.event_id, self.organiser = start.event_id, start.organiser
        self.done: list[str] = []
        self.taken: list[Step] = []
        self._backdrops = 1000

    def take(self, step: Step) -> None:
        """Take a step and look what came of it.

        Raises:
            AssertionError: something is not as it should be; with all steps so far.
        """
        self.taken.append(step)
        try:
            self.done.append(f"{step}: {step.take(self)}")
        except NotNow:
            self.taken.pop()
            return
        self.system.settle()
        self.expect_no_difference()

    def expect_no_difference(self) -> None:
        """Compare with the model.

        Raises:
            AssertionError: something is not as it should be; with all steps so far.
        """
        differences = self.expected.differences(self.system.look())
        assert not differences, self.story(*differences)

    def story(self, *problems: str) -> str:
        """What was done, and what came of it."""
        steps = [f"  {number}. {line}" for number, line in enumerate(self.done, 1)]
        return "\n".join(["after", *steps, "there is:", *(f"  - {line}" for line in problems), f"steps: {self.taken}"])

    # ------------------------------------------------------------ what a step is about

    def photo(self, number: int, suits: Callable[[Photo], bool] = lambda _: True) -> Photo:
        """One of the photos that suit."""
        return one_of(number, [photo for photo in self.expected.photos if suits(photo)])

    def person(self, number: int, *statuses: str, faces: int = 0) -> UUID:
        """One of the persons with such a status (any but merged) and at least so many faces."""
        wanted = statuses or ("pending", "linked", "invited", "ignored")
        persons = sorted(self.expected.persons.items(), key=lambda item: item[1].number)
        suiting = [key for key, person in persons if person.status in wanted]
        return one_of(number, [key for key in suiting if len(self.expected.faces_in(key)) >= faces])

    def face(self, number: int, *persons: UUID) -> Face:
        """One of the faces, of these persons if any are named."""
        found = self.expected.faces_in(*persons) if persons else list(self.expected.faces.values())
        return one_of(number, sorted(found, key=lambda face: (face.photo, face.box.x, face.box.y)))

    def user(self, number: int) -> UUID:
        """One of the event's members."""
        return one_of(number, list(self.expected.users))

    def said(self, person: UUID | None) -> str:
        """A person, in words."""
        return self.expected._person(person)

    def new_picture(self, *guests: int) -> Picture:
        """A picture that nobody has uploaded yet."""
        self._backdrops += 1
        return Picture.of(self._backdrops, *guests)

    # ------------------------------------------------------------ doing it

    def upload(self, photo: Photo, content: bytes) -> None:
        """Put the photo's object; the model is told what it shows by the caller."""
        photo.generation, photo.has_row = self.system.put(photo.object_name, content), True

    def decide(
        self, kind: str, act: Callable[[Connection], Decided], believe: Callable[[Expected, Decided], None]
    ) -> None:
        """Decide, in the system and in the model.

        Raises:
            AssertionError: the system refuses what it should allow.
        """
        faces, persons = _copies(self.expected)
        try:
            with self.system.database.transaction() as connection:
                decided = act(connection)
        except Problem as problem:
            message = self.story(f"{kind}, which is refused: {problem.code}, {problem.detail}")
            raise AssertionError(message) from None
        believe(self.expected, decided)
        self.expected.history.append(_said(decided.decision_id, kind, faces, persons, self.expected))


@dataclass(frozen=True)
class Step:
    """Something that somebody does."""

    def take(self, play: Play) -> str:
        """Do it; returns it in words.

        Raises:
            NotNow: there is nothing to do it to.
        """
        raise NotImplementedError


def one_of(number: int, things: Sequence[Thing]) -> Thing:
    if not things:
        raise NotNow
    return things[number % len(things)]


def in_order(faces: Sequence[Face], first: Face) -> list[Face]:
    """The faces by photo and place, beginning with ``first``."""
    ordered = sorted(faces, key=lambda face: (face.photo, face.box.x, face.box.y))
    at = ordered.index(first)
    return [*ordered[at:], *ordered[:at]]


def told(faces: Sequence[Face]) -> str:
    return ", ".join(f"guest {face.guest} of photo {face.photo}" for face in faces)


def _copies(expected: Expected) -> tuple[dict[UUID, Face], dict[UUID, Person]]:
    faces = {key: copy(face) for key, face in expected.faces.items()}
    return faces, {key: copy(person) for key, person in expected.persons.items()}


def _said(decision: UUID, kind: str, faces: dict[UUID, Face], persons: dict[UUID, Person], expected: Expected) -> Said:
    """What a decision changed; the guests that it is about are clustering's no longer alone."""
    said = Said(decision, kind)
    said.faces = {key: face for key, face in faces.items() if face != expected.faces[key]}
    said.persons = {key: persons.get(key) for key, person in expected.persons.items() if persons.get(key) != person}
    said.members = {key: frozenset(face.id for face in faces.values() if face.person == key) for key in said.persons}
    about = {*said.persons, *(face.person for face in said.faces.values())}
    about |= {expected.faces[key].person for key in said.faces}
    expected.touched |= {faces[key].guest for key in said.faces}
    expected.touched |= {face.guest for face in expected.faces.values() if face.person in about - {None}}
    return said


def new_photo(expected: Expected, event_id: UUID) -> Photo:
    """Another photo, of which there is nothing yet."""
    number = len(expected.photos)
    media_id = uuid5(NAMES, f"photo {number}")
    photo = Photo(number, media_id, f"events/{event_id}/{media_id}/photo.jpg")
    expected.photos.append(photo)
    return photo
