"""The link that `make demo` prints, opened as it is told to be."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.conftest import OpenWindow
from tests.browser.pages import LAPTOP
from tests.integration.end_to_end.whole_cloud import sample_folder
from tests.integration.local.small_cloud import state_directory

REPOSITORY = Path(__file__).resolve().parents[2]
_LINK = re.compile(r"^\s+(http://127\.0\.0\.1:\d+/events/[0-9a-f-]{36}/analyse#token=\S+)$")


def test_the_link_that_the_demo_prints_opens_the_page_signed_in(
    open_window: OpenWindow, tmp_path: Path, mini_pack: Path
) -> None:
    assert mini_pack.is_dir()
    photos = tmp_path / "photos"
    photos.mkdir()
    sample_folder(photos, 4)
    keep = sorted(photos.glob("guest-1-*.jpg"))[:3]
    for path in photos.iterdir():
        if path not in keep:
            path.unlink()
    with state_directory() as state:
        command = [sys.executable, "-m", "local", "demo", str(photos), "--bus", "small", "--state", str(state)]
        with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as demo:
            assert demo.stdout is not None
            try:
                found = (_LINK.match(line) for line in demo.stdout)
                link = next(match[1] for match in found if match)
                page = open_window(window=LAPTOP, url=link)
                expect(page.page.locator(".card")).to_have_count(1)
                expect(page.page.locator(".card .picture").first).not_to_have_class(re.compile("broken"))
                assert page.page.locator(".card .picture").first.evaluate("(img) => img.naturalWidth") > 0
                assert "token" not in page.page.url
            finally:
                demo.send_signal(signal.SIGINT)
                rest = demo.communicate(timeout=60)[0]
    assert demo.returncode == 0, rest
