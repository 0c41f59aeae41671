"""What a host app does to its photos, rows and accounts, and what a bus and a clock do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from shared.contracts import StorageNotification
from tests.model.expected import Beside
from tests.model.pictures import Picture
from tests.model.play import NotNow, Play, Step, new_photo, one_of

_GUESTS = 4


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
    "same bytes",
    "another guest",
    "mirrored",
    "cropped",
    "compressed again",
    "places exchanged",
    "nobody",
    "no picture",
    "cut",
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
            play.upload(photo, b"%PDF-1.7\n% no picture" if self.how == "no picture" else before.file()[:-60])
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
            "cut": lambda: None,
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
        if photo.picture is None or not (photo.is_read or play.expected.faces_of(photo)):
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
        if not photo.is_read and photo.generation is not None:
            play.expected.shows_no_picture(photo)
        return f"photo {photo.number}"


@dataclass(frozen=True)
class Redeliver(Step):
    """A message of before is delivered once more."""

    message: int

    def take(self, play: Play) -> str:
        """See `Step`."""
        message = one_of(self.message, play.system.delivered)
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
