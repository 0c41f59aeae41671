"""What organisers decide and guests answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid5

from functions.admin.door.problems import Problem
from functions.admin.review import decisions, ledger
from functions.admin.review.decisions import Decided, Invitation
from tests.model.expected import Expected, Person
from tests.model.play import NAMES, NotNow, Play, Step, in_order, one_of, told


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
        how, key = one_of(
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
            id=uuid5(NAMES, f"invitation {number}"),
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
        invitation, person = one_of(self.invitation, invited)
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
        faces = [face for face in in_order(those, first)[: self.count] if to is None or face.person != to]
        if not faces:
            raise NotNow
        ids = [face.id for face in faces]
        play.decide(
            "move",
            lambda connection: decisions.move(connection, play.organiser, ids, to),
            lambda expected, decided: expected.place(faces, decided.person_id),
        )
        return f"{told(faces)} to {play.said(to)}"


@dataclass(frozen=True)
class SayYes(Step):
    """The answer yes to a suggestion."""

    suggestion: int

    def take(self, play: Play) -> str:
        """See `Step`."""
        rows = sorted(play.system.look().suggestions, key=lambda row: str(row["face_id"]))
        row = one_of(self.suggestion, rows)
        face, to = play.expected.faces[UUID(row["face_id"])], UUID(row["face_person_id"])
        play.decide(
            "move",
            lambda connection: decisions.move(connection, play.organiser, [face.id], to),
            lambda expected, _: expected.place([face], to),
        )
        return f"{told([face])} to {play.said(to)}"


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
        faces = in_order(all_faces, play.face(self.face, person))[: min(self.count, len(all_faces) - 1)]
        ids = [face.id for face in faces]

        def believe(expected: Expected, decided: Decided) -> None:
            assert decided.made_person_id is not None
            expected.place(faces, decided.made_person_id)

        play.decide("split", lambda connection: decisions.split(connection, play.organiser, person, ids), believe)
        return f"{told(faces)} out of {play.said(person)}"


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
        return f"{told([face])} out of {play.said(person)}"


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
        return f"{told([face])} of {play.said(person)}"


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
        said = one_of(self.back, history[::-1])
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
