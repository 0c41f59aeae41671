"""The parts of the demo that need no cloud: files, sample event, contact sheet, timings."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rich.console import Console

from local.cloud.cloud import CloudOptions
from local.demo.contact_sheet import SUFFIXES, write_contact_sheet
from local.demo.demo import DemoError, Timings, check_outputs, files_of, run_demo
from local.demo.sample_event import make_sample_event
from shared.bus import load_bus


def test_a_folder_s_files_are_named_by_their_path_and_hidden_ones_left_out(tmp_path: Path) -> None:
    for name in ("b.jpg", "sub/a.png", ".hidden.jpg", ".cache/x.jpg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    assert list(files_of(tmp_path)) == ["b.jpg", "sub/a.png"]


def test_a_folder_that_is_not_there_or_empty_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match="is not a folder"):
        files_of(tmp_path / "nowhere")
    with pytest.raises(DemoError, match="there is no file in"):
        files_of(tmp_path)


def test_the_sample_event_has_people_groups_and_landscapes(tmp_path: Path) -> None:
    names = [path.name for path in make_sample_event(tmp_path / "event")]
    assert len(names) >= 24
    people = {name.split("-")[1] for name in names if name.startswith("guest-")}
    assert len(people) == 7
    assert sum(name.startswith("group-") for name in names) >= 3
    assert sum(name.startswith("landscape-") for name in names) >= 5
    for name in names:
        with Image.open(tmp_path / "event" / name) as photo:
            photo.verify()


def test_the_contact_sheet_has_a_row_per_person_with_the_cover_first(tmp_path: Path) -> None:
    red, blue = _thumbnail("red"), _thumbnail("blue")
    report: dict[str, Any] = {
        "photos": [
            {"name": "a.jpg", "faces": [{"id": "1", "quality": 0.9, "person": "p"}]},
            {"name": "b.jpg", "faces": [{"id": "2", "quality": 0.8, "person": "p"}]},
            {"name": "c.jpg", "faces": [{"id": "3", "quality": 0.8, "person": None}]},
        ],
        "persons": [{"id": "p", "label": "Person 1", "face_count": 2, "representative": "2"}],
    }
    write_contact_sheet(report, {"1": red, "2": blue, "3": red}, tmp_path / "sheet.png")
    sheet = Image.open(tmp_path / "sheet.png").convert("RGB")
    first, second = sheet.getpixel((226, 64)), sheet.getpixel((346, 64))
    assert isinstance(first, tuple)
    assert isinstance(second, tuple)
    assert first[2] > 200 > first[0], "the cover, blue, comes first"
    assert second[0] > 200 > second[2], "the other face, red, comes second"


def test_a_contact_sheet_of_nobody_says_so_instead_of_failing(tmp_path: Path) -> None:
    write_contact_sheet({"photos": [], "persons": []}, {}, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.height > 100


def test_timings_add_up_to_their_total() -> None:
    timings = Timings()
    timings.end("setup")
    timings.end("upload")
    report = timings.report()
    assert list(report) == ["setup", "upload", "total"]
    assert report["total"] == pytest.approx(report["setup"] + report["upload"])


def test_every_topic_has_a_dead_letter_topic_and_a_subscription_on_it() -> None:
    bus = load_bus()
    subscribed = {subscription.topic for subscription in bus.subscriptions()}
    assert subscribed == set(bus.topic_names())
    assert len(bus.topic_names()) == 12


def test_the_declaration_stays_within_pub_sub_s_limits() -> None:
    for subscription in load_bus().subscriptions():
        assert 10 <= subscription.ack_deadline_seconds <= 600
        assert subscription.retry.maximum_backoff_seconds <= 600
        assert subscription.retry.minimum_backoff_seconds <= subscription.retry.maximum_backoff_seconds
        if subscription.dead_letter_topic is not None:
            assert subscription.max_delivery_attempts is not None
            assert 5 <= subscription.max_delivery_attempts <= 100


def _thumbnail(colour: str) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (160, 160), colour).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("option", "name", "told"),
    [
        ("sheet", "x.html", "a contact sheet is a picture"),
        ("sheet", "x", "a contact sheet is a picture"),
        ("sheet", "sheet.webp", "a contact sheet is a picture"),
        ("sheet", "folder.png", "is a folder"),
        ("sheet", "file/x.png", "cannot be written"),
        ("json", "folder.png", "is a folder"),
        ("json", "file/x.json", "cannot be written"),
        ("json", "/proc/nowhere/x.json", "cannot be written"),
    ],
)
def test_a_file_that_cannot_be_written_is_not_found_out_after_all_the_work(
    option: str, name: str, told: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.png").mkdir()
    path = tmp_path / name
    paths: dict[str, Any] = {f"{'report' if option == 'json' else 'sheet'}_path": path}
    with pytest.raises(DemoError, match=told) as error:
        # Before anything else, as the pack's name would be refused next.
        run_demo(CloudOptions(state_dir=tmp_path / "state"), "no pack", Console(quiet=True), **paths)
    assert f"--{option} {path}" in str(error.value)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_sheet_is_written_as_each_kind_of_picture_into_a_folder_that_is_made(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / "made" / f"sheet{suffix.upper()}"
    check_outputs(path.with_suffix(".json"), path)
    write_contact_sheet({"photos": [], "persons": []}, {}, path)
    with Image.open(path) as sheet:
        assert sheet.width > sheet.height
