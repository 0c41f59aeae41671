"""The audit of reads: who looked at whose biometrics, counted by day. Decisions have a ledger of their own."""

from __future__ import annotations

from uuid import UUID

from functions.admin.door import store
from functions.admin.door.auth import Caller
from shared.database import Connection

# What a guest is filed under who reads with an invitation's token, and has no account.
_BY_INVITATION = "invitation"


def note_read(connection: Connection, caller: Caller | None, event_id: UUID, what: str, *subject_ids: UUID) -> None:
    """Note that ``caller`` (None: an invitation's token) was shown ``what`` of the subjects.

    ``what`` is a word: ``thumbnail``, ``face``, ``person``, ``photo``, ``likeness``, ``export``. It commits with
    the read.
    """
    if subject_ids:
        actor = _BY_INVITATION if caller is None else caller.name
        store.note_reads(connection, actor, event_id, what, subject_ids)
