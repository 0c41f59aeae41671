"""An event that organisers review: people in photos, members, and what a test wants to know of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID, uuid4

import numpy as np
from psycopg import sql

from functions.admin.review import decisions
from functions.admin.review.decisions import Invitation
from functions.cluster.run import ClusterRun
from shared.contracts import ClusterRequested
from shared.database import Connection, Database
from shared.outbox import Outbox
from tests import arrange
from tests.fakes import RecordingPublisher

TABLES = (
    "event_members",
    "face_persons",
    "face_rejections",
    "face_suggestions",
    "faces",
    "invitations",
    "media",
    "media_tags",
    "merge_suggestions",
)
# What says how often or when something was decided, not what.
COUNTED = ("updated_at", "version")


@dataclass
class Review:
    """One event with ``persons`` people, each alone on ``each`` photos, and some photos of two."""

    database: Database
    connection: Connection
    persons: int = 4
    each: int = 4
    event_id: UUID = field(init=False)
    organiser: UUID = field(init=False)
    members: list[UUID] = field(init=False)

    def __post_init__(self) -> None:
        self.event_id = arrange.event(self.connection)
        self.organiser = arrange.member(self.connection, self.event_id, "organizer")
        self.members = [arrange.member(self.connection, self.event_id) for _ in range(3)]
        embeddings = arrange.portraits(self.persons, self.each + 1)
        for person in range(self.persons):
            for row in embeddings[person, : self.each]:
                arrange.face(self.connection, self.event_id, arrange.photo(self.connection, self.event_id), row)
        for first in range(0, self.persons - 1, 2):
            together = arrange.photo(self.connection, self.event_id)
            for person in (first, first + 1):
                arrange.face(self.connection, self.event_id, together, embeddings[person, self.each])
        self.cluster()

    def cluster(self) -> None:
        """Cluster the event once more."""
        job_id = arrange.cluster_job(self.connection, self.event_id)
        run = ClusterRun(self.database, Outbox(self.database, RecordingPublisher()))
        run.requested(ClusterRequested(job_id=job_id, run=1, event_id=self.event_id))

    def arrive(self, person: int, count: int, seed: int) -> list[UUID]:
        """More photos of a person that is there already."""
        rows = arrange.portraits(self.persons, count, seed=1000 + seed)[person]
        return [
            arrange.face(
                self.connection,
                self.event_id,
                arrange.photo(self.connection, self.event_id),
                np.asarray(row, dtype=np.float32),
            )
            for row in rows
        ]

    def people(self) -> list[UUID]:
        """The persons that have faces, the largest first."""
        rows = self.connection.execute(
            """
            SELECT face_persons.id FROM face_persons JOIN faces ON faces.face_person_id = face_persons.id
            WHERE face_persons.event_id = %s GROUP BY face_persons.id ORDER BY count(*) DESC, face_persons.id
            """,
            (self.event_id,),
        ).fetchall()
        return [row["id"] for row in rows]

    def faces_of(self, person_id: UUID) -> list[UUID]:
        """The person's faces, in the order of their ids."""
        rows = self.connection.execute(
            "SELECT id FROM faces WHERE face_person_id = %s ORDER BY id", (person_id,)
        ).fetchall()
        return [row["id"] for row in rows]

    def media_of(self, person_id: UUID) -> set[UUID]:
        """The photos that the person is in."""
        rows = self.connection.execute("SELECT media_id FROM faces WHERE face_person_id = %s", (person_id,)).fetchall()
        return {row["media_id"] for row in rows}

    def tagged(self, user_id: UUID) -> dict[UUID, str]:
        """The photos that the user is tagged in, and each tag's source."""
        rows = self.connection.execute(
            "SELECT media_id, source FROM media_tags WHERE tagged_user_id = %s", (user_id,)
        ).fetchall()
        return {row["media_id"]: row["source"] for row in rows}

    def row(self, person_id: UUID) -> dict[str, object]:
        """The person's row."""
        row = self.connection.execute("SELECT * FROM face_persons WHERE id = %s", (person_id,)).fetchone()
        assert row is not None
        return row

    def invite(self, connection: Connection, person_id: UUID, email: str = "guest@example.org") -> UUID:
        """Invite somebody for the person; the invitation's id."""
        invitation = Invitation(
            id=uuid4(),
            token_hash=sha256(uuid4().bytes).digest(),
            email=email,
            expires_at=datetime.now(UTC) + timedelta(days=1),
            language="fr",
        )
        decisions.invite(connection, self.organiser, person_id, invitation)
        return invitation.id

    def snapshot(self) -> dict[str, list[str]]:
        """Every row that decisions may change, as text, without what counts decisions."""
        return {
            table: [
                row["content"]
                for row in self.connection.execute(
                    sql.SQL("SELECT (to_jsonb({table}) - %s::text[])::text AS content FROM {table} ORDER BY 1").format(
                        table=sql.Identifier(table)
                    ),
                    (list(COUNTED),),
                ).fetchall()
            ]
            for table in TABLES
        }
