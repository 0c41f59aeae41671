"""The demo: photos go into the bucket, persons come out, and everything on the way is real."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from functions.detect import packs
from local.cloud.cloud import Cloud, CloudOptions
from local.demo.contact_sheet import SUFFIXES, write_contact_sheet
from local.demo.host import HostApp, Photo
from local.demo.sample_event import make_sample_event
from local.demo.sign_in import sign_in_link

_POLL_SECONDS = 0.1
# A restart of any part and the sweep behind it take far less.
_GIVE_UP_AFTER_SECONDS = 180
_MOST_NAMES = 6
# Somebody to choose from when the page asks who is who.
_MEMBERS = ("Alix", "Billie", "Camille", "Dominique", "Eden", "Frédérique", "Gaby", "Hyacinthe")


class DemoError(Exception):
    """The demo cannot go on; the text says why and what to do."""


@dataclass
class Timings:
    """Seconds of each part of the demo, in the order in which they end; ``total`` is their sum."""

    started: float = field(default_factory=time.perf_counter)
    seconds: dict[str, float] = field(default_factory=dict)

    def end(self, part: str) -> None:
        """Assign the time since the last part ended to ``part``."""
        so_far = time.perf_counter() - self.started
        self.seconds[part] = round(so_far - sum(self.seconds.values()), 3)

    def report(self) -> dict[str, float]:
        """Every part, and the total."""
        return {**self.seconds, "total": round(sum(self.seconds.values()), 3)}


def files_of(folder: Path) -> dict[str, Path]:
    """Every file of a folder and the folders in it, by its path relative to the folder; hidden ones are left out.

    Raises:
        DemoError: no such folder, or nothing in it.
    """
    if not folder.is_dir():
        message = f"{folder} is not a folder: give one that holds photos, make demo PHOTOS=folder"
        raise DemoError(message)
    files = {
        str(path.relative_to(folder)): path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }
    if not files:
        message = f"there is no file in {folder}: put photos into it, or leave PHOTOS out for a sample event"
        raise DemoError(message)
    return files


def check_outputs(report_path: Path | None, sheet_path: Path | None) -> None:
    """Make the folders of the files that the demo writes at its end, and see that the files can be written.

    Raises:
        DemoError: one cannot be; the text names the option and the file.
    """
    if sheet_path is not None and sheet_path.suffix.lower() not in SUFFIXES:
        message = f"--sheet {sheet_path}: a contact sheet is a picture: give a name that ends in {', '.join(SUFFIXES)}"
        raise DemoError(message)
    for option, path in (("--json", report_path), ("--sheet", sheet_path)):
        if path is None:
            continue
        if path.is_dir():
            message = f"{option} {path} is a folder: name a file in it"
            raise DemoError(message)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=path.parent):
                pass
            writable = not path.exists() or os.access(path, os.W_OK)
        except OSError:
            writable = False
        if not writable:
            message = f"{option} {path} cannot be written: name a file in a folder that you may write to"
            raise DemoError(message)


def run_demo(
    options: CloudOptions,
    pack: str,
    console: Console,
    *,
    folder: Path | None = None,
    report_path: Path | None = None,
    sheet_path: Path | None = None,
    exit_when_done: bool = False,
) -> dict[str, Any]:
    """Run the whole pipeline on the photos of ``folder`` (or on a sample event); returns the report.

    The report has ``photos`` (name, status, error, faces ``[{id, bbox, quality, person}]``), ``persons`` (id,
    label, face_count, representative face), ``noise`` (faces in no person), ``timings`` in seconds and ``pack``.
    ``upload`` ends with the last upload, ``detect`` with the last detection after it, ``cluster`` when the event
    has come to rest.

    Raises:
        DemoError: no photos, a file that cannot be written, or nothing moves any more.
        PackError: the model pack is missing and cannot be had.
        ProcessFailedError: a part of the cloud does not come up.
    """
    files = files_of(folder) if folder is not None else {}
    check_outputs(report_path, sheet_path)
    timings = Timings()
    with ExitStack() as stack:
        packs.fetch(pack, report=lambda line: console.print(f"  {line}", highlight=False))
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trombi-sample-")))
            make_sample_event(folder)
            files = files_of(folder)
        cloud = stack.enter_context(Cloud(options, lambda line: console.print(f"  {line}", highlight=False)))
        host = HostApp(cloud.addresses)
        timings.end("setup")
        console.print(f"The emulated cloud is up after {timings.seconds['setup']:.1f} s.")

        event_id = host.make_event("Demo")
        host.invite_members(event_id, _MEMBERS)
        photos = host.announce(event_id, files)
        _upload_and_follow(host, event_id, photos, timings, console)

        report = {**host.report(event_id, photos), "timings": timings.report(), "pack": pack}
        if sheet_path is not None:
            write_contact_sheet(report, host.thumbnails(event_id), sheet_path)
        if report_path is not None:
            report_path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        _print_report(report, console)
        if sheet_path is not None:
            console.print(f"Contact sheet: {sheet_path}", highlight=False, soft_wrap=True)
        if not exit_when_done:
            print_addresses(cloud, console)
            secret = options.environment.get("JWT_SECRET")
            if secret is not None:
                # In the fragment, which is sent to no server and written to no log; the page takes it out at once.
                page = sign_in_link(cloud.addresses, event_id, host.organiser(event_id), secret)
                console.print("Who is who? This page is signed in as the organiser:")
                console.print(f"  {page}", highlight=False, soft_wrap=True)
            cloud.wait()
    return report


def _upload_and_follow(host: HostApp, event_id: UUID, photos: list[Photo], timings: Timings, console: Console) -> None:
    columns = (TextColumn("{task.description:<22}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bars:
        uploading = bars.add_task("uploaded", total=len(photos))
        detecting = bars.add_task("looked at", total=len(photos))
        host.upload(event_id, photos, lambda: bars.advance(uploading))
        timings.end("upload")
        last_move = time.perf_counter()
        seen = None
        while True:
            now = host.progress(event_id)
            bars.update(
                detecting, completed=now.done, description=f"looked at, {now.faces} faces, {now.persons} persons"
            )
            if now.done == now.photos and "detect" not in timings.seconds:
                timings.end("detect")
            if now.settled:
                break
            if now != seen:
                seen, last_move = now, time.perf_counter()
            if time.perf_counter() - last_move > _GIVE_UP_AFTER_SECONDS:
                message = (
                    f"nothing has moved for {_GIVE_UP_AFTER_SECONDS} s with {now.done} of {now.photos} photos "
                    "looked at: the logs of each part are in .trombi/logs"
                )
                raise DemoError(message)
            time.sleep(_POLL_SECONDS)
        timings.end("cluster")


def _print_report(report: Mapping[str, Any], console: Console) -> None:
    photos_of: dict[str, set[str]] = {}
    for photo in report["photos"]:
        for face in photo["faces"]:
            photos_of.setdefault(face["person"], set()).add(photo["name"])
    table = Table(title="Who is in the photos", title_justify="left")
    table.add_column("Person", no_wrap=True)
    table.add_column("Faces", justify="right")
    table.add_column("Photos", overflow="fold")
    for person in report["persons"]:
        names = sorted(photos_of.get(person["id"], ()))
        shown = ", ".join(names[:_MOST_NAMES])
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        table.add_row(person["label"], str(person["face_count"]), shown + more)
    console.print(table)
    faces = sum(len(photo["faces"]) for photo in report["photos"])
    console.print(
        f"{len(report['photos'])} photos, {faces} faces, {len(report['persons'])} persons, "
        f"{report['noise']} faces of nobody in particular"
    )
    for photo in report["photos"]:
        if photo["error"]:
            console.print(f"  {photo['name']}: {photo['status']}, {photo['error']}", highlight=False, markup=False)
    seconds = report["timings"]
    console.print(", ".join(f"{part} {value:.1f} s" for part, value in seconds.items()))


def print_addresses(cloud: Cloud, console: Console) -> None:
    """Say where everything is, and how to stop it."""
    addresses = cloud.addresses
    console.print("The emulated cloud keeps running; Ctrl-C stops it.")
    lines = {
        "Postgres": addresses.database_url,
        "Pub/Sub": addresses.pubsub_host,
        "Storage": f"{addresses.storage_url} (buckets {addresses.photos_bucket}, {addresses.derived_bucket})",
        "Inbox": f"{addresses.inbox_url} (every mail ends here; SMTP {addresses.smtp_url})",
        **{f"{name} function": url for name, url in addresses.function_urls.items()},
    }
    for name, value in lines.items():
        console.print(f"  {name:<18} {value}", highlight=False, soft_wrap=True)
