"""The life of a deployment, once for a file of tests: applied, planned again, protected, and destroyed at the end."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.terraform.checks import Given
from tests.terraform.configurations import Configuration
from tests.terraform.workspace import Applied, Workspace, workspace


@dataclass(frozen=True)
class Shape:
    """The addresses of all resources, and what each waits for: what the order of a destruction depends on."""

    addresses: frozenset[str]
    needs: Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Deployment:
    """Something that is applied."""

    configuration: Configuration
    workspace: Workspace
    applied: Applied
    given: Given

    def shape(self) -> Shape:
        """What this deployment consists of, whatever its values are."""
        addresses = {f"{kind}.{rest}" for kind, made in self.applied.resources.items() for rest in made}
        return Shape(frozenset(addresses), self.given.needs)


def deploy(made: Workspace, configuration: Configuration) -> Deployment:
    """Apply a configuration in an initialised workspace."""
    made.give(configuration.variables)
    applied = made.apply()
    given = Given(configuration.variables, configuration.secrets, dict(made.stub.written), made.needs())
    return Deployment(configuration, made, applied, given)


@contextmanager
def deployed(configuration: Configuration) -> Iterator[Deployment]:
    """A configuration applied in a workspace of its own."""
    folder = Path(tempfile.mkdtemp(prefix="trombi-terraform-"))
    try:
        with workspace(folder, configuration.secrets) as made:
            yield deploy(made, configuration)
    finally:
        shutil.rmtree(folder)
