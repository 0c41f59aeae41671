"""A clustering function on a real Postgres, with events of well separated people."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

import numpy as np
import pytest
from numpy.typing import NDArray

from functions.cluster.run import ClusterRun
from shared.contracts import ClusterRequested
from shared.database import Connection, Database
from shared.outbox import Outbox
from tests.arrange import cluster_job, face, photo, portraits
from tests.fakes import RecordingPublisher


@dataclass
class Clustering:
    """The function, and the events it is asked to cluster."""

    database: Database
    connection: Connection
    bus: RecordingPublisher = field(default_factory=RecordingPublisher)

    def run(self) -> ClusterRun:
        return ClusterRun(self.database, Outbox(self.database, self.bus))

    def request(self, event_id: UUID) -> ClusterRequested:
        """A new job of the event, and its message."""
        return ClusterRequested(job_id=cluster_job(self.connection, event_id), run=1, event_id=event_id)

    def cluster(self, event_id: UUID) -> ClusterRequested:
        """Cluster the event once more."""
        message = self.request(event_id)
        self.run().requested(message)
        return message

    def add_faces(self, event_id: UUID, embeddings: NDArray[np.float32]) -> list[UUID]:
        """A photo of its own for each embedding."""
        return [
            face(self.connection, event_id, photo(self.connection, event_id), embedding) for embedding in embeddings
        ]

    def add_people(self, event_id: UUID, persons: int = 3, each: int = 4, *, first: int = 0) -> list[list[UUID]]:
        """Faces of several people; their ids, person by person."""
        return [self.add_faces(event_id, rows) for rows in portraits(persons, each, seed=first, first=first)]

    def persons(self, event_id: UUID) -> dict[UUID, set[UUID]]:
        """The faces of each person of the event; a person without faces has none."""
        found: dict[UUID, set[UUID]] = {
            row["id"]: set()
            for row in self.connection.execute("SELECT id FROM face_persons WHERE event_id = %s", (event_id,))
        }
        for row in self.connection.execute(
            "SELECT id, face_person_id FROM faces WHERE event_id = %s AND face_person_id IS NOT NULL", (event_id,)
        ):
            found[row["face_person_id"]].add(row["id"])
        return found

    def groups(self, event_id: UUID) -> list[set[UUID]]:
        """The faces of each person that has some, in an order of their own."""
        return sorted((faces for faces in self.persons(event_id).values() if faces), key=min)

    def person_of(self, face_id: UUID) -> UUID | None:
        row = self.connection.execute("SELECT face_person_id FROM faces WHERE id = %s", (face_id,)).fetchone()
        assert row is not None
        person_id: UUID | None = row["face_person_id"]
        return person_id


@pytest.fixture
def clustering(database: Database, connection: Connection) -> Clustering:
    """Cluster on this test's database."""
    return Clustering(database, connection)
