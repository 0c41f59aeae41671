"""Something is away: the message is to come again, the job says why, and it ends well then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql

from shared.errors import Permanent, Retryable
from tests.integration.pipeline.scene import Scene, media_of


def _away() -> None:
    raise Retryable("the bucket is unavailable or busy (ConnectionError)")


@pytest.mark.parametrize("step", ["before_read", "before_write"])
def test_storage_that_is_away_is_tried_again_and_the_job_says_so(scene: Scene, two_people: bytes, step: str) -> None:
    uploaded = scene.upload(two_people)
    setattr(scene.store, step, _away)
    for attempt in (1, 2):
        with pytest.raises(Retryable):
            scene.detection.uploaded(uploaded)
        job = scene.job_of(uploaded)
        assert (job["status"], job["attempts"]) == ("processing", attempt)
        assert job["error"] == "Retryable: the bucket is unavailable or busy (ConnectionError)"
    assert scene.faces() == []
    setattr(scene.store, step, lambda: None)
    scene.detection.uploaded(uploaded)
    job = scene.job_of(uploaded)
    assert (job["status"], job["error"]) == ("completed", None)
    assert len(scene.faces()) == 2
    assert scene.rows("SELECT * FROM outbox") == []


def test_a_storage_server_that_nobody_listens_at_is_retryable(
    scene: Scene, portrait: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploaded = scene.upload(portrait)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    monkeypatch.setattr("shared.storage._TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr("google.cloud.storage.retry.DEFAULT_RETRY._timeout", 0.5, raising=True)
    scene.restart()
    with pytest.raises(Retryable, match="the bucket is unavailable or busy"):
        scene.detection.uploaded(uploaded)
    assert scene.job_of(uploaded)["status"] == "processing"


@contextmanager
def _closed(url: str) -> Iterator[None]:
    """The database lets nobody in, and whoever was in is out."""
    name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    with psycopg.connect(url, dbname="postgres", autocommit=True) as server:
        database = sql.Identifier(str(name))
        server.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(database))
        server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        try:
            yield
        finally:
            server.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(database))


@pytest.mark.parametrize("moment", ["before_read", "before_write"])
def test_a_database_that_goes_away_in_the_middle_is_retryable_and_nothing_is_lost(
    scene: Scene, two_people: bytes, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.database._POOL_TIMEOUT_SECONDS", 1.0)
    scene.restart()
    uploaded = scene.upload(two_people)
    closing = _closed(scene.database_url)
    setattr(scene.store, moment, _once(closing.__enter__))
    with pytest.raises(Retryable, match="the database"):
        scene.detection.uploaded(uploaded)
    closing.__exit__(None, None, None)
    scene.connection = psycopg.connect(scene.database_url, autocommit=True, row_factory=psycopg.rows.dict_row)
    with scene.connection:
        assert scene.faces() == []
        assert scene.job_of(uploaded)["status"] == "processing"
        scene.restart()
        scene.detection.uploaded(uploaded)
        assert scene.job_of(uploaded)["status"] == "completed"
        faces = scene.faces()
        assert len(faces) == 2
        assert scene.buckets.thumbnails() == {face["thumbnail_object"] for face in faces}
        scene.an_hour_later()
        assert scene.buckets.thumbnails() == {face["thumbnail_object"] for face in faces}


def _once(step: Callable[[], object]) -> Callable[[], None]:
    left = [step]

    def take() -> None:
        while left:
            left.pop()()

    return take


def test_an_unexpected_error_is_raised_and_kept_on_the_job(
    scene: Scene, portrait: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploaded = scene.upload(portrait)
    with monkeypatch.context() as patch:
        patch.setattr(scene.engine, "detect", _burst)
        with pytest.raises(ZeroDivisionError):
            scene.detection.uploaded(uploaded)
    assert scene.job_of(uploaded)["error"] == "ZeroDivisionError: a bug"
    scene.detection.uploaded(uploaded)
    assert scene.job_of(uploaded)["status"] == "completed"


def _burst(_photo: object) -> None:
    raise ZeroDivisionError("a bug")


def test_a_refusal_that_a_store_gives_ends_the_job(scene: Scene, portrait: bytes) -> None:
    uploaded = scene.upload(portrait)

    def refuse() -> None:
        raise Permanent("too_large", "the file is too large")

    scene.store.before_read = refuse
    scene.detection.uploaded(uploaded)
    assert scene.job_of(uploaded)["error_code"] == "too_large"
    assert scene.faces(media_of(uploaded)) == []
