"""Replay dead letters in the deployment: ``python -m terraform.replay``.

The arguments are those of the job (`operations/replay.py`).
"""

from __future__ import annotations

import sys

from operations.replay import arguments as parse_arguments
from terraform.deployment import ROOT, Deployment, require, run_job, run_main


def main() -> None:
    """Validate the arguments before the job starts, then run the job with them."""
    arguments = sys.argv[1:]
    parse_arguments(arguments)
    require("gcloud")
    run_job(Deployment.read(ROOT / "terraform"), "replay", arguments)


if __name__ == "__main__":
    raise SystemExit(run_main(main))
