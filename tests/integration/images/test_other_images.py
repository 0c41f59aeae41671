"""The images of admin, callback, cluster and the migrations: each with its packages alone."""

from __future__ import annotations

import subprocess
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from local.cloud.postgres import database_url as url_of
from local.cloud.processes import answers
from local.cloud.state import Addresses
from shared.contracts import ClusterRequested, Tick
from tests.arrange import cluster_job, event, job_row
from tests.integration.images.conftest import post, push_message, variables
from tests.integration.images.image import make_image

SECRET = "a-secret-of-the-tests-that-is-long-enough"


def test_cluster_answers_a_request(addresses: Addresses, tmp_path: Path) -> None:
    image = make_image("cluster", tmp_path)
    with psycopg.connect(addresses.database_url, autocommit=True, row_factory=dict_row) as connection:
        event_id = event(connection)
        job_id = cluster_job(connection, event_id)
        with image.serving(variables(addresses)) as url:
            message = ClusterRequested(job_id=job_id, run=1, event_id=event_id)
            assert push_message(f"{url}/cluster-requests", message) == 204
        assert job_row(connection, job_id)["status"] == "completed"


def test_callback_answers_a_tick_and_its_signed_entry_nothing_else(addresses: Addresses, tmp_path: Path) -> None:
    image = make_image("callback", tmp_path)
    with image.serving(variables(addresses)) as url:
        assert push_message(f"{url}/ticks", Tick()) == 204
    with image.serving(variables(addresses), target="signed") as url:
        assert push_message(f"{url}/ticks", Tick()) == 404
        assert push_message(f"{url}/dead-letters/ticks", Tick()) == 404
        assert post(f"{url}/ml/callback", b"{}") == 401
    for module in ("replay", "smoke"):
        python = image.folder / "venv" / "bin" / "python"
        ran = _said(image.environment(variables(addresses)), python, "-m", f"operations.{module}", "--help")
        assert "usage: python -m operations." in ran


def test_admin_answers_with_its_document_and_refuses_a_stranger(addresses: Addresses, tmp_path: Path) -> None:
    image = make_image("admin", tmp_path)
    with image.serving(variables(addresses, JWT_SECRET=SECRET)) as url:
        assert answers(f"{url}/openapi.json")
        assert post(f"{url}/ml/enqueue", b"{}") == 401


def test_the_migrations_make_an_empty_database_ready(addresses: Addresses, tmp_path: Path) -> None:
    image = make_image("migrate", tmp_path)
    name = f"image_{uuid4().hex}"
    with psycopg.connect(addresses.database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    address = url_of(urlsplit(addresses.database_url).port or 0, name)
    for _ in range(2):
        ran = image.run({"DATABASE_URL": address})
        assert (ran.returncode, ran.stdout.strip()) == (0, "the database is up to date"), ran.stderr
    with psycopg.connect(address) as connection:
        found = connection.execute("SELECT to_regclass('faces') IS NOT NULL").fetchone()
    assert found == (True,)


def test_a_database_that_is_not_there_is_told(addresses: Addresses, tmp_path: Path) -> None:
    image = make_image("migrate", tmp_path)
    ran = image.run({"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing?sslmode=disable"})
    assert ran.returncode == 1
    assert "migrating the database failed" in ran.stderr


def _said(environment: dict[str, str], *words: object) -> str:
    command = [str(word) for word in words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout
