"""What is asked about one person, and the tray of faces in no person. Each on a phone and on a laptop."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.conftest import OpenWindow, both
from tests.browser.pages import PHONE, Window
from tests.browser.stage import Scene
from tests.integration.end_to_end.whole_cloud import wait_until

_BROKEN_WORDS = """answers => {
  const texts = document.createTreeWalker(answers, NodeFilter.SHOW_TEXT);
  const broken = [];
  while (texts.nextNode()) {
    for (const word of texts.currentNode.data.matchAll(/\\S+/g)) {
      const range = document.createRange();
      range.setStart(texts.currentNode, word.index);
      range.setEnd(texts.currentNode, word.index + word[0].length);
      if (new Set([...range.getClientRects()].map((rect) => Math.round(rect.top))).size > 1) broken.push(word[0]);
    }
  }
  return broken;
}"""
"""The words in an element that go on in another line."""


@both
def test_a_person_who_may_be_two_is_said_to_be_one_or_taken_apart(
    scene: Scene, open_window: OpenWindow, window: Window
) -> None:
    person = scene.people()[0]
    faces = scene.faces_of(person)
    for face in faces[-2:]:
        scene.stage.rows("INSERT INTO split_suggestions VALUES (%s, %s, 0.6)", person, face)
    page = open_window(scene, window)
    page.go("suggestions")
    expect(page.page.locator(".question h2")).to_have_text(page.say("one or two"))
    expect(page.page.locator(".question .side")).to_have_count(2)
    told = (
        "2 ressemblent peu aux autres"
        if window is PHONE
        else f"2 of these {len(faces)} faces do not look much like the others"
    )
    expect(page.page.locator(".question")).to_contain_text(told)
    assert page.violations() == []
    assert page.small_targets() == []
    assert page.page.locator(".answers").evaluate(_BROKEN_WORDS) == []
    page.press("one person", page.page.locator(".answers"))
    said = "SELECT said_to_be_one FROM face_persons WHERE id = %s"
    wait_until(lambda: scene.stage.rows(said, person)[0]["said_to_be_one"], "they are said to be one", 30)
    page.undo()
    wait_until(lambda: not scene.stage.rows(said, person)[0]["said_to_be_one"], "the answer is taken back", 30)
    page.press("two people", page.page.locator(".answers"))
    wait_until(lambda: set(scene.faces_of(person)) == set(faces[:-2]), "they are two", 30)
    page.go("history")
    expect(page.page.locator(".history li")).to_have_count(3)


@both
def test_faces_in_no_person_are_shown_with_the_reason(scene: Scene, open_window: OpenWindow, window: Window) -> None:
    small, blurred, turned, lonely, *_ = scene.faces_of(scene.people()[0])
    for face, measures in {
        small: "size_px = 12",
        blurred: "sharpness = 2",
        turned: "yaw = 85",
        lonely: "pitch = 0",
    }.items():
        # The measures are this test's own; of a statement nothing else is put together.
        scene.stage.rows(f"UPDATE faces SET face_person_id = NULL, {measures} WHERE id = %s", face)
    scene.stage.rows(
        """
        WITH job AS (
            INSERT INTO ml_jobs (job_type, event_id, status, result, completed_at)
            VALUES ('cluster', %s, 'completed', '{}', now()) RETURNING id, event_id
        )
        INSERT INTO cluster_runs (job_id, run, event_id, faces, clusters, persons, noise, churn, suggestions,
            milliseconds, parameters)
        SELECT id, 1, event_id, 0, 0, 0, 0, 0, 0, '{}', '{}' FROM job
        """,
        scene.event_id,
    )
    page = open_window(scene, window)
    tray = page.page.locator("details.nobody")
    expect(tray.locator("li")).to_have_count(0)
    tray.locator("summary").click()
    expect(tray.locator("li")).to_have_count(4)
    told = {
        small: ("Trop petit", "Too small"),
        blurred: ("Trop flou pour comparer", "Too blurred to compare"),
        turned: ("Trop tourné", "Turned too far"),
        lonely: ("Ne ressemble à aucun autre", "Like no other face"),
    }
    for face, words in told.items():
        expect(tray.locator(f'li[data-id="{face}"]')).to_contain_text(words[0 if window is PHONE else 1])
    # Without the cards: of those at the edge of the window the page's own bars hide a part.
    page.show("linked")
    assert page.violations() == []
    assert page.small_targets() == []
    assert not page.is_too_wide()
    # By keyboard alone: from the summary to the first face, its photo, and back to where one was.
    tray.locator("summary").focus()
    page.page.keyboard.press("Tab")
    first = tray.locator("li button").first
    expect(first).to_be_focused()
    reason = tray.locator("li figcaption").first.inner_text()
    expect(first).to_have_accessible_name(re.compile(f"1.*{re.escape(reason)}"))
    page.page.keyboard.press("Enter")
    viewer = page.page.locator("dialog.viewer[open]")
    expect(viewer.locator(".place")).to_contain_text("4")
    assert page.violations() == []
    page.page.keyboard.press("Escape")
    expect(viewer).to_have_count(0)
    expect(first).to_be_focused()
