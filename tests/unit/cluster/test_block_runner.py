"""Shares of work are each done once, by whoever is free, and their errors are not lost."""

from __future__ import annotations

import threading

import pytest

from functions.cluster.tree.block_runner import in_parallel

SHARES = [(begin, begin + 1) for begin in range(50)]


def test_every_share_is_done_once() -> None:
    done: list[tuple[int, int]] = []
    in_parallel(lambda begin, end: done.append((begin, end)), SHARES)
    assert sorted(done) == SHARES


def test_shares_within_shares_do_not_wait_for_each_other() -> None:
    done: list[tuple[int, int, int]] = []

    def outer(begin: int, _: int) -> None:
        in_parallel(lambda first, end: done.append((begin, first, end)), SHARES[:4])

    thread = threading.Thread(target=in_parallel, args=(outer, SHARES), daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    assert sorted(done) == [(begin, *share) for begin, _ in SHARES for share in SHARES[:4]]


def test_an_error_in_a_share_is_raised() -> None:
    def fail(begin: int, _: int) -> None:
        if begin == 40:
            message = "no such row"
            raise ValueError(message)

    with pytest.raises(ValueError, match="no such row"):
        in_parallel(fail, SHARES)
