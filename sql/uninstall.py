"""``make uninstall``: remove the schema ``trombi``, and the roles that Trombi made unless another database uses them.

One transaction: where anything stands in the way, nothing is changed. pgvector stays where it is, unless it is in the
schema ``trombi``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

import psycopg
from psycopg import sql

from sql.migrate import database_url_of_environment
from sql.preflight import CONNECT_TIMEOUT_SECONDS, Connection, is_trombis, lock

# What is named first when there is data; every other table counts as well.
_COUNTED = ("events", "users", "media", "faces")
_TABLES = """
SELECT relname FROM pg_class
WHERE relnamespace = 'trombi'::regnamespace AND relkind = 'r' AND relname <> 'schema_migrations' ORDER BY relname
"""
_SCHEMA_EXISTS = "SELECT FROM pg_namespace WHERE nspname = 'trombi'"
# What of others would be dropped along: views, triggers, constraints and columns that use something of Trombi's.
_DEPENDENTS = """
SELECT DISTINCT pg_describe_object(pg_depend.classid, pg_depend.objid, pg_depend.objsubid)
FROM pg_depend,
    pg_identify_object(refclassid, refobjid, refobjsubid) AS used,
    pg_identify_object(classid, objid, objsubid) AS user_of_it
WHERE pg_depend.deptype = 'n' AND used.schema = 'trombi' AND user_of_it.schema IS DISTINCT FROM 'trombi'
    -- What is in no schema itself is where its table is.
    AND NOT EXISTS (
        SELECT FROM pg_class WHERE relnamespace = 'trombi'::regnamespace AND oid IN (
            SELECT ev_class FROM pg_rewrite WHERE classid = 'pg_rewrite'::regclass AND pg_rewrite.oid = objid
            UNION ALL SELECT tgrelid FROM pg_trigger WHERE classid = 'pg_trigger'::regclass AND pg_trigger.oid = objid
            UNION ALL SELECT polrelid FROM pg_policy WHERE classid = 'pg_policy'::regclass AND pg_policy.oid = objid
            UNION ALL SELECT adrelid FROM pg_attrdef WHERE classid = 'pg_attrdef'::regclass AND pg_attrdef.oid = objid
            UNION ALL SELECT conrelid FROM pg_constraint
                WHERE classid = 'pg_constraint'::regclass AND pg_constraint.oid = objid
        )
    )
    -- Where pgvector is in this schema, so are the families of its operators.
    AND NOT EXISTS (
        SELECT FROM pg_opfamily WHERE opfnamespace = 'trombi'::regnamespace AND oid IN (
            SELECT amopfamily FROM pg_amop WHERE classid = 'pg_amop'::regclass AND pg_amop.oid = objid
            UNION ALL SELECT amprocfamily FROM pg_amproc WHERE classid = 'pg_amproc'::regclass AND pg_amproc.oid = objid
        )
    )
    -- Not what pgvector itself consists of, where it is in this schema.
    AND NOT EXISTS (
        SELECT FROM pg_depend AS part
        WHERE (part.classid, part.objid) = (pg_depend.classid, pg_depend.objid) AND part.deptype = 'e'
    )
ORDER BY 1
"""
_ROLES = """
SELECT rolname, EXISTS (
    SELECT FROM pg_shdepend WHERE refclassid = 'pg_authid'::regclass AND refobjid = pg_roles.oid
        AND dbid NOT IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
)
FROM pg_roles WHERE shobj_description(oid, 'pg_authid') = 'made by Trombi' ORDER BY rolname
"""


class UninstallError(Exception):
    """Nothing was removed; the text says why."""


def uninstall(database_url: str, *, with_data: bool = False) -> list[str]:
    """Remove Trombi from the database; returns what was done, in sentences.

    Raises:
        UninstallError: the schema ``trombi`` is not Trombi's, holds data and ``with_data`` is false, something outside
            it uses it, or the database cannot be reached.
    """
    try:
        with psycopg.connect(database_url, connect_timeout=CONNECT_TIMEOUT_SECONDS) as connection:
            lock(connection)
            return [*_removed(connection, with_data=with_data)]
    except psycopg.Error as error:
        raise UninstallError(f"nothing was removed: {error}") from error


def _removed(connection: Connection, *, with_data: bool) -> Iterator[str]:
    if connection.execute(_SCHEMA_EXISTS).fetchone() is None:
        yield "there is no schema trombi"
    else:
        if not is_trombis(connection):
            raise UninstallError("nothing was removed: the schema trombi is not Trombi's")
        held = ", ".join(f"{count} {table}" for table, count in _counts(connection) if count)
        if held and not with_data:
            raise UninstallError(
                f"nothing was removed: there is data ({held}). make uninstall YES=1 erases it for good;"
                " objects in the buckets stay: archive the events first, and let the tick erase their thumbnails"
            )
        others = [described for (described,) in connection.execute(_DEPENDENTS)]
        if others:
            raise UninstallError(f"nothing was removed: this uses Trombi's schema, drop it first: {', '.join(others)}")
        connection.execute("DROP SCHEMA trombi CASCADE")
        yield f"removed the schema trombi{f' with {held}' if held else ''}"
    for role, is_used_elsewhere in connection.execute(_ROLES).fetchall():
        yield _kept(role, "another database uses it") if is_used_elsewhere else _without_role(connection, role)


def _counts(connection: Connection) -> Iterator[tuple[str, int]]:
    tables = [name for (name,) in connection.execute(_TABLES)]
    for table in (*(name for name in _COUNTED if name in tables), *(name for name in tables if name not in _COUNTED)):
        statement = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier("trombi", table))
        yield table, connection.execute(statement).fetchall()[0][0]


def _without_role(connection: Connection, role: str) -> str:
    try:
        with connection.transaction():
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
    except (psycopg.errors.DependentObjectsStillExist, psycopg.errors.InsufficientPrivilege) as error:
        return _kept(role, str(error).partition("\n")[0])
    return f"removed the role {role}"


def _kept(role: str, reason: str) -> str:
    return f"kept the role {role}: {reason}"


def main() -> None:
    """Remove Trombi from the database of ``DATABASE_URL``."""
    parser = argparse.ArgumentParser(prog="python -m sql.uninstall", description=__doc__)
    parser.add_argument("--yes", action="store_true", help="also where there is data")
    arguments = parser.parse_args()
    try:
        done = uninstall(database_url_of_environment(), with_data=arguments.yes)
    except UninstallError as error:
        sys.exit(str(error))
    print("\n".join(done))  # noqa: T201 - a command's answer


if __name__ == "__main__":
    main()
