"""Stand-ins for the programs that an operator's commands start: each notes its calls and does what it is told."""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

# Answers by the words that a call starts with: {"exit": 1}, {"says": "…"}, {"writes": {"--option": "content"}}; the
# first call of those under "first" answers so only once. Everything else succeeds and says nothing.
_PROGRAM = """#!{python}
import json, os, pathlib, sys
name, words, folder = {name!r}, sys.argv[1:], pathlib.Path({folder!r})
with (folder / "calls").open("a") as calls:
    calls.write(json.dumps([name, *words]) + "\\n")
answers = json.loads((folder / "answers.json").read_text())
for start, answer in answers.items():
    if " ".join([name, *words]).startswith(start):
        if answer.get("once"):
            del answers[start]
            (folder / "answers.json").write_text(json.dumps(answers))
        for option, content in answer.get("writes", {{}}).items():
            pathlib.Path(words[words.index(option) + 1]).write_text(content)
        print(answer.get("says", ""))
        if answer.get("complains"):
            print(answer["complains"], file=sys.stderr)
        sys.exit(answer.get("exit", 0))
if name == "terraform":
    # The state of a test is not in a bucket.
    words = [word for word in words if not word.startswith("-backend-config=")]
    os.execv({terraform!r}, ["terraform", *words])
"""


@dataclass
class Programs:
    """``folder`` is the first on PATH."""

    folder: Path

    def calls(self, name: str | None = None) -> list[list[str]]:
        """Every call so far, of one program or of all: name and words."""
        file = self.folder / "calls"
        made = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        return [call for call in made if name in (None, call[0])]

    def forget(self) -> None:
        """Forget the calls so far."""
        (self.folder / "calls").unlink(missing_ok=True)

    def answer(self, start: str, **how: object) -> None:
        """Answer calls that start with these words: ``says``, ``complains``, ``exit``, ``writes``, ``once``."""
        file = self.folder / "answers.json"
        others = {other: known for other, known in json.loads(file.read_text()).items() if other != start}
        file.write_text(json.dumps({start: how, **others}))


def install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """Put gcloud, docker and a terraform without buckets first on PATH."""
    folder.mkdir()
    (folder / "answers.json").write_text("{}")
    for name in ("gcloud", "docker", "terraform"):
        program = folder / name
        program.write_text(
            _PROGRAM.format(
                python=sys.executable, name=name, folder=str(folder), terraform=shutil.which("terraform") or "terraform"
            )
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return Programs(folder)
