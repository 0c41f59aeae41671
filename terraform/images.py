"""Build the container images, and push them: ``python -m terraform.images``. Terraform gets their digests in a file."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from terraform.deployment import (
    ROOT,
    Deployment,
    OperatorError,
    output_of,
    require,
    run,
    run_main,
    say,
    succeeds_quietly,
)

NAMES = ("admin", "callback", "cluster", "detect", "migrate")
BAKE = ROOT / "functions" / "docker-bake.json"
BASE_LOCK = ROOT / "functions" / "base-image.lock"
_BASE = "python:3.11-slim-bookworm"
_BUILDER = "trombi"


def revision() -> str:
    """Return the commit, followed by ``-changed`` if files of the images have uncommitted changes."""
    shipped = ("functions", "operations", "shared", "sql")
    changed = output_of("git", "-C", str(ROOT), "status", "--porcelain", "--", *shipped)
    return output_of("git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD") + ("-changed" if changed else "")


def pushed_build(deployment: Deployment) -> str | None:
    """Return the build id of the images that Terraform deploys, or None if no images have been pushed."""
    file = deployment.folder / "images.revision"
    digests = deployment.folder / "images.auto.tfvars.json"
    return file.read_text(encoding="utf-8").strip() if file.is_file() and digests.is_file() else None


def build_id(pack: str, *, gpu: bool) -> str:
    """Return the build id of this tree's images: revision, model pack, and ``gpu`` for the CUDA image."""
    return f"{revision()} {pack}{' gpu' if gpu else ''}"


def pin_base() -> None:
    """Get the base image's digest from its registry, and write it to the lock file."""
    require("docker")
    digest = output_of("docker", "buildx", "imagetools", "inspect", _BASE, "--format", "{{.Manifest.Digest}}")
    BASE_LOCK.write_text(f"{_BASE}@{digest}\n", encoding="utf-8")
    say(f"The base image is pinned to {_BASE}@{digest}. Commit {BASE_LOCK.relative_to(ROOT)}")


def build(deployment: Deployment | None, pack: str, *, gpu: bool) -> None:
    """Build all images. With a deployment, also push them, and write their digests to a file for Terraform.

    Raises:
        OperatorError: Docker is missing, or a build or push failed.
    """
    require("docker", "git")
    base = BASE_LOCK.read_text(encoding="utf-8").strip() if BASE_LOCK.is_file() else None
    if base is None:
        say(f"{BASE_LOCK.name} is missing, so the current {_BASE} is used. To pin the base image, run make base-image")
    # Tags in the registry are immutable, so each build has its own tag.
    tag = f"{revision()}-{datetime.now(UTC):%Y%m%d%H%M%S}"
    variables = {
        "REGISTRY": deployment.registry if deployment else "trombi",
        "TAG": tag if deployment else "latest",
        "PYTHON_IMAGE": base or _BASE,
        "FACE_PACK": pack,
        "DETECT": "detect-gpu" if gpu else "detect",
        "REVISION": output_of("git", "-C", str(ROOT), "rev-parse", "HEAD"),
        "SOURCE_DATE_EPOCH": output_of("git", "-C", str(ROOT), "log", "-1", "--format=%ct"),
    }
    if not succeeds_quietly("docker", "buildx", "inspect", _BUILDER):
        run("docker", "buildx", "create", "--name", _BUILDER, "--driver", "docker-container")
    with tempfile.TemporaryDirectory() as folder:
        metadata = Path(folder) / "metadata.json"
        if deployment is not None:
            host = deployment.registry.split("/")[0]
            run("gcloud", "auth", "configure-docker", host, "--quiet")
        output_options = (
            # The same files give the same layers, whenever they are built.
            ["--set=*.output=type=registry,rewrite-timestamp=true"]
            if deployment is not None
            # Attestations (SBOM, provenance) can be pushed to a registry, but not loaded into Docker.
            else ["--set=*.attest=", "--load"]
        )
        say(f"building {', '.join(NAMES)} ({build_id(pack, gpu=gpu)})")
        run(
            *("docker", "buildx", "bake", "--builder", _BUILDER, "--file", str(BAKE)),
            *("--metadata-file", str(metadata), *output_options),
            environment={**os.environ, **variables},
        )
        if deployment is not None:
            _write_digests(deployment, json.loads(metadata.read_text(encoding="utf-8")), build_id(pack, gpu=gpu))


def _write_digests(deployment: Deployment, metadata: dict[str, dict[str, str]], build: str) -> None:
    digests = {name: metadata.get(name, {}).get("containerimage.digest") for name in NAMES}
    if missing := [name for name, digest in digests.items() if digest is None]:
        message = f"docker reported no digest for {', '.join(missing)}"
        raise OperatorError(message)
    images = {name: f"{deployment.registry}/{name}@{digest}" for name, digest in digests.items()}
    file = deployment.folder / "images.auto.tfvars.json"
    file.write_text(json.dumps({"images": images}, indent=2) + "\n", encoding="utf-8")
    (deployment.folder / "images.revision").write_text(build + "\n", encoding="utf-8")
    say(f"The images are pushed, and their digests are in {file}")


def main() -> None:
    """Parse the command line and build."""
    parser = argparse.ArgumentParser(prog="python -m terraform.images", description=__doc__)
    parser.add_argument("--pack", default="buffalo_l", choices=("buffalo_l", "auraface", "mini"), help="model pack")
    parser.add_argument("--gpu", action="store_true", help="build the CUDA image for detect")
    parser.add_argument("--push", action="store_true", help="push the images to the deployment's registry")
    parser.add_argument("--pin-base", action="store_true", help="only pin the base image")
    arguments = parser.parse_args()
    if arguments.pin_base:
        pin_base()
    else:
        deployment = Deployment.read(ROOT / "terraform") if arguments.push else None
        build(deployment, arguments.pack, gpu=arguments.gpu)


if __name__ == "__main__":
    raise SystemExit(run_main(main))
