"""A copy of `terraform/` in which the real terraform works against the provider stub, and what it has applied."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.not_run import not_run
from tests.terraform.plugin_protocol import serving
from tests.terraform.provider_schema import ROOT, SCHEMAS
from tests.terraform.provider_stub import ProviderStub

Json = dict[str, Any]
_LEFT_OUT = shutil.ignore_patterns(".terraform*", "*.tfstate*", "*.tfvars", "*.tfvars.json", "*.tfplan", "__pycache__")
_OVERRIDE = 'terraform {\n  backend "http" {}\n}\n'
_OLDEST = (1, 11)


class TerraformError(AssertionError):
    """Terraform refused; the message is what it said."""


def require_terraform() -> str:
    """The terraform on PATH; its tests are not run where there is none, or one that is too old."""
    found = shutil.which("terraform")
    if found is None:
        not_run("terraform", "install Terraform 1.11 or newer (https://developer.hashicorp.com/terraform/install)")
    version = _version(found)
    if version < _OLDEST:
        not_run("terraform", f"Terraform {version[0]}.{version[1]} is too old: install 1.11 or newer")
    return found


@functools.cache
def _version(terraform: str) -> tuple[int, int]:
    environment = {**os.environ, "CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": os.devnull}
    told = subprocess.run(
        [terraform, "version", "-json"], env=environment, capture_output=True, text=True, check=True
    ).stdout
    major, minor, *_ = json.loads(told)["terraform_version"].split(".")
    return int(major), int(minor)


class _StateStore:
    """Keeps the state where terraform puts it: a file would be written whole after every single resource."""

    def __init__(self) -> None:
        """Listen on a free port of the loopback interface."""
        self.kept: list[bytes] = []
        kept = self.kept

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(200 if kept else 404, kept[-1] if kept else b"")

            def do_POST(self) -> None:
                kept[:] = [self.rfile.read(int(self.headers["Content-Length"]))]
                self._answer(200, b"")

            def _answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.address = f"http://127.0.0.1:{self._server.server_port}/state"

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@dataclass(frozen=True)
class Workspace:
    """``folder`` holds the copy of `terraform/`, with `shared/bus.json` and `docs/` beside it."""

    folder: Path
    stub: ProviderStub
    store: _StateStore
    environment: dict[str, str]

    def terraform(self, *arguments: str, succeeds: bool = True) -> str:
        """Run terraform and return what it said, both streams.

        Raises:
            TerraformError: it did not end as expected.
        """
        ran = subprocess.run(
            ["terraform", *arguments],
            cwd=self.folder,
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        said = ran.stdout + ran.stderr
        if (ran.returncode == 0) is not succeeds:
            message = f"terraform {arguments[0]} ended with {ran.returncode}:\n{said[-6000:]}"
            raise TerraformError(message)
        return said

    def start_afresh(self, secrets: Mapping[str, str]) -> None:
        """Forget everything that was applied, without destroying it; other secrets are given from here on."""
        self.store.kept.clear()
        self.stub.written.clear()
        self.environment["TF_VAR_secrets"] = json.dumps(dict(secrets))

    def give(self, variables: Mapping[str, Any]) -> None:
        """Write the variables where terraform finds them; secrets go the way of an operator's, by environment."""
        (self.folder / "test.auto.tfvars.json").write_text(json.dumps(dict(variables)))

    def needs(self) -> dict[str, frozenset[str]]:
        """Which resources each resource waits for, directly."""
        found: dict[str, set[str]] = {}
        for after, before in re.findall(
            r'"(?:\[root\] )?([\w.]+)" -> "(?:\[root\] )?([\w.]+)"', self.terraform("graph")
        ):
            found.setdefault(after, set()).add(before)
        return {after: frozenset(before) for after, before in found.items()}

    def apply(self, *arguments: str) -> Applied:
        """Apply, and return what there is now."""
        self.terraform("apply", "-auto-approve", "-input=false", "-no-color", "-refresh=false", *arguments)
        return Applied.of(json.loads(self.terraform("show", "-json")))


@dataclass(frozen=True)
class Applied:
    """The applied state: every value is known.

    Attributes:
        resources: by type, then by the rest of the address (``this["detect"]``).
        outputs: by name.
    """

    resources: Mapping[str, Mapping[str, Json]]
    outputs: Mapping[str, Any]
    text: str

    @classmethod
    def of(cls, shown: Json) -> Applied:
        """Read what ``terraform show -json`` says."""
        found: dict[str, dict[str, Json]] = {}
        for resource in shown["values"]["root_module"]["resources"]:
            if resource["mode"] == "managed":
                address = resource["address"].removeprefix(resource["type"] + ".")
                found.setdefault(resource["type"], {})[address] = resource["values"]
        outputs = {name: output.get("value") for name, output in shown["values"].get("outputs", {}).items()}
        return cls(resources=found, outputs=outputs, text=json.dumps(shown))

    def all(self, kind: str) -> list[Json]:
        """Every resource of a type."""
        return list(self.resources.get(kind, {}).values())


@contextmanager
def workspace(folder: Path, secrets: Mapping[str, str] | None = None) -> Iterator[Workspace]:
    """A fresh copy below ``folder``, initialised."""
    require_terraform()
    copy = folder / "terraform"
    shutil.copytree(ROOT / "terraform", copy, ignore=_LEFT_OUT)
    (folder / "shared").mkdir()
    shutil.copy(ROOT / "shared" / "bus.json", folder / "shared" / "bus.json")
    (copy / "backend_override.tf").write_text(_OVERRIDE)
    schemas = json.loads(SCHEMAS.read_text())
    google, random = ProviderStub(schemas["hashicorp/google"]), ProviderStub(schemas["hashicorp/random"])
    with closing(_StateStore()) as store, serving({"hashicorp/google": google, "hashicorp/random": random}) as attached:
        environment = {
            **attached,
            "CHECKPOINT_DISABLE": "1",
            "TF_CLI_CONFIG_FILE": os.devnull,
            "TF_HTTP_ADDRESS": store.address,
            "TF_IN_AUTOMATION": "1",
            # Garbage is a third of what terraform does on so short a run.
            "GOGC": "off",
            "GOMEMLIMIT": "2GiB",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
            "TF_VAR_secrets": json.dumps(dict(secrets or {})),
        }
        made = Workspace(copy, google, store, environment)
        made.terraform("init", "-input=false", "-no-color")
        yield made
