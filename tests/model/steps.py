"""What hosts, guests and organisers do, one step after another, to the real functions and to the model alike.

A step names what it is about by numbers that are taken round: photo 13 of ten is the third. So any list of steps can
be taken, and one that fails can be shortened step by step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Literal, TypeVar
from uuid import UUID, uuid5

from functions.admin import decisions, ledger
from functions.admin.decisions import Decided, Invitation
from functions.admin.problems import Problem
from shared.contracts import StorageNotification
from shared.database import Connection
from tests.model.expected import Beside, Expected, Face, Person, Photo, Said
from tests.model.pictures import Picture
from tests.model.system import Moment, System

_NAMES = UUID("7d9d7c1e-50d1-4a7c-8f43-7d5f0f1f2b6a")
_GUESTS = 4
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
        return _one(number, [photo for photo in self.expected.photos if suits(photo)])

    def person(self, number: int, *statuses: str, faces: int = 0) -> UUID:
        """One of the persons with such a status (any but merged) and at least so many faces."""
        wanted = statuses or ("pending", "linked", "invited", "ignored")
        persons = sorted(self.expected.persons.items(), key=lambda item: item[1].number)
        suiting = [key for key, person in persons if person.status in wanted]
        return _one(number, [key for key in suiting if len(self.expected.faces_in(key)) >= faces])

    def face(self, number: int, *persons: UUID) -> Face:
        """One of the faces, of these persons if any are named."""
        found = self.expected.faces_in(*persons) if persons else list(self.expected.faces.values())
        return _one(number, sorted(found, key=lambda face: (face.photo, face.box.x, face.box.y)))

    def user(self, number: int) -> UUID:
        """One of the event's members."""
        return _one(number, list(self.expected.users))

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


# ---------------------------------------------------------------- the host app and its bucket


@dataclass(frozen=True)
class Upload(Step):
    """A new photo of these guests."""

    guests: tuple[int, ...]

    def take(self, play: Play) -> str:
        """See `Step`."""
        photo = new_photo(play.expected, play.event_id)
        picture = play.new_picture(*self.guests)
        play.upload(photo, picture.file())
        play.expected.shows(photo, picture, same_bytes=False)
        return f"photo {photo.number}"


How = Literal[
    "same bytes", "another guest", "mirrored", "cropped", "compressed again", "places exchanged", "nobody", "no picture"
]


@dataclass(frozen=True)
class Replace(Step):
    """Another object under the photo's own name; also of a photo that was deleted."""

    photo: int
    how: How

    def take(self, play: Play) -> str:
        """See `Step`."""
        photo = play.photo(self.photo)
        before = photo.picture or Picture.of(photo.number, 0)
        after = self._picture(play, before)
        if after is None:
            play.upload(photo, b"%PDF-1.7\n% no picture")
            play.expected.shows_no_picture(photo)
        else:
            play.upload(photo, after.file())
            play.expected.shows(photo, after, same_bytes=after == photo.picture)
        return f"photo {photo.number}"

    def _picture(self, play: Play, before: Picture) -> Picture | None:
        guests = tuple(guest for *_, guest in before.guests)
        others = tuple((guest + 1) % _GUESTS for guest in guests)
        made: dict[How, Callable[[], Picture | None]] = {
            "same bytes": lambda: before,
            "another guest": lambda: play.new_picture(*others),
            "mirrored": before.mirrored,
            "cropped": before.cropped,
            "compressed again": before.compressed_again,
            "places exchanged": lambda: play.new_picture(*reversed(guests)),
            "nobody": play.new_picture,
            "no picture": lambda: None,
        }
        return made[self.how]()


_COMPANIONS = {
    "MOV": b"\0\0\0\x14ftypqt  \0\0\0\0qt  " + bytes(200),
    "jpg.xmp": b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>',
    "json": b'{"title": "photo.jpg"}',
}


@dataclass(frozen=True)
class Companion(Step):
    """Another object in the photo's folder: a Live Photo's video, metadata, a second picture, a copy of the photo.

    A picture is refused as long as the photo is one.
    """

    photo: int
    kind: Literal["MOV", "jpg.xmp", "json", "second picture", "copy"]

    def take(self, play: Play) -> str:
        """See `Step`."""
        photo = play.photo(self.photo, lambda photo: photo.generation is not None and photo.has_row)
        if photo.beside is not None:
            raise NotNow
        folder, own_name = photo.object_name.rsplit("/", 1)
        picture = None
        if self.kind in _COMPANIONS:
            name, content = f"photo.{self.kind}", _COMPANIONS[self.kind]
        else:
            picture = play.new_picture(3) if self.kind == "second picture" or not photo.picture else photo.picture
            name, content = "photo.jpg" if own_name == "another.jpg" else "another.jpg", picture.file()
        generation = play.system.put(f"{folder}/{name}", content)
        photo.beside = Beside(f"{folder}/{name}", generation, picture)
        if photo.picture is None:
            play.expected.other_is_shown(photo)
        return f"beside photo {photo.number}"


@dataclass(frozen=True)
class DeleteCompanion(Step):
    """What lay beside a photo is deleted again."""

    photo: int

    def take(self, play: Play) -> str:
        """See `Step`."""
        photo = play.photo(self.photo, lambda photo: photo.beside is not None)
        assert photo.beside is not None
        play.system.remove(photo.beside.name)
        photo.beside = None
        return f"beside photo {photo.number}"


@dataclass(frozen=True)
class DeleteObject(Step):
    """The host deletes a photo from the bucket."""

    photo: int

    def take(self, play: Play) -> str:
        """See `Step`."""
        photo = play.photo(self.photo)
        if not play.system.remove(photo.object_name):
            raise NotNow
        play.expected.object_is_gone(photo)
        return f"photo {photo.number}"


@dataclass(frozen=True)
class DeleteRow(Step):
    """The host deletes a photo's row by SQL; the object stays for now. What is left to do the next tick does."""

    photo: int

    def take(self, play: Play) -> str:
        """See `Step`."""
        photo = play.photo(self.photo, lambda photo: photo.has_row)
        play.system.execute("DELETE FROM media WHERE id = %s", photo.media_id)
        play.system.sweep.tick()
        play.expected.row_is_gone(photo)
        return f"photo {photo.number}"


@dataclass(frozen=True)
class DeleteUser(Step):
    """The host deletes an account by SQL."""

    user: int

    def take(self, play: Play) -> str:
        """See `Step`."""
        user = play.user(self.user)
        number = play.expected.users[user]
        play.system.execute("DELETE FROM users WHERE id = %s", user)
        play.expected.user_is_gone(user)
        return f"user {number}"


@dataclass(frozen=True)
class LookAgain(Step):
    """The host asks for a photo that was looked at already."""

    photo: int

    def take(self, play: Play) -> str:
        """See `Step`."""
        photo = play.photo(self.photo, lambda photo: photo.has_row)
        play.system.look_again(play.event_id, photo.media_id)
        return f"photo {photo.number}"


@dataclass(frozen=True)
class Redeliver(Step):
    """A message of before is delivered once more."""

    message: int

    def take(self, play: Play) -> str:
        """See `Step`."""
        message = _one(self.message, play.system.delivered)
        play.system.deliver(message)
        if isinstance(message, StorageNotification):
            return f"{message.event_type} of {message.object_name.split('/', 2)[-1]} at {message.generation}"
        return message.topic


@dataclass(frozen=True)
class Tick(Step):
    """A minute has passed."""

    def take(self, play: Play) -> str:
        """See `Step`."""
        play.system.sweep.tick()
        return "nothing is to be done"


@dataclass(frozen=True)
class Recluster(Step):
    """The event is clustered though nothing changed: everybody stays where they are."""

    def take(self, play: Play) -> str:
        """See `Step`."""
        before = {face.id: face.person for face in play.expected.faces.values()}
        play.system.cluster(play.event_id)
        after = {UUID(row["id"]): row["face_person_id"] for row in play.system.look().faces}
        moved = [str(face) for face, person in before.items() if after.get(face) != (person and str(person))]
        assert not moved, play.story(f"one more clustering, and {len(moved)} faces moved")
        return "once more"


# ---------------------------------------------------------------- the organisers and guests


@dataclass(frozen=True)
class Link(Step):
    """A person is a user."""

    person: int
    user: int

    def take(self, play: Play) -> str:
        """See `Step`."""
        person, user = play.person(self.person, "pending", "invited", "ignored"), play.user(self.user)
        if play.expected.linked_to(user) is not None:
            raise NotNow

        def believe(expected: Expected, _: Decided) -> None:
            now = expected.persons[person]
            now.status, now.user, now.email = "linked", user, None

        play.decide(
            "link", lambda connection: decisions.link(connection, play.organiser, person, user, again=True), believe
        )
        return f"{play.said(person)} is user {play.expected.users[user]}"


@dataclass(frozen=True)
class SetAside(Step):
    """Somebody is ignored, restored, unlinked, or not invited after all: whichever of it is possible."""

    person: int

    def take(self, play: Play) -> str:
        """See `Step`."""
        may = {"ignore": ("pending", "invited"), "restore": ("ignored",), "unlink": ("linked", "invited")}
        people = sorted(play.expected.persons.items(), key=lambda item: item[1].number)
        how, key = _one(
            self.person,
            [(how, key) for how, statuses in may.items() for key, person in people if person.status in statuses],
        )

        def believe(expected: Expected, _: Decided) -> None:
            now = expected.persons[key]
            now.status, now.user, now.email = "ignored" if how == "ignore" else "pending", None, None

        act = getattr(decisions, how)
        play.decide(how, lambda connection: act(connection, play.organiser, key), believe)
        return f"{how} {play.said(key)}"


@dataclass(frozen=True)
class Invite(Step):
    """Somebody is asked by mail whether a person is them."""

    person: int

    def take(self, play: Play) -> str:
        """See `Step`."""
        person = play.person(self.person, "pending", "invited", "ignored")
        number = len(play.expected.invitations)
        invitation = Invitation(
            id=uuid5(_NAMES, f"invitation {number}"),
            token_hash=sha256(str(number).encode()).digest(),
            email=f"guest{number}@example.org",
            expires_at=datetime.now(UTC) + timedelta(days=1),
            language="fr",
        )

        def believe(expected: Expected, _: Decided) -> None:
            now = expected.persons[person]
            now.status, now.user, now.email = "invited", None, invitation.email
            expected.invitations[invitation.id] = (person, invitation.email)

        play.decide(
            "invite", lambda connection: decisions.invite(connection, play.organiser, person, invitation), believe
        )
        return f"{play.said(person)} by {invitation.email}"


@dataclass(frozen=True)
class Answer(Step):
    """A guest answers an invitation; a user who is a person of the event already is both."""

    invitation: int
    user: int
    accepts: bool

    def take(self, play: Play) -> str:
        """See `Step`."""
        expected = play.expected
        invited = [
            (key, person)
            for key, (of, email) in expected.invitations.items()
            if (person := expected.survivor(of)) is not None and expected.persons[person].email == email
        ]
        invitation, person = _one(self.invitation, invited)
        user = play.user(self.user)
        if not self.accepts:
            play.decide(
                "decline",
                lambda connection: decisions.decline(connection, invitation),
                lambda expected, _: _is_nobody(expected.persons[person]),
            )
            return f"{play.said(person)}: it is not them"

        def believe(expected: Expected, _: Decided) -> None:
            other = expected.linked_to(user)
            if other is not None:
                expected.merge(person, other)
            else:
                now = expected.persons[person]
                now.status, now.user, now.email = "linked", user, None

        play.decide("accept", lambda connection: decisions.accept(connection, invitation, user), believe)
        return f"{play.said(person)}: it is user {expected.users[user]}"


def _is_nobody(person: Person) -> None:
    person.status, person.user, person.email = "pending", None, None


@dataclass(frozen=True)
class Merge(Step):
    """Two persons are one."""

    gone: int
    into: int

    def take(self, play: Play) -> str:
        """See `Step`."""
        gone, into = play.person(self.gone), play.person(self.into)
        both = [play.expected.persons[person] for person in (gone, into)]
        addresses = {person.email for person in both if person.email}
        users = {person.user for person in both if person.user}
        if gone == into or len(users) > 1 or (not users and len(addresses) > 1):
            raise NotNow
        play.decide(
            "merge",
            lambda connection: decisions.merge(connection, play.organiser, [gone], into),
            lambda expected, _: expected.merge(gone, into),
        )
        return f"{play.said(gone)} is {play.said(into)}"


@dataclass(frozen=True)
class Move(Step):
    """``count`` faces, from one person on, are another person; None: one of their own."""

    face: int
    count: int
    to: int | None

    def take(self, play: Play) -> str:
        """See `Step`."""
        to = None if self.to is None else play.person(self.to)
        first = play.face(self.face)
        those = [first] if first.person is None else play.expected.faces_in(first.person)
        faces = [face for face in _in_order(those, first)[: self.count] if to is None or face.person != to]
        if not faces:
            raise NotNow
        ids = [face.id for face in faces]
        play.decide(
            "move",
            lambda connection: decisions.move(connection, play.organiser, ids, to),
            lambda expected, decided: expected.place(faces, decided.person_id),
        )
        return f"{_told(faces)} to {play.said(to)}"


@dataclass(frozen=True)
class SayYes(Step):
    """The answer yes to a suggestion."""

    suggestion: int

    def take(self, play: Play) -> str:
        """See `Step`."""
        rows = sorted(play.system.look().suggestions, key=lambda row: str(row["face_id"]))
        row = _one(self.suggestion, rows)
        face, to = play.expected.faces[UUID(row["face_id"])], UUID(row["face_person_id"])
        play.decide(
            "move",
            lambda connection: decisions.move(connection, play.organiser, [face.id], to),
            lambda expected, _: expected.place([face], to),
        )
        return f"{_told([face])} to {play.said(to)}"


@dataclass(frozen=True)
class Split(Step):
    """Some faces of a person are somebody else."""

    person: int
    face: int
    count: int

    def take(self, play: Play) -> str:
        """See `Step`."""
        person = play.person(self.person, faces=2)
        all_faces = play.expected.faces_in(person)
        faces = _in_order(all_faces, play.face(self.face, person))[: min(self.count, len(all_faces) - 1)]
        ids = [face.id for face in faces]

        def believe(expected: Expected, decided: Decided) -> None:
            assert decided.made_person_id is not None
            expected.place(faces, decided.made_person_id)

        play.decide("split", lambda connection: decisions.split(connection, play.organiser, person, ids), believe)
        return f"{_told(faces)} out of {play.said(person)}"


@dataclass(frozen=True)
class Reject(Step):
    """A face is not the person that it is in."""

    person: int
    face: int

    def take(self, play: Play) -> str:
        """See `Step`."""
        person = play.person(self.person, faces=1)
        face = play.face(self.face, person)
        play.decide(
            "reject",
            lambda connection: decisions.reject(connection, play.organiser, [face.id], person),
            lambda expected, _: expected.reject(face, person),
        )
        return f"{_told([face])} out of {play.said(person)}"


@dataclass(frozen=True)
class Cover(Step):
    """A face stands for its person."""

    person: int
    face: int

    def take(self, play: Play) -> str:
        """See `Step`."""
        person = play.person(self.person, faces=1)
        face = play.face(self.face, person)

        def believe(expected: Expected, _: Decided) -> None:
            expected.persons[person].cover = face.id

        play.decide("cover", lambda connection: decisions.cover(connection, play.organiser, person, face.id), believe)
        return f"{_told([face])} of {play.said(person)}"


@dataclass(frozen=True)
class Distinct(Step):
    """Two persons are not one."""

    one: int
    other: int

    def take(self, play: Play) -> str:
        """See `Step`."""
        one, other = play.person(self.one), play.person(self.other)
        if one == other:
            raise NotNow

        def believe(expected: Expected, _: Decided) -> None:
            for face in expected.faces_in(one):
                face.rejected |= {other}

        play.decide("distinct", lambda connection: decisions.distinct(connection, play.organiser, one, other), believe)
        return f"{play.said(one)} and {play.said(other)}"


@dataclass(frozen=True)
class Undo(Step):
    """A decision is taken back, 0 being the newest. Of older ones the system says whether that is possible."""

    back: int

    def take(self, play: Play) -> str:
        """See `Step`."""
        history = play.expected.history
        said = _one(self.back, history[::-1])
        try:
            with play.system.database.transaction() as connection:
                ledger.undo(connection, play.organiser, play.event_id, said.id)
        except Problem as problem:
            if said is history[-1] and not said.may_be_lost:
                message = play.story(f"the undoing of {said.kind}, which is refused: {problem.code}")
                raise AssertionError(message) from None
            return f"{said.kind}, which is refused: {problem.code}"
        history.remove(said)
        play.expected.undo(said)
        return said.kind


@dataclass(frozen=True)
class PurgeUser(Step):
    """A user is forgotten."""

    user: int

    def take(self, play: Play) -> str:
        """See `Step`."""
        user = play.user(self.user)
        person = play.expected.linked_to(user)
        persons = play.expected.merged_into(person) if person else set()
        _purge(play, persons, user, "purge_face_data_for_user(%s, %s)", user, play.event_id)
        return f"user {play.expected.users[user]}"


@dataclass(frozen=True)
class PurgePerson(Step):
    """A person is forgotten, whether they have an account or not."""

    person: int

    def take(self, play: Play) -> str:
        """See `Step`."""
        person = play.person(self.person)
        told = play.said(person)
        user = play.expected.persons[person].user
        _purge(play, play.expected.merged_into(person), user, "purge_face_data_for_person(%s)", person)
        return told


def _purge(play: Play, persons: set[UUID], user: UUID | None, call: str, *values: Any) -> None:
    """Purge in the system and in the model, and look whether the receipt says what was erased."""
    expected = play.expected
    wanted = {
        "faces": len(expected.faces_in(*persons)) if persons else 0,
        "persons": len(persons),
        "tags": len([tag for tag in expected.tags() if tag[1] == user]),
    }
    (row,) = play.system.execute(f"SELECT {call} AS receipt", *values)
    found = {key: row["receipt"]["erased"][key] for key in wanted}
    assert found == wanted, play.story(f"a receipt that says {found} where {wanted} were erased")
    expected.purged(persons, user)


STEPS: dict[type[Step], int] = {
    Upload: 3,
    Replace: 4,
    Companion: 2,
    DeleteCompanion: 1,
    DeleteObject: 2,
    DeleteRow: 1,
    DeleteUser: 1,
    LookAgain: 1,
    Redeliver: 2,
    Tick: 1,
    Recluster: 2,
    Link: 4,
    SetAside: 2,
    Invite: 2,
    Answer: 3,
    Merge: 2,
    Move: 4,
    SayYes: 3,
    Split: 2,
    Reject: 2,
    Cover: 2,
    Distinct: 1,
    Undo: 4,
    PurgeUser: 1,
    PurgePerson: 1,
}
"""What may be done, and how often: more of what prepares others, less of what leaves nothing to do."""


# ---------------------------------------------------------------- the start


def new_photo(expected: Expected, event_id: UUID) -> Photo:
    """Another photo, of which there is nothing yet."""
    number = len(expected.photos)
    media_id = uuid5(_NAMES, f"photo {number}")
    photo = Photo(number, media_id, f"events/{event_id}/{media_id}/photo.jpg")
    expected.photos.append(photo)
    return photo


def start(system: System) -> Start:
    """An event of three guests, each alone in two or three photos and all of them in one, and of three members.

    The first member is tagged by hand in a photo.
    """
    event_id, organiser = uuid5(_NAMES, "event"), uuid5(_NAMES, "organiser")
    system.execute("INSERT INTO users (id, display_name) VALUES (%s, 'the organiser')", organiser)
    system.execute(
        """
        INSERT INTO events (id, name, creator_id, face_recognition_enabled, consent_text_version, consented_at)
        VALUES (%s, 'an event', %s, true, '1', now())
        """,
        event_id,
        organiser,
    )
    system.execute("INSERT INTO event_members VALUES (%s, %s, 'organizer')", event_id, organiser)
    expected = Expected()
    for number in range(3):
        user = uuid5(_NAMES, f"user {number}")
        system.execute("INSERT INTO users (id, display_name) VALUES (%s, %s)", user, f"user {number}")
        system.execute("INSERT INTO event_members VALUES (%s, %s, 'member')", event_id, user)
        expected.users[user] = number
    for number, guests in enumerate(((0,), (0,), (0,), (1,), (1,), (1,), (2,), (2,), (0, 1, 2))):
        photo, picture = new_photo(expected, event_id), Picture.of(number, *guests)
        photo.generation, photo.has_row = system.put(photo.object_name, picture.file()), True
        expected.shows(photo, picture, same_bytes=False)
    tag = (expected.photos[7].media_id, next(iter(expected.users)))
    system.execute("INSERT INTO media_tags (media_id, tagged_user_id, source) VALUES (%s, %s, 'manual')", *tag)
    expected.manual_tags.add(tag)
    system.settle()
    differences = expected.differences(system.look())
    assert not differences, differences
    return Start(system.keep(), expected, event_id, organiser)


# ---------------------------------------------------------------- what they share


def _one(number: int, things: Sequence[Thing]) -> Thing:
    if not things:
        raise NotNow
    return things[number % len(things)]


def _in_order(faces: Sequence[Face], first: Face) -> list[Face]:
    """The faces by photo and place, beginning with ``first``."""
    ordered = sorted(faces, key=lambda face: (face.photo, face.box.x, face.box.y))
    at = ordered.index(first)
    return [*ordered[at:], *ordered[:at]]


def _told(faces: Sequence[Face]) -> str:
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
