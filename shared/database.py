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

# A database that nobody answers for any more is noticed within a minute, not when the system gives the connection up.
_KEEPALIVE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60_000}
# A transaction that waits longer than this for a lock is tried again by the bus instead.
_LOCK_TIMEOUT = "10s"
_POOL_TIMEOUT_SECONDS = 10.0
# Postgres ends one of those who wait for each other, after a second: three of them in a row are a mistake.
_TRIES = 4

_ENDED_FOR_ANOTHER = (
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
    psycopg.errors.TransactionRollback,
)

Parameters = ParamSpec("Parameters")
Answer = TypeVar("Answer")


class Conflict(Retryable):
    """Postgres ended the transaction for another's sake (deadlock, serialisation): done again, it likely succeeds."""


def again_on_conflict(work: Callable[Parameters, Answer]) -> Callable[Parameters, Answer]:
    """Do ``work`` again, from its beginning, when its transaction ended in a `Conflict`: four times at most.

    For work that is one transaction and touches nothing else before the commit: what it asks for outside is on the
    outbox, which was rolled back with the rest. There is one order of locks (ARCHITECTURE.md), in which nobody
    deadlocks; statements of the host app's own, whose cascades go against it, are what this is for.

    Raises:
        Conflict: each time.
    """

    @wraps(work)
    def tried(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Answer:
        for _ in range(_TRIES - 1):
            try:
                return work(*args, **kwargs)
            except Conflict as conflict:
                logger().info("a transaction is done again", work=work.__qualname__, reason=str(conflict))
        return work(*args, **kwargs)

    return tried


_SEARCH_PATH = "SELECT trombi.trombi_search_path() AS search_path"
# For the transaction alone: behind a pooler in transaction mode (Supabase, pgbouncer), which refuses such settings
# when a connection starts, whoever gets the session next would inherit them, the host app for one.
_SETTINGS = "SELECT set_config('search_path', %s, true), set_config('lock_timeout', %s, true)"


class Database:
    """Postgres with pgvector. Nothing connects before the first transaction (workers fork after import)."""

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
            # A pooler between us and Postgres (Supabase, pgbouncer) may hand each transaction another session,
            # where a statement prepared before does not exist.
            kwargs={"row_factory": dict_row, "prepare_threshold": None, **_KEEPALIVE},
            configure=self._configure,
            check=ConnectionPool.check_connection,
            open=True,
        )

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction: committed when the block ends, rolled back when it raises.

        Raises:
            Conflict: Postgres ended the transaction for another one's sake: `again_on_conflict` does it again.
            Retryable: Postgres is away or busy.
        """
        try:
            with self._pool.connection() as connection:
                connection.execute(_SETTINGS, (self._search_path, _LOCK_TIMEOUT))
                yield connection
        except PoolTimeout:
            message = f"the database gave no connection within {_POOL_TIMEOUT_SECONDS:.0f} s"
            raise Retryable(message) from None
        except _ENDED_FOR_ANOTHER as error:
            message = f"the database is away or busy ({type(error).__name__})"
            raise Conflict(message) from error
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            message = f"the database is away or busy ({type(error).__name__})"
            raise Retryable(message) from error

    def _configure(self, connection: Connection) -> None:
        """Find out where Trombi's tables and pgvector are, and teach the connection its vectors."""
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
    """A part of the transaction that may be done again by itself: what came before it stays, its locks with it.

    Raises:
        Conflict: Postgres ended the part for another one's sake.
    """
    try:
        with connection.transaction():
            yield
    except _ENDED_FOR_ANOTHER as error:
        message = f"the database is away or busy ({type(error).__name__})"
        raise Conflict(message) from error


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
