"""The migrations: replayable, equal to schema.sql, safe to run twice."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from shared.database import Connection
from sql.migrate import MIGRATIONS, migrate
from sql.preflight import MigrationError
from sql.schema import SCHEMA, whole_schema
from sql.uninstall import uninstall
from tests.databases import Databases, dump, empty, run_schema


def test_the_replayed_migrations_equal_schema_sql(databases: Databases) -> None:
    assert SCHEMA.read_text(encoding="utf-8") == whole_schema(), "run make schema after a change of the migrations"
    replayed, migrated = empty(databases), databases.fresh()
    run_schema(replayed)
    assert dump(replayed) == dump(migrated), "rights, rows and the versions that count as migrated included"
    migrate(replayed)
    assert dump(replayed) == dump(migrated)


def test_schema_sql_does_the_same_whatever_the_client_takes_text_for(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = empty(databases)
    with monkeypatch.context() as other:
        other.setenv("PGCLIENTENCODING", "LATIN1")
        _set(url, "SET standard_conforming_strings = off")
        run_schema(url)
    _set(url, "RESET standard_conforming_strings")
    assert dump(url) == dump(databases.fresh())


def _set(url: str, setting: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(f"ALTER DATABASE {connection.info.dbname} {setting}".encode())


def test_schema_sql_on_a_database_that_has_it_changes_nothing(databases: Databases) -> None:
    url = databases.fresh()
    before = dump(url)
    with pytest.raises(AssertionError, match="already exists"):
        run_schema(url)
    assert dump(url) == before


def test_migrating_twice_changes_nothing(databases: Databases) -> None:
    url = databases.fresh()
    before = dump(url)
    migrate(url)
    assert dump(url) == before


def test_migrations_are_numbered_without_a_gap_and_set_where_they_write() -> None:
    files = sorted(MIGRATIONS.glob("*.sql"))
    assert [int(path.name.split("_")[0]) for path in files] == list(range(1, len(files) + 1))
    setting = "SELECT set_config('search_path', trombi.trombi_search_path(), true);"
    assert [path.name for path in files if setting not in path.read_text(encoding="utf-8")] == []


def test_a_migration_that_fails_leaves_nothing_half_done_and_goes_on_when_mended(
    databases: Databases, tmp_path: Path
) -> None:
    url = databases.fresh()
    before = dump(url)
    folder = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, folder)
    broken = folder / "9999_broken.sql"
    text = "-- migrate:up\nCREATE TABLE trombi.half (done int);\nALTER TABLE trombi.faces DROP COLUMN roll;\n"
    broken.write_text(f"{text}SELECT 1 / 0;\n-- migrate:down\n")
    with pytest.raises(MigrationError, match="division by zero"):
        migrate(url, folder)
    assert dump(url) == before
    broken.write_text(f"{text}-- migrate:down\n")
    migrate(url, folder)
    assert "trombi.half" in dump(url)


def test_a_first_migration_that_fails_leaves_the_others_tables_alone_and_goes_on(
    databases: Databases, tmp_path: Path
) -> None:
    url = empty(databases)
    folder = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, folder)
    third = folder / "0003_faces_and_persons.sql"
    third.write_text(third.read_text(encoding="utf-8").replace("-- migrate:down", "SELECT 1 / 0;\n-- migrate:down"))
    with pytest.raises(MigrationError, match="division by zero"):
        migrate(url, folder)
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT to_regclass('trombi.faces'), to_regclass('trombi.ml_jobs')").fetchone()
    assert found == (None, "ml_jobs")
    migrate(url)
    assert dump(url) == dump(databases.fresh())


@pytest.mark.parametrize("failing", ["0001_host", "0002_jobs_and_bus"])
def test_whichever_migration_fails_the_next_run_goes_on_and_it_can_be_uninstalled(
    databases: Databases, tmp_path: Path, failing: str
) -> None:
    url, nothing = empty(databases), dump(empty(databases))
    folder = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, folder)
    file = folder / f"{failing}.sql"
    file.write_text(file.read_text(encoding="utf-8").replace("-- migrate:down", "SELECT 1 / 0;\n-- migrate:down"))
    with pytest.raises(MigrationError, match="division by zero"):
        migrate(url, folder)
    assert uninstall(url)[0] == "removed the schema trombi"
    assert dump(url) == nothing
    with pytest.raises(MigrationError, match="division by zero"):
        migrate(url, folder)
    migrate(url)
    assert dump(url) == dump(databases.fresh())


def test_migrations_at_the_same_time_wait_for_each_other(databases: Databases) -> None:
    url = empty(databases)
    with ThreadPoolExecutor(3) as threads:
        for migrated in [threads.submit(migrate, url) for _ in range(3)]:
            migrated.result()
    assert dump(url) == dump(databases.fresh())


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
