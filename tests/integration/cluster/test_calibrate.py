"""The operator's command: labelled photos in, the constants that FACE_CALIBRATION takes out."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from functions.cluster.calibrate import main
from local.demo.sample_event import make_sample_event
from shared.calibration import constants_of, read_calibration


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample event's guests, a folder for each, and a file that is no picture."""
    folder = tmp_path_factory.mktemp("people")
    for photo in make_sample_event(folder / "all"):
        if photo.name.startswith("guest-"):
            person = folder / "people" / photo.name.rpartition("-")[0]
            person.mkdir(parents=True, exist_ok=True)
            photo.rename(person / photo.name)
    (folder / "people" / "guest-1" / "notes.txt").write_text("not a picture")
    return folder / "people"


@pytest.mark.usefixtures("mini_pack")
def test_labelled_photos_become_a_calibration_that_groups_them(
    people: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    written = tmp_path / "calibration.json"
    assert main([str(people), "--pack", "mini", "--out", str(written), "--source", "the sample event"]) == 0
    printed = capfd.readouterr()
    constants = constants_of("mini", read_calibration(written.read_text()))
    assert constants.cluster.source == "the sample event"
    assert constants.cluster.measured
    assert constants.search is not None
    assert constants.search.possible < constants.search.likely
    assert constants.across_events is not None
    scores = re.search(r"each of 7 people left out in turn: BCubed precision ([.\d]+), recall ([.\d]+)", printed.out)
    assert scores
    # Two of the guests are .6 alike: without both of them nobody would know that strangers can be.
    assert float(scores[1]) > 0.85
    assert float(scores[2]) > 0.95
    assert "guest-1/notes.txt is left out" in printed.err
    assert "22 of 22 photos" in printed.err, "progress is shown"
    assert "is more like" not in printed.out


@pytest.mark.usefixtures("mini_pack")
def test_a_photo_in_the_wrong_person_s_folder_is_named_and_left_out(
    people: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "people"
    shutil.copytree(people, folder)
    wrong = min((folder / "guest-3").iterdir())
    wrong.rename(folder / "guest-5" / "wrong.jpg")
    written = tmp_path / "calibration.json"
    assert main([str(folder), "--pack", "mini", "--out", str(written)]) == 0
    (line,) = [line for line in capfd.readouterr().out.splitlines() if "is left out" in line]
    assert line.startswith("guest-5/wrong.jpg is left out: the face taken for guest-5 is more like guest-3 (")
    assert constants_of("mini", read_calibration(written.read_text())).cluster.source.startswith("20 labelled faces")


def test_a_folder_without_people_says_what_to_add(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "nobody").mkdir()
    written = tmp_path / "calibration.json"
    assert main([str(tmp_path), "--pack", "mini", "--out", str(written)]) == 1
    assert "Add folders of people" in capfd.readouterr().err
    assert not written.exists()


def test_an_unknown_folder_or_pack_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "missing"), "--pack", "mini"]) == 1
    assert f"{tmp_path / 'missing'} is no folder" in capfd.readouterr().err
    assert main([os.fspath(tmp_path), "--pack", "no-such-pack"]) == 1
    assert "invalid choice: 'no-such-pack'" in capfd.readouterr().err


def test_a_file_that_cannot_be_written_is_told_before_any_photo_is_looked_at(
    people: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "missing" / "calibration.json"
    for out, said in ((tmp_path, f"{tmp_path} is a folder"), (missing, f"there is no folder {missing.parent}")):
        assert main([str(people), "--pack", "mini", "--out", str(out)]) == 1
        printed = capfd.readouterr()
        assert said in printed.err
        assert "photos," not in printed.err, "no photo was looked at"
        assert not printed.out
