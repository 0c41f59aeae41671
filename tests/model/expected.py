"""What is to be true of an event after anything that hosts, guests and organisers do: the model.

It knows the pictures and what people said, and says who is who from that; it knows nothing of embeddings. Where people
said nothing, clustering is free: the model learns what it did, and asks only that it keeps to a few rules.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from functions.detect.boxes import Box, box_iou
from tests.model.pictures import Picture
from tests.model.system import Row, Seen

HELD = frozenset({"linked", "invited", "ignored"})
_SAME_PLACE = 0.5


@dataclass
class Face:
    """One face; ``person`` is where it was last seen, and stays where ``is_fixed`` says so."""

    id: UUID
    photo: int
    guest: int
    box: Box
    person: UUID | None = None
    is_placed: bool = False
    """A human put it where it is."""
    is_joined: bool = False
    """It was in its person when a human brought others to it: a fact, as long as one of those is there."""
    rejected: frozenset[UUID] = frozenset()


@dataclass
class Person:
    """A person of the event, by the order in which they appeared."""

    number: int
    status: str = "pending"
    user: UUID | None = None
    email: str | None = None
    into: UUID | None = None
    cover: UUID | None = None
    """The face that a human chose to stand for them."""


@dataclass(frozen=True)
class Beside:
    """An object that lies beside a photo; ``picture`` is None where it is none."""

    name: str
    generation: int
    picture: Picture | None


@dataclass
class Photo:
    """A photo; ``generation`` is None without an object.

    ``picture`` is the last one that could be read, None where nobody is known of any; ``is_read`` says whether it is
    what the object shows.
    ``beside`` is another object in its folder.
    """

    number: int
    media_id: UUID
    object_name: str
    generation: int | None = None
    picture: Picture | None = None
    is_read: bool = True
    has_row: bool = False
    purged: list[tuple[Picture, Box]] = field(default_factory=list)
    beside: Beside | None = None
    new_faces: list[tuple[int, Box]] = field(default_factory=list)
    """Guests and places that will have faces with ids of their own."""


@dataclass
class Said:
    """A decision, and what faces and persons were before it (None: there was none)."""

    id: UUID
    kind: str
    faces: dict[UUID, Face] = field(default_factory=dict)
    persons: dict[UUID, Person | None] = field(default_factory=dict)
    members: dict[UUID, frozenset[UUID]] = field(default_factory=dict)
    """Which faces those persons had."""
    may_be_lost: bool = False
    """A purge or a deletion came after it: whether it can still be undone is not for this model to say."""


class Expected:
    """The event as it should be."""

    def __init__(self) -> None:
        self.photos: list[Photo] = []
        self.faces: dict[UUID, Face] = {}
        self.persons: dict[UUID, Person] = {}
        self.users: dict[UUID, int] = {}
        self.manual_tags: set[tuple[UUID, UUID]] = set()
        self.invitations: dict[UUID, tuple[UUID, str]] = {}
        self.history: list[Said] = []
        self.touched: set[int] = set()
        """Guests whom a decision has touched: how their other faces are grouped is clustering's business."""
        self._ids: set[UUID] = set()
        self._next_person = 0

    def copied(self) -> Expected:
        """A model of its own, for another sequence that begins here."""
        other = Expected()
        for photo in self.photos:
            own = copy(photo)
            own.purged, own.new_faces = list(photo.purged), list(photo.new_faces)
            other.photos.append(own)
        other.faces = {key: copy(face) for key, face in self.faces.items()}
        other.persons = {key: copy(person) for key, person in self.persons.items()}
        other.users, other.manual_tags = dict(self.users), set(self.manual_tags)
        other._ids, other._next_person = set(self._ids), self._next_person
        return other

    # ------------------------------------------------------------ looking

    def faces_in(self, *persons: UUID) -> list[Face]:
        """The faces of these persons."""
        return [face for face in self.faces.values() if face.person in persons]

    def faces_of(self, photo: Photo) -> list[Face]:
        """The faces of a photo."""
        return [face for face in self.faces.values() if face.photo == photo.number]

    def linked_to(self, user: UUID) -> UUID | None:
        """The person that the user is."""
        return next((key for key, person in self.persons.items() if person.user == user), None)

    def survivor(self, person: UUID) -> UUID | None:
        """Who lives on of a person that was merged."""
        while person in self.persons and (into := self.persons[person].into) is not None:
            person = into
        return person if person in self.persons else None

    def merged_into(self, person: UUID) -> set[UUID]:
        """The person, and all that was merged into them."""
        return {key for key in self.persons if self.survivor(key) == person}

    def is_fixed(self, face: Face) -> bool:
        """Whether no clustering may move the face."""
        person = self.persons.get(face.person) if face.person else None
        if person is None or face.person is None:
            return False
        return face.is_placed or person.status in HELD or (face.is_joined and self._is_union(face.person))

    def _is_union(self, person: UUID) -> bool:
        """Whether anything that a human brought to the person is still there."""
        brought = any(face.is_placed for face in self.faces_in(person))
        return brought or any(other.into == person for other in self.persons.values())

    def new_person(self) -> Person:
        """Somebody whom nobody knows yet."""
        self._next_person += 1
        return Person(self._next_person - 1)

    # ------------------------------------------------------------ photos

    def shows(self, photo: Photo, picture: Picture, *, same_bytes: bool) -> None:
        """The photo's object is now this picture: who of its faces is still there, and who is new."""
        old = self.faces_of(photo)
        found = [
            (guest, box)
            for guest, box in picture.faces()
            if not any(picture.looks_like(where) and _same_place(box, place) for where, place in photo.purged)
        ]
        photo.picture, photo.is_read, photo.new_faces = picture, True, []
        for guest, box in found:
            known = next((f for f in old if _same_place(f.box, box) and (same_bytes or f.guest == guest)), None)
            if known is None:
                photo.new_faces.append((guest, box))
            else:
                old.remove(known)
                known.box = box
        self.forget(old)

    def shows_no_picture(self, photo: Photo) -> None:
        """The photo's object is no picture, or none that can be read: whoever was in it before is still there.

        Without anybody, a picture that lies beside it is the photo.
        """
        photo.is_read = False
        if not self.faces_of(photo) and not self.other_is_shown(photo):
            self._shows_nobody(photo)

    def object_is_gone(self, photo: Photo) -> None:
        """The photo was deleted, or renamed: without a picture beside it, nobody is tagged in it any more."""
        if not photo.has_row or not self.other_is_shown(photo):
            self._is_gone(photo)

    def row_is_gone(self, photo: Photo) -> None:
        """The host deleted the photo's row: it is deleted until there is a newer object."""
        photo.has_row = False
        self._is_gone(photo)

    def other_is_shown(self, photo: Photo) -> bool:
        """Let the picture that lies beside a photo be the photo; False: there is none."""
        other, before = photo.beside, photo.picture
        if other is None or other.picture is None:
            return False
        photo.object_name, photo.generation, photo.beside = other.name, other.generation, None
        self.shows(photo, other.picture, same_bytes=other.picture == before)
        return True

    def _is_gone(self, photo: Photo) -> None:
        photo.generation = None
        self._shows_nobody(photo)
        self.manual_tags = {tag for tag in self.manual_tags if tag[0] != photo.media_id}

    def _shows_nobody(self, photo: Photo) -> None:
        photo.picture, photo.new_faces = None, []
        self.forget(self.faces_of(photo))

    def forget(self, faces: Iterable[Face]) -> None:
        """These faces are gone."""
        for face in list(faces):
            del self.faces[face.id]

    # ------------------------------------------------------------ users

    def user_is_gone(self, user: UUID) -> None:
        """The host deleted an account: whoever it was is nobody known again."""
        del self.users[user]
        person = self.linked_to(user)
        if person is not None:
            self.persons[person] = Person(self.persons[person].number, cover=self.persons[person].cover)
        self.manual_tags = {tag for tag in self.manual_tags if tag[1] != user}
        self._history_may_be_lost()

    def purged(self, persons: set[UUID], user: UUID | None) -> None:
        """Somebody is forgotten: these persons with all of their faces, and every tag of the user."""
        for face in self.faces_in(*persons):
            photo = self.photos[face.photo]
            if photo.picture is not None:
                photo.purged.append((photo.picture, face.box))
        self.forget(self.faces_in(*persons))
        for person in persons:
            del self.persons[person]
        self.manual_tags = {tag for tag in self.manual_tags if tag[1] != user}
        self._history_may_be_lost()

    def _history_may_be_lost(self) -> None:
        for said in self.history:
            said.may_be_lost = True

    # ------------------------------------------------------------ what people say

    def merge(self, gone: UUID, into: UUID) -> None:
        """Two persons are one."""
        together = {gone, into}
        both = (self.persons[into], self.persons[gone])
        for face in self.faces_in(gone, into):
            face.rejected -= together
            face.is_joined = True
            face.is_placed = face.is_placed or face.person == gone
            face.person = into
        survivor, lost = both
        heir = next((p for status in ("linked", "invited") for p in both if p.status == status), None)
        if heir is not None:
            survivor.status, survivor.user, survivor.email = heir.status, heir.user, heir.email
        lost.status, lost.user, lost.email, lost.into, lost.cover = "merged", None, None, into, None

    def place(self, faces: Iterable[Face], to: UUID) -> None:
        """These faces are that person."""
        if to not in self.persons:
            self.persons[to] = self.new_person()
        for face in self.faces_in(to):
            face.is_joined = True
        for face in faces:
            if face.person is not None and face.person != to:
                face.rejected |= {face.person}
            face.rejected -= {to}
            face.person, face.is_placed, face.is_joined = to, True, True

    def reject(self, face: Face, person: UUID) -> None:
        """The face is not that person."""
        face.rejected |= {person}
        if face.person == person:
            face.person, face.is_placed, face.is_joined = None, False, False

    def undo(self, said: Said) -> None:
        """Faces and persons that are still there are what they were before the decision."""
        for key, person in said.persons.items():
            if person is None:
                self.persons.pop(key, None)
            elif key in self.persons:
                is_left = person.user is None or person.user in self.users
                self.persons[key] = copy(person) if is_left else Person(person.number, cover=person.cover)
        for key, face in said.faces.items():
            if key in self.faces:
                now = self.faces[key]
                now.person = face.person if face.person in self.persons else None
                now.is_placed, now.is_joined, now.rejected = face.is_placed, face.is_joined, face.rejected
        # Whom clustering brought meanwhile to somebody who is a user again, nobody has said to be them.
        again = {key for key in said.members if key in self.persons and self.persons[key].user is not None}
        for face in self.faces_in(*again):
            if face.person and face.id not in said.members[face.person] and not face.is_placed:
                face.person = None

    # ------------------------------------------------------------ comparing

    def differences(self, seen: Seen) -> list[str]:
        """What is not as it should be, in words; where people said nothing, the model learns what it sees."""
        rows = {UUID(row["id"]): row for row in seen.faces}
        return [
            *self._of_photos(seen),
            *self._of_faces(rows),
            *self._of_persons(seen),
            *self._of_places(rows),
            *self._of_covers(seen, rows),
            *self._of_tags(seen),
            *self._of_suggestions(seen),
            *self._of_what_is_left(seen),
            *self._of_guests_left_alone(),
        ]

    def _of_photos(self, seen: Seen) -> Iterable[str]:
        rows = {UUID(row["id"]): row for row in seen.media}
        for photo in self.photos:
            row = rows.pop(photo.media_id, None)
            if (row is not None) != photo.has_row:
                yield f"photo {photo.number}: {'its row is gone' if photo.has_row else 'it has a row again'}"
            elif row is not None and photo.generation is None:
                if row["deleted_generation"] < (row["object_generation"] or 0):
                    yield f"photo {photo.number}: it is not known to be deleted"
            elif row is not None and (row["object_name"], row["object_generation"]) != (
                photo.object_name,
                photo.generation,
            ):
                yield f"photo {photo.number}: another object is taken for it, {_last(row['object_name'])}"
        for row in rows.values():
            yield f"there is a photo that nobody uploaded: {row['object_name']}"

    def _of_faces(self, rows: dict[UUID, Row]) -> Iterable[str]:
        left = dict(rows)
        for face in list(self.faces.values()):
            row = left.pop(face.id, None)
            if row is None:
                yield f"{self._named(face)} is gone"
                del self.faces[face.id]
            elif not _same_place(Box(**row["bbox"]), face.box):
                yield f"{self._named(face)} stands elsewhere"
        numbers = {photo.media_id: photo for photo in self.photos}
        for key, row in sorted(left.items(), key=lambda item: str(item[1]["bbox"])):
            photo, box = numbers[UUID(row["media_id"])], Box(**row["bbox"])
            new = next((new for new in photo.new_faces if _same_place(new[1], box)), None)
            if new is None:
                yield f"photo {photo.number}: a face that should not be there, at {box}"
                continue
            photo.new_faces.remove(new)
            if key in self._ids:
                yield f"photo {photo.number}: guest {new[0]} has the id of another face"
            self._ids.add(key)
            self.faces[key] = Face(key, photo.number, new[0], box)
        for photo in self.photos:
            for guest, _ in photo.new_faces:
                yield f"photo {photo.number}: guest {guest} is not found"

    def _of_persons(self, seen: Seen) -> Iterable[str]:
        rows = {UUID(row["id"]): row for row in seen.persons}
        for key, person in list(self.persons.items()):
            row = rows.get(key)
            if row is None:
                if person.status != "pending" or any(self.is_fixed(face) for face in self.faces_in(key)):
                    yield f"person {person.number} ({person.status}) is gone"
                del self.persons[key]
                continue
            found = (row["status"], _id(row["linked_user_id"]), row["invitation_email"], _id(row["merged_into_id"]))
            wanted = (person.status, person.user, person.email, person.into)
            if found != wanted:
                yield f"person {person.number} is {_told(found)} instead of {_told(wanted)}"
        order = {UUID(row["face_person_id"]): str(key) for key, row in self._first_faces(seen)}
        for key in sorted(rows.keys() - self.persons.keys(), key=lambda person: order.get(person, "~")):
            self.persons[key] = self.new_person()
            if rows[key]["status"] != "pending":
                yield f"a person that nobody made is {rows[key]['status']}"

    def _first_faces(self, seen: Seen) -> list[tuple[Any, Row]]:
        """The persons' faces, each person's first one last, so that it is what a dict keeps."""
        numbers = {photo.media_id: photo.number for photo in self.photos}
        placed = [row for row in seen.faces if row["face_person_id"] is not None]
        keyed = [((f"{numbers[UUID(row['media_id'])]:04d}", row["bbox"]["x"]), row) for row in placed]
        return sorted(keyed, key=lambda item: item[0], reverse=True)

    def _of_places(self, rows: dict[UUID, Row]) -> Iterable[str]:
        """Where people said who a face is, and where they said who it is not."""
        for face in self.faces.values():
            if face.id not in rows:
                continue
            found = _id(rows[face.id]["face_person_id"])
            if self.is_fixed(face):
                if found != face.person:
                    yield f"{self._named(face)} left {self._person(face.person)} for {self._person(found)}"
                    face.is_placed = face.is_joined = False
            elif found in self.persons and found != face.person and self.persons[found].status in HELD:
                yield f"{self._named(face)} came to {self._person(found)} though nobody said so"
            if not self.is_fixed(face) and found in {self.survivor(person) for person in face.rejected} - {None}:
                yield f"{self._named(face)} is back with {self._person(found)}, from whom it was rejected"
            face.person = found

    def _of_covers(self, seen: Seen, rows: dict[UUID, Row]) -> Iterable[str]:
        for row in seen.persons:
            key, cover = UUID(row["id"]), _id(row["representative_face_id"])
            own = {face for face, of in rows.items() if _id(of["face_person_id"]) == key}
            person = self.persons.get(key)
            if person is None or person.status == "merged":
                continue
            if person.cover not in own:
                person.cover = None
            elif cover != person.cover:
                yield f"{self._person(key)} has another cover than the one that was chosen"
            if own and cover not in own:
                yield f"{self._person(key)} has no cover"
            if not own and cover is not None:
                yield f"{self._person(key)} has a cover and no face"
            if row["metadata"].get("face_count", 0) != len(own):
                yield f"{self._person(key)} has {len(own)} faces and says {row['metadata'].get('face_count')}"

    def tags(self) -> set[tuple[UUID, UUID]]:
        """Photo and user of every tag: those by hand, and one for each photo that a linked person is in."""
        users = {key: person.user for key, person in self.persons.items() if person.user is not None}
        by_faces = {
            (self.photos[face.photo].media_id, users[face.person])
            for face in self.faces.values()
            if face.person in users
        }
        return by_faces | self.manual_tags

    def _of_tags(self, seen: Seen) -> Iterable[str]:
        numbers = {photo.media_id: photo.number for photo in self.photos}
        found = {(UUID(row["media_id"]), UUID(row["tagged_user_id"])) for row in seen.tags}
        wanted = self.tags()
        for media, user in sorted(found - wanted, key=str):
            yield f"photo {numbers[media]}: user {self._user(user)} is tagged and not in it"
        for media, user in sorted(wanted - found, key=str):
            yield f"photo {numbers[media]}: user {self._user(user)} is in it and not tagged"
        for row in seen.tags:
            face, user = _id(row["face_id"]), UUID(row["tagged_user_id"])
            photo = UUID(row["media_id"])
            if (photo, user) in wanted and row["source"] != "manual" and self._user_of(face) != user:
                yield f"photo {numbers[photo]}: the tag of user {self._user(user)} is on another's face, or on none"

    def _of_suggestions(self, seen: Seen) -> Iterable[str]:
        for row in seen.suggestions:
            face, person = self.faces.get(UUID(row["face_id"])), UUID(row["face_person_id"])
            if face is None or person not in self.persons or self.persons[person].status not in HELD:
                yield "a face is suggested for somebody who is not there"
            elif face.person is not None:
                yield f"{self._named(face)} is in {self._person(face.person)} and suggested for another"
            elif person in {self.survivor(rejected) for rejected in face.rejected}:
                yield f"{self._named(face)} is suggested for {self._person(person)}, from whom it was rejected"

    def _of_what_is_left(self, seen: Seen) -> Iterable[str]:
        named = {row["thumbnail_object"] for row in seen.faces}
        numbers = {str(photo.media_id): photo.number for photo in self.photos}
        for name in sorted(set(seen.thumbnails) - named):
            yield f"photo {numbers[name.split('/')[2]]}: a thumbnail that no row names"
        for row in seen.faces:
            if row["thumbnail_object"] not in seen.thumbnails:
                yield f"photo {numbers[row['media_id']]}: a face without its thumbnail"
        for job in seen.open_jobs:
            yield f"a job is {job['status']}: {job['job_type']} {job['error']}"
        for entry in seen.outbox:
            yield f"the outbox still holds {entry['kind']} {entry['object_prefix'] or entry['topic']}"

        for receipt in seen.open_receipts:
            yield f"a receipt says that something is still to be erased: {receipt['erased']}"

    def _of_guests_left_alone(self) -> Iterable[str]:
        """Whoever no decision has touched is one person with all of their faces, and nobody else's."""
        for guest in sorted({face.guest for face in self.faces.values()} - self.touched):
            own = [face for face in self.faces.values() if face.guest == guest]
            persons = {face.person for face in own}
            others = {face.guest for face in self.faces.values() if face.person in persons - {None}} - {guest}
            if others:
                yield f"guest {guest} is one person with {sorted(others)}"
            if len(own) > 1 and (len(persons) > 1 or None in persons):
                yield f"guest {guest} has {len(own)} faces and is {[self._person(person) for person in persons]}"

    # ------------------------------------------------------------ words

    def _named(self, face: Face) -> str:
        return f"photo {face.photo}: the face of guest {face.guest}"

    def _person(self, person: UUID | None) -> str:
        if person is None:
            return "nobody"
        return f"person {self.persons[person].number}" if person in self.persons else "a new person"

    def _user(self, user: UUID) -> str:
        return str(self.users.get(user, "(deleted)"))

    def _user_of(self, face: UUID | None) -> UUID | None:
        person = self.faces[face].person if face in self.faces else None
        return self.persons[person].user if person in self.persons else None


def _same_place(one: Box, other: Box) -> bool:
    return box_iou(one, other) > _SAME_PLACE


def _id(text: str | None) -> UUID | None:
    return None if text is None else UUID(text)


def _last(object_name: str | None) -> str:
    return "none" if object_name is None else object_name.rsplit("/", 1)[-1]


def _told(values: Iterable[Any]) -> str:
    return " ".join(str(value) for value in values if value is not None)
