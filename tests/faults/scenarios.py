"""What goes wrong, one function for each kind: each makes an event, disturbs it, and shows that it was disturbed.

Once the event is at rest it returns what happened, and what was lost and doubled; `test_faults.py` runs each once,
`__main__.py` many times.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import psycopg

from tests.faults.faulty_cloud import FaultyCloud, FaultyEvent, insist, wait_until
from tests.faults.messenger import TROUBLES
from tests.faults.plan import History, Plan
from tests.faults.resources import locked, standing_still
from tests.faults.storage_proxy import DAMAGES

PARTS = ("postgres", "broker", "storage")
# What a mail may be sent twice by: see functions/callback/notify.py.
BETWEEN_MAIL_AND_COMMIT = ("callback: after handing in a mail", "callback: before the commit of notify.tell again")
_ANSWERS = {204, 429, 503}


@dataclass
class Result:
    """One run."""

    kind: str
    photos: int
    history: History
    lost: list[str]
    doubled: list[str]
    mails_too_many: int
    seconds: float
    damages: Counter[str] = field(default_factory=Counter)
    disturbances: Counter[str] = field(default_factory=Counter)

    def assert_nothing_lost_or_doubled(self) -> None:
        """0 and 0; a mail twice only where a process died between handing it in and writing that down."""
        assert (self.lost, self.doubled) == ([], []), f"{self.kind}: lost {self.lost}, doubled {self.doubled}"
        deaths = self.history.kills()
        assert self.mails_too_many <= sum(deaths[step] for step in BETWEEN_MAIL_AND_COMMIT), self.kind


def _result(kind: str, cloud: FaultyCloud, run: str, event: FaultyEvent, started: float) -> Result:
    return Result(
        kind=kind,
        photos=len(event.photos),
        history=cloud.history(run),
        lost=event.lost(),
        doubled=event.doubled(),
        mails_too_many=event.mails_too_many(),
        seconds=time.monotonic() - started,
    )


def _whole_event(
    cloud: FaultyCloud, photos: int, meanwhile: Callable[[FaultyEvent], None] = lambda _: None
) -> FaultyEvent:
    """An event whose photos arrive while some of them are replaced and others deleted."""
    event = FaultyEvent.made(cloud)
    event.upload(photos)
    wait_until(lambda: event.done() >= photos // 3, "a third of the photos looked at")
    event.replace(3)
    event.delete(2)
    meanwhile(event)
    event.wait_until_at_rest()
    return event


def calm(cloud: FaultyCloud, photos: int) -> tuple[Result, FaultyEvent]:
    """Nothing goes wrong."""
    started = time.monotonic()
    run = cloud.run(Plan("calm"))
    event = _whole_event(cloud, photos)
    result = _result("calm", cloud, run, event, started)
    assert not result.history.kills()
    assert not result.history.troubles()
    return result, event


def killed_at_every_step(
    cloud: FaultyCloud, photos: int, *, seed: int, within: int, whole_function: float
) -> tuple[Result, FaultyEvent]:
    """Every function is killed at every step that it passes, the organiser's requests among them.

    It dies at the first to ``within``-th passing, as ``seed`` says; a step that is passed less often is spared.
    """
    started = time.monotonic()
    plan = Plan("killed", seed=seed, kill_once=True, kill_within=within, whole_function=whole_function)
    run = cloud.run(plan)
    event = _whole_event(cloud, photos)
    with event.organiser() as organiser:
        media = [str(event.photos[f"photo-{number:03d}.tiff"]) for number in (4, 5)]
        again = {"event_id": str(event.event_id), "media_ids": media, "force": True}
        assert insist(organiser, "/ml/enqueue", again).status_code == 202
        event.wait_until_at_rest()
        person = cloud.rows("SELECT face_person_id AS id FROM faces WHERE event_id = %s LIMIT 1", event.event_id)[0]
        assert insist(organiser, f"/person/{person['id']}/ignore", {}).status_code == 200
    event.wait_until_at_rest()
    result = _result("killed at every step", cloud, run, event, started)
    kills = result.history.kills()
    # More often than that: another thread may have ended the process in the very moment in which it was due here.
    spared = {step for step, passings in result.history.passed().items() if passings > plan.kills_at(step)} - set(kills)
    assert spared == set()
    assert {step.split(":")[0] for step in kills} == {"detect", "cluster", "callback", "admin"}
    assert len(cloud.rows("SELECT id FROM decisions WHERE event_id = %s", event.event_id)) == 1
    return result, event


def bad_messenger(cloud: FaultyCloud, photos: int, *, seed: int, chance: float) -> Result:
    """Deliveries come twice at once, late, out of order, are held up, refused, or not acknowledged."""
    started = time.monotonic()
    run = cloud.run(Plan("messages", seed=seed, messages=dict.fromkeys(TROUBLES, chance)))
    event = _whole_event(cloud, photos)
    result = _result("faulty delivery", cloud, run, event, started)
    assert set(result.history.troubles()) == {*TROUBLES, "came late"}
    assert result.history.overtaken() > 0
    return result


def stalled_postgres(cloud: FaultyCloud) -> Result:
    """Postgres stands still, then other sessions hold its tables, while photos arrive."""
    started = time.monotonic()
    run = cloud.run(Plan("stalled"))
    event = FaultyEvent.made(cloud)
    with standing_still(cloud.postgres_pid):
        event.upload(6)
        wait_until(lambda: cloud.history(run).inside() >= 3, "deliveries wait for Postgres")
    event.wait_until_at_rest()
    for table in ("ml_jobs", "outbox"):
        before = cloud.history(run).refusals()
        with locked(cloud.cloud.addresses.database_url, table):
            event.upload(3)
            wait_until(lambda before=before: cloud.history(run).refusals() >= before + 2, "refused deliveries")  # type: ignore[misc]
    event.upload(4)
    event.wait_until_at_rest()
    result = _result("stalled Postgres", cloud, run, event, started)
    result.disturbances.update({"Postgres stood still": 1, "tables locked": 2})
    assert set(result.history.statuses()) <= _ANSWERS
    return result


def full_disk(cloud: FaultyCloud, photos: int, whose: Literal["Postgres", "storage"]) -> Result:
    """The disk of Postgres or of storage is full while photos are looked at. The functions stay alive."""
    started = time.monotonic()
    disk = cloud.database_disk if whose == "Postgres" else cloud.storage_disk
    assert disk is not None
    cloud.run(Plan("held back", messages={"refused": 1.0}))
    event = FaultyEvent.made(cloud)
    event.upload(photos)
    lives = cloud.function_pids()
    with disk.full():
        run = cloud.run(Plan("full disk"))
        wait_until(lambda: cloud.history(run).refusals() >= 5, "refused deliveries")
        assert disk.free() < 2**20
    event.wait_until_at_rest()
    result = _result(f"full disk of {whose}", cloud, run, event, started)
    result.disturbances[f"full disk of {whose}"] = 1
    assert any(_SAYS[whose] in reason for reason in result.history.reasons()), result.history.reasons()
    assert cloud.function_pids() == lives, "a function died"
    return result


_SAYS = {"Postgres": "DiskFull", "storage": "the bucket is unavailable or busy"}


def no_room_for_the_log(cloud: FaultyCloud, photos: int) -> Result:
    """Postgres cannot even write its log, panics, and cannot start again before there is room."""
    started = time.monotonic()
    assert cloud.database_disk is not None
    run = cloud.run(Plan("no room for the log"))
    event = FaultyEvent.made(cloud)
    lives, starts = cloud.function_pids(), cloud.servers.starts("postgres")
    with cloud.database_disk.full():
        event.upload(photos)
        wait_until(lambda: _has_panicked(cloud), "Postgres panics")
        wait_until(lambda: cloud.servers.starts("postgres") > starts, "Postgres is started again")
        wait_until(lambda: any(_AWAY in reason for reason in cloud.history(run).reasons()), "refused deliveries")
    cloud.servers.wait_ready("postgres")
    event.wait_until_at_rest()
    result = _result("no room for Postgres' log", cloud, run, event, started)
    result.disturbances["Postgres panicked"] = 1
    assert set(result.history.statuses()) <= _ANSWERS
    assert cloud.function_pids() == lives, "a function died"
    return result


_AWAY = "the database"


def _has_panicked(cloud: FaultyCloud) -> bool:
    """Ask for a new segment of the log, for which there is no room."""
    try:
        cloud.rows("SELECT pg_logical_emit_message(true, 'faults', repeat('x', 1000000)), pg_switch_wal()")
    except psycopg.OperationalError as error:
        return not isinstance(error, psycopg.errors.DiskFull)
    return False


def damaged_objects(cloud: FaultyCloud, photos: int, *, seed: int) -> Result:
    """Photos are damaged on their way from storage, each up to three times, in each way at least once."""
    started = time.monotonic()
    run = cloud.run(Plan("damaged"))
    event = FaultyEvent.made(cloud)
    with cloud.proxy.damage(seed, most_each=3):
        event.upload(photos)
        event.wait_until_at_rest()
        damages = cloud.proxy.done.copy()
    result = _result("damaged objects", cloud, run, event, started)
    result.damages = damages
    assert set(damages) == set(DAMAGES)
    assert set(result.history.statuses()) <= _ANSWERS
    noticed = ("its checksum is not the stored one", "DataCorruption")
    reasons = result.history.reasons()
    assert any(words in reason for words in noticed for reason in reasons), reasons
    return result


def everything(cloud: FaultyCloud, photos: int, *, seed: int) -> Result:
    """Functions die by chance, deliveries are in disorder, reads are damaged, and other parts are killed meanwhile."""
    started = time.monotonic()
    plan = Plan(
        "together",
        seed=seed,
        kill_chance=0.03,
        most_kills=15,
        whole_function=0.1,
        messages=dict.fromkeys(TROUBLES, 0.1),
    )
    run = cloud.run(plan)
    parts = plan.luck("parts").sample(PARTS, k=2)

    def kill_parts(event: FaultyEvent) -> None:
        for part in parts:
            if part == "storage":
                # Unlike Cloud Storage, its emulator forgets the notifications that it has not published when it dies.
                wait_until(lambda: event.unseen() == [], "storage has told of everything")
            cloud.kill(part)
            cloud.wait_ready(part)

    with contextlib.ExitStack() as faults:
        faults.enter_context(cloud.proxy.damage(seed, most_each=1))
        event = _whole_event(cloud, photos, kill_parts)
        damages = cloud.proxy.done.copy()
    result = _result("everything together", cloud, run, event, started)
    result.damages = damages
    result.disturbances.update(f"{part} killed" for part in parts)
    assert sum(result.history.kills().values()) >= 5
    assert sum(result.history.troubles().values()) >= 10
    assert damages
    return result
