"""``make bench-api``: the list of persons, alone and while fifty organisers decide on the same event.

Runs admin as the emulated cloud runs it, on real Postgres with row level security, and asks over HTTP. One event has
500 persons, 10,000 faces on 3,000 photos, and 300 members, of whom 50 organise. Three measurements: the list alone;
with 50 organisers who look and decide every few seconds, as people do; with 50 who do so as fast as they are answered.
An organiser links, ignores, restores, merges and undoes, each time with the version of the person that they saw.
Afterwards nothing may be lost: no two decisions were made on the same version of a person, each decision is in the
ledger once, and every person counts all of theirs.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import random
import secrets
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import jwt
import psycopg
from psycopg.rows import DictRow, dict_row

from local.cloud.cloud import FUNCTIONS, Cloud, CloudOptions

Connection = psycopg.Connection[DictRow]

_MOST_SECONDS = 0.1  # the promise: 95 of 100 lists are answered within
_KEPT_OPEN_SECONDS = 1.0  # the server closes what is idle for two
_LOCAL_PARTS = tuple(function for function in FUNCTIONS if function.name == "admin")

_EVENT = """
INSERT INTO events (name, face_recognition_enabled, consent_text_version, consented_at)
VALUES ('a benchmark', true, 'bench', now()) RETURNING id
"""
_FILL = (
    "INSERT INTO event_counters (event_id, embedding_model) VALUES (%(event)s, 'bench')",
    "INSERT INTO users (display_name) SELECT 'Member ' || n FROM generate_series(1, %(members)s) AS n",
    """
    INSERT INTO event_members
    SELECT %(event)s, id, CASE WHEN row_number() OVER (ORDER BY id) <= %(organisers)s THEN 'organizer' ELSE 'member' END
    FROM users
    """,
    """
    INSERT INTO media (event_id, bucket, object_name, object_generation, created_at)
    SELECT %(event)s, 'photos', 'events/' || n, 1, now() - n * interval '1 second'
    FROM generate_series(1, %(photos)s) AS n
    """,
    """
    INSERT INTO ml_jobs (job_type, event_id, media_ids, object_generation, status, started_at, completed_at, result)
    SELECT 'detect', event_id, ARRAY[id], 1, 'completed', now(), now(), '{}' FROM media WHERE event_id = %(event)s
    """,
    """
    INSERT INTO face_persons (event_id, cluster_label, created_at)
    SELECT %(event)s, n, now() - n * interval '1 second' FROM generate_series(1, %(persons)s) AS n
    """,
    # Half of the faces are spread evenly, the others make some persons frequent, as on real photos.
    """
    INSERT INTO faces (id, media_id, event_id, object_generation, face_person_id, bbox, embedding, embedding_model,
        quality_score, size_px, thumbnail_object)
    SELECT gen_random_uuid(), photo.id, %(event)s, 1, person.id, '{"x": 0.1, "y": 0.1, "w": 0.2, "h": 0.2}',
        (SELECT array_agg(random() - 0.5 + 0 * face.n * axis) FROM generate_series(1, 512) AS axis)::vector, 'bench',
        0.5 + random() / 2, 120, 'bench/' || face.n
    FROM generate_series(1, %(faces)s) AS face (n)
    JOIN (SELECT id, row_number() OVER (ORDER BY id) AS n FROM face_persons WHERE event_id = %(event)s) AS person
        ON person.n = 1 + CASE WHEN face.n %% 2 = 0 THEN face.n / 2 %% %(persons)s
            ELSE (%(persons)s * ((face.n * 7919::bigint %% 10007) / 10007.0) ^ 3)::int %% %(persons)s END
    JOIN (SELECT id, row_number() OVER (ORDER BY id) AS n FROM media WHERE event_id = %(event)s) AS photo
        ON photo.n = 1 + face.n * 7 %% %(photos)s
    """,
    """
    UPDATE face_persons SET representative_face_id = (
        SELECT id FROM faces WHERE face_person_id = face_persons.id ORDER BY quality_score DESC LIMIT 1
    )
    WHERE event_id = %(event)s
    """,
)
_ORGANISERS = "SELECT user_id FROM event_members WHERE event_id = %s AND role = 'organizer' ORDER BY user_id"
_MEMBERS = "SELECT user_id FROM event_members WHERE event_id = %s AND role = 'member' ORDER BY user_id"
_DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
_LEDGER = "SELECT count(*) AS decisions, count(DISTINCT version) AS places FROM decisions WHERE event_id = %s"
# Every decision on a person adds one to its version; a person that an undo took back is gone with its count.
_MISCOUNTED = """
SELECT count(*) AS persons FROM face_persons AS person
WHERE event_id = %s
    AND version <> (
        SELECT count(*) FROM decisions WHERE decisions.event_id = person.event_id AND person.id = ANY(person_ids)
    )
"""
# A linked person's photos are tagged with their user, each once, and nobody is tagged without being on the photo.
_MISTAGGED = """
WITH due AS (
    SELECT DISTINCT faces.media_id, person.linked_user_id AS user_id
    FROM faces JOIN face_persons AS person ON person.id = faces.face_person_id
    WHERE person.event_id = %(event)s AND person.status = 'linked'
), given AS (
    SELECT media_id, tagged_user_id AS user_id FROM media_tags
    JOIN media ON media.id = media_tags.media_id WHERE media.event_id = %(event)s
)
SELECT count(*) AS tags FROM due FULL JOIN given USING (media_id, user_id)
WHERE due.media_id IS NULL OR given.media_id IS NULL
"""


@dataclass
class Tally:
    """What one organiser was answered. ``decided_on`` are (person, version) that a decision was accepted for."""

    lists: list[float] = field(default_factory=list)
    decisions: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    decided_on: list[tuple[str, int]] = field(default_factory=list)


class Organiser:
    """One organiser's browser: a connection that is kept open, and what they do with the page."""

    def __init__(self, url: str, secret: str, user_id: UUID, event_id: UUID, members: list[UUID], seed: int) -> None:
        address = urlsplit(url)
        self._http = http.client.HTTPConnection(address.hostname or "", address.port, timeout=120)
        claims = {"sub": str(user_id), "aud": "authenticated", "exp": int(time.time()) + 3600}
        self._headers = {
            "Authorization": f"Bearer {jwt.encode(claims, secret, algorithm='HS256')}",
            "Content-Type": "application/json",
        }
        self._event_id = event_id
        self._members = members
        self._random = random.Random(seed)  # noqa: S311 - which button is pressed
        self._undoable: list[str] = []
        self._used_at = 0.0
        self.tally = Tally()

    def look(self) -> list[dict[str, Any]]:
        """Fetch the first page of the list and record how long it took."""
        started = time.perf_counter()
        status, answer = self._ask("GET", f"/event/{self._event_id}/face-persons?limit=50")
        self.tally.lists.append(time.perf_counter() - started)
        if status != http.client.OK:
            message = f"the list was answered {status}: {answer}"
            raise RuntimeError(message)
        items: list[dict[str, Any]] = answer["items"]
        return items

    def decide(self) -> None:
        """Look, press one button, and note what came of it."""
        persons = self.look()
        person, other = self._random.sample(persons, 2)
        kind, path, body = self._choice(person, other)
        started = time.perf_counter()
        status, answer = self._ask("POST", path, body)
        self.tally.decisions.append(time.perf_counter() - started)
        self.tally.statuses[status] += 1
        if status == http.client.OK:
            self.tally.kinds[kind] += 1
            if "version" in body:
                self.tally.decided_on.append((person["id"], body["version"]))
            if kind != "undo":
                self._undoable.append(answer["decision_id"])

    def _choice(self, person: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[str, str, dict[str, Any]]:
        about = {"version": person["version"]}
        if self._undoable and self._random.random() < 0.3:  # noqa: PLR2004 - three of ten have second thoughts
            return "undo", f"/decisions/{self._undoable.pop()}/undo", {}
        if person["status"] == "ignored":
            return "restore", f"/person/{person['id']}/restore", about
        kind = self._random.choice(("link-user", "ignore", "merge"))
        if kind == "link-user":
            about["user_id"] = str(self._random.choice(self._members))
        elif kind == "merge":
            about["from"] = [other["id"]]
        return kind, f"/person/{person['id']}/{kind}", about

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        content = None if body is None else json.dumps(body)
        if time.perf_counter() - self._used_at > _KEPT_OPEN_SECONDS:
            self._http.close()  # the next request opens it again
        self._http.request(method, path, content, self._headers)
        response = self._http.getresponse()
        answer = json.loads(response.read())
        self._used_at = time.perf_counter()
        return response.status, answer


def main() -> None:
    """Measure and print; ends with status 1 where a promise is broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.api", description=__doc__)
    parser.add_argument("--persons", type=int, default=500, help="default: %(default)s")
    parser.add_argument("--faces", type=int, default=10_000, help="default: %(default)s")
    parser.add_argument("--organisers", type=int, default=50, help="default: %(default)s")
    parser.add_argument("--pause", type=float, default=4.0, help="seconds between two decisions (default: %(default)s)")
    parser.add_argument(
        "--rounds", type=int, default=6, help="decisions of each in a measurement (default: %(default)s)"
    )
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trombi-bench-")))
        folder.chmod(0o711)  # Postgres runs as another user under root
        secret = secrets.token_hex(32)
        options = CloudOptions(
            state_dir=folder / "state", bus="small", functions=_LOCAL_PARTS, environment={"JWT_SECRET": secret}
        )
        cloud = stack.enter_context(Cloud(options, print))
        url = cloud.addresses.function_urls["admin"]
        connection = stack.enter_context(
            psycopg.connect(cloud.addresses.database_url, autocommit=True, row_factory=dict_row)
        )
        print("filling the database ...", flush=True)
        event_id = _fill(connection, arguments)
        members = [row["user_id"] for row in connection.execute(_MEMBERS, (event_id,))]
        organisers = [
            Organiser(url, secret, row["user_id"], event_id, members, seed)
            for seed, row in enumerate(connection.execute(_ORGANISERS, (event_id,)).fetchall())
        ]
        kept = _measure(connection, event_id, organisers, arguments)
    raise SystemExit(0 if kept else 1)


def _fill(connection: Connection, arguments: argparse.Namespace) -> UUID:
    event_id: UUID = _one(connection, _EVENT)["id"]
    values = {
        "event": event_id,
        "members": 300,
        "photos": 3000,
        "organisers": arguments.organisers,
        "persons": arguments.persons,
        "faces": arguments.faces,
    }
    for statement in _FILL:
        connection.execute(statement, values)
    connection.execute("VACUUM ANALYZE")
    return event_id


def _measure(
    connection: Connection, event_id: UUID, organisers: list[Organiser], arguments: argparse.Namespace
) -> bool:
    first = organisers[0]
    for _ in range(20):
        first.look()
    first.tally = Tally()
    print("measuring ...", flush=True)
    load = os.getloadavg()[0]
    for _ in range(200):
        first.look()
    alone = first.tally.lists
    first.tally = Tally()
    for _ in range(40):
        first.decide()
    one = _take([first])
    with ThreadPoolExecutor(len(organisers)) as pool:
        list(pool.map(lambda organiser: _at_ease(organiser, arguments), organisers))
        at_ease = _take(organisers)
        list(pool.map(lambda organiser: _in_a_hurry(organiser, arguments.rounds), organisers))
        hurried = _take(organisers)

    print(f"\nmachine       {os.cpu_count()} cores, {_cpu()}, load {load:.1f} before the measurement")
    server = connection.info.server_version // 10_000
    packages = ", ".join(f"{name} {version(name)}" for name in ("flask", "gunicorn", "psycopg"))
    print(f"versions      Python {platform.python_version()}, PostgreSQL {server}, {packages}")
    print(f"event         {arguments.persons} persons, {arguments.faces} faces, {len(organisers)} organisers")
    print(f"server        one process, {_LOCAL_PARTS[0].threads} threads; the clients are on the same machine\n")
    print(f"{'milliseconds':<58}   p50    p95    max")
    _row("list of persons, alone", alone)
    _row("decision, alone", one.decisions)
    ease = f"{len(organisers)} organisers, one decision every {arguments.pause:g} s:"
    _row(f"{ease} list", at_ease.lists)
    _row(f"{ease} decision", at_ease.decisions)
    hurry = f"{len(organisers)} organisers without a pause:"
    _row(f"{hurry} list", hurried.lists)
    _row(f"{hurry} decision", hurried.decisions)
    return _verdict(connection, event_id, (one, at_ease, hurried), alone)


def _verdict(connection: Connection, event_id: UUID, tallies: tuple[Tally, ...], alone: list[float]) -> bool:
    statuses = sum((tally.statuses for tally in tallies), Counter[int]())
    kinds = sum((tally.kinds for tally in tallies), Counter[str]())
    decided_on = Counter(place for tally in tallies for place in tally.decided_on)
    twice = sum(count - 1 for count in decided_on.values())
    ledger = _one(connection, _LEDGER, (event_id,))
    miscounted = _one(connection, _MISCOUNTED, (event_id,))["persons"]
    mistagged = _one(connection, _MISTAGGED, {"event": event_id})["tags"]
    deadlocks = _one(connection, _DEADLOCKS)["deadlocks"]
    lost = twice + miscounted + mistagged + abs(ledger["decisions"] - kinds.total())
    lost += ledger["decisions"] - ledger["places"]
    told = ", ".join(f"{count} times {status}" for status, count in sorted(statuses.items()))
    print(f"\nanswers       {told}")
    print(f"decisions     {', '.join(f'{count} {kind}' for kind, count in sorted(kinds.items()))}")
    print(f"deadlocks     {deadlocks}")
    print(
        f"lost updates  {lost} ({twice} decided on one version, {miscounted} persons and {mistagged} tags that do not"
        f" add up, {ledger['decisions']} in the ledger of {kinds.total()} accepted)"
    )
    p95 = _p95(alone)
    unexpected = sum(count for status, count in statuses.items() if status not in (200, 404, 409))
    kept = not deadlocks and not lost and not unexpected and p95 < _MOST_SECONDS
    print(
        f"promise       list of persons p95 {p95 * 1000:.0f} ms < {_MOST_SECONDS * 1000:.0f} ms, nothing lost: "
        f"{'kept' if kept else 'BROKEN'}"
    )
    return kept


def _at_ease(organiser: Organiser, arguments: argparse.Namespace) -> None:
    for _ in range(arguments.rounds):
        time.sleep(arguments.pause * (0.5 + random.random()))  # noqa: S311 - people are not in step
        organiser.decide()


def _in_a_hurry(organiser: Organiser, rounds: int) -> None:
    for _ in range(rounds):
        organiser.decide()


def _take(organisers: list[Organiser]) -> Tally:
    """Everybody's tally as one; each begins a new one."""
    together = Tally()
    for organiser in organisers:
        together.lists += organiser.tally.lists
        together.decisions += organiser.tally.decisions
        together.statuses += organiser.tally.statuses
        together.kinds += organiser.tally.kinds
        together.decided_on += organiser.tally.decided_on
        organiser.tally = Tally()
    return together


def _row(what: str, seconds: list[float]) -> None:
    print(f"{what:<58}{statistics.median(seconds) * 1000:6.0f} {_p95(seconds) * 1000:6.0f} {max(seconds) * 1000:6.0f}")


def _p95(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=20)[-1]


def _one(connection: Connection, statement: str, values: tuple[UUID] | dict[str, UUID] | None = None) -> DictRow:
    row = connection.execute(statement, values).fetchone()
    if row is None:
        message = "a statement that always answers did not"
        raise RuntimeError(message)
    return row


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


if __name__ == "__main__":
    main()
