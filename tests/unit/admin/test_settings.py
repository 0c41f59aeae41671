"""Admin's settings: what has to be there, and how it is told."""

from __future__ import annotations

import pytest

from functions.admin.settings import AdminSettings
from shared.errors import SettingsError

NEEDED = {
    "DATABASE_URL": "postgres://host/trombi",
    "GOOGLE_CLOUD_PROJECT": "project",
    "DERIVED_BUCKET": "derived",
}
SECRET = "a secret of at least 32 characters"


@pytest.fixture(autouse=True)
def nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in AdminSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("empty", [False, True])
def test_one_way_to_know_users_has_to_be_set(monkeypatch: pytest.MonkeyPatch, *, empty: bool) -> None:
    if empty:  # as a deployment sets what it does not use
        monkeypatch.setenv("JWT_SECRET", "")
        monkeypatch.setenv("JWT_JWKS_URL", "")
    with pytest.raises(SettingsError, match=r"JWT_JWKS_URL: .*set JWT_SECRET or JWT_JWKS_URL"):
        AdminSettings.from_environment()


@pytest.mark.parametrize(("name", "value"), [("JWT_SECRET", SECRET), ("JWT_JWKS_URL", "https://issuer.example/keys")])
def test_either_way_is_enough(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    assert getattr(AdminSettings.from_environment(), name.lower()) == value


def test_a_secret_that_can_be_guessed_is_refused_without_being_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_SECRET", "guess me")
    with pytest.raises(SettingsError, match="JWT_SECRET: String should have at least 32") as caught:
        AdminSettings.from_environment()
    assert "guess me" not in str(caught.value)


def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_SECRET", SECRET)
    assert SECRET not in repr(AdminSettings.from_environment())


def test_service_accounts_need_an_audience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_SECRET", SECRET)
    monkeypatch.setenv("SERVICE_ACCOUNTS", "one@project.iam.example, Two@project.iam.example,")
    with pytest.raises(SettingsError, match=r"SERVICE_AUDIENCE: .*address of this service"):
        AdminSettings.from_environment()
    monkeypatch.setenv("SERVICE_AUDIENCE", "https://admin.example")
    emails = AdminSettings.from_environment().service_account_emails
    assert emails == {"one@project.iam.example", "two@project.iam.example"}


@pytest.mark.parametrize("url", ["file:///etc/passwd", "issuer.example/keys", "https://issuer.example/a b"])
def test_keys_come_over_http_alone(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("JWT_JWKS_URL", url)
    with pytest.raises(SettingsError, match="JWT_JWKS_URL"):
        AdminSettings.from_environment()
