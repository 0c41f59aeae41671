"""``make bench-page``: the review page with 500 persons and 10,000 faces, measured by Chromium's own tracing.

The emulated cloud serves it to a real Chromium, with and without a slow-down of the processor (phones are slower than
laptops). Told are when the first content and the first face are there, the tasks of the page's main thread that took
longer than 50 milliseconds, while loading and while scrolling to the end, and what the page weighs. A task counts by
the processor time that it took; by the clock it also waits for whatever else the machine does.
"""

from __future__ import annotations

import gzip
import json
import os
import secrets
import sys
import time
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Browser, CDPSession, Page, Request

from functions.admin import pages
from local.cloud import FUNCTIONS, Cloud, CloudOptions
from local.drawn_event import make_drawn_event
from local.sign_in import sign_in_link
from tests.browser.chromium import HOW_TO_GET, find_chromium, started
from tests.integration.local.small_cloud import state_directory

PERSONS, FACES = 500, 10_000
_PARTS = tuple(function for function in FUNCTIONS if function.name == "admin")
_PIXELS_A_FRAME = 240
_LONG_MILLISECONDS = 50
_CATEGORIES = ["devtools.timeline", "toplevel", "blink.user_timing", "disabled-by-default-devtools.timeline"]
_FIRST_FACE = """
() => new Promise((done) => {
  const look = () => {
    const face = [...document.querySelectorAll(".card img")].find((img) => img.complete && img.naturalWidth > 0);
    if (face) done(performance.now());
    else requestAnimationFrame(look);
  };
  look();
})
"""
_FIRST_PAINT = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"


@dataclass(frozen=True)
class Window:
    """A kind of window; ``slower`` is by how much Chromium slows the processor down."""

    name: str
    width: int
    height: int
    slower: int


WINDOWS = (Window("laptop", 1280, 800, 1), Window("phone", 390, 844, 1), Window("phone, processor / 4", 390, 844, 4))


def main() -> int:
    """Measure and print; returns the exit code."""
    program = find_chromium()
    if program is None:
        print(HOW_TO_GET, file=sys.stderr)
        return 1
    secret = secrets.token_hex(32)
    print(f"load of this machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    _print_weight()
    with state_directory() as state, started(program) as browser:
        environment = {"JWT_SECRET": secret}
        chosen = CloudOptions(state, bus="small", functions=_PARTS, environment=environment, fast_postgres=True)
        with Cloud(chosen) as cloud:
            event = make_drawn_event(cloud.addresses, "Large", persons=PERSONS, faces=FACES)
            link = sign_in_link(cloud.addresses, event.event_id, event.organiser, secret)
            for window in WINDOWS:
                _measure(browser, window, link)
    return 0


def _print_weight() -> None:
    web = pages.web()
    files = {"app.html": web.documents["app.html"], **web.files}
    del files["invite.js"]
    plain, packed = (sum(len(getattr(file, kind)) for file in files.values()) for kind in ("plain", "compressed"))
    print(f"weight: {len(files)} files, {plain / 1000:.1f} kB, {packed / 1000:.1f} kB as sent (gzip)")


def _measure(browser: Browser, window: Window, link: str) -> None:
    context = browser.new_context(viewport={"width": window.width, "height": window.height}, locale="fr-FR")
    page = context.new_page()
    debugger: CDPSession = context.new_cdp_session(page)
    debugger.send("Emulation.setCPUThrottlingRate", {"rate": window.slower})
    sent: list[Request] = []
    # Playwright marks the function that it is given, which a built-in one cannot be.
    page.on("requestfinished", lambda request: sent.append(request))  # noqa: PLW0108
    browser.start_tracing(page=page, categories=_CATEGORIES)
    page.goto(link, wait_until="commit")
    first_face = page.evaluate(_FIRST_FACE)
    first_paint = page.evaluate(_FIRST_PAINT)
    page.wait_for_function(
        "(count) => document.querySelectorAll('.card').length === count", arg=PERSONS, timeout=60_000
    )
    page.wait_for_timeout(1000)
    loading = _tasks(browser.stop_tracing())
    lists = sum(len(gzip.compress(request.response().body())) for request in sent if "face-persons" in request.url)  # type: ignore[union-attr]

    browser.start_tracing(page=page, categories=_CATEGORIES)
    began, frames = time.perf_counter(), _scroll(page)
    seconds = time.perf_counter() - began
    scrolling = _tasks(browser.stop_tracing())
    print(f"{window.name}:")
    print(
        f"  first content {first_paint:.0f} ms, first face {first_face:.0f} ms; list of persons {lists / 1000:.0f} kB"
    )
    print(f"  tasks over 50 ms: loading {_told(loading)}; scrolling {_told(scrolling)}")
    print(f"  scrolled through {PERSONS} persons in {seconds:.1f} s, {frames / seconds:.0f} frames a second")
    context.close()


def _scroll(page: Page) -> int:
    """Scroll to the end as a finger does, a bit with every frame; returns the frames."""
    frames: int = page.evaluate(
        """(pixels) => new Promise((done) => {
          let frames = 0;
          const step = () => {
            const before = scrollY;
            scrollBy(0, pixels);
            frames += 1;
            if (frames > 3 && scrollY === before) done(frames);
            else requestAnimationFrame(step);
          };
          requestAnimationFrame(step);
        })""",
        _PIXELS_A_FRAME,
    )
    return frames


@dataclass(frozen=True)
class _Task:
    """Milliseconds of one task: by the clock, and of the processor."""

    clock: float
    processor: float


def _tasks(trace: bytes) -> list[_Task]:
    """The tasks of the page's main thread."""
    events: list[dict[str, Any]] = json.loads(trace)["traceEvents"]
    threads = {
        (event["pid"], event["tid"])
        for event in events
        if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    return [
        _Task(event["dur"] / 1000, event["tdur"] / 1000)
        for event in events
        if event["name"] == "RunTask" and (event["pid"], event["tid"]) in threads and "tdur" in event
    ]


def _told(tasks: list[_Task]) -> str:
    of_processor = [task.processor for task in tasks]
    long, slow = (
        sum(time > _LONG_MILLISECONDS for time in times) for times in (of_processor, [t.clock for t in tasks])
    )
    return f"{long} (longest {max(of_processor, default=0):.0f} ms; {slow} by the clock)"


if __name__ == "__main__":
    sys.exit(main())
