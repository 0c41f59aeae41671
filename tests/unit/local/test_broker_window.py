"""How many pushes the small broker has in flight: more with every success, fewer with every failure."""

from hypothesis import given
from hypothesis import strategies as st

from local.bus.broker_push import Window


def round_of_successes(window: Window) -> int:
    for _ in range(window.size):
        window.succeeded()
    return window.size


def test_it_starts_small_and_doubles_with_every_round_that_is_answered_up_to_its_largest() -> None:
    window = Window(64)
    assert [window.size, *(round_of_successes(window) for _ in range(6))] == [4, 8, 16, 32, 64, 64, 64]


def test_a_failure_halves_it_and_from_there_it_grows_by_one_a_round() -> None:
    window = Window(64)
    for _ in range(2):
        round_of_successes(window)
    window.failed()
    assert [window.size, *(round_of_successes(window) for _ in range(3))] == [8, 8, 9, 10]


def test_it_never_closes_nor_grows_beyond_its_largest() -> None:
    window = Window(2)
    for _ in range(10):
        window.failed()
    assert window.size == 2
    assert round_of_successes(window) == 2


@given(st.lists(st.booleans(), max_size=300), st.integers(1, 100))
def test_whatever_is_answered_some_pushes_go_out_and_never_too_many(answers: list[bool], largest: int) -> None:
    window = Window(largest)
    for acknowledged in answers:
        if acknowledged:
            window.succeeded()
        else:
            window.failed()
        assert 1 <= window.size <= largest


def test_against_a_server_of_a_few_places_few_pushes_are_refused() -> None:
    # In rounds, as a server that answers all of a window at once: beyond its places it refuses.
    window, places, pushed, refused = Window(64), 4, 0, 0
    for _ in range(1000):
        size = window.size
        for number in range(size):
            pushed += 1
            if number < places:
                window.succeeded()
            else:
                refused += 1
                window.failed()
    assert refused / pushed < 0.15
