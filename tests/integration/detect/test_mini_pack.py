"""The `mini` pack is built from published packages, the same bytes every time."""

from pathlib import Path

from functions.detect import packs


def test_building_again_gives_the_same_bytes(mini_pack: Path, tmp_path: Path) -> None:
    rebuilt = packs.fetch("mini", tmp_path)
    for file in packs.MINI.files:
        content = (rebuilt / file.filename).read_bytes()
        assert content == (mini_pack / file.filename).read_bytes()
        assert len(content) == file.bytes


def test_a_built_pack_is_verified_without_building_it_again(mini_pack: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in mini_pack.iterdir()}
    said: list[str] = []
    assert packs.fetch("mini", report=said.append) == mini_pack
    assert {path: path.stat().st_mtime_ns for path in mini_pack.iterdir()} == before
    assert said == [f"mini is in place: {mini_pack}"]
