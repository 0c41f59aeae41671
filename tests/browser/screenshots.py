"""``make screenshots``: the main states of the page on a phone and a laptop, light and dark, into docs/images.

Everybody in them is drawn.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page

from local.demo.drawn_event import DrawnEvent, make_drawn_event
from tests.browser.chromium import HOW_TO_GET, find_chromium, started
from tests.browser.pages import PHONE, Window
from tests.browser.stage import Stage, admin_alone

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
_SETTLED = 700  # milliseconds: pictures are decoded, what moves has come to rest
_COLOURS = 128  # of drawings: a third of the size, and nobody sees it
_NAMES = (
    *("Alix Moreau", "Bruno Petit", "Chloé Garnier", "Driss Amrani", "Élodie Blanc", "Farid Haddad", "Gaëlle Roux"),
    *("Hugo Lambert", "Inès Faure", "Jules Mercier", "Karim Benali", "Léa Fontaine", "Nadia Cohen", "Paula Silva"),
)
_LAPTOP = Window("laptop", 1280, 800, "en-GB", "light", is_phone=False)


def main() -> int:
    """Take the pictures; returns the exit code."""
    program = find_chromium()
    if program is None:
        sys.stderr.write(HOW_TO_GET + "\n")
        return 1
    IMAGES.mkdir(parents=True, exist_ok=True)
    with started(program) as browser, admin_alone(_tell) as stage:
        for window in (PHONE, _LAPTOP):
            for theme in ("light", "dark"):
                _take_all(browser, stage, dataclasses.replace(window, theme=theme))
    return 0


def _take_all(browser: Browser, stage: Stage, window: Window) -> None:
    name = "Fête d’été" if window.language == "fr" else "Summer party"
    addresses = stage.cloud.addresses
    event = make_drawn_event(addresses, name, persons=15, faces=150, members=_NAMES, language=window.language)
    _decide(stage, event, window.language)
    link = stage.page(event.event_id, event.organiser)
    for state, prepare in _STATES.items():
        with _page(browser, window, link) as page:
            prepare(page, event)
            page.wait_for_timeout(_SETTLED)
            _keep(page, IMAGES / f"{state}-{'phone' if window.is_phone else 'laptop'}-{window.theme}.png")


def _decide(stage: Stage, event: DrawnEvent, language: str) -> None:
    """Consent was given on the page, some persons are linked, one is invited, and there are questions."""
    statement = "UPDATE events SET consent_text_version = %s WHERE id = %s"
    stage.rows(statement, f"trombi-1-{language}", event.event_id)
    for person, user in zip(event.persons[1:4], event.members, strict=False):
        statement = "UPDATE face_persons SET status = 'linked', linked_user_id = %s WHERE id = %s"
        stage.rows(statement, user, person)
    statement = "UPDATE face_persons SET status = 'invited', invitation_email = 'camille@example.org' WHERE id = %s"
    stage.rows(statement, event.persons[4])
    first, second = sorted((event.persons[6], event.persons[12]))
    stage.rows("INSERT INTO merge_suggestions VALUES (%s, %s, 0.55)", first, second)


@contextmanager
def _page(browser: Browser, window: Window, link: str) -> Iterator[Page]:
    context = browser.new_context(
        viewport={"width": window.width, "height": window.height},
        device_scale_factor=2 if window.is_phone else 1,
        locale=window.locale,
        color_scheme=window.theme,
        has_touch=window.is_phone,
        is_mobile=window.is_phone,
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.goto(link)
    page.locator(".card img").first.wait_for()
    yield page
    context.close()


def _grid(page: Page, event: DrawnEvent) -> None:
    page.locator(".chip").last.click()
    page.locator(".questions").wait_for()


def _assign(page: Page, event: DrawnEvent) -> None:
    page.locator(f'.card[data-id="{event.persons[0]}"] [data-do="assign"]').click()
    page.locator(".option").nth(3).wait_for()
    page.mouse.move(0, 0)


def _merge(page: Page, event: DrawnEvent) -> None:
    page.locator(".chip").last.click()
    for person in (event.persons[1], event.persons[0]):
        page.locator(f'.card[data-id="{person}"] .pick input').check()
    page.locator(".bar .primary").click()
    page.locator(".column .mini-faces img").first.wait_for()


def _person(page: Page, event: DrawnEvent) -> None:
    page.locator(f'.card[data-id="{event.persons[0]}"] a.cover').click()
    page.locator(".chip[data-view=photos]").click()
    page.locator(".tile .frame.placed").nth(1).wait_for(state="attached")
    page.locator(".tile .pick input").nth(1).check()
    page.locator(".see").first.hover()


def _question(page: Page, event: DrawnEvent) -> None:
    page.locator('nav a[href="#/suggestions"]').click()
    page.locator(".sides .mini-faces img").nth(5).wait_for()


def _consent(page: Page, event: DrawnEvent) -> None:
    page.locator(".header-tools .icon-button").last.click()
    page.locator("#menu button").first.click()
    page.locator("dialog summary").click()
    page.mouse.move(0, 0)


_STATES: dict[str, Callable[[Page, DrawnEvent], None]] = {
    "people": _grid,
    "assign": _assign,
    "merge": _merge,
    "person": _person,
    "question": _question,
    "consent": _consent,
}


def _keep(page: Page, path: Path) -> None:
    page.screenshot(path=path)
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(_COLOURS).save(path, optimize=True)
    _tell(f"{path.relative_to(IMAGES.parents[1])}: {path.stat().st_size / 1000:.0f} kB")


def _tell(line: str) -> None:
    sys.stdout.write(f"  {line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
