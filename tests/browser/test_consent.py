"""Face recognition on and off: what an organiser is told, agrees to, and cannot do by accident."""

from __future__ import annotations

import hashlib
from uuid import UUID

from playwright.sync_api import expect

from shared import languages
from tests.browser.conftest import OpenWindow, both
from tests.browser.pages import LAPTOP, Window
from tests.browser.stage import Scene, Stage
from tests.integration.end_to_end.whole_cloud import wait_until

# What people agreed to is known by its version alone: a text that changes is a new version, with a line of its own.
_TEXTS = {
    "trombi-1-fr": "78731ebdf757a7d8b37563c0e8d102dca7dbe939b9e7287f408d8f1519d752b4",
    "trombi-1-en": "b81cb4303a2ec0ae1b50704c2d9538af9b444d97fe416673938c4010d096f5cf",
}


def consents(scene: Scene) -> list[tuple[bool, str | None]]:
    """The consent log of the event, from when the test began."""
    statement = "SELECT enabled, text_version FROM event_consents WHERE event_id = %s ORDER BY at, id"
    return [(row["enabled"], row["text_version"]) for row in scene.stage.rows(statement, scene.event_id)]


def embeddings(scene: Scene) -> int:
    """How many faces of the event are described."""
    statement = "SELECT count(embedding) AS held FROM faces WHERE event_id = %s"
    held: int = scene.stage.rows(statement, scene.event_id)[0]["held"]
    return held


def test_a_text_that_changes_is_a_new_version() -> None:
    for tag in languages.languages():
        content = (languages.FOLDER / tag / "consent.js").read_text(encoding="utf-8")
        before, _, text = content.partition("export const TEXT")
        version = before.partition('VERSION = "')[2].partition('"')[0]
        assert version.endswith(f"-{tag}")
        assert _TEXTS[version] == hashlib.sha256(text.encode()).hexdigest()


@both
def test_consent_is_given_to_a_text_that_was_read_and_shown_with_its_time(
    stage: Stage, open_window: OpenWindow, window: Window
) -> None:
    scene = Scene.empty(stage, consents=False)
    version = f"trombi-1-{window.language}"
    page = open_window(scene, window)
    expect(page.heading).to_have_text(page.say("off"))
    page.press("switch on", page.page.locator(".state"))
    expect(page.dialog).to_contain_text(version)
    assert page.violations() == []
    assert not page.is_too_wide()
    page.press("agree", page.dialog)
    expect(page.page.locator(".state")).to_contain_text(page.say("empty"))
    assert consents(scene)[-1] == (True, version)
    page.open_menu()
    page.press("recognition", page.page.locator("#menu"))
    expect(page.dialog).to_contain_text(page.say("is on"))
    expect(page.dialog).to_contain_text(version)
    page.dialog.locator("summary", has_text=page.say("read")).click()
    expect(page.dialog.locator(".consent-text p").first).to_be_visible()
    assert page.violations() == []
    assert not page.small_targets() or not window.is_phone


@both
def test_switching_off_says_what_is_erased_and_asks_first(
    stage: Stage, drawn: UUID, open_window: OpenWindow, window: Window
) -> None:
    # The pictures of the copies are the original's: this one does without, so that erasing takes none along.
    scene = Scene.copied(stage, drawn, pictures=False)
    held = embeddings(scene)
    page = open_window(scene, window)
    expect(page.page.locator(".card").first).to_be_visible()
    page.open_menu()
    page.press("recognition", page.page.locator("#menu"))
    # Another app's text: it is not shown as ours.
    expect(page.dialog.locator("summary")).to_have_count(0)
    page.press("switch off", page.dialog)
    expect(page.dialog).to_contain_text(f"{held} {'visages' if window.language == 'fr' else 'faces'}")
    assert page.violations() == []
    page.press("cancel", page.dialog)
    assert embeddings(scene) == held > 0
    page.press("switch off", page.dialog)
    page.press("erase all", page.dialog)
    expect(page.heading).to_have_text(page.say("off"))
    assert embeddings(scene) == 0
    assert consents(scene)[-1][0] is False
    assert len(scene.people()) > 0, "what people said stays"


def test_the_keyboard_alone_switches_off_and_enter_by_mistake_does_not(
    stage: Stage, drawn: UUID, open_window: OpenWindow
) -> None:
    scene = Scene.copied(stage, drawn, pictures=False)
    page = open_window(scene, LAPTOP)
    expect(page.page.locator(".card").first).to_be_visible()
    more = page.page.locator(".header-tools .icon-button").last
    more.focus()
    page.keys("Enter", "Tab", "Tab")
    expect(page.page.locator("#menu button").first).to_be_focused()
    page.keys("Enter")
    expect(page.dialog).to_contain_text(page.say("is on"))
    page.keys("Escape")
    expect(more).to_be_focused()
    page.keys("Enter", "Tab", "Tab", "Enter")
    expect(page.dialog).to_contain_text(page.say("is on"))
    page.dialog.locator("button", has_text=page.say("switch off")).focus()
    # The question opens on the way back: Enter twice in a row erases nothing.
    page.keys("Enter")
    expect(page.page.locator("dialog[open]")).to_have_count(2)
    page.keys("Enter")
    expect(page.page.locator("dialog[open]")).to_have_count(1)
    assert embeddings(scene) > 0
    page.keys("Enter", "Tab")
    expect(page.dialog.locator("button", has_text=page.say("erase all"))).to_be_focused()
    page.keys("Enter")
    wait_until(lambda: embeddings(scene) == 0, "the biometrics are erased", 30)
    expect(page.heading).to_have_text(page.say("off"))


def test_a_member_is_offered_no_switch(stage: Stage, drawn: UUID, open_window: OpenWindow) -> None:
    scene = Scene.copied(stage, drawn)
    page = open_window(window=LAPTOP, url=stage.page(scene.event_id, scene.member("Somebody")))
    expect(page.page.locator(".state")).to_contain_text("For organisers only")
    page.open_menu()
    expect(page.page.locator("#menu a").first).to_be_visible()
    expect(page.page.locator("#menu button", has_text=page.say("recognition"))).to_have_count(0)
