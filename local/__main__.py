"""``python -m local up`` and ``python -m local demo``: the emulated cloud, and the pipeline on photos."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from pathlib import Path

from rich.console import Console

from functions.detect import packs
from functions.detect.pack_list import PackError
from local.bus.google_emulator import EmulatorMissingError
from local.cloud.cloud import ROOT, Cloud, CloudOptions
from local.cloud.processes import ProcessFailedError
from local.cloud.state import AlreadyRunningError
from local.demo.demo import DemoError, print_addresses, run_demo
from local.demo.sample_pictures import SamplePictureError
from sql.preflight import MigrationError

_EXPECTED = (
    AlreadyRunningError,
    DemoError,
    EmulatorMissingError,
    MigrationError,
    PackError,
    ProcessFailedError,
    SamplePictureError,
)


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--pack", default=os.environ.get("FACE_PACK", "mini"), help="model pack (default: %(default)s)")
    shared.add_argument("--state", type=Path, default=ROOT / ".trombi", metavar="DIR", help="where state lives")
    shared.add_argument("--bus", choices=("auto", "google", "small"), default="auto", help="which Pub/Sub emulator")
    shared.add_argument("--database-url", help="a Postgres with pgvector of your own")
    shared.add_argument("--pubsub-host", metavar="HOST:PORT", help="a Pub/Sub emulator of your own")
    shared.add_argument("--storage-url", help="a Cloud Storage emulator of your own that notifies that Pub/Sub")
    shared.add_argument("--photos-bucket", default="trombi-photos", help="bucket of photos (default: %(default)s)")
    shared.add_argument("--derived-bucket", default="trombi-derived", help="bucket of faces (default: %(default)s)")
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", parents=[shared], help="run the emulated cloud until Ctrl-C")
    demo = commands.add_parser("demo", parents=[shared], help="run the whole pipeline on photos")
    demo.add_argument("folder", nargs="?", type=Path, help="folder of photos (default: a sample event)")
    demo.add_argument("--json", type=Path, metavar="FILE", help="write a report of photos, faces and persons")
    demo.add_argument("--sheet", type=Path, metavar="FILE", help="where the contact sheet goes")
    demo.add_argument("--exit", action="store_true", help="stop when done instead of keeping everything running")
    return parser


def _options(arguments: argparse.Namespace) -> CloudOptions:
    environment = {
        "FACE_PACK": arguments.pack,
        "FACE_MODEL_DIR": str(packs.model_root()),
        # Announced photos whose upload was lost, and jobs whose function died, are looked after sooner than in
        # production: here somebody watches.
        "PHOTO_GRACE": "20",
        "JOB_STUCK_AFTER": "60",
        # One event at a time, and somebody waits for it: cluster again soon.
        "CLUSTER_MIN_INTERVAL": "3",
        "JWT_SECRET": secrets.token_hex(32),
    }
    return CloudOptions(
        state_dir=arguments.state,
        bus=arguments.bus,
        database_url=arguments.database_url,
        pubsub_host=arguments.pubsub_host,
        storage_url=arguments.storage_url,
        photos_bucket=arguments.photos_bucket,
        derived_bucket=arguments.derived_bucket,
        environment={**environment, **_from_environment()},
        tick_seconds=1,
    )


def _from_environment() -> dict[str, str]:
    """Collect the functions' settings that the caller has set, so that they can be tried out."""
    names = (
        *(
            "CLUSTER_",
            "JOB_",
            "PHOTO_GRACE",
            "LOW_PRIORITY_BATCH",
            "MAX_PHOTO_",
            "LOG_LEVEL",
            "JWT_",
            "FACE_THREADS",
            "FACE_CALIBRATION",
        ),
        *("SMTP_URL", "MAIL_FROM", "PUBLIC_URL", "INVITATION_", "RETENTION_DAYS"),
        *("CALLBACK_SECRETS", "CORS_ORIGINS", "JWKS_", "OIDC_JWKS_URL", "SERVICE_ACCOUNTS", "SERVICE_AUDIENCE"),
    )
    return {name: value for name, value in os.environ.items() if name.startswith(names)}


def main() -> int:
    """Run the command; errors that somebody can mend are told in a sentence, without a traceback."""
    arguments = _parser().parse_args()
    console = Console(stderr=False)
    try:
        if arguments.command == "up":
            packs.fetch(arguments.pack, report=lambda line: console.print(f"  {line}", highlight=False))
            with Cloud(_options(arguments), lambda line: console.print(f"  {line}", highlight=False)) as cloud:
                print_addresses(cloud, console)
                cloud.wait()
        else:
            run_demo(
                _options(arguments),
                arguments.pack,
                console,
                folder=arguments.folder,
                report_path=arguments.json,
                sheet_path=arguments.sheet or arguments.state / "demo" / "contact-sheet.png",
                exit_when_done=arguments.exit,
            )
    except KeyboardInterrupt:
        return 130
    except _EXPECTED as error:
        console.print(f"[red]{type(error).__name__}[/red]: ", end="")
        console.print(str(error), highlight=False, markup=False, soft_wrap=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
