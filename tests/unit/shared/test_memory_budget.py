"""Small photos go side by side, the largest goes alone, and nobody waits for ever."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event, Lock

import pytest

from shared.errors import Busy
from shared.memory_budget import MemoryBudget

WAIT = 10.0


def test_two_photos_that_fit_are_in_at_the_same_time() -> None:
    room, meeting = MemoryBudget(100, 2, WAIT), Barrier(2)

    def go_in() -> None:
        with room.taken(50):
            meeting.wait(WAIT)

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(go_in) for _ in range(2)]:
            future.result(WAIT)


@pytest.mark.parametrize(("size", "photos", "each"), [(100, 8, 60), (100, 1, 1), (100, 8, 1000)])
def test_photos_that_do_not_fit_go_one_after_the_other(size: int, photos: int, each: int) -> None:
    room, inside, together, lock = MemoryBudget(size, photos, WAIT), 0, 0, Lock()

    def go_in() -> None:
        nonlocal inside, together
        with room.taken(each):
            with lock:
                inside += 1
                together = max(together, inside)
            with lock:
                inside -= 1

    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(go_in) for _ in range(200)]:
            future.result(WAIT)
    assert together == 1


def test_a_large_photo_is_not_passed_for_ever_by_small_ones() -> None:
    room, first_is_in, first_may_go, order = MemoryBudget(100, 8, WAIT), Event(), Event(), list[str]()

    def first() -> None:
        with room.taken(10):
            first_is_in.set()
            assert first_may_go.wait(WAIT)

    def later(name: str, size: int) -> None:
        with room.taken(size):
            order.append(name)

    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(first)]
        assert first_is_in.wait(WAIT)
        running.append(pool.submit(later, "large", 100))
        while not room._turn.locked():
            pass
        running.append(pool.submit(later, "small", 10))
        first_may_go.set()
        for future in running:
            future.result(WAIT)
    assert order == ["large", "small"]


def test_room_is_given_back_by_whoever_fails() -> None:
    room = MemoryBudget(100, 1, WAIT)

    def fail() -> None:
        with room.taken(100):
            raise ValueError("bad photo")

    with pytest.raises(ValueError, match="bad photo"):
        fail()
    with room.taken(100):
        assert room._free_slots == 0
    assert (room._free_slots, room._free) == (1, 100)


def test_who_waits_for_longer_than_the_patience_is_told_that_it_is_busy_and_holds_nothing() -> None:
    room = MemoryBudget(100, 8, patience=0.01)
    with room.taken(60):
        for _ in range(2):
            with pytest.raises(Busy, match=r"no memory became free .* within 0\.01 s"), room.taken(60):
                pass
        with room.taken(40):
            assert room._free == 0
    assert (room._free_slots, room._free) == (8, 100)


def test_the_patience_counts_from_the_arrival_also_behind_another_who_waits() -> None:
    room = MemoryBudget(100, 8, patience=0.01)
    with room._turn, pytest.raises(Busy), room.taken(1):
        pass
    assert not room._turn.locked()
