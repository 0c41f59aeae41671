"""The long version: ``python -m tests.faults --seeds 20``, or ``make faults SEEDS=20``.

For each seed runs of every kind on the real parts, then the pure parts with more examples; ends with the table that
docs/reliability.md shows, and with status 1 if anything was lost or doubled.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from functions.detect import packs
from tests.faults import scenarios
from tests.faults.faulty_cloud import FaultyCloud, faulty_cloud, wait_until
from tests.faults.plan import Plan
from tests.faults.resources import HOW_TO_GET_A_DISK
from tests.faults.scenarios import Result
from tests.integration.end_to_end.whole_cloud import Event, sample_folder

_PHOTOS = 24
_REAL_PHOTOS = 18
# Quick ones many times as often, those that cluster for seconds an example a few times.
_PURE = (
    (
        20,
        (
            "tests/unit/callback/test_debounce.py",
            "tests/unit/detect/test_redetection.py",
            "tests/unit/shared/test_push.py",
            "tests/contract/test_messages.py",
            "tests/faults/test_broker_faults.py",
            "tests/model/test_any_sequence.py",
        ),
    ),
    (3, ("tests/unit/cluster/test_decisions_survive.py", "tests/unit/cluster/test_face_rules.py")),
)
# A real face may stay with the person that an earlier clustering gave it, so that only the same clusterings compare.
_ONE_CLUSTERING = {"TROMBI_FAULTS_ENGINE": "real", "CLUSTER_EVERY": "1000", "CLUSTER_MAX_WAIT": "600"}
_NEED_A_DISK = ("full disk of Postgres", "full disk of storage", "no room for Postgres' log")
_EXAMPLES = re.compile(r"- (\d+) passing")
Run = Callable[[FaultyCloud], Result]


@dataclass
class Totals:
    """All runs so far."""

    results: list[Result] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    not_run: set[str] = field(default_factory=set)
    examples: Counter[str] = field(default_factory=Counter)
    started: float = field(default_factory=time.monotonic)

    def sum(self, counts: Callable[[Result], Counter[str]]) -> Counter[str]:
        """The counts of all runs together."""
        return sum((counts(result) for result in self.results), Counter[str]())


def _runs(seed: int) -> Iterator[tuple[str, Run]]:
    """What a seed runs; the kinds that do not depend on chance only now and then."""
    if seed % 2:
        within = 1 + seed // 2 % 4
        yield (
            "killed at every step",
            lambda cloud: scenarios.killed_at_every_step(cloud, _PHOTOS, seed=seed, within=within, whole_function=0.05)[
                0
            ],
        )
    yield "faulty delivery", lambda cloud: scenarios.bad_messenger(cloud, _PHOTOS, seed=seed, chance=0.12)
    yield "everything together", lambda cloud: scenarios.everything(cloud, _PHOTOS, seed=seed)
    if seed % 4 == 1:
        yield "damaged objects", lambda cloud: scenarios.damaged_objects(cloud, _PHOTOS, seed=seed)
        yield "stalled Postgres", scenarios.stalled_postgres
        yield "full disk of Postgres", lambda cloud: scenarios.full_disk(cloud, _PHOTOS, "Postgres")
        yield "full disk of storage", lambda cloud: scenarios.full_disk(cloud, _PHOTOS, "storage")
        yield "no room for Postgres' log", lambda cloud: scenarios.no_room_for_the_log(cloud, _PHOTOS)


def _on_real_parts(seeds: int, totals: Totals, console: Console) -> None:
    left = [(seed, kind, run) for seed in range(1, seeds + 1) for kind, run in _runs(seed)]
    while left:
        # After a failure on a new one, so that it does not spoil the others.
        with faulty_cloud(report=lambda _: None) as cloud:
            while left:
                seed, kind, run = left.pop(0)
                if kind in _NEED_A_DISK and (cloud.database_disk is None or cloud.storage_disk is None):
                    totals.not_run.add(f"{kind}: {HOW_TO_GET_A_DISK}")
                elif not _attempt(f"seed {seed:3d}  {kind}", partial(run, cloud), totals, console):
                    break


def _attempt(name: str, run: Callable[[], Result], totals: Totals, console: Console) -> bool:
    """Run once; False when it failed."""
    try:
        result = run()
        totals.results.append(result)
        result.assert_nothing_lost_or_doubled()
    except Exception:  # noqa: BLE001 - the other runs are worth their time all the same
        totals.failures.append(f"{name}\n{traceback.format_exc()}")
        console.print(f"{name}: [red]failed[/red]\n{totals.failures[-1]}", highlight=False)
        return False
    kills, troubles = sum(result.history.kills().values()), sum(result.history.troubles().values())
    console.print(
        f"{name}: {result.photos} photos, {kills} deaths, {troubles} faulty deliveries, {result.history.refusals()} "
        f"refused, {sum(result.damages.values())} damaged reads; lost {len(result.lost)}, doubled "
        f"{len(result.doubled)}; {result.seconds:.0f} s",
        highlight=False,
    )
    return True


def _with_the_real_model(totals: Totals, console: Console) -> None:
    """Drawn photos and the pack ``mini``: once undisturbed, once with a death at every step."""
    packs.fetch("mini")
    with (
        tempfile.TemporaryDirectory() as folder,
        faulty_cloud(_ONE_CLUSTERING, lambda _: None) as cloud,
    ):
        photos = sample_folder(Path(folder), _REAL_PHOTOS)

        def played(plan: Plan) -> tuple[str, Event]:
            run = cloud.run(plan)
            event = Event.made(cloud.cloud.addresses, photos)
            event.upload()
            wait_until(
                lambda: event.host.progress(event.event_id).settled and not cloud.on_the_bus(), "the event is at rest"
            )
            event.assert_each_photo_was_done_once()
            return run, event

        def run() -> Result:
            _, calm = played(Plan("real, calm"))
            started = time.monotonic()
            name, event = played(Plan("real, killed", seed=1, kill_once=True, whole_function=0.05))
            history = cloud.history(name)
            expected, found = calm.outcome(), event.outcome()
            assert len(history.kills()) >= 80
            return Result(
                kind="killed at every step, with the model",
                photos=len(photos),
                history=history,
                lost=[str(face) for face in expected.faces - found.faces]
                + [str(p) for p in expected.persons - found.persons],
                doubled=[str(face) for face in found.faces - expected.faces],
                mails_too_many=0,
                seconds=time.monotonic() - started,
            )

        _attempt("the real model  killed at every step", run, totals, console)


def _pure_parts(totals: Totals, console: Console) -> None:
    for times, files in _PURE:
        for path in files:
            started = time.monotonic()
            done = subprocess.run(
                [sys.executable, "-m", "pytest", "-q", "--hypothesis-show-statistics", "--timeout", "1200", path],
                env={**os.environ, "TROMBI_EXAMPLES": str(times)},
                check=False,
                capture_output=True,
                text=True,
            )
            totals.examples[path] = sum(int(number) for number in _EXAMPLES.findall(done.stdout))
            console.print(
                f"{path}: {totals.examples[path]} examples; {time.monotonic() - started:.0f} s", highlight=False
            )
            if done.returncode != 0:
                totals.failures.append(f"{path}\n{done.stdout[-4000:]}{done.stderr[-1000:]}")
                console.print(f"[red]failed[/red]\n{totals.failures[-1]}", highlight=False)


def _table(totals: Totals) -> Table:
    table = Table(
        "runs of", "runs", "photos", "deaths", "faulty deliveries", "refused", "damaged reads", "lost", "doubled"
    )
    for kind in dict.fromkeys(result.kind for result in totals.results):
        table.add_row(kind, *_row([result for result in totals.results if result.kind == kind]))
    table.add_row("all", *_row(totals.results))
    return table


def _row(results: list[Result]) -> list[str]:
    return [
        str(number)
        for number in (
            len(results),
            sum(result.photos for result in results),
            sum(sum(result.history.kills().values()) for result in results),
            sum(sum(result.history.troubles().values()) for result in results),
            sum(result.history.refusals() for result in results),
            sum(sum(result.damages.values()) for result in results),
            sum(len(result.lost) for result in results),
            sum(len(result.doubled) for result in results),
        )
    ]


def _summary(totals: Totals, console: Console) -> None:
    console.print(_table(totals))
    steps = totals.sum(lambda result: result.history.kills())
    for function in ("detect", "cluster", "callback", "admin"):
        own = {step: count for step, count in steps.items() if step.startswith(function)}
        console.print(f"{function}: {sum(own.values())} deaths at {len(own)} different steps", highlight=False)
    servers = sum(line["server"] for result in totals.results for line in result.history.of("killed"))
    console.print(f"{servers} of them took the function's server along", highlight=False)
    for what, counts in (
        ("faulty deliveries", totals.sum(lambda result: result.history.troubles())),
        ("damaged reads", totals.sum(lambda result: result.damages)),
        ("other parts", totals.sum(lambda result: result.disturbances)),
    ):
        console.print(f"{what}: " + ", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
    console.print(f"handled out of order: {sum(result.history.overtaken() for result in totals.results)}")
    console.print(f"mails sent twice: {sum(result.mails_too_many for result in totals.results)}")
    console.print(f"examples of the pure parts: {sum(totals.examples.values())}")
    console.print(f"{(time.monotonic() - totals.started) / 60:.1f} minutes")
    for reason in sorted(totals.not_run):
        console.print(f"not run: {reason}", highlight=False)
    console.print(f"{len(totals.failures)} runs failed", style="red" if totals.failures else "green")
    for failure in totals.failures:
        console.print(f"  {failure.splitlines()[0]}", highlight=False)


def main() -> int:
    """Run everything; 1 if anything failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Faults, many times.")
    parser.add_argument("--seeds", type=int, default=20, help="how many seeds; about 40 s each on two cores")
    console = Console(width=140)
    totals = Totals()
    seeds = parser.parse_args().seeds
    _on_real_parts(seeds, totals, console)
    _with_the_real_model(totals, console)
    _pure_parts(totals, console)
    _summary(totals, console)
    return 1 if totals.failures else 0


if __name__ == "__main__":
    sys.exit(main())
