"""Every size with Cloud SQL: applied, checked by value, planned again, and destroyed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.terraform.checks import CHECKS
from tests.terraform.configurations import configuration
from tests.terraform.life import Deployment, Shape, deployed


@pytest.fixture(scope="module", params=["small", "medium", "large"])
def deployment(request: pytest.FixtureRequest) -> Iterator[Deployment]:
    with deployed(configuration(request.param, external=False)) as made:
        yield made


@pytest.fixture(scope="module")
def shapes() -> list[Shape]:
    """The shape of every size that has been applied so far."""
    return []


@pytest.mark.parametrize("name", CHECKS)
def test_what_was_applied(deployment: Deployment, name: str) -> None:
    assert list(CHECKS[name](deployment.applied, deployment.given)) == []


def test_a_second_plan_is_empty(deployment: Deployment) -> None:
    said = deployment.workspace.terraform("plan", "-detailed-exitcode", "-input=false", "-no-color")
    assert "No changes" in said


def test_sizes_differ_in_values_alone(deployment: Deployment, shapes: list[Shape]) -> None:
    shapes.append(deployment.shape())
    assert shapes[-1] == shapes[0]


# Of one size: the others have the same resources, which wait for each other in the same order.
@pytest.mark.parametrize("deployment", ["large"], indirect=True)
def test_what_is_protected_is_not_destroyed_and_all_of_it_is_once_it_no_longer_is(deployment: Deployment) -> None:
    refused = deployment.workspace.terraform(
        "destroy",
        "-auto-approve",
        "-input=false",
        "-no-color",
        "-refresh=false",
        "-target=google_cloud_run_v2_service.this",
        succeeds=False,
    )
    assert "without setting deletion_protection=false" in refused
    deployment.workspace.give({**deployment.configuration.variables, "deletion_protection": False})
    deployment.workspace.apply()
    said = deployment.workspace.terraform("destroy", "-auto-approve", "-input=false", "-no-color", "-refresh=false")
    assert "Destroy complete!" in said
    assert deployment.workspace.terraform("state", "list") == ""
