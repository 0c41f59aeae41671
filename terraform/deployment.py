"""The deployment that `terraform.tfvars.json` describes, and the programs that work on it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
_HOW_TO_GET = {
    "docker": "install Docker with buildx (https://docs.docker.com/engine/install)",
    "gcloud": "install the Google Cloud CLI (https://cloud.google.com/sdk/docs/install) and run: gcloud auth login, "
    "gcloud auth application-default login",
    "git": "install git",
    "terraform": "install Terraform 1.11 or newer (https://developer.hashicorp.com/terraform/install)",
}


class OperatorError(Exception):
    """Something that the operator can mend; the message says how."""


def say(line: str) -> None:
    """Tell the operator what happens now."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def require(*programs: str) -> None:
    """Raise OperatorError naming every program that is missing, and how to get it."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        raise OperatorError("; ".join(f"{program} is missing: {_HOW_TO_GET[program]}" for program in missing))


@dataclass(frozen=True)
class Deployment:
    """Where everything is. ``folder`` holds the Terraform files."""

    project: str
    region: str
    name: str
    folder: Path

    @classmethod
    def read(cls, folder: Path) -> Deployment:
        """Read `terraform.tfvars.json`.

        Raises:
            OperatorError: the file is missing, no JSON, or without a project.
        """
        file = folder / "terraform.tfvars.json"
        try:
            variables: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            message = f"{file} is missing: copy {folder / 'example.tfvars.json'} to it and fill it in"
            raise OperatorError(message) from None
        except ValueError as error:
            message = f"{file} is not JSON: {error}"
            raise OperatorError(message) from None
        if not variables.get("project_id"):
            message = f"{file} names no project_id"
            raise OperatorError(message)
        return cls(
            project=variables["project_id"],
            region=variables.get("region", "europe-west1"),
            name=variables.get("name", "trombi"),
            folder=folder,
        )

    @property
    def registry(self) -> str:
        """Where images are pushed to."""
        return f"{self.region}-docker.pkg.dev/{self.project}/{self.name}"

    @property
    def state_bucket(self) -> str:
        """The bucket of Terraform's state."""
        return f"{self.project}-{self.name}-terraform"

    def outputs(self) -> Mapping[str, Any]:
        """Terraform's outputs by name.

        Raises:
            OperatorError: nothing is deployed.
        """
        told = json.loads(answer("terraform", f"-chdir={self.folder}", "output", "-json"))
        if not told:
            raise OperatorError("nothing is deployed yet: make deploy")
        return {name: output["value"] for name, output in told.items()}


def run(*command: str, environment: Mapping[str, str] | None = None) -> None:
    """Run a program whose output the operator sees.

    Raises:
        OperatorError: it failed.
    """
    if not succeeds(*command, environment=environment):
        message = f"this failed, see above: {' '.join(command)}"
        raise OperatorError(message)


def succeeds(*command: str, environment: Mapping[str, str] | None = None) -> bool:
    """Run a program whose output the operator sees; whether it succeeded."""
    return subprocess.run(command, env=environment, check=False).returncode == 0  # noqa: S603 - our own arguments


def answer(*command: str) -> str:
    """Run a program and return its standard output, stripped.

    Raises:
        OperatorError: it failed; with what it said.
    """
    ran = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own arguments
    if ran.returncode != 0:
        message = f"this failed: {' '.join(command)}\n{ran.stderr.strip()}"
        raise OperatorError(message)
    return ran.stdout.strip()


def finds(*command: str) -> bool:
    """Whether a quiet look finds something."""
    return subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603 - our own arguments


def run_job(deployment: Deployment, job: str, arguments: Sequence[str]) -> None:
    """Run a Cloud Run job with these arguments, wait for its end, and show what it said.

    Raises:
        OperatorError: the job failed.
    """
    where = ("--project", deployment.project)
    name = f"{deployment.name}-{job}"
    say(f"running the job {name}: {' '.join(arguments)}")
    execute = ("gcloud", "run", "jobs", "execute", name, "--region", deployment.region, *where, "--wait")
    started = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    succeeded = succeeds(*execute, *([f"--args={','.join(arguments)}"] if arguments else []))
    filter_ = (
        f'resource.type="cloud_run_job" AND resource.labels.job_name="{name}" AND timestamp>="{started}" '
        "AND (textPayload:* OR jsonPayload.message:*)"
    )
    lines = answer(
        *("gcloud", "logging", "read", filter_, *where, "--order=asc", "--limit=1000"),
        "--format=value(textPayload,jsonPayload.message)",
    )
    if lines:
        say(lines)
    if not succeeded:
        message = f"the job {name} failed"
        raise OperatorError(message)


def command(main: Callable[[], None]) -> int:
    """Run an operator's command; what they can mend is told in a sentence, without a traceback."""
    try:
        main()
    except OperatorError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0
