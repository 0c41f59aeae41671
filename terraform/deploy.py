"""From an empty project to a running system: ``python -m terraform.deploy``. Every step may be repeated."""

from __future__ import annotations

import argparse
from pathlib import Path

from terraform import images
from terraform.deployment import ROOT, Deployment, command, finds, require, run, say

# What Terraform itself needs before it can enable the rest.
_FIRST_APIS = ("cloudresourcemanager", "iam", "serviceusage", "storage")
# What images need: the rest needs images.
_FIRST_RESOURCES = ("google_project_service.apis", "google_artifact_registry_repository.images")


def plan(deployment: Deployment) -> None:
    """Show what would change.

    Raises:
        OperatorError: a program is missing, or a step failed.
    """
    require("terraform", "gcloud")
    initialise(deployment)
    run("terraform", f"-chdir={deployment.folder}", "plan", "-input=false")


def deploy(deployment: Deployment, pack: str, *, gpu: bool, approved: bool) -> None:
    """State bucket, APIs and registry, images, then everything: the database and its migrations before the functions.

    Raises:
        OperatorError: a program is missing, or a step failed; repeating goes on from there.
    """
    require("terraform", "gcloud", "docker", "git")
    terraform = ("terraform", f"-chdir={deployment.folder}")
    approval = ("-auto-approve",) if approved else ()
    say(f"1/5 the project {deployment.project}")
    run(
        "gcloud",
        "services",
        "enable",
        *(f"{api}.googleapis.com" for api in _FIRST_APIS),
        "--project",
        deployment.project,
    )
    make_state_bucket(deployment)
    say("2/5 Terraform")
    initialise(deployment)
    say("3/5 APIs and the registry")
    run(*terraform, "apply", "-input=false", *approval, *(f"-target={one}" for one in _FIRST_RESOURCES))
    # Pub/Sub's own account is granted rights below, and exists only once it has been asked for.
    run(
        *("gcloud", "beta", "services", "identity", "create"),
        *("--service=pubsub.googleapis.com", "--project", deployment.project),
    )
    if images.pushed_revision(deployment) == images.described(pack, gpu=gpu) and "-changed" not in images.revision():
        say("4/5 the images of this revision are pushed already")
    else:
        say("4/5 images")
        images.build(deployment, pack, gpu=gpu)
    say("5/5 everything; the migrations run before the functions that need them")
    run(*terraform, "apply", "-input=false", *approval)
    say("deployed. make smoke uploads a photo and waits for its face")


def initialise(deployment: Deployment) -> None:
    """Let Terraform find its state and providers."""
    run(
        *("terraform", f"-chdir={deployment.folder}", "init", "-input=false", "-reconfigure"),
        f"-backend-config=bucket={deployment.state_bucket}",
        f"-backend-config=prefix={deployment.name}",
    )


def make_state_bucket(deployment: Deployment) -> None:
    """Create the versioned bucket of Terraform's state, which Terraform needs before it can create anything."""
    bucket = f"gs://{deployment.state_bucket}"
    if finds("gcloud", "storage", "buckets", "describe", bucket, "--project", deployment.project):
        return
    run(
        *("gcloud", "storage", "buckets", "create", bucket, "--project", deployment.project),
        *("--location", deployment.region, "--uniform-bucket-level-access", "--public-access-prevention"),
    )
    run("gcloud", "storage", "buckets", "update", bucket, "--versioning")


def main(folder: Path = ROOT / "terraform") -> None:
    """Parse the command line, plan or deploy."""
    parser = argparse.ArgumentParser(prog="python -m terraform.deploy", description=__doc__)
    parser.add_argument("--plan", action="store_true", help="only show what would change")
    parser.add_argument("--yes", action="store_true", help="do not ask before changing things")
    parser.add_argument("--pack", default="buffalo_l", choices=("buffalo_l", "auraface", "mini"), help="model pack")
    parser.add_argument("--gpu", action="store_true", help="detect with CUDA (set the variable gpu too)")
    given = parser.parse_args()
    deployment = Deployment.read(folder)
    if given.plan:
        plan(deployment)
    else:
        deploy(deployment, given.pack, gpu=given.gpu, approved=given.yes)


if __name__ == "__main__":
    raise SystemExit(command(main))
