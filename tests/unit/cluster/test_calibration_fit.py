"""From labelled faces to a pack's constants: what the faces say, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from functions.cluster.calibration_fit import (
    NOBODY,
    LabelledFaces,
    TooLittle,
    calibration_for,
    leave_one_out,
    likeness_of,
    misplaced,
    propose,
    spread,
    whose_faces,
)
from shared.calibration import ClusterConstants, constants_of, read_calibration
from tests.labelled_faces import HOW_TO_GET, NAMES, load_sets
from tests.not_run import not_run
from tests.simulated_events import MINI_SCENARIOS, simulate

START = constants_of("mini").cluster


@cache
def faces_of_guests(seed: int = 0) -> LabelledFaces:
    """A simulated event in which everybody with two faces or more is labelled."""
    event = simulate(replace(MINI_SCENARIOS["party"], faces=400, bursts=0.0, blurred=0.0, siblings=0.0), seed)
    _, inverse, counts = np.unique(event.identity, return_inverse=True, return_counts=True)
    person = np.where(counts[inverse] > 1, event.identity, NOBODY)
    return LabelledFaces(event.embeddings, person, event.photo, event.faces)


def proposed(faces: LabelledFaces) -> ClusterConstants:
    return propose(likeness_of(faces), START, "a test").cluster


def test_constants_lie_where_few_pairs_of_strangers_pass() -> None:
    likeness = likeness_of(faces_of_guests())
    constants = propose(likeness, START, "a test").cluster
    assert constants.apart_similarity is not None
    assert 0.012 <= np.mean(likeness.strangers >= constants.apart_similarity) <= 0.028
    assert constants.join_similarity is not None
    assert np.mean(likeness.strangers >= constants.join_similarity) <= 0.002
    assert constants.pair_similarity is not None
    assert constants.same_face_similarity is not None
    ordered = [constants.apart_similarity, constants.join_similarity, constants.pair_similarity]
    assert ordered == sorted(ordered)
    assert constants.same_face_similarity > constants.pair_similarity
    assert constants.max_distance == pytest.approx(1 - constants.pair_similarity, abs=1e-9)
    assert constants.measured
    assert constants.source == "a test"


def test_real_sets_lead_to_the_constants_that_trying_found() -> None:
    proposals = []
    sets = load_sets()
    if not set(NAMES) <= set(sets):
        not_run("constants proposed from labelled photos", HOW_TO_GET)
    for name in NAMES:
        event = sets[name]
        _, person = np.unique(event.who, return_inverse=True)
        person = np.where(np.isin(event.who, ("", "?")), NOBODY, person)
        proposals.append(proposed(LabelledFaces(event.embeddings, person, event.photo, event.faces)))
    for field, around in (("apart_similarity", 0.35), ("join_similarity", 0.5), ("pair_similarity", 0.55)):
        values = [getattr(one, field) for one in proposals]
        assert abs(float(np.median(values)) - around) <= 0.05, (field, values)


def test_what_faces_do_not_tell_stays() -> None:
    constants = proposed(faces_of_guests())
    kept = ("seed_min_quality", "seed_min_sharpness", "join_margin", "join_evidence", "keep_similarity")
    assert [getattr(constants, field) for field in kept] == [getattr(START, field) for field in kept]


def test_the_file_is_read_back_as_it_was_proposed() -> None:
    constants = propose(likeness_of(faces_of_guests()), START, "a test")
    text = calibration_for("mini", constants).model_dump_json()
    assert constants_of("mini", read_calibration(text)) == constants


def test_everybody_left_out_in_turn_is_grouped_by_what_the_others_said() -> None:
    faces = faces_of_guests()
    scores = leave_one_out(faces, "mini")
    labelled = faces.person[faces.person != NOBODY]
    people, counts = np.unique(labelled, return_counts=True)
    assert [one.person for one in scores] == people[counts > 1].tolist()
    assert np.mean([one.precision for one in scores]) > 0.97
    assert np.mean([one.recall for one in scores]) > 0.85


def test_too_few_people_are_refused_with_what_to_add() -> None:
    faces = faces_of_guests()
    few = np.where(np.isin(faces.person, np.unique(faces.person)[1:4]), faces.person, NOBODY)
    with pytest.raises(TooLittle, match=r"Add folders of people .* Every folder right below .* counts as one person"):
        likeness_of(LabelledFaces(faces.embeddings, few, faces.photo, faces.states))


def test_pairs_within_one_photo_say_nothing_of_one_person() -> None:
    faces = faces_of_guests()
    everybody_in_one = LabelledFaces(faces.embeddings, faces.person, np.zeros_like(faces.photo), faces.states)
    assert likeness_of(everybody_in_one).one_person.size == 0
    assert spread(likeness_of(faces).one_person).mean > 0.5


def axes(*directions: tuple[float, float]) -> NDArray[np.float32]:
    rows = np.array(directions, dtype=np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def test_of_several_faces_in_a_photo_the_folder_s_person_is_the_one_like_the_others() -> None:
    folders = np.array(["ann"] * 4 + ["bob"])
    photo = np.array([0, 1, 2, 2, 3])
    rows = axes((1, 0.1), (1, 0), (0, 1), (1, 0.2), (0, 1))
    assert whose_faces(folders, photo, rows) == ["ann", "ann", "", "ann", "bob"]


def test_a_folder_of_group_photos_alone_goes_by_the_face_that_is_in_all() -> None:
    folders = np.array(["ann"] * 6)
    photo = np.array([0, 0, 1, 1, 2, 2])
    rows = axes((1, 0), (0, 1), (1, 0.1), (0, -1), (-1, -0.2), (1, -0.1))
    assert whose_faces(folders, photo, rows) == ["ann", "", "ann", "", "", "ann"]


def test_faces_in_another_person_s_folder_do_not_pass_for_that_person() -> None:
    faces = faces_of_guests()
    assert misplaced(faces) == []
    numbers, counts = np.unique(faces.person[faces.person != NOBODY], return_counts=True)
    first, second, third = numbers[np.argsort(-counts)[:3]]
    wrong = [*np.flatnonzero(faces.person == first)[:2], *np.flatnonzero(faces.person == second)[:1]]
    person = faces.person.copy()
    person[wrong] = third
    found = misplaced(LabelledFaces(faces.embeddings, person, faces.photo, faces.states))
    assert {(one.row, one.person, one.other) for one in found} == {
        (wrong[0], third, first),
        (wrong[1], third, first),
        (wrong[2], third, second),
    }


def test_of_two_faces_in_a_folder_the_one_of_somebody_else_is_found_out() -> None:
    rows = axes((1, 0), (1, 0.1), (1, -0.1), (0, 1), (1, 0.05))
    person = np.array([0, 0, 0, 1, 1])
    faces = LabelledFaces(rows, person, np.arange(5), faces_of_guests().states[:5])
    assert [(one.row, one.person, one.other) for one in misplaced(faces)] == [(4, 1, 0)]


def test_few_faces_of_real_people_seem_to_be_in_the_wrong_folder() -> None:
    sets = load_sets()
    if not set(NAMES) <= set(sets):
        not_run("misplaced faces among labelled photos", HOW_TO_GET)
    for name in NAMES:
        event = sets[name]
        _, person = np.unique(event.who, return_inverse=True)
        person = np.where(np.isin(event.who, ("", "?")), NOBODY, person)
        found = misplaced(LabelledFaces(event.embeddings, person, event.photo, event.faces))
        assert len(found) == (2 if name == "sports" else 0), name
