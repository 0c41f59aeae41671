"""GET /event/{id}/progress: numbers that move by themselves."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from functions.admin.door.problems import not_found
from functions.admin.events.progress import Progress, stream
from local.cloud.processes import answers
from shared.database import Connection
from shared.errors import Retryable
from tests.arrange import cluster_job, detect_job, event, face, member, person, photo
from tests.integration.admin.conftest import SECRET, AdminSite
from tests.integration.end_to_end.whole_cloud import wait_until

ROOT = Path(__file__).resolve().parents[3]
STREAM = {"Accept": "text/event-stream"}


def told(site: AdminSite, event_id: UUID) -> dict[str, Any]:
    status, answer = site.ask("GET", f"/event/{event_id}/progress")
    assert status == 200
    return answer


# ---------------------------------------------------------------- the numbers


def test_nothing_yet_is_all_zeros(site: AdminSite) -> None:
    assert told(site, event(site.connection)) == {
        "photos": {"total": 0, "done": 0, "failed": 0, "waiting": 0},
        "persons": {"found": 0, "identified": 0, "invited": 0, "ignored": 0},
        "faces": 0,
        "clustering": {"running": False, "last_at": None},
        "failures": [],
    }


def test_photos_are_counted_by_the_job_of_their_newest_object(site: AdminSite) -> None:
    event_id = event(site.connection)
    done, failed, pending, processing, replaced, deleted = (photo(site.connection, event_id) for _ in range(6))
    photo(site.connection, event_id, generation=None)
    detect_job(site.connection, event_id, done, status="completed")
    detect_job(site.connection, event_id, failed, status="failed", error="it is torn", error_code="corrupt")
    detect_job(site.connection, event_id, pending)
    detect_job(site.connection, event_id, processing, status="processing")
    detect_job(site.connection, event_id, replaced, status="failed")
    site.connection.execute("UPDATE media SET object_generation = 2 WHERE id = %s", (replaced,))
    detect_job(site.connection, event_id, deleted, status="failed")
    site.connection.execute("UPDATE media SET deleted_generation = 1 WHERE id = %s", (deleted,))
    elsewhere = event(site.connection)
    detect_job(site.connection, elsewhere, photo(site.connection, elsewhere), status="completed")
    answer = told(site, event_id)
    assert answer["photos"] == {"total": 6, "done": 1, "failed": 1, "waiting": 4}
    assert answer["failures"] == [{"media_id": str(failed), "code": "corrupt", "reason": "it is torn"}]


def test_of_many_failures_the_newest_few_are_told(site: AdminSite) -> None:
    event_id = event(site.connection)
    media = [photo(site.connection, event_id) for _ in range(12)]
    for age, media_id in enumerate(media):
        detect_job(site.connection, event_id, media_id, status="failed", age=timedelta(minutes=age))
    answer = told(site, event_id)
    assert [UUID(failure["media_id"]) for failure in answer["failures"]] == media[:10]
    assert answer["photos"]["failed"] == 12


def test_persons_count_when_they_have_a_face(site: AdminSite) -> None:
    event_id = event(site.connection)
    user_id = member(site.connection, event_id)
    shown = [
        person(site.connection, event_id),
        person(site.connection, event_id, status="invited"),
        person(site.connection, event_id, status="ignored"),
        person(site.connection, event_id, status="linked", linked_user_id=user_id),
    ]
    for person_id in shown:
        face(site.connection, event_id, photo(site.connection, event_id), person_id=person_id)
    person(site.connection, event_id)
    person(site.connection, event_id, status="merged", merged_into_id=shown[0])
    face(site.connection, event_id, photo(site.connection, event_id))
    answer = told(site, event_id)
    assert answer["persons"] == {"found": 4, "identified": 1, "invited": 1, "ignored": 1}
    assert answer["faces"] == 5


def clustered(connection: Connection, event_id: UUID) -> None:
    job_id = cluster_job(connection, event_id, status="completed")
    connection.execute(
        """
        INSERT INTO cluster_runs (job_id, run, event_id, faces, clusters, persons, noise, churn, suggestions,
            milliseconds, parameters) VALUES (%s, 1, %s, 4, 1, 1, 1, 0, 0, '{}', '{}')
        """,
        (job_id, event_id),
    )


def test_clustering_is_told_while_it_runs_and_when_it_ended(site: AdminSite) -> None:
    event_id = event(site.connection)
    clustered(site.connection, event_id)
    ended = told(site, event_id)["clustering"]
    assert ended["running"] is False
    assert ended["last_at"] is not None
    cluster_job(site.connection, event_id)
    assert told(site, event_id)["clustering"] == {**ended, "running": True}


def test_progress_is_an_organisers_business(site: AdminSite) -> None:
    event_id, other = event(site.connection), event(site.connection)
    path = f"/event/{event_id}/progress"
    detect_job(site.connection, event_id, photo(site.connection, event_id), status="failed")
    owner = member(site.connection, event_id, "owner")
    assert site.ask("GET", path, owner) == (200, told(site, event_id))
    for headers in ({}, STREAM):
        guest, foreign = member(site.connection, event_id), member(site.connection, other, "owner")
        assert site.client.get(path, headers=site.token(guest) | headers).status_code == 403
        assert site.client.get(path, headers=site.token(foreign) | headers).status_code == 404
        assert site.client.get(path, headers=headers).status_code == 401


def test_asking_again_is_answered_304_until_something_moves(site: AdminSite) -> None:
    event_id = event(site.connection)
    first = site.client.get(f"/event/{event_id}/progress", headers=site.token())
    known = site.token() | {"If-None-Match": first.headers["ETag"]}
    assert site.client.get(f"/event/{event_id}/progress", headers=known).status_code == 304
    photo(site.connection, event_id)
    assert site.client.get(f"/event/{event_id}/progress", headers=known).status_code == 200


# ---------------------------------------------------------------- the stream


class Clock:
    """Time that passes only when somebody waits."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> float:
        return self.seconds

    def wait(self, seconds: float) -> None:
        assert seconds > 0
        self.seconds += seconds


def at(done: int) -> Progress:
    return Progress.model_validate(
        {
            "photos": {"total": 9, "done": done, "failed": 0, "waiting": 9 - done},
            "persons": {"found": 0, "identified": 0, "invited": 0, "ignored": 0},
            "faces": 0,
            "clustering": {"running": False, "last_at": None},
            "failures": [],
        }
    )


def events(look: Callable[[], Progress], clock: Clock) -> list[tuple[float, str]]:
    """What a stream says, and when."""
    began = clock.now()
    return [(clock.now() - began, text) for text in stream(at(0), look, clock.wait, clock.now, lambda: False)]


def test_a_stream_tells_the_state_once_and_then_only_what_changed() -> None:
    clock = Clock()
    states = iter([at(0), at(1), at(1), at(2)])
    said = events(lambda: next(states, at(2)), clock)
    first, *rest = [text for _, text in said if "event: progress" in text]
    assert first.startswith("retry: ")
    assert [json.loads(text.split("data: ")[1])["photos"]["done"] for text in (first, *rest)] == [0, 1, 2]
    assert all(text.endswith("\n\n") for _, text in said)


def test_a_stream_without_news_says_that_it_lives_and_ends_before_the_platform_ends_it() -> None:
    said = events(lambda: at(0), Clock())
    comments = [(when, text) for when, text in said if text.startswith(":")]
    assert len(comments) == len(said) - 1
    times = [when for when, _ in comments]
    assert all(15 <= later - earlier <= 17 for earlier, later in zip([0, *times], times, strict=False))
    assert 250 < times[-1] < 300


def test_a_stream_outlasts_a_database_that_is_away_and_ends_when_the_right_to_look_does() -> None:
    answers: list[Progress | Exception] = [Retryable("away"), at(1), not_found(), at(2)]

    def look() -> Progress:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    said = events(look, Clock())
    assert [json.loads(text.split("data: ")[1])["photos"]["done"] for _, text in said] == [0, 1]
    assert answers == [at(2)]


def test_a_stream_ends_when_the_server_is_told_to_stop() -> None:
    stopping = iter([False, False, True])
    said = list(stream(at(0), lambda: at(1), Clock().wait, Clock().now, lambda: next(stopping)))
    assert [text.count("event: progress") for text in said] == [1, 1]


def test_a_server_stops_at_once_though_somebody_follows(site: AdminSite, database_url: str, tmp_path: Path) -> None:
    event_id = event(site.connection)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    surroundings = {
        "DATABASE_URL": database_url,
        "DERIVED_BUCKET": "derived",
        "GOOGLE_CLOUD_PROJECT": "project",
        "JWT_SECRET": SECRET,
        "NO_PROXY": "127.0.0.1",
        "PUBSUB_EMULATOR_HOST": "127.0.0.1:1",
        "STORAGE_EMULATOR_HOST": "http://127.0.0.1:1",
        "THREADS": "4",
    }
    source = str(ROOT / "functions" / "admin" / "main.py")
    command = [sys.executable, "-m", "local.cloud.function_server", "--target", "main", "--source", source]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            cwd=ROOT,
            env={**os.environ, **surroundings},
            stdout=log,
            stderr=log,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers(f"{url}/healthz"), "admin answers", 60)
        headers = site.token() | STREAM
        with httpx.stream("GET", f"{url}/event/{event_id}/progress", headers=headers, trust_env=False) as answer:
            lines = answer.iter_lines()
            assert next(lines).startswith("retry: ")
            server.terminate()
            # Its own end, well before gunicorn's patience with requests (30 s) is over.
            assert server.wait(20) == 0
            assert "event: progress" in list(lines)
    finally:
        server.kill()


def test_the_stream_follows_the_database_and_holds_no_connection_meanwhile(
    site: AdminSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    event_id = event(site.connection)
    media_id = photo(site.connection, event_id)
    waits = []

    def nobody_is_busy() -> bool:
        busy = site.connection.execute(
            """
            SELECT count(*) AS busy FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'
            """
        ).fetchone()
        return busy == {"busy": 0}

    def wait(seconds: float) -> None:
        waits.append(seconds)
        # The pool may just be setting up another connection; one that the stream held would be held for good.
        wait_until(nobody_is_busy, "no connection is held", 20)
        if len(waits) == 2:
            detect_job(site.connection, event_id, media_id, status="completed")

    monkeypatch.setattr("functions.admin.events.progress.pause", wait)
    answer = site.client.get(f"/event/{event_id}/progress", headers=site.token() | STREAM, buffered=False)
    assert (answer.status_code, answer.mimetype) == (200, "text/event-stream")
    assert answer.headers["Cache-Control"] == "no-store"
    said = answer.iter_encoded()
    first, second = next(said), next(said)
    answer.close()
    done = [json.loads(text.decode().split("data: ")[1])["photos"]["done"] for text in (first, second)]
    assert done == [0, 1]
    assert len(waits) == 2


def test_streams_leave_threads_for_everybody_else_and_give_their_place_back(site: AdminSite) -> None:
    event_id = event(site.connection)
    path = f"/event/{event_id}/progress"
    most = site.resources.settings.threads // 2

    def watch() -> Any:
        return site.client.get(path, headers=site.token() | STREAM, buffered=False)

    watching = [watch() for _ in range(most)]
    assert [answer.status_code for answer in watching] == [200] * most
    refused = watch()
    assert (refused.status_code, refused.get_json(force=True)["code"]) == (503, "too_many_streams")
    assert int(refused.headers["Retry-After"]) > 0
    assert site.ask("GET", path)[0] == 200, "the numbers themselves are told all the same"
    watching[0].close()  # before its first byte was read
    again = watch()
    assert again.status_code == 200
    for answer in (*watching[1:], again):
        answer.close()
