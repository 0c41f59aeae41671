"""The rules about faces around HDBSCAN, one by one, and the events that plain HDBSCAN gets wrong."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from functions.cluster.embeddings import EmbeddingsRefusedError
from functions.cluster.faces.cohesion import LARGEST_LINKAGE, average_linkage, hold_together
from functions.cluster.faces.left_over import alike_pairs, join, place_left_over
from functions.cluster.faces.rules import group_faces, may_seed
from functions.cluster.parameters import DEFAULTS, ClusterParameters, parameters_of
from functions.cluster.states import FaceState
from functions.cluster.tree import cluster
from tests.examples import examples
from tests.simulated_events import SCENARIOS, Scenario, simulate, unit

PLAIN = DEFAULTS.without_rules()
CAPPED = replace(PLAIN, max_distance=0.65)


def faces(count: int) -> list[FaceState]:
    """Faces of as many photos."""
    return [FaceState(face_id=uuid4(), media_id=uuid4()) for _ in range(count)]


def one_person(count: int, seed: int = 0) -> NDArray[np.float32]:
    scenario = Scenario(faces=count, persons=1, bystanders=0.0, faces_per_photo=0.0, hard=0.0, siblings=0.0, bursts=0.0)
    return simulate(scenario, seed).embeddings


def strangers(count: int, seed: int = 0) -> NDArray[np.float32]:
    event = simulate(Scenario(faces=3 * count, bystanders=1.0, siblings=0.0), seed)
    return event.embeddings[np.unique(event.identity, return_index=True)[1]][:count]


def labels_of(embeddings: NDArray[np.float32], parameters: ClusterParameters = DEFAULTS) -> NDArray[np.int32]:
    return group_faces(embeddings, faces(embeddings.shape[0]), parameters).labels


def test_with_every_rule_off_the_labels_are_those_of_hdbscan() -> None:
    event = simulate(replace(SCENARIOS["crowd"], faces=500), 3)
    expected = cluster(event.embeddings).labels
    assert np.array_equal(group_faces(event.embeddings, event.faces, PLAIN).labels, expected)
    assert not np.array_equal(group_faces(event.embeddings, event.faces).labels, expected)


@pytest.mark.parametrize("parameters", [PLAIN, DEFAULTS], ids=["plain", "rules"])
@pytest.mark.parametrize("count", [0, 1])
def test_no_face_and_one_face_are_noise(count: int, parameters: ClusterParameters) -> None:
    assert labels_of(one_person(3)[:count], parameters).tolist() == [-1] * count


def test_two_alike_faces_are_a_person_of_two_two_different_ones_are_not() -> None:
    assert labels_of(unit(np.array([[1.0, 0.1, 0.0], [1.0, 0.0, 0.1]]))).tolist() == [0, 0]
    assert labels_of(unit(np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))).tolist() == [-1, -1]


@pytest.mark.parametrize("seed", range(5))
def test_an_event_with_one_person_is_one_cluster_without_noise(seed: int) -> None:
    assert labels_of(one_person(60, seed)).tolist() == [0] * 60


def test_three_faces_of_one_person_are_one_cluster() -> None:
    assert labels_of(one_person(3)).tolist() == [0, 0, 0]


def test_identical_photos_are_one_person() -> None:
    assert labels_of(np.repeat(one_person(3)[:1], 20, axis=0)).tolist() == [0] * 20


@pytest.mark.parametrize("seed", range(5))
def test_strangers_are_nobody(seed: int) -> None:
    embeddings = strangers(40, seed)
    assert (labels_of(embeddings, PLAIN) >= 0).any(), (
        "plain HDBSCAN finds false persons here, or the test shows nothing"
    )
    assert labels_of(embeddings).tolist() == [-1] * 40


def test_one_person_in_sixty_percent_of_the_photos_is_found_whole() -> None:
    event = simulate(Scenario(faces=500, main_presence=0.6, hard=0.05), 11)
    main = event.identity == 0
    labels = group_faces(event.embeddings, event.faces).labels
    counts = np.bincount(labels[main & (labels >= 0)])
    assert main.mean() > 0.2
    assert counts.max() / main.sum() > 0.95
    assert (event.identity[labels == counts.argmax()] == 0).all()


def test_the_cap_takes_a_far_stranger_out_of_a_tight_cluster() -> None:
    embeddings = np.concatenate([one_person(20), strangers(4), one_person(20, seed=5)])
    for label in range(2):
        members = embeddings[labels_of(embeddings, CAPPED) == label]
        assert (members @ members.T).min() > 0.1


def test_a_nan_is_refused_by_name() -> None:
    embeddings = one_person(5).copy()
    embeddings[3, 17] = np.nan
    with pytest.raises(EmbeddingsRefusedError, match="rows 3 hold NaN"):
        labels_of(embeddings)


def test_as_many_faces_as_rows_or_nothing() -> None:
    with pytest.raises(ValueError, match="5 embeddings for 4 faces"):
        group_faces(one_person(5), faces(4))


@pytest.mark.parametrize("pack", ["mini", "buffalo_l"])
@given(seed=st.integers(0, 1000), shuffle=st.integers(0, 1000))
@settings(max_examples=examples(10), deadline=None, derandomize=True)
def test_the_order_of_the_faces_does_not_matter(pack: str, seed: int, shuffle: int) -> None:
    event = simulate(replace(SCENARIOS["groups"], faces=150, hard=0.2), seed)
    order = np.random.default_rng(shuffle).permutation(150)
    parameters = parameters_of(pack)
    expected = group_faces(event.embeddings, event.faces, parameters).labels
    shuffled = group_faces(event.embeddings[order], [event.faces[row] for row in order], parameters).labels
    assert same_partition(shuffled, expected[order])


@pytest.mark.parametrize("pack", ["mini", "buffalo_l"])
def test_two_different_faces_of_one_photo_are_never_one_person(pack: str) -> None:
    for name, scenario in SCENARIOS.items():
        event = simulate(replace(scenario, faces=600), 5)
        labels = group_faces(event.embeddings, event.faces, parameters_of(pack)).labels
        places = [(label, photo) for label, photo in zip(labels, event.photo, strict=True) if label >= 0]
        assert len(places) == len(set(places)), name


def test_siblings_who_stand_together_are_told_apart() -> None:
    together = Scenario(
        faces=300, persons=4, main_persons=2, main_presence=0.8, siblings_among_main=True, siblings=0.0, bystanders=0.1
    )
    rng = np.random.default_rng(1)
    event = simulate(together, 2)
    embeddings = event.embeddings.copy()
    # Siblings nearer than usual: HDBSCAN at the default epsilon makes them one person.
    for row in np.flatnonzero(event.identity <= 1):
        embeddings[row] = unit(embeddings[row] + 0.6 * embeddings[rng.choice(np.flatnonzero(event.identity <= 1))])
    alone = replace(DEFAULTS, join_similarity=None, pair_similarity=None)
    split = group_faces(embeddings, event.faces, alone).labels
    joint = group_faces(embeddings, event.faces, replace(alone, conflict_similarity=None)).labels
    assert purity(joint, event.identity) < 0.8
    assert purity(split, event.identity) > 0.9


def towards(*leanings: tuple[int, float], own: int = 0) -> NDArray[np.float64]:
    """A face between people: axes with the cosines to them, and what is its own on an axis of its own."""
    row = np.zeros(96)
    for axis, cosine in leanings:
        row[axis] = cosine
    row[16 + own] = np.sqrt(1.0 - (row @ row))
    return row


def test_a_person_seen_twice_in_a_photo_only_loses_the_less_alike_face() -> None:
    embeddings = one_person(20)
    photos = np.arange(20)
    photos[19] = photos[18]
    unlike = replace(DEFAULTS, same_face_similarity=0.999)
    labels = hold_together(embeddings, np.zeros(20, dtype=np.int32), photos, unlike)
    assert (labels[:18] == labels[0]).all()
    assert sorted(labels[18:]) == [-1, labels[0]]


def test_average_linkage_never_joins_a_pair_that_is_apart() -> None:
    embeddings = np.repeat(one_person(3)[:1], 6, axis=0)
    parts = average_linkage(embeddings, np.array([[0, 1], [2, 3], [4, 5]]), 0.4)
    for part in np.unique(parts):
        assert np.unique(np.array([0, 0, 1, 1, 2, 2])[parts == part]).size == (parts == part).sum() == 3


def test_average_linkage_stops_at_the_mean_likeness_asked_for() -> None:
    rows = unit(np.array([towards((0, 0.8), own=1), towards((0, 0.8), own=2), towards((0, 0.6), own=3)]))
    nothing = np.empty((0, 2), dtype=np.int64)
    assert average_linkage(rows, nothing, 0.47).tolist() == [0, 0, 0]
    assert np.unique(average_linkage(rows, nothing, 0.49), return_counts=True)[1].tolist() == [2, 1]


def test_a_chain_of_strangers_is_held_to_a_mean_and_falls_apart() -> None:
    chain = unit(np.array([towards((axis, 0.7), (axis + 1, 0.7), own=axis) for axis in range(12)]))
    labels = np.zeros(12, dtype=np.int32)
    photos = np.arange(12)
    assert (hold_together(chain, labels, photos, replace(DEFAULTS, apart_similarity=None)) >= 0).all()
    held = hold_together(chain, labels, photos, replace(DEFAULTS, apart_similarity=0.35))
    for label in np.unique(held[held >= 0]):
        members = chain[held == label]
        assert members.shape[0] >= 3
        assert ((members @ members.T).sum() - members.shape[0]) / (members.shape[0] * (members.shape[0] - 1)) >= 0.35
    assert (held < 0).any() or np.unique(held).size > 1


def test_a_cluster_whose_faces_are_all_near_its_centroid_is_held_without_its_linkage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("functions.cluster.faces.cohesion.average_linkage", None)
    embeddings = unit(one_person(30) + 2.0 * one_person(30).mean(axis=0))
    held = hold_together(embeddings, np.zeros(30, dtype=np.int32), np.arange(30), DEFAULTS)
    assert np.unique(held).size == 1


def test_a_cluster_too_large_for_its_linkage_loses_the_faces_that_are_unlike_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert LARGEST_LINKAGE >= 1000
    monkeypatch.setattr("functions.cluster.faces.cohesion.LARGEST_LINKAGE", 20)
    monkeypatch.setattr("functions.cluster.faces.cohesion.average_linkage", None)
    embeddings = np.concatenate([one_person(30), strangers(3)])
    held = hold_together(embeddings, np.zeros(33, dtype=np.int32), np.arange(33), DEFAULTS)
    assert (held[30:] == -1).all()
    assert (held[:30] >= 0).sum() >= 28


def joined(
    embeddings: NDArray[np.float32],
    labels: list[int],
    photos: NDArray[np.integer] | None = None,
    pairs: list[list[int]] | None = None,
    **constants: float,
) -> list[int]:
    """The labels after joining, all faces being seeds, with .35 asked for and a margin of .05 unless said otherwise."""
    parameters = replace(DEFAULTS, **{"join_evidence": 0.0, "join_margin": 0.05, **constants})  # type: ignore[arg-type]
    places = np.arange(len(labels)) if photos is None else photos
    units = np.array(pairs or [], dtype=np.int64).reshape(-1, 2)
    seeds = np.ones(len(labels), dtype=bool)
    after = join(embeddings, np.array(labels, dtype=np.int32), places, seeds, units, 0.35, parameters)
    return [int(label) for label in after]


def test_a_left_over_face_joins_the_person_it_is_near() -> None:
    embeddings = np.concatenate([one_person(10), one_person(10, seed=9)])
    assert joined(embeddings, [0] * 9 + [-1] + [1] * 10) == [0] * 10 + [1] * 10


def test_but_not_when_it_is_as_near_to_another() -> None:
    axes = np.eye(8)
    between = axes[0] + 1.03 * axes[1]
    embeddings = unit(np.stack([axes[0]] * 3 + [axes[1]] * 3 + [between]))
    assert joined(embeddings, [0, 0, 0, 1, 1, 1, -1])[6] == -1
    assert joined(embeddings, [0, 0, 0, 1, 1, 1, -1], join_margin=0.0)[6] == 1


def test_nor_into_a_photo_the_person_is_in_already() -> None:
    rows = unit(np.array([towards((0, 0.8), own=number) for number in range(6)]))
    labels = [0] * 5 + [-1]
    assert joined(rows, labels)[5] == 0
    assert joined(rows, labels, photos=np.array([0, 1, 2, 3, 4, 0]))[5] == -1


def test_unless_it_is_nearly_the_same_face() -> None:
    rows = np.array([towards((0, 0.8), own=number) for number in range(5)])
    again = unit(np.concatenate([rows, rows[:1] + 0.4 * np.eye(96)[90]]))
    assert joined(again, [0] * 5 + [-1], photos=np.array([0, 1, 2, 3, 4, 0]))[5] == 0


def test_poor_faces_join_and_do_not_say_who_the_person_is() -> None:
    """A blurred face joins; those that are like it, and not like the person, do not follow."""
    person = [towards((0, 0.9), own=number) for number in range(3)]
    blurred = [towards((0, 0.55), (1, 0.75), own=9), *(towards((0, 0.3), (1, 0.85), own=10 + n) for n in range(4))]
    rows = unit(np.array(person + blurred))
    seeds = np.arange(8) < 3
    alone = np.array([0] * 3 + [-1] * 5, dtype=np.int32)
    asked = replace(DEFAULTS, join_evidence=0.0)
    assert place_left_over(rows, alone, np.arange(8), seeds, asked).tolist() == [0] * 4 + [-1] * 4


def test_a_pair_that_looks_a_little_like_somebody_is_a_person_of_its_own() -> None:
    """Two photos of one guest, .36 like a person with many, .9 like each other: they were swallowed one by one."""
    person = [towards((0, 0.9), own=number) for number in range(5)]
    guest = [towards((0, 0.38), (1, 0.86), own=8), towards((0, 0.38), (1, 0.86), own=9)]
    rows = unit(np.array(person + guest))
    alone = np.array([0] * 5 + [-1] * 2, dtype=np.int32)
    every = np.ones(7, dtype=bool)
    asked = replace(DEFAULTS, join_evidence=0.0, join_similarity=0.35)
    assert place_left_over(rows, alone, np.arange(7), every, asked).tolist() == [0] * 5 + [1] * 2
    apart = place_left_over(rows, alone, np.arange(7), every, replace(asked, pair_similarity=None))
    assert apart.tolist() == [0] * 7


def test_a_pair_joins_a_person_as_one_when_both_are_near_in_the_mean() -> None:
    person = [towards((0, 0.9), own=number) for number in range(5)]
    pair = [towards((0, 0.75), own=8), towards((0, 0.35), own=9)]
    rows = unit(np.array(person + pair))
    assert joined(rows, [0] * 5 + [-1] * 2, pairs=[[5, 6]]) == [0] * 7
    assert joined(rows, [0] * 5 + [-1] * 2) == [0] * 6 + [-1]
    assert joined(rows, [0] * 5 + [-1] * 2, pairs=[[5, 6]], join_margin=0.3) == [0] * 5 + [-1] * 2


def test_a_left_over_face_joins_a_person_of_two() -> None:
    rows = unit(np.array([towards((0, 0.95), own=0), towards((0, 0.95), own=1), towards((0, 0.6), own=2)]))
    alone = np.full(3, -1, dtype=np.int32)
    assert place_left_over(rows, alone, np.arange(3), np.array([True, True, False]), DEFAULTS).tolist() == [0] * 3


def test_the_third_face_of_a_person_of_two_may_make_the_fourth_plain() -> None:
    cosines = np.array([[1, 0.75, 0.46, 0.50], [0.75, 1, 0.60, 0.47], [0.46, 0.60, 1, 0.32], [0.50, 0.47, 0.32, 1]])
    rows = np.asarray(np.linalg.cholesky(cosines), dtype=np.float32)
    assert labels_of(unit(rows), parameters_of("mini")).tolist() == [0, 0, 0, 0]
    assert labels_of(unit(rows[[0, 1, 3]]), parameters_of("mini")).tolist() == [0, 0, -1], "not near enough to the pair"


def test_a_pair_needs_two_photos_two_seeds_and_likeness() -> None:
    embeddings = unit(np.array([[1.0, 0.1], [1.0, 0.0]]))
    alone = np.array([-1, -1], dtype=np.int32)
    seeds = np.array([True, True])
    assert alike_pairs(embeddings, alone, np.array([0, 1]), seeds, 0.5).tolist() == [[0, 1]]
    assert alike_pairs(embeddings, alone, np.array([0, 0]), seeds, 0.5).tolist() == []
    assert alike_pairs(embeddings, alone, np.array([0, 1]), np.array([True, False]), 0.5).tolist() == []
    assert alike_pairs(embeddings, alone, np.array([0, 1]), seeds, 0.999).tolist() == []


def test_two_strangers_who_are_more_like_blurred_heads_than_each_other_found_no_person() -> None:
    """Two heads that only just may seed are .58 alike, as blurred heads are; those would all join the two."""
    just = [towards((0, 0.76), own=1), towards((0, 0.76), own=2)]
    blurred = [towards((0, 0.9), own=10 + number) for number in range(6)]
    rows, places = unit(np.array(just + blurred)), np.arange(8)
    alone, seeds = np.full(8, -1, dtype=np.int32), np.arange(8) < 2
    assert place_left_over(rows, alone, places, seeds, parameters_of("mini")).tolist() == [-1] * 8
    assert alike_pairs(rows[:2], alone[:2], places[:2], seeds[:2], 0.55).tolist() == [[0, 1]], "were it not for them"
    in_one_photo = np.array([0, 1, *[1] * 6])
    assert alike_pairs(rows, alone, in_one_photo, seeds, 0.55).tolist() == [], "who stands beside one of them"


def test_a_guest_s_own_blurred_photo_takes_no_pair_apart() -> None:
    pair, blurred = [towards((0, 0.9), own=1), towards((0, 0.9), own=2)], [towards((0, 0.85), own=3)]
    rows = unit(np.array(pair + blurred))
    alone, seeds = np.full(3, -1, dtype=np.int32), np.arange(3) < 2
    assert place_left_over(rows, alone, np.arange(3), seeds, parameters_of("mini")).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("limits", "face"),
    [
        ({"seed_min_quality": 0.8}, {"quality_score": 0.79}),
        ({"seed_min_size_px": 40.0}, {"size_px": 39.0}),
        ({"seed_min_sharpness": 10.0}, {"sharpness": 9.0}),
        ({"seed_max_yaw": 60.0}, {"yaw": -61.0}),
        ({"seed_max_pitch": 60.0}, {"pitch": 61.0}),
    ],
)
def test_small_blurred_and_turned_faces_do_not_seed(limits: dict[str, float], face: dict[str, float]) -> None:
    state = replace(faces(1)[0], **face)  # type: ignore[arg-type]
    assert not may_seed(state, replace(PLAIN, **limits))  # type: ignore[arg-type]
    assert may_seed(state, PLAIN)
    unmeasured = replace(state, sharpness=None, yaw=None, pitch=None, size_px=200.0, quality_score=1.0)
    assert may_seed(unmeasured, replace(PLAIN, **limits))  # type: ignore[arg-type]


def test_faces_that_do_not_seed_found_no_person_but_join_one() -> None:
    embeddings = np.concatenate([one_person(10), one_person(10, seed=9)])
    states = [replace(face, size_px=10.0 if row >= 9 else 100.0) for row, face in enumerate(faces(20))]
    labels = group_faces(embeddings, states).labels
    assert labels.tolist() == [0] * 10 + [-1] * 10


def same_partition(one: NDArray[np.int32], other: NDArray[np.int32]) -> bool:
    pairs = set(zip(one.tolist(), other.tolist(), strict=True))
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}) and all(
        (a < 0) == (b < 0) for a, b in pairs
    )


def purity(labels: NDArray[np.int32], identity: NDArray[np.int64]) -> float:
    clusters = [identity[labels == label] for label in range(labels.max() + 1)]
    largest = sum(int(np.bincount(members).max()) for members in clusters)
    return largest / sum(int(members.size) for members in clusters)
