"""Callback's use cases on a real Postgres, with a bus that keeps what it is given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from functions.callback.dead_letters import DeadLetters
from functions.callback.mail import SmtpMailer
from functions.callback.notify import MailService, Notifier
from functions.callback.results import Results
from functions.callback.settings import CallbackSettings
from functions.callback.sweep import Sweep
from shared.database import Connection, Database
from shared.outbox import Outbox
from tests.fakes import MemoryObjects, RecordingPublisher

INVITATION_SECRET = "a secret for links of at least 32 characters"
MAIL = {
    "mail_from": "Trombi <no-reply@example.org>",
    "public_url": "https://photos.example.org/",
    "invitation_secret": INVITATION_SECRET,
}


@dataclass
class Callback:
    """The function's parts, as its composition root puts them together."""

    database: Database
    connection: Connection
    bus: RecordingPublisher = field(default_factory=RecordingPublisher)
    objects: MemoryObjects = field(default_factory=MemoryObjects)

    def settings(self, **changed: Any) -> CallbackSettings:
        """Defaults, but for what is said; without an interval between two clusterings."""
        values = {
            "database_url": "postgresql://unused",
            "google_cloud_project": "unused",
            "derived_bucket": "derived",
            "cluster_min_interval": 0,
        }
        return CallbackSettings.model_validate({**values, **changed})

    @property
    def outbox(self) -> Outbox:
        return Outbox(self.database, self.bus, self.objects, "derived")

    def results(self, **changed: Any) -> Results:
        return Results(self.database, self.outbox, self.settings(**changed))

    def sweep(self, **changed: Any) -> Sweep:
        return Sweep(self.database, self.outbox, self.settings(**changed))

    def letters(self) -> DeadLetters:
        return DeadLetters(self.database, self.outbox)

    def notifier(self, smtp_url: str | None = None) -> Notifier:
        """Without an SMTP server nobody is written to."""
        post = None
        if smtp_url is not None:
            mail = self.settings(smtp_url=smtp_url, **MAIL).mail()
            assert mail is not None
            post = MailService(mail, SmtpMailer(mail.server))
        return Notifier(self.database, self.objects, "derived", post)


@pytest.fixture
def callback(database: Database, connection: Connection) -> Callback:
    """Callback on this test's database."""
    return Callback(database, connection)
