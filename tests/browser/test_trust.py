"""What people rely on: the page keeps their place, their choices and their secrets, and says what went wrong."""

from __future__ import annotations

import re
from uuid import UUID

from playwright.sync_api import Response, Route, expect

from tests.browser.conftest import OpenWindow, both
from tests.browser.pages import LAPTOP, PHONE, Window
from tests.browser.stage import Scene, Stage
from tests.integration.end_to_end.whole_cloud import wait_until

HOSTILE = "<img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script>\u202eeb\u202c & \"'"


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


@both
def test_hostile_names_are_shown_as_the_text_that_they_are(
    stage: Stage, drawn: UUID, open_window: OpenWindow, window: Window
) -> None:
    scene = Scene.copied(stage, drawn, HOSTILE)
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
    # An address is kept in its one form, without marks that turn the direction of what follows.
    expect(page.card(other)).to_contain_text(HOSTILE.replace("\u202e", "").replace("\u202c", ""))
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


def test_a_list_that_has_not_changed_is_not_sent_again(scene: Scene, open_window: OpenWindow) -> None:
    page = open_window(window=LAPTOP)
    answers: list[int] = []

    def note(response: Response) -> None:
        if "/face-persons" in response.url:
            answers.append(response.status)

    page.page.on("response", note)
    page.open(scene.url)
    # The first news of how far the event is ask for the list once more.
    wait_until(lambda: page.page.evaluate("() => true") and len(answers) > 1, "the list is asked for again", 30)
    assert answers == [200, 304]
    person = scene.people()[0]
    scene.stage.rows("UPDATE face_persons SET status = 'ignored', version = version + 1 WHERE id = %s", person)
    page.page.evaluate("() => dispatchEvent(new Event('online'))")
    expect(page.card(person)).to_have_count(0)
    assert answers[-1] == 200


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
