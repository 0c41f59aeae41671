"""Building the images: ``python -m terraform.images``. Pushed ones are written down by digest for Terraform."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from terraform.deployment import ROOT, Deployment, OperatorError, answer, command, finds, require, run, say

NAMES = ("admin", "callback", "cluster", "detect", "migrate")
BAKE = ROOT / "functions" / "docker-bake.json"
BASE_LOCK = ROOT / "functions" / "base-image.lock"
_BASE = "python:3.11-slim-bookworm"
_BUILDER = "trombi"


def revision() -> str:
    """Return the commit, marked if the tree has uncommitted changes."""
    shipped = ("functions", "operations", "shared", "sql")
    changed = answer("git", "-C", str(ROOT), "status", "--porcelain", "--", *shipped)
    return answer("git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD") + ("-changed" if changed else "")


def pushed_revision(deployment: Deployment) -> str | None:
    """Return the revision, pack and kind of the images that Terraform deploys; None when there are none yet."""
    file = deployment.folder / "images.revision"
    known = deployment.folder / "images.auto.tfvars.json"
    return file.read_text(encoding="utf-8").strip() if file.is_file() and known.is_file() else None


def described(pack: str, *, gpu: bool) -> str:
    """Return what the images of this tree are recorded as: revision, pack and kind."""
    return f"{revision()} {pack}{' gpu' if gpu else ''}"


def pin_base() -> None:
    """Ask the registry for the base image's digest and record it."""
    require("docker")
    digest = answer("docker", "buildx", "imagetools", "inspect", _BASE, "--format", "{{.Manifest.Digest}}")
    BASE_LOCK.write_text(f"{_BASE}@{digest}\n", encoding="utf-8")
    say(f"the base image is {_BASE}@{digest}: commit {BASE_LOCK.relative_to(ROOT)}")


def build(deployment: Deployment | None, pack: str, *, gpu: bool) -> None:
    """Build all images; with a deployment push them, and write their digests where Terraform reads them.

    Raises:
        OperatorError: Docker is missing, or a build or push failed.
    """
    require("docker", "git")
    base = BASE_LOCK.read_text(encoding="utf-8").strip() if BASE_LOCK.is_file() else None
    if base is None:
        say(f"{BASE_LOCK.name} is missing, so the base is whatever {_BASE} is today: make base-image pins it")
    # Tags in the registry cannot be moved, so every build has its own.
    tag = f"{revision()}-{datetime.now(UTC):%Y%m%d%H%M%S}"
    variables = {
        "REGISTRY": deployment.registry if deployment else "trombi",
        "TAG": tag if deployment else "latest",
        "PYTHON_IMAGE": base or _BASE,
        "FACE_PACK": pack,
        "DETECT": "detect-gpu" if gpu else "detect",
        "REVISION": answer("git", "-C", str(ROOT), "rev-parse", "HEAD"),
        "SOURCE_DATE_EPOCH": answer("git", "-C", str(ROOT), "log", "-1", "--format=%ct"),
    }
    if not finds("docker", "buildx", "inspect", _BUILDER):
        run("docker", "buildx", "create", "--name", _BUILDER, "--driver", "docker-container")
    with tempfile.TemporaryDirectory() as folder:
        metadata = Path(folder) / "metadata.json"
        if deployment is not None:
            host = deployment.registry.split("/")[0]
            run("gcloud", "auth", "configure-docker", host, "--quiet")
        where = (
            # The same files give the same layers, whenever they are built.
            ["--set=*.output=type=registry,rewrite-timestamp=true"]
            if deployment is not None
            # What a registry keeps beside an image (SBOM, provenance) cannot be loaded into Docker.
            else ["--set=*.attest=", "--load"]
        )
        say(f"building {', '.join(NAMES)} ({described(pack, gpu=gpu)})")
        run(
            *("docker", "buildx", "bake", "--builder", _BUILDER, "--file", str(BAKE)),
            *("--metadata-file", str(metadata), *where),
            environment={**os.environ, **variables},
        )
        if deployment is not None:
            _write_down(deployment, json.loads(metadata.read_text(encoding="utf-8")), described(pack, gpu=gpu))


def _write_down(deployment: Deployment, metadata: dict[str, dict[str, str]], what: str) -> None:
    digests = {name: metadata.get(name, {}).get("containerimage.digest") for name in NAMES}
    if missing := [name for name, digest in digests.items() if digest is None]:
        message = f"docker told no digest of {', '.join(missing)}"
        raise OperatorError(message)
    images = {name: f"{deployment.registry}/{name}@{digest}" for name, digest in digests.items()}
    file = deployment.folder / "images.auto.tfvars.json"
    file.write_text(json.dumps({"images": images}, indent=2) + "\n", encoding="utf-8")
    (deployment.folder / "images.revision").write_text(what + "\n", encoding="utf-8")
    say(f"pushed, and written to {file}")


def main() -> None:
    """Parse the command line and build."""
    parser = argparse.ArgumentParser(prog="python -m terraform.images", description=__doc__)
    parser.add_argument("--pack", default="buffalo_l", choices=("buffalo_l", "auraface", "mini"), help="model pack")
    parser.add_argument("--gpu", action="store_true", help="detect with CUDA")
    parser.add_argument("--push", action="store_true", help="push them to the deployment's registry")
    parser.add_argument("--pin-base", action="store_true", help="only pin the base image")
    given = parser.parse_args()
    if given.pin_base:
        pin_base()
    else:
        deployment = Deployment.read(ROOT / "terraform") if given.push else None
        build(deployment, given.pack, gpu=given.gpu)


if __name__ == "__main__":
    raise SystemExit(command(main))
