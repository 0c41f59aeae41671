"""From an empty project to everything, by the command that an operator uses: real terraform, stand-ins for the rest."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from terraform import deploy, images
from terraform.deployment import Deployment, OperatorError
from tests.terraform.checks import CHECKS, Given
from tests.terraform.configurations import configuration
from tests.terraform.programs import Programs, install
from tests.terraform.workspace import Applied, Workspace, workspace

CHOSEN = configuration("small", external=False)
DIGESTS = {name: {"containerimage.digest": f"sha256:{number:064x}"} for number, name in enumerate(images.NAMES)}
REVISION = "0123456789ab"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    with (
        tempfile.TemporaryDirectory(prefix="trombi-deploy-") as folder,
        workspace(Path(folder), CHOSEN.secrets) as opened,
    ):
        for name, value in opened.environment.items():
            monkeypatch.setenv(name, value)
        yield opened


@pytest.fixture
def programs(made: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """An empty project: no state bucket, no builder, and Docker tells digests."""
    monkeypatch.setattr(images, "revision", lambda: REVISION)
    installed = install(tmp_path / "bin", monkeypatch)
    installed.answer("gcloud storage buckets describe", exit=1, once=True)
    installed.answer("docker buildx inspect", exit=1, once=True)
    installed.answer("docker buildx bake", writes={"--metadata-file": json.dumps(DIGESTS)})
    return installed


@pytest.fixture
def deployment(made: Workspace) -> Deployment:
    given = {name: value for name, value in CHOSEN.variables.items() if name != "images"}
    (made.folder / "terraform.tfvars.json").write_text(json.dumps(given))
    return Deployment.read(made.folder)


def started(programs: Programs) -> list[str]:
    """What was started, in order, as its first words."""
    return [
        " ".join(word for word in call if not word.startswith("-chdir="))
        for call in programs.calls()
        if call[:2] != ["terraform", "version"]
    ]


def place(calls: list[str], start: str) -> int:
    (found,) = [number for number, call in enumerate(calls) if call.startswith(start)]
    return found


def test_an_empty_project_becomes_a_system_and_a_second_time_changes_nothing(
    made: Workspace, programs: Programs, deployment: Deployment
) -> None:
    deploy.deploy(deployment, "buffalo_l", gpu=False, approved=True)
    calls = started(programs)
    order = [
        place(calls, "gcloud services enable cloudresourcemanager.googleapis.com"),
        place(calls, "gcloud storage buckets create gs://a-project-trombi-terraform"),
        place(calls, "gcloud storage buckets update gs://a-project-trombi-terraform --versioning"),
        place(calls, "terraform init"),
        place(calls, "terraform apply -input=false -auto-approve -target=google_project_service.apis"),
        place(calls, "gcloud beta services identity create --service=pubsub.googleapis.com"),
        place(calls, "gcloud auth configure-docker europe-west1-docker.pkg.dev"),
        place(calls, "docker buildx bake"),
        len(calls) - 1,
    ]
    assert order == sorted(order)
    assert calls[-1] == "terraform apply -input=false -auto-approve"
    assert "-backend-config=bucket=a-project-trombi-terraform" in calls[order[3]]
    applied = Applied.of(json.loads(made.terraform("show", "-json")))
    pushed = json.loads((made.folder / "images.auto.tfvars.json").read_text())["images"]
    assert pushed["detect"] == f"europe-west1-docker.pkg.dev/a-project/trombi/detect@sha256:{3:064x}"
    given = Given({**CHOSEN.variables, "images": pushed}, CHOSEN.secrets, made.stub.written, made.needs())
    assert {name: list(check(applied, given)) for name, check in CHECKS.items()} == {name: [] for name in CHECKS}

    programs.forget()
    deploy.deploy(deployment, "buffalo_l", gpu=False, approved=True)
    assert not [call for call in started(programs) if call.startswith(("docker", "gcloud storage buckets create"))]
    assert Applied.of(json.loads(made.terraform("show", "-json"))).resources == applied.resources


def test_the_plan_of_an_empty_project_says_that_images_come_first(
    made: Workspace, programs: Programs, deployment: Deployment, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(OperatorError, match="this command failed, see above: terraform"):
        deploy.plan(deployment)
    said = capfd.readouterr()
    assert "make deploy does all steps in order" in " ".join((said.out + said.err).replace("│", " ").split())


def test_an_apply_that_breaks_off_is_repeated_and_fits_together(
    made: Workspace, programs: Programs, deployment: Deployment
) -> None:
    made.stub.away = {"google_sql_user"}
    with pytest.raises(OperatorError, match="this command failed"):
        deploy.deploy(deployment, "buffalo_l", gpu=False, approved=True)
    assert "google_cloud_run_v2_service" not in made.terraform("state", "list")
    made.stub.away = set()
    deploy.deploy(deployment, "buffalo_l", gpu=False, approved=True)
    applied = Applied.of(json.loads(made.terraform("show", "-json")))
    given = Given(CHOSEN.variables, CHOSEN.secrets, made.stub.written)
    assert list(CHECKS["the_address_of_the_database_is_right"](applied, given)) == []


def test_a_failed_build_changes_nothing(made: Workspace, programs: Programs, deployment: Deployment) -> None:
    programs.answer("docker buildx bake", exit=1)
    with pytest.raises(OperatorError, match="docker buildx bake"):
        deploy.deploy(deployment, "buffalo_l", gpu=False, approved=True)
    assert not (made.folder / "images.auto.tfvars.json").exists()
    assert "google_cloud_run" not in made.terraform("state", "list")


def test_a_secret_is_sent_once_and_again_when_its_version_is_raised(made: Workspace) -> None:
    made.give(CHOSEN.variables)
    made.apply()
    first = dict(made.stub.written)
    made.stub.written.clear()
    made.environment["TF_VAR_secrets"] = "{}"
    made.apply()
    assert made.stub.written == {}, "a value was sent although its version is the same"

    raised = {**CHOSEN.variables, "secret_versions": {"jwt-secret": 2}}
    made.give(raised)
    with pytest.raises(AssertionError, match="needs content for secret_data_wo"):
        made.apply()
    made.environment["TF_VAR_secrets"] = json.dumps({"jwt-secret": "another-jwt-secret-of-48-characters-and-no-fewer"})
    made.apply()
    assert list(made.stub.written.values()) == ["another-jwt-secret-of-48-characters-and-no-fewer"]

    made.stub.written.clear()
    made.give({**CHOSEN.variables, "secret_versions": {"jwt-secret": 2, "database-password": 2}})
    applied = made.apply()
    sent = {owner.split("/")[-1] for _, _, owner in made.stub.written}
    assert sent == {"trombi-database-password", "trombi", "trombi-database-url"}
    assert (
        made.stub.written["google_sql_user", "password_wo", "trombi"]
        != first["google_sql_user", "password_wo", "trombi"]
    )
    given = Given(CHOSEN.variables, CHOSEN.secrets, made.stub.written)
    assert list(CHECKS["the_address_of_the_database_is_right"](applied, given)) == []


def test_new_images_migrate_again_and_the_same_ones_do_not(made: Workspace) -> None:
    made.give(CHOSEN.variables)

    def token() -> str:
        jobs = made.apply().resources["google_cloud_run_v2_job"]
        return str(jobs["migrate"]["run_execution_token"])

    first = token()
    assert token() == first
    newer = {**CHOSEN.variables["images"], "migrate": "r/migrate@sha256:" + "f" * 64}
    made.give({**CHOSEN.variables, "images": newer})
    assert token() != first
    # A job's name and the token are an execution's name, which has at most 63 characters.
    assert len("trombi-trombi-migrate") + len(first) < 63
