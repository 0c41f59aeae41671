"""What a function makes once: the first requests may come at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from shared.service import made_once


def test_first_uses_at_the_same_time_make_one() -> None:
    made: list[object] = []
    together = Barrier(4)

    @made_once
    def service() -> object:
        made.append(object())
        return made[-1]

    def use(_: int) -> object:
        together.wait(timeout=10)
        return service()

    with ThreadPoolExecutor(4) as pool:
        used = list(pool.map(use, range(4)))
    assert len(made) == 1
    assert all(one is made[0] for one in used)


def test_what_could_not_be_made_is_tried_again() -> None:
    problems = [RuntimeError("not yet")]

    @made_once
    def service() -> str:
        if problems:
            raise problems.pop()
        return "made"

    with pytest.raises(RuntimeError, match="not yet"):
        service()
    assert service() == "made"
