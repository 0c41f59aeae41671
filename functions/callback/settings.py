"""Callback's settings, read from the environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from email.headerregistry import Address
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from functions.callback.debounce import DebounceSettings
from functions.callback.mail import SmtpServer, parse_smtp_url
from functions.callback.retention import RetentionPeriods
from shared.mailbox import parse_mailbox
from shared.settings import BucketName, Settings

_LONGEST_SECONDS = 30 * 24 * 3600
_SHORTEST_SECRET = 32
Seconds = Annotated[float, Field(ge=0, le=_LONGEST_SECONDS)]


# Required when mail is sent (SMTP_URL is set), optional otherwise.
WithMail = Field(validate_default=True)


@dataclass(frozen=True)
class MailSettings:
    """The mail server, the sender, the base URL of links in mails, and the secret of invitation tokens."""

    server: SmtpServer
    sender: Address
    public_url: str
    invitation_secret: str = field(repr=False)


class CallbackSettings(Settings):
    """Settings of callback: each field is the environment variable of the same name in capitals.

    Times are in seconds. An empty variable counts as not set.
    """

    model_config = SettingsConfigDict(env_ignore_empty=True)

    derived_bucket: BucketName
    cluster_every: Annotated[int, Field(ge=1, description="photos")] = 20
    cluster_max_wait: Seconds = 120
    cluster_min_interval: Seconds = 15
    # A job that was released or started this long ago and has not ended is requested again.
    job_stuck_after: Annotated[float, Field(gt=0, le=_LONGEST_SECONDS)] = 900
    job_max_attempts: Annotated[int, Field(ge=1)] = 5
    # A photo that the host app announced is processed after this time, even without an upload message.
    photo_grace: Seconds = 600
    # How many low-priority jobs a tick releases, while no upload waits.
    low_priority_batch: Annotated[int, Field(ge=1)] = 20
    # The longest time that biometric data are kept after their detection, whatever the state of the event.
    retention_days: Annotated[int, Field(ge=1, le=3650)] = 365

    # smtp://user:password@host:port or smtps://…; without it no mail is sent.
    smtp_url: Annotated[str | None, Field(repr=False)] = None
    mail_from: Annotated[str | None, WithMail] = None
    # Where people reach the web pages and the API, as https://photos.example.org.
    public_url: Annotated[str | None, Field(pattern=r"^https?://[^\s?#]+$"), WithMail] = None
    # The same as admin's. After it is changed, links that were sent before no longer work.
    invitation_secret: Annotated[str | None, Field(min_length=32, repr=False), WithMail] = None

    # The secrets with which workers outside Google Cloud sign their reports: comma-separated, at least 32 characters
    # each. Each of them is accepted, so that one can be replaced without a pause; without any, every report is refused.
    callback_secrets: Annotated[str, Field(repr=False)] = ""

    @field_validator("callback_secrets")
    @classmethod
    def _cannot_be_guessed(cls, secrets: str) -> str:
        if any(len(secret) < _SHORTEST_SECRET for secret in _listed(secrets)):
            message = f"each secret must have at least {_SHORTEST_SECRET} characters"
            raise ValueError(message)
        return secrets

    @property
    def secrets_of_workers(self) -> tuple[str, ...]:
        """The secrets in ``CALLBACK_SECRETS``."""
        return _listed(self.callback_secrets)

    @field_validator("smtp_url")
    @classmethod
    def _is_a_server(cls, url: str | None) -> str | None:
        if url is not None:
            parse_smtp_url(url)
        return url

    @field_validator("mail_from", "public_url", "invitation_secret")
    @classmethod
    def _is_there_for_mail(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and info.data.get("smtp_url") is not None:
            raise ValueError("is required when SMTP_URL is set")
        if value is not None and info.field_name == "mail_from":
            parse_mailbox(value)
        return value

    def mail(self) -> MailSettings | None:
        """Return the mail settings; None when no mail is sent."""
        if self.smtp_url is None or self.mail_from is None or self.public_url is None or self.invitation_secret is None:
            return None
        return MailSettings(
            server=parse_smtp_url(self.smtp_url),
            sender=parse_mailbox(self.mail_from),
            public_url=self.public_url.rstrip("/"),
            invitation_secret=self.invitation_secret,
        )

    def retention(self) -> RetentionPeriods:
        """Return how long each kind of personal data is kept."""
        return RetentionPeriods(biometrics=timedelta(days=self.retention_days))

    def debounce(self) -> DebounceSettings:
        """Return the settings of the debounce."""
        return DebounceSettings(
            every=self.cluster_every,
            max_wait=timedelta(seconds=self.cluster_max_wait),
            min_interval=timedelta(seconds=self.cluster_min_interval),
        )


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
