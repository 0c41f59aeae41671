"""Smoke test: send a photo through the deployed system, ``python -m terraform.smoke``.

The steps that need the database run as a job inside the deployment (`operations/smoke.py`), because the database cannot
be reached from outside. The photo is uploaded from this machine, as by a host app's server.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import UUID, uuid4

from google.cloud import storage

from local.demo.sample_pictures import portraits
from terraform.deployment import ROOT, Deployment, OperatorError, require, run, run_job, run_main, say

Step = Callable[[Sequence[str]], None]


def smoke(
    step: Step, upload: Callable[[str, Path], Callable[[], None]], photo: Path, event: UUID | None, seconds: int
) -> None:
    """Prepare an event, upload a photo, wait for its face, and delete everything again, also after a failure.

    Args:
        step: runs a step of `operations/smoke.py` with the given arguments.
        upload: uploads a file under a name, and returns a function that deletes it.
        photo: a photo that shows a face.
        event: an existing event with consent. None creates an event, and deletes it afterwards.
        seconds: the longest time to wait for the face.

    Raises:
        OperatorError: a step failed.
    """
    event_id, media_id = event or uuid4(), uuid4()
    started = time.monotonic()
    if event is None:
        step(["prepare", str(event_id)])
    try:
        say(f"uploading {photo.name}")
        delete = upload(f"events/{event_id}/{media_id}/{photo.name}", photo)
        try:
            step(["wait", str(event_id), str(media_id), str(seconds)])
        finally:
            delete()
    finally:
        if event is None:
            step(["remove", str(event_id)])
    say(f"The smoke test succeeded ({time.monotonic() - started:.0f} s in total)")


def uploader(project: str, bucket: str) -> Callable[[str, Path], Callable[[], None]]:
    """Return a function that uploads to a bucket with the operator's own credentials."""
    client = storage.Client(project=project)

    def upload(name: str, photo: Path) -> Callable[[], None]:
        blob = client.bucket(bucket).blob(name)
        blob.upload_from_filename(str(photo), timeout=60)
        return lambda: blob.delete(timeout=60)

    return upload


def run_locally(arguments: Sequence[str]) -> None:
    """Run a step on this machine, with the database of DATABASE_URL."""
    run(sys.executable, "-m", "operations.smoke", *arguments, environment={**os.environ, "PYTHONPATH": str(ROOT)})


def main() -> None:
    """Parse the command line and run the smoke test."""
    parser = argparse.ArgumentParser(prog="python -m terraform.smoke", description=__doc__)
    parser.add_argument("photo", type=Path, nargs="?", help="a photo that shows a face (default: a sample picture)")
    parser.add_argument("--event", type=UUID, help="an existing event with consent (default: a temporary event)")
    parser.add_argument(
        "--seconds", type=int, default=300, help="longest time to wait for the face (default: %(default)s)"
    )
    parser.add_argument(
        "--here", action="store_true", help="connect to the database from this machine, with DATABASE_URL"
    )
    parser.add_argument("--bucket", help="the photos bucket (default: the deployment's)")
    arguments = parser.parse_args()
    photo = arguments.photo or portraits()[0].path
    if not photo.is_file():
        message = f"there is no file {photo}"
        raise OperatorError(message)
    if arguments.here:
        missing = [name for name in ("DATABASE_URL", "GOOGLE_CLOUD_PROJECT") if not os.environ.get(name)]
        if missing or not arguments.bucket:
            raise OperatorError("with --here, set DATABASE_URL, GOOGLE_CLOUD_PROJECT and --bucket")
        upload = uploader(os.environ["GOOGLE_CLOUD_PROJECT"], arguments.bucket)
        smoke(run_locally, upload, photo, arguments.event, arguments.seconds)
        return
    require("terraform", "gcloud")
    deployment = Deployment.read(ROOT / "terraform")
    upload = uploader(deployment.project, arguments.bucket or deployment.outputs()["photos_bucket"])
    smoke(lambda step: run_job(deployment, "smoke", step), upload, photo, arguments.event, arguments.seconds)


if __name__ == "__main__":
    raise SystemExit(run_main(main))
