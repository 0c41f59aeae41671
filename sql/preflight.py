"""What stands in the way of a migration, found out without changing anything.

Rights are tried rather than looked up: a managed Postgres lets users do what its catalogs do not say (Cloud SQL and
Supabase let theirs create extensions). What is tried is rolled back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

Connection = psycopg.Connection[TupleRow]

# Foreign keys that set one of their columns to null (ON DELETE SET NULL (column)) came with it.
OLDEST_POSTGRES = 15
CONNECT_TIMEOUT_SECONDS = 10

_SERVER = """
SELECT current_setting('server_version_num')::integer / 10000, current_setting('server_version'),
    current_setting('server_encoding'), current_setting('transaction_read_only'), current_user, current_database()
"""
VECTOR_SCHEMA = """
SELECT nspname, has_schema_privilege(pg_namespace.oid, 'USAGE')
FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'vector'
"""
# Who else may put something into a schema, but for those who administer the server. Members of a role are not listed.
_STRANGERS = """
SELECT CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END
FROM pg_namespace CROSS JOIN aclexplode(nspacl) LEFT JOIN pg_roles ON pg_roles.oid = grantee
WHERE nspname = %s AND privilege_type = 'CREATE' AND grantee <> nspowner AND grantee <> current_user::regrole
    AND NOT coalesce(rolsuper OR rolcreaterole, false)
ORDER BY 1
"""
_VECTOR_IS_AVAILABLE = "SELECT FROM pg_available_extensions WHERE name = 'vector'"
_EXTENSIONS_SCHEMA = "SELECT FROM pg_namespace WHERE nspname = 'extensions'"
_SCHEMA = """
SELECT nspowner::regrole::text, has_schema_privilege(oid, 'CREATE')
FROM pg_namespace WHERE nspname = 'trombi'
"""
# Made before anything else, and marked: it says that the schema is Trombi's, however far the migrations came. A dump
# without comments loses the mark; the first migration's function is as good.
_IS_TROMBIS = """
SELECT pg_class.relowner::regrole::text, pg_has_role(pg_class.relowner, 'USAGE') FROM pg_class
WHERE relnamespace = to_regnamespace('trombi') AND relname = 'schema_migrations' AND relkind = 'r' AND (
    obj_description(oid, 'pg_class') = 'made by Trombi' OR to_regprocedure('trombi.trombi_search_path()') IS NOT NULL
)
"""
# What is in the schema, but for pgvector.
_CONTENTS = """
SELECT pg_describe_object(classid, objid, objsubid) FROM pg_depend
WHERE refclassid = 'pg_namespace'::regclass AND refobjid = to_regnamespace('trombi') AND deptype = 'n'
    AND classid <> 'pg_extension'::regclass AND NOT EXISTS (
        SELECT FROM pg_depend AS part
        WHERE (part.classid, part.objid) = (pg_depend.classid, pg_depend.objid) AND part.deptype = 'e'
    )
ORDER BY 1
"""
_ROLE_EXISTS = "SELECT FROM pg_roles WHERE rolname = %s"
_MAY_ASSUME = """
SELECT pg_has_role(
    'trombi_reviewer', CASE WHEN current_setting('server_version_num')::integer < 160000 THEN 'MEMBER' ELSE 'SET' END
)
"""


_LOCK_KEY = 0x74726F6D6269  # "trombi"
_REFUSALS = (
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.InvalidGrantOperation,
    psycopg.errors.InvalidGrantor,
    # What providers say of an extension that they do not let in.
    psycopg.errors.FeatureNotSupported,
)
_EXISTS_ALREADY = (psycopg.errors.UniqueViolation, psycopg.errors.DuplicateObject, psycopg.errors.DuplicateSchema)


class MigrationError(Exception):
    """The database was not migrated; the text says why, in words for whoever operates it."""


def obstacles(database_url: str) -> list[str]:
    """List what stands in the way of migrating the database, each in a sentence that says what to do; empty if nothing.

    Raises:
        MigrationError: the database cannot be reached.
    """
    try:
        with psycopg.connect(database_url, connect_timeout=CONNECT_TIMEOUT_SECONDS) as connection:
            only_catalog(connection)
            found = [*_of_server(connection)]
            # What follows is asked in words that an older server may not know.
            return found or [*_of_schema(connection), *_of_vector(connection), *_of_roles(connection)]
    except psycopg.Error as error:
        # An address that cannot be read is reported by the same class as a statement that is refused.
        raise MigrationError(f"migrating the database failed: it cannot be looked at: {error}") from error


def only_catalog(connection: Connection) -> None:
    """Until the transaction ends, nothing that somebody put into another schema passes for a function of Postgres."""
    connection.execute("SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true)")


def lock(connection: Connection) -> None:
    """Wait for whoever migrates this database or uninstalls Trombi; the lock is held until the transaction ends.

    A transaction's, not a session's, so that a pooler between does not lose it.
    """
    only_catalog(connection)
    for setting in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
        connection.execute("SELECT set_config(%s, '0', true)", (setting,))
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK_KEY,))


def is_trombis(connection: Connection) -> bool:
    """Whether there is a schema ``trombi`` that Trombi's migrations made, or began to make."""
    return connection.execute(_IS_TROMBIS).fetchone() is not None


def _of_server(connection: Connection) -> Iterator[str]:
    major, version, encoding, read_only, _, database = _row(connection, _SERVER)
    if major < OLDEST_POSTGRES:
        yield f"this is Postgres {version}: Trombi needs Postgres {OLDEST_POSTGRES} or newer"
    if encoding != "UTF8":
        yield f"the database {database} is encoded in {encoding}: create one with ENCODING 'UTF8'"
    if read_only == "on":
        yield "the database takes no writes (it is a read replica, or set to read-only): name the primary server"


def _of_schema(connection: Connection) -> Iterator[str]:
    _, _, _, _, user, database = _row(connection, _SERVER)
    schema = connection.execute(_SCHEMA).fetchone()
    if schema is None:
        with _tried(connection) as refused:
            connection.execute("CREATE SCHEMA trombi")
        if refused:
            yield (
                f"{user} may not create a schema in the database {database}: let an administrator run"
                f' GRANT CREATE ON DATABASE "{database}" TO "{user}"'
            )
        return
    creator, may_create = schema
    trombis = connection.execute(_IS_TROMBIS).fetchone()
    contents = [described for (described,) in connection.execute(_CONTENTS)]
    if trombis is None and contents:
        yield (
            f"there is a schema trombi that is not Trombi's (it holds {', '.join(contents[:5])}):"
            " rename it (ALTER SCHEMA trombi RENAME TO …) or migrate another database"
        )
    elif trombis is not None and not trombis[1]:
        owner = trombis[0]
        yield f"the schema trombi belongs to {owner}, and {user} is no member of that role: migrate as {owner}"
    elif not may_create:
        yield f'{user} may not write to the schema trombi: let {creator} run GRANT ALL ON SCHEMA trombi TO "{user}"'


def _of_vector(connection: Connection) -> Iterator[str]:
    user = _row(connection, _SERVER)[4]
    installed = connection.execute(VECTOR_SCHEMA).fetchone()
    if installed is not None:
        schema, usable = installed
        if not usable:
            yield (
                f"{user} may not use the schema {schema}, in which pgvector is: let an administrator run"
                f' GRANT USAGE ON SCHEMA "{schema}" TO "{user}"'
            )
        yield from _of_strangers(connection, schema)
        return
    if connection.execute(_VECTOR_IS_AVAILABLE).fetchone() is None:
        yield (
            "the extension pgvector is not on the database's server: install it there (on Debian the package"
            " postgresql-NN-pgvector, NN being the version of Postgres), or take a provider that has it"
        )
        return
    in_extensions = connection.execute(_EXTENSIONS_SCHEMA).fetchone() is not None
    if in_extensions:
        yield from _of_strangers(connection, "extensions")
    with _tried(connection) as refused:
        if not in_extensions and connection.execute(_SCHEMA).fetchone() is None:
            connection.execute("CREATE SCHEMA trombi")
        connection.execute(
            sql.SQL("CREATE EXTENSION vector SCHEMA {}").format(
                sql.Identifier("extensions" if in_extensions else "trombi")
            )
        )
    if refused:
        yield (
            f"{user} may not create the extension pgvector ({refused[0]}): let an administrator run"
            f" CREATE EXTENSION vector{' SCHEMA extensions' if in_extensions else ''} in this database"
        )


def _of_strangers(connection: Connection, schema: str) -> Iterator[str]:
    """Yield why objects in pgvector's schema could pass for functions of Postgres in Trombi's statements."""
    strangers = [] if schema == "trombi" else [name for (name,) in connection.execute(_STRANGERS, (schema,))]
    if strangers:
        yield (
            f"pgvector belongs into a schema to which only its owner adds; {', '.join(strangers)} may add to {schema},"
            f' and Trombi would run what they put there: run REVOKE CREATE ON SCHEMA "{schema}" FROM'
            f" {', '.join(strangers)}; or move pgvector: CREATE SCHEMA IF NOT EXISTS pgvector;"
            " ALTER EXTENSION vector SET SCHEMA pgvector"
        )


def _of_roles(connection: Connection) -> Iterator[str]:
    user = _row(connection, _SERVER)[4]
    missing = [
        role
        for role in ("trombi_reviewer", "authenticated")
        if connection.execute(_ROLE_EXISTS, (role,)).fetchone() is None
    ]
    for role in missing:
        with _tried(connection) as refused:
            connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
        if refused:
            yield (
                f"{user} may not create the role {role}: let an administrator run CREATE ROLE {role} NOLOGIN"
                + (f'; GRANT trombi_reviewer TO "{user}"' if role == "trombi_reviewer" else "")
            )
    if "trombi_reviewer" not in missing and not _row(connection, _MAY_ASSUME)[0]:
        with _tried(connection) as refused:
            connection.execute("GRANT trombi_reviewer TO CURRENT_USER")
        if refused:
            yield f'{user} is no member of trombi_reviewer: let an administrator run GRANT trombi_reviewer TO "{user}"'


@contextmanager
def _tried(connection: Connection) -> Iterator[list[str]]:
    """Roll back what is done in the block; afterwards the list holds what Postgres refused it with, if it did.

    What somebody else has made in the meantime is not refused.
    """
    refused: list[str] = []
    with connection.transaction(force_rollback=True):
        try:
            with connection.transaction():
                yield refused
        except _EXISTS_ALREADY:
            pass
        except _REFUSALS as error:
            refused.append(str(error).partition("\n")[0])


def _row(connection: Connection, statement: str) -> Any:  # noqa: ANN401 - columns of any type
    row = connection.execute(statement).fetchone()
    if row is None:
        raise MigrationError("the database did not answer a question about itself")
    return row
