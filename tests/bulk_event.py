"""A simulated event's photos and faces, copied into a database at once."""

from __future__ import annotations

from uuid import UUID

from psycopg.types.json import Jsonb

from shared.database import Connection
from tests.arrange import BOX, MODEL, event
from tests.simulated_events import SimulatedEvent


def insert_event(connection: Connection, simulated: SimulatedEvent) -> UUID:
    """An event with consent that holds all photos and faces of the simulated one, under the same ids; its own id."""
    event_id = event(connection)
    connection.execute("INSERT INTO event_counters (event_id, embedding_model) VALUES (%s, %s)", (event_id, MODEL))
    with connection.cursor() as cursor:
        with cursor.copy("COPY media (id, event_id, object_generation) FROM STDIN") as copy:
            for media_id in sorted({face.media_id for face in simulated.faces}):
                copy.write_row((media_id, event_id, 1))
        with cursor.copy(
            """
            COPY faces (id, media_id, event_id, object_generation, bbox, embedding, embedding_model, quality_score,
                sharpness, yaw, pitch, roll, size_px) FROM STDIN
            """
        ) as copy:
            for face, embedding in zip(simulated.faces, simulated.embeddings, strict=True):
                measures = (face.quality_score, 300, 0, 0, 0, 150)
                copy.write_row(
                    (face.face_id, face.media_id, event_id, 1, Jsonb(BOX), str(embedding.tolist()), MODEL, *measures)
                )
    return event_id
