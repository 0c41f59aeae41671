"""``make migrate``: bring a database up to the newest migration of ``sql/migrations``, applied by dbmate."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg

from sql.preflight import CONNECT_TIMEOUT_SECONDS, MigrationError, lock, obstacles, only_catalog

MIGRATIONS = Path(__file__).resolve().parent / "migrations"
MIGRATIONS_TABLE = "trombi.schema_migrations"
CREATE_MIGRATIONS_TABLE = f"CREATE TABLE {MIGRATIONS_TABLE} (version varchar PRIMARY KEY)"
_EXAMPLE = "postgresql://user:password@host/trombi"
_NO_TLS = "SSL is not enabled on the server"


def migrate(database_url: str, migrations: Path = MIGRATIONS) -> None:
    """Bring the database up to the newest migration. Does nothing where it is there already.

    Each migration is one transaction: one that fails leaves nothing behind, and those before it stay.

    Raises:
        MigrationError: something stands in the way (then nothing was changed), a migration failed, or the database
            cannot be reached.
    """
    try:
        # In a transaction that does nothing but hold the lock: whoever migrates at the same time waits. It has no
        # snapshot, so that nothing waits for it.
        with psycopg.connect(database_url, connect_timeout=CONNECT_TIMEOUT_SECONDS) as holder:
            holder.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
            lock(holder)
            _migrate(database_url, migrations)
    except psycopg.Error as error:
        # An address that cannot be read is reported by the same class as a statement that is refused.
        raise MigrationError(f"migrating the database failed: {error}") from error


def _migrate(database_url: str, migrations: Path) -> None:
    found = obstacles(database_url)
    if found:
        listed = "\n".join(f"- {obstacle}" for obstacle in found)
        raise MigrationError(f"the database cannot be migrated; nothing was changed:\n{listed}")
    _mark(database_url)
    command = (
        *(str(Path(sys.executable).with_name("dbmate")), "--migrations-dir", str(migrations)),
        *("--migrations-table", MIGRATIONS_TABLE, "--no-dump-schema", "--migration-lock", "up"),
    )
    environment = {**os.environ, "DATABASE_URL": database_url}
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if finished.returncode != 0:
        told = f"{finished.stdout}{finished.stderr}".rstrip()
        hint = "\nThe server has no TLS: add ?sslmode=disable to DATABASE_URL (&sslmode=disable after other settings)"
        raise MigrationError(f"migrating the database failed:\n{told}{hint if _NO_TLS in told else ''}")


def _mark(database_url: str) -> None:
    """Make dbmate's table and say whose it is, so that a schema is known as Trombi's even if no migration succeeds."""
    try:
        with psycopg.connect(database_url, connect_timeout=CONNECT_TIMEOUT_SECONDS) as connection:
            only_catalog(connection)
            if connection.execute("SELECT to_regnamespace('trombi')").fetchone() == (None,):
                connection.execute("CREATE SCHEMA trombi")
            if connection.execute("SELECT to_regclass(%s)", (MIGRATIONS_TABLE,)).fetchone() == (None,):
                connection.execute(CREATE_MIGRATIONS_TABLE.encode())
                connection.execute(f"COMMENT ON TABLE {MIGRATIONS_TABLE} IS 'made by Trombi'".encode())
    except psycopg.Error as error:
        raise MigrationError(f"migrating the database failed; nothing was changed: {error}") from error


def database_url_of_environment() -> str:
    """Return the value of ``DATABASE_URL``; end the program where it is none that every tool here can read."""
    url = os.environ.get("DATABASE_URL", "").strip()
    if not url:
        sys.exit(f"set DATABASE_URL to the database that is meant, for instance {_EXAMPLE}")
    if not url.startswith(("postgresql://", "postgres://")):
        sys.exit(f"DATABASE_URL is not a URL: give a postgresql:// URL, for instance {_EXAMPLE}")
    return url


if __name__ == "__main__":
    try:
        migrate(database_url_of_environment())
    except MigrationError as error:
        sys.exit(str(error))
    print("the database is up to date")  # noqa: T201 - a command's answer
