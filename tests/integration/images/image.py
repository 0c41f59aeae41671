"""An image without Docker: `functions/Dockerfile`'s own commands in a folder and a clean virtual environment.

The environment is made by the image's own RUN line, the files are those that it copies, and the process gets the
image's variables and command. What is missing in an image is missing here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local.cloud.processes import answers
from local.cloud.state import State
from tests.terraform.dockerfile import ROOT, STAGES

_PATIENCE_SECONDS = 60
_SHARED_FOLDERS = {"/opt/venv": "venv", "/opt/trombi": "model", "/app": "app"}


@dataclass(frozen=True)
class Image:
    """``folder`` holds what the image would: ``app`` and ``venv``; the model is the one that is in place here."""

    name: str
    folder: Path

    def environment(self, given: Mapping[str, str]) -> dict[str, str]:
        """What a process of the image finds: the image's variables, those given, and nothing of this machine."""
        found = {}
        for name, value in STAGES[self.name].environment.items():
            found[name] = self.placed(value).replace("$PATH", "/usr/bin:/bin")
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        return {**found, "HOME": str(home), **given}

    def placed(self, text: str) -> str:
        """A path of the image as it is here."""
        for inside, here in _SHARED_FOLDERS.items():
            text = text.replace(inside, str(self.folder / here))
        return text

    def command(self) -> list[str]:
        """The image's command, its program found as the image would."""
        program, *words = STAGES[self.name].command
        return [str(self.folder / "venv" / "bin" / program), *words]

    def run(self, given: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Run the command to its end."""
        return subprocess.run(
            self.command(),
            cwd=self.folder / "app",
            env=self.environment(given),
            capture_output=True,
            text=True,
            check=False,
        )

    @contextmanager
    def serving(self, given: Mapping[str, str], **changed: str) -> Iterator[str]:
        """Start the command on a free port; yields its address once the start-up probe's path answers."""
        port = State(self.folder).ports("image")["image"]
        words = [changed.get("target", word) if word == "main" else word for word in self.command()]
        log = (self.folder / "log").open("w+b")
        process = subprocess.Popen(
            words,
            cwd=self.folder / "app",
            env=self.environment({**given, "PORT": str(port)}),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            deadline, pause = time.monotonic() + _PATIENCE_SECONDS, threading.Event()
            while not answers(f"{url}/healthz"):
                log.seek(0)
                assert process.poll() is None, f"{self.name} ended: {log.read().decode()[-3000:]}"
                assert time.monotonic() < deadline, f"{self.name} is not ready: {log.read().decode()[-3000:]}"
                pause.wait(0.05)
            yield url
        finally:
            process.terminate()
            process.wait(timeout=_PATIENCE_SECONDS)
            log.close()


def make_image(name: str, folder: Path) -> Image:
    """Do what the image's stages do: copy, make the environment, install with the image's own line."""
    image = Image(name, folder)
    app = folder / "app"
    for origin, source, destination in STAGES[name].copies:
        if not origin:
            _copy(ROOT / source, app / destination)
    for source in ("pyproject.toml", "requirements.lock"):
        _copy(ROOT / source, folder / "build" / source)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    (line,) = [run for run in STAGES[f"{name}-packages"].runs if run.startswith("uv pip install")]
    installed = _install(image.placed(line), folder / "build", offline=True)
    if installed.returncode != 0:
        # Not all of it is in uv's cache: from the registry, as an image is built.
        installed = _install(image.placed(line), folder / "build", offline=False)
    assert installed.returncode == 0, installed.stderr
    return image


def _install(line: str, directory: Path, *, offline: bool) -> subprocess.CompletedProcess[str]:
    uv = Path(sys.executable).with_name("uv")
    search = f"{uv.parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": search, "UV_OFFLINE": "1" if offline else "0"}
    environment.pop("VIRTUAL_ENV", None)
    return subprocess.run(
        ["/bin/sh", "-c", line], cwd=directory, env=environment, capture_output=True, text=True, check=False
    )


def _copy(source: Path, destination: Path) -> None:
    destination.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, destination, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, destination)
