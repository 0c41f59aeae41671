"""Statements that were asked for word by word run as they are written, by search_path alone."""

from __future__ import annotations

import psycopg
import pytest

from shared.database import Connection
from tests.arrange import detect_job, event, face, member, person, photo

_PENDING = """
-- Jobs en attente
SELECT COUNT(*) FROM ml_jobs WHERE status = 'pending';
"""
_FAILURES = """
-- Taux d'échec
SELECT 
  COUNT(*) FILTER (WHERE status = 'failed') * 100.0 / COUNT(*)
FROM ml_jobs;
"""  # noqa: W291 - word by word
_TIME = """
-- Temps moyen processing
SELECT 
  AVG(EXTRACT(EPOCH FROM (completed_at - started_at)))
FROM ml_jobs WHERE status = 'completed';
"""  # noqa: W291 - word by word
_COVERAGE = """
-- Coverage : % photos avec faces détectés
SELECT 
  e.id,
  e.name,
  COUNT(DISTINCT m.id) as total_media,
  COUNT(DISTINCT f.media_id) as media_with_faces,
  COUNT(DISTINCT f.media_id) * 100.0 / COUNT(DISTINCT m.id) as coverage_pct
FROM events e
LEFT JOIN media m ON m.event_id = e.id
LEFT JOIN faces f ON f.media_id = m.id
WHERE e.face_recognition_enabled = true
GROUP BY e.id;
"""  # noqa: W291 - word by word
_PURGE = "SELECT purge_face_data_for_user('user-uuid', 'event-uuid');"


@pytest.fixture
def plain(database_url: str, connection: Connection) -> Connection:
    """A connection whose search_path is what a reader of the documents sets."""
    connection.execute("RESET search_path")
    connection.execute("SET search_path = trombi, public")
    return connection


def answers(connection: Connection, statement: str) -> list[list[object]]:
    return [list(row.values()) for row in connection.execute(statement.encode()).fetchall()]


def test_the_metrics_and_the_purge_run_as_they_are_written(plain: Connection) -> None:
    event_id = event(plain)
    user_id = member(plain, event_id)
    photos = [photo(plain, event_id) for _ in range(4)]
    for media_id, status in zip(photos, ("completed", "completed", "failed", "pending"), strict=True):
        detect_job(plain, event_id, media_id, status=status)
    plain.execute("UPDATE ml_jobs SET started_at = completed_at - interval '3 seconds' WHERE status = 'completed'")
    person_id = person(plain, event_id, status="linked", linked_user_id=user_id)
    for media_id in photos[:2]:
        face(plain, event_id, media_id, person_id=person_id)
    assert answers(plain, _PENDING) == [[1]]
    assert answers(plain, _FAILURES) == [[25]]
    assert answers(plain, _TIME) == [[3]]
    ((found, _, total, with_faces, coverage),) = answers(plain, _COVERAGE)
    assert (found, total, with_faces, coverage) == (event_id, 4, 2, 50)
    purge = _PURGE.replace("user-uuid", str(user_id)).replace("event-uuid", str(event_id))
    ((receipt,),) = answers(plain, purge)
    assert isinstance(receipt, dict)
    assert (receipt["erased"]["faces"], receipt["erased"]["embeddings"]) == (2, 2)
    assert answers(plain, "SELECT count(*) FROM faces") == [[0]]


def test_a_host_s_tables_of_the_same_names_do_not_answer(plain: Connection, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as host:
        host.execute("CREATE TABLE public.ml_jobs (status text)")
        host.execute("INSERT INTO public.ml_jobs VALUES ('pending')")
        try:
            assert answers(plain, _PENDING) == [[0]]
        finally:
            host.execute("DROP TABLE public.ml_jobs")
