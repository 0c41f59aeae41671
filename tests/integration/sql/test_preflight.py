"""What stands in the way of a migration is told in plain words before anything is changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from local.cloud.postgres import database_url as url_of
from sql import preflight
from sql.migrate import database_url_of_environment, migrate
from sql.preflight import MigrationError, obstacles
from sql.uninstall import UninstallError, uninstall
from tests.databases import Databases, dump, empty


@contextmanager
def refused(url: str, *words: str) -> Iterator[None]:
    """Migrating is refused with these words, and nothing is changed by it."""
    before = dump(url)
    with pytest.raises(MigrationError) as caught:
        migrate(url)
    for word in ("nothing was changed", *words):
        assert word in str(caught.value)
    assert dump(url) == before
    yield


def execute(url: str, *statements: str | sql.Composed) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement if isinstance(statement, sql.Composed) else statement.encode())


@pytest.fixture
def somebody(databases: Databases) -> Iterator[str]:
    """A login without any right."""
    name = f"somebody_{uuid4().hex}"
    execute(url_of(databases.port), f"CREATE ROLE {name} LOGIN")
    yield name
    execute(url_of(databases.port), f"DROP ROLE {name}")


def as_user(url: str, name: str) -> str:
    return url.replace("//postgres@", f"//{name}@")


def test_what_fails_for_another_reason_than_a_right_is_no_missing_right(databases: Databases) -> None:
    with (
        psycopg.connect(empty(databases)) as connection,
        pytest.raises(psycopg.errors.DivisionByZero),
        preflight._tried(connection),
    ):
        connection.execute("SELECT 1 / 0")


def test_a_role_that_another_database_s_migration_makes_meanwhile_is_no_missing_right(databases: Databases) -> None:
    with psycopg.connect(empty(databases)) as connection, preflight._tried(connection) as refused_with:
        connection.execute("CREATE ROLE authenticated")
    assert refused_with == []


def test_a_database_where_nothing_is_in_the_way_is_left_as_it_is(databases: Databases) -> None:
    url = empty(databases)
    before = dump(url)
    assert obstacles(url) == []
    assert dump(url) == before


def test_a_schema_of_that_name_that_is_not_ours_is_not_touched(databases: Databases) -> None:
    url = empty(databases)
    execute(url, "CREATE SCHEMA trombi", "CREATE TABLE trombi.brass_band (player text)")
    with refused(url, "not Trombi's", "brass_band"):
        # A table of migrations alone does not make it ours.
        execute(url, "CREATE TABLE trombi.schema_migrations (version text)")
    with refused(url, "not Trombi's"):
        pass


@pytest.mark.parametrize(
    "content",
    [
        "CREATE FUNCTION trombi.blow() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TYPE trombi.horn AS ENUM ('valve', 'slide')",
        "CREATE SEQUENCE trombi.counter",
        "CREATE TABLE trombi.schema_migrations (version text)",
    ],
    ids=["a function", "a type", "a sequence", "migrations of its own"],
)
def test_a_schema_of_a_host_is_not_touched_also_when_it_holds_no_tables(databases: Databases, content: str) -> None:
    url = empty(databases)
    execute(url, "CREATE SCHEMA trombi", content)
    with refused(url, "not Trombi's"):
        before = dump(url)
    with pytest.raises(UninstallError, match="not Trombi's"):
        uninstall(url, with_data=True)
    assert dump(url) == before


def test_pgvector_where_others_may_create_is_refused(databases: Databases, somebody: str) -> None:
    url = empty(databases)
    execute(url, "CREATE EXTENSION vector SCHEMA public", "GRANT CREATE ON SCHEMA public TO PUBLIC")
    with refused(
        url, "PUBLIC may add to public", 'REVOKE CREATE ON SCHEMA "public" FROM PUBLIC;', "SET SCHEMA pgvector"
    ):
        execute(url, "REVOKE CREATE ON SCHEMA public FROM PUBLIC", f"GRANT CREATE ON SCHEMA public TO {somebody}")
    with refused(url, f"{somebody} may add to public"):
        execute(url, f"REVOKE CREATE ON SCHEMA public FROM {somebody}")
    migrate(url)


def test_nothing_that_a_stranger_put_into_public_is_called(databases: Databases) -> None:
    url = empty(databases)
    planted = ("format(text, text)", "obj_description(oid, text)", "shobj_description(oid, text)")
    execute(
        url,
        "GRANT CREATE ON SCHEMA public TO PUBLIC",
        *(
            f"CREATE FUNCTION public.{name} RETURNS text LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''planted''; END'"
            for name in planted
        ),
    )
    migrate(url)
    migrate(url)
    assert uninstall(url)[0] == "removed the schema trombi"


def test_pgvector_alone_in_an_administrator_s_schema_is_not_in_the_way(databases: Databases) -> None:
    url = empty(databases)
    execute(url, "CREATE SCHEMA trombi", "CREATE EXTENSION vector SCHEMA trombi")
    assert obstacles(url) == []


def test_an_empty_schema_that_an_administrator_made_is_taken(databases: Databases) -> None:
    url = empty(databases)
    execute(url, "CREATE SCHEMA trombi")
    migrate(url)
    assert dump(url) == dump(databases.fresh())


def test_who_lacks_rights_is_told_each_of_them_and_whom_to_ask(databases: Databases, somebody: str) -> None:
    url = as_user(empty(databases), somebody)
    with pytest.raises(MigrationError) as caught:
        migrate(url)
    told = str(caught.value)
    assert f"{somebody} may not create a schema" in told
    assert "GRANT CREATE ON DATABASE" in told
    assert f'GRANT trombi_reviewer TO "{somebody}"' in told


def test_who_may_not_create_the_extension_is_told(databases: Databases, somebody: str) -> None:
    url = empty(databases)
    execute(url, f"GRANT CREATE ON DATABASE {url.split('/')[-1].split('?')[0]} TO {somebody}")
    found = obstacles(as_user(url, somebody))
    assert [line for line in found if "may not create the extension pgvector" in line]
    assert [line for line in found if "may not create a schema" in line] == []
    execute(url, f"DROP OWNED BY {somebody}")


def test_a_server_without_pgvector_is_told(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "_VECTOR_IS_AVAILABLE", "SELECT WHERE false")
    with refused(empty(databases), "pgvector is not on the database's server"):
        pass


def test_a_postgres_that_is_too_old_is_told(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "OLDEST_POSTGRES", 99)
    with refused(empty(databases), "Trombi needs Postgres 99 or newer"):
        pass


def test_another_encoding_is_told(databases: Databases) -> None:
    name = f"latin_{uuid4().hex}"
    statement = "CREATE DATABASE {} ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0"
    execute(url_of(databases.port), sql.SQL(statement).format(sql.Identifier(name)))
    with refused(url_of(databases.port, name), "LATIN1"):
        pass


def test_a_database_that_takes_no_writes_is_told(databases: Databases) -> None:
    url = empty(databases)
    name = url.split("/")[-1].split("?")[0]
    execute(url_of(databases.port), f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with refused(url, "takes no writes"):
        pass


def test_a_schema_of_another_owner_is_told(databases: Databases, somebody: str) -> None:
    url = databases.fresh()
    found = obstacles(as_user(url, somebody))
    assert "the schema trombi belongs to postgres" in found[0]


def test_a_database_that_cannot_be_reached_is_told_in_words() -> None:
    with pytest.raises(MigrationError, match="migrating the database failed"):
        migrate("postgresql://nobody@127.0.0.1:1/nothing?sslmode=disable&connect_timeout=1")


def test_a_server_without_tls_is_told_with_what_to_add(databases: Databases) -> None:
    url = empty(databases)
    with pytest.raises(MigrationError, match=r"add \?sslmode=disable"):
        migrate(url.replace("sslmode=disable&", ""))
    migrate(url)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (None, "set DATABASE_URL"),
        ("", "set DATABASE_URL"),
        (" ", "set DATABASE_URL"),
        ("host=127.0.0.1 dbname=trombi password=secret", "give a postgresql:// URL"),
    ],
    ids=["none", "empty", "blank", "words"],
)
def test_an_address_that_is_no_url_is_refused(monkeypatch: pytest.MonkeyPatch, given: str | None, told: str) -> None:
    if given is None:
        monkeypatch.delenv("DATABASE_URL", raising=False)
    else:
        monkeypatch.setenv("DATABASE_URL", given)
    with pytest.raises(SystemExit, match=told) as ended:
        database_url_of_environment()
    assert "secret" not in str(ended.value)
