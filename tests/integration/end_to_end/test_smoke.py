"""The smoke test of a deployment, against the emulated cloud: the same steps, the same photo, the same cleaning up."""

from __future__ import annotations

import sys

import psycopg
import pytest

from local.cloud.cloud import Cloud
from terraform import smoke
from terraform.deployment import OperatorError


def run(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    addresses = cloud.addresses
    monkeypatch.setenv("DATABASE_URL", addresses.database_url)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", addresses.project)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", addresses.storage_url)
    monkeypatch.setattr(sys, "argv", ["smoke", "--here", "--bucket", addresses.photos_bucket, *words])
    smoke.main()


def left_over(cloud: Cloud) -> int:
    with psycopg.connect(cloud.addresses.database_url) as connection:
        row = connection.execute("SELECT count(*) FROM events WHERE consent_text_version = 'smoke test'").fetchone()
    assert row is not None
    return int(row[0])


def test_a_photo_goes_through_and_nothing_of_it_is_left(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run(cloud, monkeypatch)
    said = capfd.readouterr().out
    assert "1 faces, " in said
    assert "The smoke test succeeded" in said
    assert left_over(cloud) == 0


def test_a_photo_without_a_face_fails_and_nothing_of_it_is_left(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from local.demo.sample_pictures import face_free_pictures  # noqa: PLC0415

    with pytest.raises(OperatorError, match="this command failed"):
        run(cloud, monkeypatch, str(face_free_pictures()[0].path))
    assert "no face was found" in capfd.readouterr().out
    assert left_over(cloud) == 0
