"""Clusters become persons, and what humans said of persons stays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from functions.cluster.parameters import DEFAULTS
from functions.cluster.states import FaceState, PersonState
from tests.unit.cluster.small_events import SmallEvent, some_id

KEEPING = replace(DEFAULTS, keep_similarity=0.3, fragment_similarity=0.45)
"""Constants with which faces stay where they were as long as they fit."""


def test_an_event_without_faces_plans_nothing() -> None:
    plan = SmallEvent().plan()
    assert plan.changes_nothing
    assert plan.churn == 0.0


def test_an_event_of_strangers_alone_has_no_persons() -> None:
    event = SmallEvent()
    for number in range(3):
        event.face(str(number), number, label=-1)
    assert event.plan().changes_nothing


def test_each_cluster_becomes_a_person_and_noise_becomes_none() -> None:
    event = SmallEvent()
    for axis in (0, 1):
        for number in range(3):
            event.face(f"{axis}/{number}", axis, label=axis)
    event.face("stranger", 9, label=-1)
    plan = event.run()
    assert [new.cluster_label for new in plan.new_persons] == [0, 1]
    assert len(plan.assignments) == 6
    assert event.person_of("stranger") is None
    assert {summary.face_count for summary in plan.summaries.values()} == {3}
    assert set(plan.representatives) == {new.person_id for new in plan.new_persons}
    assert event.run().changes_nothing


def test_the_plan_does_not_depend_on_the_order_of_the_rows() -> None:
    event = SmallEvent()
    event.person("old")
    for number in range(12):
        event.face(str(number), number % 3, label=number % 3, person="old" if number % 3 == 1 else None)
    expected = event.plan()
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(len(event.faces))
        assert event.plan(order=order) == expected


def test_the_same_faces_always_make_a_person_of_the_same_id() -> None:
    def made() -> SmallEvent:
        event = SmallEvent()
        for number in range(3):
            event.face(str(number), 0, label=0)
        return event

    assert made().plan().new_persons == made().plan().new_persons


def test_a_new_person_never_takes_the_id_of_one_that_was_merged_away() -> None:
    event = SmallEvent()
    for number in range(3):
        event.face(str(number), 0, label=0)
    first = event.plan().new_persons[0].person_id
    event.person("survivor")
    event.persons.append(PersonState(first, status="merged", merged_into_id=some_id("survivor")))
    assert event.plan().new_persons[0].person_id != first


def test_new_persons_get_cluster_labels_that_no_other_person_has() -> None:
    event = SmallEvent()
    event.person("old", cluster_label=0, touched_by_human=True)
    for number in range(3):
        event.face(str(number), 0, label=0)
    assert event.plan().new_persons[0].cluster_label == 1


def test_a_cluster_keeps_the_person_most_of_its_faces_are_in() -> None:
    event = SmallEvent()
    event.person("anna")
    for number in range(4):
        event.face(str(number), 0, label=5, person="anna")
    event.face("new", 0, label=5)
    plan = event.plan()
    assert plan.assignments == {some_id("new"): some_id("anna")}
    assert not plan.new_persons
    assert plan.churn == 0.0


def test_two_clusters_that_swap_their_numbers_swap_nothing_else() -> None:
    event = SmallEvent()
    event.person("anna")
    event.person("bea")
    for number in range(3):
        event.face(f"a{number}", 0, label=1, person="anna")
        event.face(f"b{number}", 1, label=0, person="bea")
    assert not event.plan().assignments


def test_of_two_persons_in_one_cluster_the_larger_one_wins_the_other_is_deleted() -> None:
    event = SmallEvent()
    event.person("anna")
    event.person("anna again")
    for number in range(4):
        event.face(f"a{number}", 0, label=0, person="anna")
    for number in range(2):
        event.face(f"b{number}", 0, label=0, person="anna again")
    plan = event.plan()
    assert set(plan.assignments.values()) == {some_id("anna")}
    assert plan.emptied_persons == (some_id("anna again"),)
    assert plan.moved_faces == 2
    assert plan.churn == pytest.approx(2 / 6)


def test_a_person_that_hdbscan_breaks_in_two_stays_whole() -> None:
    event = SmallEvent()
    event.person("anna")
    for number in range(6):
        event.face(str(number), 0, label=number % 2, person="anna")
    assert event.plan().changes_nothing or not event.plan().assignments


def test_two_people_whom_an_early_run_took_for_one_are_told_apart_later() -> None:
    event = SmallEvent()
    event.person("anna and bea")
    for number in range(6):
        event.face(str(number), axis=number % 2, label=number % 2, person="anna and bea")
    plan = event.plan()
    assert len(plan.new_persons) == 1
    assert sorted(plan.assignments) in (
        sorted(some_id(str(number)) for number in (0, 2, 4)),
        sorted(some_id(str(number)) for number in (1, 3, 5)),
    )


def test_look_alikes_whom_an_early_run_took_for_one_are_told_apart_once_they_are_in_one_photo() -> None:
    event = SmallEvent()
    event.person("twins")
    for number in range(4):
        event.face(f"a{number}", 0, blend=2, weight=2, spread=0.05, label=0, person="twins")
        event.face(f"b{number}", 1, blend=2, weight=2, spread=0.05, label=1, person="twins")
    alone = event.plan()
    assert alone.assignments == {}, "as a person that HDBSCAN breaks in two"
    event.face("a4", 0, blend=2, weight=2, spread=0.05, label=0, photo="both")
    event.face("b4", 1, blend=2, weight=2, spread=0.05, label=1, photo="both")
    event.run()
    of_one, of_other = ({event.person_of(f"{who}{number}") for number in range(5)} for who in "ab")
    assert len(of_one) == len(of_other) == 1
    assert of_one.isdisjoint(of_other | {None})
    assert None not in of_other


def test_a_photo_in_which_somebody_stands_twice_takes_nobody_apart() -> None:
    event = SmallEvent()
    event.person("anna")
    for number in range(6):
        event.face(f"a{number}", 0, spread=0.08, label=number % 2, person="anna")
    for number in range(4):
        event.face(f"on the strip {number}", 0, spread=0.08, label=number % 2, photo="strip")
    event.run()
    assert {event.person_of(f"a{number}") for number in range(6)} == {some_id("anna")}
    assert {event.person_of(f"on the strip {number}") for number in range(4)} <= {some_id("anna"), None}


def test_a_face_that_no_cluster_holds_stays_while_it_still_fits() -> None:
    event = SmallEvent()
    event.person("anna")
    for number in range(4):
        event.face(str(number), 0, label=0, person="anna")
    event.face("alike", 0, label=-1, person="anna")
    event.face("not alike", 9, label=-1, person="anna")
    plan = event.plan(KEEPING)
    assert plan.assignments == {some_id("not alike"): None}


def test_a_face_changes_person_only_for_a_clearly_better_one() -> None:
    event = SmallEvent()
    event.person("anna")
    event.person("bea")
    for number in range(4):
        event.face(f"a{number}", 0, label=0, person="anna")
        event.face(f"b{number}", 1, label=1, person="bea")
    event.face("between", 0, blend=1, label=1, person="anna")
    event.face("bea after all", 1, label=1, person="anna")
    plan = event.plan(KEEPING)
    assert plan.assignments == {some_id("bea after all"): some_id("bea")}


def test_a_face_placed_by_a_human_never_moves() -> None:
    event = SmallEvent()
    event.person("anna")
    event.person("bea")
    for number in range(4):
        event.face(f"a{number}", 0, label=0, person="anna")
        event.face(f"b{number}", 1, label=1, person="bea")
    event.face("looks like bea", 1, label=1, person="anna", placed=True)
    assert some_id("looks like bea") not in event.plan().assignments


def test_a_face_that_a_human_put_into_nobody_stays_in_nobody() -> None:
    event = SmallEvent()
    event.person("anna")
    for number in range(4):
        event.face(f"a{number}", 0, label=0, person="anna")
    event.face("a statue of anna", 0, label=0, placed=True)
    plan = event.plan()
    assert not plan.assignments
    assert not plan.suggestions


def test_a_rejected_face_never_comes_back_to_the_person_it_was_rejected_from() -> None:
    event = SmallEvent()
    event.person("anna")
    for number in range(4):
        event.face(f"a{number}", 0, label=0, person="anna")
    event.face("not anna", 0, label=0, rejected=("anna",))
    assert some_id("not anna") not in event.plan().assignments


def test_a_face_rejected_from_a_merged_person_does_not_come_back_to_the_survivor() -> None:
    event = SmallEvent()
    event.person("anna")
    event.person("gone", status="merged", merged_into_id=some_id("anna"))
    for number in range(4):
        event.face(f"a{number}", 0, label=0, person="anna")
    event.face("not gone", 0, label=0, rejected=("gone",))
    assert some_id("not gone") not in event.plan().assignments


def test_a_rejection_that_came_after_the_face_takes_it_out() -> None:
    event = SmallEvent()
    event.person("anna")
    for number in range(4):
        event.face(f"a{number}", 0, label=0, person="anna")
    event.face("rejected", 0, label=0, person="anna", rejected=("anna",))
    assert event.plan().assignments == {some_id("rejected"): None}


@pytest.mark.parametrize("status", ["linked", "invited", "ignored"])
def test_new_faces_of_a_held_person_are_suggested_not_added(status: str) -> None:
    event = SmallEvent()
    event.person("anna", status=status)
    for number in range(4):
        event.face(f"a{number}", 0, label=0, person="anna")
    event.face("new", 0, label=0)
    plan = event.plan()
    assert not plan.assignments
    assert [(s.face_id, s.person_id) for s in plan.suggestions] == [(some_id("new"), some_id("anna"))]
    assert 0.35 <= plan.suggestions[0].score <= 1.0


def test_a_held_person_keeps_its_faces_even_where_clusters_say_otherwise() -> None:
    event = SmallEvent()
    event.person("anna", status="linked")
    event.person("bea")
    for number in range(4):
        event.face(f"a{number}", 0, label=-1, person="anna")
        event.face(f"b{number}", 1, label=1, person="bea")
    event.face("in the wrong cluster", 1, label=1, person="anna")
    assert not event.plan().assignments


def test_a_face_rejected_from_a_held_person_is_not_suggested_to_it() -> None:
    event = SmallEvent()
    event.person("anna", status="linked")
    for number in range(4):
        event.face(f"a{number}", 0, label=0, person="anna")
    event.face("no", 0, label=0, rejected=("anna",))
    assert not event.plan().suggestions


def test_a_face_is_not_suggested_to_a_person_who_is_in_its_photo() -> None:
    event = SmallEvent()
    event.person("anna", status="linked")
    for number in range(4):
        event.face(f"a{number}", 0, label=0, person="anna", photo=f"p{number}")
    event.face("a cousin", 0, blend=1, weight=1.5, label=0, photo="p0")
    assert not event.plan().suggestions
    event.face("in the mirror", 0, label=0, photo="p1")
    assert [suggestion.face_id for suggestion in event.plan().suggestions] == [some_id("in the mirror")]


def test_a_pending_person_clustered_with_a_held_one_stays_and_the_merge_is_suggested() -> None:
    event = SmallEvent()
    event.person("anna", status="linked")
    event.person("anna again")
    for number in range(3):
        event.face(f"a{number}", 0, label=0, person="anna")
        event.face(f"b{number}", 0, label=0, person="anna again")
    plan = event.plan()
    assert not plan.assignments
    assert [(m.into_person_id, m.from_person_id) for m in plan.merge_suggestions] == [
        (some_id("anna"), some_id("anna again"))
    ]


def test_merged_stays_merged_although_the_clusters_differ() -> None:
    event = SmallEvent()
    event.person("anna", touched_by_human=True)
    event.person("gone", status="merged", merged_into_id=some_id("anna"))
    for number in range(4):
        event.face(f"a{number}", 0, label=0, person="anna")
        event.face(f"b{number}", 1, label=1, person="anna")
    assert not event.plan().assignments


def test_a_face_left_in_a_merged_person_goes_to_the_survivor_at_the_end_of_the_chain() -> None:
    event = SmallEvent()
    event.person("anna", touched_by_human=True)
    event.person("second", status="merged", merged_into_id=some_id("anna"))
    event.person("third", status="merged", merged_into_id=some_id("second"))
    for number in range(4):
        event.face(f"a{number}", 0, label=0, person="anna")
    event.face("left behind", 0, label=0, person="third", placed=True)
    plan = event.plan()
    assert plan.assignments == {some_id("left behind"): some_id("anna")}
    assert plan.moved_faces == 0


def test_split_stays_split_although_hdbscan_sees_one_cluster() -> None:
    event = SmallEvent()
    event.person("anna")
    event.person("her twin", touched_by_human=True)
    for number in range(5):
        event.face(f"a{number}", 0, label=0, person="anna")
    for number in range(3):
        event.face(f"t{number}", 0, label=0, person="her twin", placed=True, rejected=("anna",))
    plan = event.plan()
    assert not plan.assignments
    assert not plan.merge_suggestions


def test_a_cluster_with_placed_faces_of_two_persons_is_divided_between_them() -> None:
    event = SmallEvent()
    event.person("anna")
    event.person("bea")
    for number in range(2):
        event.face(f"a{number}", 0, label=0, person="anna", placed=True)
        event.face(f"b{number}", 1, label=0, person="bea", placed=True)
    event.face("new a", 0, label=0)
    event.face("new b", 1, label=0)
    assert event.plan().assignments == {some_id("new a"): some_id("anna"), some_id("new b"): some_id("bea")}


def test_clusters_with_placed_faces_of_one_person_are_that_person() -> None:
    event = SmallEvent()
    event.person("anna")
    for axis in (0, 1):
        event.face(f"placed {axis}", axis, label=axis, person="anna", placed=True)
        for number in range(3):
            event.face(f"{axis}/{number}", axis, label=axis)
    assert set(event.plan().assignments.values()) == {some_id("anna")}


def test_two_people_of_one_photo_never_come_into_one_person() -> None:
    event = SmallEvent()
    for number in range(4):
        event.face(str(number), 0, label=0)
    event.face("like them", 0, blend=1, label=0, photo="garden")
    event.face("like them too", 0, blend=2, label=0, photo="garden")
    event.run()
    assert [event.person_of("like them"), event.person_of("like them too")].count(None) == 1


def test_a_person_in_a_mirror_is_that_person_twice() -> None:
    event = SmallEvent()
    for number in range(4):
        event.face(str(number), 0, label=0)
    event.face("mirror 1", 0, label=0, photo="bathroom")
    event.face("mirror 2", 0, label=0, photo="bathroom")
    event.run()
    assert event.person_of("mirror 1") == event.person_of("mirror 2") == event.person_of("0") is not None
    assert event.run().changes_nothing


def test_two_faces_of_one_photo_that_a_human_placed_so_stay_and_a_third_does_not_come() -> None:
    event = SmallEvent()
    event.person("anna")
    event.face("face", 0, label=0, person="anna", placed=True, photo="bathroom")
    event.face("a drawing of her", 1, label=0, person="anna", placed=True, photo="bathroom")
    event.face("a third", 0, blend=2, label=0, photo="bathroom")
    assert not event.plan().assignments


def test_an_emptied_pending_person_is_deleted_unless_a_human_touched_it() -> None:
    event = SmallEvent()
    event.person("empty")
    event.person("made by hand", touched_by_human=True)
    event.person("with a chosen cover", cover_chosen_by_human=True)
    event.person("linked", status="linked")
    event.person("survivor")
    event.person("gone", status="merged", merged_into_id=some_id("survivor"))
    assert event.plan().emptied_persons == (some_id("empty"),)


def test_a_new_person_of_one_face_is_not_made() -> None:
    event = SmallEvent()
    event.person("anna")
    event.face("one", 0, label=0, rejected=("anna",))
    event.face("two", 0, label=0, person="anna", placed=True)
    plan = event.plan()
    assert not plan.assignments
    assert not plan.new_persons


def test_the_cover_follows_the_best_face_but_not_against_a_human() -> None:
    event = SmallEvent()
    event.person("auto")
    event.person("chosen", cover_chosen_by_human=True, representative_face_id=some_id("c0"))
    event.person("held", status="linked", representative_face_id=some_id("h0"))
    for axis, name in enumerate(("auto", "chosen", "held")):
        for number in range(3):
            event.face(f"{name[0]}{number}", axis, label=axis, person=name)
    event.faces = [
        FaceState(**{**face.__dict__, "cover_score": 0.99}) if face.face_id == some_id(f"{letter}2") else face
        for letter, face in zip("aaaccchhh", event.faces, strict=True)
    ]
    assert event.plan().representatives == {some_id("auto"): some_id("a2")}


def test_a_cover_whose_face_left_is_chosen_anew() -> None:
    event = SmallEvent()
    event.person("held", status="linked", representative_face_id=some_id("gone"))
    for number in range(3):
        event.face(str(number), 0, label=0, person="held")
    assert set(event.plan().representatives) == {some_id("held")}


def test_look_alikes_that_share_a_photo_are_not_suggested_for_merging() -> None:
    event = SmallEvent()
    event.person("anna")
    event.person("her cousin")
    for number in range(3):
        event.face(f"a{number}", 0, label=0, person="anna", photo=f"p{number}")
        event.face(f"t{number}", 0, blend=1, label=1, person="her cousin", photo="p0" if number == 0 else None)
    assert not event.plan().merge_suggestions


def test_twins_who_stand_side_by_side_stay_two_and_are_asked_about() -> None:
    event = SmallEvent()
    event.person("anna")
    event.person("her twin")
    for number in range(4):
        photo = "both" if number == 3 else None
        event.face(f"a{number}", 0, blend=2, weight=2, label=0, person="anna", photo=photo)
        event.face(f"t{number}", 1, blend=2, weight=2, label=1, person="her twin", photo=photo)
    plan = event.plan()
    assert not plan.assignments
    (question,) = plan.merge_suggestions
    assert {question.into_person_id, question.from_person_id} == {some_id("anna"), some_id("her twin")}


def test_halves_of_a_person_that_never_share_a_photo_are_suggested_for_merging() -> None:
    event = SmallEvent()
    event.person("anna")
    event.person("anna again")
    for number in range(3):
        event.face(f"a{number}", 0, label=0, person="anna")
        event.face(f"b{number}", 0, label=1, person="anna again")
    (suggestion,) = event.plan().merge_suggestions
    assert {suggestion.into_person_id, suggestion.from_person_id} == {some_id("anna"), some_id("anna again")}


def test_two_identified_persons_are_not_suggested_for_merging() -> None:
    event = SmallEvent()
    event.person("anna", status="linked")
    event.person("her twin", status="linked")
    for number in range(3):
        event.face(f"a{number}", 0, label=0, person="anna")
        event.face(f"b{number}", 0, label=1, person="her twin")
    assert not event.plan().merge_suggestions


def test_a_broken_chain_of_merges_leaves_its_faces_to_the_clusters() -> None:
    event = SmallEvent()
    event.person("lost", status="merged", merged_into_id=some_id("also lost"))
    event.person("also lost", status="merged", merged_into_id=some_id("lost"))
    for number in range(3):
        event.face(str(number), 0, label=0, person="lost")
    plan = event.plan()
    assert len(plan.new_persons) == 1
    assert set(plan.assignments.values()) == {plan.new_persons[0].person_id}


# ---------------------------------------------------------------- put together by hand


def two_people() -> SmallEvent:
    """Anna and Bea, five photos each, both known."""
    event = SmallEvent()
    event.person("anna")
    event.person("bea")
    for number in range(5):
        event.face(f"a{number}", 0, spread=0.05, label=0, person="anna")
        event.face(f"b{number}", 1, spread=0.05, label=1, person="bea")
    assert event.plan().changes_nothing or not event.plan().assignments
    return event


def move(event: SmallEvent, faces: list[str], to: str) -> None:
    """As a human does it."""
    moved = {some_id(name) for name in faces}
    event.faces = [
        replace(
            face,
            person_id=some_id(to),
            placed_by_human=True,
            rejected_person_ids=(face.rejected_person_ids | ({face.person_id} if face.person_id else set()))
            - {some_id(to)},
        )
        if face.face_id in moved
        else face
        for face in event.faces
    ]
    event.persons = [
        replace(person, touched_by_human=True) if person.person_id == some_id(to) else person
        for person in event.persons
    ]


@pytest.mark.parametrize("count", [1, 2, 4, 5])
def test_faces_moved_into_a_person_push_none_of_its_own_out(count: int) -> None:
    event = two_people()
    before = event.faces
    move(event, [f"a{number}" for number in range(count)], "bea")
    event.face("the next photo", 5, label=-1)
    event.run()
    assert {event.person_of(f"b{number}") for number in range(5)} == {some_id("bea")}
    assert {event.person_of(f"a{number}") for number in range(count)} == {some_id("bea")}
    assert {event.person_of(f"a{number}") for number in range(count, 5)} <= {some_id("anna")}
    event.faces = [*before, event.faces[-1]]  # undone
    event.run()
    assert {event.person_of(f"b{number}") for number in range(5)} == {some_id("bea")}


def test_a_face_of_nobody_that_is_put_into_a_person_takes_no_others_along() -> None:
    event = two_people()
    event.face("late", 0, spread=0.05, label=0)
    move(event, ["late"], "bea")
    assert not event.plan().assignments


def test_faces_moved_into_a_person_do_not_make_its_borderline_faces_leave() -> None:
    event = two_people()
    event.face("half in the dark", 1, blend=7, weight=2, label=-1, person="bea")
    assert not event.plan(KEEPING).assignments, "it fits well enough"
    move(event, [f"a{number}" for number in range(5)], "bea")
    assert not event.plan(KEEPING).assignments


def test_a_person_put_together_by_hand_stays_whole_beside_many_new_faces() -> None:
    event = two_people()
    event.labels = [label + 2 * (number >= 5 and label == 1) for number, label in enumerate(event.labels)]
    move(event, ["a0"], "bea")
    for number in range(20):
        event.face(f"n{number}", 1, spread=0.05, label=3)
    event.run()
    assert {event.person_of(f"b{number}") for number in range(5)} == {some_id("bea")}
