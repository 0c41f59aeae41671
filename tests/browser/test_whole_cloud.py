"""Journeys that need all functions: photos that are uploaded and looked at, and mails that come."""

from __future__ import annotations

import dataclasses
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from local.demo.drawn_event import make_drawn_event
from tests.browser.conftest import OpenWindow, both
from tests.browser.pages import Window
from tests.browser.stage import Scene, Stage
from tests.integration.end_to_end.whole_cloud import Event, options, running_cloud, sample_folder, wait_until
from tests.integration.local.small_cloud import state_directory

_PHOTOS = 9  # enough for a face that is seen three times


@pytest.fixture(scope="module")
def stage(chromium: str, mini_pack: Path) -> Iterator[Stage]:
    """The whole cloud, as `make up` runs it, with a secret that the tests can sign with."""
    assert chromium
    assert mini_pack.is_dir()
    secret = secrets.token_hex(32)
    with state_directory() as state:
        chosen = options(state)
        chosen = dataclasses.replace(chosen, environment={**chosen.environment, "JWT_SECRET": secret})
        with running_cloud(chosen) as cloud:
            yield Stage(cloud, secret)


@pytest.fixture
def scene(stage: Stage) -> Scene:
    """A small drawn event on it."""
    event = make_drawn_event(stage.cloud.addresses, "Drawn", persons=3, faces=12)
    return Scene(stage, event.event_id, event.organiser)


@both
def test_an_upload_is_followed_as_it_happens(
    stage: Stage, open_window: OpenWindow, window: Window, tmp_path_factory: pytest.TempPathFactory
) -> None:
    files = sample_folder(tmp_path_factory.mktemp("upload"), _PHOTOS)
    event = Event.made(stage.cloud.addresses, files)
    organiser = stage.rows("SELECT user_id FROM event_members WHERE event_id = %s", event.event_id)[0]["user_id"]
    stage.rows("UPDATE media SET object_name = NULL WHERE event_id = %s", event.event_id)
    page = open_window(window=window, url=stage.page(event.event_id, organiser))
    expect(page.page.locator(".progress-text")).to_contain_text(f"{page.say('analysing')}0/{_PHOTOS} photos")
    event.upload()
    expect(page.page.locator(".progress-text")).to_have_text(
        re.compile(rf"^{_PHOTOS} photos (analysées|analysed)$"), timeout=90_000
    )
    expect(page.page.locator(".progress-found")).to_have_text(
        re.compile(
            r"^[1-9]\d* (personnes? détectées?, 0 déjà identifiée|(people|person) detected, 0 already identified)$"
        ),
        timeout=60_000,
    )
    expect(page.page.locator(".card").first).to_be_visible()


@both
def test_an_invited_guest_says_it_is_me(stage: Stage, scene: Scene, open_window: OpenWindow, window: Window) -> None:
    person = scene.people()[0]
    email = f"guest-{person.hex[:8]}@example.org"
    page = open_window(scene, window)
    page.act(person, "invite")
    page.press("send", page.dialog)
    expect(page.dialog.locator("[aria-invalid]")).to_be_focused()
    page.dialog.get_by_label(page.say("email")).fill(email)
    page.dialog.get_by_label(page.say("message")).fill("À samedi !")
    page.dialog.locator("select").select_option(window.language)
    page.press("send", page.dialog)
    page.show("invited")
    expect(page.card(person)).to_contain_text(email)

    link = invitation_link(stage, email)
    guest = open_window(window=window, url=link)
    expect(guest.page.locator("img").first).to_be_visible()
    assert guest.violations() == []
    assert not guest.is_too_wide()
    guest.press("its me")
    scene.wait_until(person, "linked")
    # The organiser's page says so by itself.
    page.show("linked")
    expect(page.card(person)).to_be_visible()


def invitation_link(stage: Stage, email: str) -> str:
    """The link of the mail that came to an address."""
    found: list[str] = []

    with httpx.Client(base_url=stage.inbox, trust_env=False) as inbox:

        def has_come() -> bool:
            for name in re.findall(r'href="(/mails/[^"]+)"', inbox.get("/").text):
                mail = inbox.get(name).text
                if email in mail:
                    found.extend(re.findall(r"http://127\.0\.0\.1:\d+/invite/[\w-]{43}", mail))
            return bool(found)

        wait_until(has_come, f"a mail to {email}", 60)
    return found[0]
