"""A real Chromium and one cloud with an event of real photos. Without Chromium these tests are not run."""

from __future__ import annotations

import dataclasses
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest
from playwright.sync_api import Browser

from tests.browser.chromium import HOW_TO_GET, find_chromium, started
from tests.browser.pages import PHONE, ReviewPage, Window
from tests.browser.stage import Scene, Stage
from tests.integration.end_to_end.whole_cloud import Event, options, running_cloud, sample_folder
from tests.integration.local.small_cloud import state_directory
from tests.not_run import not_run
from tests.pictures import labelled_photos

# Enough for a dozen persons; each photo costs some tenths of a second.
_PHOTOS = 45


@pytest.fixture(autouse=True, scope="session")
def environment() -> Iterator[None]:
    """The host app sets STORAGE_EMULATOR_HOST for its process; the tests after these find what was there before."""
    before = os.environ.get("STORAGE_EMULATOR_HOST")
    yield
    os.environ.pop("STORAGE_EMULATOR_HOST", None)
    if before is not None:
        os.environ["STORAGE_EMULATOR_HOST"] = before


@pytest.fixture(scope="session")
def chromium() -> str:
    """The program."""
    found = find_chromium()
    if found is None:
        not_run("the web page in a browser", HOW_TO_GET)
    return found


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def photographed(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> UUID:
    """An event of real photos, detected and clustered; tests take copies of it."""
    labelled = labelled_photos()
    if labelled is None:
        files = sample_folder(tmp_path_factory.mktemp("photos"), _PHOTOS)
    else:
        files = {path.name: path for path in (*labelled.singles, *labelled.groups)}
    event = Event.made(stage.cloud.addresses, files)
    event.upload()
    event.wait_until_settled()
    # Until nothing moves any more: then what a copy's persons are is what was decided about them.
    for _ in range(2):
        stage.cluster(event)
    return event.event_id


@pytest.fixture
def scene(stage: Stage, photographed: UUID) -> Scene:
    """A copy of that event for this test alone, with some members."""
    made = Scene.copied(stage, photographed)
    made.members(["Alix Moreau", "Bruno Petit", "Chloé Garnier", "Driss Amrani"])
    return made


# The browser ends with each file: its event loop would be in the way of other tests'.
@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """Chromium without a window."""
    with started(chromium) as opened:
        yield opened


OpenWindow = Callable[..., ReviewPage]


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
