"""The four functions as processes of the emulated cloud, each served by functions-framework."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local.cloud.processes import Process, answers
from local.cloud.state import Addresses

ROOT = Path(__file__).resolve().parents[2]
_NO_PROXY = "127.0.0.1,localhost"


@dataclass(frozen=True)
class Function:
    """One deployable unit: ``source`` has a functions-framework target ``main`` that answers GET /healthz.

    ``threads`` is how many requests it serves at a time.
    """

    name: str
    source: Path
    threads: int = 4


FUNCTIONS = (
    # Two photos at work and two that are read or written; the others answer that there is no place for more.
    Function("detect", ROOT / "functions" / "detect" / "main.py", threads=6),
    Function("cluster", ROOT / "functions" / "cluster" / "main.py"),
    Function("callback", ROOT / "functions" / "callback" / "main.py"),
    # Short requests of many people, and streams of progress, which take up to half of the threads.
    Function("admin", ROOT / "functions" / "admin" / "main.py", threads=32),
)


def function_process(function: Function, addresses: Addresses, environment: Mapping[str, str]) -> Process:
    """Describe the process of ``function``; its environment names all ``addresses``.

    ``environment`` is added, and wins.
    """
    url = addresses.function_urls[function.name]
    port = url.rsplit(":", 1)[1]
    return Process(
        name=function.name,
        command=(
            *(sys.executable, "-m", "local.cloud.function_server", "--target", "main"),
            *("--source", str(function.source), "--host", "127.0.0.1", "--port", port),
        ),
        is_ready=lambda: answers(f"{url}/healthz"),
        environment={**_surroundings(function, addresses, port), **environment},
        directory=ROOT,
    )


def _surroundings(function: Function, addresses: Addresses, port: str) -> dict[str, str]:
    paths = (str(ROOT), os.environ.get("PYTHONPATH", ""))
    # Loopback is never behind a proxy, but HTTP libraries and gRPC ask the environment.
    proxies = (_NO_PROXY, os.environ.get("NO_PROXY", os.environ.get("no_proxy", "")))
    no_proxy = ",".join(filter(None, proxies))
    return {
        "DATABASE_URL": addresses.database_url,
        "GOOGLE_CLOUD_PROJECT": addresses.project,
        "PUBSUB_EMULATOR_HOST": addresses.pubsub_host,
        "STORAGE_EMULATOR_HOST": addresses.storage_url,
        "PHOTOS_BUCKET": addresses.photos_bucket,
        "DERIVED_BUCKET": addresses.derived_bucket,
        "SMTP_URL": addresses.smtp_url,
        "MAIL_FROM": "Trombi <trombi@localhost>",
        # Where there is a web page, admin serves it.
        "PUBLIC_URL": addresses.function_urls.get("admin", "http://127.0.0.1"),
        "PORT": port,
        # Read by functions-framework: requests that its one worker serves at a time.
        "THREADS": str(function.threads),
        # As in the images: what one thread has freed serves the next, whichever that is.
        "MALLOC_ARENA_MAX": "2",
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "PYTHONUNBUFFERED": "1",
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
    }
