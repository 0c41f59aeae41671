"""An event whose people are drawn: to measure and to show the web page without anybody's picture.

Rows and objects are written as detect and cluster would leave them; nothing is detected in a drawing.
"""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

import psycopg
from PIL import Image, ImageDraw
from psycopg.types.json import Jsonb

from local.cloud.state import Addresses
from local.demo.host import storage_client

_MODEL = "drawn"
_SCALE = 4  # drawn larger, then reduced: smooth edges
_SIDE = 160
_PHOTO = (900, 675)
_SHOTS = 4
_SKINS = ("#f6d7c3", "#eac0a2", "#d69f7c", "#b97f5b", "#8d5b3e", "#5f3b28")
_HAIRS = ("#2a211d", "#4b3325", "#7c5230", "#b98a4a", "#d9b56b", "#9a3f24", "#8d8d93", "#3b3b46")
_SHIRTS = ("#3f6fb5", "#b5483f", "#3f8f6b", "#8a57a8", "#d08a2e", "#2f7f8f", "#5a5f73", "#c25b84")
_SKIES = ("#cfe3ee", "#f3e3cf", "#dcead3", "#e6dcef", "#f0d9d9", "#d6dde8")
_STYLES = ("short", "long", "bun", "curls", "none", "fringe")


@dataclass(frozen=True)
class Looks:
    """What one drawn person looks like in every drawing."""

    skin: str
    hair: str
    shirt: str
    style: str
    glasses: bool
    beard: bool

    @classmethod
    def of(cls, number: int) -> Looks:
        """Return the appearance of person ``number``: always the same, and unlike the next person's."""
        chance = random.Random(number)  # noqa: S311 - for looks
        return cls(
            skin=_SKINS[number % len(_SKINS)],
            hair=chance.choice(_HAIRS),
            shirt=_SHIRTS[number % len(_SHIRTS)],
            style=_STYLES[number % len(_STYLES)],
            glasses=chance.random() < 0.3,  # noqa: PLR2004 - a share
            beard=chance.random() < 0.25,  # noqa: PLR2004 - a share
        )


def draw_person(pen: ImageDraw.ImageDraw, looks: Looks, left: float, top: float, size: float, mood: float) -> None:
    """Draw head and shoulders into the square of ``size`` pixels at ``left``, ``top``; ``mood`` in [-1, 1]."""

    def at(*places: float) -> list[float]:
        return [(left if index % 2 == 0 else top) + place * size for index, place in enumerate(places)]

    thin = max(1, round(size * 0.018))
    if looks.style == "long":
        pen.rounded_rectangle(at(0.2, 0.16, 0.8, 0.86), size * 0.28, fill=looks.hair)
    if looks.style == "bun":
        pen.ellipse(at(0.38, 0.02, 0.62, 0.24), fill=looks.hair)
    pen.rounded_rectangle(at(0.1, 0.8, 0.9, 1.3), size * 0.22, fill=looks.shirt)
    pen.rounded_rectangle(at(0.42, 0.66, 0.58, 0.88), size * 0.06, fill=looks.skin)
    pen.ellipse(at(0.19, 0.42, 0.29, 0.56), fill=looks.skin)
    pen.ellipse(at(0.71, 0.42, 0.81, 0.56), fill=looks.skin)
    pen.rounded_rectangle(at(0.25, 0.2, 0.75, 0.78), size * 0.23, fill=looks.skin)
    if looks.beard:
        pen.chord(at(0.25, 0.36, 0.75, 0.8), 15, 165, fill=looks.hair)
    _draw_hair(pen, looks, at, size)
    for x in (0.39, 0.61):
        pen.ellipse(at(x - 0.028, 0.45, x + 0.028, 0.51), fill="#26262e")
        pen.arc(at(x - 0.06, 0.38, x + 0.06, 0.46), 200, 340, fill=looks.hair, width=thin)
        if looks.glasses:
            pen.ellipse(at(x - 0.085, 0.4, x + 0.085, 0.56), outline="#26262e", width=thin)
    if looks.glasses:
        pen.line(at(0.475, 0.47, 0.525, 0.47), fill="#26262e", width=thin)
    pen.arc(at(0.47, 0.5, 0.53, 0.58), 20, 160, fill="#7c4a37", width=thin)
    smile = 0.05 + 0.04 * mood
    pen.chord(at(0.41, 0.62 - smile, 0.59, 0.62 + smile), 10, 170, fill="#8c3b3b")


def _draw_hair(pen: ImageDraw.ImageDraw, looks: Looks, at: Any, size: float) -> None:  # noqa: ANN401 - a local function
    match looks.style:
        case "none":
            pen.chord(at(0.24, 0.14, 0.76, 0.5), 195, 345, fill=looks.skin)
        case "curls":
            for x in (0.26, 0.36, 0.5, 0.64, 0.74):
                pen.ellipse(at(x - 0.11, 0.12, x + 0.11, 0.34), fill=looks.hair)
        case "fringe":
            pen.rounded_rectangle(at(0.23, 0.12, 0.77, 0.38), size * 0.12, fill=looks.hair)
        case _:
            pen.chord(at(0.23, 0.1, 0.77, 0.6), 180, 360, fill=looks.hair)


def thumbnail(person: int, shot: int) -> bytes:
    """Draw one face as detect would crop it: a JPEG of 160 x 160 pixels."""
    chance = random.Random(person * 100 + shot)  # noqa: S311 - for looks
    side = _SIDE * _SCALE
    picture = Image.new("RGB", (side, side), _SKIES[(person + shot) % len(_SKIES)])
    left, top = (chance.uniform(-0.03, 0.03) * side for _ in range(2))
    draw_person(ImageDraw.Draw(picture), Looks.of(person), left, top, side, chance.uniform(-1, 1))
    picture = picture.rotate(chance.uniform(-7, 7), Image.Resampling.BICUBIC, fillcolor=picture.getpixel((2, 2)))
    return _jpeg(picture.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS))


def photo(people: Sequence[int], shot: int) -> tuple[bytes, list[dict[str, float]]]:
    """Draw some persons side by side: a JPEG, and their faces' boxes as fractions of the photo."""
    chance = random.Random(sum(people) * 31 + shot)  # noqa: S311 - for looks
    width, height = (side * 2 for side in _PHOTO)
    picture = Image.new("RGB", (width, height), _SKIES[shot % len(_SKIES)])
    pen = ImageDraw.Draw(picture)
    pen.rectangle([0, height * 0.72, width, height], fill="#b9c8a4")
    pen.ellipse([width * 0.08, height * 0.06, width * 0.2, height * 0.22], fill="#fbf3d5")
    boxes = []
    room = width / len(people)
    for place, person in enumerate(people):
        size = min(room * 0.9, height * 0.55) * chance.uniform(0.8, 1)
        left = place * room + (room - size) / 2 + chance.uniform(-0.05, 0.05) * room
        top = height * chance.uniform(0.2, 0.35)
        looks = Looks.of(person)
        pen.rounded_rectangle([left + size * 0.1, top + size, left + size * 0.9, height * 1.1], size * 0.2, looks.shirt)
        draw_person(pen, looks, left, top, size, chance.uniform(-1, 1))
        boxes.append(
            {
                "x": (left + 0.25 * size) / width,
                "y": (top + 0.2 * size) / height,
                "w": 0.5 * size / width,
                "h": 0.58 * size / height,
            }
        )
    return _jpeg(picture.resize(_PHOTO, Image.Resampling.LANCZOS)), boxes


def _jpeg(picture: Image.Image) -> bytes:
    kept = io.BytesIO()
    picture.save(kept, "JPEG", quality=88)
    return kept.getvalue()


_EVENT = """
WITH creator AS (INSERT INTO users (id, display_name) VALUES (%(organiser)s, %(organiser_name)s)),
made AS (
    INSERT INTO events (id, name, creator_id, language, face_recognition_enabled, consent_text_version, consented_at)
    VALUES (%(event)s, %(name)s, %(organiser)s, %(language)s, true, 'drawn-1', now())
),
counted AS (INSERT INTO event_counters (event_id, embedding_model) VALUES (%(event)s, %(model)s))
INSERT INTO event_members (event_id, user_id, role) VALUES (%(event)s, %(organiser)s, 'owner')
"""
_MEMBER = """
WITH made AS (INSERT INTO users (id, display_name, email) VALUES (%(id)s, %(name)s, %(email)s))
INSERT INTO event_members (event_id, user_id, role) VALUES (%(event)s, %(id)s, 'member')
"""
_MEDIA = "INSERT INTO media (id, event_id, bucket, object_name, object_generation) VALUES (%s, %s, %s, %s, %s)"
_JOB = """
INSERT INTO ml_jobs (job_type, event_id, media_ids, object_generation, status, result, released_at, started_at,
    completed_at)
VALUES ('detect', %s, ARRAY[%s::uuid], %s, 'completed', '{}', now(), now(), now())
"""
_PERSON = """
INSERT INTO face_persons (id, event_id, cluster_label, metadata) VALUES (%s, %s, %s, '{}')
"""
_COVER = "UPDATE face_persons SET representative_face_id = %s WHERE id = %s"
_FACE = """
INSERT INTO faces (id, media_id, event_id, object_generation, face_person_id, bbox, embedding, embedding_model,
    quality_score, landmarks, sharpness, yaw, pitch, roll, size_px, thumbnail_object)
VALUES (%s, %s, %s, %s, %s, %s, %s::vector, %s, %s, '[[0.1, 0.1]]', 300, 0, 0, 0, 150, %s)
"""
_AXES = 512
# In larger events every drawing shows one person: pairs would all have to be drawn.
_MOST_IN_PAIRS = 1000


@dataclass(frozen=True)
class DrawnEvent:
    """What was made; persons in the order of how many photos they are on."""

    event_id: UUID
    organiser: UUID
    persons: Sequence[UUID]
    members: Sequence[UUID]


def make_drawn_event(
    addresses: Addresses,
    name: str,
    *,
    persons: int,
    faces: int,
    members: Sequence[str] = (),
    looks: int = 40,
    language: str = "fr",
) -> DrawnEvent:
    """Plan an event of ``persons`` (at most 512) with ``faces`` in all; the first person is in the most photos.

    ``looks`` different people are drawn: in a larger event some of them look alike.
    """
    if persons > _AXES:
        message = f"at most {_AXES} persons: each has an axis of the embeddings for itself"
        raise ValueError(message)
    client = storage_client(addresses)
    event_id, organiser = uuid4(), uuid4()
    thumbnails = _store_thumbnails(client, addresses, event_id, min(persons, looks))
    ids = [uuid4() for _ in range(persons)]
    plan = _plan(persons, faces)
    photos = _store_photos(client, addresses, event_id, [tuple(p % looks for p in people) for people in plan])
    first: dict[int, UUID] = {}
    rows: list[tuple[Any, ...]] = []
    for shown, people in zip(photos, plan, strict=True):
        for box, person in zip(shown.boxes, people, strict=True):
            face_id = uuid4()
            first.setdefault(person, face_id)
            shot = len(rows) % _SHOTS
            quality = 0.99 if first[person] == face_id else 0.7 + 0.2 * random.Random(len(rows)).random()  # noqa: S311
            rows.append(
                (
                    *(face_id, shown.media_id, event_id, shown.generation, ids[person], Jsonb(box)),
                    *(_axis(person), _MODEL, quality),
                    thumbnails[person % looks][shot],
                )
            )
    with psycopg.connect(addresses.database_url) as connection, connection.cursor() as cursor:
        cursor.execute(
            _EVENT,
            {
                "event": event_id,
                "organiser": organiser,
                "organiser_name": "Organiser",
                "name": name,
                "language": language,
                "model": _MODEL,
            },
        )
        known = [uuid4() for _ in members]
        for member_id, member in zip(known, members, strict=True):
            email = f"{member.split()[0].lower()}@example.org"
            cursor.execute(_MEMBER, {"id": member_id, "name": member, "email": email, "event": event_id})
        # Not in the bucket of photos: what comes there is looked at.
        bucket = addresses.derived_bucket
        cursor.executemany(
            _MEDIA, [(shown.media_id, event_id, bucket, shown.name, shown.generation) for shown in photos]
        )
        cursor.executemany(_JOB, [(event_id, shown.media_id, shown.generation) for shown in photos])
        cursor.executemany(_PERSON, [(ids[person], event_id, person) for person in range(persons)])
        cursor.executemany(_FACE, rows)
        cursor.executemany(_COVER, [(first[person], ids[person]) for person in range(persons)])
    return DrawnEvent(event_id, organiser, ids, known)


def _axis(person: int) -> str:
    return "[" + ",".join("1" if axis == person else "0" for axis in range(_AXES)) + "]"


def _plan(persons: int, faces: int) -> list[tuple[int, ...]]:
    """Who is on each photo: everybody three times, the first more often; in small events two on every third photo."""
    wanted = [3] * persons
    chance = random.Random(persons)  # noqa: S311 - for looks
    for _ in range(faces - 3 * persons):
        wanted[int(persons * chance.random() ** 2)] += 1
    left = [person for person, count in enumerate(wanted) for _ in range(count)]
    chance.shuffle(left)
    photos: list[tuple[int, ...]] = []
    while left:
        people = [left.pop()]
        if left and faces <= _MOST_IN_PAIRS and len(photos) % 3 == 0 and left[-1] != people[0]:
            people.append(left.pop())
        photos.append(tuple(people))
    return photos


@dataclass(frozen=True)
class _Shown:
    media_id: UUID
    name: str
    generation: int
    boxes: Sequence[dict[str, float]]


def _store_photos(
    client: Any,  # noqa: ANN401 - untyped
    addresses: Addresses,
    event_id: UUID,
    plan: Sequence[tuple[int, ...]],
) -> list[_Shown]:
    """Draw one photo for each entry; the same group of people is drawn at most twice."""
    bucket = client.bucket(addresses.derived_bucket)
    drawn: dict[tuple[tuple[int, ...], int], _Shown] = {}
    shown = []
    for number, people in enumerate(plan):
        key = (people, number % 2)
        if key not in drawn:
            content, boxes = photo(people, number)
            blob = bucket.blob(f"events/{event_id}/photo-{len(drawn)}.jpg")
            blob.upload_from_string(content, content_type="image/jpeg")
            drawn[key] = _Shown(uuid4(), blob.name, int(blob.generation), boxes)
        shown.append(replace(drawn[key], media_id=uuid4()))
    return shown


def _store_thumbnails(client: Any, addresses: Addresses, event_id: UUID, looks: int) -> dict[int, list[str]]:  # noqa: ANN401 - untyped
    bucket = client.bucket(addresses.derived_bucket)
    names: dict[int, list[str]] = {}
    for person in range(looks):
        names[person] = [f"events/{event_id}/{person}-{shot}.jpg" for shot in range(_SHOTS)]
        for shot, name in enumerate(names[person]):
            bucket.blob(name).upload_from_string(thumbnail(person, shot), content_type="image/jpeg")
    return names
