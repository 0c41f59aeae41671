"""``make bench``: detection of many photos in one process, on real Postgres and real storage.

Prints images a second, milliseconds by stage, the peak of memory, and the cold start: from the start of the
process to the first face in the database. Every fourth photo has 12 megapixels, the others are as the sample
event has them (about 0.5 megapixels).
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from google.cloud import storage
from PIL import Image
from psycopg.rows import DictRow, dict_row

from functions.detect import packs
from functions.detect.engine import Engine
from functions.detect.pipeline import Detection
from functions.detect.settings import DetectSettings
from local.cloud.postgres import database_url, postgres_process
from local.cloud.processes import Supervisor
from local.cloud.state import State
from local.cloud.storage import NotificationTarget, create_buckets, storage_process
from local.demo.sample_event import make_sample_event
from shared.contracts import StorageNotification
from shared.database import Database
from shared.outbox import Outbox
from shared.storage import CloudStorage
from sql.migrate import migrate

_PROJECT, _PHOTOS, _DERIVED = "trombi-bench", "bench-photos", "bench-derived"
_LARGE = (4000, 3000)
_LARGE_EVERY = 4
_FIRST, _DONE = "first photo done", "all photos done"
_STAGES = """
SELECT stage.key AS stage, avg(stage.value::float8) AS mean,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY stage.value::float8) AS p95
FROM ml_jobs, jsonb_each_text(result -> 'milliseconds') AS stage
WHERE status = 'completed' GROUP BY stage.key ORDER BY stage.key = 'total', mean DESC
"""
_COUNT = """
SELECT (SELECT count(*) FROM faces) AS faces, count(*) AS photos FROM ml_jobs WHERE status = 'completed'
"""
_MAKE_EVENT = """
INSERT INTO events (name, face_recognition_enabled, consent_text_version, consented_at)
VALUES ('a benchmark', true, 'bench', now()) RETURNING id
"""


class _Nobody:
    """Takes messages and tells nobody: only detection is measured."""

    def publish(self, topic: str, data: bytes, attributes: Mapping[str, str]) -> None:
        """See `shared.publish.Publisher`."""


def _worker(threads: int) -> None:
    """Detect what standard input names, a message a line; say when the first is done, and in the end the memory."""
    settings = DetectSettings.from_environment()
    pack = packs.find(settings.face_pack, mirrored=settings.face_mirrored)
    engine = Engine(
        packs.verify(pack, settings.face_model_dir),
        threads=len(os.sched_getaffinity(0)),
        photos_at_once=settings.face_photos_at_once,
        mirrored=pack.mirrored,
    )
    database = Database(settings.database_url)
    objects = CloudStorage(_PROJECT)
    outbox = Outbox(database, _Nobody(), objects, settings.derived_bucket)
    detection = Detection(database, objects, outbox, engine, pack.model_id, settings)
    messages = (StorageNotification.model_validate_json(line) for line in sys.stdin)
    detection.uploaded(next(messages))
    print(_FIRST, flush=True)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(detection.uploaded, messages))
    print(_DONE, flush=True)
    database.close()
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    print(json.dumps({"peak_bytes": int(peak.split()[1]) * 1024}), flush=True)


@contextmanager
def _servers(folder: Path) -> Iterator[tuple[str, str]]:
    """Postgres with the schema, and storage with the buckets; gives their addresses."""
    state = State(folder / "state")
    state.lock()
    supervisor = Supervisor(state.directory / "logs", print)
    ports = state.ports("postgres", "storage")
    try:
        supervisor.start(postgres_process("postgres", ports["postgres"], state.directory, lambda _: None, fast=True))
        migrate(database_url(ports["postgres"]))
        nobody = NotificationTarget("127.0.0.1:9", _PROJECT, bucket="nobody")
        supervisor.start(storage_process("storage", ports["storage"], state.directory, nobody))
        storage_url = f"http://127.0.0.1:{ports['storage']}"
        create_buckets(storage_url, _PROJECT, _PHOTOS, _DERIVED)
        yield database_url(ports["postgres"]), storage_url
    finally:
        supervisor.stop()
        state.release()


def _photos(folder: Path, count: int) -> Iterator[bytes]:
    small = [path.read_bytes() for path in make_sample_event(folder / "sample")]
    large = [_enlarged(data) for data in small[:8]]
    for number in range(count):
        is_large = number % _LARGE_EVERY == _LARGE_EVERY - 1
        yield large[number // _LARGE_EVERY % len(large)] if is_large else small[number % len(small)]


def _enlarged(data: bytes) -> bytes:
    stream = io.BytesIO()
    Image.open(io.BytesIO(data)).convert("RGB").resize(_LARGE, Image.Resampling.BICUBIC).save(stream, "JPEG")
    return stream.getvalue()


def _upload(connection: psycopg.Connection[DictRow], folder: Path, count: int) -> list[str]:
    """Put the photos into the bucket; returns the messages about them, as JSON."""
    made = connection.execute(_MAKE_EVENT).fetchone()
    if made is None:
        message = "an insertion always answers"
        raise RuntimeError(message)
    bucket = storage.Client(project=_PROJECT).bucket(_PHOTOS)
    messages = []
    for data in _photos(folder, count):
        blob = bucket.blob(f"events/{made['id']}/{uuid4()}/photo.jpg")
        blob.upload_from_string(data, content_type="image/jpeg")
        notification = StorageNotification(
            event_type="OBJECT_FINALIZE",
            bucket=_PHOTOS,
            object_name=blob.name,
            generation=int(blob.generation),
            overwritten_by_generation=None,
            metadata={},
        )
        messages.append(notification.model_dump_json())
    return messages


def _run(environment: Mapping[str, str], messages: list[str], threads: int) -> dict[str, Any]:
    """Let one process detect everything; seconds to the first face and from there to the last, and the memory."""
    command = [sys.executable, "-m", "benchmarks.pipeline", "--worker", "--threads", str(threads)]
    started = time.perf_counter()
    with subprocess.Popen(  # noqa: S603 - this very module
        command, env={**os.environ, **environment}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as worker:
        if worker.stdin is None or worker.stdout is None:
            message = "the worker has no pipes"
            raise RuntimeError(message)
        worker.stdin.write("\n".join(messages))
        worker.stdin.close()
        told: dict[str, Any] = {}
        for line in worker.stdout:
            if line.strip() in (_FIRST, _DONE):
                told[line.strip()] = time.perf_counter() - started
            else:
                told |= json.loads(line)
    if worker.returncode != 0:
        message = f"the worker ended with status {worker.returncode}"
        raise RuntimeError(message)
    return told


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pipeline", description=__doc__)
    parser.add_argument("--photos", type=int, default=500, help="how many (default: %(default)s)")
    parser.add_argument("--pack", default=os.environ.get("FACE_PACK", "mini"), help="default: %(default)s")
    parser.add_argument("--mirrored", action="store_true", help="embed every face together with its mirror image")
    parser.add_argument("--threads", type=int, default=2, help="photos in work at once (default: %(default)s)")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        _worker(arguments.threads)
        return

    packs.fetch(arguments.pack, report=print)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trombi-bench-")))
        folder.chmod(0o711)  # Postgres runs as another user under root
        url, storage_url = stack.enter_context(_servers(folder))
        os.environ["STORAGE_EMULATOR_HOST"] = storage_url
        environment = {
            "DATABASE_URL": url,
            "GOOGLE_CLOUD_PROJECT": _PROJECT,
            "PHOTOS_BUCKET": _PHOTOS,
            "DERIVED_BUCKET": _DERIVED,
            # Nobody pushes here: each of the worker's threads has its place.
            "FACE_PHOTOS_WAITING": str(arguments.threads),
            "FACE_PACK": arguments.pack,
            "FACE_MIRRORED": str(arguments.mirrored),
            "FACE_MODEL_DIR": str(packs.model_root()),
        }
        with psycopg.connect(url, autocommit=True, row_factory=dict_row) as connection:
            print(f"uploading {arguments.photos} photos ...", flush=True)
            messages = _upload(connection, folder, arguments.photos)
            print("detecting ...", flush=True)
            told = _run(environment, messages, arguments.threads)
            stages = connection.execute(_STAGES).fetchall()
            counted = connection.execute(_COUNT).fetchone()
    if counted is None or counted["photos"] != arguments.photos:
        message = f"not every photo was completed: {counted}"
        raise RuntimeError(message)
    _print(arguments, told, stages, counted)


def _print(
    arguments: argparse.Namespace, told: Mapping[str, Any], stages: list[DictRow], counted: Mapping[str, int]
) -> None:
    cores = len(os.sched_getaffinity(0))
    seconds = told[_DONE] - told[_FIRST]
    print(f"\nmachine        {cores} cores, {_cpu()}, load {os.getloadavg()[0]:.1f}")
    pack = f"{arguments.pack}{' mirrored' if arguments.mirrored else ''}"
    print(f"pack           {pack}, {arguments.threads} photos in work at once")
    print(f"photos         {counted['photos']}, every {_LARGE_EVERY}th of 12 megapixels; {counted['faces']} faces")
    print(f"speed          {(arguments.photos - 1) / seconds:.1f} images/s")
    print(f"cold start     {told[_FIRST]:.1f} s from the start of the process to the first face")
    print(f"peak memory    {told['peak_bytes'] / 2**20:.0f} MiB")
    print("\nmilliseconds a photo          mean      p95")
    for row in stages:
        print(f"  {row['stage']:<22} {row['mean']:10.1f} {row['p95']:8.1f}")


if __name__ == "__main__":
    main()
