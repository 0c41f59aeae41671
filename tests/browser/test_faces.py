"""The page of a person: wrong faces out, the right ones together. Each journey on a phone and on a laptop."""

from __future__ import annotations

import re
from uuid import UUID

from playwright.sync_api import expect

from tests.browser.conftest import OpenWindow, both
from tests.browser.pages import PHONE, Window
from tests.browser.stage import Scene, Stage
from tests.integration.end_to_end.whole_cloud import wait_until


@both
def test_wrong_faces_are_selected_as_a_range_and_taken_out_for_good(
    scene: Scene, open_window: OpenWindow, window: Window
) -> None:
    person = scene.people()[0]
    faces = scene.faces_of(person)
    page = open_window(scene, window)
    page.visit(person)
    page.tiles.nth(0).locator(".pick input").click()
    page.tiles.nth(2).locator(".pick input").click(modifiers=["Shift"])
    expect(page.bar).to_contain_text(f"3 {'visages' if window is PHONE else 'faces'}")
    page.press("reject", page.bar)
    expect(page.tiles).to_have_count(len(faces) - 3)
    wait_until(lambda: len(scene.faces_of(person)) == len(faces) - 3, "the faces are out", 30)
    rejected = scene.stage.rows("SELECT face_id FROM face_rejections WHERE face_person_id = %s", person)
    assert len(rejected) == 3
    page.undo()
    expect(page.tiles).to_have_count(len(faces))


@both
def test_faces_become_a_new_person_and_move_to_another(scene: Scene, open_window: OpenWindow, window: Window) -> None:
    person, target, *_ = scene.people()
    known = set(scene.people())
    at_target = len(scene.faces_of(target))
    page = open_window(scene, window)
    page.visit(person)
    page.tiles.nth(0).locator(".pick input").check()
    page.tiles.nth(1).locator(".pick input").check()
    page.press("split", page.bar)
    wait_until(lambda: set(scene.people()) > known, "there is a new person", 30)
    made = next(iter(set(scene.people()) - known))
    assert len(scene.faces_of(made)) == 2

    page.tiles.nth(0).locator(".pick input").check()
    # What others decide is asked for meanwhile: the toast still leaves the bar free.
    with page.page.expect_response(re.compile("/face-persons")):
        page.page.evaluate("() => void dispatchEvent(new Event('online'))")
    page.press("move", page.bar)
    page.dialog.locator(".pick-person").nth(1).click()
    wait_until(
        lambda: any(len(scene.faces_of(other)) > before for other, before in [(target, at_target), (made, 2)]),
        "the face is with the other person",
        30,
    )


@both
def test_the_person_to_merge_with_is_looked_for_among_the_most_alike_first(
    scene: Scene, open_window: OpenWindow, window: Window
) -> None:
    asked, *others = scene.people()
    wanted = others[::-1]
    for number, person in enumerate(wanted):
        # Cosines from 0.9 down.
        likeness = [0.0] * 512
        likeness[0], likeness[1 + number] = 0.9 - number / 20, 0.5
        scene.stage.rows("UPDATE faces SET embedding = %s::vector WHERE face_person_id = %s", str(likeness), person)
    front = [1.0, *[0.0] * 511]
    scene.stage.rows("UPDATE faces SET embedding = %s::vector WHERE face_person_id = %s", str(front), asked)
    page = open_window(scene, window)
    page.visit(asked)
    page.page.locator("summary", has_text=page.say("more")).click()
    page.press("merge with", page.page.locator(".acts"))
    expect(page.dialog).to_contain_text(page.say("alike first"))
    shown = [picture.get_attribute("src") for picture in page.dialog.locator(".pick-person img").all()]
    covers = {person: scene.person(person)["representative_face_id"] for person in wanted}
    assert shown == [f"/face/{covers[person]}/thumbnail" for person in wanted]
    page.dialog.locator(".pick-person").first.click()
    page.press("merge", page.dialog.locator(".dialog-foot"))
    wait_until(lambda: "merged" in {scene.person(one)["status"] for one in (asked, wanted[0])}, "they are one", 30)


@both
def test_a_cover_is_chosen_and_a_photo_is_seen_large(scene: Scene, open_window: OpenWindow, window: Window) -> None:
    person = scene.people()[0]
    page = open_window(scene, window)
    page.visit(person)
    page.tiles.nth(1).locator(".see").click()
    expect(page.dialog.locator(".frame.placed")).to_be_visible()
    page.keys("ArrowRight")
    expect(page.dialog.locator(".place")).to_contain_text("3 ")
    page.keys("Escape")
    page.tiles.nth(1).locator(".pick input").check()
    face = UUID(page.tiles.nth(1).get_attribute("data-id"))
    page.press("cover", page.bar)
    wait_until(lambda: scene.person(person)["representative_face_id"] == face, "the cover is the one chosen", 30)


@both
def test_a_person_is_erased_only_after_being_told_what_that_means(
    stage: Stage, drawn: UUID, open_window: OpenWindow, window: Window
) -> None:
    # The pictures of the copies are the original's: this one does without, so that erasing takes none along.
    scene = Scene.copied(stage, drawn, pictures=False)
    person = scene.people()[0]
    faces = len(scene.faces_of(person))
    page = open_window(scene, window)
    page.visit(person)
    page.page.locator("summary", has_text=page.say("more")).click()
    page.press("erase", page.page.locator(".acts"))
    expect(page.dialog).to_contain_text(f"{faces} {'visages' if window is PHONE else 'faces'}")
    page.press("erase for good", page.dialog)
    expect(page.card(person)).to_have_count(0)
    wait_until(lambda: scene.faces_of(person) == [], "the faces are erased", 30)
