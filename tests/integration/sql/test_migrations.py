"""The migrations: replayable, equal to schema.sql, safe to run twice."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from local.migrate import MIGRATIONS, SCHEMA, MigrationError, dump_schema, migrate
from shared.database import Connection
from tests.arrange import detect_job, event, photo


def test_the_replayed_migrations_equal_schema_sql(database_url: str, tmp_path: Path) -> None:
    replayed = tmp_path / "schema.sql"
    dump_schema(database_url, replayed)
    assert replayed.read_text() == SCHEMA.read_text(), "run make schema after a change of the migrations"


def test_migrating_twice_changes_nothing(database_url: str, tmp_path: Path) -> None:
    dump_schema(database_url, tmp_path / "before.sql")
    migrate(database_url)
    dump_schema(database_url, tmp_path / "after.sql")
    assert (tmp_path / "after.sql").read_text() == (tmp_path / "before.sql").read_text()


def test_migrations_are_numbered_without_a_gap() -> None:
    numbers = [int(path.name.split("_")[0]) for path in sorted(MIGRATIONS.glob("*.sql"))]
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_database_that_cannot_be_reached_is_told_in_words() -> None:
    with pytest.raises(MigrationError, match="migrating the database failed"):
        migrate("postgresql://nobody@127.0.0.1:1/nothing?sslmode=disable&connect_timeout=1")


def test_the_migrations_join_a_host_app_s_tables_without_touching_its_columns(postgres_port: int) -> None:
    url = f"postgresql://postgres@127.0.0.1:{postgres_port}"
    with psycopg.connect(f"{url}/trombi", autocommit=True) as connection:
        connection.execute("CREATE DATABASE host_app")
    with psycopg.connect(f"{url}/host_app", autocommit=True) as connection:
        connection.execute("CREATE TABLE users (id uuid PRIMARY KEY, email text, favourite_colour text)")
        connection.execute("CREATE TABLE events (id uuid PRIMARY KEY, name text, creator_id uuid, venue text)")
        connection.execute("INSERT INTO events VALUES (gen_random_uuid(), 'Party', NULL, 'Garden')")
    migrate(f"{url}/host_app?sslmode=disable")
    with psycopg.connect(f"{url}/host_app", autocommit=True) as connection:
        row = connection.execute("SELECT venue, face_recognition_enabled FROM events").fetchone()
    assert row == ("Garden", False)


def test_an_event_cannot_hold_embeddings_of_two_models(connection: Connection) -> None:
    event, media = _event_with_photo(connection)
    connection.execute("INSERT INTO event_counters (event_id, embedding_model) VALUES (%s, 'one')", (event,))
    _insert_face(connection, event, media, "one")
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        _insert_face(connection, event, media, "another")


def test_a_face_cannot_belong_to_a_photo_of_another_event(connection: Connection) -> None:
    event, _ = _event_with_photo(connection)
    _, foreign_media = _event_with_photo(connection)
    connection.execute("INSERT INTO event_counters (event_id, embedding_model) VALUES (%s, 'one')", (event,))
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        _insert_face(connection, event, foreign_media, "one")


@pytest.mark.parametrize(
    "box",
    [
        '{"x": -0.1, "y": 0, "w": 0.5, "h": 0.5}',
        '{"x": 0.6, "y": 0, "w": 0.5, "h": 0.5}',
        '{"x": 0.1, "y": 0, "w": 0, "h": 0.5}',
        '{"x": "0.1", "y": 0, "w": 0.2, "h": 0.5}',
        '{"x": 0.1}',
        "[]",
    ],
)
def test_a_box_outside_the_photo_is_refused(connection: Connection, box: str) -> None:
    event, media = _event_with_photo(connection)
    connection.execute("INSERT INTO event_counters (event_id, embedding_model) VALUES (%s, 'one')", (event,))
    with pytest.raises(psycopg.errors.CheckViolation):
        _insert_face(connection, event, media, "one", box)


def test_face_recognition_cannot_be_on_without_recorded_consent(connection: Connection) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        connection.execute("INSERT INTO events (name, face_recognition_enabled) VALUES ('Party', true)")


def test_deleting_an_event_leaves_no_face_person_or_job(connection: Connection) -> None:
    event, media = _event_with_photo(connection)
    connection.execute("INSERT INTO event_counters (event_id, embedding_model) VALUES (%s, 'one')", (event,))
    _insert_face(connection, event, media, "one")
    connection.execute("INSERT INTO face_persons (event_id, cluster_label) VALUES (%s, 0)", (event,))
    connection.execute("UPDATE faces SET face_person_id = (SELECT id FROM face_persons)")
    connection.execute("UPDATE face_persons SET representative_face_id = (SELECT id FROM faces)")
    connection.execute(
        "INSERT INTO ml_jobs (job_type, event_id, media_ids) VALUES ('detect', %s, %s)", (event, [media])
    )
    connection.execute("DELETE FROM events WHERE id = %s", (event,))
    for table in ("faces", "face_persons", "ml_jobs", "media", "event_counters"):
        row = connection.execute(psycopg.sql.SQL("SELECT count(*) AS n FROM {}").format(psycopg.sql.Identifier(table)))
        assert row.fetchone() == {"n": 0}, table


def test_thumbnails_of_photos_whose_rows_went_before_the_triggers_came_are_deleted(connection: Connection) -> None:
    event_id = event(connection)
    gone, kept = photo(connection, event_id), photo(connection, event_id)
    for media_id in (gone, kept):
        detect_job(connection, event_id, media_id, status="completed")
    connection.execute("SET session_replication_role = replica")
    connection.execute("DELETE FROM media WHERE id = %s", (gone,))
    connection.execute("SET session_replication_role = DEFAULT")
    text = (MIGRATIONS / "0014_objects.sql").read_text()
    connection.execute(text[text.index("-- What was deleted before there was a trigger") :].split("-- -----")[0])
    assert connection.execute("SELECT media_id FROM deleted_photos").fetchall() == [{"media_id": gone}]
    assert connection.execute("SELECT bucket, object_prefix FROM outbox").fetchall() == [
        {"bucket": None, "object_prefix": f"events/{event_id}/{gone}/"}
    ]


def test_the_nearest_faces_are_found_through_the_hnsw_index(connection: Connection) -> None:
    connection.execute("SET enable_seqscan = off")
    plan = connection.execute(
        "EXPLAIN SELECT id FROM faces ORDER BY embedding <=> array_fill(0.1, ARRAY[512])::vector LIMIT 5"
    ).fetchall()
    assert "faces_embedding_hnsw" in str(plan)


def _event_with_photo(connection: Connection) -> tuple[str, str]:
    event = connection.execute("INSERT INTO events (name) VALUES ('Party') RETURNING id").fetchone()
    assert event is not None
    media = connection.execute("INSERT INTO media (event_id) VALUES (%s) RETURNING id", (event["id"],)).fetchone()
    assert media is not None
    return event["id"], media["id"]


def _insert_face(
    connection: Connection,
    event: str,
    media: str,
    model: str,
    box: str = '{"x": 0.1, "y": 0.1, "w": 0.2, "h": 0.2}',
) -> None:
    connection.execute(
        "INSERT INTO faces (id, media_id, event_id, object_generation, bbox, embedding, embedding_model, quality_score,"
        " size_px) VALUES (gen_random_uuid(), %s, %s, 1, %s, array_fill(0.1, ARRAY[512])::vector, %s, 0.9, 80)",
        (media, event, box, model),
    )
