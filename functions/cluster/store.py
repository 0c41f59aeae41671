"""Load an event's faces and persons, and write the changes of a clustering run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from psycopg.types.json import Jsonb

from functions.cluster.states import FaceState, PersonState, Plan
from shared.database import Connection
from shared.job_ledger import Job

EMBEDDING_DIMENSIONS = 512


@dataclass(frozen=True)
class EventFaces:
    """An event's faces and persons at one moment.

    ``embeddings`` is float32[n, 512], L2-normalised, row i belonging to ``faces[i]``. ``decision_version``
    counts human decisions.
    """

    faces: tuple[FaceState, ...]
    embeddings: NDArray[np.float32]
    persons: tuple[PersonState, ...]
    decision_version: int
    embedding_model: str | None


# Ends with the transaction, and with the connection of a run that died: no run is ever blocked by a dead one.
_TRY_LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended('trombi.cluster.' || %s::text, 0)) AS locked"
_ANOTHER_RUN = """
SELECT EXISTS (
    SELECT FROM ml_jobs
    WHERE event_id = %s AND job_type = 'cluster' AND status IN ('pending', 'processing') AND id <> %s
) AS open
"""
# A row that one transaction changes twice has its foreign keys looked at again: of a linked person, the user's.
_HOLD_USERS = """
SELECT FROM users WHERE id IN (
    SELECT linked_user_id FROM face_persons WHERE event_id = %s AND linked_user_id IS NOT NULL
) ORDER BY id FOR KEY SHARE
"""
_COUNTERS = "SELECT decision_version, embedding_model FROM event_counters WHERE event_id = %s"
_LOCK_COUNTERS = _COUNTERS + " FOR NO KEY UPDATE"
_EMBEDDINGS = "SELECT id, embedding FROM faces WHERE event_id = %s AND embedding IS NOT NULL ORDER BY id"
_FACES = """
SELECT faces.id AS face_id, faces.media_id, faces.face_person_id AS person_id, faces.placed_by_human,
    faces.quality_score, faces.sharpness, faces.yaw, faces.pitch, faces.roll, faces.size_px::float8 AS size_px,
    -- As trombi_best_faces has it: one without a picture comes after all that have one.
    trombi_cover_score(quality_score, sharpness, yaw, pitch, size_px)
        - CASE WHEN faces.thumbnail_object IS NULL THEN 2 ELSE 0 END AS cover_score,
    coalesce((SELECT array_agg(face_person_id) FROM face_rejections WHERE face_id = faces.id), '{}') AS rejected
FROM faces WHERE faces.event_id = %s AND faces.embedding IS NOT NULL ORDER BY faces.id
"""
_PERSONS = """
SELECT id AS person_id, status, merged_into_id, representative_face_id, cluster_label, cover_chosen_by_human,
    said_to_be_one,
    coalesce((metadata ->> 'manual_edits')::integer, 0) > 0 AS touched_by_human
FROM face_persons WHERE event_id = %s ORDER BY id
"""


def try_lock_run(connection: Connection, event_id: UUID) -> bool:
    """Be the one run of the event until the transaction ends; False when another one is."""
    row = connection.execute(_TRY_LOCK, (event_id,)).fetchone()
    return bool(row and row["locked"])


def hold_users(connection: Connection, event_id: UUID) -> None:
    """Keep the accounts that the event's persons are linked to: they come first in the order of locks."""
    connection.execute(_HOLD_USERS, (event_id,))


def another_run_is_open(connection: Connection, job: Job) -> bool:
    """Whether another clustering of the job's event was asked for and has not ended."""
    row = connection.execute(_ANOTHER_RUN, (job.event_id, job.id)).fetchone()
    return bool(row and row["open"])


def load(connection: Connection, event_id: UUID) -> EventFaces:
    """Load the event's faces, in the order of their ids."""
    counters = connection.execute(_COUNTERS, (event_id,)).fetchone()
    # In binary format: parsing thousands of embeddings from text takes longer than clustering them.
    rows = connection.execute(_EMBEDDINGS, (event_id,), binary=True).fetchall()
    known = {row["id"]: row["embedding"] for row in rows}
    faces, persons = load_states(connection, event_id)
    faces = tuple(face for face in faces if face.face_id in known)
    embeddings = np.zeros((len(faces), EMBEDDING_DIMENSIONS), dtype=np.float32)
    for index, face in enumerate(faces):
        # The driver hands out an array or a pgvector.Vector, by version.
        vector = known[face.face_id]
        embeddings[index] = vector.to_numpy() if hasattr(vector, "to_numpy") else vector
    return EventFaces(
        faces=faces,
        embeddings=_normalised(embeddings),
        persons=persons,
        decision_version=counters["decision_version"] if counters else 0,
        embedding_model=counters["embedding_model"] if counters else None,
    )


def load_states(connection: Connection, event_id: UUID) -> tuple[tuple[FaceState, ...], tuple[PersonState, ...]]:
    """Faces and persons without the embeddings."""
    faces = tuple(
        FaceState(rejected_person_ids=frozenset(row.pop("rejected")), **row)
        for row in connection.execute(_FACES, (event_id,)).fetchall()
    )
    persons = tuple(PersonState(**row) for row in connection.execute(_PERSONS, (event_id,)).fetchall())
    return faces, persons


def lock_decisions(connection: Connection, event_id: UUID) -> int:
    """Lock the event against decisions and detections; return the number of human decisions so far."""
    row = connection.execute(_LOCK_COUNTERS, (event_id,)).fetchone()
    return int(row["decision_version"]) if row else 0


def _normalised(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """Postgres keeps float32 as it is, but a row may have been written elsewhere: make its norm 1 again."""
    norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
    normalised: NDArray[np.float32] = np.divide(embeddings, norms, out=embeddings, where=norms > 0)
    return normalised


# ---------------------------------------------------------------- write

# One statement for all rows of a kind: thousands of small ones take longer than the clustering.
_NEW_PERSONS = """
INSERT INTO face_persons (id, event_id, cluster_label)
SELECT id, %(event_id)s, label FROM unnest(%(persons)s::uuid[], %(labels)s::integer[]) AS made (id, label)
"""
_ASSIGN = """
UPDATE faces SET face_person_id = planned.person_id, updated_at = now()
FROM unnest(%(faces)s::uuid[], %(persons)s::uuid[]) AS planned (face_id, person_id)
WHERE faces.id = planned.face_id AND NOT placed_by_human
"""
# Only what no human has touched may go: the statement itself says so once more.
_REMOVE_PERSONS = """
DELETE FROM face_persons WHERE id = ANY(%s) AND status = 'pending'
    AND coalesce((metadata ->> 'manual_edits')::integer, 0) = 0
    -- Faces whose embedding was erased are not seen by a run, and still are in their person.
    AND NOT EXISTS (SELECT FROM faces WHERE faces.face_person_id = face_persons.id)
"""
# A cover that a human chose stays while it is one of the person's faces, as any does where no other is seen.
_REPRESENTATIVES = """
UPDATE face_persons SET representative_face_id = planned.face_id, cover_chosen_by_human = false, updated_at = now()
FROM unnest(%(persons)s::uuid[], %(faces)s::uuid[]) AS planned (person_id, face_id)
WHERE face_persons.id = planned.person_id AND (
    (planned.face_id IS NOT NULL AND NOT cover_chosen_by_human) OR NOT EXISTS (
        SELECT FROM faces WHERE faces.id = representative_face_id AND faces.face_person_id = face_persons.id))
"""
_SUMMARIES = """
UPDATE face_persons SET updated_at = now(), metadata = metadata || held.summary
FROM (
    SELECT planned.person_id, jsonb_build_object('avg_quality', planned.quality,
        'face_count', planned.faces + coalesce(erased.faces, 0)) AS summary
    FROM unnest(%(persons)s::uuid[], %(faces)s::bigint[], %(qualities)s::float8[])
        AS planned (person_id, faces, quality)
    LEFT JOIN (
        SELECT face_person_id, count(*) AS faces FROM faces
        WHERE event_id = %(event_id)s AND embedding IS NULL GROUP BY face_person_id
    ) AS erased ON erased.face_person_id = planned.person_id
) AS held
WHERE face_persons.id = held.person_id AND NOT metadata @> held.summary
"""
# A person that people decided on stays when its last face goes; a run names only those that have some.
_EMPTY_SUMMARIES = """
UPDATE face_persons SET updated_at = now(), metadata = metadata - 'avg_quality' || '{"face_count": 0}'
WHERE event_id = %s AND coalesce(metadata ->> 'face_count', '0') <> '0'
    AND NOT EXISTS (SELECT FROM faces WHERE faces.face_person_id = face_persons.id)
"""
_CLEAR_SUGGESTIONS = """
DELETE FROM face_suggestions USING face_persons
WHERE face_persons.id = face_suggestions.face_person_id AND face_persons.event_id = %s
"""
_SUGGEST = """
INSERT INTO face_suggestions (face_id, face_person_id, score)
SELECT * FROM unnest(%(faces)s::uuid[], %(persons)s::uuid[], %(scores)s::float4[])
"""
_CLEAR_MERGE_SUGGESTIONS = """
DELETE FROM merge_suggestions USING face_persons
WHERE face_persons.id = merge_suggestions.person_a_id AND face_persons.event_id = %s
"""
_SUGGEST_MERGE = """
INSERT INTO merge_suggestions (person_a_id, person_b_id, score)
SELECT least(a, b), greatest(a, b), score
FROM unnest(%(into)s::uuid[], %(from)s::uuid[], %(scores)s::float4[]) AS alike (a, b, score)
"""
_CLEAR_SPLIT_SUGGESTIONS = """
DELETE FROM split_suggestions USING face_persons
WHERE face_persons.id = split_suggestions.face_person_id AND face_persons.event_id = %s
"""
_SUGGEST_SPLIT = """
INSERT INTO split_suggestions (face_person_id, face_id, score)
SELECT * FROM unnest(%(persons)s::uuid[], %(faces)s::uuid[], %(scores)s::float4[])
"""
_REPORT = """
INSERT INTO cluster_runs (job_id, run, event_id, faces, clusters, persons, noise, silhouette, churn, suggestions,
    milliseconds, parameters, embedding_model)
VALUES (%(job_id)s, %(run)s, %(event_id)s, %(faces)s, %(clusters)s, %(persons)s, %(noise)s, %(silhouette)s,
    %(churn)s, %(suggestions)s, %(milliseconds)s, %(parameters)s, %(embedding_model)s)
"""
_COUNT_PERSONS = """
SELECT count(DISTINCT face_person_id) AS persons FROM faces WHERE event_id = %s AND face_person_id IS NOT NULL
"""


def write_plan(connection: Connection, event_id: UUID, plan: Plan) -> None:
    """Apply a plan: only what changes is written."""
    made, summaries = plan.new_persons, plan.summaries
    connection.execute(
        _NEW_PERSONS,
        {
            "event_id": event_id,
            "persons": [person.person_id for person in made],
            "labels": [person.cluster_label for person in made],
        },
    )
    connection.execute(_ASSIGN, {"faces": list(plan.assignments.keys()), "persons": list(plan.assignments.values())})
    connection.execute(_REMOVE_PERSONS, (list(plan.emptied_persons),))
    connection.execute(
        _REPRESENTATIVES,
        {"persons": list(plan.representatives.keys()), "faces": list(plan.representatives.values())},
    )
    connection.execute(
        _SUMMARIES,
        {
            "event_id": event_id,
            "persons": list(summaries.keys()),
            "faces": [summary.face_count for summary in summaries.values()],
            "qualities": [round(summary.avg_quality, 4) for summary in summaries.values()],
        },
    )
    connection.execute(_EMPTY_SUMMARIES, (event_id,))
    connection.execute(_CLEAR_SUGGESTIONS, (event_id,))
    connection.execute(
        _SUGGEST,
        {
            "faces": [suggestion.face_id for suggestion in plan.suggestions],
            "persons": [suggestion.person_id for suggestion in plan.suggestions],
            "scores": [suggestion.score for suggestion in plan.suggestions],
        },
    )
    connection.execute(_CLEAR_MERGE_SUGGESTIONS, (event_id,))
    connection.execute(
        _SUGGEST_MERGE,
        {
            "into": [suggestion.into_person_id for suggestion in plan.merge_suggestions],
            "from": [suggestion.from_person_id for suggestion in plan.merge_suggestions],
            "scores": [suggestion.score for suggestion in plan.merge_suggestions],
        },
    )
    connection.execute(_CLEAR_SPLIT_SUGGESTIONS, (event_id,))
    asked = [(suggestion, face_id) for suggestion in plan.split_suggestions for face_id in suggestion.face_ids]
    connection.execute(
        _SUGGEST_SPLIT,
        {
            "persons": [suggestion.person_id for suggestion, _ in asked],
            "faces": [face_id for _, face_id in asked],
            "scores": [suggestion.score for suggestion, _ in asked],
        },
    )


@dataclass(frozen=True)
class RunReport:
    """What a run says of itself; counts of faces, ``silhouette`` in [-1, 1] or None where it is not defined."""

    faces: int
    clusters: int
    noise: int
    silhouette: float | None
    churn: int
    suggestions: int
    milliseconds: Mapping[str, float]
    parameters: Mapping[str, Any]
    embedding_model: str | None


def write_report(connection: Connection, job: Job, event_id: UUID, report: RunReport) -> int:
    """Keep the run's report; returns how many persons have faces now."""
    row = connection.execute(_COUNT_PERSONS, (event_id,)).fetchone()
    persons = int(row["persons"]) if row else 0
    connection.execute(
        _REPORT,
        {
            **vars(report),
            "job_id": job.id,
            "run": job.run,
            "event_id": event_id,
            "persons": persons,
            "milliseconds": Jsonb(dict(report.milliseconds)),
            "parameters": Jsonb(dict(report.parameters)),
        },
    )
    return persons
