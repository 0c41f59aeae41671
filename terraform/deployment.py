"""The deployment that `terraform.tfvars.json` describes, and functions that run programs on it."""

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
_INSTALL_HINTS = {
    "docker": "install Docker with buildx (https://docs.docker.com/engine/install)",
    "gcloud": "install the Google Cloud CLI (https://cloud.google.com/sdk/docs/install) and run: gcloud auth login, "
    "gcloud auth application-default login",
    "git": "install git",
    "terraform": "install Terraform 1.11 or newer (https://developer.hashicorp.com/terraform/install)",
}


class OperatorError(Exception):
    """A problem that the operator can fix; the message says how."""


def say(line: str) -> None:
    """Print a line for the operator, without buffering."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def require(*programs: str) -> None:
    """Check that all programs are installed.

    Raises:
        OperatorError: programs are missing; the message says how to install them.
    """
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        raise OperatorError("; ".join(f"{program} is missing: {_INSTALL_HINTS[program]}" for program in missing))


@dataclass(frozen=True)
class Deployment:
    """A deployment's project, region and name. ``folder`` contains the Terraform files."""

    project: str
    region: str
    name: str
    folder: Path

    @classmethod
    def read(cls, folder: Path) -> Deployment:
        """Read `terraform.tfvars.json`.

        Raises:
            OperatorError: the file is missing, is not JSON, or contains no project_id.
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
            message = f"{file} contains no project_id"
            raise OperatorError(message)
        return cls(
            project=variables["project_id"],
            region=variables.get("region", "europe-west1"),
            name=variables.get("name", "trombi"),
            folder=folder,
        )

    @property
    def registry(self) -> str:
        """The registry that images are pushed to."""
        return f"{self.region}-docker.pkg.dev/{self.project}/{self.name}"

    @property
    def state_bucket(self) -> str:
        """The bucket that contains Terraform's state."""
        return f"{self.project}-{self.name}-terraform"

    def outputs(self) -> Mapping[str, Any]:
        """Terraform's outputs by name.

        Raises:
            OperatorError: nothing is deployed.
        """
        outputs = json.loads(output_of("terraform", f"-chdir={self.folder}", "output", "-json"))
        if not outputs:
            raise OperatorError("nothing is deployed yet; run make deploy")
        return {name: output["value"] for name, output in outputs.items()}


def run(*command: str, environment: Mapping[str, str] | None = None) -> None:
    """Run a program and show its output.

    Raises:
        OperatorError: the program failed.
    """
    if not succeeds(*command, environment=environment):
        message = f"this command failed, see above: {' '.join(command)}"
        raise OperatorError(message)


def succeeds(*command: str, environment: Mapping[str, str] | None = None) -> bool:
    """Run a program, show its output, and return whether it succeeded."""
    return subprocess.run(command, env=environment, check=False).returncode == 0  # noqa: S603 - our own arguments


def output_of(*command: str) -> str:
    """Run a program and return its standard output, stripped.

    Raises:
        OperatorError: the program failed; the message contains its standard error.
    """
    completed = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own arguments
    if completed.returncode != 0:
        message = f"this command failed: {' '.join(command)}\n{completed.stderr.strip()}"
        raise OperatorError(message)
    return completed.stdout.strip()


def succeeds_quietly(*command: str) -> bool:
    """Run a program without showing its output, and return whether it succeeded."""
    return subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603 - our own arguments


def run_job(deployment: Deployment, job: str, arguments: Sequence[str]) -> None:
    """Run a Cloud Run job with these arguments, wait for its end, and show its log.

    Raises:
        OperatorError: the job failed.
    """
    project = ("--project", deployment.project)
    name = f"{deployment.name}-{job}"
    say(f"running the job {name}: {' '.join(arguments)}")
    execute = ("gcloud", "run", "jobs", "execute", name, "--region", deployment.region, *project, "--wait")
    started = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    succeeded = succeeds(*execute, *([f"--args={','.join(arguments)}"] if arguments else []))
    filter_ = (
        f'resource.type="cloud_run_job" AND resource.labels.job_name="{name}" AND timestamp>="{started}" '
        "AND (textPayload:* OR jsonPayload.message:*)"
    )
    lines = output_of(
        *("gcloud", "logging", "read", filter_, *project, "--order=asc", "--limit=1000"),
        "--format=value(textPayload,jsonPayload.message)",
    )
    if lines:
        say(lines)
    if not succeeded:
        message = f"the job {name} failed"
        raise OperatorError(message)


def run_main(main: Callable[[], None]) -> int:
    """Run a command's main function and return its exit status. An OperatorError is printed without a traceback."""
    try:
        main()
    except OperatorError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0
