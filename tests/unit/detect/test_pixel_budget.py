"""Small photos go side by side, the largest goes alone, and nobody waits for ever."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event, Lock

import pytest

from functions.detect.pixel_budget import PixelBudget

WAIT = 10.0


def test_two_photos_that_fit_are_in_at_the_same_time() -> None:
    room, meeting = PixelBudget(100, 2), Barrier(2)

    def go_in() -> None:
        with room.taken(50):
            meeting.wait(WAIT)

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(go_in) for _ in range(2)]:
            future.result(WAIT)


@pytest.mark.parametrize(("pixels", "photos", "each"), [(100, 8, 60), (100, 1, 1), (100, 8, 1000)])
def test_photos_that_do_not_fit_go_one_after_the_other(pixels: int, photos: int, each: int) -> None:
    room, inside, together, lock = PixelBudget(pixels, photos), 0, 0, Lock()

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
    room, first_is_in, first_may_go, order = PixelBudget(100, 8), Event(), Event(), list[str]()

    def first() -> None:
        with room.taken(10):
            first_is_in.set()
            assert first_may_go.wait(WAIT)

    def later(name: str, pixels: int) -> None:
        with room.taken(pixels):
            order.append(name)

    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(first)]
        assert first_is_in.wait(WAIT)
        running.append(pool.submit(later, "large", 100))
        while not room._door.locked():
            pass
        running.append(pool.submit(later, "small", 10))
        first_may_go.set()
        for future in running:
            future.result(WAIT)
    assert order == ["large", "small"]


def test_room_is_given_back_by_whoever_fails() -> None:
    room = PixelBudget(100, 1)

    def fail() -> None:
        with room.taken(100):
            raise ValueError("bad photo")

    with pytest.raises(ValueError, match="bad photo"):
        fail()
    with room.taken(100):
        assert room._photos == 0
    assert (room._photos, room._pixels) == (1, 100)
