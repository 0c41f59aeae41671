"""Searching faces by likeness: exact within an event; over all events with an index that is built for it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import numpy as np
import psycopg
import pytest
from numpy.typing import NDArray
from psycopg.types.json import Jsonb

from shared.database import Connection
from sql import vector_index
from sql.uninstall import UninstallError, uninstall
from tests.arrange import BOX, MODEL, event, photo
from tests.databases import Databases, dump, empty

_NEIGHBOURS = 20
_IN_EVENT = "SELECT id FROM faces WHERE event_id = %(event)s ORDER BY embedding <=> %(asked)s::vector LIMIT 20"
_EVERYWHERE = "SELECT id FROM faces ORDER BY embedding <=> %(asked)s::vector LIMIT 20"
# Exact also where there is an index: it is not used on what is materialised.
_IN_EVENT_BESIDE_AN_INDEX = """
WITH of_event AS MATERIALIZED (SELECT id, embedding FROM faces WHERE event_id = %(event)s)
SELECT id FROM of_event ORDER BY embedding <=> %(asked)s::vector LIMIT 20
"""


def people(seed: int, persons: int, each: int) -> NDArray[np.float32]:
    """Synthetic unit vectors: each person's lie around a direction of their own, cosines of .5 to one another."""
    rng = np.random.default_rng(seed)
    directions = np.repeat(rng.standard_normal((persons, 512)), each, axis=0)
    vectors = directions + rng.standard_normal(directions.shape)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


class Filled:
    """Two events and the embeddings of their faces."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.connection: Connection = psycopg.connect(url, autocommit=True, row_factory=psycopg.rows.dict_row)
        self.faces: dict[UUID, tuple[list[UUID], NDArray[np.float32]]] = {}
        for seed in (1, 2):
            self._fill(event(self.connection), people(seed, 60, 12))
        self.connection.execute("ANALYZE faces")

    def _fill(self, event_id: UUID, embeddings: NDArray[np.float32]) -> None:
        media_id = photo(self.connection, event_id)
        self.connection.execute("INSERT INTO event_counters VALUES (%s, %s)", (event_id, MODEL))
        ids = [uuid4() for _ in embeddings]
        columns = "id, media_id, event_id, object_generation, bbox, embedding, embedding_model, quality_score, size_px"
        with (
            self.connection.cursor() as cursor,
            cursor.copy(f"COPY faces ({columns}) FROM STDIN".encode()) as copy,
        ):
            for face_id, embedding in zip(ids, embeddings, strict=True):
                copy.write_row((face_id, media_id, event_id, 1, Jsonb(BOX), str(embedding.tolist()), MODEL, 0.9, 90))
        self.faces[event_id] = ids, embeddings

    def found(self, statement: str, event_id: UUID, asked: NDArray[np.float32], *, prepare: bool = False) -> list[UUID]:
        values = {"event": event_id, "asked": str(asked.tolist())}
        return [row["id"] for row in self.connection.execute(statement.encode(), values, prepare=prepare)]

    def recall(self, statement: str, events: list[UUID], *, prepare: bool = False) -> float:
        """The share of the nearest faces of the events that the statement finds, for each of some faces."""
        ids = [face_id for event_id in events for face_id in self.faces[event_id][0]]
        embeddings = np.concatenate([self.faces[event_id][1] for event_id in events])
        shares = []
        for asked in embeddings[::30]:
            nearest = np.argsort(-(embeddings @ asked), kind="stable")[:_NEIGHBOURS]
            found = self.found(statement, events[0], asked, prepare=prepare)
            assert len(found) == _NEIGHBOURS
            shares.append(len({ids[number] for number in nearest} & set(found)) / _NEIGHBOURS)
        return float(np.mean(shares))


@pytest.fixture(scope="module")
def filled(databases: Databases) -> Iterator[Filled]:
    made = Filled(databases.fresh())
    yield made
    made.connection.close()


@pytest.mark.parametrize("plans", ["force_custom_plan", "force_generic_plan"])
@pytest.mark.parametrize("prepare", [False, True], ids=["not prepared", "prepared"])
def test_a_search_within_an_event_misses_nobody(filled: Filled, plans: str, prepare: bool) -> None:  # noqa: FBT001
    filled.connection.execute(f"SET plan_cache_mode = {plans}".encode())
    one, other = filled.faces
    assert filled.recall(_IN_EVENT, [one], prepare=prepare) == 1
    assert filled.recall(_IN_EVENT, [other], prepare=prepare) == 1


def test_the_migrations_build_no_approximate_index(filled: Filled) -> None:
    found = filled.connection.execute(
        "SELECT indexdef FROM pg_indexes WHERE tablename = 'faces' AND indexdef ~ 'hnsw|ivfflat|brin'"
    ).fetchall()
    assert found == []


@pytest.mark.parametrize(
    ("kind", "setting"), [("hnsw", "hnsw.ef_search = 200"), ("ivfflat", "ivfflat.probes = 1")], ids=["hnsw", "ivfflat"]
)
def test_an_index_over_all_faces_is_built_used_and_dropped(filled: Filled, kind: str, setting: str) -> None:
    before = dump(filled.url, "--schema-only")
    vector_index.build(filled.url, kind)
    vector_index.build(filled.url, kind)  # anew, as after a build that was interrupted
    try:
        filled.connection.execute(f"SET {setting}".encode())
        # So few faces are read faster than any index.
        filled.connection.execute("SET enable_seqscan = off")
        events = list(filled.faces)
        asked = str(filled.faces[events[0]][1][0].tolist())
        plan = filled.connection.execute(f"EXPLAIN {_EVERYWHERE}".encode(), {"asked": asked}).fetchall()
        assert vector_index.NAME in str(plan)
        assert filled.recall(_EVERYWHERE, events) >= 0.99
        assert filled.recall(_IN_EVENT_BESIDE_AN_INDEX, events[:1]) == 1
    finally:
        filled.connection.execute("RESET enable_seqscan")
        vector_index.drop(filled.url)
    assert dump(filled.url, "--schema-only") == before


_INDEXES = """
SELECT indexrelid, relname, indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
WHERE indrelid = 'trombi.faces'::regclass AND relname LIKE 'faces_embedding%'
"""


def test_a_build_that_fails_leaves_the_index_that_was_there_and_no_broken_one(databases: Databases) -> None:
    url = databases.fresh()
    vector_index.build(url)
    with psycopg.connect(url, autocommit=True) as connection:
        before = connection.execute(_INDEXES).fetchall()
        with pytest.raises(vector_index.VectorIndexError, match="not built"):
            vector_index.build(url, "btree")
        assert connection.execute(_INDEXES).fetchall() == before
        assert [row[1:] for row in before] == [(vector_index.NAME, True)]


def test_a_build_is_not_cut_short_by_the_database_s_time_limit_nor_by_little_memory(filled: Filled) -> None:
    name = filled.connection.info.dbname
    settings = ("statement_timeout", "maintenance_work_mem")
    with psycopg.connect(filled.url, autocommit=True) as connection:
        for setting, value in zip(settings, ("'20ms'", "'1MB'"), strict=True):
            connection.execute(f"ALTER DATABASE {name} SET {setting} = {value}".encode())
    try:
        for kind in vector_index.KINDS:
            vector_index.build(filled.url, kind)
    finally:
        for setting in settings:
            filled.connection.execute(f"ALTER DATABASE {name} RESET {setting}".encode())
        vector_index.drop(filled.url)


def test_two_builds_at_once_wait_for_each_other(databases: Databases) -> None:
    url = databases.fresh()
    with ThreadPoolExecutor(3) as threads:
        for built in [threads.submit(vector_index.build, url) for _ in range(3)]:
            built.result()
    with psycopg.connect(url) as connection:
        assert [row[1:] for row in connection.execute(_INDEXES)] == [(vector_index.NAME, True)]


def test_ivfflat_is_given_the_memory_that_its_lists_need_and_a_build_without_leaves_no_broken_index(
    filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = f"ALTER DATABASE {filled.connection.info.dbname}"
    monkeypatch.setattr(vector_index, "_lists", lambda _: 1000)
    vector_index.build(filled.url, "ivfflat")
    try:
        before = filled.connection.execute(_INDEXES).fetchall()
        monkeypatch.setattr(vector_index, "_ivfflat_kilobytes", lambda _: 1024)
        filled.connection.execute(f"{database} SET maintenance_work_mem = '1MB'".encode())
        with pytest.raises(vector_index.VectorIndexError, match="memory required"):
            vector_index.build(filled.url, "ivfflat")
        assert filled.connection.execute(_INDEXES).fetchall() == before
        assert [(row["relname"], row["indisvalid"]) for row in before] == [(vector_index.NAME, True)]
    finally:
        filled.connection.execute(f"{database} RESET maintenance_work_mem".encode())
        vector_index.drop(filled.url)


def test_without_trombi_s_tables_make_migrate_is_named_also_where_pgvector_is(databases: Databases) -> None:
    url = empty(databases)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION vector")
    for do in (vector_index.build, vector_index.drop):
        with pytest.raises(vector_index.VectorIndexError, match="make migrate"):
            do(url)


def test_without_trombi_s_schema_no_index_is_built_and_why_is_told(databases: Databases) -> None:
    with pytest.raises(vector_index.VectorIndexError, match="make migrate"):
        vector_index.build(empty(databases))


def test_what_pgvector_brought_along_goes_with_the_schema_unless_the_host_uses_it(databases: Databases) -> None:
    url, before = databases.fresh(), dump(empty(databases))
    with psycopg.connect(url, autocommit=True) as host:
        host.execute("CREATE TABLE public.songs (sound trombi.vector(3))")
    with pytest.raises(UninstallError, match=r"column sound of table public\.songs"):
        uninstall(url)
    with psycopg.connect(url, autocommit=True) as host:
        host.execute("DROP TABLE public.songs")
    assert uninstall(url)[0] == "removed the schema trombi"
    assert dump(url) == before
