"""What organisers decide, from the first press to the row in the database.

Each journey is made twice: on a phone in French and light, and on a laptop in English and dark.
"""

from __future__ import annotations

import re
from uuid import UUID

from playwright.sync_api import expect

from tests.browser.conftest import OpenWindow, both
from tests.browser.pages import LAPTOP, ReviewPage, Window
from tests.browser.stage import Scene
from tests.integration.end_to_end.whole_cloud import wait_until


@both
def test_assigning_a_member_tags_every_photo_and_undo_takes_it_back(
    scene: Scene, open_window: OpenWindow, window: Window
) -> None:
    person = scene.people()[0]
    user = scene.member("Zoé Lefèvre")
    page = open_window(scene, window)
    page.act(person, "assign")
    expect(page.dialog.locator(".previews li")).to_have_count(5)
    page.dialog.get_by_role("combobox").fill("zoe")
    expect(page.dialog.get_by_role("option")).to_have_text(["ZLZoé Lefèvre"])
    page.keys("Enter")
    expect(page.toast).to_contain_text("Zoé Lefèvre")
    expect(page.card(person)).to_have_count(0)
    scene.wait_until(person, "linked")
    assert scene.tagged(user) == scene.person(person)["photos"] > 0
    page.show("linked")
    expect(page.card(person)).to_contain_text("Zoé Lefèvre")
    page.undo()
    scene.wait_until(person, "pending")
    assert scene.tagged(user) == 0
    page.show("open")
    expect(page.card(person)).to_be_visible()


@both
def test_everybody_is_identified_one_by_one(scene: Scene, open_window: OpenWindow, window: Window) -> None:
    first, second, third, *_ = scene.people()
    page = open_window(scene, window)
    page.press("start")
    expect(page.dialog).to_contain_text(re.compile(r"(Personne|Person) 1 (sur|of) "))
    page.dialog.get_by_role("option", name="Bruno Petit").click()
    expect(page.dialog).to_contain_text(re.compile(r"(Personne|Person) 2 (sur|of) "))
    page.press("skip", page.dialog)
    expect(page.dialog).to_contain_text(re.compile(r"(Personne|Person) 3 (sur|of) "))
    page.dialog.get_by_role("option", name="Alix Moreau").click()
    scene.wait_until(first, "linked")
    scene.wait_until(third, "linked")
    assert scene.person(second)["status"] == "pending"


@both
def test_a_member_who_is_another_person_already_is_brought_together(
    scene: Scene, open_window: OpenWindow, window: Window
) -> None:
    one, other, *_ = scene.people()
    page = open_window(scene, window)
    page.act(one, "assign")
    page.dialog.get_by_role("option", name="Alix Moreau").click()
    page.act(other, "assign")
    page.dialog.get_by_role("combobox").fill("alix")
    page.dialog.get_by_role("option", name="Alix Moreau").click()
    expect(page.dialog.locator(".column.kept")).to_contain_text("Alix Moreau")
    page.press("merge", page.dialog)
    scene.wait_until(other, "merged")
    assert scene.person(other)["merged_into_id"] == one


@both
def test_two_persons_are_merged_and_the_history_takes_it_back(
    scene: Scene, open_window: OpenWindow, window: Window
) -> None:
    one, other, *_ = scene.people()
    before = scene.person(one)["faces"], scene.person(other)["faces"]
    page = open_window(scene, window)
    page.pick(one)
    expect(page.bar.locator(".primary")).to_be_disabled()
    page.pick(other)
    expect(page.bar).to_contain_text(re.compile(r"^2 (personnes sélectionnées|people selected)"))
    page.press("merge these", page.bar)
    expect(page.dialog.locator(".column")).to_have_count(2)
    page.press("swap", page.dialog)
    page.press("merge", page.dialog.locator(".dialog-foot"))
    scene.wait_until(one, "merged")
    expect(page.card(one)).to_have_count(0)

    page.go("history")
    page.press("undo", page.page.locator(".history"))
    wait_until(
        lambda: (scene.person(one)["faces"], scene.person(other)["faces"]) == before, "both are as they were", 30
    )
    page.go("people")
    expect(page.card(one)).to_be_visible()


@both
def test_an_ignored_person_leaves_the_list_and_is_restored(
    scene: Scene, open_window: OpenWindow, window: Window
) -> None:
    person = scene.people()[1]
    page = open_window(scene, window)
    page.act(person, "ignore")
    expect(page.card(person)).to_have_count(0)
    scene.wait_until(person, "ignored")
    page.show("ignored")
    page.act(person, "restore")
    scene.wait_until(person, "pending")


@both
def test_questions_are_answered_yes_no_and_later(scene: Scene, open_window: OpenWindow, window: Window) -> None:
    first, second, third, fourth, *_ = scene.people()
    for score, one, other in [(0.9, first, second), (0.8, third, fourth), (0.7, first, third)]:
        statement = "INSERT INTO merge_suggestions VALUES (%s, %s, %s)"
        scene.stage.rows(statement, min(one, other), max(one, other), score)
    face = scene.faces_of(fourth)[0]
    scene.stage.rows("INSERT INTO face_suggestions (face_id, face_person_id, score) VALUES (%s, %s, 0.6)", face, third)
    page = open_window(scene, window)
    expect(page.page.locator(".questions")).to_contain_text("4 questions")
    page.go("suggestions")
    expect(page.page.get_by_role("heading", name=page.say("question"))).to_be_visible()
    page.press("yes", page.page.locator(".answers"))
    wait_until(lambda: "merged" in {scene.person(one)["status"] for one in (first, second)}, "they are one", 30)
    page.press("no", page.page.locator(".answers"))
    told_apart = "SELECT id FROM decisions WHERE event_id = %s AND kind = 'distinct'"
    wait_until(lambda: len(scene.stage.rows(told_apart, scene.event_id)) == 1, "they are told apart", 30)
    # The third asked about somebody who is merged by now, unless they are the one who stayed.
    if scene.person(first)["status"] != "merged":
        page.press("skip", page.page.locator(".answers"))
    page.press("no", page.page.locator(".answers"))
    rejected = "SELECT face_id FROM face_rejections WHERE face_id = %s AND face_person_id = %s"
    wait_until(lambda: len(scene.stage.rows(rejected, face, third)) == 1, "the face is not theirs", 30)
    page.undo()
    wait_until(lambda: scene.stage.rows(rejected, face, third) == [], "the answer is taken back", 30)


@both
def test_of_two_organisers_the_second_is_shown_what_the_first_decided(
    scene: Scene, open_window: OpenWindow, window: Window
) -> None:
    person = scene.people()[0]
    first, second = open_window(scene, window), open_window(window=window)
    # The second window learns nothing by itself.
    second.page.route("**/progress", lambda route: route.abort())
    second.open(scene.url)
    expect(second.card(person)).to_be_visible()
    first.act(person, "assign")
    first.dialog.get_by_role("option", name="Alix Moreau").click()
    scene.wait_until(person, "linked")
    second.act(person, "assign")
    second.dialog.get_by_role("option", name="Bruno Petit").click()
    expect(second.toast).to_contain_text(second.say("conflict"))
    second.show("linked")
    expect(second.card(person)).to_contain_text("Alix Moreau")
    assert scene.person(person)["status"] == "linked"


@both
def test_what_is_decided_offline_is_sent_once_when_the_network_is_back(
    scene: Scene, open_window: OpenWindow, window: Window
) -> None:
    person, other, *_ = scene.people()
    page = open_window(scene, window)
    expect(page.card(person)).to_be_visible()
    page.page.context.set_offline(True)
    page.act(person, "ignore")
    expect(page.card(person)).to_have_count(0)
    expect(page.notice).to_contain_text(page.say("offline"))
    expect(page.notice).to_contain_text(page.say("waiting"))
    page.act(other, "ignore")
    page.undo()
    expect(page.card(other)).to_be_visible()
    assert scene.person(person)["status"] == "pending"
    page.page.context.set_offline(False)
    scene.wait_until(person, "ignored")
    expect(page.notice).to_be_hidden()
    decided = scene.stage.rows("SELECT kind FROM decisions WHERE event_id = %s", scene.event_id)
    assert [row["kind"] for row in decided] == ["ignore"]
    assert scene.person(other)["status"] == "pending"


@both
def test_somebody_who_said_not_me_is_asked_again_only_when_the_organiser_insists(
    scene: Scene, open_window: OpenWindow, window: Window
) -> None:
    person = scene.people()[0]
    email = f"declined-{person.hex[:8]}@example.org"
    statement = """
        INSERT INTO invitations (id, event_id, face_person_id, token_hash, email, invited_by, expires_at, answer,
            answered_at)
        VALUES (gen_random_uuid(), %s, %s, decode(md5(random()::text) || md5(random()::text), 'hex'), %s, %s,
            now() + interval '1 day', 'declined', now())
    """
    scene.stage.rows(statement, scene.event_id, person, email, scene.organiser)
    page = open_window(scene, window)
    page.act(person, "invite")
    page.dialog.get_by_label(page.say("email")).fill(email)
    page.press("send", page.dialog)
    expect(page.dialog).to_contain_text(email)
    page.press("go on", page.dialog)
    scene.wait_until(person, "invited")


def test_the_whole_review_is_possible_with_the_keyboard_alone(scene: Scene, open_window: OpenWindow) -> None:
    people = scene.people()
    page = open_window(scene, LAPTOP)
    expect(page.page.locator(".card")).to_have_count(len(people))
    focused_card = page.page.locator(".card:has(:focus)")

    def shown() -> list[UUID]:
        return [UUID(card.get_attribute("data-id")) for card in page.page.locator(".card").all()]

    page.keys("?")
    expect(page.dialog).to_contain_text(page.say("keys"))
    page.keys("Escape", "Tab")
    reach_cards(page)
    # Assign the first card; the focus goes to the next one.
    first, second, third, fourth, *_ = shown()
    page.keys("a")
    expect(page.dialog.get_by_role("combobox")).to_be_focused()
    page.page.keyboard.type("bru")
    expect(page.dialog.get_by_role("option")).to_have_count(1)
    page.keys("Enter")
    scene.wait_until(first, "linked")
    expect(focused_card).to_have_attribute("data-id", str(second))
    # Ignore, and take it back.
    page.keys("g")
    scene.wait_until(second, "ignored")
    page.keys("z")
    scene.wait_until(second, "pending")
    expect(page.card(second)).to_be_visible()
    # Select two with x and merge them with m.
    page.card(third).locator("a.cover").focus()
    page.keys("x", "ArrowRight", "x", "m")
    expect(page.dialog.locator(".column")).to_have_count(2)
    page.keys("Enter")
    wait_until(lambda: "merged" in {scene.person(one)["status"] for one in (third, fourth)}, "they are one", 30)
    # On a person's page: two faces with shift and arrow, rejected.
    page.card(second).locator("a.cover").focus()
    page.keys("Enter")
    faces = len(scene.faces_of(second))
    expect(page.tiles).to_have_count(faces)
    page.tiles.nth(0).locator(".see").focus()
    page.keys("Shift+ArrowRight")
    expect(page.page.locator(".tile.selected")).to_have_count(2)
    page.bar.locator(".primary").focus()
    page.keys("Enter")
    wait_until(lambda: len(scene.faces_of(second)) == faces - 2, "the faces are out", 30)
    # Back to where it was.
    page.keys("p")
    expect(page.card(second).locator("a.cover")).to_be_focused()


def reach_cards(page: ReviewPage) -> None:
    """Tab until a card has the focus: everything before it is reached as well."""
    for _ in range(40):
        if page.page.evaluate("() => document.activeElement.matches('.card a')"):
            return
        page.keys("Tab")
    raise AssertionError("no card is reached with Tab")
