"""The demo command, as it is typed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.local.small_cloud import state_directory

_REPOSITORY = Path(__file__).resolve().parents[3]


def _demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "local", "demo", *arguments],
        cwd=_REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )


def test_the_demo_reports_photos_and_persons_and_says_what_was_wrong_with_which_file(
    tmp_path: Path, photos: dict[str, Path], mini_pack: Path
) -> None:
    assert mini_pack.is_dir()
    folder = tmp_path / "my photos"
    (folder / "more").mkdir(parents=True)
    portrait = photos["guest-1-1.jpg"].read_bytes()
    for number in range(3):
        name = f"guest-1-{number + 1}.jpg"
        (folder / "more" / name).write_bytes(photos[name].read_bytes())
    (folder / "notes.txt").write_text("a text\n", encoding="utf-8")
    (folder / "cut.jpg").write_bytes(portrait[: len(portrait) // 2])
    (folder / ".hidden").write_text("not looked at", encoding="utf-8")
    report_path = tmp_path / "report.json"
    with state_directory() as state:
        run = _demo(str(folder), "--json", str(report_path), "--exit", "--state", str(state), "--bus", "small")
        assert run.returncode == 0, run.stdout + run.stderr
        assert (state / "demo" / "contact-sheet.png").stat().st_size > 0
    report = json.loads(report_path.read_text(encoding="utf-8"))

    assert set(report) == {"photos", "persons", "noise", "timings", "pack"}
    assert report["pack"] == "mini"
    assert set(report["timings"]) == {"setup", "upload", "detect", "cluster", "total"}
    parts = [seconds for part, seconds in report["timings"].items() if part != "total"]
    assert report["timings"]["total"] == pytest.approx(sum(parts), abs=0.01)
    found = {photo["name"]: photo for photo in report["photos"]}
    assert set(found) == {"cut.jpg", "notes.txt", *(f"more/guest-1-{number}.jpg" for number in (1, 2, 3))}
    for photo in found.values():
        assert set(photo) == {"name", "status", "error", "faces"}
    assert (found["notes.txt"]["status"], found["notes.txt"]["error"]) == ("completed", "skipped: not an image")
    assert found["cut.jpg"]["status"] == "failed"
    assert "cut short" in found["cut.jpg"]["error"]
    (person,) = report["persons"]
    assert set(person) == {"id", "label", "face_count", "representative"}
    assert person["face_count"] == 3
    faces = [face for photo in found.values() for face in photo["faces"]]
    assert person["representative"] in {face["id"] for face in faces}
    for face in faces:
        assert set(face) == {"id", "bbox", "quality", "person"}
        assert set(face["bbox"]) == {"x", "y", "w", "h"}
        assert 0 < face["quality"] <= 1
        assert face["person"] == person["id"]
    assert report["noise"] == 0
    assert "cut short" in run.stdout
    assert "Traceback" not in run.stdout + run.stderr


@pytest.mark.parametrize("kind", ["missing", "empty", "a file"])
def test_a_wrong_folder_is_told_in_a_sentence(tmp_path: Path, mini_pack: Path, kind: str) -> None:
    assert mini_pack.is_dir()
    folder = tmp_path / "photos"
    if kind == "empty":
        folder.mkdir()
    elif kind == "a file":
        folder.write_text("not a folder", encoding="utf-8")
    run = _demo(str(folder), "--exit", "--state", str(tmp_path / "state"), "--bus", "small")
    assert run.returncode == 1
    assert str(folder) in run.stdout
    assert ("no file" if kind == "empty" else "not a folder") in run.stdout
    assert "Traceback" not in run.stdout + run.stderr
    assert not (tmp_path / "state").exists()
