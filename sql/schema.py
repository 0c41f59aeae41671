"""``make schema``: write ``sql/schema.sql``, all migrations one after another in one transaction.

``psql "$DATABASE_URL" < sql/schema.sql`` does to an empty database what ``make migrate`` does, and counts as migrated.
It is the text of the migrations, not a dump of their result, because the script finds out as it runs which schema
pgvector is in and which roles exist.
"""

from __future__ import annotations

from pathlib import Path

from sql.migrate import CREATE_MIGRATIONS_TABLE, MIGRATIONS, MIGRATIONS_TABLE

SCHEMA = Path(__file__).resolve().parent / "schema.sql"

_HEAD = f"""\
-- Trombi's database, whole: psql "$DATABASE_URL" < sql/schema.sql
-- Written by make schema from sql/migrations; change those. One transaction: where anything fails, nothing is changed.
-- Clients other than psql do without the next line.
\\set ON_ERROR_STOP on
BEGIN;
SET LOCAL client_encoding = 'UTF8';
SET LOCAL standard_conforming_strings = on;
CREATE SCHEMA IF NOT EXISTS trombi;
{CREATE_MIGRATIONS_TABLE};
"""


def whole_schema() -> str:
    """Return the text of ``schema.sql``."""
    files = sorted(MIGRATIONS.glob("*.sql"))
    parts = [_HEAD]
    for file in files:
        up = file.read_text(encoding="utf-8").split("-- migrate:up\n", 1)[1].split("-- migrate:down", 1)[0]
        parts.append(f"-- {'=' * 64} {file.stem}\n{up.rstrip()}\n")
    versions = ", ".join(f"('{file.stem.split('_')[0]}')" for file in files)
    parts.append(f"INSERT INTO {MIGRATIONS_TABLE} (version) VALUES {versions};\nCOMMIT;\n")  # noqa: S608 - our files
    return "\n".join(parts)


if __name__ == "__main__":
    SCHEMA.write_text(whole_schema(), encoding="utf-8")
