"""Searching an event's faces by likeness: time and recall, and what an approximate index would cost and lose.

Synthetic unit vectors: people of twelve faces, cosines of .5 to one another. Four events of the size that is asked for;
the search is in one of them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.types.json import Jsonb

from local.cloud.postgres import database_url
from sql import vector_index
from sql.migrate import migrate
from tests.databases import running_postgres

Vectors = NDArray[np.float32]

_SEARCH = b"SELECT id FROM faces WHERE event_id = %s ORDER BY embedding <=> %s::vector LIMIT 20"
_COLUMNS = "id, media_id, event_id, object_generation, bbox, embedding, embedding_model, quality_score, size_px"
_BOX = {"x": 0.1, "y": 0.1, "w": 0.2, "h": 0.2}
_EVENTS = 4


def people(rng: np.random.Generator, faces: int) -> Vectors:
    """Return unit vectors, shape (faces, 512)."""
    directions = np.repeat(rng.standard_normal((faces // 12 + 1, 512)), 12, axis=0)[:faces]
    vectors = directions + rng.standard_normal(directions.shape)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def insert(connection: psycopg.Connection[Any], event_id: UUID, embeddings: Vectors) -> list[UUID]:
    """Insert faces as one photo of the event; their ids."""
    media_id = uuid4()
    connection.execute("INSERT INTO media (id, event_id) VALUES (%s, %s)", (media_id, event_id))
    ids = [uuid4() for _ in embeddings]
    with connection.cursor() as cursor, cursor.copy(f"COPY faces ({_COLUMNS}) FROM STDIN".encode()) as copy:
        for face_id, embedding in zip(ids, embeddings, strict=True):
            copy.write_row((face_id, media_id, event_id, 1, Jsonb(_BOX), str(embedding.tolist()), "mini", 0.9, 90))
    return ids


def make_event(connection: psycopg.Connection[Any]) -> UUID:
    """Insert an event without photos; its id."""
    event_id = uuid4()
    connection.execute("INSERT INTO events (id, name) VALUES (%s, 'an event')", (event_id,))
    connection.execute("INSERT INTO event_counters (event_id, embedding_model) VALUES (%s, 'mini')", (event_id,))
    return event_id


def searches(
    connection: psycopg.Connection[Any], event_id: UUID, ids: list[UUID], embeddings: Vectors, *, prepare: bool
) -> tuple[str, float]:
    """Search a hundred times; median, 95th percentile and least number of answers as text, and the recall."""
    milliseconds, recalls, answers = [], [], []
    for asked in embeddings[:: max(1, len(embeddings) // 100)]:
        values = (event_id, str(asked.tolist()))
        started = time.perf_counter()
        found = {row[0] for row in connection.execute(_SEARCH, values, prepare=prepare)}
        milliseconds.append((time.perf_counter() - started) * 1000)
        nearest = {ids[number] for number in np.argsort(-(embeddings @ asked))[:20]}
        recalls.append(len(nearest & found) / 20)
        answers.append(len(found))
    median, p95 = np.percentile(milliseconds, [50, 95])
    return f"median {median:.1f} ms, p95 {p95:.1f} ms, {min(answers)} answers or more of 20", float(np.mean(recalls))


def report(connection: psycopg.Connection[Any], title: str, event: tuple[UUID, list[UUID], Vectors]) -> None:
    """Print how searches do, prepared and not, and how long 1,000 more faces take to insert."""
    for prepare in (False, True):
        told, recall = searches(connection, *event, prepare=prepare)
        print(f"{title:<12} {'prepared' if prepare else 'not prepared':<13} {told}, recall {recall:.3f}", flush=True)
    more = people(np.random.default_rng(9), 1000)
    started = time.perf_counter()
    insert(connection, make_event(connection), more)
    print(f"{title:<12} 1,000 faces inserted in {time.perf_counter() - started:.2f} s", flush=True)


def main() -> None:
    """Read the command line, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=int, default=10_000, help="faces of each event (default: %(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="trombi-search-") as folder, running_postgres(Path(folder)) as port:
        url = database_url(port)
        migrate(url)
        with psycopg.connect(url, autocommit=True) as connection:
            rng = np.random.default_rng(1)
            events = []
            for _ in range(_EVENTS):
                event_id, embeddings = make_event(connection), people(rng, arguments.faces)
                events.append((event_id, insert(connection, event_id, embeddings), embeddings))
            connection.execute("VACUUM ANALYZE")
            report(connection, "exact", events[0])
            for kind in vector_index.KINDS:
                started = time.perf_counter()
                vector_index.build(url, kind)
                print(f"{kind:<12} built in {time.perf_counter() - started:.0f} s")
                connection.execute("ANALYZE")
                report(connection, kind, events[0])


if __name__ == "__main__":
    main()
