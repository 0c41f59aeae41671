"""A photo through the deployed system: ``python -m terraform.smoke``.

The database's part runs as a job inside the deployment (`operations/smoke.py`), because nothing outside
reaches the database; the photo is uploaded from here, as a host app's server would.
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
from terraform.deployment import ROOT, Deployment, OperatorError, command, require, run, run_job, say

Step = Callable[[Sequence[str]], None]


def smoke(
    step: Step, upload: Callable[[str, Path], Callable[[], None]], photo: Path, event: UUID | None, seconds: int
) -> None:
    """Prepare an event, upload, wait for the face, and take everything away again, also after a failure.

    Args:
        step: runs a step of `operations/smoke.py` with these words.
        upload: uploads the file under a name; returns what deletes it again.
        photo: a picture with a face.
        event: an event of one's own that consents; None makes one, and removes it.
        seconds: how long to wait.

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
    say(f"it works ({time.monotonic() - started:.0f} s in all)")


def uploader(project: str, bucket: str) -> Callable[[str, Path], Callable[[], None]]:
    """Make a function that uploads to a bucket with the operator's own rights."""
    client = storage.Client(project=project)

    def upload(name: str, photo: Path) -> Callable[[], None]:
        blob = client.bucket(bucket).blob(name)
        blob.upload_from_filename(str(photo), timeout=60)
        return lambda: blob.delete(timeout=60)

    return upload


def here(words: Sequence[str]) -> None:
    """Run a step on this machine, for a database that it can reach (DATABASE_URL)."""
    run(sys.executable, "-m", "operations.smoke", *words, environment={**os.environ, "PYTHONPATH": str(ROOT)})


def main() -> None:
    """Parse the command line and run the smoke test."""
    parser = argparse.ArgumentParser(prog="python -m terraform.smoke", description=__doc__)
    parser.add_argument("photo", type=Path, nargs="?", help="a picture with a face (default: one that a package ships)")
    parser.add_argument("--event", type=UUID, help="an event of yours that consents, instead of one made for this")
    parser.add_argument("--seconds", type=int, default=300, help="how long to wait (default: %(default)s)")
    parser.add_argument("--here", action="store_true", help="reach the database from here, by DATABASE_URL")
    parser.add_argument("--bucket", help="the photos bucket (default: the deployment's)")
    given = parser.parse_args()
    photo = given.photo or portraits()[0].path
    if not photo.is_file():
        message = f"there is no file {photo}"
        raise OperatorError(message)
    if given.here:
        missing = [name for name in ("DATABASE_URL", "GOOGLE_CLOUD_PROJECT") if not os.environ.get(name)]
        if missing or not given.bucket:
            raise OperatorError("with --here, set DATABASE_URL and GOOGLE_CLOUD_PROJECT, and name --bucket")
        upload = uploader(os.environ["GOOGLE_CLOUD_PROJECT"], given.bucket)
        smoke(here, upload, photo, given.event, given.seconds)
        return
    require("terraform", "gcloud")
    deployment = Deployment.read(ROOT / "terraform")
    upload = uploader(deployment.project, given.bucket or deployment.outputs()["photos_bucket"])
    smoke(lambda words: run_job(deployment, "smoke", words), upload, photo, given.event, given.seconds)


if __name__ == "__main__":
    raise SystemExit(command(main))
