"""The image of detect: its packages alone find a face in a real photo."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from psycopg.rows import dict_row

from local.cloud.state import Addresses
from tests.arrange import event
from tests.integration.images.conftest import push, variables
from tests.integration.images.image import make_image
from tests.pictures import portraits


def test_it_starts_as_the_image_does_and_finds_a_face(
    addresses: Addresses, mini_pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = make_image("detect", tmp_path)
    with psycopg.connect(addresses.database_url, autocommit=True, row_factory=dict_row) as connection:
        event_id, media_id = event(connection), uuid4()
        name = f"events/{event_id}/{media_id}/portrait.png"
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", addresses.storage_url)
        client = storage.Client(project=addresses.project, credentials=AnonymousCredentials())  # type: ignore[no-untyped-call]
        blob = client.bucket(addresses.photos_bucket).blob(name)
        blob.upload_from_filename(str(portraits()[0].path))
        client.close()
        told = {
            "eventType": "OBJECT_FINALIZE",
            "bucketId": addresses.photos_bucket,
            "objectId": name,
            "objectGeneration": str(blob.generation),
            "payloadFormat": "JSON_API_V1",
        }
        given = variables(addresses, FACE_PACK="mini", FACE_MODEL_DIR=str(mini_pack.parents[1]))
        with image.serving(given) as url:
            assert push(f"{url}/media-uploads", b"{}", told) == 204
            assert push(f"{url}/media-uploads", b"{}", {}) == 400
        faces = connection.execute("SELECT * FROM faces WHERE media_id = %s", (media_id,)).fetchall()
    assert len(faces) == 1
