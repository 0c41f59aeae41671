"""What is to go wrong, and what did: a directory that the test and every process of the functions share.

``plan.json`` says what is to happen and is read anew at every step, so that one cloud serves many runs.  What
happened is appended to ``RUN/log.jsonl``, one line in one write; how often each step was passed is the size of a
file of its own, so that the count outlives the process that is killed there.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any, Self

ENVIRONMENT = "TROMBI_FAULTS"
PATIENCE = "TROMBI_FAULTS_PATIENCE"


@dataclass(frozen=True)
class Plan:
    """One run's faults.  A ``seed`` fixes what happens at the n-th passing of each step and the n-th message.

    ``kill_once``: every step kills its process at one passing, the first or (``kill_within`` > 1) a later one.
    ``kill_chance``: any step may, up to ``most_kills`` in all.  ``whole_function`` is the share of deaths that take
    the server along and not its worker alone.  ``messages`` gives each kind of trouble with a message its chance.
    """

    run: str
    seed: int = 0
    kill_once: bool = False
    kill_within: int = 1
    kill_chance: float = 0.0
    most_kills: int = 0
    whole_function: float = 0.0
    messages: Mapping[str, float] = field(default_factory=dict)

    def luck(self, *about: object) -> Random:
        """The same numbers for the same seed and subject, in every process."""
        return Random(f"{self.seed}/{'/'.join(str(part) for part in about)}")

    def kills_at(self, step: str) -> int:
        """Which passing of a step kills in a run of ``kill_once``."""
        return self.luck("passing", step).randint(1, self.kill_within)


class FaultDirectory:
    """The shared directory."""

    def __init__(self, folder: Path) -> None:
        """``folder`` exists."""
        self.folder = folder

    @classmethod
    def from_environment(cls) -> Self:
        """The directory that this process was told of."""
        return cls(Path(os.environ[ENVIRONMENT]))

    # ------------------------------------------------------------ the plan

    def choose(self, plan: Plan) -> None:
        """Go by ``plan`` from here on."""
        for part in ("passed", "killed"):
            (self.folder / plan.run / part).mkdir(parents=True, exist_ok=True)
        unfinished = self.folder / "plan.new"
        unfinished.write_text(json.dumps(asdict(plan)), encoding="utf-8")
        unfinished.replace(self.folder / "plan.json")

    def plan(self) -> Plan | None:
        """The plan as it is now; None before the first."""
        try:
            return Plan(**json.loads((self.folder / "plan.json").read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    # ------------------------------------------------------------ what happened

    def count(self, run: str, what: str) -> int:
        """One more of ``what``: how many there are now.  No two callers get the same number."""
        path = self.folder / run / "passed" / sha256(what.encode()).hexdigest()[:24]
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            os.write(file, b".")
            # With O_APPEND the position is the end of what this very call wrote.
            return os.lseek(file, 0, os.SEEK_CUR)
        finally:
            os.close(file)

    def has_killed(self, run: str, step: str) -> bool:
        """Whether a process was killed at ``step``."""
        return self._mark(run, step).exists()

    def note_kill(self, run: str, step: str, *, server: bool) -> None:
        """Write down that this process is killed at ``step``, which comes next."""
        # In this order: a process that another of its threads kills in between is killed at this step once more.
        self.log(run, "killed", step=step, server=server)
        self._mark(run, step).touch()

    def _mark(self, run: str, step: str) -> Path:
        return self.folder / run / "killed" / sha256(step.encode()).hexdigest()[:24]

    def log(self, run: str, kind: str, **facts: object) -> None:
        """Append one line."""
        line = json.dumps({"kind": kind, **facts}) + "\n"
        file = os.open(self.folder / run / "log.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            os.write(file, line.encode())
        finally:
            os.close(file)

    def history(self, run: str) -> History:
        """Everything that was logged in a run so far."""
        path = self.folder / run / "log.jsonl"
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        # The last line may be in the middle of being written.
        return History([json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")])


@dataclass(frozen=True)
class History:
    """The log of one run."""

    lines: list[dict[str, Any]]

    def of(self, kind: str) -> Iterator[dict[str, Any]]:
        """The lines of one kind, in order."""
        return (line for line in self.lines if line["kind"] == kind)

    def passed(self) -> Counter[str]:
        """How often each step was passed."""
        return Counter(line["step"] for line in self.of("passed"))

    def kills(self) -> Counter[str]:
        """How many processes died at each step."""
        return Counter(line["step"] for line in self.of("killed"))

    def troubles(self) -> Counter[str]:
        """How many messages had each kind of trouble."""
        return Counter(line["trouble"] for line in self.of("message"))

    def refusals(self, path: str = "") -> int:
        """Deliveries that a function itself answered 503."""
        return sum(line["status"] == 503 and line["path"].startswith(path) for line in self.of("answered"))

    def statuses(self) -> Counter[int]:
        """How a function itself answered its deliveries."""
        return Counter(line["status"] for line in self.of("answered"))

    def reasons(self) -> set[str]:
        """Why functions answered 503."""
        return {line["text"] for line in self.of("answered") if line["status"] == 503}

    def inside(self) -> int:
        """Deliveries that were begun and have not been answered."""
        return sum(1 for _ in self.of("begun")) - sum(1 for _ in self.of("answered"))

    def overtaken(self) -> int:
        """Messages that were handled after a later one of the same path: the order in which they were not published."""
        newest: dict[str, int] = {}
        late = 0
        for line in self.of("answered"):
            if line["status"] == 204 and line["message_id"]:
                number = int(line["message_id"])
                late += number < newest.get(line["path"], 0)
                newest[line["path"]] = max(number, newest.get(line["path"], 0))
        return late
