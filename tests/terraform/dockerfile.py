"""`functions/Dockerfile`, read well enough to do without Docker what each image does."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "functions" / "Dockerfile"
FUNCTIONS = ("admin", "callback", "cluster", "detect")


@dataclass
class Stage:
    """One stage, with what it inherits from the stage that it starts from.

    Attributes:
        copies: ``(from stage or "", source, destination)``.
        runs: shell commands.
        command: the image's, as a list.
    """

    name: str
    base: str
    environment: dict[str, str] = field(default_factory=dict)
    copies: list[tuple[str, str, str]] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    user: str = ""


def stages(text: str) -> dict[str, Stage]:
    """Every stage by name; arguments have their defaults."""
    found: dict[str, Stage] = {}
    arguments: dict[str, str] = {}
    current = Stage("", "")
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        rest = re.sub(r"\$\{?(\w+)\}?", lambda match: arguments.get(match[1], match[0]), rest)
        if word == "FROM":
            base, name = re.fullmatch(r"(\S+) AS (\S+)", rest).groups()  # type: ignore[union-attr]  # else a finding
            current = _child(found.get(base), name, base)
            found[name] = current
        elif word == "ARG":
            name, _, value = rest.partition("=")
            arguments[name] = value
        elif word == "ENV":
            current.environment |= dict(pair.split("=", 1) for pair in rest.split())
        elif word == "COPY":
            *sources, destination = rest.split()
            origin = sources.pop(0).removeprefix("--from=") if sources[0].startswith("--from=") else ""
            current.copies += [(origin, source, destination) for source in sources]
        elif word == "RUN":
            current.runs.append(rest)
        elif word == "USER":
            current.user = rest
        elif word == "CMD":
            current.command = json.loads(rest)
    return found


def _child(parent: Stage | None, name: str, base: str) -> Stage:
    if parent is None:
        return Stage(name, base)
    return Stage(
        name=name,
        base=base,
        environment=dict(parent.environment),
        copies=list(parent.copies),
        runs=list(parent.runs),
        command=list(parent.command),
        user=parent.user,
    )


STAGES = stages(DOCKERFILE.read_text())
_PYTHON = {"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PYTHONPATH", "PATH"}
# What an image sets of a function's own variables.
IMAGE_VARIABLES = {
    name: {key: value for key, value in STAGES[name].environment.items() if key not in _PYTHON} for name in FUNCTIONS
}
