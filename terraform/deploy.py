"""Deploy Trombi to a Google Cloud project: ``python -m terraform.deploy``. Every step can be repeated."""

from __future__ import annotations

import argparse
from pathlib import Path

from terraform import images
from terraform.deployment import ROOT, Deployment, require, run, run_main, say, succeeds_quietly

# The APIs that Terraform needs before it can enable the others.
_FIRST_APIS = ("cloudresourcemanager", "iam", "serviceusage", "storage")
# The resources that are needed to push images. All other resources need the images.
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
    """Create the state bucket, the APIs, the registry and the images, then everything else.

    Terraform runs the migrations before it deploys the functions.

    Raises:
        OperatorError: a program is missing, or a step failed. Running it again continues from there.
    """
    require("terraform", "gcloud", "docker", "git")
    terraform = ("terraform", f"-chdir={deployment.folder}")
    approval = ("-auto-approve",) if approved else ()
    say(f"1/5 project {deployment.project}")
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
    say("3/5 APIs and registry")
    run(*terraform, "apply", "-input=false", *approval, *(f"-target={resource}" for resource in _FIRST_RESOURCES))
    # Pub/Sub's own account gets roles below, and exists only after this request.
    run(
        *("gcloud", "beta", "services", "identity", "create"),
        *("--service=pubsub.googleapis.com", "--project", deployment.project),
    )
    if images.pushed_build(deployment) == images.build_id(pack, gpu=gpu) and "-changed" not in images.revision():
        say("4/5 images: those of this revision are already pushed")
    else:
        say("4/5 images")
        images.build(deployment, pack, gpu=gpu)
    say("5/5 all other resources; the migrations run before the functions are deployed")
    run(*terraform, "apply", "-input=false", *approval)
    say("Deployed. To test the system with a photo, run make smoke")


def initialise(deployment: Deployment) -> None:
    """Initialise Terraform: its providers, and its state in the bucket."""
    run(
        *("terraform", f"-chdir={deployment.folder}", "init", "-input=false", "-reconfigure"),
        f"-backend-config=bucket={deployment.state_bucket}",
        f"-backend-config=prefix={deployment.name}",
    )


def make_state_bucket(deployment: Deployment) -> None:
    """Create the versioned bucket for Terraform's state, unless it exists."""
    bucket = f"gs://{deployment.state_bucket}"
    if succeeds_quietly("gcloud", "storage", "buckets", "describe", bucket, "--project", deployment.project):
        return
    run(
        *("gcloud", "storage", "buckets", "create", bucket, "--project", deployment.project),
        *("--location", deployment.region, "--uniform-bucket-level-access", "--public-access-prevention"),
    )
    run("gcloud", "storage", "buckets", "update", bucket, "--versioning")


def main(folder: Path = ROOT / "terraform") -> None:
    """Parse the command line, then plan or deploy."""
    parser = argparse.ArgumentParser(prog="python -m terraform.deploy", description=__doc__)
    parser.add_argument("--plan", action="store_true", help="only show what would change")
    parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    parser.add_argument("--pack", default="buffalo_l", choices=("buffalo_l", "auraface", "mini"), help="model pack")
    parser.add_argument("--gpu", action="store_true", help="use the CUDA image for detect (also set the variable gpu)")
    arguments = parser.parse_args()
    deployment = Deployment.read(folder)
    if arguments.plan:
        plan(deployment)
    else:
        deploy(deployment, arguments.pack, gpu=arguments.gpu, approved=arguments.yes)


if __name__ == "__main__":
    raise SystemExit(run_main(main))
