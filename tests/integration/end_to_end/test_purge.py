"""Somebody is forgotten on the whole emulated cloud: no trace is left anywhere, and everybody else is untouched.

What is looked through: every column of every table, the names and contents of the derived bucket's objects, and every
file of the cloud's own (logs, the bus's journal with its retained messages). Not the mail that the guest was sent,
which is theirs, nor Postgres' files, whose rows are looked through instead.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import jwt
import psycopg
import pytest
from google.cloud import storage
from PIL import Image
from psycopg import sql
from psycopg.rows import dict_row

from functions.detect.boxes import Box, box_iou
from local.cloud.cloud import Cloud
from local.demo.host import storage_client
from tests.integration.end_to_end.test_invitation import mail_to
from tests.integration.end_to_end.whole_cloud import Event, wait_until

_ADDRESS = "zebulon.quatremains@example.net"
_AS_TYPED = "Zebulon.Quatremains@Example.net"
_NAME = "Zébulon Quatremains"
_WORDS = "C'est bien toi, Zébu ?"
_COLUMNS = """
SELECT pg_class.relname AS in_table, pg_attribute.attname AS in_column, pg_type.typname AS of_type
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = pg_class.relnamespace
JOIN pg_attribute ON attrelid = pg_class.oid JOIN pg_type ON pg_type.oid = atttypid
WHERE relkind IN ('r', 'p', 'm') AND attnum > 0 AND NOT attisdropped
    AND nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
ORDER BY relname, attnum
"""
_FIND = sql.SQL(
    "SELECT DISTINCT trace FROM {table}, unnest(%s::text[]) AS trace WHERE position(trace IN lower({column}::text)) > 0"
)
_FIND_IN_BYTES = sql.SQL(
    "SELECT DISTINCT trace FROM {table}, unnest(%s::text[]) AS trace "
    "WHERE position(trace IN lower(encode({column}, 'escape'))) > 0"
)
# The guest's own mailbox, and rows that are looked through as rows.
_NOT_OURS = frozenset({"mails", "postgres"})


@dataclass(frozen=True)
class Traces:
    """What may be found nowhere: ``texts`` in small letters, ``pictures`` as SHA-256 of thumbnails."""

    texts: frozenset[str]
    pictures: frozenset[str]


def tables_with(database_url: str, traces: Traces) -> dict[str, set[str]]:
    """Where in the database a trace is: ``table.column`` → the traces."""
    found: dict[str, set[str]] = {}
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        for column in connection.execute(_COLUMNS).fetchall():
            # Bytes as the text that they are, where they are; everything else as Postgres writes it.
            statement = _FIND_IN_BYTES if column["of_type"] == "bytea" else _FIND
            rows = connection.execute(
                statement.format(table=sql.Identifier(column["in_table"]), column=sql.Identifier(column["in_column"])),
                (sorted(traces.texts),),
            ).fetchall()
            if rows:
                found[f"{column['in_table']}.{column['in_column']}"] = {row["trace"] for row in rows}
    return found


def objects_with(client: storage.Client, buckets: tuple[str, ...], traces: Traces, event_id: UUID) -> list[str]:
    """The objects that are named by a trace, or are one of the pictures of the event.

    Other events of the same cloud may hold the very same photos, and are not purged.
    """
    return [
        blob.name
        for bucket in buckets
        for blob in client.list_blobs(bucket)
        if any(trace in blob.name.lower() for trace in traces.texts)
        or (
            blob.name.startswith(f"events/{event_id}/")
            and hashlib.sha256(blob.download_as_bytes()).hexdigest() in traces.pictures
        )
    ]


def files_of(directory: Path) -> Iterator[Path]:
    """Every file of the cloud's own."""
    for path in sorted(directory.rglob("*")):
        if path.is_file() and _NOT_OURS.isdisjoint(path.relative_to(directory).parts):
            yield path


def files_with(directory: Path, traces: Traces) -> dict[str, set[str]]:
    """Which files hold a trace, names included."""
    found = {}
    for path in files_of(directory):
        content = path.read_bytes().lower() + path.as_posix().lower().encode()
        held = {trace for trace in traces.texts if trace.encode() in content}
        if held:
            found[path.relative_to(directory).as_posix()] = held
    return found


@dataclass
class Guest:
    """Somebody who was invited, said yes, and was given a name by the host app."""

    event: Event
    admin: httpx.Client
    secret: str
    organiser: UUID
    person_id: UUID
    faces: list[dict[str, Any]]
    user_id: UUID | None = None

    def bearer(self, user_id: UUID | None) -> dict[str, str]:
        claims = {"sub": str(user_id), "aud": "authenticated", "exp": int(time.time()) + 600}
        return {"Authorization": f"Bearer {jwt.encode(claims, self.secret, algorithm='HS256')}"}

    def ask(self, method: str, path: str, user_id: UUID | None, body: Mapping[str, Any] | None = None) -> Any:
        answer = self.admin.request(method, path, json=body, headers=self.bearer(user_id))
        assert answer.status_code < 300, answer.text
        return answer.json()


def guest_of(cloud: Cloud, event: Event, admin: httpx.Client) -> Guest:
    """The person with the most faces, not yet asked."""
    (creator,) = event.rows("SELECT creator_id FROM events WHERE id = %s", event.event_id)
    (person,) = event.rows(
        "SELECT face_person_id AS id FROM faces WHERE event_id = %s AND face_person_id IS NOT NULL "
        "GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1",
        event.event_id,
    )
    faces = event.rows(
        "SELECT id, media_id, bbox, thumbnail_object, left(embedding::text, 60) AS vector FROM faces "
        "WHERE face_person_id = %s",
        person["id"],
    )
    secret = cloud._options.environment["JWT_SECRET"]
    return Guest(event, admin, secret, creator["creator_id"], person["id"], faces)


def invite_and_accept(cloud: Cloud, guest: Guest) -> str:
    """By mail, as it happens; returns the token that was in it."""
    guest.ask("POST", f"/person/{guest.person_id}/invite", guest.organiser, {"email": _AS_TYPED, "message": _WORDS})
    link = re.search(r'href="([^"]+/invite/([^"?/]+)[^"]*)"', mail_to(cloud, _ADDRESS))
    assert link is not None
    accepted = guest.admin.post(link[1], json={"answer": "accept"})
    assert accepted.status_code == 200, accepted.text
    (user,) = guest.event.rows("SELECT id FROM users WHERE email = %s", _ADDRESS)
    guest.user_id = user["id"]
    guest.event.rows("UPDATE users SET display_name = %s WHERE id = %s RETURNING id", _NAME, guest.user_id)
    # Kept answers, decisions and the audit hold them too.
    guest.admin.post(
        f"/person/{guest.person_id}/cover",
        json={"face_id": str(guest.faces[-1]["id"])},
        headers={**guest.bearer(guest.organiser), "Idempotency-Key": "the cover"},
    ).raise_for_status()
    for face in guest.faces:
        path = f"/face/{face['id']}/thumbnail"
        guest.admin.get(path, headers=guest.bearer(guest.organiser)).raise_for_status()
    return link[2]


def traces_of(guest: Guest, client: storage.Client, bucket: str, more: list[str]) -> Traces:
    ids = [str(guest.person_id), *(str(face["id"]) for face in guest.faces)]
    vectors = [face["vector"] for face in guest.faces]
    pictures = [client.bucket(bucket).blob(face["thumbnail_object"]).download_as_bytes() for face in guest.faces]
    return Traces(
        texts=frozenset(text.lower() for text in (*ids, *vectors, _ADDRESS, _NAME, _WORDS, *more)),
        pictures=frozenset(hashlib.sha256(picture).hexdigest() for picture in pictures),
    )


@pytest.fixture(scope="module")
def own_photos(photos: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The photos a little smaller: in another event the very same ones have the very same embeddings."""
    folder = tmp_path_factory.mktemp("own photos")
    for path in photos.values():
        with Image.open(path) as picture:
            picture.resize((picture.width * 9 // 10, picture.height * 9 // 10)).save(folder / path.name, quality=90)
    return {name: folder / path.name for name, path in photos.items()}


@pytest.fixture
def admin(cloud: Cloud) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=cloud.addresses.function_urls["admin"], trust_env=False, timeout=60) as client:
        yield client


def test_a_guest_who_is_forgotten_leaves_no_trace_and_does_not_come_back(
    cloud: Cloud, admin: httpx.Client, own_photos: dict[str, Path]
) -> None:
    event = Event.made(cloud.addresses, own_photos)
    event.upload()
    event.wait_until_settled()
    guest = guest_of(cloud, event, admin)
    client = storage_client(cloud.addresses)
    buckets = (cloud.addresses.derived_bucket, cloud.addresses.photos_bucket)
    directory = cloud._state.directory
    token = invite_and_accept(cloud, guest)
    invitations = event.rows("SELECT id FROM invitations WHERE event_id = %s", event.event_id)
    invitation_ids = [str(row["id"]) for row in invitations]
    assert invitation_ids
    event.wait_until_settled()
    assert guest.user_id is not None
    traces = traces_of(guest, client, cloud.addresses.derived_bucket, [token])
    faces_before = event.rows("SELECT id, face_person_id FROM faces WHERE event_id = %s", event.event_id)
    persons_before = {face["face_person_id"] for face in faces_before} - {None}
    picture = admin.get(f"/face/{guest.faces[0]['id']}/thumbnail", headers=guest.bearer(guest.organiser))

    # Else the search below would prove nothing.
    held = tables_with(cloud.addresses.database_url, traces)
    assert {"faces.id", "faces.embedding", "users.email", "users.display_name", "decisions.inverse"} <= set(held)
    assert {"invitations.email", "invitations.message", "biometric_reads.subject_id", "idempotency_keys.answer"} <= set(
        held
    )
    assert len(objects_with(client, buckets, traces, event.event_id)) == len(guest.faces)
    assert "logs/cluster.log" in files_with(directory, Traces(frozenset({str(event.event_id)}), frozenset()))

    receipt = guest.ask(
        "POST", "/privacy/purge", guest.user_id, {"event_id": str(event.event_id), "user_id": str(guest.user_id)}
    )
    erased = receipt["erased"]
    assert (erased["faces"], erased["embeddings"], erased["thumbnails"]) == (len(guest.faces),) * 3
    assert (erased["persons"], erased["invitations"], erased["accounts"]) == (1, 1, 1)
    assert erased["tags"] == len({face["media_id"] for face in guest.faces})

    def is_complete() -> bool:
        (row,) = event.rows("SELECT completed_at FROM purge_receipts WHERE id = %s", receipt["id"])
        return row["completed_at"] is not None

    wait_until(is_complete, "the thumbnails are erased")
    event.wait_until_settled()
    # A message that is retained names the invitation by its id, which by now is an id of nothing.
    assert tables_with(cloud.addresses.database_url, Traces(frozenset(invitation_ids), frozenset())) == {}
    _assert_no_trace(cloud, client, buckets, directory, traces, event.event_id)
    again = admin.get(
        f"/face/{guest.faces[0]['id']}/thumbnail",
        headers={**guest.bearer(guest.organiser), "If-None-Match": picture.headers["ETag"]},
    )
    assert again.status_code == 404, "a picture that a browser kept is not said to be good still"

    # Looking at every photo again, by force, brings nobody back.
    jobs = guest.ask("POST", "/ml/enqueue", guest.organiser, {"event_id": str(event.event_id), "force": True})["jobs"]
    assert len(jobs) == len(own_photos)
    event.wait_until_settled()
    _assert_no_trace(cloud, client, buckets, directory, traces, event.event_id)
    faces = event.rows("SELECT id, media_id, bbox, face_person_id FROM faces WHERE event_id = %s", event.event_id)
    for purged in guest.faces:
        near = [face for face in faces if face["media_id"] == purged["media_id"]]
        assert all(box_iou(Box(**face["bbox"]), Box(**purged["bbox"])) <= 0.5 for face in near)

    # Everybody else is as before, and counted right (acceptance 3).
    gone = {face["id"] for face in guest.faces}
    assert {face["id"] for face in faces} == {face["id"] for face in faces_before} - gone
    assert {face["face_person_id"] for face in faces} - {None} == persons_before - {guest.person_id}
    listed = guest.ask("GET", f"/event/{event.event_id}/face-persons?limit=200", guest.organiser)["items"]
    assert {UUID(shown["id"]): shown["face_count"] for shown in listed} == {
        person_id: sum(face["face_person_id"] == person_id for face in faces)
        for person_id in persons_before - {guest.person_id}
    }
    for row in event.rows("SELECT id, metadata FROM face_persons WHERE event_id = %s", event.event_id):
        assert row["metadata"]["face_count"] == sum(face["face_person_id"] == row["id"] for face in faces)
    assert (
        event.rows("SELECT FROM media_tags JOIN media ON media.id = media_id WHERE event_id = %s", event.event_id) == []
    )
    assert len(event.host.thumbnails(event.event_id)) == len(faces)


def _assert_no_trace(
    cloud: Cloud, client: storage.Client, buckets: tuple[str, ...], directory: Path, traces: Traces, event_id: UUID
) -> None:
    assert tables_with(cloud.addresses.database_url, traces) == {}
    assert objects_with(client, buckets, traces, event_id) == []
    assert files_with(directory, traces) == {}


def test_an_archived_event_keeps_what_people_said_and_nothing_biometric(
    cloud: Cloud, admin: httpx.Client, photos: dict[str, Path]
) -> None:
    event = Event.made(cloud.addresses, dict(list(photos.items())[:8]))
    event.upload()
    event.wait_until_settled()
    guest = guest_of(cloud, event, admin)
    (user,) = event.rows("INSERT INTO users DEFAULT VALUES RETURNING id")
    event.rows("INSERT INTO event_members VALUES (%s, %s) RETURNING user_id", event.event_id, user["id"])
    guest.ask("POST", f"/person/{guest.person_id}/link-user", guest.organiser, {"user_id": str(user["id"])})
    tags = event.rows("SELECT media_id FROM media_tags WHERE tagged_user_id = %s ORDER BY 1", user["id"])
    faces = event.rows("SELECT id, face_person_id FROM faces WHERE event_id = %s ORDER BY id", event.event_id)
    guest.ask("POST", f"/event/{event.event_id}/archive", guest.organiser, {})

    def is_erased() -> bool:
        receipts = guest.ask("GET", f"/event/{event.event_id}/receipts", guest.organiser)["items"]
        return [(receipt["reason"], receipt["thumbnails"]) for receipt in receipts] == [("archive", "erased")]

    wait_until(is_erased, "the thumbnails are erased")
    client = storage_client(cloud.addresses)
    assert list(client.list_blobs(cloud.addresses.derived_bucket, prefix=f"events/{event.event_id}/")) == []
    left = event.rows(
        "SELECT count(embedding) + count(landmarks) + count(thumbnail_object) AS n FROM faces WHERE event_id = %s",
        event.event_id,
    )
    assert left == [{"n": 0}]
    assert event.rows("SELECT id, face_person_id FROM faces WHERE event_id = %s ORDER BY id", event.event_id) == faces
    assert event.rows("SELECT media_id FROM media_tags WHERE tagged_user_id = %s ORDER BY 1", user["id"]) == tags != []
