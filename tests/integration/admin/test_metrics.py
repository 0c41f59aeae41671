"""GET /metrics: what Prometheus reads; and that neither it nor the log says anything about people."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from uuid import UUID

import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from functions.admin.operations import metrics_store
from shared.database import Connection
from shared.log import configure_logging
from tests.arrange import cluster_job, detect_job, event, face, member, person, photo
from tests.integration.admin.conftest import AdminSite
from tests.unit.shared.quiet import plain_logging_afterwards


def scraped(site: AdminSite) -> dict[str, list[Sample]]:
    answer = site.client.get("/metrics", headers=site.token())
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {family.name: family.samples for family in text_string_to_metric_families(answer.text)}


def value(metrics: dict[str, list[Sample]], name: str, **labels: str) -> float:
    (sample,) = [sample for sample in metrics[name] if sample.labels == labels]
    return float(sample.value)


def clustered(connection: Connection, event_id: UUID, *, faces: int, noise: int, churn: int = 0) -> None:
    connection.execute(
        """
        INSERT INTO cluster_runs (job_id, run, event_id, faces, clusters, persons, noise, churn, suggestions,
            milliseconds, parameters) VALUES (%s, 1, %s, %s, 2, 2, %s, %s, 0, '{}', '{}')
        """,
        (cluster_job(connection, event_id, status="completed"), event_id, faces, noise, churn),
    )


def busy(site: AdminSite) -> UUID:
    """An event with some of everything that is measured."""
    event_id = event(site.connection)
    done, failed, waiting, announced = (photo(site.connection, event_id) for _ in range(4))
    completed = detect_job(site.connection, event_id, done, status="completed")
    detect_job(site.connection, event_id, failed, status="failed", error_code="corrupt", error="it is torn")
    detect_job(site.connection, event_id, waiting, priority="high", age=timedelta(minutes=2))
    assert announced
    site.connection.execute(
        """
        UPDATE ml_jobs SET result = '{"faces": 3, "milliseconds": {"decode": 20, "total": 250}}',
            started_at = completed_at - interval '2 seconds', reported_at = completed_at + interval '500 milliseconds'
        WHERE id = %s
        """,
        (completed,),
    )
    clustered(site.connection, event_id, faces=8, noise=2, churn=1)
    site.connection.execute(
        """
        INSERT INTO outbox (kind, topic, data, created_at, due_at, attempts)
        VALUES ('publish', 'ticks', '{}', now() - interval '1 minute', now() - interval '1 minute', 3)
        """
    )
    site.connection.execute(
        """
        INSERT INTO dead_letters (topic, message_id, data, attributes, error)
        VALUES ('ticks', '1', 'x', '{}', 'given up')
        """
    )
    return event_id


def test_everything_that_is_measured_can_be_scraped(site: AdminSite) -> None:
    event_id = busy(site)
    site.client.get("/events", headers={"Authorization": "Bearer nonsense"})
    metrics = scraped(site)
    assert value(metrics, "trombi_jobs_open", job_type="detect", priority="high", status="pending") == 1
    oldest = value(metrics, "trombi_jobs_oldest_age_seconds", job_type="detect", priority="high", status="pending")
    assert 120 <= oldest < 180
    assert value(metrics, "trombi_jobs_finished_1d", job_type="detect") == 2
    assert value(metrics, "trombi_jobs_failed_1d", job_type="detect") == 1
    assert value(metrics, "trombi_jobs_failure_ratio_1d", job_type="detect") == 0.5
    assert value(metrics, "trombi_jobs_failed_by_reason_1d", job_type="detect", error_code="corrupt") == 1
    assert value(metrics, "trombi_jobs_processing_seconds_mean_1d", job_type="detect") == 2
    assert value(metrics, "trombi_jobs_processing_seconds_p95_1d", job_type="detect") == 2
    assert value(metrics, "trombi_detection_seconds_mean_1d", stage="total") == 0.25
    assert value(metrics, "trombi_detection_seconds_p95_1d", stage="decode") == 0.02
    assert value(metrics, "trombi_faces_per_photo_mean") == 3
    assert value(metrics, "trombi_faces_per_photo_max") == 3
    assert value(metrics, "trombi_events") == 1
    assert value(metrics, "trombi_photos") == 4
    assert value(metrics, "trombi_photos_processed") == 1
    assert value(metrics, "trombi_event_coverage_ratio", event_id=str(event_id)) == 0.25
    assert value(metrics, "trombi_event_photos_missing", event_id=str(event_id)) == 3
    assert value(metrics, "trombi_clustered_events") == 1
    assert value(metrics, "trombi_clustered_faces") == 8
    assert value(metrics, "trombi_clustered_persons") == 2
    assert value(metrics, "trombi_cluster_noise_ratio") == 0.25
    assert value(metrics, "trombi_cluster_churn_faces") == 1
    assert value(metrics, "trombi_event_noise_ratio", event_id=str(event_id)) == 0.25
    assert metrics["trombi_event_silhouette"] == [], "not defined for this run"
    assert value(metrics, "trombi_callback_latency_seconds_mean_1d", job_type="detect") == 0.5
    assert value(metrics, "trombi_callback_latency_seconds_p95_1d", job_type="detect") == 0.5
    assert value(metrics, "trombi_outbox_entries", kind="publish") == 1
    assert 60 <= value(metrics, "trombi_outbox_oldest_age_seconds", kind="publish") < 120
    assert value(metrics, "trombi_outbox_attempts_max", kind="publish") == 3
    assert value(metrics, "trombi_dead_letters_waiting", topic="ticks") == 1
    assert value(metrics, "trombi_dead_letters_kept", topic="ticks") == 1
    assert value(metrics, "trombi_auth_failures", reason="invalid") == 1


def test_types_and_help_are_told_and_units_are_seconds(site: AdminSite) -> None:
    busy(site)
    site.client.get("/events")
    text = site.client.get("/metrics", headers=site.token()).text
    for family in text_string_to_metric_families(text):
        assert family.type == ("counter" if family.name == "trombi_auth_failures" else "gauge"), family.name
        assert family.documentation.endswith("."), family.name
        assert re.fullmatch(r"trombi_[a-z0-9_]+", family.name)
        assert "millisecond" not in family.name
    assert 'trombi_auth_failures_total{reason="missing"} 1.0' in text


def test_a_photo_that_was_uploaded_anew_is_not_covered_by_the_job_of_what_was_there(site: AdminSite) -> None:
    event_id = event(site.connection)
    media_id = photo(site.connection, event_id)
    detect_job(site.connection, event_id, media_id, status="completed")
    assert value(scraped(site), "trombi_event_coverage_ratio", event_id=str(event_id)) == 1
    site.connection.execute("UPDATE media SET object_generation = 2")
    assert value(scraped(site), "trombi_event_coverage_ratio", event_id=str(event_id)) == 0


def test_an_empty_database_can_be_scraped(site: AdminSite) -> None:
    metrics = scraped(site)
    assert value(metrics, "trombi_events") == 0
    assert value(metrics, "trombi_cluster_noise_ratio") == 0


def test_every_metric_view_is_read(site: AdminSite) -> None:
    views = site.connection.execute("SELECT viewname FROM pg_views WHERE viewname LIKE 'metric\\_%'").fetchall()
    statements = " ".join(metrics_store._VIEWS.values())
    assert len(views) >= 12
    assert [row["viewname"] for row in views if f"FROM {row['viewname']}" not in statements] == []


def test_the_number_of_series_does_not_grow_with_the_number_of_events(site: AdminSite) -> None:
    for missing in range(30):
        event_id = event(site.connection)
        for _ in range(missing % 5):
            photo(site.connection, event_id)
        clustered(site.connection, event_id, faces=10, noise=missing % 10)
    metrics = scraped(site)
    for name in ("trombi_event_coverage_ratio", "trombi_event_photos_missing", "trombi_event_noise_ratio"):
        assert len(metrics[name]) == 20, name
    assert {sample.value for sample in metrics["trombi_event_photos_missing"]} == {4, 3, 2, 1}, "those with most to do"
    assert value(metrics, "trombi_events") == 30
    assert value(metrics, "trombi_photos") == 60


def test_metrics_are_for_service_callers(site: AdminSite) -> None:
    owner = member(site.connection, event(site.connection), "owner")
    assert site.ask("GET", "/metrics", owner)[0] == 403
    assert site.client.get("/metrics").status_code == 401


# ---------------------------------------------------------------- nobody is named

SECRETS = ("Zéphyrine", "zephyrine@example.org", "Quiberville", "guest@example.org", "Zephyrine")
_MANY_NUMBERS = re.compile(r"(?:-?\d+\.\d+(?:e-?\d+)?,\s*){8}")


def named_event(site: AdminSite) -> tuple[UUID, UUID, UUID, UUID]:
    """An event, its owner, a person who was invited, and a face of theirs: all with names and addresses."""
    event_id = event(site.connection)
    owner = member(site.connection, event_id, "owner")
    site.connection.execute("UPDATE users SET display_name = 'Zéphyrine', email = 'zephyrine@example.org'")
    site.connection.execute("UPDATE events SET name = 'Quiberville'")
    person_id = person(site.connection, event_id, status="invited")
    site.connection.execute("UPDATE face_persons SET invitation_email = 'guest@example.org'")
    face_id = face(site.connection, event_id, photo(site.connection, event_id), person_id=person_id)
    site.connection.execute("UPDATE faces SET thumbnail_object = 'faces/one.jpg'")
    return event_id, owner, person_id, face_id


def test_no_event_and_nobody_is_named_in_the_metrics(site: AdminSite) -> None:
    busy(site)
    named_event(site)
    text = site.client.get("/metrics", headers=site.token()).text
    assert [secret for secret in SECRETS if secret in text] == []


def everything_goes_wrong(site: AdminSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads and decisions about named people: as they should, refused, and broken in every way that there is."""
    event_id, owner, person_id, face_id = named_event(site)
    reads = [
        f"/event/{event_id}/face-persons?q=Z%C3%A9phyrine",
        f"/event/{event_id}/members?q=zephyrine@example.org",
        "/events",
        f"/event/{event_id}/suggestions",
        f"/event/{event_id}/progress",
        f"/event/{event_id}/decisions",
        f"/person/{person_id}",
        f"/person/{person_id}/faces",
        f"/face/{face_id}/thumbnail",
        "/no/such/path/Z%C3%A9phyrine",
    ]
    for path in reads:
        site.client.get(path, headers=site.token(owner))
    site.ask("POST", f"/person/{person_id}/link-user", owner, user_id=owner)
    site.ask("POST", f"/person/{person_id}/link-user", owner, user_id="zephyrine@example.org")
    site.ask("POST", f"/person/{person_id}/invite", owner, email="guest@example.org", message="Zéphyrine")
    site.client.get("/events", headers={"Authorization": "Bearer zephyrine@example.org"})
    site.connection.execute("ALTER TABLE users RENAME COLUMN display_name TO elsewhere")
    site.connection.execute("ALTER VIEW persons_shown RENAME COLUMN linked_name TO elsewhere")
    broken = [site.client.get(path, headers=site.token(owner)).status_code for path in reads[:2]]
    assert broken == [500, 500]
    site.connection.execute("ALTER TABLE users RENAME COLUMN elsewhere TO display_name")
    site.connection.execute("ALTER VIEW persons_shown RENAME COLUMN elsewhere TO linked_name")
    site.objects.away = True
    site.client.get(f"/face/{face_id}/thumbnail", headers=site.token(owner))

    def violate(*_: object) -> None:
        site.connection.execute(
            "INSERT INTO face_persons (id, event_id, invitation_email) VALUES (%s, %s, 'guest@example.org')",
            (person_id, event_id),
        )

    # The driver's words for this tell the whole row that was refused.
    monkeypatch.setattr("functions.admin.review.person_routes.unless_known", violate)
    assert site.client.get(f"/person/{person_id}", headers=site.token(owner)).status_code == 500


def test_nobody_is_named_in_the_log_whatever_goes_wrong(
    site: AdminSite, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with plain_logging_afterwards():
        configure_logging("admin", "DEBUG")
        everything_goes_wrong(site, monkeypatch)
    written = capsys.readouterr().err
    entries = [json.loads(line) for line in written.splitlines()]
    messages = [entry["message"] for entry in entries]
    assert messages.count("unexpected error") == 3
    assert "not answered" in messages
    assert "authentication failed" in messages
    assert not _MANY_NUMBERS.search(written), "an embedding"
    spoken = " ".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
    assert "face_persons_only_invited_has_an_address" in spoken, "what was wrong is told"
    assert [secret for secret in SECRETS if secret in spoken] == []
