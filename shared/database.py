"""The database: a lazy pool, one transaction at a time, driver errors translated at this border."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import psycopg
from pgvector.psycopg import register_vector
from psycopg.rows import DictRow, dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from shared.errors import Retryable

Connection = psycopg.Connection[DictRow]

# A database that nobody answers for any more is noticed within a minute, not when the system gives the connection up.
_KEEPALIVE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60_000}
# A transaction that waits longer than this for a lock is tried again by the bus instead.
_LOCK_TIMEOUT = "10s"
_POOL_TIMEOUT_SECONDS = 10.0


def _configure(connection: psycopg.Connection[Any]) -> None:
    register_vector(connection)
    connection.execute(f"SET lock_timeout = '{_LOCK_TIMEOUT}'")
    connection.commit()


class Database:
    """Postgres with pgvector. Nothing connects before the first transaction (workers fork after import)."""

    def __init__(self, url: str, *, pool_size: int = 4) -> None:
        self._url = url
        self._pool_size = pool_size

    @cached_property
    def _pool(self) -> ConnectionPool[Connection]:
        return ConnectionPool(
            self._url,
            min_size=1,
            max_size=self._pool_size,
            timeout=_POOL_TIMEOUT_SECONDS,
            # A pooler between us and Postgres (Supabase, pgbouncer) may hand each transaction another session,
            # where a statement prepared before does not exist.
            kwargs={"row_factory": dict_row, "prepare_threshold": None, **_KEEPALIVE},
            configure=_configure,
            check=ConnectionPool.check_connection,
            open=True,
        )

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction: committed when the block ends, rolled back when it raises.

        Raises:
            Retryable: Postgres is away, busy, or ended the transaction (deadlock, serialisation, shutdown).
        """
        try:
            with self._pool.connection() as connection:
                yield connection
        except PoolTimeout:
            message = f"the database gave no connection within {_POOL_TIMEOUT_SECONDS:.0f} s"
            raise Retryable(message) from None
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            message = f"the database is away or busy ({type(error).__name__})"
            raise Retryable(message) from error

    def close(self) -> None:
        """Close the pool's connections."""
        if "_pool" in self.__dict__:
            self._pool.close()


def one_row(connection: Connection, statement: str, values: Any) -> DictRow:  # noqa: ANN401 - as psycopg takes them
    """The first row of a statement that always answers, as a count or an upsert that returns.

    Raises:
        RuntimeError: it did not; the statement is not what its caller takes it for.
    """
    row = connection.execute(statement, values).fetchone()
    if row is None:
        message = "a statement that always answers did not"
        raise RuntimeError(message)
    return row
