"""What holds in every state of the page: people can read it and reach it."""

from __future__ import annotations

from uuid import UUID

from playwright.sync_api import expect

from tests.browser.conftest import OpenWindow, both
from tests.browser.pages import Window
from tests.browser.stage import Scene, Stage


def ask_questions(scene: Scene, one: UUID, other: UUID, third: UUID) -> None:
    """Are the first two one person? Is a face of the second the third's?"""
    merge = "INSERT INTO merge_suggestions VALUES (%s, %s, 0.9) ON CONFLICT DO NOTHING"
    scene.stage.rows(merge, min(one, other), max(one, other))
    face = "INSERT INTO face_suggestions (face_id, face_person_id, score) VALUES (%s, %s, 0.6) ON CONFLICT DO NOTHING"
    scene.stage.rows(face, scene.faces_of(other)[0], third)


@both
def test_axe_finds_nothing_and_every_target_is_large_enough_in_any_state(  # noqa: PLR0915 - one state after the other
    scene: Scene, open_window: OpenWindow, window: Window
) -> None:
    first, second, third, fourth, fifth, *_ = scene.people()
    ask_questions(scene, fourth, fifth, third)
    page = open_window(scene, window)
    problems: dict[str, list[str]] = {}

    def check(state: str) -> None:
        found = page.violations() + [f"small: {target}" for target in page.small_targets() if window.is_phone]
        found += ["wider than the window"] if page.is_too_wide() else []
        if found:
            problems[state] = found

    expect(page.questions).to_be_visible()
    check("grid")
    page.act(first, "assign")
    expect(page.dialog.get_by_role("option").first).to_be_visible()
    check("assign")
    page.dialog.get_by_role("combobox").fill("zzz")
    expect(page.dialog.locator(".chooser .quiet-text")).not_to_be_empty()
    check("assign, nobody found")
    page.press("invite other", page.dialog)
    page.press("send", page.dialog)
    check("invite, wrong")
    page.keys("Escape", "Escape")
    page.pick(second, third)
    check("selection")
    page.press("merge these", page.bar)
    check("merge")
    page.keys("Escape", "Escape")
    page.act(first, "ignore")
    expect(page.toast).to_be_visible()
    check("toast")
    page.show("ignored")
    check("ignored")
    page.show("linked")
    check("nobody there")
    page.show("open")
    page.visit(second)
    check("person")
    page.page.locator("summary", has_text=page.say("more")).click()
    page.page.locator(".chip[data-view=photos]").click()
    page.tiles.nth(0).locator(".pick input").check()
    check("person, photos, selection")
    page.press("move", page.bar)
    check("picker")
    page.keys("Escape")
    page.tiles.nth(0).locator(".see").click()
    expect(page.dialog.locator(".frame.placed")).to_be_visible()
    check("photo")
    page.keys("Escape")
    page.press("erase", page.page.locator(".acts"))
    check("erase")
    page.keys("Escape")
    # A run may have answered them meanwhile.
    ask_questions(scene, fourth, fifth, third)
    page.go("suggestions")
    for kind in ("merge", "face"):
        expect(page.page.locator(".answers")).to_be_visible()
        check(f"question, {kind}")
        page.press("skip", page.page.locator(".answers"))
    check("no question left")
    page.go("history")
    expect(page.page.locator(".history li").first).to_be_visible()
    check("history")
    page.keys("?")
    check("keys")
    page.keys("Escape")
    page.page.locator("[popovertarget], .header-tools .icon-button").last.click()
    check("menu")
    assert problems == {}


@both
def test_pages_without_anything_to_show_say_what_to_do(
    stage: Stage, scene: Scene, open_window: OpenWindow, window: Window
) -> None:
    member = scene.member("Somebody else")
    archived, off = Scene.empty(stage), Scene.empty(stage, consents=False)
    stage.rows("UPDATE events SET archived_at = now() WHERE id = %s", archived.event_id)
    states: dict[str, tuple[str, dict[str, str]]] = {
        "no token": (
            f"{stage.address}/events/{scene.event_id}/analyse",
            {"fr": "Ouvrez cette page depuis votre application", "en": "Open this page from your app"},
        ),
        "a stranger": (
            stage.page(scene.event_id, UUID(int=7)),
            {"fr": "Cet événement n’est pas à vous", "en": "This event is not yours"},
        ),
        "a member": (
            stage.page(scene.event_id, member),
            {"fr": "Réservé aux organisateurs", "en": "For organisers only"},
        ),
        "no photos": (Scene.empty(stage).url, {"fr": "Pas encore de photo", "en": "No photos yet"}),
        "archived": (archived.url, {"fr": "Événement archivé", "en": "Archived event"}),
        "no consent": (
            off.url,
            {"fr": "La reconnaissance faciale est désactivée", "en": "Face recognition is switched off"},
        ),
    }
    page = open_window(window=window)
    for url, texts in states.values():
        page.open(url)
        expect(page.page.locator(".state")).to_contain_text(texts[window.language])
        assert page.violations() == []
