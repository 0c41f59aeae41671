"""Rows of persons, as lists show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from shared.database import Connection

Row = dict[str, Any]
Order = Literal["photos", "newest", "name"]


@dataclass(frozen=True)
class PersonFilter:
    """Which persons of an event; what is None filters nothing.

    Each of ``words`` begins a word of the linked user's name, whatever their accents. ``media_id`` is a photo that
    they are on. ``linked_to`` leaves one user's persons alone.
    """

    event_id: UUID
    statuses: Sequence[str]
    min_faces: int
    words: str | None
    media_id: UUID | None
    linked_to: UUID | None


@dataclass(frozen=True)
class AfterPerson:
    """Where the page before ended: the last person, and by what it was ordered.

    ``as_of`` is when the first page was asked for: faces that came later do not count in the order by photos, so
    that photos that arrive between two pages move nobody from one to the other.
    """

    as_of: datetime
    after_id: UUID
    photos: int
    created_at: datetime
    name: str


# The order by photos counts those that were there when the first page was asked for; on that page that is all.
_LISTED = """
WITH ranked AS (
    SELECT face_person_id, count(DISTINCT media_id) AS photos
    FROM faces WHERE event_id = %(event_id)s AND face_person_id IS NOT NULL AND created_at <= %(as_of)s
    GROUP BY face_person_id
), listed AS (
    SELECT person.*,
        -- Who has a name comes first.
        coalesce('a' || trombi_folded(person.linked_name), 'b') COLLATE "C" AS ranked_name,
        CASE WHEN %(as_of)s::timestamptz IS NULL THEN person.photo_count ELSE coalesce(ranked.photos, 0) END
            AS ranked_photos,
        coalesce(%(as_of)s, now()) AS as_of
    FROM persons_shown AS person LEFT JOIN ranked ON ranked.face_person_id = person.id
    WHERE person.event_id = %(event_id)s AND person.status = ANY(%(statuses)s)
        AND person.face_count >= %(min_faces)s
        AND (%(linked_to)s::uuid IS NULL OR person.linked_user_id = %(linked_to)s)
        AND (%(words)s::text IS NULL OR trombi_has_words(person.linked_name, %(words)s))
        AND (%(media_id)s::uuid IS NULL OR person.id IN (
            SELECT face_person_id FROM faces WHERE media_id = %(media_id)s AND event_id = %(event_id)s
        ))
)
SELECT * FROM listed
"""
_PERSONS: dict[Order, str] = {
    "photos": _LISTED
    + """
WHERE %(after_id)s::uuid IS NULL OR ranked_photos < %(photos)s
    OR (ranked_photos = %(photos)s AND id > %(after_id)s)
ORDER BY ranked_photos DESC, id LIMIT %(limit)s
""",
    "newest": _LISTED
    + """
WHERE %(after_id)s::uuid IS NULL OR created_at < %(created_at)s
    OR (created_at = %(created_at)s AND id > %(after_id)s)
ORDER BY created_at DESC, id LIMIT %(limit)s
""",
    "name": _LISTED
    + """
WHERE %(after_id)s::uuid IS NULL OR (ranked_name, id) > (%(name)s COLLATE "C", %(after_id)s)
ORDER BY ranked_name, id LIMIT %(limit)s
""",
}
_FROM_THE_BEGINNING = dict.fromkeys(("as_of", "after_id", "photos", "created_at", "name"))


def persons(
    connection: Connection, wanted: PersonFilter, order: Order, after: AfterPerson | None, limit: int
) -> list[Row]:
    """Up to ``limit`` persons after ``after``: what a person's state is made of, and what `AfterPerson` holds."""
    position = _FROM_THE_BEGINNING if after is None else asdict(after)
    values = {**asdict(wanted), "statuses": list(wanted.statuses), **position, "limit": limit}
    return connection.execute(_PERSONS[order], values).fetchall()


# The role that admin works in cannot read embeddings: the SQL function returns only ids, in order of similarity.
_ALIKE = "SELECT person_id FROM trombi_persons_alike(%s, %s) WITH ORDINALITY AS alike (person_id, rank) ORDER BY rank"


def alike(connection: Connection, person_id: UUID, face_ids: Sequence[UUID]) -> list[UUID]:
    """Return the event's other persons, the most similar first: by some of the person's faces, or by the best."""
    rows = connection.execute(_ALIKE, (person_id, list(face_ids) or None)).fetchall()
    return [row["person_id"] for row in rows]


# ---------------------------------------------------------------- suggestions


@dataclass(frozen=True)
class AfterSuggestion:
    """Where the page before ended."""

    score: float
    first_id: UUID
    second_id: UUID


# A run writes them; what was decided since then is left out: it is answered already.
_SUGGESTIONS = """
WITH suggested AS (
    SELECT 'face' AS kind, suggestion.score, suggestion.face_id AS first_id, suggestion.face_person_id AS second_id
    FROM face_suggestions AS suggestion
    JOIN faces ON faces.id = suggestion.face_id
    JOIN face_persons AS person ON person.id = suggestion.face_person_id
    WHERE person.event_id = %(event_id)s AND person.status IN ('pending', 'linked', 'invited')
        AND faces.face_person_id IS DISTINCT FROM person.id AND NOT faces.placed_by_human
        AND NOT EXISTS (
            SELECT FROM face_rejections
            WHERE face_rejections.face_id = faces.id AND face_rejections.face_person_id = person.id
        )
    UNION ALL
    SELECT 'merge', suggestion.score, suggestion.person_a_id, suggestion.person_b_id
    FROM merge_suggestions AS suggestion
    JOIN face_persons AS a ON a.id = suggestion.person_a_id
    JOIN face_persons AS b ON b.id = suggestion.person_b_id
    WHERE a.event_id = %(event_id)s AND b.event_id = %(event_id)s
        AND a.status IN ('pending', 'linked', 'invited') AND b.status IN ('pending', 'linked', 'invited')
    UNION ALL
    SELECT 'split', max(suggestion.score), person.id, person.id
    FROM split_suggestions AS suggestion
    JOIN faces ON faces.id = suggestion.face_id
    JOIN face_persons AS person ON person.id = suggestion.face_person_id
    WHERE person.event_id = %(event_id)s AND person.status IN ('pending', 'linked', 'invited')
        AND NOT person.said_to_be_one
    GROUP BY person.id HAVING bool_and(faces.face_person_id IS NOT DISTINCT FROM person.id)
        AND count(*) < (SELECT count(*) FROM faces AS all_of WHERE all_of.face_person_id = person.id)
)
SELECT * FROM suggested
WHERE %(first_id)s::uuid IS NULL OR score < %(score)s::real
    OR (score = %(score)s::real AND (first_id, second_id) > (%(first_id)s, %(second_id)s))
ORDER BY score DESC, first_id, second_id LIMIT %(limit)s
"""
_HALVES = """
WITH halved AS (
    SELECT faces.id, faces.media_id, faces.face_person_id AS person_id, faces.bbox, faces.quality_score AS quality,
        faces.placed_by_human, suggestion.face_id IS NOT NULL AS asked,
        row_number() OVER (
            PARTITION BY faces.face_person_id, suggestion.face_id IS NOT NULL
            ORDER BY faces.thumbnail_object IS NULL, (faces.id = person.representative_face_id) IS TRUE DESC,
                trombi_cover_score(quality_score, sharpness, yaw, pitch, size_px) DESC, faces.id
        ) AS rank
    FROM faces JOIN face_persons AS person ON person.id = faces.face_person_id
    LEFT JOIN split_suggestions AS suggestion
        ON suggestion.face_id = faces.id AND suggestion.face_person_id = person.id
    WHERE person.id = ANY(%s)
)
SELECT * FROM halved WHERE asked OR rank = 1 ORDER BY person_id, asked, rank
"""
_STATES = "SELECT * FROM persons_shown WHERE id = ANY(%s)"


def suggestions(connection: Connection, event_id: UUID, after: AfterSuggestion | None, limit: int) -> list[Row]:
    """Up to ``limit`` open questions as ``{kind, score, first_id, second_id}``, the likeliest first.

    Of a ``face`` the ids are face and person, of a ``merge`` the two persons, of a ``split`` twice the person.
    """
    position = {"score": None, "first_id": None, "second_id": None} if after is None else asdict(after)
    return connection.execute(_SUGGESTIONS, {"event_id": event_id, **position, "limit": limit}).fetchall()


def halves(connection: Connection, person_ids: Sequence[UUID]) -> dict[UUID, list[Row]]:
    """Return the faces of persons that may be two people, as rows with ``asked``, and the best of the others.

    By person; each half's best face comes first, the cover before others.
    """
    found: dict[UUID, list[Row]] = {}
    for row in connection.execute(_HALVES, (list(person_ids),)).fetchall():
        found.setdefault(row["person_id"], []).append(row)
    return found


def states(connection: Connection, person_ids: Sequence[UUID]) -> dict[UUID, Row]:
    """Return the rows of some persons' states, by id."""
    return {row["id"]: row for row in connection.execute(_STATES, (list(person_ids),)).fetchall()}
