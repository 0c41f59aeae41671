"""What a host app's users see through PostgREST: their own events, and never a biometric."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql

from shared.database import Connection
from tests.arrange import cluster_job, detect_job, event, face, member, person, photo

READABLE = ("ml_jobs", "face_persons", "media_tags", "cluster_runs", "events", "event_members", "media")
FACE_COLUMNS = "id, media_id, event_id, face_person_id, placed_by_human, bbox, quality_score, size_px, yaw"
NEVER = (
    "event_counters",
    "face_tombstones",
    "outbox",
    "dead_letters",
    "decisions",
    "face_rejections",
    "face_suggestions",
    "merge_suggestions",
    "invitations",
    "purge_receipts",
    "auth_failures",
    "metric_event_coverage",
    "metric_pending_jobs",
    "metric_auth_failures",
    "metric_noise_ratio",
)


@dataclass
class Party:
    """Two events, and who belongs to the first."""

    event_id: UUID
    owner: UUID
    organiser: UUID
    tagged: UUID
    member: UUID
    owner_of_another: UUID
    stranger: UUID
    linked_person: UUID


@pytest.fixture
def party(connection: Connection) -> Party:
    event_id, other = event(connection), event(connection)
    tagged = member(connection, event_id)
    made = Party(
        event_id=event_id,
        owner=member(connection, event_id, "owner"),
        organiser=member(connection, event_id, "organizer"),
        tagged=tagged,
        member=member(connection, event_id),
        owner_of_another=member(connection, other, "owner"),
        stranger=uuid4(),
        linked_person=person(connection, event_id, status="linked", linked_user_id=tagged),
    )
    for which in (event_id, other):
        media_id = photo(connection, which)
        face(connection, which, media_id)
        person(connection, which)
        detect_job(connection, which, media_id, status="completed")
        job_id = cluster_job(connection, which, status="completed")
        connection.execute(
            """
            INSERT INTO cluster_runs (job_id, run, event_id, faces, clusters, persons, noise, churn, suggestions,
                milliseconds, parameters) VALUES (%s, 1, %s, 1, 0, 0, 1, 0, 0, '{}', '{}')
            """,
            (job_id, which),
        )
        for user_id in (tagged, made.owner_of_another):
            connection.execute(
                "INSERT INTO media_tags (media_id, tagged_user_id, source) VALUES (%s, %s, 'manual')",
                (media_id, user_id),
            )
    return made


@contextmanager
def request_of(connection: Connection, user_id: UUID | None) -> Iterator[Connection]:
    """What PostgREST does for a request with a verified token."""
    with connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL ROLE authenticated")
        claims = json.dumps({} if user_id is None else {"sub": str(user_id), "role": "authenticated"})
        connection.execute("SELECT set_config('request.jwt.claims', %s, true)", (claims,))
        yield connection


def seen(connection: Connection, user_id: UUID | None, table: str) -> int:
    columns = FACE_COLUMNS if table == "faces" else "event_id" if table in ("media", "face_persons") else "*"
    with request_of(connection, user_id) as request:
        statement = sql.SQL("SELECT {} FROM {}").format(sql.SQL(columns), sql.Identifier(table))
        return len(request.execute(statement).fetchall())


def all_seen(connection: Connection, user_id: UUID | None) -> dict[str, int]:
    return {table: count for table in (*READABLE, "faces") if (count := seen(connection, user_id, table))}


@pytest.mark.parametrize("who", ["owner", "organiser"])
def test_an_organiser_sees_everything_of_the_event_and_nothing_of_another(
    connection: Connection, party: Party, who: str
) -> None:
    assert all_seen(connection, getattr(party, who)) == {
        "ml_jobs": 2,
        "face_persons": 2,
        "media_tags": 2,
        "cluster_runs": 1,
        "events": 1,
        "event_members": 4,
        "media": 1,
        "faces": 1,
    }


def test_a_member_sees_the_event_its_photos_and_themself(connection: Connection, party: Party) -> None:
    assert all_seen(connection, party.member) == {"events": 1, "event_members": 1, "media": 1}
    assert all_seen(connection, party.tagged) == {
        "events": 1,
        "event_members": 1,
        "media": 1,
        "media_tags": 1,
        "face_persons": 1,
    }


def test_a_member_sees_only_the_person_that_they_are(connection: Connection, party: Party) -> None:
    with request_of(connection, party.tagged) as request:
        assert request.execute("SELECT id FROM face_persons").fetchall() == [{"id": party.linked_person}]


@pytest.mark.parametrize("who", [None, "stranger"])
def test_a_stranger_sees_nothing(connection: Connection, party: Party, who: str | None) -> None:
    assert all_seen(connection, getattr(party, who) if who else None) == {}


def test_who_has_left_the_event_sees_nothing_of_it(connection: Connection, party: Party) -> None:
    connection.execute("DELETE FROM event_members WHERE user_id = %s", (party.tagged,))
    assert all_seen(connection, party.tagged) == {}


def test_a_user_sees_their_own_account_alone(connection: Connection, party: Party) -> None:
    with request_of(connection, party.owner) as request:
        found = request.execute("SELECT id, email, display_name FROM users").fetchall()
    assert [row["id"] for row in found] == [party.owner]


def refused(connection: Connection, user_id: UUID, statement: Any, *values: Any) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege), request_of(connection, user_id) as request:
        request.execute(statement, values)


@pytest.mark.parametrize("column", ["embedding", "landmarks", "thumbnail_object", "*"])
def test_nobody_reads_an_embedding_or_a_landmark(connection: Connection, party: Party, column: str) -> None:
    refused(connection, party.owner, f"SELECT {column} FROM faces")


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT id FROM faces ORDER BY embedding <=> (SELECT array_fill(0.1, ARRAY[512])::vector)",
        "SELECT id FROM faces WHERE embedding IS NOT NULL",
        "SELECT count(landmarks) FROM faces",
    ],
)
def test_nobody_reads_an_embedding_in_a_roundabout_way(connection: Connection, party: Party, statement: str) -> None:
    refused(connection, party.owner, statement)


@pytest.mark.parametrize("table", NEVER)
def test_what_is_trombi_s_own_is_readable_by_nobody(connection: Connection, party: Party, table: str) -> None:
    refused(connection, party.owner, sql.SQL("SELECT * FROM {}").format(sql.Identifier(table)))


@pytest.mark.parametrize("table", [*READABLE, "faces", "users"])
def test_nobody_writes(connection: Connection, party: Party, table: str) -> None:
    refused(connection, party.owner, sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
    refused(connection, party.owner, sql.SQL("INSERT INTO {} DEFAULT VALUES").format(sql.Identifier(table)))
    column = sql.SQL("user_id" if table == "event_members" else "id")
    refused(
        connection,
        party.owner,
        sql.SQL("UPDATE {} SET {} = gen_random_uuid()").format(sql.Identifier(table), column),
    )


def test_every_table_has_row_level_security(connection: Connection) -> None:
    open_tables = connection.execute(
        """
        SELECT relname FROM pg_class WHERE relnamespace = 'trombi'::regnamespace AND relkind IN ('r', 'p')
            AND NOT relrowsecurity AND relname <> 'schema_migrations'
        """
    ).fetchall()
    assert open_tables == []
