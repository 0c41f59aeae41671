"""Everything that may be given, and detection with a GPU: applied, checked by value, planned again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.terraform.checks import CHECKS
from tests.terraform.configurations import Configuration, complete, configuration
from tests.terraform.life import Deployment, deployed

VARIANTS = {"complete": complete(), "gpu": configuration("medium", external=False, gpu="nvidia-l4")}


@pytest.fixture(scope="module", params=VARIANTS)
def deployment(request: pytest.FixtureRequest) -> Iterator[Deployment]:
    chosen: Configuration = VARIANTS[request.param]
    with deployed(chosen) as made:
        yield made


@pytest.mark.parametrize("name", CHECKS)
def test_what_was_applied(deployment: Deployment, name: str) -> None:
    assert list(CHECKS[name](deployment.applied, deployment.given)) == []


def test_a_second_plan_is_empty(deployment: Deployment) -> None:
    said = deployment.workspace.terraform("plan", "-detailed-exitcode", "-input=false", "-no-color")
    assert "No changes" in said
