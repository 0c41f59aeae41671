"""What every route works with: settings, database, outbox and object storage."""

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
    """What routes may use; made once per process."""

    settings: AdminSettings
    database: Database
    outbox: Outbox
    objects: ObjectStore

    @contextmanager
    def transaction(self, caller: Caller) -> Iterator[Connection]:
        """Open a transaction with the caller's rights: row level security for a user, the owner's for a service.

        Raises:
            Retryable: the database is unavailable or busy.
        """
        with self.database.transaction() as connection:
            if not caller.is_service:
                store.act_as_user(connection, caller.user_id)
            yield connection
