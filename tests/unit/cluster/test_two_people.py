"""Whether a person is two people is asked, not decided."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from functions.cluster.parameters import DEFAULTS
from functions.cluster.persons.two_people import MARGIN, SAMPLE, halves
from tests.simulated_events import unit
from tests.unit.cluster.small_events import SmallEvent, some_id

ASKED_BELOW = (DEFAULTS.apart_similarity or 0.0) + MARGIN


def two_in_one(firsts: int = 4, others: int = 3, *, weight: float = 0.5, **state: object) -> SmallEvent:
    """One person who is Anna on some photos and Bea on others; the more of the third axis, the more alike."""
    event = SmallEvent()
    event.person("anna and bea", **state)
    for axis, (name, count) in enumerate((("a", firsts), ("b", others))):
        for number in range(count):
            event.face(f"{name}{number}", axis, blend=9, weight=weight, label=0, person="anna and bea")
    return event


def test_two_unlike_halves_are_asked_about_and_nobody_moves() -> None:
    plan = two_in_one().plan()
    assert not plan.assignments
    (question,) = plan.split_suggestions
    assert question.person_id == some_id("anna and bea")
    assert set(question.face_ids) == {some_id(f"b{number}") for number in range(3)}
    assert 1 - ASKED_BELOW < question.score <= 1


def test_halves_that_are_alike_enough_are_not_asked_about() -> None:
    assert not two_in_one(weight=1.5).plan().split_suggestions


def test_one_odd_face_is_no_second_person() -> None:
    assert not two_in_one(6, 1).plan().split_suggestions


def test_faces_of_one_photo_alone_are_no_second_person() -> None:
    event = two_in_one(4, 2)
    event.faces = [
        replace(face, media_id=some_id("one photo")) if face.face_id in {some_id("b0"), some_id("b1")} else face
        for face in event.faces
    ]
    assert not event.plan().split_suggestions


def test_faces_that_are_all_equally_unlike_have_no_halves() -> None:
    event = SmallEvent()
    event.person("of strangers", status="linked")
    for axis in range(5):
        event.face(f"f{axis}", axis, label=0, person="of strangers", spread=0.0)
    assert not event.plan().split_suggestions
    assert not halves(np.eye(5, dtype=np.float32)).any()


def test_what_was_answered_or_set_aside_is_not_asked() -> None:
    assert not two_in_one(said_to_be_one=True).plan().split_suggestions
    assert not two_in_one(status="ignored").plan().split_suggestions


@pytest.mark.parametrize("status", ["linked", "invited"])
def test_persons_with_a_name_are_asked_about_as_well(status: str) -> None:
    assert len(two_in_one(status=status).plan().split_suggestions) == 1


def test_a_half_that_a_human_put_there_is_not_asked_about() -> None:
    event = two_in_one()
    placed = {some_id(f"b{number}") for number in range(3)}
    event.faces = [replace(face, placed_by_human=face.face_id in placed) for face in event.faces]
    assert not event.plan().split_suggestions


def test_twins_whom_clustering_took_for_one_are_asked_about_once_they_stand_side_by_side() -> None:
    event = SmallEvent()
    event.person("twins", status="linked")
    for number in range(4):
        photo = "both" if number == 3 else None
        event.face(f"a{number}", 0, blend=2, weight=2, spread=0.05, label=0, person="twins", photo=photo)
        event.face(f"b{number}", 1, blend=2, weight=2, spread=0.05, label=0, person="twins", photo=photo)
    # Linked, so that no run takes them apart; and nobody put them there by hand.
    (question,) = event.plan().split_suggestions
    assert set(question.face_ids) in ({some_id(f"{who}{number}") for number in range(4)} for who in "ab")


def test_the_halves_of_many_faces_are_those_of_a_sample() -> None:
    rng = np.random.default_rng(3)
    axes = np.zeros((2, 64))
    axes[0, 0] = axes[1, 1] = 1
    who = rng.random(2 * SAMPLE + 50) < 0.4
    rows = unit(axes[who.astype(int)] + 0.04 * rng.standard_normal((who.size, 64)))
    found = halves(rows)
    assert np.array_equal(found, who) or np.array_equal(found, ~who)
