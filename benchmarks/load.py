"""``make bench-load``: thousands of photos of several events at once through the emulated cloud.

First with a stub in place of the model, so that the bus and the database are what is measured; then, fewer, with the
pack ``mini``. Nothing is delivered while the photos are uploaded: they are given to detect all at once, as after an
outage. In the end every photo has to be done once, with exactly its faces, and the functions' memory has to be flat.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import platform
import re
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import psutil
import psycopg
from google.pubsub_v1 import types
from PIL import Image, ImageEnhance
from psycopg.rows import DictRow, dict_row

from benchmarks import load_stub
from functions.detect import packs
from local.bus.setup import BusClient, create_subscriptions
from local.cloud.cloud import FUNCTIONS, Cloud, CloudOptions, Function
from local.cloud.state import Addresses
from local.demo.host import HostApp, storage_client
from local.demo.sample_event import make_sample_event
from shared.bus import load_bus

Connection = psycopg.Connection[DictRow]

_UPLOADS_AT_ONCE = 8
_SAMPLE_SECONDS = 0.25
_LOOK_SECONDS = 0.5
_TELL_SECONDS = 5.0
_STUCK_SECONDS = 300.0
# Shares of the photos done at which memory is looked at, and once more at rest. The first is told, not compared with:
# libraries and caches are still being filled.
_MOMENTS = (0.02, 0.3, 0.65)
_MORE_CLUSTERINGS = 3
# Allowed for between the middle and the end: the allocator's fragments.
_FLAT_RATIO, _FLAT_MIB = 1.2, 24
_SEEN_OFTEN_ENOUGH = 3  # CLUSTER_MIN_CLUSTER_SIZE: whoever is seen less often need not be a person
_UPLOADS_TO_DETECT = "media-uploads-detect"
_STUB = Path(load_stub.__file__)

_ANNOUNCE = "INSERT INTO media (id, event_id, bucket, object_name) VALUES (%s, %s, %s, %s)"
_STANDING = """
SELECT count(*) FILTER (WHERE job_type = 'detect' AND status = 'completed') AS done,
    count(*) FILTER (WHERE status = 'failed') AS failed,
    count(*) FILTER (WHERE status IN ('pending', 'processing')) AS open,
    (SELECT count(*) FROM event_counters WHERE changed_photos > 0) AS changed_events,
    (SELECT count(*) FROM outbox) AS outbox
FROM ml_jobs
"""
_CHANGE = "UPDATE event_counters SET changed_photos = 1, first_change_at = clock_timestamp()"
_CLUSTERING = """
SELECT EXISTS (SELECT FROM event_counters WHERE changed_photos > 0) AS changed,
    EXISTS (SELECT FROM ml_jobs WHERE status IN ('pending', 'processing')) AS running,
    EXISTS (SELECT FROM outbox) AS untold
"""
_AT_WORK = """
SELECT query, wait_event_type FROM pg_stat_activity
WHERE state = 'active' AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
_JOBS = """
SELECT media_ids[1] AS media_id, status, attempts, error, extract(epoch FROM completed_at)::float8 AS completed_at,
    (result ->> 'faces')::integer AS faces, (result #>> '{milliseconds,total}')::float8 AS milliseconds
FROM ml_jobs WHERE job_type = 'detect'
"""
_FACES = """
SELECT event_id, media_id, face_person_id, thumbnail_object, (bbox ->> 'x')::float8 AS place FROM faces
"""
_RUNS = """
SELECT count(*) AS runs, count(DISTINCT event_id) AS events, max(persons) AS most_persons,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY (milliseconds ->> 'total')::float8) AS median,
    max((milliseconds ->> 'total')::float8) AS longest
FROM cluster_runs
"""
_LEFT_OVER = """
SELECT (SELECT count(*) FROM outbox) AS outbox, (SELECT count(*) FROM dead_letters) AS dead_letters,
    (SELECT count(*) FROM dead_letters WHERE replayed_at IS NULL) AS unsettled_letters,
    (SELECT count(*) FROM ml_jobs WHERE status <> 'completed') AS not_completed,
    (SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()) AS deadlocks
"""


@dataclass(frozen=True)
class Load:
    """Photos of several events: ``files`` gives the JPEG of a photo by the numbers of event and photo.

    ``expected`` gives who is in a photo; None where only detect knows.
    """

    name: str
    events: int
    photos: int
    detect: Function
    files: Callable[[int, int], bytes]
    expected: Callable[[int, int], list[int]] | None = None


@dataclass(frozen=True)
class Uploaded:
    """One photo in the bucket."""

    event: int
    photo: int
    event_id: UUID
    media_id: UUID


@dataclass
class Watch:
    """What was seen while the load was worked off. Memory is in MiB by part; times are Unix times."""

    released_at: float = 0.0
    drained_at: float = 0.0
    rested_at: float = 0.0
    memory: list[dict[str, float]] = field(default_factory=list)
    statements: Counter[str] = field(default_factory=Counter)
    samples: int = 0


# ---------------------------------------------------------------- photos


def _stub(events: int, photos: int) -> Load:
    detect = Function("detect", _STUB, threads=_threads_of_detect())
    return Load("a stub of the model", events, photos, detect, load_stub.picture, load_stub.persons_of)


def _real(events: int, photos: int, folder: Path) -> Load:
    samples = [Image.open(path).convert("RGB") for path in make_sample_event(folder)]

    def picture(event: int, photo: int) -> bytes:
        """Return a photo of the sample event, cropped and lit differently each time: no two files are equal."""
        number = event * photos + photo
        shot = samples[number % len(samples)]
        variant = number // len(samples)
        left, top = variant % 7, variant // 7 % 7
        framed = shot.crop((left, top, shot.width - (6 - left), shot.height - (6 - top)))
        lit = ImageEnhance.Brightness(framed).enhance(0.85 + 0.3 * (variant % 11) / 10)
        stream = io.BytesIO()
        lit.save(stream, "JPEG", quality=88)
        return stream.getvalue()

    detect = next(function for function in FUNCTIONS if function.name == "detect")
    return Load("the pack mini", events, photos, detect, picture)


def _threads_of_detect() -> int:
    return next(function.threads for function in FUNCTIONS if function.name == "detect")


# ---------------------------------------------------------------- the host app


def _announce(addresses: Addresses, load: Load, connection: Connection) -> list[Uploaded]:
    host = HostApp(addresses)
    photos = []
    for event in range(load.events):
        event_id = host.make_event(f"event {event}")
        photos += [Uploaded(event, photo, event_id, uuid4()) for photo in range(load.photos)]
    with connection.cursor() as cursor:
        rows = [(photo.media_id, photo.event_id, addresses.photos_bucket, _object_name(photo)) for photo in photos]
        cursor.executemany(_ANNOUNCE, rows)
    return photos


def _object_name(photo: Uploaded) -> str:
    return f"events/{photo.event_id}/{photo.media_id}/photo.jpg"


def _upload(addresses: Addresses, load: Load, photos: Sequence[Uploaded]) -> float:
    """Put every photo into the bucket, the events in turn; returns the seconds that it took."""
    path = f"/upload/storage/v1/b/{addresses.photos_bucket}/o"
    in_turn = sorted(photos, key=lambda photo: (photo.photo, photo.event))
    done, told = 0, time.monotonic()
    started = time.monotonic()
    with httpx.Client(base_url=addresses.storage_url, timeout=60, trust_env=False) as client:

        def put(photo: Uploaded) -> None:
            answer = client.post(
                path,
                params={"uploadType": "media", "name": _object_name(photo)},
                content=load.files(photo.event, photo.photo),
                headers={"Content-Type": "image/jpeg"},
            )
            answer.raise_for_status()

        with ThreadPoolExecutor(_UPLOADS_AT_ONCE) as pool:
            for _ in pool.map(put, in_turn):
                done += 1
                if time.monotonic() - told > _TELL_SECONDS:
                    told = time.monotonic()
                    _say(f"  uploaded {done} of {len(photos)}, {done / (told - started):.0f} a second")
    return time.monotonic() - started


@contextlib.contextmanager
def _held_back(addresses: Addresses) -> Iterator[None]:
    """Deliver no upload message meanwhile: without an endpoint a subscription keeps what it is given."""
    with contextlib.closing(BusClient(addresses.pubsub_host, addresses.project)) as client:
        path = client.subscription_path(_UPLOADS_TO_DETECT)
        client.subscriber.modify_push_config(subscription=path, push_config=types.PushConfig())
        yield
        create_subscriptions(client, load_bus(), addresses.function_urls)


# ---------------------------------------------------------------- watching


def _memory(cloud: Cloud) -> dict[str, float]:
    """MiB that each part has for itself (RssAnon of its processes): shared memory and files are not counted."""
    found = {}
    for part, pid in cloud.pids().items():
        total = 0
        with contextlib.suppress(psutil.NoSuchProcess):
            leader = psutil.Process(pid)
            for process in (leader, *leader.children(recursive=True)):
                with contextlib.suppress(OSError):
                    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
                    total += sum(int(kib) for kib in re.findall(r"^RssAnon:\s+(\d+) kB", status, re.MULTILINE))
        found[part] = total / 1024
    return found


class _Sampler(threading.Thread):
    """Looks, several times a second, at which statements the database is working on."""

    def __init__(self, database_url: str, watch: Watch) -> None:
        super().__init__(daemon=True)
        self._url = database_url
        self._watch = watch
        self._ended = threading.Event()

    def run(self) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            while not self._ended.wait(_SAMPLE_SECONDS):
                self._watch.samples += 1
                for query, wait in connection.execute(_AT_WORK).fetchall():
                    text = " ".join(query.split())[:90]
                    self._watch.statements[f"{text}{f'  [waits: {wait}]' if wait else ''}"] += 1

    def end(self) -> None:
        self._ended.set()
        self.join()


def _work_off(cloud: Cloud, connection: Connection, total: int) -> Watch:
    """Wait until every photo is done and every event at rest, and tell how it goes."""
    watch = Watch(released_at=time.time())
    sampler = _Sampler(cloud.addresses.database_url, watch)
    sampler.start()
    before, told, moved = 0, 0.0, time.monotonic()
    while True:
        standing = connection.execute(_STANDING).fetchone() or {}
        done = standing["done"] + standing["failed"]
        now = time.time()
        if done != before:
            before, moved = done, time.monotonic()
        taken = len(watch.memory)
        if taken < len(_MOMENTS) and done >= total * _MOMENTS[taken]:
            watch.memory.append(_memory(cloud))
        if done >= total and not watch.drained_at:
            watch.drained_at = now
        if now - told > _TELL_SECONDS:
            told = now
            _say(
                f"  {now - watch.released_at:5.0f} s: {done} of {total} done, {done / (now - watch.released_at):.0f} a"
                f" second, {standing['failed']} failed; {standing['changed_events']} events to cluster, "
                f"{standing['outbox']} in the outbox"
            )
        if done >= total and not (standing["open"] or standing["changed_events"] or standing["outbox"]):
            watch.rested_at = now
            break
        if time.monotonic() - moved > _STUCK_SECONDS:
            _say(f"  nothing has moved for {_STUCK_SECONDS:.0f} s: {standing}")
            break
        time.sleep(_LOOK_SECONDS)
    sampler.end()
    watch.memory.append(_memory(cloud))
    return watch


def _cluster_again(cloud: Cloud, connection: Connection, watch: Watch) -> None:
    """Have every event clustered some times more, as if a photo of it had changed, and look at the memory."""
    _say(f"  clustering every event {_MORE_CLUSTERINGS} times more")
    for _ in range(_MORE_CLUSTERINGS):
        connection.execute(_CHANGE)
        while any((connection.execute(_CLUSTERING).fetchone() or {}).values()):
            time.sleep(_LOOK_SECONDS)
    watch.memory.append(_memory(cloud))


# ---------------------------------------------------------------- what became of it


@dataclass(frozen=True)
class Answers:
    """Deliveries, as the broker's journal and the functions' logs tell them."""

    published: int
    refused: Mapping[str, int]

    @property
    def deliveries(self) -> int:
        """Each message is acknowledged once; every refusal is one delivery more."""
        return self.published + sum(self.refused.values())


_REFUSALS = {
    "busy: will be tried again": "429",
    "will be tried again": "503",
    "malformed message": "400",
    "unexpected error": "500",
}


def _answers(state: Path) -> Answers:
    refused: Counter[str] = Counter()
    for function in ("detect", "cluster", "callback"):
        log = state / "logs" / f"{function}.log"
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError, AttributeError):
                status = _REFUSALS.get(json.loads(line).get("message", ""))
                if status is not None:
                    refused[f"{status} by {function}"] += 1
    published = 0
    journal = state / "broker.sqlite"
    if journal.exists():
        with contextlib.closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as connection:
            row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'messages'").fetchone()
            published = row[0] if row else 0
    return Answers(published, refused)


def _thumbnails(addresses: Addresses) -> set[str]:
    return {blob.name for blob in storage_client(addresses).list_blobs(addresses.derived_bucket)}


def _problems(cloud: Cloud, connection: Connection, load: Load, photos: Sequence[Uploaded]) -> dict[str, int]:
    """Everything that must be nought, by name."""
    jobs = connection.execute(_JOBS).fetchall()
    faces = connection.execute(_FACES).fetchall()
    left = connection.execute(_LEFT_OVER).fetchone() or {}
    completed = Counter(job["media_id"] for job in jobs if job["status"] == "completed")
    of_photo: dict[UUID, list[float]] = {photo.media_id: [] for photo in photos}
    for face in faces:
        of_photo.setdefault(face["media_id"], []).append(face["place"])
    told = {job["media_id"]: job["faces"] for job in jobs}
    wrong, persons_wrong = 0, 0
    for photo in photos:
        found = sorted(of_photo[photo.media_id])
        if load.expected is None:
            wrong += len(found) != told.get(photo.media_id)
        else:
            wrong += found != [load_stub.place_of(person) for person in load.expected(photo.event, photo.photo)]
    if load.expected is not None:
        persons_wrong = _wrong_persons(faces)
    names = [face["thumbnail_object"] for face in faces]
    return {
        "lost photos (no completed job)": sum(completed[photo.media_id] == 0 for photo in photos),
        "doubled photos (several jobs)": len(jobs) - len({job["media_id"] for job in jobs}),
        "photos with other faces than they show": wrong,
        "photos that nobody uploaded": len(set(of_photo) - {photo.media_id for photo in photos}),
        "faces whose person is not theirs": persons_wrong,
        "thumbnails missing or too many": len(set(names) ^ _thumbnails(cloud.addresses)) + len(names) - len(set(names)),
        "jobs not completed": left["not_completed"],
        "left in the outbox": left["outbox"],
        "dead letters": left["dead_letters"],
        "deadlocks": left["deadlocks"],
    }


def _wrong_persons(faces: Sequence[DictRow]) -> int:
    """Faces in no person, in one with somebody else, or of somebody who is two persons."""
    persons: dict[tuple[UUID, float], Counter[UUID | None]] = {}
    people: dict[UUID, Counter[float]] = {}
    for face in faces:
        persons.setdefault((face["event_id"], face["place"]), Counter())[face["face_person_id"]] += 1
        if face["face_person_id"] is not None:
            people.setdefault(face["face_person_id"], Counter())[face["place"]] += 1
    often = [found for found in persons.values() if found.total() >= _SEEN_OFTEN_ENOUGH]
    wrong = sum(found.total() - max(found.values()) for found in often)
    wrong += sum(found.total() - max(found.values()) for found in people.values())
    return wrong + sum(found[None] for found in often)


def _grown(memory: Sequence[Mapping[str, float]]) -> list[str]:
    """Name the functions whose memory had grown much more at the end than in the middle.

    Cluster's work grows with its events, so it is compared with itself when they were whole already.
    """
    end = memory[-1]
    before = {function.name: memory[-2 if function.name == "cluster" else 1][function.name] for function in FUNCTIONS}
    return [name for name, had in before.items() if end[name] > had * _FLAT_RATIO + _FLAT_MIB]


# ---------------------------------------------------------------- telling


def _report(
    state: Path,
    connection: Connection,
    photos: Sequence[Uploaded],
    watch: Watch,
    upload_seconds: float,
    problems: Mapping[str, int],
) -> bool:
    jobs = connection.execute(_JOBS).fetchall()
    faces = connection.execute("SELECT count(*) AS faces FROM faces").fetchone() or {}
    runs = connection.execute(_RUNS).fetchone() or {}
    waited = [job["completed_at"] - watch.released_at for job in jobs if job["completed_at"]]
    inside = [job["milliseconds"] for job in jobs if job["milliseconds"] is not None]
    answers = _answers(state)
    drained = (watch.drained_at or time.time()) - watch.released_at
    refusals = ", ".join(f"{count} times {what}" for what, count in sorted(answers.refused.items())) or "none"
    grown = _grown(watch.memory) if watch.rested_at else []
    _say(f"\nupload         {upload_seconds:.0f} s, {len(photos) / upload_seconds:.0f} photos a second")
    _say(f"drained        {drained:.0f} s, {len(photos) / drained:.1f} photos a second; {faces['faces']} faces")
    _say(f"at rest        {watch.rested_at - watch.released_at:.0f} s")
    _say(f"photo done     median {statistics.median(waited):.0f} s, p95 {_p95(waited):.0f} s after it was released")
    _say(f"photo inside   median {statistics.median(inside):.0f} ms, p95 {_p95(inside):.0f} ms")
    _say(
        f"clusterings    {runs['runs']} of {runs['events']} events, median {runs['median']:.0f} ms, longest "
        f"{runs['longest']:.0f} ms, {runs['most_persons']} persons at most"
    )
    _say(f"messages       {answers.published}, deliveries {answers.deliveries}; refused: {refusals}")
    _say(f"tried again    {sum(max(job['attempts'] - 1, 0) for job in jobs)} photos")
    _say("\nMiB of its own        at 2 %    at 30 %    at 65 %    at rest   clustered more")
    for part in watch.memory[-1]:
        cells = "".join(f"{sample.get(part, 0):11.0f}" for sample in watch.memory)
        _say(f"  {part:<14}{cells}{'   GROWS' if part in grown else ''}")
    _say(f"\nat work in the database, of {watch.samples} looks")
    for statement, count in watch.statements.most_common(10):
        _say(f"  {count:6}  {statement}")
    _say("")
    for name, count in problems.items():
        _say(f"{count:6}  {name}")
    kept = not any(problems.values()) and not grown and watch.rested_at > 0
    _say(f"promise        0 lost, 0 doubled, memory flat: {'kept' if kept else 'BROKEN'}")
    return kept


def _p95(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


# ---------------------------------------------------------------- the command


def _run(load: Load, folder: Path) -> bool:
    total = load.events * load.photos
    _say(f"\n=== {total} photos of {load.events} events, with {load.name}; load {os.getloadavg()[0]:.1f} before")
    others = tuple(function for function in FUNCTIONS if function.name != "detect")
    # Everything else as in production, but for the ticks, which the scheduler sends every minute.
    environment: dict[str, Any] = {
        "FACE_PACK": "mini",
        "FACE_MODEL_DIR": str(packs.model_root()),
        "JWT_SECRET": "a secret of a benchmark, which nobody asks",
    }
    options = CloudOptions(
        state_dir=folder / "state", bus="small", functions=(load.detect, *others), environment=environment
    )
    with Cloud(options, lambda line: _say(f"  {line}")) as cloud:
        addresses = cloud.addresses
        with psycopg.connect(addresses.database_url, autocommit=True, row_factory=dict_row) as connection:
            photos = _announce(addresses, load, connection)
            with _held_back(addresses):
                upload_seconds = _upload(addresses, load, photos)
            watch = _work_off(cloud, connection, total)
            if watch.rested_at:
                _cluster_again(cloud, connection, watch)
            problems = _problems(cloud, connection, load, photos)
            return _report(folder / "state", connection, photos, watch, upload_seconds, problems)


def main() -> None:
    """Measure and print; ends with status 1 where the promise is broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--photos", type=int, default=1000, help="of each event, with the stub (default: %(default)s)")
    parser.add_argument("--events", type=int, default=10, help="default: %(default)s")
    parser.add_argument("--real", type=int, default=1000, help="with the model, in all (default: %(default)s)")
    arguments = parser.parse_args()
    packs.fetch("mini", report=_say)
    _say(f"machine        {len(os.sched_getaffinity(0))} cores, {_cpu()}, {psutil.virtual_memory().total >> 30} GiB")
    kept = True
    for is_stubbed in (True, False):
        with tempfile.TemporaryDirectory(prefix="trombi-load-") as name:
            folder = Path(name)
            folder.chmod(0o711)  # Postgres runs as another user under root
            each = arguments.photos if is_stubbed else arguments.real // arguments.events
            if each:
                events = arguments.events
                load = _stub(events, each) if is_stubbed else _real(events, each, folder / "sample")
                kept = _run(load, folder) and kept
    raise SystemExit(0 if kept else 1)


if __name__ == "__main__":
    main()
