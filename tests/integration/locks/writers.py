"""Everybody who writes what an event holds, each as one call on an event that has something for all of them."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from psycopg import sql

from functions.admin.door.auth import SERVICE
from functions.admin.operations.enqueue import EnqueueRequest, enqueue
from functions.admin.privacy import store as privacy_store
from functions.admin.review import decisions, ledger
from functions.admin.review.decisions import Invitation
from functions.callback.dead_letters import DeadLetters
from functions.callback.notify import MailService, Notifier
from functions.callback.results import Results
from functions.callback.retention import RetentionPeriods, erase_what_is_due
from functions.callback.settings import CallbackSettings
from functions.callback.sweep import Sweep
from functions.cluster.run import ClusterRun
from functions.detect.boxes import Box
from functions.detect.engine import DetectedFace, DetectionResult
from functions.detect.pipeline import Detection
from functions.detect.settings import DetectSettings
from shared.contracts import ClusterRequested, InvitationMade, JobFinished, StorageNotification
from shared.database import Connection, Database
from shared.invitation_token import hash_token, make_token
from shared.outbox import Outbox
from shared.push import Delivery
from tests import arrange
from tests.fakes import MemoryObjects, RecordingPublisher

_SECRET = "a secret for links of at least 32 characters"
GUEST = "guest@example.org"


class _Engine:
    """Finds one face, where the arranged faces are."""

    def detect(self, photo: object) -> DetectionResult:
        thumbnail = io.BytesIO()
        Image.new("RGB", (8, 8)).save(thumbnail, "JPEG")
        face = DetectedFace(
            Box(**arrange.BOX), ((0.1, 0.1),) * 5, 0.9, 300, 0, 0, 0, 150, arrange.one_hot(3), thumbnail.getvalue()
        )
        return DetectionResult((face,), {}, 0)

    def embed_at(self, photo: object, landmarks: object) -> NDArray[np.float32] | None:
        return None

    def embed_thumbnail(self, thumbnail: bytes) -> NDArray[np.float32]:
        return arrange.one_hot(3)[None]


class _Mailer:
    def send(self, message: EmailMessage) -> None:
        assert message["To"]


@dataclass
class Stage:
    """An event: three people with faces in the same photos, one linked, one invited, one unknown; and a fourth."""

    connection: Connection

    def __post_init__(self) -> None:
        connection = self.connection
        self.event_id = arrange.event(connection)
        self.organiser, self.user, self.other = (
            arrange.member(connection, self.event_id, role) for role in ("owner", "member", "member")
        )
        self.guest = arrange.user(connection)
        connection.execute(
            "UPDATE users SET email = %s, made_by_invitation = true WHERE id = %s", ("amy@example.org", self.user)
        )
        people = [
            arrange.person(connection, self.event_id, status="linked", linked_user_id=self.user),
            arrange.person(connection, self.event_id),
            arrange.person(connection, self.event_id),
            arrange.person(connection, self.event_id),
        ]
        self.linked, self.invited, self.unknown, self.fourth = people
        self.photos = [arrange.photo(connection, self.event_id) for _ in range(2)]
        self.faces = [
            [arrange.face(connection, self.event_id, photo, person_id=person) for photo in self.photos]
            for person in people
        ]
        connection.execute("UPDATE faces SET thumbnail_object = 'x' || id, created_at = now() - interval '2 years'")
        for face_id in self.faces[0]:
            connection.execute(
                "INSERT INTO media_tags (media_id, tagged_user_id, tagged_by_user_id, source, face_id)"
                " SELECT media_id, %s, %s, 'face_clustering', id FROM faces WHERE id = %s",
                (self.user, self.organiser, face_id),
            )
        connection.execute(
            "INSERT INTO face_suggestions VALUES (%s, %s, 0.5), (%s, %s, 0.5)",
            (self.faces[2][0], self.linked, self.faces[3][0], self.linked),
        )
        old = uuid4()
        self._invite(old, old.bytes * 2)
        connection.execute(
            "UPDATE invitations SET answer = 'declined', answered_at = now() - interval '60 days' WHERE id = %s", (old,)
        )
        self.invitation = uuid4()
        self._invite(self.invitation, hash_token(make_token(_SECRET, self.invitation)))
        # As a GET of a thumbnail and an earlier mail note them.
        connection.execute(
            "SELECT trombi_note_reads(actor, %s, 'thumbnail', ARRAY(SELECT id FROM faces))"
            " FROM unnest(ARRAY['invitation', %s]) AS actor",
            (self.event_id, str(self.organiser)),
        )
        self.decision = decisions.ignore(connection, self.organiser, self.fourth).decision_id
        self.job = arrange.cluster_job(connection, self.event_id)
        self.finished = arrange.detect_job(connection, self.event_id, self.photos[1], status="completed")
        self.set_objects()

    def set_objects(self) -> None:
        """The first photo's object, uploaded anew, and the thumbnails."""
        self.objects = MemoryObjects()
        for face_id in itertools.chain.from_iterable(self.faces):
            self.objects.put(arrange.DERIVED_BUCKET, f"x{face_id}", b"a picture")
        name = f"events/{self.event_id}/{self.photos[0]}/photo.jpg"
        picture = io.BytesIO()
        Image.new("RGB", (64, 64)).save(picture, "JPEG")
        generation = self.objects.put(arrange.PHOTOS_BUCKET, name, picture.getvalue())
        self.uploaded = StorageNotification(
            event_type="OBJECT_FINALIZE",
            bucket=arrange.PHOTOS_BUCKET,
            object_name=name,
            generation=generation,
            overwritten_by_generation=None,
            metadata={},
        )

    def _invite(self, invitation_id: UUID, token_hash: bytes) -> None:
        invitation = Invitation(invitation_id, token_hash, GUEST, datetime.now(UTC) + timedelta(days=1), "en")
        decisions.invite(self.connection, self.organiser, self.invited, invitation, again=True)


Writer = Callable[[Stage, Database], object]


def _decision(decide: Callable[[Stage, Connection], object]) -> Writer:
    def write(stage: Stage, database: Database) -> None:
        with database.transaction() as connection:
            decide(stage, connection)

    return write


def _statement(text: str, *names: str) -> Writer:
    return _decision(lambda stage, connection: connection.execute(text, [getattr(stage, name) for name in names]))


def _outbox(stage: Stage, database: Database) -> Outbox:
    return Outbox(database, RecordingPublisher(), stage.objects, arrange.DERIVED_BUCKET)


def _detect(stage: Stage, database: Database, **changed: Any) -> None:
    settings = DetectSettings(
        database_url="postgresql://unused",
        google_cloud_project="unused",
        photos_bucket=arrange.PHOTOS_BUCKET,
        derived_bucket=arrange.DERIVED_BUCKET,
    )
    engine: Any = _Engine()
    detection = Detection(database, stage.objects, _outbox(stage, database), engine, arrange.MODEL, settings)
    detection.uploaded(stage.uploaded.model_copy(update=changed))


def _settings() -> CallbackSettings:
    values = {"database_url": "postgresql://unused", "google_cloud_project": "unused", "derived_bucket": "derived"}
    mail = {"smtp_url": "smtp://localhost", "mail_from": "a@example.org", "public_url": "https://x.example.org"}
    return CallbackSettings.model_validate({**values, **mail, "invitation_secret": _SECRET, "job_stuck_after": 1e-6})


def _cluster(stage: Stage, database: Database) -> None:
    run = ClusterRun(database, _outbox(stage, database))
    run.requested(ClusterRequested(job_id=stage.job, run=1, event_id=stage.event_id))


def _finished(stage: Stage, database: Database) -> None:
    message = JobFinished(
        job_id=stage.finished,
        run=1,
        job_type="detect",
        status="completed",
        event_id=stage.event_id,
        media_id=stage.photos[1],
    )
    Results(database, _outbox(stage, database), _settings()).finished(message)


def _mail(stage: Stage, database: Database) -> None:
    mail = _settings().mail()
    assert mail is not None
    notifier = Notifier(database, stage.objects, "derived", MailService(mail, _Mailer()))
    notifier.invite(InvitationMade(event_id=stage.event_id, invitation_id=stage.invitation))


def _dead_letter(stage: Stage, database: Database) -> None:
    message = InvitationMade(event_id=stage.event_id, invitation_id=stage.invitation)
    delivery = Delivery("1", b"", dict(message.attributes()))
    DeadLetters(database, _outbox(stage, database)).received("notifications", delivery)


def _retention(stage: Stage, database: Database) -> None:
    erase_what_is_due(database, RetentionPeriods(biometrics=timedelta(days=365)))


def _consent(stage: Stage, connection: Connection) -> None:
    privacy_store.lock_event(connection, stage.event_id)
    privacy_store.set_consent(connection, stage.event_id, enabled=True, text_version="2")
    enqueue(connection, SERVICE, EnqueueRequest(event_id=stage.event_id, force=True))


def _new_invitation(stage: Stage, connection: Connection) -> None:
    invitation = Invitation(uuid4(), uuid4().bytes * 2, GUEST, datetime.now(UTC) + timedelta(days=1), "en")
    decisions.invite(connection, stage.organiser, stage.invited, invitation, again=True)


WRITERS: Mapping[str, Writer] = {
    "detection": _detect,
    "deletion of an object": partial(_detect, event_type="OBJECT_DELETE"),
    "clustering": _cluster,
    "result": _finished,
    "tick": lambda stage, database: Sweep(database, _outbox(stage, database), _settings()).tick(),
    "retention": _retention,
    "mail": _mail,
    "dead letter": _dead_letter,
    "enqueue and consent": _decision(_consent),
    "consent withdrawn": _statement("SELECT trombi_set_consent(%s, false, NULL)", "event_id"),
    "archive": _statement("SELECT trombi_archive(%s)", "event_id"),
    "link": _decision(lambda on, connection: decisions.link(connection, on.organiser, on.unknown, on.other)),
    "unlink": _decision(lambda on, connection: decisions.unlink(connection, on.organiser, on.linked)),
    "merge": _decision(lambda on, connection: decisions.merge(connection, on.organiser, [on.unknown], on.linked)),
    "split": _decision(lambda on, connection: decisions.split(connection, on.organiser, on.linked, on.faces[0][:1])),
    "move": _decision(lambda on, connection: decisions.move(connection, on.organiser, on.faces[2], on.linked)),
    "reject": _decision(lambda on, connection: decisions.reject(connection, on.organiser, on.faces[0][:1])),
    "ignore": _decision(lambda on, connection: decisions.ignore(connection, on.organiser, on.unknown)),
    "cover": _decision(lambda on, connection: decisions.cover(connection, on.organiser, on.linked, on.faces[0][1])),
    "distinct": _decision(lambda on, connection: decisions.distinct(connection, on.organiser, on.linked, on.unknown)),
    "invite": _decision(_new_invitation),
    "accept": _decision(lambda on, connection: decisions.accept(connection, on.invitation, on.user)),
    "decline": _decision(lambda on, connection: decisions.decline(connection, on.invitation)),
    "undo": _decision(lambda on, connection: ledger.undo(connection, on.organiser, on.event_id, on.decision)),
    "purge of a user": _statement("SELECT purge_face_data_for_user(%s, %s)", "user", "event_id"),
    "purge of a person": _statement("SELECT purge_face_data_for_person(%s)", "linked"),
    "purge of an address": _statement(f"SELECT purge_face_data_for_address('{GUEST}', %s)", "event_id"),
    "host deletes the event": _statement("DELETE FROM events WHERE id = %s", "event_id"),
    "host deletes photos": _statement("DELETE FROM media WHERE event_id = %s", "event_id"),
    "host deletes the users": _statement("DELETE FROM users WHERE id IN (%s, %s)", "user", "other"),
    "host deletes the member": _statement("DELETE FROM event_members WHERE user_id = %s", "user"),
}
"""By name. What a writer is refused because of what another did before (409, 404) is no fault of its locks."""

_COLUMNS = """
SELECT table_name, array_agg(column_name::text) AS columns FROM information_schema.columns
JOIN pg_class ON relname = table_name AND relnamespace = 'trombi'::regnamespace AND relkind = 'r'
WHERE table_schema = 'trombi' AND is_generated = 'NEVER' AND table_name <> 'schema_migrations'
GROUP BY table_name ORDER BY table_name
"""


def tables(connection: Connection) -> dict[str, list[str]]:
    """The columns of every table, but for those that Postgres computes."""
    return {row["table_name"]: row["columns"] for row in connection.execute(_COLUMNS).fetchall()}


def keep_rows(connection: Connection) -> sql.Composed:
    """Keep all rows as they are; the one text that puts them back, by neither triggers nor foreign keys."""
    texts: list[sql.Composable] = [sql.SQL("SET session_replication_role = replica")]
    connection.execute("CREATE SCHEMA kept")
    for table, columns in tables(connection).items():
        names = {
            "table": sql.Identifier(table),
            "kept": sql.Identifier("kept", table),
            "columns": sql.SQL(", ").join(sql.Identifier(column) for column in columns),
        }
        connection.execute(sql.SQL("CREATE TABLE {kept} AS SELECT {columns} FROM {table}").format(**names))
        texts.append(sql.SQL("DELETE FROM {table}").format(**names))
        if connection.execute(sql.SQL("SELECT FROM {kept} LIMIT 1").format(**names)).fetchone() is not None:
            texts.append(
                sql.SQL("INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {kept}").format(
                    **names
                )
            )
    texts.append(sql.SQL("RESET session_replication_role"))
    return sql.SQL("; ").join(texts)
