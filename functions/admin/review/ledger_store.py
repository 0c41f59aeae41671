"""The rows that decisions change: their images before and after, and how undo restores them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from shared.database import Connection, one_row


@dataclass(frozen=True)
class Scope:
    """What a decision may change: these persons, these faces, and the tags of these users in the event."""

    event_id: UUID
    person_ids: frozenset[UUID]
    face_ids: frozenset[UUID]
    user_ids: frozenset[UUID]

    def parameters(self) -> dict[str, Any]:
        """Return the scope as parameters of the statements."""
        return {
            "event_id": self.event_id,
            "persons": sorted(self.person_ids),
            "faces": sorted(self.face_ids),
            "users": sorted(self.user_ids),
        }


Image = Mapping[str, Any]
"""A row's columns as JSON values."""

Images = dict[tuple[str, str], dict[str, Any]]
"""Rows by (table, key)."""

_HOLDERS = """
SELECT DISTINCT face_person_id FROM faces
WHERE event_id = %s AND id = ANY(%s) AND face_person_id IS NOT NULL
"""
_FACES_OF = "SELECT id FROM faces WHERE event_id = %(event_id)s AND face_person_id = ANY(%(persons)s)"
# Of persons and faces, the columns that decisions change; of the small tables, whole rows.
_IMAGES = """
SELECT 'face_persons' AS in_table, id::text AS key, jsonb_build_object(
    'id', id, 'status', status, 'linked_user_id', linked_user_id, 'invitation_email', invitation_email,
    'merged_into_id', merged_into_id, 'representative_face_id', representative_face_id,
    'cover_chosen_by_human', cover_chosen_by_human, 'said_to_be_one', said_to_be_one, 'metadata', metadata) AS image
FROM face_persons WHERE event_id = %(event_id)s AND id = ANY(%(persons)s)
UNION ALL
SELECT 'faces', id::text, jsonb_build_object(
    'id', id, 'face_person_id', face_person_id, 'placed_by_human', placed_by_human)
FROM faces WHERE event_id = %(event_id)s AND id = ANY(%(faces)s)
UNION ALL
SELECT 'face_rejections', face_id || ' ' || face_person_id, to_jsonb(face_rejections)
FROM face_rejections WHERE face_id = ANY(%(faces)s) OR face_person_id = ANY(%(persons)s)
UNION ALL
SELECT 'face_suggestions', face_id || ' ' || face_person_id, to_jsonb(face_suggestions)
FROM face_suggestions WHERE face_id = ANY(%(faces)s) OR face_person_id = ANY(%(persons)s)
UNION ALL
SELECT 'merge_suggestions', person_a_id || ' ' || person_b_id, to_jsonb(merge_suggestions)
FROM merge_suggestions WHERE person_a_id = ANY(%(persons)s) OR person_b_id = ANY(%(persons)s)
UNION ALL
SELECT 'invitations', id::text, jsonb_build_object(
    'id', id, 'face_person_id', face_person_id, 'answered_at', answered_at, 'answer', answer)
FROM invitations WHERE event_id = %(event_id)s AND face_person_id = ANY(%(persons)s)
UNION ALL
SELECT 'media_tags', media_tags.id::text, to_jsonb(media_tags)
FROM media_tags JOIN media ON media.id = media_tags.media_id
WHERE media.event_id = %(event_id)s AND tagged_user_id = ANY(%(users)s)
UNION ALL
SELECT 'event_members', user_id::text, to_jsonb(event_members)
FROM event_members WHERE event_id = %(event_id)s AND user_id = ANY(%(users)s)
"""


def faces_of(connection: Connection, event_id: UUID, person_ids: Iterable[UUID]) -> list[UUID]:
    """Return the faces of some persons."""
    rows = connection.execute(_FACES_OF, {"event_id": event_id, "persons": sorted(person_ids)}).fetchall()
    return [row["id"] for row in rows]


def holders_of(connection: Connection, event_id: UUID, face_ids: Iterable[UUID]) -> set[UUID]:
    """Return the persons that some faces are in."""
    rows = connection.execute(_HOLDERS, (event_id, sorted(face_ids))).fetchall()
    return {row["face_person_id"] for row in rows}


def images(connection: Connection, scope: Scope) -> Images:
    """Return every row in the scope, as it is now."""
    rows = connection.execute(_IMAGES, scope.parameters()).fetchall()
    return {(row["in_table"], row["key"]): row["image"] for row in rows}


# ---------------------------------------------------------------- the ledger

_HOLD_ROWS = "SELECT trombi_hold_rows(%s, %s::uuid[], %s::uuid[], %s::uuid[])"
# The lock that clustering takes before it writes: decisions of an event come one after another, and never
# between a run's plan and its writing.
_LOCK = """
INSERT INTO event_counters (event_id, decision_version) VALUES (%(event_id)s, 1)
ON CONFLICT (event_id) DO UPDATE SET decision_version = event_counters.decision_version + 1
RETURNING decision_version
"""
_ASK_FOR_CLUSTERING = """
UPDATE event_counters SET changed_photos = changed_photos + 1, first_change_at = coalesce(first_change_at, now())
WHERE event_id = %s
"""
_RECORD = """
INSERT INTO decisions (event_id, actor_id, kind, subject, inverse, version, person_ids, face_ids, user_ids)
VALUES (%(event_id)s, %(actor_id)s, %(kind)s, %(subject)s, %(inverse)s, %(version)s, %(person_ids)s, %(face_ids)s,
    %(user_ids)s) RETURNING id
"""
_SEEN = """
UPDATE face_persons SET version = version + 1, updated_at = now(),
    metadata = metadata || jsonb_build_object(
        'manual_edits', coalesce((metadata ->> 'manual_edits')::integer, 0) + 1)
WHERE event_id = %(event_id)s AND id = ANY(%(persons)s)
"""
# The same summary as a clustering run writes: the mean rounded to four decimals.
_SUMMARISE = """
UPDATE face_persons SET metadata = CASE WHEN held.faces = 0
    THEN metadata - 'avg_quality' || '{"face_count": 0}'
    ELSE metadata || jsonb_build_object('face_count', held.faces, 'avg_quality', held.quality) END
FROM (
    SELECT person.id, count(faces.id) AS faces, round(avg(faces.quality_score)::numeric, 4)::float8 AS quality
    FROM unnest(%(persons)s::uuid[]) AS person (id)
    LEFT JOIN faces ON faces.face_person_id = person.id AND faces.event_id = %(event_id)s
    GROUP BY person.id
) AS held
WHERE held.id = face_persons.id AND face_persons.event_id = %(event_id)s
    AND metadata ->> 'face_count' IS DISTINCT FROM held.faces::text
"""
# A cover that is no longer one of the person's faces is replaced by their best face, as in a clustering run.
_COVERS = """
UPDATE face_persons SET cover_chosen_by_human = false, updated_at = now(),
    representative_face_id = trombi_best_cover(id)
WHERE event_id = %(event_id)s AND id = ANY(%(persons)s) AND NOT EXISTS (
    SELECT FROM faces WHERE faces.id = representative_face_id AND faces.face_person_id = face_persons.id
) AND (representative_face_id IS NOT NULL OR cover_chosen_by_human OR EXISTS (
    SELECT FROM faces WHERE face_person_id = face_persons.id AND faces.event_id = %(event_id)s
))
"""


def hold_rows(
    connection: Connection, event_id: UUID, users: Iterable[UUID], persons: Iterable[UUID], faces: Iterable[UUID]
) -> None:
    """Lock the rows that the decision will refer to, in the documented order, until the transaction ends."""
    connection.execute(_HOLD_ROWS, (event_id, list(users), list(persons), list(faces)))


_EVENT_IS_THERE = "SELECT EXISTS (SELECT FROM events WHERE id = %s) AS yes"
_USER_IS_THERE = "SELECT EXISTS (SELECT FROM users WHERE id = %s) AS yes"


def event_is_there(connection: Connection, event_id: UUID) -> bool:
    """Whether there is such an event."""
    return bool(one_row(connection, _EVENT_IS_THERE, (event_id,))["yes"])


def user_is_there(connection: Connection, user_id: UUID) -> bool:
    """Whether there is such an account."""
    return bool(one_row(connection, _USER_IS_THERE, (user_id,))["yes"])


def next_version(connection: Connection, event_id: UUID) -> int:
    """Take the event's lock until the transaction ends; return the decision's number in the event's history."""
    return int(one_row(connection, _LOCK, {"event_id": event_id})["decision_version"])


def ask_for_clustering(connection: Connection, event_id: UUID) -> None:
    """Request a clustering of the event, through the usual debounce."""
    connection.execute(_ASK_FOR_CLUSTERING, (event_id,))


def settle(connection: Connection, scope: Scope) -> None:
    """Update covers and summaries of persons after their faces moved."""
    connection.execute(_COVERS, scope.parameters())
    connection.execute(_SUMMARISE, scope.parameters())


def note_edit(connection: Connection, event_id: UUID, person_ids: Iterable[UUID]) -> None:
    """Count the decision on each of the persons."""
    connection.execute(_SEEN, {"event_id": event_id, "persons": sorted(person_ids)})


def record(  # noqa: PLR0913 - the columns of a row
    connection: Connection,
    *,
    event_id: UUID,
    actor_id: UUID | None,
    kind: str,
    subject: Mapping[str, Any],
    inverse: Mapping[str, Any],
    version: int,
    person_ids: Iterable[UUID],
    face_ids: Iterable[UUID],
    user_ids: Iterable[UUID],
) -> UUID:
    """Record the decision in the ledger."""
    row = one_row(
        connection,
        _RECORD,
        {
            "event_id": event_id,
            "actor_id": actor_id,
            "kind": kind,
            "subject": Jsonb(dict(subject)),
            "inverse": Jsonb(dict(inverse)),
            "version": version,
            "person_ids": sorted(person_ids),
            "face_ids": sorted(face_ids),
            "user_ids": sorted(user_ids),
        },
    )
    decision_id: UUID = row["id"]
    return decision_id


# ---------------------------------------------------------------- undo

_DECISION = """
SELECT id, event_id, kind, subject, inverse, version, undone_by, person_ids, face_ids, user_ids
FROM decisions WHERE id = %s
"""
# An erased decision about who a person is (their account was deleted) does not block the undo of others.
_BUILT_ON = """
SELECT later.id, later.kind, later.created_at FROM decisions AS later, decisions AS this
WHERE this.id = %s AND later.event_id = this.event_id AND later.version > coalesce(this.version, 0)
    AND later.kind <> 'undo' AND later.undone_by IS NULL
    AND (later.inverse IS NOT NULL OR later.kind NOT IN ('link', 'unlink', 'invite'))
    AND (later.person_ids && this.person_ids OR later.face_ids && this.face_ids OR later.user_ids && this.user_ids)
ORDER BY later.version DESC
"""
_MARK_UNDONE = "UPDATE decisions SET undone_by = %s WHERE id = %s"


def decision(connection: Connection, decision_id: UUID) -> dict[str, Any] | None:
    """Return a decision's row, or None."""
    return connection.execute(_DECISION, (decision_id,)).fetchone()


def built_on(connection: Connection, decision_id: UUID) -> list[dict[str, Any]]:
    """Return later decisions, not undone, on the same persons, faces or users, the newest first."""
    return connection.execute(_BUILT_ON, (decision_id,)).fetchall()


def mark_undone(connection: Connection, decision_id: UUID, by: UUID) -> None:
    """Record which undo reverted the decision."""
    connection.execute(_MARK_UNDONE, (by, decision_id))


_MISSING_USER = """
SELECT EXISTS (
    SELECT FROM jsonb_array_elements(%s) AS change
    WHERE change ->> 'table' = 'face_persons' AND change #>> '{before,linked_user_id}' IS NOT NULL
        AND NOT EXISTS (SELECT FROM users WHERE id = (change #>> '{before,linked_user_id}')::uuid)
) AS yes
"""
_FIRST_THERE = """
SELECT face_persons.id FROM unnest(%s::uuid[]) WITH ORDINALITY AS named (id, number)
JOIN face_persons ON face_persons.id = named.id ORDER BY number LIMIT 1
"""


def names_missing_user(connection: Connection, changes: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether undoing the changes would link a person to a deleted account."""
    return bool(one_row(connection, _MISSING_USER, (Jsonb(list(changes)),))["yes"])


def first_there(connection: Connection, person_ids: Iterable[UUID]) -> UUID | None:
    """Return the first of the persons that still exists."""
    row = connection.execute(_FIRST_THERE, (list(person_ids),)).fetchone()
    return row["id"] if row else None


# A photo, face or person that was deleted meanwhile is not restored, nor are rows that refer to it.
_RESTORE_PERSONS = """
UPDATE face_persons SET status = image.status, linked_user_id = image.linked_user_id,
    invitation_email = image.invitation_email, merged_into_id = image.merged_into_id,
    cover_chosen_by_human = image.cover_chosen_by_human,
    said_to_be_one = coalesce(image.said_to_be_one, face_persons.said_to_be_one),
    representative_face_id = (SELECT id FROM faces WHERE id = image.representative_face_id),
    metadata = CASE WHEN face_persons.metadata = after.metadata THEN image.metadata
        ELSE face_persons.metadata || jsonb_build_object(
            'manual_edits', coalesce((image.metadata ->> 'manual_edits')::integer, 0)) END,
    -- If the person's account was deleted since the decision, the image holds a hash of it.
    former_user_hash = CASE WHEN told.image ? 'former_user_hash' THEN image.former_user_hash
        ELSE face_persons.former_user_hash END,
    version = face_persons.version + 1, updated_at = now()
FROM jsonb_populate_recordset(NULL::face_persons, %(before)s) AS image
JOIN jsonb_array_elements(%(before)s) AS told (image) ON told.image ->> 'id' = image.id::text
JOIN jsonb_populate_recordset(NULL::face_persons, %(after)s) AS after ON after.id = image.id
WHERE face_persons.id = image.id AND face_persons.event_id = %(event_id)s
"""
_RESTORE_FACES = """
UPDATE faces SET placed_by_human = image.placed_by_human, updated_at = now(), face_person_id = (
    SELECT id FROM face_persons WHERE id = image.face_person_id AND event_id = %(event_id)s
)
FROM jsonb_populate_recordset(NULL::faces, %(before)s) AS image
WHERE faces.id = image.id AND faces.event_id = %(event_id)s
"""
_RESTORE_INVITATIONS = """
UPDATE invitations SET face_person_id = image.face_person_id, answered_at = image.answered_at, answer = image.answer
FROM jsonb_populate_recordset(NULL::invitations, %(before)s) AS image
WHERE invitations.id = image.id AND invitations.event_id = %(event_id)s
"""
_REMOVE_PERSONS = "DELETE FROM face_persons WHERE event_id = %(event_id)s AND id::text = ANY(%(keys)s)"
_REMOVE_INVITATIONS = "DELETE FROM invitations WHERE event_id = %(event_id)s AND id::text = ANY(%(keys)s)"
_REMOVE_MEMBERS = """
DELETE FROM event_members WHERE event_id = %(event_id)s AND user_id::text = ANY(%(keys)s) AND role = 'member'
"""
_REMOVE_TAGS = "DELETE FROM media_tags WHERE id::text = ANY(%(keys)s)"
_REMOVE_REJECTIONS = "DELETE FROM face_rejections WHERE face_id || ' ' || face_person_id = ANY(%(keys)s)"
_REMOVE_SUGGESTIONS = "DELETE FROM face_suggestions WHERE face_id || ' ' || face_person_id = ANY(%(keys)s)"
_PUT_TAGS_BACK = """
INSERT INTO media_tags (id, media_id, tagged_user_id, tagged_by_user_id, source, bbox, face_id, created_at)
SELECT image.id, image.media_id, image.tagged_user_id,
    (SELECT users.id FROM users WHERE users.id = image.tagged_by_user_id), image.source,
    -- The face's current box: the photo may have been analysed again.
    coalesce((SELECT bbox FROM faces WHERE faces.id = image.face_id), image.bbox), image.face_id, image.created_at
FROM jsonb_populate_recordset(NULL::media_tags, %(before)s) AS image
WHERE EXISTS (SELECT FROM media WHERE media.id = image.media_id AND media.event_id = %(event_id)s)
    AND EXISTS (SELECT FROM users WHERE users.id = image.tagged_user_id)
    AND (image.face_id IS NULL OR EXISTS (SELECT FROM faces WHERE faces.id = image.face_id))
ON CONFLICT DO NOTHING
"""
_PUT_REJECTIONS_BACK = """
INSERT INTO face_rejections SELECT image.* FROM jsonb_populate_recordset(NULL::face_rejections, %(before)s) AS image
WHERE EXISTS (SELECT FROM faces WHERE id = image.face_id AND event_id = %(event_id)s)
    AND EXISTS (SELECT FROM face_persons WHERE id = image.face_person_id AND event_id = %(event_id)s)
ON CONFLICT DO NOTHING
"""
_PUT_SUGGESTIONS_BACK = """
INSERT INTO face_suggestions SELECT image.* FROM jsonb_populate_recordset(NULL::face_suggestions, %(before)s) AS image
WHERE EXISTS (SELECT FROM faces WHERE id = image.face_id AND event_id = %(event_id)s)
    AND EXISTS (SELECT FROM face_persons WHERE id = image.face_person_id AND event_id = %(event_id)s)
ON CONFLICT DO NOTHING
"""
_PUT_MERGE_SUGGESTIONS_BACK = """
INSERT INTO merge_suggestions
SELECT image.* FROM jsonb_populate_recordset(NULL::merge_suggestions, %(before)s) AS image
WHERE EXISTS (SELECT FROM face_persons WHERE id = image.person_a_id AND event_id = %(event_id)s)
    AND EXISTS (SELECT FROM face_persons WHERE id = image.person_b_id AND event_id = %(event_id)s)
ON CONFLICT DO NOTHING
"""
# Every face of a linked person has a tag; a face without one was added by clustering while the person was unlinked.
_RELEASE_UNTAGGED = """
UPDATE faces SET face_person_id = NULL, updated_at = now() FROM face_persons
WHERE face_persons.id = faces.face_person_id AND face_persons.event_id = %(event_id)s
    AND face_persons.id = ANY(%(persons)s) AND face_persons.status = 'linked' AND NOT faces.placed_by_human
    AND NOT EXISTS (
        SELECT FROM media_tags
        WHERE media_tags.media_id = faces.media_id AND tagged_user_id = face_persons.linked_user_id
    )
"""
# Rows of small tables that changed are deleted and inserted again.
_REPLACED = frozenset({"media_tags", "face_suggestions"})
# In this order: a referring row is deleted before the row it refers to, and inserted after it.
_REMOVE = (
    ("media_tags", _REMOVE_TAGS),
    ("face_rejections", _REMOVE_REJECTIONS),
    ("face_suggestions", _REMOVE_SUGGESTIONS),
    ("invitations", _REMOVE_INVITATIONS),
    ("event_members", _REMOVE_MEMBERS),
)
_RESTORE = (
    ("face_persons", _RESTORE_PERSONS),
    ("faces", _RESTORE_FACES),
    ("invitations", _RESTORE_INVITATIONS),
)
_PUT_BACK = (
    ("media_tags", _PUT_TAGS_BACK),
    ("face_rejections", _PUT_REJECTIONS_BACK),
    ("face_suggestions", _PUT_SUGGESTIONS_BACK),
    ("merge_suggestions", _PUT_MERGE_SUGGESTIONS_BACK),
)


@dataclass(frozen=True)
class _Undoing:
    """The work by table: keys of rows to delete, changes to revert, rows to insert again."""

    made: Mapping[str, list[str]]
    changed: Mapping[str, list[Mapping[str, Any]]]
    gone: Mapping[str, list[Any]]


def put_back(connection: Connection, event_id: UUID, changes: Sequence[Mapping[str, Any]]) -> None:
    """Restore the changed rows to their state before; ``changes`` are ``{table, key, before, after}``."""
    undoing = _sorted_out(changes)
    for table, statement in _REMOVE:
        if table in undoing.made:
            connection.execute(statement, {"event_id": event_id, "keys": undoing.made[table]})
    for table, statement in _RESTORE:
        if table in undoing.changed:
            parameters = {
                "event_id": event_id,
                "before": Jsonb([change["before"] for change in undoing.changed[table]]),
                "after": Jsonb([change["after"] for change in undoing.changed[table]]),
            }
            connection.execute(statement, parameters)
    if "face_persons" in undoing.made:
        connection.execute(_REMOVE_PERSONS, {"event_id": event_id, "keys": undoing.made["face_persons"]})
    for table, statement in _PUT_BACK:
        if table in undoing.gone:
            connection.execute(statement, {"event_id": event_id, "before": Jsonb(undoing.gone[table])})


def release_untagged(connection: Connection, event_id: UUID, person_ids: Sequence[UUID]) -> None:
    """Release the faces that clustering added to persons that are linked again: it will suggest them instead."""
    connection.execute(_RELEASE_UNTAGGED, {"event_id": event_id, "persons": list(person_ids)})


def _sorted_out(changes: Sequence[Mapping[str, Any]]) -> _Undoing:
    made: dict[str, list[str]] = defaultdict(list)
    changed: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    gone: dict[str, list[Any]] = defaultdict(list)
    for change in changes:
        table = change["table"]
        is_replaced = table in _REPLACED and change["before"] is not None and change["after"] is not None
        if change["before"] is None or is_replaced:
            made[table].append(change["key"])
        if change["after"] is None or is_replaced:
            gone[table].append(change["before"])
        if change["before"] is not None and change["after"] is not None and not is_replaced:
            changed[table].append(change)
    return _Undoing(made, changed, gone)


# ---------------------------------------------------------------- history

_HISTORY = """
SELECT decisions.id, decisions.kind, decisions.subject, decisions.created_at, decisions.version, decisions.actor_id,
    users.display_name AS actor_name, decisions.undone_by IS NOT NULL AS undone,
    decisions.inverse IS NULL AS erased, NOT EXISTS (
        SELECT FROM decisions AS later WHERE later.event_id = decisions.event_id
            AND later.version > coalesce(decisions.version, 0) AND later.kind <> 'undo' AND later.undone_by IS NULL
            AND (later.person_ids && decisions.person_ids OR later.face_ids && decisions.face_ids
                OR later.user_ids && decisions.user_ids)
    ) AS is_newest
FROM decisions LEFT JOIN users ON users.id = decisions.actor_id
WHERE decisions.event_id = %(event_id)s AND coalesce(decisions.version, 0) < %(before)s
ORDER BY decisions.version DESC NULLS LAST, decisions.id LIMIT %(limit)s
"""


def history(connection: Connection, event_id: UUID, before: int, limit: int) -> list[dict[str, Any]]:
    """Return the event's decisions whose version is below ``before``, the newest first."""
    return connection.execute(_HISTORY, {"event_id": event_id, "before": before, "limit": limit}).fetchall()
