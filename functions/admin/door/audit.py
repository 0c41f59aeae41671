"""The audit of reads: who was shown whose biometrics, counted by day. Decisions have a ledger of their own."""

from __future__ import annotations

from uuid import UUID

from functions.admin.door import store
from functions.admin.door.auth import Caller
from shared.database import Connection

# The actor recorded for guests, who read with an invitation's token and have no account.
_BY_INVITATION = "invitation"


def note_read(connection: Connection, caller: Caller | None, event_id: UUID, what: str, *subject_ids: UUID) -> None:
    """Record that ``caller`` (None: a guest with an invitation's token) was shown ``what`` of the subjects.

    ``what`` is one of ``thumbnail``, ``face``, ``person``, ``photo``, ``likeness`` and ``export``. The record commits
    in the same transaction as the read.
    """
    if subject_ids:
        actor = _BY_INVITATION if caller is None else caller.name
        store.note_reads(connection, actor, event_id, what, subject_ids)
