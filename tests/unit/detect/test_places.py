"""Who finds no place is told so at once."""

import pytest

from functions.detect.places import Places
from shared.errors import Busy


def test_as_many_as_there_are_places_get_in_and_the_next_is_told_at_once() -> None:
    places = Places(2)
    with places.taken():
        with places.taken():
            for _ in range(3):
                with pytest.raises(Busy, match="2 photos are being looked at"), places.taken():
                    pass
        with places.taken():
            pass


def test_a_place_is_given_back_by_whoever_fails() -> None:
    places = Places(1)
    for _ in range(3):
        with pytest.raises(ValueError, match="bad photo"), places.taken():
            raise ValueError("bad photo")
