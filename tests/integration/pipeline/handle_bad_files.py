"""Handles messages about bad files in a process of its own and prints what became of it, as JSON.

Run with the database's URL and the buckets' names; messages come on standard input, one a line.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from functions.detect.engine import Engine
from functions.detect.pipeline import Detection
from functions.detect.settings import DetectSettings
from shared.contracts import StorageNotification
from shared.database import Database
from shared.outbox import Outbox
from shared.storage import CloudStorage


class _Nobody:
    def publish(self, topic: str, data: bytes, attributes: Mapping[str, str]) -> None:
        """Take it and tell nobody."""


def main() -> None:
    settings = DetectSettings.from_environment()
    database = Database(settings.database_url)
    objects = CloudStorage(settings.google_cloud_project)
    outbox = Outbox(database, _Nobody(), objects, settings.derived_bucket)
    engine = Engine(Path(os.environ["PACK_DIRECTORY"]), threads=2)
    detection = Detection(database, objects, outbox, engine, "mini", settings)
    handled = 0
    for line in sys.stdin:
        detection.uploaded(StorageNotification.model_validate_json(line))
        handled += 1
    database.close()
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    print(json.dumps({"handled": handled, "peak_bytes": int(peak.split()[1]) * 1024}))  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
