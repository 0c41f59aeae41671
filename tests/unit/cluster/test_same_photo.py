"""Mirrors, collages, contact sheets and twins: what faces of one photo say of who is who."""

from __future__ import annotations

from uuid import uuid4

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from functions.cluster.faces.pictures_of_pictures import faces_of_pictures
from functions.cluster.faces.rules import group_faces
from functions.cluster.faces.same_photo import conflicting, of_same_photo
from functions.cluster.parameters import ClusterParameters, parameters_of
from functions.cluster.states import FaceState
from tests.examples import examples
from tests.simulated_events import unit

MINI = parameters_of("mini")
DIMENSIONS = 192
Rows = NDArray[np.float32]


def person(random: np.random.Generator, count: int, likeness: float = 0.65) -> Rows:
    """Faces of one person, so much alike in the mean."""
    centre = random.standard_normal(DIMENSIONS)
    return around(random, centre / np.linalg.norm(centre), count, likeness)


def around(random: np.random.Generator, centre: NDArray[np.float64], count: int, likeness: float) -> Rows:
    """Faces with a mean likeness to each other, around a unit vector."""
    return unit(
        np.sqrt(likeness) * centre + np.sqrt(1.0 - likeness) * unit(random.standard_normal((count, DIMENSIONS)))
    )


def copies(random: np.random.Generator, rows: Rows, likeness: float = 0.95) -> Rows:
    """The same pictures once more, smaller or compressed anew."""
    other = unit(random.standard_normal(rows.shape))
    other = unit(other - np.vecdot(other, rows)[:, None] * rows)
    return unit(likeness * rows + np.sqrt(1.0 - likeness**2) * other)


def twins(random: np.random.Generator, each: int) -> tuple[Rows, Rows]:
    """Two people .62 alike, each .75 to their own, who read .85 in the photo that the first faces of both are in."""
    centre, apart = (unit(random.standard_normal(DIMENSIONS)).astype(np.float64) for _ in range(2))
    apart = unit(apart - (apart @ centre) * centre).astype(np.float64)
    ones, others = (np.sqrt(0.9133) * centre + sign * np.sqrt(0.0867) * apart for sign in (1.0, -1.0))
    one, other = around(random, ones, each, 0.75), around(random, others, each, 0.75)
    moment = unit(random.standard_normal((1, DIMENSIONS)))
    light, again = np.sqrt(0.25) * moment, np.sqrt(0.25) * copies(random, moment, 0.92)
    one[:1], other[:1] = unit(np.sqrt(0.75) * ones + light), unit(np.sqrt(0.75) * others + again)
    return one, other


def groups(rows: Rows, photos: list[int], parameters: ClusterParameters = MINI) -> NDArray[np.int32]:
    media = {photo: uuid4() for photo in set(photos)}
    faces = [FaceState(face_id=uuid4(), media_id=media[photo]) for photo in photos]
    return group_faces(rows, faces, parameters).labels


@pytest.mark.parametrize("seed", range(6))
def test_a_mirror_leaves_both_faces_with_the_person(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = person(random, 6)
    rows = np.concatenate([rows, copies(random, rows[:1], 0.85)])
    assert groups(rows, [0, 1, 2, 3, 4, 5, 0]).tolist() == [0] * 7


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("each", [3, 5])
def test_twins_side_by_side_stay_two_where_each_has_photos_of_their_own(seed: int, each: int) -> None:
    one, other = twins(np.random.default_rng(seed), each)
    rows = np.concatenate([one, other])
    photos = np.array([*range(each), 0, *range(each, 2 * each - 1)])
    assert float(one[0] @ other[0]) >= MINI.same_face_similarity  # type: ignore[operator]
    assert of_same_photo(rows, photos, MINI).dividing.tolist() == [[0, each]]
    assert conflicting(rows, photos, MINI).tolist() == [[0, each]]
    labels = groups(rows, photos.tolist())
    assert not set(labels[:each].tolist()) & set(labels[each:].tolist()) - {-1}


@pytest.mark.parametrize("seed", range(6))
def test_a_person_who_stands_twice_in_a_collage_stays_and_the_other_face_is_nobody_s(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = person(random, 7, 0.6)
    labels = groups(rows, [0, 1, 2, 3, 4, 5, 5])
    assert labels[:5].tolist() == [0] * 5
    assert sorted(labels[5:].tolist()) == [-1, 0]


@pytest.mark.parametrize("people", [1, 4, 8])
@pytest.mark.parametrize("seed", range(4))
def test_a_sheet_of_the_event_s_own_pictures_leaves_every_person_whole(people: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    whole = [person(random, 4) for _ in range(people)]
    rows = np.concatenate([*whole, *(copies(random, portraits) for portraits in whole)])
    photos = [*range(4 * people), *[4 * people] * (4 * people)]
    labels = groups(rows, photos)
    assert labels.max() + 1 == people
    for number in range(people):
        of_one = [*range(4 * number, 4 * number + 4), *range(4 * (people + number), 4 * (people + number) + 4)]
        assert np.unique(labels[of_one]).size == 1


@pytest.mark.parametrize("seed", range(4))
def test_copies_on_a_sheet_take_no_person_of_two_apart(seed: int) -> None:
    random = np.random.default_rng(seed)
    whole = [person(random, 2, 0.75), person(random, 4), person(random, 4)]
    portraits = np.concatenate(whole)
    rows = np.concatenate([portraits, *(copies(random, some) for some in whole)])
    before = groups(portraits, [*range(10)])
    assert before.max() + 1 == 3
    after = groups(rows, [*range(10), *[10] * 10])
    assert np.array_equal(after[:10], before)


def test_a_sheet_is_told_from_a_burst_and_from_a_group_photo() -> None:
    random = np.random.default_rng(1)
    mother, child = person(random, 1), person(random, 1)
    alike = unit(mother + 0.9 * child)
    burst = np.concatenate([np.concatenate([copies(random, mother), copies(random, alike)]) for _ in range(4)])
    assert float(mother[0] @ alike[0]) > 0.4
    assert not faces_of_pictures(burst, np.repeat(np.arange(4), 2)).any()
    portraits = person(random, 3)
    sheet = np.concatenate([portraits, copies(random, portraits)])
    assert faces_of_pictures(sheet, np.array([0, 1, 2, 3, 3, 3])).tolist() == [False] * 3 + [True] * 3
    assert not faces_of_pictures(sheet, np.arange(6)).any()
    half = np.concatenate(
        [portraits[:2], copies(random, portraits[:2]), copies(random, portraits[2:], 0.8), person(random, 1)]
    )
    assert faces_of_pictures(half, np.array([0, 1, 2, 2, 2, 2])).tolist() == [False] * 2 + [True] * 4
    less = np.concatenate([half, person(random, 1)])
    assert faces_of_pictures(less, np.array([0, 1, 2, 2, 2, 2, 2])).tolist() == [False] * 2 + [True] * 2 + [False] * 3
    assert faces_of_pictures(sheet[:0], np.zeros(0, dtype=np.int64)).tolist() == []


def test_brothers_who_are_always_photographed_together_in_bursts_stay_two() -> None:
    random = np.random.default_rng(3)
    one = person(random, 1)
    other = unit(one + 0.9 * person(random, 1))
    rows = np.concatenate([np.concatenate([copies(random, one, 0.97), copies(random, other, 0.97)]) for _ in range(4)])
    labels = groups(rows, np.repeat(np.arange(4), 2).tolist())
    assert 0.5 < float(one[0] @ other[0]) < 0.8
    assert labels[::2].tolist() == [0] * 4
    assert labels[1::2].tolist() == [1] * 4


def test_with_nobody_else_in_the_group_two_unlike_faces_conflict_and_two_alike_do_not() -> None:
    random = np.random.default_rng(0)
    rows = person(random, 1)
    for likeness, expected in ((0.5, [[0, 1]]), (0.69, [[0, 1]]), (0.71, []), (0.99, [])):
        two = np.concatenate([rows, copies(random, rows, likeness)])
        one_photo = np.array([7, 7])
        assert conflicting(two, one_photo, MINI).tolist() == expected
        assert of_same_photo(two, one_photo, MINI).dividing.tolist() == []
        assert conflicting(two, np.array([7, 8]), MINI).tolist() == []
    assert conflicting(rows[:0], np.zeros(0, dtype=np.int64), MINI).shape == (0, 2)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=examples(30), deadline=None, derandomize=True)
def test_what_conflicts_does_not_depend_on_the_order_of_the_faces(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = np.concatenate([person(random, 8), person(random, 4, 0.7), person(random, 2)])
    rows = np.concatenate([rows, copies(random, rows[:4], 0.93)])
    photos = np.asarray(random.integers(0, 9, rows.shape[0]), dtype=np.int64)
    order = random.permutation(rows.shape[0])
    expected = {frozenset(pair) for pair in conflicting(rows, photos, MINI).tolist()}
    shuffled = conflicting(rows[order], photos[order], MINI)
    assert {frozenset(order[pair].tolist()) for pair in shuffled} == expected
    assert (shuffled[:, 0] < shuffled[:, 1]).all()
