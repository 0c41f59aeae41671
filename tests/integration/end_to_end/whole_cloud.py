"""The whole emulated cloud in tests: started as the command line does it, given photos, asked what it made of them."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from PIL import Image, ImageOps
from psycopg.rows import dict_row

from functions.detect.boxes import Box, box_iou
from local.__main__ import _options, _parser
from local.cloud.cloud import Cloud, CloudOptions
from local.cloud.state import Addresses
from local.demo.host import HostApp, Photo
from local.demo.sample_event import make_sample_event
from local.demo.sample_pictures import face_free_pictures
from tests.pictures import labelled_photos

PATIENCE_SECONDS = 150.0


def options(state: Path) -> CloudOptions:
    """What ``python -m local up --bus small`` runs with; only that Postgres does without fsync."""
    arguments = _parser().parse_args(["up", "--bus", "small", "--pack", "mini", "--state", str(state)])
    return dataclasses.replace(_options(arguments), fast_postgres=True)


@contextlib.contextmanager
def running_cloud(chosen: CloudOptions) -> Iterator[Cloud]:
    """A cloud with these options, whose log is printed (pytest shows it when a test fails)."""
    with Cloud(chosen, print) as cloud:
        yield cloud


def wait_until(condition: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Return as soon as ``condition`` holds; fail, naming ``what``, if it does not in time."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        pause.wait(0.1)


# ------------------------------------------------------------ photos


def sample_folder(folder: Path, photos: int) -> dict[str, Path]:
    """``photos`` of the sample event, by name; the landscapes come last, after them mirrored copies."""
    made = sorted(make_sample_event(folder), key=lambda path: (path.stem.startswith("landscape"), path.name))
    files = {path.name: path for path in made}
    for path in made:
        if len(files) >= photos:
            break
        mirrored = folder / f"mirrored-{path.name}"
        ImageOps.mirror(Image.open(path)).save(mirrored, quality=90)
        files[mirrored.name] = mirrored
    return dict(list(files.items())[:photos])


def sixty_photos(folder: Path) -> dict[str, Path]:
    """Sixty photos of one event: the labelled ones and fifteen of nobody; without those, the sample event's."""
    labelled = labelled_photos()
    if labelled is None:
        return sample_folder(folder, 60)
    files = {path.name: path for path in (*labelled.singles, *labelled.groups)}
    nobody = {f"nobody-{picture.path.name}": picture.path for picture in face_free_pictures()}
    return dict(list({**files, **nobody}.items())[:60])


@dataclass(frozen=True)
class Acceptance:
    """The photos of the acceptance run, and who is in those of one person (by name of the photo)."""

    files: Mapping[str, Path]
    person_of: Mapping[str, str]
    landscapes: frozenset[str]
    persons: int
    least_faces: int


def acceptance_photos(folder: Path) -> Acceptance:
    """The labelled photos and ten of nobody; where they are missing, the sample event, whose guests are known too."""
    free = {f"nobody-{picture.path.name}": picture.path for picture in face_free_pictures()[:10]}
    labelled = labelled_photos()
    if labelled is not None:
        singles = {path.name: (path, person) for path, person in labelled.singles.items()}
        groups = {path.name: path for path in labelled.groups}
        return Acceptance(
            files={**{name: path for name, (path, _) in singles.items()}, **groups, **free},
            person_of={name: person for name, (_, person) in singles.items()},
            landscapes=frozenset(free),
            persons=8,
            least_faces=35,
        )
    files = {path.name: path for path in make_sample_event(folder)}
    guests = {name: "-".join(name.split("-")[:2]) for name in files if name.startswith("guest-")}
    landscapes = {name for name in files if name.startswith("landscape-")}
    return Acceptance({**files, **free}, guests, frozenset(landscapes | set(free)), persons=7, least_faces=30)


# ------------------------------------------------------------ an event


_DETECT_JOBS = """
SELECT media_ids[1] AS media_id, object_generation, status, run, attempts, error_code, error, result,
    created_at::text, released_at::text, started_at::text, completed_at::text
FROM ml_jobs WHERE event_id = %s AND job_type = 'detect' ORDER BY created_at
"""


@dataclass(frozen=True)
class Event:
    """An event of a running cloud, seen from the host app and from the database."""

    addresses: Addresses
    host: HostApp
    event_id: UUID
    photos: Sequence[Photo]

    @classmethod
    def made(cls, addresses: Addresses, files: Mapping[str, Path]) -> Event:
        """An event whose photos are announced, none of them uploaded."""
        host = HostApp(addresses)
        event_id = host.make_event("a test")
        return cls(addresses, host, event_id, host.announce(event_id, files))

    def upload(self) -> None:
        """Put every photo into the bucket."""
        self.host.upload(self.event_id, self.photos)

    def done(self) -> int:
        """How many photos have been looked at; -1 while the database is away."""
        try:
            return self.host.progress(self.event_id).done
        except psycopg.OperationalError:
            return -1

    def wait_for_done(self, photos: int) -> None:
        """Wait until at least that many photos have been looked at."""
        wait_until(lambda: self.done() >= photos, f"{photos} photos looked at")

    def wait_until_settled(self) -> None:
        """Wait until nothing waits and nothing is to come."""

        def is_settled() -> bool:
            try:
                return self.host.progress(self.event_id).settled
            except psycopg.OperationalError:
                return False

        wait_until(is_settled, "the event is at rest")

    def rows(self, statement: str, *values: object) -> list[dict[str, Any]]:
        """Ask the database."""
        with psycopg.connect(self.addresses.database_url, row_factory=dict_row) as connection:
            return connection.execute(statement, values).fetchall()

    def outcome(self) -> Outcome:
        """What became of the photos, without ids and times."""
        names = {photo.media_id: photo.name for photo in self.photos}
        faces = self.rows(
            "SELECT media_id, bbox, face_person_id, thumbnail_object FROM faces WHERE event_id = %s", self.event_id
        )
        places = [(names[face["media_id"]], _place(face["bbox"])) for face in faces]
        members: dict[UUID, set[Place]] = {}
        for face, place in zip(faces, places, strict=True):
            if face["face_person_id"]:
                members.setdefault(face["face_person_id"], set()).add(place)
        return Outcome(Counter(places), frozenset(frozenset(person) for person in members.values()))

    def assert_each_photo_was_done_once(self) -> None:
        """One completed detect job for each photo, no face twice, every thumbnail there and none too many."""
        jobs = self.rows(_DETECT_JOBS, self.event_id)
        names = {photo.media_id: photo.name for photo in self.photos}
        done = Counter(names[job["media_id"]] for job in jobs if job["status"] == "completed")
        unlike = {name: [job for job in jobs if names[job["media_id"]] == name] for name in names.values()}
        assert {name: its_jobs for name, its_jobs in unlike.items() if len(its_jobs) != 1 or done[name] != 1} == {}
        faces = self.rows("SELECT media_id, bbox, thumbnail_object FROM faces WHERE event_id = %s", self.event_id)
        for photo in self.photos:
            boxes = [Box(**face["bbox"]) for face in faces if face["media_id"] == photo.media_id]
            for number, box in enumerate(boxes):
                assert all(box_iou(box, other) <= 0.5 for other in boxes[:number]), f"a face twice in {photo.name}"
        assert len(self.host.thumbnails(self.event_id)) == len(faces)


Place = tuple[str, tuple[float, ...]]


@dataclass(frozen=True)
class Outcome:
    """Faces as (photo, box), and persons as sets of faces."""

    faces: Counter[Place]
    persons: frozenset[frozenset[Place]]


def _place(bbox: Mapping[str, float]) -> tuple[float, ...]:
    return tuple(round(bbox[side], 4) for side in ("x", "y", "w", "h"))
