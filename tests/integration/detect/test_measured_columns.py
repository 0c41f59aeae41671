"""A photo that is looked at again: whatever the detection measures differently is written, each column by itself."""

from __future__ import annotations

from dataclasses import asdict, replace
from uuid import UUID, uuid4

import pytest

from functions.detect import faces_store, store
from functions.detect.boxes import Box
from functions.detect.engine import DetectedFace
from functions.detect.objects import Photo
from functions.detect.redetection import Picture, Redetection
from shared.database import Connection, Database
from tests.arrange import MODEL, counters, event, one_hot, photo

FACE = DetectedFace(
    box=Box(0.1, 0.1, 0.2, 0.2),
    landmarks=((0.15, 0.15), (0.25, 0.15), (0.2, 0.2), (0.16, 0.25), (0.24, 0.25)),
    quality_score=0.9,
    sharpness=300.0,
    yaw=5.0,
    pitch=-3.0,
    roll=1.0,
    size_px=150,
    embedding=one_hot(3),
    thumbnail=b"",
)
# Who it is, where it belongs and what people decided: no detection says that.
NOT_MEASURED = {"id", "media_id", "event_id", "face_person_id", "placed_by_human", "created_at", "updated_at"}
FACE_ID = uuid4()


@pytest.fixture
def looked_at(connection: Connection) -> Photo:
    event_id = event(connection)
    counters(connection, event_id)
    media_id = photo(connection, event_id)
    return Photo(media_id, event_id, "photos", "photo.jpg", 1, 0)


def write(database: Database, of: Photo, face: DetectedFace, *, generation: int = 1, model: str = MODEL) -> bool:
    with database.transaction() as connection:
        store.refuse_other_model(connection, of.event_id, model)
        return faces_store.write_faces(
            connection,
            of,
            generation,
            Picture(),
            [face],
            Redetection((FACE_ID,), frozenset({FACE_ID}), frozenset()),
            in_same_bytes=frozenset(),
            model=model,
            derived_bucket="derived",
        )


def row(connection: Connection, face_id: UUID = FACE_ID) -> dict[str, object]:
    found = connection.execute("SELECT *, embedding::text AS embedding FROM faces WHERE id = %s", (face_id,)).fetchone()
    assert found is not None
    return found


OTHERWISE = {
    "bbox": {"box": Box(0.1, 0.1, 0.2, 0.21)},
    "embedding": {"embedding": one_hot(4)},
    "quality_score": {"quality_score": 0.8},
    "landmarks": {"landmarks": ((0.15, 0.16), *FACE.landmarks[1:])},
    "sharpness": {"sharpness": 301.0},
    "yaw": {"yaw": 6.0},
    "pitch": {"pitch": -4.0},
    "roll": {"roll": 2.0},
    "size_px": {"size_px": 151},
}


def test_what_is_measured_as_before_writes_nothing(
    database: Database, connection: Connection, looked_at: Photo
) -> None:
    assert write(database, looked_at, FACE)
    before = row(connection)
    assert not write(database, looked_at, FACE)
    assert row(connection) == before


@pytest.mark.parametrize("column", OTHERWISE)
def test_a_column_that_alone_is_measured_otherwise_is_written(
    database: Database, connection: Connection, looked_at: Photo, column: str
) -> None:
    write(database, looked_at, FACE)
    before = row(connection)
    assert write(database, looked_at, replace(FACE, **OTHERWISE[column]))  # type: ignore[arg-type]
    after = row(connection)
    assert {name for name in after if after[name] != before[name]} == {column, "updated_at"}


def test_a_column_that_was_empty_is_filled(database: Database, connection: Connection, looked_at: Photo) -> None:
    write(database, looked_at, FACE)
    whole = row(connection)
    for column in ("landmarks", "sharpness", "yaw", "pitch", "roll", "thumbnail_object"):
        connection.execute(f"UPDATE faces SET {column} = NULL")
        assert write(database, looked_at, FACE), column
        assert row(connection)[column] == whole[column], column


def test_another_generation_and_another_model_alone_are_written(
    database: Database, connection: Connection, looked_at: Photo
) -> None:
    write(database, looked_at, FACE)
    assert write(database, looked_at, FACE, generation=2)
    assert row(connection)["object_generation"] == 2
    connection.execute("UPDATE faces SET embedding = NULL")
    assert write(database, looked_at, FACE, generation=2, model="another")
    assert row(connection)["embedding_model"] == "another"


def test_every_column_of_a_face_is_measured_or_not_the_detection_s(connection: Connection) -> None:
    columns = connection.execute(
        """
        SELECT attname FROM pg_attribute
        WHERE attrelid = 'faces'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
        """
    ).fetchall()
    assert {found["attname"] for found in columns} == {*faces_store.MEASURED} | NOT_MEASURED
    assert {*OTHERWISE, "object_generation", "embedding_model", "thumbnail_object"} == {*faces_store.MEASURED}
    assert set(asdict(FACE)) - {"thumbnail", "box"} <= set(faces_store.MEASURED)
