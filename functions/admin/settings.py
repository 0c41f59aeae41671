"""The settings of admin, read from environment variables."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from shared.mailbox import normal_address
from shared.photo_settings import PhotoSettings
from shared.settings import BucketName, FaceCalibration

Url = Annotated[str, Field(pattern=r"^https?://[^\s]+$")]


class AdminSettings(PhotoSettings):
    """Settings of admin. Each field is the environment variable of the same name in capitals; empty means not set."""

    model_config = SettingsConfigDict(env_ignore_empty=True)

    derived_bucket: BucketName
    # Decisions on one event wait for each other, each holding a connection: with few connections, reads would wait too.
    database_pool_size: Annotated[int, Field(ge=1, le=64)] = 16
    # Requests that the process serves concurrently: functions-framework reads the same variable.
    threads: Annotated[int, Field(ge=1, le=1000)] = 16
    # Users' tokens are signed with a secret shared with the host app (at least 256 bits: a shorter HS256 key can be
    # guessed), or with a private key whose public key is published at the URL; at least one of the two is needed.
    jwt_secret: Annotated[str | None, Field(min_length=32, repr=False)] = None
    jwt_jwks_url: Annotated[Url | None, Field(validate_default=True)] = None
    jwt_audience: Annotated[str, Field(min_length=1)] = "authenticated"
    jwt_issuer: str | None = None
    # Google service accounts (e-mail addresses) that may call on behalf of the host app's server, and the audience
    # that their identity tokens must name (the URL of this service).
    service_accounts: str = ""
    service_audience: Annotated[str | None, Field(validate_default=True)] = None
    oidc_jwks_url: Url = "https://www.googleapis.com/oauth2/v3/certs"
    # An unknown key id makes the key set be fetched again, but not within this many seconds of the last attempt.
    jwks_min_interval: Annotated[float, Field(ge=0, le=3600)] = 30
    jwks_timeout: Annotated[float, Field(gt=0, le=30)] = 5
    # Origins of other pages that may call, comma-separated and with scheme, for example https://app.example.org.
    cors_origins: str = ""

    # The same as cluster's: its constants say why a face belongs to no person.
    face_calibration: FaceCalibration = None

    # The same as callback's. Without the secret nobody can be invited; without a sender no mail is sent, and organisers
    # get the link to pass on.
    invitation_secret: Annotated[str | None, Field(min_length=32, repr=False)] = None
    mail_from: str | None = None
    public_url: Url | None = None
    invitation_days: Annotated[int, Field(ge=1, le=365)] = 30

    @field_validator("jwt_jwks_url")
    @classmethod
    def _one_way_to_know_users(cls, url: str | None, info: ValidationInfo) -> str | None:
        if url is None and info.data.get("jwt_secret", "wrong itself") is None:
            raise ValueError("set JWT_SECRET or JWT_JWKS_URL: without either no user's token can be verified")
        return url

    @field_validator("service_audience")
    @classmethod
    def _service_tokens_are_for_us(cls, audience: str | None, info: ValidationInfo) -> str | None:
        if info.data.get("service_accounts") and audience is None:
            raise ValueError("set it to the address of this service: SERVICE_ACCOUNTS' tokens have to be made for it")
        return audience

    @property
    def service_account_emails(self) -> frozenset[str]:
        """The normalised addresses of the trusted service accounts."""
        return frozenset(normal_address(account) for account in _listed(self.service_accounts))

    @property
    def allowed_origins(self) -> frozenset[str]:
        """The origins whose pages may read responses."""
        return frozenset(origin.rstrip("/") for origin in _listed(self.cors_origins))


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
