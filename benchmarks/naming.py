"""``make bench-page``: how long an organiser takes to say who 15 people in 120 photos are.

The journey is made in a real Chromium at a person's pace, which is the Keystroke-Level Model's (Card, Moran, Newell,
"The keystroke-level model for user performance time with interactive systems", CACM 23(7), 1980): each key, each
pointing and each press takes its time, and before each decision stands a step of thinking. The model is of somebody who
knows what to do and makes no mistake; recognising a face that one hardly knows takes longer, so that told is also how
long one may look at each of them to be done in three minutes.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

from playwright.sync_api import Browser, Locator, Page

from local.demo.drawn_event import DrawnEvent, make_drawn_event
from tests.browser.chromium import HOW_TO_GET, find_chromium, started
from tests.browser.stage import Stage, admin_alone
from tests.integration.end_to_end.whole_cloud import wait_until

PERSONS, FACES = 15, 160  # two faces on each third photo: 120 photos
AIM_SECONDS = 180
_FIRST = ("Alix", "Bruno", "Chloé", "Driss", "Élodie", "Farid", "Gaëlle", "Hugo", "Inès", "Jules")
_LAST = ("Moreau", "Petit", "Garnier")
_LINKED = "SELECT id, linked_user_id FROM face_persons WHERE event_id = %s AND status = 'linked'"
_PHOTOS = "SELECT count(*) AS photos FROM media WHERE event_id = %s"
_MILLISECONDS = 1000


@dataclass(frozen=True)
class Pace:
    """Seconds of the model's operators."""

    key: float  # K
    point: float = 1.1  # P
    press: float = 0.2  # BB: down and up
    think: float = 1.35  # M


@dataclass(frozen=True)
class Way:
    """On what the journey is made, and how."""

    name: str
    size: tuple[int, int]
    pace: Pace
    by_touch: bool


# An average skilled typist, and an average one who is not (the model's 55 and 40 words a minute).
_WAYS = (
    Way("laptop, by keyboard", (1280, 800), Pace(key=0.2), by_touch=False),
    Way("phone, by touch", (390, 844), Pace(key=0.28), by_touch=True),
)


@dataclass
class Person:
    """Somebody at the page: does what is asked for at their pace, and counts it."""

    page: Page
    pace: Pace
    done: Counter[str] = field(default_factory=Counter)
    waited: float = 0.0

    def _spend(self, what: str) -> None:
        self.done[what] += 1
        self.page.wait_for_timeout(_MILLISECONDS * getattr(self.pace, what))

    def think(self) -> None:
        """Look, and decide."""
        self._spend("think")

    def key(self, key: str) -> None:
        """Press a key."""
        self._spend("key")
        if len(key) == 1:
            self.page.keyboard.type(key)  # letters with accents too
        else:
            self.page.keyboard.press(key)

    def click(self, target: Locator) -> None:
        """Point at something and press."""
        self._spend("point")
        self._spend("press")
        target.click()

    @contextmanager
    def waits(self) -> Iterator[None]:
        """Measure the machine's share of the time: until the page shows the expected state."""
        began = time.perf_counter()
        yield
        self.waited += time.perf_counter() - began

    def estimated(self) -> float:
        """Seconds by the model, without the machine's."""
        return sum(count * float(getattr(self.pace, what)) for what, count in self.done.items())


def main() -> int:
    """Measure and print; returns the exit code: 1 when it takes longer than it may."""
    program = find_chromium()
    if program is None:
        print(HOW_TO_GET, file=sys.stderr)
        return 1
    print(f"{PERSONS} people are identified; load of this machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    slowest = 0.0
    with started(program) as browser, admin_alone(lambda _: None) as stage:
        for way in _WAYS:
            slowest = max(slowest, _measure(browser, stage, way))
    return int(slowest > AIM_SECONDS)


def _measure(browser: Browser, stage: Stage, way: Way) -> float:
    # Twice as many members as persons: half of those who may be chosen are on no photo.
    names = [f"{first} {last}" for last in _LAST for first in _FIRST]
    event = make_drawn_event(stage.cloud.addresses, "Fête", persons=PERSONS, faces=FACES, members=names)
    width, height = way.size
    context = browser.new_context(
        viewport={"width": width, "height": height}, locale="fr-FR", has_touch=way.by_touch, is_mobile=way.by_touch
    )
    page = context.new_page()
    page.goto(stage.page(event.event_id, event.organiser))
    page.wait_for_function("(count) => document.querySelectorAll('.card').length === count", arg=PERSONS)
    shown = [UUID(card.get_attribute("data-id")) for card in page.locator(".card").all()]
    person = Person(page, way.pace)
    began = time.perf_counter()
    _identify(person, [names[event.persons.index(one)] for one in shown], by_touch=way.by_touch)
    seconds = time.perf_counter() - began
    photos = _check(stage, event)
    context.close()
    told = ", ".join(f"{count} x {what}" for what, count in sorted(person.done.items()))
    spare = (AIM_SECONDS - seconds) / PERSONS
    print(f"{way.name}, {photos} photos:")
    print(f"  {person.estimated():.0f} s of a person ({told}), {person.waited:.1f} s of waiting for the machine")
    print(f"  {seconds:.0f} s by the clock; three minutes are kept with {spare:.1f} s more for each of them")
    return seconds


def _identify(person: Person, names: list[str], *, by_touch: bool) -> None:
    """From the grid to the last of them."""
    page = person.page
    person.think()
    person.click(page.locator(".start .button"))
    dialog = page.locator("dialog[open]")
    for number, name in enumerate(names, start=1):
        with person.waits():
            dialog.locator(".dialog-note", has_text=f"Personne {number} sur").wait_for()
            dialog.locator(".previews img").nth(1).wait_for()
        person.think()  # who is it?
        if by_touch:
            person.click(dialog.get_by_role("combobox"))
        _type_until_first(person, dialog, name)
        person.think()  # is that the one?
        if by_touch:
            person.click(dialog.get_by_role("option").first)
        else:
            person.key("Enter")  # the focus was in the field
    with person.waits():
        dialog.wait_for(state="detached")
        page.wait_for_function("() => document.querySelectorAll('.card').length === 0")


def _type_until_first(person: Person, dialog: Locator, name: str) -> None:
    for letter in name:
        person.key(letter)
        with person.waits():
            dialog.get_by_role("option").first.wait_for()
        if name in (dialog.get_by_role("option").first.text_content() or ""):
            return
    message = f"{name} is not the first of the list, even when it is typed in full"
    raise RuntimeError(message)


def _check(stage: Stage, event: DrawnEvent) -> int:
    """Check that the database holds what was entered on the page; return the number of photos."""
    wanted = dict(zip(event.persons, event.members, strict=False))

    def is_told() -> bool:
        return {row["id"]: row["linked_user_id"] for row in stage.rows(_LINKED, event.event_id)} == wanted

    wait_until(is_told, "everybody is who they were said to be", 30)
    photos: int = stage.rows(_PHOTOS, event.event_id)[0]["photos"]
    return photos


if __name__ == "__main__":
    sys.exit(main())
