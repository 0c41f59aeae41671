"""The second lock: what the database lets admin do for a user, whatever admin itself would ask for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from local.cloud.postgres import database_url as url_of
from shared.database import Connection
from sql.migrate import migrate
from tests.arrange import member, photo
from tests.integration.admin.conftest import AdminSite, open_site
from tests.integration.admin.party import Party, arrange_party, everything

# What the organiser of an empty event sees of a database that is full of another's: themself, and that event's consent.
OWN = {"users": 1, "events": 1, "event_members": 1, "event_consents": 1}


@pytest.fixture
def party(site: AdminSite) -> Party:
    """A whole event, and the organiser of another, which is empty."""
    made = arrange_party(site)
    site.connection.execute(
        "INSERT INTO event_consents (event_id, enabled, actor_id) VALUES (%s, true, %s)",
        (made.event_id, made.organiser),
    )
    site.connection.execute("INSERT INTO purge_receipts (event_id, erased) VALUES (%s, '{}')", (made.event_id,))
    site.connection.execute(
        "INSERT INTO biometric_reads (actor, event_id, what, subject_id) VALUES (%s, %s, 'face', %s)",
        (str(made.organiser), made.event_id, made.ids["face_id"]),
    )
    site.connection.execute("INSERT INTO face_rejections VALUES (%s, %s)", (made.ids["face_id"], made.ids["into"]))
    site.ask("POST", f"/person/{made.ids['into']}/ignore", made.organiser, key="kept")
    return made


@contextmanager
def as_user(connection: Connection, user_id: UUID) -> Iterator[Connection]:
    """A transaction as admin has it for a user; nothing of it stays."""
    with connection.transaction(force_rollback=True):
        connection.execute(
            "SELECT set_config('role', 'trombi_reviewer', true), set_config('request.jwt.claims', %s, true)",
            (json.dumps({"sub": str(user_id)}),),
        )
        yield connection


def tables(connection: Connection) -> list[str]:
    found = connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'trombi'::regnamespace AND relkind IN ('r', 'p') ORDER BY 1"
    ).fetchall()
    return [row["relname"] for row in found if row["relname"] != "schema_migrations"]


def columns(connection: Connection, table: str, privilege: str) -> list[str]:
    """The columns on which the role has the privilege."""
    found = connection.execute(
        """
        SELECT attname FROM pg_attribute WHERE attrelid = %(table)s::regclass AND attnum > 0 AND NOT attisdropped
            AND attgenerated = '' AND has_column_privilege('trombi_reviewer', attrelid, attnum, %(privilege)s)
        ORDER BY attnum
        """,
        {"table": table, "privilege": privilege},
    ).fetchall()
    return [row["attname"] for row in found]


def names(found: list[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, found))


def seen(connection: Connection, user_id: UUID) -> dict[str, int]:
    """How many rows of each table the user is shown."""
    counts = {}
    for table in tables(connection):
        readable = columns(connection, table, "SELECT")
        if not readable:
            continue
        with as_user(connection, user_id) as request:
            statement = sql.SQL("SELECT {} FROM {}").format(names(readable), sql.Identifier(table))
            counts[table] = len(request.execute(statement).fetchall())
    return {table: count for table, count in counts.items() if count}


def changed(connection: Connection, user_id: UUID, statement: sql.SQL | sql.Composed, *values: Any) -> int | None:
    """How many rows the user's statement changes; None when it is refused."""
    try:
        with as_user(connection, user_id) as request:
            return request.execute(statement, values).rowcount
    except psycopg.errors.InsufficientPrivilege:
        return None


# ---------------------------------------------------------------- another's event


def test_of_another_event_nothing_is_seen(site: AdminSite, party: Party) -> None:
    assert seen(site.connection, party.another_organiser) == OWN
    assert seen(site.connection, party.stranger) == {}


def test_the_organiser_sees_the_whole_event(site: AdminSite, party: Party) -> None:
    """What is not seen above is there to be seen."""
    assert set(seen(site.connection, party.organiser)) == {
        "decisions",
        "event_consents",
        "event_counters",
        "event_members",
        "events",
        "face_persons",
        "face_rejections",
        "face_suggestions",
        "faces",
        "idempotency_keys",
        "invitations",
        "media",
        "media_tags",
        "merge_suggestions",
        "ml_jobs",
        "purge_receipts",
        "users",
    }


def test_nothing_of_another_event_is_changed_or_deleted(site: AdminSite, party: Party) -> None:
    before = everything(site.connection)
    for table in tables(site.connection):
        for user_id in (party.another_organiser, party.stranger):
            for column in columns(site.connection, table, "UPDATE"):
                # Without a condition: a column named in WHERE would ask for the right to read as well.
                statement = sql.SQL("UPDATE {} SET {} = DEFAULT").format(sql.Identifier(table), sql.Identifier(column))
                assert not changed(site.connection, user_id, statement), f"{table}.{column}"
            statement = sql.SQL("DELETE FROM {}").format(sql.Identifier(table))
            assert not changed(site.connection, user_id, statement), table
    assert everything(site.connection) == before


def test_no_row_is_written_into_another_event(site: AdminSite, party: Party) -> None:
    connection = site.connection
    tried = []
    for table in tables(connection):
        insertable = columns(connection, table, "INSERT")
        kept = connection.execute(
            sql.SQL("SELECT to_jsonb({table}) AS content FROM {table} LIMIT 1").format(table=sql.Identifier(table))
        ).fetchone()
        if not insertable or kept is None:
            continue
        # A copy under an id of its own, signed by whoever tries.
        copy = kept["content"] | {"id": str(uuid4()), "version": None, "token_hash": f"\\x{uuid4().hex * 2}"}
        for user_id in (party.another_organiser, party.stranger):
            signed = copy | {"actor_id": str(user_id), "invited_by": str(user_id)}
            statement = sql.SQL("INSERT INTO {table} ({columns}) SELECT {columns} FROM {rows}").format(
                table=sql.Identifier(table),
                columns=names(insertable),
                rows=sql.SQL("jsonb_populate_record(NULL::{}, %s)").format(sql.Identifier(table)),
            )
            assert changed(connection, user_id, statement, Jsonb(signed)) is None, table
        tried.append(table)
    assert {"decisions", "face_persons", "face_rejections", "idempotency_keys", "invitations", "media_tags"} <= {*tried}
    # The outbox is empty: drained. A message about another's event:
    message = sql.SQL("INSERT INTO outbox (kind, topic, data) VALUES ('publish', 'cluster-requests', %s)")
    told = Jsonb({"event_id": str(party.event_id)})
    assert changed(connection, party.another_organiser, message, told) is None
    assert changed(connection, party.organiser, message, told) == 1


def test_nobody_asks_for_objects_to_be_deleted(site: AdminSite, party: Party) -> None:
    statement = sql.SQL("INSERT INTO outbox (kind, data) VALUES ('delete_objects', %s)")
    told = Jsonb({"event_id": str(party.event_id)})
    assert changed(site.connection, party.organiser, statement, told) is None


# ---------------------------------------------------------------- one's own event


def test_nobody_signs_a_decision_as_another(site: AdminSite, party: Party) -> None:
    statement = sql.SQL(
        "INSERT INTO decisions (event_id, actor_id, kind, subject, inverse) VALUES (%s, %s, 'ignore', '{{}}', '{{}}')"
    ).format()
    assert changed(site.connection, party.organiser, statement, party.event_id, party.organiser) == 1
    assert changed(site.connection, party.organiser, statement, party.event_id, party.member) is None
    assert changed(site.connection, party.organiser, statement, party.event_id, None) is None


def test_the_ledger_is_not_rewritten(site: AdminSite, party: Party) -> None:
    assert columns(site.connection, "decisions", "UPDATE") == ["undone_by"]
    assert changed(site.connection, party.organiser, sql.SQL("DELETE FROM decisions")) is None


def test_a_key_of_another_is_neither_seen_nor_taken(site: AdminSite, party: Party) -> None:
    second = member(site.connection, party.event_id, "owner")
    assert "idempotency_keys" in seen(site.connection, party.organiser)
    assert "idempotency_keys" not in seen(site.connection, second)
    statement = sql.SQL("INSERT INTO idempotency_keys (caller, key, fingerprint) VALUES (%s, 'mine', %s)")
    assert changed(site.connection, second, statement, str(party.organiser), b"0" * 32) is None
    assert changed(site.connection, second, statement, str(second), b"0" * 32) == 1


def test_a_face_is_rejected_from_persons_of_its_own_event_alone(site: AdminSite, party: Party) -> None:
    foreign = site.connection.execute(
        "INSERT INTO face_persons (event_id) SELECT event_id FROM event_members WHERE user_id = %s RETURNING id",
        (party.another_organiser,),
    ).fetchone()
    assert foreign is not None
    statements = [
        sql.SQL("INSERT INTO face_rejections (face_id, face_person_id) VALUES (%s, %s)"),
        sql.SQL("INSERT INTO face_suggestions (face_id, face_person_id, score) VALUES (%s, %s, 0.5)"),
    ]
    for statement in statements:
        assert changed(site.connection, party.organiser, statement, party.ids["face_id"], foreign["id"]) is None
    site.connection.execute(
        "INSERT INTO event_members SELECT event_id, %s, 'owner' FROM event_members WHERE user_id = %s",
        (party.organiser, party.another_organiser),
    )
    for statement in statements:  # nor when both events are the user's
        assert changed(site.connection, party.organiser, statement, party.ids["face_id"], foreign["id"]) is None


def test_a_tag_shows_a_face_of_its_own_photo_alone(site: AdminSite, party: Party) -> None:
    statement = sql.SQL(
        "UPDATE media_tags SET face_id = (SELECT id FROM faces WHERE media_id <> media_tags.media_id LIMIT 1)"
    )
    assert changed(site.connection, party.organiser, statement) is None


def test_photos_and_events_are_locked_and_never_changed(site: AdminSite, party: Party) -> None:
    for table in ("media", "events"):
        lock = sql.SQL("SELECT id FROM {} FOR NO KEY UPDATE").format(sql.Identifier(table))
        assert (changed(site.connection, party.organiser, lock) or 0) > 0
        update = sql.SQL("UPDATE {} SET id = id").format(sql.Identifier(table))
        assert changed(site.connection, party.organiser, update) is None
        assert columns(site.connection, table, "UPDATE") == ["id"]


def test_a_member_sees_what_concerns_them_and_changes_nothing(site: AdminSite, party: Party) -> None:
    assert seen(site.connection, party.member) == {
        "events": 1,
        "event_members": 1,
        "users": 1,
        "media": 1,
        "media_tags": 1,
        "face_persons": 1,
        "faces": 2,
    }
    for table in tables(site.connection):
        for column in columns(site.connection, table, "UPDATE"):
            statement = sql.SQL("UPDATE {} SET {} = DEFAULT").format(sql.Identifier(table), sql.Identifier(column))
            assert not changed(site.connection, party.member, statement), f"{table}.{column}"
        assert not changed(site.connection, party.member, sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))


def test_a_member_who_is_tagged_by_a_confirmed_suggestion_sees_the_photo(site: AdminSite, party: Party) -> None:
    """By row level security alone: whatever a tag came from, somebody said so."""
    for source, tagged in (("suggested", party.member), ("manual", party.stranger)):
        media_id = photo(site.connection, party.event_id)
        with site.connection.transaction():
            if tagged == party.stranger:
                site.connection.execute("INSERT INTO users (id) VALUES (%s)", (tagged,))
            site.connection.execute(
                "INSERT INTO media_tags (media_id, tagged_user_id, source) VALUES (%s, %s, %s)",
                (media_id, tagged, source),
            )
        with as_user(site.connection, tagged) as request:
            shown = request.execute("SELECT id FROM media WHERE id = %s", (media_id,)).fetchall()
            told = request.execute("SELECT source FROM media_tags WHERE media_id = %s", (media_id,)).fetchall()
        belongs = tagged == party.member
        assert (len(shown), len(told)) == ((1, 1) if belongs else (0, 0)), source


# ---------------------------------------------------------------- the role


def test_no_biometric_and_no_secret_is_within_reach(connection: Connection) -> None:
    assert not {"embedding", "landmarks"} & set(columns(connection, "faces", "SELECT"))
    assert "token_hash" not in columns(connection, "invitations", "SELECT")
    for table in ("auth_failures", "biometric_reads", "dead_letters", "face_tombstones"):
        assert columns(connection, table, "SELECT") == [], table
    views = connection.execute(
        """
        SELECT relname FROM pg_class WHERE relnamespace = 'trombi'::regnamespace AND relkind IN ('v', 'm')
            AND has_any_column_privilege('trombi_reviewer', oid, 'SELECT')
            AND NOT coalesce('security_invoker=true' = ANY (reloptions), false)
        """
    ).fetchall()
    assert views == [], "a view has its owner's rights"


def test_the_role_itself_can_do_nothing(connection: Connection) -> None:
    role = connection.execute("SELECT * FROM pg_roles WHERE rolname = 'trombi_reviewer'").fetchone()
    assert role is not None
    assert not any(role[right] for right in ("rolsuper", "rolbypassrls", "rolcanlogin", "rolcreaterole"))
    owned = connection.execute("SELECT relname FROM pg_class WHERE relowner = 'trombi_reviewer'::regrole").fetchall()
    assert owned == []
    schema = connection.execute("SELECT has_schema_privilege('trombi_reviewer', 'trombi', 'CREATE') AS yes").fetchone()
    assert schema == {"yes": False}


def test_no_function_is_everybody_s(connection: Connection) -> None:
    found = connection.execute(
        """
        SELECT proname FROM pg_proc
        WHERE pronamespace = 'trombi'::regnamespace AND has_function_privilege('public', oid, 'EXECUTE') ORDER BY 1
        """
    ).fetchall()
    assert [row["proname"] for row in found] == []
    unsafe = connection.execute(
        """
        SELECT proname FROM pg_proc JOIN pg_language ON pg_language.oid = prolang
        WHERE pronamespace = 'trombi'::regnamespace AND lanname IN ('sql', 'plpgsql')
            AND NOT coalesce(proconfig @> ARRAY['search_path=trombi, pg_temp'], false)
            AND prosqlbody IS NULL -- A body that was parsed when the function was made asks for no name again.
        """
    ).fetchall()
    assert unsafe == []


def test_a_user_who_is_no_superuser_migrates_and_admin_works_with_its_rights(postgres_port: int) -> None:
    """As on Cloud SQL and Supabase, where nobody is a superuser."""
    name = f"owner_{uuid4().hex}"
    with psycopg.connect(url_of(postgres_port), autocommit=True) as superuser:
        superuser.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEROLE").format(sql.Identifier(name)))
        superuser.execute(sql.SQL("CREATE DATABASE {0} OWNER {0}").format(sql.Identifier(name)))
        # The server's other databases have made the role: as its maker this user could grant it, and no more.
        superuser.execute(
            sql.SQL("GRANT trombi_reviewer TO {} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE").format(
                sql.Identifier(name)
            )
        )
    with psycopg.connect(url_of(postgres_port, name), autocommit=True) as superuser:
        superuser.execute("CREATE EXTENSION vector")
    url = url_of(postgres_port, name).replace("//postgres@", f"//{name}@")
    migrate(url)
    with (
        psycopg.connect(url, autocommit=True, row_factory=psycopg.rows.dict_row) as connection,
        open_site(url, connection) as site,
    ):
        party = arrange_party(site)
        status, listed = site.ask("GET", f"/event/{party.event_id}/face-persons", party.organiser)
        assert (status, len(listed["items"]) > 0) == (200, True)
        assert site.ask("GET", f"/event/{party.event_id}/face-persons", party.another_organiser)[0] == 404
        assert site.ask("POST", "/ml/enqueue", party.organiser, event_id=party.event_id, force=True)[0] == 202
        assert set(seen(connection, party.another_organiser)) == set(OWN)
