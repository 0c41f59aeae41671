"""What an operator's commands do, with stand-ins for gcloud and Docker."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from terraform import deployment as deployment_module
from terraform import images, replay, smoke
from terraform.deployment import Deployment, OperatorError, require, run_job, run_main
from tests.terraform.programs import Programs, install

DIGESTS = {name: {"containerimage.digest": f"sha256:{number:064x}"} for number, name in enumerate(images.NAMES)}


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    return install(tmp_path / "bin", monkeypatch)


@pytest.fixture
def deployed(tmp_path: Path) -> Deployment:
    return Deployment("a-project", "europe-west1", "trombi", tmp_path)


# ---------------------------------------------------------------- the deployment


def test_a_missing_file_of_variables_is_told_with_what_to_copy(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"terraform.tfvars.json is missing: copy .*example.tfvars.json to it"):
        Deployment.read(tmp_path)


@pytest.mark.parametrize(("content", "told"), [("{", "is not JSON"), ('{"region": "x"}', "contains no project_id")])
def test_a_wrong_file_of_variables_is_told(tmp_path: Path, content: str, told: str) -> None:
    (tmp_path / "terraform.tfvars.json").write_text(content)
    with pytest.raises(OperatorError, match=told):
        Deployment.read(tmp_path)


def test_names_come_from_the_variables(tmp_path: Path) -> None:
    given = {"project_id": "a-project", "region": "europe-west4", "name": "faces"}
    (tmp_path / "terraform.tfvars.json").write_text(json.dumps(given))
    read = Deployment.read(tmp_path)
    assert (read.registry, read.state_bucket) == (
        "europe-west4-docker.pkg.dev/a-project/faces",
        "a-project-faces-terraform",
    )


def test_every_missing_program_is_named_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(
        OperatorError, match=r"docker is missing: install Docker.*; gcloud is missing: install the Google"
    ):
        require("docker", "gcloud")


def test_what_an_operator_can_mend_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    def fails() -> None:
        raise OperatorError("do this")

    def stopped() -> None:
        raise KeyboardInterrupt

    assert (run_main(fails), run_main(stopped), run_main(lambda: None)) == (1, 130, 0)
    assert capsys.readouterr().err == "do this\n"


def test_outputs_are_read_and_their_absence_is_told(programs: Programs, deployed: Deployment) -> None:
    programs.answer("terraform", says='{"photos_bucket": {"value": "photos"}}')
    assert deployed.outputs() == {"photos_bucket": "photos"}
    programs.answer("terraform", says="{}")
    with pytest.raises(OperatorError, match="make deploy"):
        deployed.outputs()
    programs.answer("terraform", exit=1, complains="no backend")
    with pytest.raises(OperatorError, match="no backend"):
        deployed.outputs()


# ---------------------------------------------------------------- jobs


def test_a_job_runs_with_its_words_and_its_log_is_shown(
    programs: Programs, deployed: Deployment, capfd: pytest.CaptureFixture[str]
) -> None:
    programs.answer("gcloud logging read", says="3 dead letters wait\n3 replayed")
    run_job(deployed, "replay", ["--topic", "face-results"])
    execute, read = programs.calls("gcloud")
    assert execute == [
        *("gcloud", "run", "jobs", "execute", "trombi-replay", "--region", "europe-west1"),
        *("--project", "a-project", "--wait", "--args=--topic,face-results"),
    ]
    assert 'resource.labels.job_name="trombi-replay"' in read[3]
    assert "3 replayed" in capfd.readouterr().out


def test_a_job_that_fails_is_told_after_its_log(
    programs: Programs, deployed: Deployment, capfd: pytest.CaptureFixture[str]
) -> None:
    programs.answer("gcloud run jobs execute", exit=1)
    programs.answer("gcloud logging read", says="no face within 300 s")
    with pytest.raises(OperatorError, match="the job trombi-smoke failed"):
        run_job(deployed, "smoke", [])
    assert "no face within 300 s" in capfd.readouterr().out
    assert not [word for word in programs.calls("gcloud")[0] if word.startswith("--args")]


def test_a_replay_with_a_mistake_in_its_words_starts_nothing(
    programs: Programs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["replay", "--topic", "photos"])
    with pytest.raises(SystemExit):
        replay.main()
    assert "invalid choice: 'photos'" in capsys.readouterr().err
    assert programs.calls() == []


def test_a_replay_runs_the_deployment_s_job(
    programs: Programs, deployed: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["replay", "--list"])
    monkeypatch.setattr(deployment_module.Deployment, "read", lambda _: deployed)
    replay.main()
    assert "--args=--list" in programs.calls("gcloud")[0]


# ---------------------------------------------------------------- images


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the base image's digest is kept; it is not there yet."""
    lock = tmp_path / "base-image.lock"
    monkeypatch.setattr(images, "BASE_LOCK", lock)
    monkeypatch.setattr(images, "ROOT", tmp_path)
    monkeypatch.setattr(
        images, "output_of", lambda *words: "0123456789ab" if words[0] == "git" else "sha256:" + "a" * 64
    )
    monkeypatch.setattr(images, "revision", lambda: "0123456789ab")
    return lock


def test_images_are_built_by_digest_of_their_base_and_their_own_are_written_down(
    programs: Programs, deployed: Deployment, base: Path
) -> None:
    programs.answer("docker buildx bake", writes={"--metadata-file": json.dumps(DIGESTS)})
    base.write_text("python:3@sha256:base\n")
    images.build(deployed, "auraface", gpu=False)
    (bake,) = [call for call in programs.calls("docker") if "bake" in call]
    assert "--set=*.output=type=registry,rewrite-timestamp=true" in bake
    written = json.loads((deployed.folder / "images.auto.tfvars.json").read_text())["images"]
    assert written["admin"] == f"{deployed.registry}/admin@sha256:{0:064x}"
    assert images.pushed_build(deployed) == images.build_id("auraface", gpu=False) == "0123456789ab auraface"


def test_a_build_without_a_digest_writes_nothing(programs: Programs, deployed: Deployment, base: Path) -> None:
    programs.answer("docker buildx bake", writes={"--metadata-file": "{}"})
    with pytest.raises(OperatorError, match="docker reported no digest for admin, callback"):
        images.build(deployed, "mini", gpu=True)
    assert images.pushed_build(deployed) is None


def test_images_for_this_machine_are_loaded_and_not_pushed(
    programs: Programs, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images.build(None, "mini", gpu=False)
    (bake,) = [call for call in programs.calls("docker") if "bake" in call]
    assert "--load" in bake
    assert programs.calls("gcloud") == []
    assert "run make base-image" in capsys.readouterr().out


def test_the_base_is_pinned_by_what_the_registry_says(programs: Programs, base: Path) -> None:
    images.pin_base()
    assert base.read_text() == f"python:3.11-slim-bookworm@sha256:{'a' * 64}\n"


def test_the_revision_tells_whether_the_tree_was_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "output_of", lambda *words: "abc" if "rev-parse" in words else " M functions/x.py")
    assert images.revision() == "abc-changed"
    monkeypatch.setattr(images, "output_of", lambda *words: "abc" if "rev-parse" in words else "")
    assert images.revision() == "abc"


# ---------------------------------------------------------------- smoke


class Steps:
    """Notes what a smoke test does, in order."""

    def __init__(self, fails: str | None = None) -> None:
        self.done: list[str] = []
        self._fails = fails

    def step(self, words: Sequence[str]) -> None:
        self.done.append(words[0])
        if words[0] == self._fails:
            raise OperatorError(f"{words[0]} failed")

    def upload(self, name: str, photo: Path) -> object:
        event_id, media_id = name.split("/")[1:3]
        assert name == f"events/{UUID(event_id)}/{UUID(media_id)}/{photo.name}"
        self.done.append("upload")
        return lambda: self.done.append("delete")


def test_a_smoke_test_cleans_up_after_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps = Steps()
    smoke.smoke(steps.step, steps.upload, tmp_path / "photo.png", None, 60)  # type: ignore[arg-type]
    assert steps.done == ["prepare", "upload", "wait", "delete", "remove"]
    assert "The smoke test succeeded" in capsys.readouterr().out


def test_a_smoke_test_that_fails_cleans_up_too(tmp_path: Path) -> None:
    steps = Steps(fails="wait")
    with pytest.raises(OperatorError, match="wait failed"):
        smoke.smoke(steps.step, steps.upload, tmp_path / "photo.png", None, 60)  # type: ignore[arg-type]
    assert steps.done == ["prepare", "upload", "wait", "delete", "remove"]


def test_an_event_of_one_s_own_is_neither_made_nor_removed(tmp_path: Path) -> None:
    steps = Steps()
    smoke.smoke(steps.step, steps.upload, tmp_path / "photo.png", uuid4(), 60)  # type: ignore[arg-type]
    assert steps.done == ["upload", "wait", "delete"]


def test_a_photo_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["smoke", "/nowhere/photo.jpg"])
    with pytest.raises(OperatorError, match=r"there is no file /nowhere/photo\.jpg"):
        smoke.main()


def test_a_database_from_here_has_to_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setattr(sys, "argv", ["smoke", "--here"])
    with pytest.raises(OperatorError, match="set DATABASE_URL, GOOGLE_CLOUD_PROJECT and --bucket"):
        smoke.main()
