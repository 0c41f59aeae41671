"""Uninstalling takes nothing of the host's along, and no data that nobody agreed to lose."""

from __future__ import annotations

import psycopg
import pytest

from sql.uninstall import UninstallError, uninstall
from tests.databases import Databases, dump


def execute(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        (
            "CREATE FUNCTION public.face_label(f trombi.faces) RETURNS text LANGUAGE sql AS 'SELECT f.id::text'",
            r"first: function public.face_label\(trombi.faces\)$",
        ),
        ("CREATE VIEW app_trombi.guests AS SELECT id FROM trombi.users", r"view app_trombi.guests"),
        ("CREATE TABLE app_trombi.likes (photo uuid REFERENCES trombi.media)", r"constraint .* app_trombi.likes"),
        ("CREATE TABLE public.likes (box jsonb CHECK (trombi.is_normalised_box(box)))", r"constraint .* public.likes"),
        ("CREATE TABLE public.sums (score float8 DEFAULT trombi.trombi_cover_score(1, 1, 1, 1, 1))", "default value"),
    ],
    ids=["a function of a face", "a view in app_trombi", "a foreign key", "a check", "a default"],
)
def test_what_of_the_host_uses_trombi_is_named_and_stays(databases: Databases, statement: str, named: str) -> None:
    url = databases.fresh()
    execute(url, "CREATE SCHEMA app_trombi", statement)
    before = dump(url)
    with pytest.raises(UninstallError, match=named):
        uninstall(url, with_data=True)
    assert dump(url) == before


def test_nothing_of_trombi_s_own_is_in_the_way(databases: Databases) -> None:
    assert uninstall(databases.fresh())[0] == "removed the schema trombi"


@pytest.mark.parametrize(
    ("statement", "table"),
    [
        ("INSERT INTO trombi.purge_receipts (event_id, erased) VALUES (gen_random_uuid(), '{}')", "purge_receipts"),
        ("INSERT INTO trombi.outbox (kind, object_prefix) VALUES ('delete_objects', 'faces/')", "outbox"),
        (
            "INSERT INTO trombi.dead_letters (topic, message_id, data, attributes, error) SELECT '', '', '', '{}', ''",
            "dead_letters",
        ),
        ("INSERT INTO trombi.ml_jobs (job_type) VALUES ('cluster')", "ml_jobs"),
    ],
    ids=["a receipt", "the outbox", "a dead letter", "a job"],
)
def test_no_record_is_erased_unless_somebody_says_so(databases: Databases, statement: str, table: str) -> None:
    url = databases.fresh()
    execute(url, statement)
    before = dump(url)
    with pytest.raises(UninstallError, match=f"there is data \\(1 {table}\\)"):
        uninstall(url)
    assert dump(url) == before
    assert uninstall(url, with_data=True)[0] == f"removed the schema trombi with 1 {table}"
