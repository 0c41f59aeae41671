"""A real Chromium, and an event for every test. Without Chromium these tests are not run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import UUID

import pytest
from playwright.sync_api import Browser

from local.demo.drawn_event import make_drawn_event
from tests.browser.chromium import HOW_TO_GET, find_chromium, started
from tests.browser.pages import PHONE, WINDOWS, ReviewPage, Window
from tests.browser.stage import Scene, Stage, admin_alone
from tests.not_run import not_run


@pytest.fixture(scope="session")
def chromium() -> str:
    """The program."""
    found = find_chromium()
    if found is None:
        not_run("the web page in a browser", HOW_TO_GET)
    return found


# Clouds end with the folder whose tests use them: an idle one goes on ticking.
@pytest.fixture(scope="package")
def stage(chromium: str) -> Iterator[Stage]:
    """A cloud for all tests that need no more than the page and its database."""
    assert chromium
    with admin_alone() as made:
        yield made


@pytest.fixture(scope="package")
def drawn(stage: Stage) -> UUID:
    """An event of a dozen drawn people, the first of them on the most photos; tests take copies of it."""
    return make_drawn_event(stage.cloud.addresses, "Drawn", persons=12, faces=72).event_id


@pytest.fixture
def scene(stage: Stage, drawn: UUID) -> Scene:
    """A copy of that event for this test alone, with some members."""
    made = Scene.copied(stage, drawn)
    made.members(["Alix Moreau", "Bruno Petit", "Chloé Garnier", "Driss Amrani"])
    return made


# The browser ends with this folder: its event loop would be in the way of other tests'.
@pytest.fixture(scope="package")
def browser(chromium: str) -> Iterator[Browser]:
    """Chromium without a window."""
    with started(chromium) as opened:
        yield opened


OpenWindow = Callable[..., ReviewPage]
both = pytest.mark.parametrize("window", WINDOWS, ids=lambda window: window.name)


@pytest.fixture
def open_window(browser: Browser) -> Iterator[OpenWindow]:
    """Opens pages, each in a window of its own; at the end of the test no page may have complained."""
    opened: list[ReviewPage] = []

    def open_one(scene: Scene | None = None, window: Window = PHONE, url: str | None = None) -> ReviewPage:
        context = browser.new_context(
            viewport={"width": window.width, "height": window.height},
            locale=window.locale,
            color_scheme=window.theme,
            has_touch=window.is_phone,
            is_mobile=window.is_phone,
            reduced_motion="reduce",  # half-faded text has half the contrast
        )
        context.set_default_timeout(20_000)
        page = ReviewPage(context.new_page(), window)
        opened.append(page)
        address = url or (scene.url if scene else None)
        if address:
            page.open(address)
        return page

    yield open_one
    for page in opened:
        page.page.context.close()
    assert [error for page in opened for error in page.errors] == []
