"""Decisions on a real Postgres: what each does, and that tags follow."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from functions.admin.door.problems import Problem
from functions.admin.review import decisions, ledger
from shared.database import Connection, Database
from tests import arrange
from tests.integration.admin.reviewing import Review


@pytest.fixture
def review(database: Database, connection: Connection) -> Review:
    return Review(database, connection)


def refusal(act: Callable[[], object]) -> Problem:
    with pytest.raises(Problem) as caught:
        act()
    return caught.value


def test_a_link_tags_the_user_once_in_every_photo_of_the_person(review: Review) -> None:
    person, user = review.people()[0], review.members[0]
    with review.database.transaction() as connection:
        decided = decisions.link(connection, review.organiser, person, user)
        answer = decisions.answer(connection, decided)
    assert review.tagged(user) == dict.fromkeys(review.media_of(person), "face_clustering")
    assert answer["person"]["status"] == "linked"
    assert answer["person"]["linked_user"]["id"] == str(user)
    assert answer["person"]["version"] == 1


def test_a_manual_tag_is_never_touched(review: Review) -> None:
    person, user = review.people()[0], review.members[0]
    media_id = min(review.media_of(person))
    review.connection.execute(
        "INSERT INTO media_tags (media_id, tagged_user_id, source) VALUES (%s, %s, 'manual')", (media_id, user)
    )
    with review.database.transaction() as connection:
        decisions.link(connection, review.organiser, person, user)
    assert review.tagged(user)[media_id] == "manual"
    with review.database.transaction() as connection:
        decisions.unlink(connection, review.organiser, person)
    assert review.tagged(user) == {media_id: "manual"}


def test_who_is_not_a_member_cannot_be_linked(review: Review) -> None:
    stranger = arrange.user(review.connection)
    with review.database.transaction() as connection:
        problem = refusal(lambda: decisions.link(connection, review.organiser, review.people()[0], stranger))
    assert (problem.status, problem.code) == (422, "not_a_member")


def test_a_second_person_of_one_user_is_answered_with_the_first(review: Review) -> None:
    first, second, *_ = review.people()
    with review.database.transaction() as connection:
        decisions.link(connection, review.organiser, first, review.members[0])
    with review.database.transaction() as connection:
        problem = refusal(lambda: decisions.link(connection, review.organiser, second, review.members[0]))
    assert (problem.status, problem.code) == (409, "user_already_linked")
    assert problem.extra["linked_person"]["id"] == str(first)


def test_merging_hands_faces_link_and_tags_to_the_survivor(review: Review) -> None:
    survivor, gone, *_ = review.people()
    user = review.members[0]
    photos = review.media_of(survivor) | review.media_of(gone)
    cover = review.row(survivor)["representative_face_id"]
    with review.database.transaction() as connection:
        decisions.link(connection, review.organiser, gone, user)
    with review.database.transaction() as connection:
        decided = decisions.merge(connection, review.organiser, [gone], survivor)
    assert decided.person_id == survivor
    assert (review.row(survivor)["status"], review.row(survivor)["linked_user_id"]) == ("linked", user)
    assert review.row(survivor)["representative_face_id"] == cover
    assert (review.row(gone)["status"], review.row(gone)["merged_into_id"]) == ("merged", survivor)
    assert review.faces_of(gone) == []
    assert review.tagged(user).keys() == photos
    review.cluster()
    assert review.media_of(survivor) == photos


def test_persons_who_share_a_photo_are_merged_with_both_of_their_faces_in_it(review: Review) -> None:
    survivor, gone = next(
        (first, second)
        for first in review.people()
        for second in review.people()
        if first != second and review.media_of(first) & review.media_of(second)
    )
    faces = sorted(review.faces_of(survivor) + review.faces_of(gone))
    with review.database.transaction() as connection:
        decisions.merge(connection, review.organiser, [gone], survivor)
    review.arrive(0, 2, seed=1)
    review.cluster()
    assert set(faces) <= set(review.faces_of(survivor))


def test_persons_of_different_users_are_not_merged(review: Review) -> None:
    first, second, *_ = review.people()
    with review.database.transaction() as connection:
        decisions.link(connection, review.organiser, first, review.members[0])
        decisions.link(connection, review.organiser, second, review.members[1])
    before = review.snapshot()
    with review.database.transaction() as connection:
        problem = refusal(lambda: decisions.merge(connection, review.organiser, [second], first))
    assert (problem.status, problem.code) == (409, "two_people")
    assert problem.extra["current"]["id"] == str(first)
    assert review.snapshot() == before


def test_split_faces_are_a_person_of_their_own_and_stay_it(review: Review) -> None:
    person = review.people()[0]
    user = review.members[0]
    wrong = review.faces_of(person)[:2]
    with review.database.transaction() as connection:
        decisions.link(connection, review.organiser, person, user)
        decided = decisions.split(connection, review.organiser, person, wrong)
    made = decided.made_person_id
    assert made is not None
    assert review.faces_of(made) == wrong
    assert review.tagged(user).keys() == review.media_of(person)
    review.cluster()
    assert review.faces_of(made) == wrong
    assert set(review.faces_of(person)).isdisjoint(wrong)


def test_all_faces_of_a_person_are_not_split_off(review: Review) -> None:
    person = review.people()[0]
    with review.database.transaction() as connection:
        problem = refusal(lambda: decisions.split(connection, review.organiser, person, review.faces_of(person)))
    assert (problem.status, problem.code) == (422, "all_faces")


def test_a_moved_face_changes_the_tags_of_both_persons(review: Review) -> None:
    first, second, *_ = review.people()
    one, two = review.members[:2]
    with review.database.transaction() as connection:
        decisions.link(connection, review.organiser, first, one)
        decisions.link(connection, review.organiser, second, two)
    face = review.faces_of(first)[0]
    with review.database.transaction() as connection:
        decisions.move(connection, review.organiser, [face], second)
    assert face in review.faces_of(second)
    assert review.tagged(one).keys() == review.media_of(first)
    assert review.tagged(two).keys() == review.media_of(second)
    review.cluster()
    assert face in review.faces_of(second)


def test_an_accepted_suggestion_tags_with_its_own_source(review: Review) -> None:
    person, user = review.people()[0], review.members[0]
    with review.database.transaction() as connection:
        decisions.link(connection, review.organiser, person, user)
    for each in range(review.persons):
        review.arrive(each, 1, seed=each)
    review.cluster()
    suggested = review.connection.execute(
        "SELECT face_id FROM face_suggestions WHERE face_person_id = %s", (person,)
    ).fetchone()
    assert suggested is not None
    with review.database.transaction() as connection:
        decisions.move(connection, review.organiser, [suggested["face_id"]], person)
    media = review.connection.execute("SELECT media_id FROM faces WHERE id = %s", (suggested["face_id"],)).fetchone()
    assert media is not None
    assert review.tagged(user)[media["media_id"]] == "suggested"
    assert not review.connection.execute(
        "SELECT FROM face_suggestions WHERE face_id = %s", (suggested["face_id"],)
    ).fetchall()


def test_a_rejected_face_never_comes_back(review: Review) -> None:
    person = review.people()[0]
    face = review.faces_of(person)[0]
    with review.database.transaction() as connection:
        decisions.reject(connection, review.organiser, [face])
    for seed in range(3):
        review.arrive(0, 1, seed)
        review.cluster()
        assert face not in review.faces_of(person)


def test_a_rejection_says_which_person_when_the_faces_are_of_several(review: Review) -> None:
    faces = [review.faces_of(person)[0] for person in review.people()[:2]]
    with review.database.transaction() as connection:
        problem = refusal(lambda: decisions.reject(connection, review.organiser, faces))
    assert (problem.status, problem.code) == (422, "which_person")


def test_persons_told_apart_are_not_brought_together(review: Review) -> None:
    first, second, *_ = review.people()
    review.connection.execute(
        "INSERT INTO merge_suggestions VALUES (least(%(a)s::uuid, %(b)s), greatest(%(a)s::uuid, %(b)s), 0.6)",
        {"a": first, "b": second},
    )
    with review.database.transaction() as connection:
        decisions.distinct(connection, review.organiser, first, second)
    assert arrange.rows(review.connection, "merge_suggestions") == []
    review.cluster()
    assert arrange.rows(review.connection, "merge_suggestions") == []


def test_ignored_is_restored(review: Review) -> None:
    person = review.people()[0]
    with review.database.transaction() as connection:
        decisions.ignore(connection, review.organiser, person)
        assert refusal(lambda: decisions.ignore(connection, review.organiser, person)).code == "is_ignored"
        decisions.restore(connection, review.organiser, person)
    assert review.row(person)["status"] == "pending"


def test_a_cover_that_a_human_chose_stays(review: Review) -> None:
    person = review.people()[0]
    chosen = next(face for face in review.faces_of(person) if face != review.row(person)["representative_face_id"])
    with review.database.transaction() as connection:
        decisions.cover(connection, review.organiser, person, chosen)
    review.arrive(0, 2, seed=1)
    review.cluster()
    assert review.row(person)["representative_face_id"] == chosen


def test_a_cover_that_is_moved_away_gives_way(review: Review) -> None:
    first, second, *_ = review.people()
    cover = review.row(first)["representative_face_id"]
    assert isinstance(cover, UUID)
    with review.database.transaction() as connection:
        decisions.move(connection, review.organiser, [cover], second)
    assert review.row(first)["representative_face_id"] in review.faces_of(first)
    assert review.row(first)["metadata"]["face_count"] == len(review.faces_of(first))  # type: ignore[index]


def test_an_accepted_invitation_links_tags_and_makes_a_member(review: Review) -> None:
    person = review.people()[0]
    guest = arrange.user(review.connection)
    with review.database.transaction() as connection:
        invitation = review.invite(connection, person)
    with review.database.transaction() as connection:
        decisions.accept(connection, invitation, guest)
    assert review.row(person)["linked_user_id"] == guest
    assert review.tagged(guest).keys() == review.media_of(person)
    with review.database.transaction() as connection:
        assert refusal(lambda: decisions.accept(connection, invitation, guest)).status == 410
        assert refusal(lambda: decisions.decline(connection, invitation)).status == 410


def test_who_accepts_for_a_second_person_is_one_person_after_it(review: Review) -> None:
    first, second, *_ = review.people()
    photos = review.media_of(first) | review.media_of(second)
    user = review.members[0]
    with review.database.transaction() as connection:
        decisions.link(connection, review.organiser, first, user)
        invitation = review.invite(connection, second)
    with review.database.transaction() as connection:
        decided = decisions.accept(connection, invitation, user)
    assert decided.person_id == first
    assert review.row(second)["status"] == "merged"
    assert review.tagged(user).keys() == photos


def test_who_declined_is_not_asked_or_linked_again_unless_it_is_said_so(review: Review) -> None:
    person = review.people()[0]
    member = review.members[0]
    review.connection.execute("UPDATE users SET email = 'Guest@Example.org' WHERE id = %s", (member,))
    with review.database.transaction() as connection:
        invitation = review.invite(connection, person)
        decisions.decline(connection, invitation)
    with review.database.transaction() as connection:
        assert refusal(lambda: review.invite(connection, person)).code == "declined"
        assert refusal(lambda: decisions.link(connection, review.organiser, person, member)).code == "declined"
        decisions.link(connection, review.organiser, person, member, again=True)
    assert review.row(person)["status"] == "linked"


@pytest.mark.parametrize("what", ["expired", "withdrawn", "replaced"])
def test_an_invitation_that_no_longer_holds_is_not_accepted(review: Review, what: str) -> None:
    person = review.people()[0]
    with review.database.transaction() as connection:
        invitation = review.invite(connection, person)
        if what == "withdrawn":
            decisions.unlink(connection, review.organiser, person)
        elif what == "replaced":
            review.invite(connection, person, "other@example.org")
    if what == "expired":
        review.connection.execute(
            "UPDATE invitations SET created_at = now() - %s, expires_at = now() - %s",
            (timedelta(days=2), timedelta(days=1)),
        )
    with review.database.transaction() as connection:
        problem = refusal(lambda: decisions.accept(connection, invitation, review.members[0]))
    assert (problem.status, problem.code) == (410, "expired" if what == "expired" else "withdrawn")


def test_a_decision_on_a_version_that_is_no_longer_is_answered_with_the_state(review: Review) -> None:
    person = review.people()[0]
    with review.database.transaction() as connection:
        decisions.ignore(connection, review.organiser, person, version=0)
    with review.database.transaction() as connection:
        problem = refusal(lambda: decisions.restore(connection, review.organiser, person, version=0))
    assert (problem.status, problem.code) == (409, "changed")
    assert (problem.extra["current"]["status"], problem.extra["current"]["version"]) == ("ignored", 1)


def test_of_two_organisers_at_once_one_decides_and_one_is_told(review: Review) -> None:
    person = review.people()[0]
    barrier = threading.Barrier(2)
    outcomes: list[str] = []

    def decide(user: UUID) -> None:
        barrier.wait()
        try:
            with review.database.transaction() as connection:
                decisions.link(connection, review.organiser, person, user, version=0)
            outcomes.append("linked")
        except Problem as problem:
            outcomes.append(problem.code)

    threads = [threading.Thread(target=decide, args=(user,)) for user in review.members[:2]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["changed", "linked"]
    linked = review.row(person)["linked_user_id"]
    assert isinstance(linked, UUID)
    others = [user for user in review.members if user != linked]
    assert review.tagged(linked).keys() == review.media_of(person)
    assert all(review.tagged(user) == {} for user in others)


def test_a_person_of_another_event_is_no_survivor(review: Review) -> None:
    foreign = arrange.person(review.connection, arrange.event(review.connection))
    person = review.people()[0]
    with review.database.transaction() as connection:
        assert refusal(lambda: decisions.merge(connection, review.organiser, [person], foreign)).status == 404
        assert refusal(lambda: decisions.distinct(connection, review.organiser, person, foreign)).status == 404
        face = review.faces_of(person)[0]
        assert refusal(lambda: decisions.move(connection, review.organiser, [face], foreign)).status == 404


def test_undo_says_what_was_built_on_a_decision(review: Review) -> None:
    first, second, *_ = review.people()
    with review.database.transaction() as connection:
        merged = decisions.merge(connection, review.organiser, [second], first)
        linked = decisions.link(connection, review.organiser, first, review.members[0])
    with review.database.transaction() as connection:
        problem = refusal(lambda: ledger.undo(connection, review.organiser, review.event_id, merged.decision_id))
    assert (problem.status, problem.code) == (409, "built_upon")
    assert [decision["id"] for decision in problem.extra["decisions"]] == [str(linked.decision_id)]
    with review.database.transaction() as connection:
        ledger.undo(connection, review.organiser, review.event_id, linked.decision_id)
        ledger.undo(connection, review.organiser, review.event_id, merged.decision_id)
    assert review.row(second)["status"] == "pending"


def test_a_decision_is_undone_once_and_an_undo_never(review: Review) -> None:
    person = review.people()[0]
    with review.database.transaction() as connection:
        decided = decisions.ignore(connection, review.organiser, person)
        undone = ledger.undo(connection, review.organiser, review.event_id, decided.decision_id)
        for decision_id, code in ((decided.decision_id, "already_undone"), (undone, "is_undo")):
            problem = refusal(lambda: ledger.undo(connection, review.organiser, review.event_id, decision_id))  # noqa: B023
            assert (problem.status, problem.code) == (409, code)
        problem = refusal(lambda: ledger.undo(connection, review.organiser, review.event_id, uuid4()))
        assert problem.status == 404


def test_a_decision_asks_for_a_clustering_by_the_usual_debounce(review: Review) -> None:
    person = review.people()[0]
    review.connection.execute("UPDATE event_counters SET changed_photos = 0, first_change_at = NULL")
    with review.database.transaction() as connection:
        decisions.cover(connection, review.organiser, person, review.faces_of(person)[0])
    assert arrange.rows(review.connection, "event_counters")[0]["changed_photos"] == 0
    with review.database.transaction() as connection:
        decisions.ignore(connection, review.organiser, person)
    counters = arrange.rows(review.connection, "event_counters")[0]
    assert (counters["changed_photos"], counters["decision_version"]) == (1, 2)
