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
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from sql.migrate import database_url_of_environment
from sql.preflight import CONNECT_TIMEOUT_SECONDS, VECTOR_SCHEMA, Connection

NAME = "faces_embedding_idx"
KINDS = ("hnsw", "ivfflat")
_MANY = 1_000_000
_DROP = "DROP INDEX CONCURRENTLY IF EXISTS trombi.faces_embedding_idx"
# The name while it is built: the index that is there serves until the new one is whole.
_UNFINISHED = "faces_embedding_new_idx"
_DROP_UNFINISHED = "DROP INDEX CONCURRENTLY IF EXISTS trombi.faces_embedding_new_idx"
_RENAME = "ALTER INDEX trombi.faces_embedding_new_idx RENAME TO faces_embedding_idx"
_IS_MIGRATED = "SELECT to_regclass('trombi.faces') IS NOT NULL"
_MEMORY = "SELECT set_config('maintenance_work_mem', %s, false) WHERE pg_size_bytes(current_setting(%s)) < %s"
_LOCK_KEY = 0x74726F6D6265  # "trombe"
_DIMENSIONS = 512
_LEAST_KILOBYTES = 64 * 1024
_WAIT_SECONDS = 0.2
_FACES = "SELECT count(embedding) FROM trombi.faces"


class VectorIndexError(Exception):
    """The index was neither built nor dropped; the text says why."""


def build(database_url: str, kind: str = "hnsw") -> None:
    """Build the index anew; one that is there already serves until then, and stays if this fails.

    Raises:
        VectorIndexError: the database refused, cannot be reached, or is not migrated.
    """
    try:
        with _alone(database_url) as connection:
            found = connection.execute(VECTOR_SCHEMA).fetchone()
            if found is None:
                raise VectorIndexError("pgvector is not installed: run make migrate first")
            # What a run that was killed left behind.
            connection.execute(_DROP_UNFINISHED)
            parameters: sql.Composable = sql.SQL("")
            if kind == "ivfflat":
                # The lists are learnt from the faces that are there now.
                lists = _lists(connection.execute(_FACES).fetchall()[0][0])
                parameters = sql.SQL(" WITH (lists = {})").format(sql.Literal(lists))
                kilobytes = _ivfflat_kilobytes(lists)
                connection.execute(_MEMORY, (f"{kilobytes}kB", "maintenance_work_mem", kilobytes * 1024))
            try:
                connection.execute(
                    sql.SQL("CREATE INDEX CONCURRENTLY {} ON trombi.faces USING {} (embedding {}){}").format(
                        sql.Identifier(_UNFINISHED),
                        sql.Identifier(kind),
                        sql.Identifier(found[0], "vector_cosine_ops"),
                        parameters,
                    )
                )
                connection.execute(_DROP)
                connection.execute(_RENAME)
            finally:
                # There is none any more if all went well. Where the connection is lost, the next run does it.
                if not connection.closed:
                    connection.execute(_DROP_UNFINISHED)
    except psycopg.Error as error:
        raise VectorIndexError(f"the index was not built: {error}") from error


def drop(database_url: str) -> None:
    """Drop the index, if there is one.

    Raises:
        VectorIndexError: the database refused, or cannot be reached.
    """
    try:
        with _alone(database_url) as connection:
            connection.execute(_DROP)
            connection.execute(_DROP_UNFINISHED)
    except psycopg.Error as error:
        raise VectorIndexError(f"the index was not dropped: {error}") from error


@contextmanager
def _alone(database_url: str) -> Iterator[Connection]:
    """Connect for as long as it takes, and wait for whoever builds or drops the index now."""
    with psycopg.connect(database_url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_SECONDS) as connection:
        connection.execute("SET statement_timeout = 0")
        connection.execute("SET lock_timeout = 0")
        if connection.execute(_IS_MIGRATED).fetchone() != (True,):
            raise VectorIndexError("there are no faces of Trombi's in this database: run make migrate first")
        # Asked again and again: a statement that waits would hold up the other's CREATE INDEX CONCURRENTLY, which waits
        # for every statement that began before it.
        while connection.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK_KEY,)).fetchone() != (True,):
            time.sleep(_WAIT_SECONDS)
        yield connection


def _lists(faces: int) -> int:
    """Return how many lists pgvector's manual advises for an ivfflat index over so many rows."""
    return max(1, faces // 1000 if faces <= _MANY else math.isqrt(faces))


def _ivfflat_kilobytes(lists: int) -> int:
    """Return the memory in which pgvector learns so many lists: 50 samples a list, centres, and their distances."""
    samples = max(50 * lists, 10_000)
    floats = (samples + 3 * lists) * (_DIMENSIONS + 4) + 2 * samples * lists + lists * lists
    return max(_LEAST_KILOBYTES, math.ceil(floats * 4 * 1.1 / 1024))


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
