"""What holds in every state of the page: people can read it, reach it and trust it."""

from __future__ import annotations

import re
from uuid import UUID

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import OpenWindow
from tests.browser.pages import LAPTOP, PHONE, WINDOWS, Window
from tests.browser.stage import Scene, Stage
from tests.integration.end_to_end.whole_cloud import wait_until

both = pytest.mark.parametrize("window", WINDOWS, ids=lambda window: window.name)
HOSTILE = "<img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script>\u202eeb\u202c & \"'"


# ---------------------------------------------------------------- accessibility


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
    for url, texts in states.values():
        page = open_window(window=window, url=url)
        expect(page.page.locator(".state")).to_contain_text(texts[window.language])
        assert page.violations() == []
        page.page.context.close()


def test_the_events_are_listed_and_open_in_a_new_tab_signed_in(
    stage: Stage, scene: Scene, open_window: OpenWindow
) -> None:
    page = open_window(window=LAPTOP, url=f"{stage.address}/events#token={stage.token(scene.organiser)}")
    link = page.page.get_by_role("link", name=re.compile("Mariage de test"))
    expect(link).to_contain_text("detected")
    assert page.violations() == []
    with page.page.context.expect_page() as opened:
        link.click(modifiers=["ControlOrMeta"])
    expect(opened.value.locator(".card").first).to_be_visible()


# ---------------------------------------------------------------- what is kept


@both
def test_the_place_is_kept_after_a_decision_and_after_a_look_at_a_person(
    scene: Scene, open_window: OpenWindow, window: Window
) -> None:
    people = scene.people()
    page = open_window(scene, window)
    expect(page.page.locator(".card")).to_have_count(len(people))
    page.card(people[-2]).scroll_into_view_if_needed()
    before = page.page.evaluate("() => scrollY")
    assert before > 0
    page.visit(people[-2])
    page.page.go_back()
    expect(page.card(people[-2]).locator("a.cover")).to_be_focused()
    assert abs(page.page.evaluate("() => scrollY") - before) < 5
    place = page.card(people[-3]).bounding_box()
    page.act(people[-2], "ignore")
    expect(page.card(people[-2])).to_have_count(0)
    after = page.card(people[-3]).bounding_box()
    assert place is not None
    assert after is not None
    assert abs(after["y"] - place["y"]) < 400, "the list jumped"


def test_language_and_theme_follow_the_browser_and_a_choice_is_remembered(
    scene: Scene, open_window: OpenWindow
) -> None:
    page = open_window(scene, LAPTOP)
    heading = page.heading
    expect(heading).to_have_text("Who is who?")
    assert page.page.locator("html").get_attribute("lang") == "en"
    page.pick(scene.people()[0])
    page.page.get_by_role("button", name="Switch to French").click()
    expect(heading).to_contain_text("Qui est qui")
    expect(page.bar).to_contain_text("1 personne sélectionnée")
    assert page.page.locator("html").get_attribute("lang") == "fr"
    page.page.reload()
    expect(heading).to_contain_text("Qui est qui")
    paper = "() => getComputedStyle(document.body).backgroundColor"
    dark = page.page.evaluate(paper)
    page.page.locator(".header-tools .icon-button").last.click()
    page.page.get_by_label("Apparence").select_option("light")
    assert page.page.evaluate(paper) != dark
    page.page.reload()
    expect(heading).to_be_visible()
    assert page.page.evaluate(paper) != dark


def test_letters_can_be_switched_off(scene: Scene, open_window: OpenWindow) -> None:
    page = open_window(scene, LAPTOP)
    page.keys("?")
    page.dialog.get_by_role("checkbox").uncheck()
    page.keys("Escape", "h")
    expect(page.heading).to_have_text("Who is who?")
    page.keys("?")
    page.dialog.get_by_role("checkbox").check()
    page.keys("Escape", "h")
    expect(page.heading).to_have_text("History")


# ---------------------------------------------------------------- trust


@both
def test_hostile_names_are_shown_as_the_text_that_they_are(
    stage: Stage, photographed: UUID, open_window: OpenWindow, window: Window
) -> None:
    scene = Scene.copied(stage, photographed, HOSTILE)
    scene.member(HOSTILE)
    person, other, *_ = scene.people()
    stage.rows("UPDATE face_persons SET status = 'invited', invitation_email = %s WHERE id = %s", HOSTILE, other)
    page = open_window(scene, window)
    expect(page.page.locator(".event-name")).to_have_text(HOSTILE)
    page.act(person, "assign")
    option = page.dialog.get_by_role("option").filter(has_text="onerror").first
    expect(option).to_contain_text(HOSTILE)
    option.click()
    expect(page.toast).to_contain_text(HOSTILE)
    wait_until(lambda: scene.person(person)["status"] == "linked", "the person is linked", 30)
    page.show("linked")
    expect(page.card(person)).to_contain_text(HOSTILE)
    page.visit(person)
    expect(page.heading).to_have_text(HOSTILE)
    page.go("history")
    expect(page.page.locator(".history li").first).to_contain_text(HOSTILE)
    page.go("people")
    page.show("invited")
    expect(page.card(other)).to_contain_text(HOSTILE)
    assert page.page.title() != "broken"
    assert page.page.locator("img[src='x']").count() == 0


def test_the_browser_itself_refuses_to_make_markup_of_text(scene: Scene, open_window: OpenWindow) -> None:
    page = open_window(scene, LAPTOP)
    refused = page.page.evaluate(
        "() => { try { document.body.innerHTML = '<b>'; return false } catch (error) { return error.name } }"
    )
    assert refused == "TypeError"
    page.errors.clear()


def test_the_token_stays_out_of_the_address_the_log_and_the_scripts_cookies(
    stage: Stage, scene: Scene, open_window: OpenWindow
) -> None:
    page = open_window(scene, PHONE)
    expect(page.page.locator(".card").first).to_be_visible()
    assert "token" not in page.page.url
    token = page.page.evaluate("() => sessionStorage.getItem('trombi.token')")
    assert page.page.evaluate("() => document.cookie") == ""
    assert page.page.evaluate("() => Object.values(localStorage).join()").find(token) < 0
    for log in (stage.cloud.state_directory / "logs").glob("*.log"):
        assert token not in log.read_text(encoding="utf-8", errors="replace"), log.name
    page.page.locator(".header-tools .icon-button").last.click()
    page.page.get_by_role("button", name="Se déconnecter").click()
    expect(page.page.locator(".state")).to_contain_text("Ouvrez cette page depuis votre application")
    assert page.page.evaluate("() => sessionStorage.getItem('trombi.token')") is None
    assert [cookie for cookie in page.page.context.cookies() if cookie["name"] == "trombi_pictures"] == []


def test_a_session_that_ends_keeps_what_was_decided_until_a_new_one_begins(
    stage: Stage, scene: Scene, open_window: OpenWindow
) -> None:
    person = scene.people()[0]
    page = open_window(scene, LAPTOP)
    expect(page.card(person)).to_be_visible()
    page.page.evaluate("() => { location.hash = '#token=expired' }")
    page.act(person, "ignore")
    expect(page.notice).to_contain_text("Open this page from your app")
    expect(page.notice).to_contain_text("1 decision waits")
    page.page.evaluate(f"() => {{ location.hash = '#token={stage.token(scene.organiser)}' }}")
    wait_until(lambda: scene.person(person)["status"] == "ignored", "the decision is sent", 30)
    expect(page.notice).to_be_hidden()


@both
def test_a_service_that_fails_is_told_and_tried_again(scene: Scene, open_window: OpenWindow, window: Window) -> None:
    page = open_window(window=window)
    page.page.route("**/face-persons*", lambda route: route.fulfill(status=503, body="{}"))
    page.open(scene.url)
    expect(page.page.locator(".state")).to_contain_text(
        {"fr": "Cela n’a pas fonctionné", "en": "That did not work"}[window.language]
    )
    assert page.violations() == []
    page.page.unroute("**/face-persons*")
    page.page.locator(".state .button").click()
    expect(page.page.locator(".card").first).to_be_visible()


def test_progress_is_asked_for_where_it_cannot_be_streamed(scene: Scene, open_window: OpenWindow) -> None:
    page = open_window(window=LAPTOP)

    def refuse_streams(route: Route) -> None:
        if "event-stream" in route.request.headers["accept"]:
            body = (
                '{"code": "too_many_streams", "detail": "too many", "status": 503, "title": "", "type": "about:blank"}'
            )
            route.fulfill(status=503, body=body, content_type="application/problem+json")
        else:
            route.continue_()

    page.page.route("**/progress", refuse_streams)
    page.open(scene.url)
    expect(page.page.locator(".progress-found")).to_contain_text("people detected, 0 already identified")
    user = scene.member("Later")
    person = scene.people()[0]
    statement = "UPDATE face_persons SET status = 'linked', linked_user_id = %s WHERE id = %s"
    scene.stage.rows(statement, user, person)
    expect(page.page.locator(".progress-found")).to_contain_text("1 already identified", timeout=20_000)
    expect(page.card(person)).to_have_count(0)
