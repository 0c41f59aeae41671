"""What the browser's tests play on: an emulated cloud, one event, and copies of it for every test."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import jwt
import psycopg
from psycopg.rows import dict_row

from local.cloud.cloud import FUNCTIONS, Cloud, CloudOptions
from local.cloud.processes import Report
from local.demo.sign_in import sign_in_link
from tests.integration.end_to_end.whole_cloud import wait_until
from tests.integration.local.small_cloud import state_directory

_ADMIN_ALONE = tuple(function for function in FUNCTIONS if function.name == "admin")
# Of a copy, each id is made of the copy's and the original's: no list of pairs is needed.
_COPY = """
WITH event AS (
    INSERT INTO events (id, name, language, face_recognition_enabled, consent_text_version, consented_at)
    VALUES (%(to)s, %(name)s, 'fr', true, '1', now())
), counters AS (
    INSERT INTO event_counters (event_id, embedding_model)
    SELECT %(to)s, embedding_model FROM event_counters WHERE event_id = %(from)s
), photos AS (
    INSERT INTO media (id, event_id, bucket, object_name, object_generation)
    SELECT md5(%(to)s::text || id)::uuid, %(to)s, bucket, object_name, object_generation
    FROM media WHERE event_id = %(from)s
), jobs AS (
    INSERT INTO ml_jobs (job_type, event_id, media_ids, object_generation, status, result, released_at, started_at,
        completed_at)
    SELECT 'detect', %(to)s, ARRAY[md5(%(to)s::text || media_ids[1])::uuid], object_generation, status, result,
        released_at, started_at, completed_at
    FROM ml_jobs WHERE event_id = %(from)s AND job_type = 'detect'
), persons AS (
    INSERT INTO face_persons (id, event_id, cluster_label, representative_face_id, metadata)
    SELECT md5(%(to)s::text || id)::uuid, %(to)s, cluster_label, md5(%(to)s::text || representative_face_id)::uuid,
        metadata
    FROM face_persons WHERE event_id = %(from)s AND status = 'pending'
)
INSERT INTO faces (id, media_id, event_id, object_generation, face_person_id, bbox, embedding, embedding_model,
    quality_score, landmarks, sharpness, yaw, pitch, roll, size_px, thumbnail_object)
SELECT md5(%(to)s::text || id)::uuid, md5(%(to)s::text || media_id)::uuid, %(to)s, object_generation,
    md5(%(to)s::text || face_person_id)::uuid, bbox, embedding, embedding_model, quality_score, landmarks, sharpness,
    yaw, pitch, roll, size_px, CASE WHEN %(pictures)s THEN thumbnail_object END
FROM faces WHERE event_id = %(from)s
"""
_MEMBER = """
WITH made AS (INSERT INTO users (id, display_name, email) VALUES (%(id)s, %(name)s, %(email)s))
INSERT INTO event_members (event_id, user_id, role) VALUES (%(event)s, %(id)s, %(role)s)
"""
_PERSONS = """
SELECT person.id, person.status, person.linked_user_id, person.merged_into_id, person.invitation_email,
    person.representative_face_id, count(faces.id) AS faces, count(DISTINCT faces.media_id) AS photos
FROM face_persons AS person LEFT JOIN faces ON faces.face_person_id = person.id
WHERE person.event_id = %s GROUP BY person.id ORDER BY photos DESC, person.id
"""


@dataclass(frozen=True)
class Stage:
    """The cloud, and how to sign in to it."""

    cloud: Cloud
    secret: str

    @property
    def address(self) -> str:
        """Where admin is."""
        return self.cloud.addresses.function_urls["admin"]

    @property
    def inbox(self) -> str:
        """Where mails are shown."""
        return self.cloud.addresses.inbox_url

    def rows(self, statement: str, *values: object) -> list[dict[str, Any]]:
        """Ask the database, or change it."""
        with psycopg.connect(self.cloud.addresses.database_url, row_factory=dict_row) as connection:
            answer = connection.execute(statement, values or None)
            return answer.fetchall() if answer.description else []

    def change(self, statement: str, values: dict[str, Any]) -> None:
        """Change the database."""
        with psycopg.connect(self.cloud.addresses.database_url) as connection:
            connection.execute(statement, values)

    def token(self, user_id: UUID, seconds: int = 3600) -> str:
        """A user's bearer token."""
        claims = {"sub": str(user_id), "aud": "authenticated", "exp": int(time.time()) + seconds}
        return jwt.encode(claims, self.secret, algorithm="HS256")

    def page(self, event_id: UUID, user_id: UUID) -> str:
        """The address of an event's page that signs a user in."""
        return sign_in_link(self.cloud.addresses, event_id, user_id, self.secret)


@contextmanager
def admin_alone(progress: Report = print) -> Iterator[Stage]:
    """A cloud in which nothing is detected or clustered: what stands in the database is what the page shows."""
    secret = secrets.token_hex(32)
    with state_directory() as state:
        chosen = CloudOptions(
            state, bus="small", functions=_ADMIN_ALONE, environment={"JWT_SECRET": secret}, fast_postgres=True
        )
        with Cloud(chosen, progress) as cloud:
            yield Stage(cloud, secret)


@dataclass(frozen=True)
class Scene:
    """An event of a test's own."""

    stage: Stage
    event_id: UUID
    organiser: UUID

    @property
    def url(self) -> str:
        """Its page, signed in as the organiser."""
        return self.stage.page(self.event_id, self.organiser)

    @classmethod
    def copied(cls, stage: Stage, original: UUID, name: str = "Mariage de test", *, pictures: bool = True) -> Scene:
        """A copy of an event's photos, faces and persons, undecided. Objects are shared."""
        event_id = uuid4()
        stage.change(_COPY, {"to": event_id, "from": original, "name": name, "pictures": pictures})
        scene = cls(stage, event_id, uuid4())
        scene.member("Organisatrice", user_id=scene.organiser, role="organizer")
        return scene

    @classmethod
    def empty(cls, stage: Stage, name: str = "Fête de test", *, consents: bool = True) -> Scene:
        """An event without photos."""
        event_id = uuid4()
        stage.rows(
            "INSERT INTO events (id, name, face_recognition_enabled, consent_text_version, consented_at) "
            "VALUES (%s, %s, %s, '1', now())",
            event_id,
            name,
            consents,
        )
        scene = cls(stage, event_id, uuid4())
        scene.member("Organisatrice", user_id=scene.organiser, role="organizer")
        return scene

    def member(
        self, name: str | None, *, user_id: UUID | None = None, role: str = "member", email: str | None = None
    ) -> UUID:
        """A member of the event."""
        made = user_id or uuid4()
        values = {"id": made, "name": name, "email": email or f"{made.hex[:8]}@example.org", "event": self.event_id}
        self.stage.change(_MEMBER, {**values, "role": role})
        return made

    def members(self, names: Sequence[str]) -> list[UUID]:
        """Several members."""
        return [self.member(name) for name in names]

    def persons(self) -> list[dict[str, Any]]:
        """The persons as the database has them, the largest first."""
        return self.stage.rows(_PERSONS, self.event_id)

    def person(self, person_id: UUID) -> dict[str, Any]:
        """One of them."""
        return next(row for row in self.persons() if row["id"] == person_id)

    def wait_until(self, person_id: UUID, status: str) -> None:
        """Wait until the database says so: what the page shows is ahead of it."""
        wait_until(lambda: self.person(person_id)["status"] == status, f"the person is {status}", 30)

    def people(self) -> list[UUID]:
        """Those that have faces and are not merged, the largest first."""
        return [row["id"] for row in self.persons() if row["faces"] and row["status"] != "merged"]

    def faces_of(self, person_id: UUID) -> list[UUID]:
        """A person's faces, the best first."""
        statement = "SELECT id FROM faces WHERE face_person_id = %s ORDER BY quality_score DESC, id"
        return [row["id"] for row in self.stage.rows(statement, person_id)]

    def tagged(self, user_id: UUID) -> int:
        """On how many photos of the event the user is tagged."""
        statement = """
            SELECT count(*) AS tags FROM media_tags JOIN media ON media.id = media_tags.media_id
            WHERE media.event_id = %s AND tagged_user_id = %s
        """
        tags: int = self.stage.rows(statement, self.event_id, user_id)[0]["tags"]
        return tags
