"""Replay of dead letters inside the deployment: ``python -m terraform.replay``, with the words of the job itself."""

from __future__ import annotations

import sys

from operations.replay import arguments
from terraform.deployment import ROOT, Deployment, command, require, run_job


def main() -> None:
    """Check the words here, where a mistake is told at once, and run the job with them."""
    words = sys.argv[1:]
    arguments(words)
    require("gcloud")
    run_job(Deployment.read(ROOT / "terraform"), "replay", words)


if __name__ == "__main__":
    raise SystemExit(command(main))
