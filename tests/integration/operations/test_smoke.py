"""The database's part of a smoke test."""

from __future__ import annotations

from uuid import uuid4

import pytest

from operations import smoke
from operations.smoke import SmokeTestFailed
from tests.arrange import detect_job, event, face, photo, rows
from tests.integration.callback.conftest import Callback


def never(_: float) -> None:
    raise AssertionError("there was nothing to wait for")


def test_an_event_is_prepared_once_and_consents(callback: Callback) -> None:
    event_id = uuid4()
    for _ in range(2):
        smoke.prepare(callback.database, event_id)
    (row,) = rows(callback.connection, "events")
    assert (row["id"], row["face_recognition_enabled"]) == (event_id, True)


def test_a_photo_with_a_face_is_seen(callback: Callback) -> None:
    event_id = event(callback.connection)
    media_id = photo(callback.connection, event_id)
    waited = []

    def then_it_is_done(_: float) -> None:
        waited.append(True)
        detect_job(callback.connection, event_id, media_id, status="completed")
        face(callback.connection, event_id, media_id)

    seen = smoke.wait(callback.database, event_id, media_id, 60, then_it_is_done)
    assert (seen.faces, waited) == (1, [True])


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("failed", r"detection failed \(corrupt\): it is broken"),
        ("completed", r"no face was found \(the photo was looked at\)"),
        ("pending", "no face within 0 s; its job is pending"),
        (None, "no job was made: look at media-uploads' subscription"),
    ],
)
def test_what_was_seen_instead_is_told(callback: Callback, status: str | None, told: str) -> None:
    event_id = event(callback.connection)
    media_id = photo(callback.connection, event_id)
    if status is not None:
        detect_job(callback.connection, event_id, media_id, status=status)
    with pytest.raises(SmokeTestFailed, match=told):
        smoke.wait(callback.database, event_id, media_id, 0, never)


def test_everything_is_taken_away_and_a_second_time_nothing(callback: Callback) -> None:
    event_id = uuid4()
    smoke.prepare(callback.database, event_id)
    media_id = photo(callback.connection, event_id)
    detect_job(callback.connection, event_id, media_id, status="completed")
    face(callback.connection, event_id, media_id)
    assert smoke.remove(callback.database, event_id)
    assert [rows(callback.connection, table) for table in ("events", "media", "faces")] == [[], [], []]
    assert not smoke.remove(callback.database, event_id)


def test_a_real_event_is_left_alone(callback: Callback) -> None:
    event_id = event(callback.connection)
    with pytest.raises(SmokeTestFailed, match="left alone"):
        smoke.remove(callback.database, event_id)
    assert len(rows(callback.connection, "events")) == 1


def test_the_command_says_what_happened(
    callback: Callback, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "project")
    event_id, media_id = str(uuid4()), str(uuid4())
    assert smoke.main(["prepare", event_id]) == 0
    assert smoke.main(["wait", event_id, media_id, "0"]) == 1
    assert smoke.main(["remove", event_id]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"event {event_id} is there and consents"
    assert said[1].startswith("no face within 0 s")
    assert said[2] == f"event {event_id} is gone"
    monkeypatch.delenv("DATABASE_URL")
    assert smoke.main(["prepare", event_id]) == 2
