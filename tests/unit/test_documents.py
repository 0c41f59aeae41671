"""The documents say what is: tests they name exist, and so do files, targets and links."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


@pytest.mark.parametrize(("document", "least"), [("ARCHITECTURE.md", 30), ("docs/privacy.md", 10)])
def test_every_test_that_a_document_names_exists(document: str, least: int) -> None:
    named = re.findall(r"`([\w/]+\.py)(?:::(test_\w+))?`", (ROOT / document).read_text())
    tests = [
        (path, name)
        for path, name in named
        if path.split("/")[0]
        in {"unit", "contract", "integration", "terraform", "browser", "faults", "fuzz", "reported"}
    ]
    assert len(tests) > least
    for path, name in tests:
        text = (ROOT / "tests" / path).read_text()
        assert f"def {name}(" in text if name else "def test_" in text, f"{path}::{name}"


def test_every_module_that_a_document_names_exists() -> None:
    files = ["/" + name for name in _tracked()]
    for document in DOCUMENTS:
        if document.name == "CHANGELOG.md":
            continue  # tells what was once
        for name in set(re.findall(r"[\w/]+\.(?:py|sql|tf)\b", document.read_text())):
            if re.search(r"[A-Z]{4}", name):
                continue  # a pattern such as NNNN_name.sql
            assert any(file.endswith("/" + name.lstrip("/")) for file in files), f"{document.name}: {name}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_within_the_repository_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), target


def test_every_make_target_that_a_document_names_exists() -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in DOCUMENTS:
        for name in re.findall(r"`make ([a-z-]+)", document.read_text()):
            assert name in targets, f"{document.name}: make {name}"


def test_the_repository_holds_no_photo_and_names_no_registry() -> None:
    files = _tracked()
    assert not [name for name in files if re.search(r"\.(jpe?g|heic|webp|avif|tiff?)$", name, re.IGNORECASE)]
    registries = ("pypi" + ".org", "files.python" + "hosted", "registry.npm" + "js", "deb.deb" + "ian")
    for name in files:
        text = (ROOT / name).read_bytes().decode("utf-8", "replace")
        assert not [registry for registry in registries if registry in text], name


def test_decisions_are_numbered_without_a_gap() -> None:
    numbers = [int(path.name[:4]) for path in sorted((ROOT / "docs" / "decisions").glob("*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))


def _tracked() -> list[str]:
    """The repository's files, those that are not committed yet among them."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    return [name for name in names if (ROOT / name).exists()]
