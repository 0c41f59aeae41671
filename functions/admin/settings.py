"""What admin reads from its environment."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from shared.mailbox import normal_address
from shared.photo_settings import PhotoSettings
from shared.settings import BucketName, FaceCalibration

Url = Annotated[str, Field(pattern=r"^https?://[^\s]+$")]


class AdminSettings(PhotoSettings):
    """Each field is the environment variable of the same name in capitals; one that is empty counts as not set."""

    model_config = SettingsConfigDict(env_ignore_empty=True)

    derived_bucket: BucketName
    # Decisions of one event wait for each other, each with its connection: with few, reading would wait behind them.
    database_pool_size: Annotated[int, Field(ge=1, le=64)] = 16
    # Requests that the process serves at a time: functions-framework reads the same variable.
    threads: Annotated[int, Field(ge=1, le=1000)] = 16
    # Users' tokens: signed with a secret shared with the host app (256 bits: a shorter HS256 key can be guessed),
    # or with the private half of a key whose public half is published at the URL; at least one of the two.
    jwt_secret: Annotated[str | None, Field(min_length=32, repr=False)] = None
    jwt_jwks_url: Annotated[Url | None, Field(validate_default=True)] = None
    jwt_audience: Annotated[str, Field(min_length=1)] = "authenticated"
    jwt_issuer: str | None = None
    # Google service accounts (e-mail addresses) that may ask for the host app's server, and what their identity
    # tokens have to be made for (the URL of this service).
    service_accounts: str = ""
    service_audience: Annotated[str | None, Field(validate_default=True)] = None
    oidc_jwks_url: Url = "https://www.googleapis.com/oauth2/v3/certs"
    # Key sets are fetched again for a key that is not known, but never more often than this.
    jwks_min_interval: Annotated[float, Field(ge=0, le=3600)] = 30
    jwks_timeout: Annotated[float, Field(gt=0, le=30)] = 5
    # Pages of other origins that may call: exact, with scheme, as https://app.example.org.
    cors_origins: str = ""

    # As cluster has it: by the same constants the page says why a face is in no person.
    face_calibration: FaceCalibration = None

    # As callback has them. Without the secret nobody can be invited; without a sender no mail goes out, and organisers
    # are given the link to pass on.
    invitation_secret: Annotated[str | None, Field(min_length=32, repr=False)] = None
    mail_from: str | None = None
    public_url: Url | None = None
    invitation_days: Annotated[int, Field(ge=1, le=365)] = 30

    @field_validator("jwt_jwks_url")
    @classmethod
    def _one_way_to_know_users(cls, url: str | None, info: ValidationInfo) -> str | None:
        if url is None and info.data.get("jwt_secret", "wrong itself") is None:
            raise ValueError("set JWT_SECRET or JWT_JWKS_URL: without either nobody can be known")
        return url

    @field_validator("service_audience")
    @classmethod
    def _service_tokens_are_for_us(cls, audience: str | None, info: ValidationInfo) -> str | None:
        if info.data.get("service_accounts") and audience is None:
            raise ValueError("set it to the address of this service: SERVICE_ACCOUNTS' tokens have to be made for it")
        return audience

    @property
    def service_account_emails(self) -> frozenset[str]:
        """The addresses of the service accounts that are believed, in their normal form."""
        return frozenset(normal_address(account) for account in _listed(self.service_accounts))

    @property
    def allowed_origins(self) -> frozenset[str]:
        """The origins whose pages may read answers."""
        return frozenset(origin.rstrip("/") for origin in _listed(self.cors_origins))


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
