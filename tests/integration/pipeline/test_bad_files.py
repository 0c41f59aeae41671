"""Bad files end their job with a plain reason, and the function goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.pipeline.bad_files import bad_files, good_files
from tests.integration.pipeline.scene import Scene, media_of

_REPOSITORY = Path(__file__).resolve().parents[3]
_BAD = bad_files()
_GOOD = good_files()
_LIMIT = 2 * 2**20
_MEMORY = 2 * 2**30


@pytest.mark.parametrize("name", sorted(_BAD))
def test_a_bad_file_ends_its_job_with_the_right_reason_and_a_good_photo_still_works(
    scene: Scene, portrait: bytes, name: str
) -> None:
    bad = _BAD[name]
    scene.restart(max_photo_bytes=_LIMIT)
    uploaded = scene.upload(bad.make())
    scene.detection.uploaded(uploaded)
    job = scene.job_of(uploaded)
    if bad.code is None:
        assert (job["status"], job["error"]) == ("completed", None)
        assert job["result"]["skipped"] == "not an image"
        assert bad.said in job["result"]["detail"]
    else:
        assert (job["status"], job["error_code"]) == ("failed", bad.code)
        assert bad.said in job["error"]
        assert "Traceback" not in job["error"]
    assert scene.faces() == []
    (told,) = scene.publisher.finished()
    assert (told.job_id, told.status) == (job["id"], job["status"])

    reads = len(scene.store.reads)
    scene.detection.uploaded(uploaded)
    assert len(scene.store.reads) == reads, "no retry"

    scene.detection.uploaded(scene.upload(portrait))
    assert len(scene.faces()) == 1


@pytest.mark.parametrize("name", _GOOD)
def test_a_face_is_found_in_every_format(scene: Scene, portrait: bytes, name: str) -> None:
    # All of them are called photo.jpg: a mislabelled picture is read for what it is.
    uploaded = scene.upload(_GOOD[name](portrait))
    scene.detection.uploaded(uploaded)
    assert scene.job_of(uploaded)["status"] == "completed"
    assert len(scene.faces(media_of(uploaded))) == 1


def test_all_bad_files_together_take_less_than_2_gib(
    scene: Scene, portrait: bytes, storage_url: str, mini_pack: Path
) -> None:
    files = [*(bad.make() for bad in _BAD.values()), portrait]
    messages = [scene.upload(data) for data in files]
    environment = {
        **os.environ,
        "DATABASE_URL": scene.database_url,
        "GOOGLE_CLOUD_PROJECT": scene.buckets.project,
        "STORAGE_EMULATOR_HOST": storage_url,
        "PHOTOS_BUCKET": scene.buckets.photos,
        "DERIVED_BUCKET": scene.buckets.derived,
        "PACK_DIRECTORY": str(mini_pack),
        "MAX_PHOTO_BYTES": str(_LIMIT),
    }
    run = subprocess.run(
        [sys.executable, "-m", "tests.integration.pipeline.handle_bad_files"],
        input="\n".join(message.model_dump_json() for message in messages),
        capture_output=True,
        text=True,
        check=False,
        cwd=_REPOSITORY,
        env=environment,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    answer = json.loads(run.stdout.splitlines()[-1])
    assert answer["handled"] == len(files)
    assert answer["peak_bytes"] < _MEMORY
    assert len(scene.faces()) == 1
    ends = scene.rows("SELECT status, count(*) AS n FROM ml_jobs GROUP BY status ORDER BY status")
    skipped = sum(bad.code is None for bad in _BAD.values())
    assert {row["status"]: row["n"] for row in ends} == {"completed": skipped + 1, "failed": len(_BAD) - skipped}
