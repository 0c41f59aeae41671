"""Google's own Pub/Sub emulator, where gcloud and Java are installed.

Its jar is started directly: the ``gcloud beta emulators`` wrapper leaves Java running when it is ended.
It keeps everything in memory: what it had to deliver is lost when it is killed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from local.cloud.processes import Process, answers

_JARS = "platform/pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar"
# A small heap and the quick compiler only: 112 MB and about a second to start.
_JAVA_OPTIONS = ("-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto")
_INSTALL_GCLOUD = "install the Google Cloud CLI (https://cloud.google.com/sdk/docs/install)"
_INSTALL_EMULATOR = (
    "run `gcloud components install beta pubsub-emulator`"
    " (with Debian's packages: `apt-get install google-cloud-cli-pubsub-emulator`)"
)
_INSTALL_JAVA = "install a Java runtime, 11 or newer (Debian: `apt-get install default-jre-headless`)"


class EmulatorMissingError(RuntimeError):
    """Google's emulator cannot run here; the message says what to install."""


def available() -> str | None:
    """Why Google's emulator cannot run here, with what to install; None if it can."""
    try:
        _java_and_jar()
    except EmulatorMissingError as missing:
        return str(missing)
    return None


def google_process(name: str, port: int, on_ready: Callable[[], None] | None = None) -> Process:
    """Google's emulator on ``port``; ``on_ready`` has to make its topics and subscriptions at every start.

    Raises:
        EmulatorMissingError: gcloud, its emulator or Java is missing.

    """
    java, jar = _java_and_jar()
    return Process(
        name=name,
        command=(java, *_JAVA_OPTIONS, "-jar", str(jar), "--host=127.0.0.1", f"--port={port}"),
        is_ready=lambda: answers(f"http://127.0.0.1:{port}/"),
        on_ready=on_ready,
    )


def _java_and_jar() -> tuple[str, Path]:
    root = _sdk_root()
    if root is None:
        raise EmulatorMissingError(f"{_INSTALL_GCLOUD}, then {_INSTALL_EMULATOR}")
    jars = sorted(root.glob(_JARS))
    if not jars:
        raise EmulatorMissingError(f"{_INSTALL_EMULATOR}: nothing at {root / _JARS}")
    java = shutil.which("java")
    if java is None:
        raise EmulatorMissingError(_INSTALL_JAVA)
    return java, jars[-1]


def _sdk_root() -> Path | None:
    """Find the folder of the Google Cloud CLI: from CLOUDSDK_ROOT, beside its command, or by running it (1.4 s)."""
    if told := os.environ.get("CLOUDSDK_ROOT"):
        return Path(told)
    gcloud = shutil.which("gcloud")
    if gcloud is None:
        return None
    beside = Path(gcloud).resolve().parent.parent
    if (beside / "platform").is_dir():
        return beside
    asked = subprocess.run(
        [gcloud, "info", "--format=value(installation.sdk_root)"],
        capture_output=True,
        text=True,
        check=False,
    )
    return Path(asked.stdout.strip()) if asked.returncode == 0 and asked.stdout.strip() else None
