"""The statements of decisions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from shared.database import Connection

Row = dict[str, Any]

# ---------------------------------------------------------------- persons

_PERSON = """
SELECT id, event_id, status, version, linked_user_id, invitation_email, merged_into_id, representative_face_id
FROM face_persons WHERE id = %s
"""
_EVENT_OF_PERSON = "SELECT event_id FROM face_persons WHERE id = %s"
_EVENT_OF_FACE = "SELECT event_id FROM faces WHERE id = %s"
_FACES = """
SELECT id, media_id, face_person_id FROM faces WHERE event_id = %s AND id = ANY(%s) ORDER BY id
"""
_LINKED_ELSEWHERE = """
SELECT id FROM face_persons WHERE event_id = %s AND linked_user_id = %s AND status = 'linked' AND id <> %s
"""
_IS_MEMBER = "SELECT EXISTS (SELECT FROM event_members WHERE event_id = %s AND user_id = %s) AS yes"
# Either the declined address, or the address of the user to be linked.
_DECLINED = """
SELECT EXISTS (
    SELECT FROM invitations WHERE face_person_id = %(person_id)s AND answer = 'declined' AND (
        email = %(email)s OR email = (SELECT trombi_address(users.email) FROM users WHERE users.id = %(user_id)s)
    )
) AS yes
"""


def person(connection: Connection, person_id: UUID) -> Row | None:
    """Return a person's row, or None."""
    return connection.execute(_PERSON, (person_id,)).fetchone()


def event_of_person(connection: Connection, person_id: UUID) -> UUID | None:
    """Return the event that a person belongs to."""
    row = connection.execute(_EVENT_OF_PERSON, (person_id,)).fetchone()
    return row["event_id"] if row else None


def event_of_face(connection: Connection, face_id: UUID) -> UUID | None:
    """Return the event that a face belongs to."""
    row = connection.execute(_EVENT_OF_FACE, (face_id,)).fetchone()
    return row["event_id"] if row else None


def faces(connection: Connection, event_id: UUID, face_ids: Sequence[UUID]) -> list[Row]:
    """Return those of the faces that belong to the event."""
    return connection.execute(_FACES, (event_id, list(face_ids))).fetchall()


def person_linked_to(connection: Connection, event_id: UUID, user_id: UUID, but: UUID) -> UUID | None:
    """Return another person of the event that the user is linked to."""
    row = connection.execute(_LINKED_ELSEWHERE, (event_id, user_id, but)).fetchone()
    return row["id"] if row else None


def is_member(connection: Connection, event_id: UUID, user_id: UUID) -> bool:
    """Whether the user belongs to the event."""
    row = connection.execute(_IS_MEMBER, (event_id, user_id)).fetchone()
    return bool(row and row["yes"])


def has_declined(connection: Connection, person_id: UUID, *, email: str | None, user_id: UUID | None) -> bool:
    """Whether this address, or this user's, answered an invitation for the person with "not me"."""
    row = connection.execute(_DECLINED, {"person_id": person_id, "email": email, "user_id": user_id}).fetchone()
    return bool(row and row["yes"])


_SET_STATUS = """
UPDATE face_persons SET status = %(status)s, linked_user_id = %(user_id)s, invitation_email = %(email)s,
    merged_into_id = %(into)s, updated_at = now() WHERE id = %(person_id)s
"""
_MAKE = "INSERT INTO face_persons (id, event_id) VALUES (%s, %s)"
_SET_COVER = """
UPDATE face_persons SET representative_face_id = %s, cover_chosen_by_human = true, updated_at = now() WHERE id = %s
"""
_SAY_ONE = "UPDATE face_persons SET said_to_be_one = true, updated_at = now() WHERE id = %s"
_CLEAR_COVER = """
UPDATE face_persons SET representative_face_id = NULL, cover_chosen_by_human = false WHERE id = ANY(%s)
"""


def set_status(
    connection: Connection,
    person_id: UUID,
    status: str,
    *,
    user_id: UUID | None = None,
    email: str | None = None,
    into: UUID | None = None,
) -> None:
    """Set the person's status and the columns that belong to it, and clear those of other statuses."""
    connection.execute(
        _SET_STATUS, {"person_id": person_id, "status": status, "user_id": user_id, "email": email, "into": into}
    )


def make_person(connection: Connection, person_id: UUID, event_id: UUID) -> None:
    """Insert a pending person without faces."""
    connection.execute(_MAKE, (person_id, event_id))


def set_cover(connection: Connection, person_id: UUID, face_id: UUID) -> None:
    """Set a cover that a human chose."""
    connection.execute(_SET_COVER, (face_id, person_id))


def say_one(connection: Connection, person_id: UUID) -> None:
    """Record that the person is one person, not two."""
    connection.execute(_SAY_ONE, (person_id,))


def clear_covers(connection: Connection, person_ids: Sequence[UUID]) -> None:
    """Clear the covers of persons that were merged into another."""
    connection.execute(_CLEAR_COVER, (list(person_ids),))


# ---------------------------------------------------------------- faces

_REJECT = """
INSERT INTO face_rejections (face_id, face_person_id)
SELECT id, face_person_id FROM faces
WHERE id = ANY(%(faces)s) AND face_person_id IS NOT NULL AND face_person_id IS DISTINCT FROM %(to)s
ON CONFLICT DO NOTHING
"""
_WELCOME = "DELETE FROM face_rejections WHERE face_id = ANY(%(faces)s) AND face_person_id = %(to)s"
_PLACE = """
UPDATE faces SET face_person_id = %(to)s, placed_by_human = true, updated_at = now() WHERE id = ANY(%(faces)s)
"""
_RELEASE = """
UPDATE faces SET face_person_id = NULL, placed_by_human = false, updated_at = now()
WHERE id = ANY(%(faces)s) AND face_person_id = %(from)s
"""
_REJECT_FROM = """
INSERT INTO face_rejections (face_id, face_person_id) SELECT unnest(%(faces)s::uuid[]), %(from)s
ON CONFLICT DO NOTHING
"""
_FORGET_SUGGESTIONS = "DELETE FROM face_suggestions WHERE face_id = ANY(%(faces)s)"
_FORGET_SUGGESTION = """
DELETE FROM face_suggestions WHERE face_id = ANY(%(faces)s) AND face_person_id = %(from)s
"""
_ARE_SUGGESTED = """
SELECT face_id FROM face_suggestions WHERE face_id = ANY(%(faces)s) AND face_person_id = %(to)s
"""


def suggested_for(connection: Connection, face_ids: Sequence[UUID], person_id: UUID) -> list[UUID]:
    """Return those of the faces that are suggested for the person."""
    rows = connection.execute(_ARE_SUGGESTED, {"faces": list(face_ids), "to": person_id}).fetchall()
    return [row["face_id"] for row in rows]


def place_faces(connection: Connection, face_ids: Sequence[UUID], to: UUID) -> None:
    """Assign faces to a person permanently, and reject them from the persons they leave."""
    parameters = {"faces": list(face_ids), "to": to}
    connection.execute(_REJECT, parameters)
    connection.execute(_WELCOME, parameters)
    connection.execute(_FORGET_SUGGESTIONS, parameters)
    connection.execute(_PLACE, parameters)


def reject_faces(connection: Connection, face_ids: Sequence[UUID], person_id: UUID) -> None:
    """Reject faces from a person: remove them if they are in it, and keep them from returning."""
    parameters = {"faces": list(face_ids), "from": person_id}
    connection.execute(_REJECT_FROM, parameters)
    connection.execute(_FORGET_SUGGESTION, parameters)
    connection.execute(_RELEASE, parameters)


# ---------------------------------------------------------------- merge

# Persons that were merged into one of them earlier count as well.
_FORGET_APART = """
WITH RECURSIVE together AS (
    SELECT id FROM face_persons WHERE id = ANY(%(together)s)
    UNION
    SELECT face_persons.id FROM face_persons JOIN together ON face_persons.merged_into_id = together.id
)
DELETE FROM face_rejections USING faces WHERE faces.id = face_rejections.face_id
    AND faces.face_person_id = ANY(%(together)s) AND face_rejections.face_person_id IN (SELECT id FROM together)
"""
_HAND_OVER = """
UPDATE faces SET face_person_id = %(into)s, placed_by_human = true, updated_at = now()
WHERE face_person_id = ANY(%(gone)s)
"""
# Clustering would not accept two faces of one person in one photo; here a human has decided that they are.
_HOLD_TOGETHER = """
UPDATE faces SET placed_by_human = true, updated_at = now()
WHERE face_person_id = %(into)s AND NOT placed_by_human AND EXISTS (
    SELECT FROM faces AS other
    WHERE other.media_id = faces.media_id AND other.face_person_id = %(into)s AND other.id <> faces.id
)
"""
# Suggestions for a merged person move to the remaining one, with the higher score of the two.
_HAND_OVER_SUGGESTIONS = """
INSERT INTO face_suggestions (face_id, face_person_id, score)
SELECT face_id, %(into)s, max(score) FROM face_suggestions WHERE face_person_id = ANY(%(gone)s) GROUP BY face_id
ON CONFLICT (face_id, face_person_id) DO NOTHING
"""
_FORGET_SUGGESTIONS_FOR = "DELETE FROM face_suggestions WHERE face_person_id = ANY(%(gone)s)"
_FORGET_MERGE_SUGGESTIONS = """
DELETE FROM merge_suggestions WHERE person_a_id = ANY(%(gone)s) OR person_b_id = ANY(%(gone)s)
"""
_HAND_OVER_INVITATIONS = """
UPDATE invitations SET face_person_id = %(into)s WHERE face_person_id = ANY(%(gone)s) AND answer IS NULL
"""


def merge_persons(connection: Connection, gone: Sequence[UUID], into: UUID) -> None:
    """Move everything of the ``gone`` persons to the remaining one, and delete what kept them apart."""
    parameters = {"gone": list(gone), "into": into, "together": [*gone, into]}
    connection.execute(_FORGET_APART, parameters)
    connection.execute(_HAND_OVER, parameters)
    connection.execute(_HOLD_TOGETHER, parameters)
    connection.execute(_HAND_OVER_SUGGESTIONS, parameters)
    connection.execute(_FORGET_SUGGESTIONS_FOR, parameters)
    connection.execute(_FORGET_MERGE_SUGGESTIONS, parameters)
    connection.execute(_HAND_OVER_INVITATIONS, parameters)


_FORGET_MERGE_SUGGESTION = """
DELETE FROM merge_suggestions WHERE person_a_id = least(%(one)s::uuid, %(other)s::uuid)
    AND person_b_id = greatest(%(one)s::uuid, %(other)s::uuid)
"""
_TELL_APART = """
INSERT INTO face_rejections (face_id, face_person_id)
SELECT id, %(other)s FROM faces WHERE face_person_id = %(one)s ON CONFLICT DO NOTHING
"""


def tell_apart(connection: Connection, one: UUID, other: UUID) -> None:
    """Reject all faces of ``one`` from ``other``, so that neither clustering nor suggestions join the two."""
    parameters = {"one": one, "other": other}
    connection.execute(_TELL_APART, parameters)
    connection.execute(_FORGET_MERGE_SUGGESTION, parameters)


# ---------------------------------------------------------------- tags

# One tag per photo and user, for the person's best face in the photo.
_TAG = """
INSERT INTO media_tags (media_id, tagged_user_id, tagged_by_user_id, source, bbox, face_id)
SELECT DISTINCT ON (faces.media_id) faces.media_id, face_persons.linked_user_id, %(actor)s,
    CASE WHEN faces.id = ANY(%(suggested)s) THEN 'suggested' ELSE 'face_clustering' END, faces.bbox, faces.id
FROM faces JOIN face_persons ON face_persons.id = faces.face_person_id
WHERE faces.id = ANY(%(faces)s) AND face_persons.status = 'linked' AND face_persons.linked_user_id IS NOT NULL
ORDER BY faces.media_id, faces.quality_score DESC, faces.id
ON CONFLICT (media_id, tagged_user_id) DO NOTHING
"""
# A tag whose face no longer belongs to the user moves to another of their faces in the photo, or is deleted.
_RETURN_TO_ANOTHER_FACE = """
UPDATE media_tags SET face_id = other.id, bbox = other.bbox
FROM (
    SELECT DISTINCT ON (faces.media_id, face_persons.linked_user_id) faces.media_id, face_persons.linked_user_id,
        faces.id, faces.bbox
    FROM faces JOIN face_persons ON face_persons.id = faces.face_person_id
    WHERE face_persons.event_id = %(event_id)s AND face_persons.status = 'linked'
        AND face_persons.linked_user_id = ANY(%(users)s)
    ORDER BY faces.media_id, face_persons.linked_user_id, faces.quality_score DESC, faces.id
) AS other
WHERE media_tags.media_id = other.media_id AND media_tags.tagged_user_id = other.linked_user_id
    AND media_tags.source IN ('face_clustering', 'suggested') AND NOT EXISTS (
        SELECT FROM faces JOIN face_persons ON face_persons.id = faces.face_person_id
        WHERE faces.id = media_tags.face_id AND face_persons.status = 'linked'
            AND face_persons.linked_user_id = media_tags.tagged_user_id
    )
"""
_UNTAG = """
DELETE FROM media_tags USING media
WHERE media.id = media_tags.media_id AND media.event_id = %(event_id)s AND tagged_user_id = ANY(%(users)s)
    AND source IN ('face_clustering', 'suggested') AND NOT EXISTS (
        SELECT FROM faces JOIN face_persons ON face_persons.id = faces.face_person_id
        WHERE faces.media_id = media_tags.media_id AND face_persons.status = 'linked'
            AND face_persons.linked_user_id = media_tags.tagged_user_id
    )
"""


def tag(connection: Connection, face_ids: Sequence[UUID], actor: UUID | None, suggested: Sequence[UUID] = ()) -> None:
    """Tag the linked users of these faces' persons in the faces' photos, where they are not tagged yet."""
    connection.execute(_TAG, {"faces": list(face_ids), "actor": actor, "suggested": list(suggested)})


def untag(connection: Connection, event_id: UUID, user_ids: Sequence[UUID]) -> None:
    """Delete the users' tags from faces that no longer belong to them; tags set by hand stay."""
    parameters = {"event_id": event_id, "users": list(user_ids)}
    connection.execute(_RETURN_TO_ANOTHER_FACE, parameters)
    connection.execute(_UNTAG, parameters)


# ---------------------------------------------------------------- invitations

_MAKE_INVITATION = """
INSERT INTO invitations (id, event_id, face_person_id, token_hash, email, invited_by, expires_at, language, message)
VALUES (%(id)s, %(event_id)s, %(person_id)s, %(token_hash)s, %(email)s, %(actor)s, %(expires_at)s, %(language)s,
    %(message)s)
"""
_ASKED_ABOUT = """
SELECT event_id, ARRAY[face_person_id] || ARRAY(
    SELECT id FROM face_persons
    WHERE face_persons.event_id = invitations.event_id AND linked_user_id = %(user_id)s AND status = 'linked'
) AS person_ids
FROM invitations WHERE id = %(invitation_id)s
"""
_INVITATION = """
SELECT id, event_id, face_person_id, email, expires_at, answer, answered_at,
    expires_at <= clock_timestamp() AS has_expired
FROM invitations WHERE id = %s FOR UPDATE
"""
_ANSWER = "UPDATE invitations SET answer = %s, answered_at = clock_timestamp() WHERE id = %s"
_JOIN = """
INSERT INTO event_members (event_id, user_id, role) VALUES (%s, %s, 'member') ON CONFLICT DO NOTHING
"""


def make_invitation(connection: Connection, **columns: Any) -> None:  # noqa: ANN401 - the columns of a row
    """Write an invitation."""
    connection.execute(_MAKE_INVITATION, columns)


def asked_about(connection: Connection, invitation_id: UUID, user_id: UUID | None) -> Row | None:
    """Return an invitation's event (``event_id``), and its person with those linked to the user (``person_ids``)."""
    return connection.execute(_ASKED_ABOUT, {"invitation_id": invitation_id, "user_id": user_id}).fetchone()


def invitation(connection: Connection, invitation_id: UUID) -> Row | None:
    """Return an invitation and lock it."""
    return connection.execute(_INVITATION, (invitation_id,)).fetchone()


def answer_invitation(connection: Connection, invitation_id: UUID, answer: str) -> None:
    """Record the answer, which can be given only once."""
    connection.execute(_ANSWER, (answer, invitation_id))


def join_event(connection: Connection, event_id: UUID, user_id: UUID) -> None:
    """Make the user a member of the event."""
    connection.execute(_JOIN, (event_id, user_id))


# ---------------------------------------------------------------- the person as the API shows it

_STATE = """
SELECT * FROM persons_shown WHERE id = %s
"""


def state(connection: Connection, person_id: UUID) -> Row | None:
    """Return the state of a person that the API shows."""
    return connection.execute(_STATE, (person_id,)).fetchone()
