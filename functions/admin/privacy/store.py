"""Consent, receipts, and calls of the SQL functions that erase and export personal data (0005_privacy.sql)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from shared.database import Connection, one_row

Row = dict[str, Any]

# ---------------------------------------------------------------- consent and archive

# As its change does, so that nobody else has to give way for it in between.
_LOCK_EVENT = "SELECT FROM events WHERE id = %s FOR NO KEY UPDATE"
_SET_CONSENT = "SELECT trombi_set_consent(%s, %s, %s) AS changed"
_ARCHIVE = "SELECT trombi_archive(%s) AS changed"
_EVENT = """
SELECT id AS event_id, face_recognition_enabled AS enabled, consent_text_version AS text_version, consented_at,
    archived_at
FROM events WHERE id = %s
"""
# Never looked at, refused because there was no consent, or with faces whose biometrics were erased.
_TO_LOOK_AT = """
SELECT media.id FROM media
WHERE media.event_id = %(event_id)s AND media.object_name IS NOT NULL
    AND media.deleted_generation < coalesce(media.object_generation, 1)
    AND (
        EXISTS (SELECT FROM faces WHERE faces.media_id = media.id AND faces.thumbnail_object IS NULL)
        OR NOT EXISTS (
            SELECT FROM ml_jobs WHERE job_type = 'detect' AND event_id IS NOT NULL AND media_ids[1] = media.id
                AND object_generation = coalesce(media.object_generation, 0)
                AND (error_code IS NULL OR error_code NOT IN ('no_consent', 'event_archived'))
        )
    )
ORDER BY media.created_at, media.id LIMIT %(limit)s
"""


def lock_event(connection: Connection, event_id: UUID) -> None:
    """Wait for detections that are being accepted or written, and hold up new ones: they keep the event's row."""
    connection.execute(_LOCK_EVENT, (event_id,))


def set_consent(connection: Connection, event_id: UUID, *, enabled: bool, text_version: str | None) -> bool:
    """Switch face recognition on or off; False when it was so already. Off erases the event's biometrics."""
    return bool(one_row(connection, _SET_CONSENT, (event_id, enabled, text_version))["changed"])


def archive(connection: Connection, event_id: UUID) -> bool:
    """Archive the event, which erases its biometrics; False when it was archived already."""
    return bool(one_row(connection, _ARCHIVE, (event_id,))["changed"])


def event_consent(connection: Connection, event_id: UUID) -> Row:
    """Return the event's current consent."""
    return one_row(connection, _EVENT, (event_id,))


def photos_to_look_at(connection: Connection, event_id: UUID, limit: int) -> list[UUID]:
    """Photos that were not looked at for want of consent, or whose biometrics were erased."""
    rows = connection.execute(_TO_LOOK_AT, {"event_id": event_id, "limit": limit}).fetchall()
    return [row["id"] for row in rows]


# ---------------------------------------------------------------- purge and receipts

_PURGE_USER = "SELECT purge_face_data_for_user(%s, %s) AS receipt"
_KNOWS_USER = """
SELECT EXISTS (SELECT FROM users WHERE id = %(user_id)s) AND (
    %(is_self)s
    OR EXISTS (SELECT FROM event_members WHERE event_id = %(event_id)s AND user_id = %(user_id)s)
    OR EXISTS (SELECT FROM face_persons WHERE event_id = %(event_id)s AND linked_user_id = %(user_id)s)
    OR EXISTS (
        SELECT FROM media_tags JOIN media ON media.id = media_tags.media_id
        WHERE media.event_id = %(event_id)s AND tagged_user_id = %(user_id)s
    )
) AS yes
"""
_PURGE_PERSON = "SELECT purge_face_data_for_person(%s) AS receipt"
_PURGE_ADDRESS = "SELECT purge_face_data_for_address(%s, %s) AS receipt"
_RECEIPTS = """
SELECT id, event_id, reason, erased, requested_at, completed_at FROM purge_receipts
WHERE event_id = %(event_id)s AND (
    %(after_id)s::uuid IS NULL OR (requested_at, id) < (%(requested_at)s::timestamptz, %(after_id)s)
)
ORDER BY requested_at DESC, id DESC LIMIT %(limit)s
"""


@dataclass(frozen=True)
class AfterReceipt:
    """Where the page before ended."""

    requested_at: datetime
    after_id: UUID


def purge_user(connection: Connection, user_id: UUID, event_id: UUID) -> Row:
    """Erase all that the event holds on a user; the receipt, empty where there is nothing (or no such event)."""
    receipt: Row = one_row(connection, _PURGE_USER, (user_id, event_id))["receipt"]
    return receipt


def knows_user(connection: Connection, user_id: UUID, event_id: UUID, *, is_self: bool) -> bool:
    """Return whether there is such an account; for others than the user, only accounts that the event knows."""
    return bool(one_row(connection, _KNOWS_USER, {"user_id": user_id, "event_id": event_id, "is_self": is_self})["yes"])


def purge_person(connection: Connection, person_id: UUID) -> Row | None:
    """Erase a person, and the user that is linked; the receipt, None when there is no such person."""
    receipt: Row | None = one_row(connection, _PURGE_PERSON, (person_id,))["receipt"]
    return receipt


def purge_address(connection: Connection, email: str, event_id: UUID) -> Row:
    """Erase who was invited by the address, and the user whose it is; the receipt."""
    receipt: Row = one_row(connection, _PURGE_ADDRESS, (email, event_id))["receipt"]
    return receipt


def receipts(connection: Connection, event_id: UUID, after: AfterReceipt | None, limit: int) -> list[Row]:
    """Up to ``limit`` receipts of an event, the newest first."""
    position = {"requested_at": None, "after_id": None} if after is None else asdict(after)
    return connection.execute(_RECEIPTS, {"event_id": event_id, **position, "limit": limit}).fetchall()


# ---------------------------------------------------------------- export

_EXPORT = "SELECT trombi_export(%s, %s, %s) AS held"


def export(connection: Connection, user_id: UUID, event_id: UUID | None, *, embeddings: bool) -> Row | None:
    """All that is held on a user, in one event or in all; None where there is nothing to say."""
    held: Row | None = one_row(connection, _EXPORT, (user_id, event_id, embeddings))["held"]
    return held
