"""An event with a bit of everything, who has what to do with it, and every request that the document knows of."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from PIL import Image
from psycopg import sql

from shared.database import Connection
from shared.invitation_token import hash_token, make_token
from tests.arrange import DERIVED_BUCKET, PHOTOS_BUCKET, cluster_job, detect_job, event, face, member, person, photo
from tests.integration.admin.conftest import INVITATION_SECRET, AdminSite

# Tables that refused requests may write: their very count, and nothing else.
_COUNTED = "auth_failures"
# Where what is required depends on the rest of the body.
_BODIES: dict[str, dict[str, Any]] = {
    "PUT /event/{event_id}/consent": {"enabled": True, "text_version": "1"},
    "POST /privacy/purge": {"event_id": "", "user_id": ""},
}


@dataclass(frozen=True)
class Party:
    """``ids`` are of the event, by the names that paths and bodies give them."""

    ids: Mapping[str, Any]
    organiser: UUID
    member: UUID
    another_organiser: UUID
    stranger: UUID

    @property
    def event_id(self) -> UUID:
        """The event."""
        found: UUID = self.ids["event_id"]
        return found


def arrange_party(site: AdminSite) -> Party:
    """The event, with consent: three persons of two faces each, one linked, one invited; and another event."""
    connection = site.connection
    event_id, other = event(connection), event(connection)
    organiser, linked = member(connection, event_id, "owner"), member(connection, event_id)
    persons = [
        person(connection, event_id, status="linked", linked_user_id=linked),
        person(connection, event_id, status="invited"),
        person(connection, event_id),
        person(connection, event_id),
    ]
    faces = []
    for number, person_id in enumerate(persons * 2):
        media_id = photo(connection, event_id)
        generation = site.objects.put(PHOTOS_BUCKET, f"events/{event_id}/{media_id}/photo.jpg", jpeg(seed=number))
        connection.execute("UPDATE media SET object_generation = %s WHERE id = %s", (generation, media_id))
        face_id = face(connection, event_id, media_id, person_id=person_id)
        name = f"events/{event_id}/{face_id}.jpg"
        site.objects.put(DERIVED_BUCKET, name, jpeg(seed=number))
        connection.execute("UPDATE faces SET thumbnail_object = %s WHERE id = %s", (name, face_id))
        detect_job(connection, event_id, media_id, status="completed")
        faces.append((face_id, media_id))
    connection.execute(
        "INSERT INTO media_tags (media_id, tagged_user_id, source) VALUES (%s, %s, 'face_clustering')",
        (faces[0][1], linked),
    )
    connection.execute(
        "INSERT INTO face_suggestions (face_id, face_person_id, score) VALUES (%s, %s, 0.5)", (faces[2][0], persons[0])
    )
    connection.execute(
        "INSERT INTO merge_suggestions VALUES (least(%(a)s, %(b)s), greatest(%(a)s, %(b)s), 0.5)",
        {"a": persons[2], "b": persons[3]},
    )
    cluster_job(connection, event_id, status="completed")
    token = _invite(connection, event_id, persons[1], organiser)
    status, decided = site.ask("POST", f"/person/{persons[2]}/ignore", organiser)
    assert status == 200, decided
    return Party(
        ids={
            "event_id": event_id,
            "person_id": persons[0],
            "invited_person_id": persons[1],
            "face_id": faces[0][0],
            "media_id": faces[0][1],
            "user_id": linked,
            "decision_id": decided["decision_id"],
            "token": token,
            "into": persons[3],
            "from": [str(persons[3])],
            "face_ids": [str(faces[0][0])],
            "media_ids": [str(faces[0][1])],
        },
        organiser=organiser,
        member=linked,
        another_organiser=member(connection, other, "owner"),
        stranger=uuid4(),
    )


def jpeg(seed: int) -> bytes:
    """A small picture of one colour."""
    kept = io.BytesIO()
    Image.new("RGB", (32, 24), (seed * 20 % 256, 80, 120)).save(kept, "JPEG")
    return kept.getvalue()


def _invite(connection: Connection, event_id: UUID, person_id: UUID, organiser: UUID) -> str:
    invitation_id = uuid4()
    token = make_token(INVITATION_SECRET, invitation_id)
    connection.execute(
        "UPDATE face_persons SET invitation_email = 'guest@example.org' WHERE id = %s",
        (person_id,),
    )
    connection.execute(
        """
        INSERT INTO invitations (id, event_id, face_person_id, token_hash, email, invited_by, expires_at)
        VALUES (%s, %s, %s, %s, 'guest@example.org', %s, now() + interval '1 day')
        """,
        (invitation_id, event_id, person_id, hash_token(token), organiser),
    )
    return token


@dataclass(frozen=True)
class Operation:
    """An operation of the document."""

    method: str
    path: str
    described: Mapping[str, Any]
    document: Mapping[str, Any]

    @property
    def name(self) -> str:
        """As messages show it."""
        return f"{self.method} {self.path}"

    @property
    def is_public(self) -> bool:
        """Whether the document asks for no token."""
        return {} in self.described.get("security", [])

    def address(self, ids: Mapping[str, Any]) -> str:
        """The path, with ids in it."""
        return re.sub(r"\{([^}]+)\}", lambda found: str(ids[found[1]]), self.path)

    def body(self, ids: Mapping[str, Any]) -> dict[str, Any] | None:
        """A body that is right by the document, with ids where it names them; None where there is none."""
        if "requestBody" not in self.described:
            return None
        if self.name in _BODIES:
            return {name: str(ids[name]) if name in ids else value for name, value in _BODIES[self.name].items()}
        schema = self._resolved(self.described["requestBody"]["content"]["application/json"]["schema"])
        wanted = {*schema.get("required", []), *(set(schema["properties"]) & {"into", "face_ids", "person_id"})}
        return {name: self._example(name, schema["properties"][name], ids) for name in sorted(wanted)}

    def _example(self, name: str, schema: Mapping[str, Any], ids: Mapping[str, Any]) -> Any:
        if name in ids:
            return ids[name] if isinstance(ids[name], list) else str(ids[name])
        resolved = self._resolved(schema)
        if "enum" in resolved:
            return resolved["enum"][0]
        by_type = {"boolean": True, "integer": 1, "array": [], "object": {}}
        by_format = {"uuid": str(uuid4()), "email": "guest@example.org"}
        return by_type.get(resolved.get("type", ""), by_format.get(resolved.get("format", ""), "1"))

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        while "$ref" in schema:
            schema = self.document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return schema


def operations(document: Mapping[str, Any]) -> Iterator[Operation]:
    """Every operation of a document."""
    for path, item in document["paths"].items():
        for method, described in item.items():
            yield Operation(method.upper(), path, described, document)


def everything(connection: Connection) -> dict[str, list[str]]:
    """Every row of every table as text, but for the count of refusals."""
    tables = connection.execute(
        """
        SELECT relname FROM pg_class WHERE relnamespace = 'trombi'::regnamespace AND relkind IN ('r', 'p')
            AND relname <> %s ORDER BY relname
        """,
        (_COUNTED,),
    ).fetchall()
    return {
        row["relname"]: [
            found["content"]
            for found in connection.execute(
                sql.SQL("SELECT {table}::text AS content FROM {table} ORDER BY 1").format(
                    table=sql.Identifier(row["relname"])
                )
            ).fetchall()
        ]
        for row in tables
    }
