"""The emulated cloud with functions that can be made to fail, an event in it, and what must be true at its end."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import signal
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from email import message_from_bytes
from pathlib import Path
from threading import Event as Signal
from typing import Any
from uuid import UUID, uuid4

import httpx
import jwt
import psycopg
from google.cloud import storage
from psycopg.rows import dict_row

from functions.detect.boxes import Box
from local.cloud.cloud import Cloud, CloudOptions
from local.cloud.function_process import FUNCTIONS, Function
from local.cloud.postgres import database_url, postgres_process, remove_data
from local.cloud.processes import Supervisor
from local.cloud.state import State
from local.demo.host import HostApp
from shared.bus import Bus, load_bus
from tests.faults.coded_photos import boxes_of, coded_photo
from tests.faults.plan import ENVIRONMENT, PATIENCE, FaultDirectory, History, Plan
from tests.faults.resources import Disk
from tests.faults.storage_proxy import StorageProxy

PATIENCE_SECONDS = 200.0
_WRAPPERS = Path(__file__).with_name("functions")
_JWT_SECRET = "of the tests of faults, and of nothing else"
_POSTGRES = "postgres"
_DATABASE_MEGABYTES, _STORAGE_MEGABYTES = 500, 64
_runs = itertools.count(1)
# Each person with one, two or three neighbours, and nobody: the groups are the same every time.
_CASTS = ((0,), (1,), (2,), (3,), (4,), (5,), (0, 1), (2, 3), (4, 5), (1, 3, 5), (), (0, 2, 4))


def quick_bus() -> Bus:
    """The bus as it is declared, only that refused messages come back at once, and as often as a bus allows.

    However fast they are refused, that lasts longer than any run waits: no message is given up before the run is.
    """
    declared = load_bus()
    # Shorter than a second, which bus.json cannot say.
    quick = declared.retry.model_copy(update={"minimum_backoff_seconds": 0.1, "maximum_backoff_seconds": 2.5})
    letters = declared.dead_letter.model_copy(update={"max_delivery_attempts": 100, "retry": quick})
    return declared.model_copy(update={"retry": quick, "dead_letter": letters})


def _watched(function: Function) -> Function:
    return replace(function, source=_WRAPPERS / function.name / "main.py")


@dataclass(frozen=True)
class FaultyCloud:
    """A running cloud, the directory by which its functions are told what is to go wrong, and what else may.

    The disks are None where nothing may be mounted.
    """

    cloud: Cloud
    faults: FaultDirectory
    proxy: StorageProxy
    servers: Supervisor
    database_disk: Disk | None
    storage_disk: Disk | None

    def kill(self, part: str) -> None:
        """Kill -9 a part of the cloud; it comes back by itself."""
        if part == _POSTGRES:
            self.servers.kill(part)
        else:
            self.cloud.kill(part)

    def wait_ready(self, part: str) -> None:
        """Wait until a part that was killed answers again."""
        if part == _POSTGRES:
            self.servers.wait_ready(part)
        else:
            self.cloud.wait_ready(part)

    def function_pids(self) -> dict[str, int]:
        """The process id of each function's server."""
        return {name: pid for name, pid in self.cloud.pids().items() if name in self.cloud.addresses.function_urls}

    @property
    def postgres_pid(self) -> int:
        """The process id of the database's server."""
        return self.servers.pids()[_POSTGRES]

    def run(self, plan: Plan) -> str:
        """Go by ``plan``, under a name of its own; returns the name."""
        named = replace(plan, run=f"{plan.run}-{next(_runs)}")
        self.faults.choose(named)
        return named.run

    def history(self, run: str) -> History:
        """What happened in a run so far."""
        return self.faults.history(run)

    def on_the_bus(self) -> int:
        """Messages that somebody still has to be given; ticks, of which there is always another, do not count."""
        journal = self.cloud.state_directory / "broker.sqlite"
        with contextlib.closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as connection:
            (count,) = connection.execute(
                "SELECT count(*) FROM deliveries WHERE subscription NOT LIKE '%/ticks-%'"
            ).fetchone()
        return int(count)

    def rows(self, statement: str, *values: object) -> list[dict[str, Any]]:
        """Ask the database."""
        url = self.cloud.addresses.database_url
        with psycopg.connect(url, row_factory=dict_row, connect_timeout=5) as connection:
            return connection.execute(statement, values).fetchall()

    def mails(self) -> Counter[str]:
        """How often each mail (by the part of its Message-ID that names it) was handed in."""
        folder = self.cloud.state_directory / "mails"
        found = (message_from_bytes(path.read_bytes())["Message-ID"] for path in folder.glob("*.eml"))
        return Counter(str(message_id).strip("<>").split("@")[0] for message_id in found)


@contextlib.contextmanager
def faulty_cloud(
    environment: Mapping[str, str] | None = None, report: Callable[[str], None] = print
) -> Iterator[FaultyCloud]:
    """A cloud on a fresh directory; ``environment`` is added to the functions'."""
    with contextlib.ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="trombi-faults-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o711)
        state, faults = folder / "state", folder / "faults"
        faults.mkdir()
        state.mkdir(mode=0o711)
        proxy = StorageProxy()
        stack.callback(proxy.close)
        storage_disk = stack.enter_context(Disk.mounted(state / "storage", _STORAGE_MEGABYTES))
        database_disk = stack.enter_context(Disk.mounted(folder / "database", _DATABASE_MEGABYTES))
        servers, url = stack.enter_context(_postgres(folder / "database", report))
        chosen = CloudOptions(
            state_dir=state,
            bus="small",
            bus_declaration=quick_bus(),
            database_url=url,
            functions=tuple(_watched(function) for function in FUNCTIONS),
            environment={
                "FACE_PACK": "mini",
                "CLUSTER_MIN_INTERVAL": "0.5",
                "CLUSTER_EVERY": "8",
                "CLUSTER_MAX_WAIT": "5",
                "JWT_SECRET": _JWT_SECRET,
                "LOG_LEVEL": "WARNING",
                "STORAGE_EMULATOR_HOST": proxy.url,
                ENVIRONMENT: str(faults),
                PATIENCE: "2",
                **(environment or {}),
            },
            tick_seconds=0.5,
        )
        cloud = stack.enter_context(Cloud(chosen, report))
        proxy.upstream = cloud.addresses.storage_url
        yield FaultyCloud(cloud, FaultDirectory(faults), proxy, servers, database_disk, storage_disk)


@contextlib.contextmanager
def _postgres(folder: Path, report: Callable[[str], None]) -> Iterator[tuple[Supervisor, str]]:
    """A Postgres with its data in ``folder``, and its address."""
    place = State(folder)
    place.lock()
    servers = Supervisor(folder.parent / "logs", report)
    try:
        port = place.ports(_POSTGRES)[_POSTGRES]
        process = postgres_process(_POSTGRES, port, folder, report, fast=True)
        # Nothing of it is kept, so that nothing need be written when it stops.
        servers.start(replace(process, stop_signal=signal.SIGQUIT))
        yield servers, database_url(port)
    finally:
        servers.stop()
        remove_data(folder)
        place.release()


def wait_until(condition: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Return as soon as ``condition`` holds; fail, naming ``what``, if it does not in time."""
    deadline = time.monotonic() + seconds
    pause = Signal()
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        pause.wait(0.2)


# ------------------------------------------------------------ an event

Place = tuple[str, tuple[float, ...]]

_AT_REST = """
SELECT
    NOT EXISTS (SELECT FROM ml_jobs WHERE status IN ('pending', 'processing')) AS no_open_job,
    NOT EXISTS (SELECT FROM ml_jobs WHERE reported_at IS NULL) AS all_reported,
    NOT EXISTS (SELECT FROM outbox WHERE kind = 'publish' OR due_at <= clock_timestamp()) AS nothing_due,
    NOT EXISTS (SELECT FROM event_counters WHERE event_id = %s AND changed_photos > 0) AS nothing_to_cluster,
    coalesce((
        SELECT status = 'completed' AND result ? 'told' FROM ml_jobs WHERE event_id = %s
            AND job_type = 'cluster' ORDER BY created_at DESC LIMIT 1
    ), false) AS told
"""
_FACES = "SELECT id, media_id, bbox, face_person_id, thumbnail_object FROM faces WHERE event_id = %s"
_JOBS = """
SELECT media_ids[1] AS media_id, object_generation, status, run, error_code, error, result FROM ml_jobs
WHERE event_id = %s AND job_type = 'detect'
"""


@dataclass
class FaultyEvent:
    """An event of coded photos: uploaded, some of them replaced and some deleted while the rest is looked at."""

    cloud: FaultyCloud
    host: HostApp
    event_id: UUID
    bucket: storage.Bucket
    photos: dict[str, UUID] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    generations: dict[str, int] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)

    @classmethod
    def made(cls, cloud: FaultyCloud) -> FaultyEvent:
        """An event without photos."""
        addresses = cloud.cloud.addresses
        host = HostApp(addresses)
        bucket = host._storage.bucket(addresses.photos_bucket)
        return cls(cloud, host, host.make_event("faults"), bucket)

    # ------------------------------------------------------------ the host app

    def upload(self, count: int) -> None:
        """Put ``count`` more photos into the bucket; nobody has announced them."""
        for _ in range(count):
            number = len(self.photos)
            name = f"photo-{number:03d}.tiff"
            self.photos[name] = uuid4()
            self.put(name, coded_photo(f"{self.event_id}/{name}", _CASTS[number % len(_CASTS)]))

    def replace(self, count: int) -> None:
        """Overwrite as many of the first photos by others, which show the next one's persons."""
        for number, name in enumerate(list(self.photos)[:count]):
            self.put(name, coded_photo(f"{self.event_id}/{name} again", _CASTS[(number + 1) % len(_CASTS)]))

    def delete(self, count: int) -> None:
        """Remove as many of the last photos."""
        for name in list(self.photos)[-count:]:
            self._blob(name).delete()
            self.deleted.add(name)

    def put(self, name: str, content: bytes) -> None:
        """Put one photo into the bucket."""
        blob = self._blob(name)
        blob.upload_from_string(content, content_type="image/tiff")
        self.contents[name], self.generations[name] = content, int(blob.generation)

    def _blob(self, name: str) -> storage.Blob:
        return self.bucket.blob(f"events/{self.event_id}/{self.photos[name]}/{name}")

    def done(self) -> int:
        """How many detections have been completed; -1 while the database is away."""
        try:
            return int(
                self.cloud.rows(
                    "SELECT count(*) FROM ml_jobs WHERE event_id = %s AND job_type = 'detect' AND status = 'completed'",
                    self.event_id,
                )[0]["count"]
            )
        except psycopg.OperationalError:
            return -1

    def live(self) -> dict[str, UUID]:
        """The photos that are still there."""
        return {name: media for name, media in self.photos.items() if name not in self.deleted}

    # ------------------------------------------------------------ the end

    def wait_until_at_rest(self, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until nothing waits anywhere: no message, no outbox entry, no open job, nothing to be told."""
        self._wait_for_rest(seconds)
        # What dead processes announced to be deleted in an hour is deleted now, when nobody is at work on it.
        self.cloud.rows("UPDATE outbox SET due_at = least(due_at, now()) RETURNING id")
        self._wait_for_rest(seconds)

    def _wait_for_rest(self, seconds: float) -> None:
        state: dict[str, Any] = {}

        def is_at_rest() -> bool:
            try:
                state.update(no_message=not self.cloud.on_the_bus(), all_seen=not self.unseen())
                state.update(self.cloud.rows(_AT_REST, self.event_id, self.event_id)[0])
            except psycopg.OperationalError as error:
                state.update(problem=repr(error))
                return False
            state.pop("problem", None)
            return all(state.values())

        try:
            wait_until(is_at_rest, "everything is at rest", seconds)
        except AssertionError as error:
            message = f"{error}: {state}"
            raise AssertionError(message) from None

    def unseen(self) -> list[str]:
        """Uploads and deletions that nobody has heard of yet."""
        try:
            rows = self.cloud.rows(
                "SELECT id, object_generation, deleted_generation FROM media WHERE event_id = %s", self.event_id
            )
        except psycopg.OperationalError:
            return list(self.photos)
        known = {row["id"]: row for row in rows}
        return [
            name
            for name, media in self.photos.items()
            if media not in known
            or known[media]["object_generation"] != self.generations[name]
            or (name in self.deleted) != (known[media]["deleted_generation"] >= self.generations[name])
        ]

    def lost(self) -> list[str]:
        """What should be there and is not: photos without a completed job, faces, thumbnails, persons."""
        return self._compare()[0]

    def doubled(self) -> list[str]:
        """What is there and should not be."""
        return self._compare()[1]

    def _compare(self) -> tuple[list[str], list[str]]:
        lost: list[str] = []
        doubled: list[str] = []
        jobs = self.cloud.rows(_JOBS, self.event_id)
        per_object = Counter((job["media_id"], job["object_generation"]) for job in jobs)
        doubled += [f"{count} jobs of {key}" for key, count in per_object.items() if count != 1]
        lost += [f"a job that is {job['status']}: {job}" for job in jobs if job["status"] != "completed"]
        completed = {(job["media_id"], job["object_generation"]): job for job in jobs if job["status"] == "completed"}
        for name, media in self.live().items():
            job = completed.get((media, self.generations[name]))
            if job is None or "skipped" in job["result"]:
                lost.append(f"{name} was not looked at: {job}")
        thumbnails = Counter(row["thumbnail_object"] for row in self._faces())
        compared: tuple[tuple[str, Counter[Any], Counter[Any]], ...] = (
            ("face", self.expected_faces(), self.faces()),
            ("person", self.expected_persons(), self.persons()),
            ("thumbnail", thumbnails, Counter(self._thumbnails())),
        )
        for what, expected, found in compared:
            lost += [f"{what} {key}" for key in (expected - found)]
            doubled += [f"{what} {key}" for key in (found - expected)]
        letters = self.cloud.rows("SELECT topic, error FROM dead_letters")
        lost += [f"dead letter {letter}" for letter in letters]
        told = self.cloud.rows("SELECT id FROM cluster_runs WHERE event_id = %s AND told_at IS NOT NULL", self.event_id)
        mails = self.cloud.mails()
        lost += [f"mail of {run['id']}" for run in told if not mails[f"clustering.{run['id']}"]]
        if not told:
            lost.append("nobody was told")
        return lost, doubled

    def mails_too_many(self) -> int:
        """Mails about this event beyond one for each run that was told: 0 but where a process died in between."""
        runs = self.cloud.rows("SELECT id FROM cluster_runs WHERE event_id = %s", self.event_id)
        mails = self.cloud.mails()
        return sum(max(0, mails[f"clustering.{run['id']}"] - 1) for run in runs)

    def expected_faces(self) -> Counter[Place]:
        """What the photos say."""
        return Counter(place for name in self.live() for _, place in self._places(name))

    def expected_persons(self) -> Counter[frozenset[Place]]:
        """Everybody with all of their faces."""
        members: dict[int, set[Place]] = {}
        for name in self.live():
            for person, place in self._places(name):
                members.setdefault(person, set()).add(place)
        return Counter(frozenset(places) for places in members.values())

    def _places(self, name: str) -> list[tuple[int, Place]]:
        return [(person, (name, _rounded(box))) for person, box in boxes_of(self.contents[name])]

    def _faces(self) -> list[dict[str, Any]]:
        return self.cloud.rows(_FACES, self.event_id)

    def faces(self) -> Counter[Place]:
        """What the database says."""
        names = {media: name for name, media in self.photos.items()}
        return Counter((names[row["media_id"]], _rounded(Box(**row["bbox"]))) for row in self._faces())

    def persons(self) -> Counter[frozenset[Place]]:
        """The persons of the database, each with their faces; a face in none is a person without a name."""
        names = {media: name for name, media in self.photos.items()}
        members: dict[Any, set[Place]] = {}
        for row in self._faces():
            place = (names[row["media_id"]], _rounded(Box(**row["bbox"])))
            members.setdefault(row["face_person_id"] or ("nobody", row["id"]), set()).add(place)
        return Counter(frozenset(places) for places in members.values())

    def _thumbnails(self) -> list[str]:
        client, derived = self.host._storage, self.cloud.cloud.addresses.derived_bucket
        return [blob.name for blob in client.list_blobs(derived, prefix=f"events/{self.event_id}/")]

    # ------------------------------------------------------------ the organiser

    def organiser(self) -> httpx.Client:
        """Admin, as the event's creator asks it."""
        claims = {
            "sub": str(self.host.organiser(self.event_id)),
            "aud": "authenticated",
            "exp": int(time.time()) + 3600,
        }
        token = jwt.encode(claims, _JWT_SECRET, algorithm="HS256")
        url = self.cloud.cloud.addresses.function_urls["admin"]
        return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, trust_env=False, timeout=30)


def insist(client: httpx.Client, path: str, body: Mapping[str, Any]) -> httpx.Response:
    """POST with one Idempotency-Key until it is answered, as a page does whose connection breaks."""
    answers: list[httpx.Response] = []
    key = str(uuid4())

    def is_answered() -> bool:
        try:
            answer = client.post(path, json=body, headers={"Idempotency-Key": key})
        except httpx.TransportError:
            return False
        answers.append(answer)
        return answer.status_code < 500

    wait_until(is_answered, f"an answer to POST {path}")
    return answers[-1]


def _rounded(box: Box) -> tuple[float, ...]:
    return tuple(round(side, 4) for side in (box.x, box.y, box.w, box.h))
