"""``make vector-index``: an approximate index over the embeddings of all faces, for SQL of the host's own.

Trombi itself has no use for it: its searches stay within an event and are exact (docs/decisions/0003). It is built and
dropped without holding up whoever writes. The search that it serves has no filter::

    SET hnsw.ef_search = 200;  -- or, for ivfflat: SET ivfflat.probes = 30
    SELECT id FROM trombi.faces ORDER BY embedding <=> $1 LIMIT 20;
"""

from __future__ import annotations

import argparse
import math
import sys

import psycopg
from psycopg import sql

from sql.migrate import database_url_of_environment

NAME = "faces_embedding_idx"
KINDS = ("hnsw", "ivfflat")
_MANY = 1_000_000
_VECTOR = (
    "SELECT nspname FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'vector'"
)
_DROP = "DROP INDEX CONCURRENTLY IF EXISTS trombi.faces_embedding_idx"
_FACES = "SELECT count(embedding) FROM trombi.faces"


class VectorIndexError(Exception):
    """The index was neither built nor dropped; the text says why."""


def build(database_url: str, kind: str = "hnsw") -> None:
    """Build the index anew: one that is there already, or was left unfinished, is dropped first.

    Raises:
        VectorIndexError: the database refused, cannot be reached, or is not migrated.
    """
    try:
        with psycopg.connect(database_url, autocommit=True) as connection:
            found = connection.execute(_VECTOR).fetchone()
            if found is None:
                raise VectorIndexError("pgvector is not installed: run make migrate first")
            connection.execute(_DROP)
            parameters: sql.Composable = sql.SQL("")
            if kind == "ivfflat":
                # The lists are learnt from the faces that are there now.
                faces = connection.execute(_FACES).fetchall()[0][0]
                parameters = sql.SQL(" WITH (lists = {})").format(sql.Literal(_lists(faces)))
            connection.execute(
                sql.SQL("CREATE INDEX CONCURRENTLY {} ON trombi.faces USING {} (embedding {}){}").format(
                    sql.Identifier(NAME),
                    sql.Identifier(kind),
                    sql.Identifier(found[0], "vector_cosine_ops"),
                    parameters,
                )
            )
    except psycopg.Error as error:
        raise VectorIndexError(f"the index was not built: {error}") from error


def drop(database_url: str) -> None:
    """Drop the index, if there is one.

    Raises:
        VectorIndexError: the database refused, or cannot be reached.
    """
    try:
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(_DROP)
    except psycopg.Error as error:
        raise VectorIndexError(f"the index was not dropped: {error}") from error


def _lists(faces: int) -> int:
    """Return how many lists pgvector's manual advises for an ivfflat index over so many rows."""
    return max(1, faces // 1000 if faces <= _MANY else math.isqrt(faces))


def main() -> None:
    """Build or drop the index in the database of ``DATABASE_URL``."""
    parser = argparse.ArgumentParser(prog="python -m sql.vector_index", description=__doc__)
    parser.add_argument("--kind", choices=KINDS, default="hnsw", help="kind of index (default: %(default)s)")
    parser.add_argument("--drop", action="store_true", help="drop the index instead of building it")
    arguments = parser.parse_args()
    try:
        if arguments.drop:
            drop(database_url_of_environment())
        else:
            build(database_url_of_environment(), arguments.kind)
    except VectorIndexError as error:
        sys.exit(str(error))
    print("the index is dropped" if arguments.drop else "the index is built")  # noqa: T201 - a command's answer


if __name__ == "__main__":
    main()
