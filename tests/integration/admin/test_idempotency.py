"""A request that is sent again is answered again, not done again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

import flask
import pytest

from functions.admin.door.auth import Caller
from functions.admin.door.idempotency import answer_once
from functions.admin.door.problems import Problem, conflict
from shared.database import Connection
from shared.errors import Retryable
from tests.arrange import event, member, photo, rows
from tests.integration.admin.conftest import AdminSite

Work = Callable[[Connection], tuple[int, dict[str, Any]]]


def request_of(
    site: AdminSite, work: Work, *, key: str | None, caller: Caller, body: str = "{}", path: str = "/some/path"
) -> tuple[int, dict[str, Any]]:
    """One request to a route that does ``work``."""
    headers = {} if key is None else {"Idempotency-Key": key}
    with site.admin.site.test_request_context(
        path, method="POST", data=body, headers=headers, content_type="application/json"
    ):
        answer = answer_once(site.resources, caller, work)
        answer.make_sequence()
        return answer.status_code, answer.get_json()


@pytest.fixture
def caller(site: AdminSite) -> Caller:
    return Caller(member(site.connection, event(site.connection), "owner"), is_service=False)


@pytest.fixture
def counted() -> tuple[Work, list[int]]:
    done: list[int] = []

    def work(_: Connection) -> tuple[int, dict[str, Any]]:
        done.append(1)
        return 201, {"number": len(done)}

    return work, done


def test_without_a_key_every_request_is_done(site: AdminSite, caller: Caller, counted: tuple[Work, list[int]]) -> None:
    work, done = counted
    assert request_of(site, work, key=None, caller=caller) == (201, {"number": 1})
    assert request_of(site, work, key=None, caller=caller) == (201, {"number": 2})
    assert len(done) == 2


def test_with_the_same_key_the_first_answer_is_given_again(
    site: AdminSite, caller: Caller, counted: tuple[Work, list[int]]
) -> None:
    work, done = counted
    for _ in range(3):
        assert request_of(site, work, key="one", caller=caller) == (201, {"number": 1})
    assert request_of(site, work, key="two", caller=caller) == (201, {"number": 2})
    assert len(done) == 2


@pytest.mark.parametrize("changed", [{"body": '{"a": 1}'}, {"path": "/another"}, {"path": "/some/path?and=more"}])
def test_a_key_is_not_used_for_another_request(
    site: AdminSite, caller: Caller, counted: tuple[Work, list[int]], changed: dict[str, str]
) -> None:
    work, done = counted
    request_of(site, work, key="one", caller=caller)
    with pytest.raises(Problem) as caught:
        request_of(site, work, key="one", caller=caller, **changed)
    assert (caught.value.status, caught.value.code, len(done)) == (422, "key_reused", 1)


def test_keys_of_two_callers_never_meet(site: AdminSite, caller: Caller, counted: tuple[Work, list[int]]) -> None:
    work, _ = counted
    another = Caller(member(site.connection, event(site.connection)), is_service=False)
    service = Caller(None, is_service=True)
    answers = [request_of(site, work, key="one", caller=who)[1]["number"] for who in (caller, another, service)]
    assert answers == [1, 2, 3]


@pytest.mark.parametrize("key", ["", "x" * 201])
def test_a_key_has_a_length(site: AdminSite, caller: Caller, counted: tuple[Work, list[int]], key: str) -> None:
    with pytest.raises(Problem, match="Idempotency-Key: 1 to 200 characters"):
        request_of(site, counted[0], key=key, caller=caller)


def test_what_was_refused_may_be_tried_again(site: AdminSite, caller: Caller) -> None:
    answers = iter([conflict("changed", "not now"), Retryable("away"), None])

    def work(_: Connection) -> tuple[int, dict[str, Any]]:
        problem = next(answers)
        if problem is not None:
            raise problem
        return 200, {}

    with pytest.raises(Problem, match="not now"):
        request_of(site, work, key="one", caller=caller)
    with pytest.raises(Retryable):
        request_of(site, work, key="one", caller=caller)
    assert rows(site.connection, "idempotency_keys") == []
    assert request_of(site, work, key="one", caller=caller) == (200, {})


def until_another_waits(site: AdminSite) -> None:
    """Return once a transaction of this database waits for another's."""
    waiting = """
        SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0
    """
    while site.connection.execute(waiting).fetchone() is None:
        site.connection.execute("SELECT pg_sleep(0.01)")


def test_of_two_at_the_same_time_one_waits_for_the_other(site: AdminSite, caller: Caller) -> None:
    done, answers = [], []
    started = threading.Event()

    def work(_: Connection) -> tuple[int, dict[str, Any]]:
        done.append(1)
        started.set()
        until_another_waits(site)
        return 200, {"number": len(done)}

    def ask() -> None:
        answers.append(request_of(site, work, key="one", caller=Caller(None, is_service=True)))

    first, second = threading.Thread(target=ask), threading.Thread(target=ask)
    first.start()
    assert started.wait(10)
    second.start()
    first.join()
    second.join()
    assert (answers, len(done)) == ([(200, {"number": 1})] * 2, 1)


def test_when_the_first_of_two_fails_the_second_is_done(site: AdminSite) -> None:
    started, answers = threading.Event(), []

    def work(_: Connection) -> tuple[int, dict[str, Any]]:
        if not started.is_set():
            started.set()
            until_another_waits(site)
            raise conflict("changed", "not now")
        return 200, {"second": True}

    def ask() -> None:
        try:
            answers.append(request_of(site, work, key="one", caller=Caller(None, is_service=True)))
        except Problem as problem:
            answers.append((problem.status, {}))

    first, second = threading.Thread(target=ask), threading.Thread(target=ask)
    first.start()
    assert started.wait(10)
    second.start()
    first.join()
    second.join()
    assert sorted(answers, key=str) == [(200, {"second": True}), (409, {})]


# ---------------------------------------------------------------- as it is served


def organised(site: AdminSite) -> tuple[UUID, UUID]:
    event_id = event(site.connection)
    photo(site.connection, event_id)
    return event_id, member(site.connection, event_id, "owner")


def test_a_repeated_request_makes_no_second_job_and_sends_no_second_message(site: AdminSite) -> None:
    event_id, user_id = organised(site)
    first = site.ask("POST", "/ml/enqueue", user_id, key="upload 1", event_id=event_id)
    again = site.ask("POST", "/ml/enqueue", user_id, key="upload 1", event_id=event_id)
    assert (first, len(first[1]["jobs"])) == (again, 1)
    assert len(site.bus.to("detect-requests")) == 1
    status, problem = site.ask("POST", "/ml/enqueue", user_id, key="upload 1", event_id=event_id, force=True)
    assert (status, problem["code"]) == (422, "key_reused")


def test_a_kept_answer_is_filed_under_its_event(site: AdminSite) -> None:
    event_id, user_id = organised(site)
    site.ask("POST", "/ml/enqueue", user_id, key="one", event_id=event_id)
    (kept,) = rows(site.connection, "idempotency_keys")
    assert (kept["caller"], kept["event_id"], kept["status"]) == (str(user_id), event_id, 202)


def test_an_answer_with_a_time_in_it_is_the_same_again(site: AdminSite, caller: Caller) -> None:
    def work(connection: Connection) -> tuple[int, dict[str, Any]]:
        row = connection.execute("SELECT now() AS at, 1.5::float8 AS score, gen_random_uuid() AS id").fetchone()
        assert row is not None
        return 200, {"b": row, "a": [None, True, "é"]}

    first = request_of(site, work, key="one", caller=caller)
    assert request_of(site, work, key="one", caller=caller) == first
    assert first[1]["b"]["at"].count("T") == 1
    assert isinstance(flask.json.loads(flask.json.dumps(first[1]))["b"]["score"], float)
