"""Where every sequence begins."""

from __future__ import annotations

from uuid import uuid5

from tests.model.expected import Expected
from tests.model.pictures import Picture
from tests.model.play import NAMES, Start, new_photo
from tests.model.system import System


def start(system: System) -> Start:
    """An event of three guests, each alone in two or three photos and all of them in one, and of three members.

    The first member is tagged by hand in a photo.
    """
    event_id, organiser = uuid5(NAMES, "event"), uuid5(NAMES, "organiser")
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
        user = uuid5(NAMES, f"user {number}")
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
