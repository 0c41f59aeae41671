"""The database: a lazy pool, one transaction at a time, driver errors translated at this border."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property, wraps
from typing import Any, ParamSpec, TypeVar

import psycopg
from pgvector.psycopg import register_vector
from psycopg.rows import DictRow, dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from shared.errors import Retryable
from shared.log import logger

Connection = psycopg.Connection[DictRow]

# A broken connection is detected within a minute instead of after the operating system's much longer time-outs.
_KEEPALIVE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60_000}
# A transaction that waits longer than this for a lock is aborted, and the bus delivers its message again.
_LOCK_TIMEOUT = "10s"
_POOL_TIMEOUT_SECONDS = 10.0
# Postgres resolves a deadlock after a second. Several deadlocks in a row point to an error in the order of locks.
_TRIES = 4

_CONFLICTS = (
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
    psycopg.errors.TransactionRollback,
)

Parameters = ParamSpec("Parameters")
Answer = TypeVar("Answer")


class Conflict(Retryable):
    """Postgres aborted the transaction because of another (deadlock, serialisation failure): a retry may succeed."""


def again_on_conflict(work: Callable[Parameters, Answer]) -> Callable[Parameters, Answer]:
    """Repeat ``work`` from its beginning when it raises `Conflict`: at most four attempts in all.

    ``work`` must be one transaction without side effects outside it: its messages are in the outbox, which is rolled
    back with the rest. Trombi's own transactions follow one order of locks (ARCHITECTURE.md) and do not deadlock with
    each other; this is for conflicts with the host app's own statements, whose cascades lock in another order.

    Raises:
        Conflict: every attempt ended in a conflict.
    """

    @wraps(work)
    def tried(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Answer:
        for _ in range(_TRIES - 1):
            try:
                return work(*args, **kwargs)
            except Conflict as conflict:
                logger().info("a transaction is repeated", work=work.__qualname__, reason=str(conflict))
        return work(*args, **kwargs)

    return tried


_SEARCH_PATH = "SELECT trombi.trombi_search_path() AS search_path"
# Set for each transaction only: a pooler in transaction mode (Supabase, pgbouncer) refuses such settings when a
# connection starts, and settings of the session would be inherited by its next client, such as the host app.
_SETTINGS = "SELECT set_config('search_path', %s, true), set_config('lock_timeout', %s, true)"


class Database:
    """Postgres with pgvector. The first transaction opens the connection (workers fork after import)."""

    def __init__(self, url: str, *, pool_size: int = 4) -> None:
        self._url = url
        self._pool_size = pool_size
        self._search_path = ""

    @cached_property
    def _pool(self) -> ConnectionPool[Connection]:
        return ConnectionPool(
            self._url,
            min_size=1,
            max_size=self._pool_size,
            timeout=_POOL_TIMEOUT_SECONDS,
            # A pooler between this process and Postgres (Supabase, pgbouncer) may give each transaction another
            # session, in which statements prepared earlier do not exist.
            kwargs={"row_factory": dict_row, "prepare_threshold": None, **_KEEPALIVE},
            configure=self._configure,
            check=ConnectionPool.check_connection,
            open=True,
        )

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Run the block in one transaction: committed when the block ends, rolled back when it raises.

        Raises:
            Conflict: Postgres aborted the transaction because of another one; see `again_on_conflict`.
            Retryable: Postgres is unavailable or busy.
        """
        try:
            with self._pool.connection() as connection:
                connection.execute(_SETTINGS, (self._search_path, _LOCK_TIMEOUT))
                yield connection
        except PoolTimeout:
            message = f"the database gave no connection within {_POOL_TIMEOUT_SECONDS:.0f} s"
            raise Retryable(message) from None
        except _CONFLICTS as error:
            message = f"the database is unavailable or busy ({type(error).__name__})"
            raise Conflict(message) from error
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            message = f"the database is unavailable or busy ({type(error).__name__})"
            raise Retryable(message) from error

    def _configure(self, connection: Connection) -> None:
        """Look up the schemas of Trombi's tables and of pgvector, and register the vector type."""
        self._search_path = one_row(connection, _SEARCH_PATH, ())["search_path"]
        connection.execute(_SETTINGS, (self._search_path, _LOCK_TIMEOUT))
        register_vector(connection)
        connection.commit()

    def close(self) -> None:
        """Close the pool's connections."""
        if "_pool" in self.__dict__:
            self._pool.close()


@contextmanager
def savepoint(connection: Connection) -> Iterator[None]:
    """Run the block as a part of the transaction that can be repeated by itself; earlier work and locks stay.

    Raises:
        Conflict: Postgres aborted this part because of another transaction.
    """
    try:
        with connection.transaction():
            yield
    except _CONFLICTS as error:
        message = f"the database is unavailable or busy ({type(error).__name__})"
        raise Conflict(message) from error


def one_row(connection: Connection, statement: str, values: Any) -> DictRow:  # noqa: ANN401 - as psycopg takes them
    """Return the first row of a statement that always returns one, such as a count.

    Raises:
        RuntimeError: the statement returned no row, which is a programming error.
    """
    row = connection.execute(statement, values).fetchone()
    if row is None:
        message = "a statement that must return a row returned none"
        raise RuntimeError(message)
    return row
