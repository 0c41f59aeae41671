"""How the images are built: what can be seen in `functions/Dockerfile` and `functions/docker-bake.json`."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from functions.detect import packs
from shared.service import READY_PATH
from terraform import images
from tests.terraform.dockerfile import DOCKERFILE, FUNCTIONS, ROOT, STAGES, stages

BAKE = json.loads((ROOT / "functions" / "docker-bake.json").read_text())
FINAL = (*images.NAMES, "detect-gpu")


def test_a_dockerfile_is_read_as_docker_reads_it() -> None:
    read = stages(
        "ARG PYTHON=python:3\nFROM ${PYTHON} AS base\nENV A=1 B=2\nFROM base AS one\nARG PACK=big\nENV PACK=$PACK\n"
        'COPY --from=base /x /y\nCOPY a b c/\nRUN make "$PACK"\nUSER 1\nCMD ["run", "it"]\n'
    )
    one = read["one"]
    assert read["base"].base == "python:3"
    assert one.environment == {"A": "1", "B": "2", "PACK": "big"}
    assert one.copies == [("base", "/x", "/y"), ("", "a", "c/"), ("", "b", "c/")]
    assert (one.runs, one.user, one.command) == (['make "big"'], "1", ["run", "it"])


@pytest.mark.parametrize("name", FINAL)
def test_an_image_is_nobody_and_starts_its_own_function(name: str) -> None:
    stage = STAGES[name]
    assert stage.user == "10001"
    if name == "migrate":
        assert stage.command == ["python", "-m", "sql.migrate"]
    else:
        function = name.removesuffix("-gpu")
        assert stage.command[:5] == [
            "functions-framework",
            "--target",
            "main",
            "--source",
            f"functions/{function}/main.py",
        ]
        # Another function's code is not in it.
        copied = {source for origin, source, _ in stage.copies if not origin}
        # The operator's jobs run on callback's image.
        beside = {"operations"} if function == "callback" else set()
        assert copied == {"functions/__init__.py", f"functions/{function}", "shared"} | beside


@pytest.mark.parametrize("name", [*images.NAMES])
def test_packages_are_the_lock_s_wheels_and_nothing_is_compiled(name: str) -> None:
    (line,) = [run for run in STAGES[f"{name}-packages"].runs if run.startswith("uv pip install")]
    assert "--only-binary :all:" in line
    assert line.endswith("-c requirements.lock")
    if name != "migrate":
        assert f"--extra {name} " in line


def test_no_image_has_a_compiler_a_package_manager_s_cache_or_the_tools_of_its_building() -> None:
    text = DOCKERFILE.read_text()
    assert not re.search(r"\b(gcc|g\+\+|build-essential|make|cmake)\b", re.sub(r"(?m)^#.*$", "", text))
    for name in FINAL:
        assert not [run for run in STAGES[name].runs if re.search(r"\b(apt-get|pip)\b", run)], name
        venvs = [origin for origin, source, _ in STAGES[name].copies if source == "/opt/venv"]
        assert len(venvs) == 1
        assert "--without-pip" in " ".join(STAGES[venvs[0]].runs)


def test_the_model_is_part_of_the_image_and_where_the_function_looks() -> None:
    for name in ("detect", "detect-gpu"):
        stage = STAGES[name]
        assert ("model", "/opt/trombi", "/opt/trombi") in stage.copies
        assert stage.environment[packs.MODEL_DIR_VARIABLE] == "/opt/trombi"
        assert stage.environment["FACE_PACK"] in packs.PACKS
    assert "python -m functions.detect.packs fetch" in " ".join(STAGES["model"].runs)


def test_what_is_copied_exists_and_may_be_copied() -> None:
    allowed = [
        line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    ]
    for stage in STAGES.values():
        for origin, source, _ in stage.copies:
            if not origin:
                assert (ROOT / source).exists(), source
                assert [folder for folder in allowed if source == folder or source.startswith(f"{folder}/")], source


def test_the_gpu_s_lock_adds_just_cuda_of_the_generation_that_the_driver_knows() -> None:
    gpu = (ROOT / "functions" / "detect" / "gpu.lock").read_text()
    packages = re.findall(r"^([a-z][\w-]*)==(\S+)", gpu, re.MULTILINE)
    assert {name for name, _ in packages if not name.startswith("nvidia-")} == {"onnxruntime-gpu"}
    assert all(name.endswith("-cu12") for name, _ in packages if name.startswith("nvidia-"))
    assert gpu.count("--hash=sha256:") >= len(packages) > 5
    libraries = STAGES["detect-gpu"].environment["LD_LIBRARY_PATH"]
    folders = {name.removeprefix("nvidia-").removesuffix("-cu12").replace("-", "_") for name, _ in packages}
    assert {path.split("/")[-2] for path in libraries.split(":")} == folders - {"onnxruntime_gpu"}


def test_the_bake_file_builds_every_image_with_its_list_of_contents() -> None:
    targets = BAKE["target"]
    assert tuple(BAKE["group"]["default"]["targets"]) == images.NAMES
    for name in images.NAMES:
        assert targets[name]["inherits"] == ["_all"]
        assert targets[name]["target"] == ("${DETECT}" if name == "detect" else name)
        assert targets[name]["tags"] == [f"${{REGISTRY}}/{name}:${{TAG}}"]
    assert {attestation.split(",")[0] for attestation in targets["_all"]["attest"]} == {"type=sbom", "type=provenance"}
    assert (ROOT / targets["_all"]["dockerfile"]) == DOCKERFILE
    used = set(re.findall(r"\$\{(\w+)\}", json.dumps(targets)))
    assert used == set(BAKE["variable"])


def test_the_probe_of_the_deployment_is_the_functions_own() -> None:
    assert f'path = "{READY_PATH}"' in (ROOT / "terraform" / "cloudrun.tf").read_text()
    assert set(FUNCTIONS) == {path.parent.name for path in (ROOT / "functions").glob("*/main.py")}


def test_no_other_dockerfile_is_left() -> None:
    files = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert [name for name in files if Path(name).name.startswith("Dockerfile") and (ROOT / name).exists()] == [
        "functions/Dockerfile"
    ]
