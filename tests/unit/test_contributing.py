"""CONTRIBUTING.md is true: what its steps name exists, and what it says is caught if forgotten is caught."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import pytest
import yaml

from functions.admin.site import ROUTES
from functions.detect import packs
from shared.contracts import MESSAGES, Message
from tests.contract import test_messages
from tests.unit.detect import test_packs

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_every_file_that_the_guide_names_exists() -> None:
    paths = re.findall(r"`((?:functions|shared|sql|terraform|tests|docs)/[\w./-]+)`", GUIDE)
    assert len(paths) > 10
    placeholders = ("NOUN", "NAME", "NNNN")
    missing = [path for path in paths if not any(word in path for word in placeholders) and not (ROOT / path).exists()]
    assert missing == []


# ---------------------------------------------------------------- a route


def test_the_routes_of_every_noun_are_served() -> None:
    made = set()
    for path in sorted((ROOT / "functions" / "admin").rglob("*.py")):
        if re.search(r"^def routes\(resources", path.read_text(encoding="utf-8"), re.MULTILINE):
            module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
            made.add(module.routes)
    assert made == set(ROUTES)


# ---------------------------------------------------------------- a model pack


def test_the_readme_names_every_pack() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(rows) == set(packs.PACKS)


def test_a_pack_without_pinned_files_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    mini = packs.PACKS["mini"]
    unpinned = replace(mini, name="new", files=tuple(replace(file, sha256="unknown") for file in mini.files))
    monkeypatch.setattr(packs, "PACKS", MappingProxyType({**packs.PACKS, "new": unpinned}))
    with pytest.raises(AssertionError):
        test_packs.test_every_pack_has_a_detector_and_an_embedder_with_pinned_hashes()


# ---------------------------------------------------------------- a message


class Forgotten(Message):
    """A message that was added to MESSAGES, and nothing else done."""

    topic: ClassVar[str] = "forgotten"
    greeting: str


@pytest.fixture
def forgotten(monkeypatch: pytest.MonkeyPatch) -> type[Message]:
    monkeypatch.setattr(test_messages, "MESSAGES", (*MESSAGES, Forgotten))
    return Forgotten


@pytest.mark.usefixtures("forgotten")
def test_a_message_without_a_golden_file_is_caught() -> None:
    with pytest.raises(AssertionError):
        test_messages.test_every_message_has_a_golden_file_for_its_version()


@pytest.mark.usefixtures("forgotten")
def test_a_message_on_a_topic_that_is_not_declared_is_caught() -> None:
    with pytest.raises(AssertionError):
        test_messages.test_messages_and_the_bus_name_the_same_topics()


def test_a_message_that_could_hold_a_name_is_caught(forgotten: type[Message]) -> None:
    with pytest.raises(AssertionError, match="greeting"):
        test_messages.test_no_field_of_a_message_could_hold_a_name_an_address_or_an_embedding(forgotten)


# ---------------------------------------------------------------- the same commands everywhere


def recipe(target: str) -> str:
    """The commands of a make target."""
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None, target
    return found[1]


def test_commits_and_continuous_integration_run_what_make_runs() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    assert "make --no-print-directory lint" in [hook["entry"] for hook in hooks]
    assert all(hook["language"] == "system" for hook in hooks), "no hook installs tools of its own"
    assert "exec make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    steps = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))["jobs"]["test"]["steps"]
    assert [step["run"] for step in steps if "run" in step] == [".ci/run"]
    for used in (step["uses"] for step in steps if "uses" in step):
        assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", used), f"{used} is not pinned by its commit"


def test_renovate_can_repeat_the_command_that_makes_the_lock() -> None:
    # What Renovate's manager pip-compile understands of a lock's first lines; it leaves the others out in silence.
    known = {"--all-extras", "--group", "--universal", "--python-version", "--generate-hashes", "--output-file"}
    not_in_the_header = {"--quiet"}
    options = re.findall(r"\s(-[\w-]+)(=?)", recipe("lock"))
    assert {name for name, _ in options} <= known | not_in_the_header
    values = {"--group", "--python-version", "--output-file"}
    assert all(equals for name, equals in options if name in values), "it wants --option=value"
    manager = json.loads((ROOT / "renovate.json").read_text(encoding="utf-8"))["pip-compile"]
    (pattern,) = manager["managerFilePatterns"]
    assert re.search(pattern.strip("/"), "requirements.lock")


@pytest.mark.parametrize(("said", "expected"), [(None, "true"), ("false", "false")])
def test_uv_trusts_the_certificates_of_the_system_wherever_make_calls_it(said: str | None, expected: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in {"UV_SYSTEM_CERTS", "MAKEFLAGS"}}
    environment |= {} if said is None else {"UV_SYSTEM_CERTS": said}
    command = ["make", "--silent", "--eval", "shown: ; @printenv UV_SYSTEM_CERTS", "shown"]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == expected
