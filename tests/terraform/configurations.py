"""What is applied in the tests: every size with both databases, one with every optional value, and one with a GPU."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from shared.calibration import BUILT_IN, Calibration

_DIGEST = "sha256:" + "0123456789abcdef" * 4
IMAGES = {
    name: f"europe-west1-docker.pkg.dev/a-project/trombi/{name}@{_DIGEST}"
    for name in ("admin", "callback", "cluster", "detect", "migrate")
}
_EXTERNAL_URL = "postgresql://trombi:a-given-password@db.example.org:6543/postgres?sslmode=require"
_JWT_SECRET = "a-given-jwt-secret-of-48-characters-and-no-fewer"


@dataclass(frozen=True)
class Configuration:
    """Variables, and the values of the secrets that they name."""

    variables: dict[str, Any]
    secrets: dict[str, str] = field(default_factory=dict)


def configuration(size: str, *, external: bool, **more: Any) -> Configuration:
    """One of the six that an operator chooses between, otherwise with as little as will do."""
    versions = {"jwt-secret": 1, **({"database-url": 1} if external else {})}
    variables = {
        "alert_emails": ["ops@example.org"],
        "database": {"external": external},
        "images": IMAGES,
        "project_id": "a-project",
        "secret_versions": versions,
        "size": size,
        **more,
    }
    secrets = {"jwt-secret": _JWT_SECRET, **({"database-url": _EXTERNAL_URL} if external else {})}
    return Configuration(variables, secrets)


def complete() -> Configuration:
    """Everything that may be given."""
    given = {
        "callback-secrets": "worker:a-given-hmac-key-of-48-characters-and-no-fewer-",
        "database-url": _EXTERNAL_URL,
        "jwt-secret": _JWT_SECRET,
        "migrate-database-url": _EXTERNAL_URL.replace("6543", "5432"),
        "smtp-url": "smtps://mail:a-given-mail-password@smtp.example.org:465",
    }
    variables = {
        "admin": {
            "cors_origins": ["https://app.example.org"],
            "jwt_issuer": "https://auth.example.org",
            "jwt_jwks_url": "https://auth.example.org/keys",
        },
        "alert_emails": ["ops@example.org", "boss@example.org"],
        "billing_account": "012345-6789AB-CDEF01",
        "callback": {"cluster_every": 30},
        "cluster": {
            "cluster_join_similarity": "0.4",
            "cluster_max_distance": "0.6",
            "cluster_pairs": "off",
            "dask_scheduler_address": "tcp://10.9.0.2:8786",
        },
        "database": {"external": True},
        "deletion_protection": False,
        "detect": {"face_threads": 2},
        "face_calibration": Calibration(version=1, packs=dict(BUILT_IN)).model_dump(mode="json"),
        "images": IMAGES,
        "labels": {"cost-centre": "events"},
        "log_level": "DEBUG",
        "mail_from": "Photos <photos@example.org>",
        "monthly_budget": 80,
        "project_id": "a-project",
        "public_url": "https://photos.example.org",
        "region": "europe-west4",
        "secret_versions": dict.fromkeys(given, 1),
        "service_callers": ["host@a-project.iam.gserviceaccount.com"],
        "signed_callback": True,
        "size": "medium",
        "upload_origins": ["https://app.example.org"],
        "uploaders": ["serviceAccount:host@a-project.iam.gserviceaccount.com"],
    }
    return Configuration(variables, given)
