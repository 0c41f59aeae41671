"""``make bench-page``: the review page with 500 persons and 10,000 faces, measured by Chromium's own tracing.

The emulated cloud serves it to a real Chromium, with and without a slow-down of the processor (phones are slower than
laptops). Told are when the first content and the first face are there, the tasks of the page's main thread that took
longer than 50 milliseconds, while loading and while scrolling to the end, and what came over the wire, as Chromium
counted it. A task counts by the processor time that it took; by the clock it also waits for whatever else the machine
does.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from statistics import median
from typing import Any

import httpx
from playwright.sync_api import Browser, CDPSession, Page

from local.demo.drawn_event import DrawnEvent, make_drawn_event
from tests.browser.chromium import HOW_TO_GET, find_chromium, started
from tests.browser.stage import Stage, admin_alone

PERSONS, FACES = 500, 10_000
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
    print(f"load of this machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with started(program) as browser, admin_alone(lambda _: None) as stage:
        event = make_drawn_event(stage.cloud.addresses, "Large", persons=PERSONS, faces=FACES)
        for window in WINDOWS:
            _measure(browser, window, stage.page(event.event_id, event.organiser))
        _measure_alike(stage, event)
    return 0


class _Wire:
    """What comes over the wire, headers included, by what it is; as Chromium counts it."""

    def __init__(self, debugger: CDPSession) -> None:
        self._kinds: dict[str, str] = {}
        self.bytes: defaultdict[str, int] = defaultdict(int)
        self.count: defaultdict[str, int] = defaultdict(int)
        debugger.on("Network.responseReceived", self._received)
        debugger.on("Network.loadingFinished", self._finished)
        debugger.send("Network.enable")

    def _received(self, told: dict[str, Any]) -> None:
        url, kind = told["response"]["url"], told["type"]
        if "face-persons" in url:
            self._kinds[told["requestId"]] = "persons"
        elif kind in ("Document", "Script", "Stylesheet") or "/web/" in url:
            self._kinds[told["requestId"]] = "page"
        else:
            self._kinds[told["requestId"]] = "pictures" if kind == "Image" else "rest"

    def _finished(self, told: dict[str, Any]) -> None:
        kind = self._kinds.get(told["requestId"], "rest")
        self.bytes[kind] += int(told["encodedDataLength"])
        self.count[kind] += 1

    def told(self) -> str:
        """One line."""
        return ", ".join(
            f"{kind} {self.bytes[kind] / 1000:.1f} kB in {self.count[kind]}" for kind in ("page", "persons", "pictures")
        )


def _measure(browser: Browser, window: Window, link: str) -> None:
    context = browser.new_context(viewport={"width": window.width, "height": window.height}, locale="fr-FR")
    page = context.new_page()
    debugger: CDPSession = context.new_cdp_session(page)
    debugger.send("Emulation.setCPUThrottlingRate", {"rate": window.slower})
    wire = _Wire(debugger)
    browser.start_tracing(page=page, categories=_CATEGORIES)
    page.goto(link, wait_until="commit")
    first_face = page.evaluate(_FIRST_FACE)
    first_paint = page.evaluate(_FIRST_PAINT)
    page.wait_for_function(
        "(count) => document.querySelectorAll('.card').length === count", arg=PERSONS, timeout=60_000
    )
    page.wait_for_timeout(1000)
    loading = _tasks(browser.stop_tracing())

    browser.start_tracing(page=page, categories=_CATEGORIES)
    began, frames = time.perf_counter(), _scroll(page)
    seconds = time.perf_counter() - began
    scrolling = _tasks(browser.stop_tracing())
    print(f"{window.name}:")
    print(f"  first content {first_paint:.0f} ms, first face {first_face:.0f} ms")
    print(f"  over the wire: {wire.told()}")
    print(f"  tasks over 50 ms: loading {_told(loading)}; scrolling {_told(scrolling)}")
    print(f"  scrolled through {PERSONS} persons in {seconds:.1f} s, {frames / seconds:.0f} frames a second")
    context.close()


def _measure_alike(stage: Stage, event: DrawnEvent) -> None:
    """Time the request that the merge dialog waits for: all persons, ordered by similarity."""
    times = []
    headers = {"Authorization": f"Bearer {stage.token(event.organiser)}"}
    with httpx.Client(base_url=stage.address, headers=headers, trust_env=False) as admin:
        for person in event.persons[:5]:
            began = time.perf_counter()
            admin.get(f"/person/{person}/alike").raise_for_status()
            times.append(time.perf_counter() - began)
    print(f"who is alike, among {FACES} faces: {1000 * median(times):.0f} ms")


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
    """Return the tasks of the page's main thread."""
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
