"""What every route works with, and the transaction that it works in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from functions.admin.door import store
from functions.admin.door.auth import Caller
from functions.admin.settings import AdminSettings
from shared.database import Connection, Database
from shared.outbox import Outbox
from shared.storage import ObjectStore


@dataclass(frozen=True)
class Resources:
    """The things a route may touch; one per process."""

    settings: AdminSettings
    database: Database
    outbox: Outbox
    objects: ObjectStore

    @contextmanager
    def transaction(self, caller: Caller) -> Iterator[Connection]:
        """One transaction with the caller's rights: a user's are row level security's, a service's the owner's.

        Raises:
            Retryable: the database is away or busy.
        """
        with self.database.transaction() as connection:
            if not caller.is_service:
                store.act_as_user(connection, caller.user_id)
            yield connection
