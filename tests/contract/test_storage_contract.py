"""What Trombi relies on of Cloud Storage and its notifications, held against the emulator in ``local/``."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.api_core.exceptions import NotFound, PreconditionFailed
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from google.oauth2 import service_account

from local.cloud.processes import Supervisor
from local.cloud.state import State
from local.cloud.storage import (
    DERIVED_BUCKET,
    PHOTOS_BUCKET,
    UPLOADS_TOPIC,
    NotificationTarget,
    create_buckets,
    storage_process,
)
from tests.contract.bus_endpoint import Endpoint, Push
from tests.contract.bus_implementations import PROJECT, SMALL, RunningBus, running

_STORAGE = "storage"


@dataclass(frozen=True)
class RunningStorage:
    """The emulator, a client for it, and the endpoint that its photos bucket's notifications reach."""

    client: storage.Client
    url: str
    uploads: Endpoint
    bus: RunningBus
    supervisor: Supervisor

    @property
    def photos(self) -> storage.Bucket:
        """The bucket that notifies."""
        return self.client.bucket(PHOTOS_BUCKET)

    def notified(self, name: str, count: int = 1) -> list[Push]:
        """The next ``count`` notifications about the object ``name``, the oldest generation first.

        Like Pub/Sub's, they come in any order.
        """
        found: list[Push] = []
        while len(found) < count:
            found.append(self.uploads.until(lambda push: push.attributes["objectId"] == name)[-1])
        return sorted(found, key=lambda push: int(push.attributes["objectGeneration"]))


@pytest.fixture(scope="module")
def emulator() -> Iterator[RunningStorage]:
    """Storage with both buckets, on a bus that pushes the notifications to an endpoint."""
    with (
        tempfile.TemporaryDirectory(prefix="trombi-storage-") as folder,
        running(SMALL) as bus,
        Endpoint() as uploads,
    ):
        bus.client.publisher.create_topic(name=bus.client.topic_path(UPLOADS_TOPIC))
        bus.subscribe(UPLOADS_TOPIC, uploads.url)
        port = State(Path(folder)).ports(_STORAGE)[_STORAGE]
        url = f"http://127.0.0.1:{port}"
        supervisor = Supervisor(Path(folder) / "logs", print)
        try:
            supervisor.start(storage_process(_STORAGE, port, Path(folder), NotificationTarget(bus.host, PROJECT)))
            create_buckets(url, PROJECT, PHOTOS_BUCKET, DERIVED_BUCKET)
            client = storage.Client(
                project=PROJECT,
                credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
                client_options={"api_endpoint": url},
            )
            yield RunningStorage(client, url, uploads, bus, supervisor)
            client.close()
        finally:
            supervisor.stop()


@pytest.fixture(scope="module")
def credentials() -> service_account.Credentials:
    """A service account of nobody: enough to sign with."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    signer: service_account.Credentials = service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
        {
            "type": "service_account",
            "client_email": "signer@contract.iam.gserviceaccount.com",
            "token_uri": "http://127.0.0.1:1/token",
            "private_key": pem.decode(),
        }
    )
    return signer


def test_a_new_object_is_notified_as_cloud_storage_does_it(emulator: RunningStorage) -> None:
    name = "events/2f0c/7a11/été 1.jpg"
    photo = emulator.photos.blob(name)
    photo.metadata = {"event_id": "2f0c", "note": "é"}
    photo.upload_from_string(b"abc", content_type="image/jpeg")
    (push,) = emulator.notified(name)
    generation = str(photo.generation)
    attributes = dict(push.attributes)
    assert datetime.fromisoformat(attributes.pop("eventTime")).tzinfo is not None
    assert attributes == {
        "eventType": "OBJECT_FINALIZE",
        "payloadFormat": "JSON_API_V1",
        "bucketId": PHOTOS_BUCKET,
        "objectId": name,
        "objectGeneration": generation,
    }
    payload: dict[str, Any] = json.loads(push.data)
    assert datetime.fromisoformat(payload.pop("timeCreated")).tzinfo is not None
    assert datetime.fromisoformat(payload.pop("updated")).tzinfo is not None
    # Cloud Storage's has some more: metageneration, etag, selfLink, mediaLink.
    assert payload == {
        "kind": "storage#object",
        "id": f"{PHOTOS_BUCKET}/{name}#{generation}",
        "name": name,
        "bucket": PHOTOS_BUCKET,
        "generation": generation,
        "contentType": "image/jpeg",
        "storageClass": "STANDARD",
        "size": "3",
        "md5Hash": "kAFQmDzST7DWlj99KOF/cg==",
        "crc32c": "Nks/tw==",
        "metadata": {"event_id": "2f0c", "note": "é"},
    }


def test_an_overwritten_object_is_notified_twice(emulator: RunningStorage) -> None:
    name = "events/2f0c/7a12/twice.jpg"
    photo = emulator.photos.blob(name)
    photo.upload_from_string(b"old", content_type="image/jpeg")
    emulator.notified(name)
    old = str(photo.generation)
    photo.upload_from_string(b"new", content_type="image/jpeg")
    new = str(photo.generation)
    gone, made = emulator.notified(name, 2)
    assert int(new) > int(old)
    assert gone.attributes["eventType"] == "OBJECT_DELETE"
    assert (gone.attributes["objectGeneration"], gone.attributes["overwrittenByGeneration"]) == (old, new)
    assert made.attributes["eventType"] == "OBJECT_FINALIZE"
    assert (made.attributes["objectGeneration"], made.attributes["overwroteGeneration"]) == (new, old)


def test_a_deleted_object_is_notified(emulator: RunningStorage) -> None:
    name = "events/2f0c/7a13/gone.jpg"
    photo = emulator.photos.blob(name)
    photo.upload_from_string(b"abc", content_type="image/jpeg")
    emulator.notified(name)
    photo.delete()
    (push,) = emulator.notified(name)
    assert push.attributes["eventType"] == "OBJECT_DELETE"
    assert push.attributes["objectGeneration"] == str(photo.generation)
    assert "overwrittenByGeneration" not in push.attributes
    assert json.loads(push.data)["name"] == name


def test_only_the_photos_bucket_notifies(emulator: RunningStorage) -> None:
    emulator.client.bucket(DERIVED_BUCKET).blob("silent.jpg").upload_from_string(b"abc")
    fence = "events/2f0c/7a14/fence.jpg"
    emulator.photos.blob(fence).upload_from_string(b"abc")
    heard = emulator.uploads.until(lambda push: push.attributes["objectId"] == fence)
    assert {push.attributes["bucketId"] for push in heard} == {PHOTOS_BUCKET}


def test_only_the_asked_generation_is_read(emulator: RunningStorage) -> None:
    name = "events/2f0c/7a15/versions.jpg"
    photo = emulator.photos.blob(name)
    photo.upload_from_string(b"old")
    old = photo.generation
    photo.upload_from_string(b"new")
    assert emulator.photos.blob(name, generation=photo.generation).download_as_bytes() == b"new"
    assert emulator.photos.blob(name, generation=photo.generation).download_as_bytes(start=1, end=1) == b"e"
    with pytest.raises(NotFound):
        emulator.photos.blob(name, generation=old).download_as_bytes()
    with pytest.raises(NotFound):
        emulator.photos.blob("events/2f0c/7a15/never").download_as_bytes()
    assert emulator.photos.get_blob("events/2f0c/7a15/never") is None


def test_a_name_that_must_be_free_is_not_overwritten(emulator: RunningStorage) -> None:
    name = "events/2f0c/7a16/once.jpg"
    photo = emulator.photos.blob(name)
    photo.upload_from_string(b"first", if_generation_match=0)
    with pytest.raises(PreconditionFailed):
        emulator.photos.blob(name).upload_from_string(b"second", if_generation_match=0)
    with pytest.raises(PreconditionFailed):
        emulator.photos.blob(name).upload_from_string(b"second", if_generation_match=1)
    assert emulator.photos.blob(name).download_as_bytes() == b"first"
    emulator.photos.blob(name).upload_from_string(b"third", if_generation_match=photo.generation)
    assert emulator.photos.blob(name).download_as_bytes() == b"third"


def test_objects_are_listed_by_prefix_with_their_metadata(emulator: RunningStorage) -> None:
    for number in range(3):
        photo = emulator.photos.blob(f"events/listed/{number}/a.jpg")
        photo.metadata = {"media_id": str(number)}
        photo.upload_from_string(b"abc", content_type="image/jpeg")
    found = list(emulator.client.list_blobs(PHOTOS_BUCKET, prefix="events/listed/"))
    assert [photo.name for photo in found] == [f"events/listed/{number}/a.jpg" for number in range(3)]
    assert [photo.metadata["media_id"] for photo in found] == ["0", "1", "2"]
    assert {photo.content_type for photo in found} == {"image/jpeg"}


def test_signed_addresses_come_back_to_this_machine(
    emulator: RunningStorage, credentials: service_account.Credentials
) -> None:
    signer = storage.Client(project=PROJECT, credentials=credentials, client_options={"api_endpoint": emulator.url})
    photo = signer.bucket(PHOTOS_BUCKET).blob("events/2f0c/7a17/signé.jpg")

    def sign(method: str) -> str:
        address: str = photo.generate_signed_url(
            expiration=timedelta(minutes=5), method=method, api_access_endpoint=emulator.url, version="v4"
        )
        return address

    with httpx.Client(trust_env=False) as browser:
        uploaded = browser.put(sign("PUT"), content=b"by a browser", headers={"Content-Type": "image/jpeg"})
        assert uploaded.status_code == httpx.codes.OK
        downloaded = browser.get(sign("GET"))
    assert downloaded.content == b"by a browser"
    (push,) = emulator.notified("events/2f0c/7a17/signé.jpg")
    assert push.attributes["eventType"] == "OBJECT_FINALIZE"
    signer.close()


def test_the_addresses_that_it_tells_are_its_own(emulator: RunningStorage) -> None:
    photo = emulator.photos.blob("events/2f0c/7a18/linked.jpg")
    photo.upload_from_string(b"linked")
    with httpx.Client(trust_env=False) as browser:
        for address in (photo.media_link, photo.public_url):
            assert address.startswith(emulator.url)
            assert browser.get(address).content == b"linked"


def test_objects_survive_a_kill_and_notifications_wait_for_the_bus(emulator: RunningStorage) -> None:
    kept = emulator.photos.blob("events/2f0c/7a19/kept.jpg")
    kept.metadata = {"event_id": "2f0c"}
    kept.upload_from_string(b"kept")
    emulator.notified(kept.name)
    emulator.supervisor.kill(_STORAGE)
    emulator.supervisor.wait_ready(_STORAGE)
    found = emulator.photos.get_blob(kept.name)
    assert found is not None
    assert (found.generation, found.metadata) == (kept.generation, {"event_id": "2f0c"})
    assert found.download_as_bytes() == b"kept"
    # Uploaded while there is no bus: the emulator goes on trying to publish.
    late = emulator.photos.blob("events/2f0c/7a20/late.jpg")
    with emulator.bus.stopped():
        late.upload_from_string(b"late")
    (push,) = emulator.notified(late.name)
    assert push.attributes["objectGeneration"] == str(late.generation)


def test_where_the_emulator_is_not_cloud_storage(emulator: RunningStorage) -> None:
    # Nothing of Trombi's may be tested by these: here the emulator does other than Cloud Storage.
    photo = emulator.photos.blob("events/2f0c/7a21/odd.jpg")
    photo.upload_from_string(b"odd")
    uploaded = photo.generation
    photo.metadata = {"a": "b"}
    photo.patch()
    assert photo.generation > uploaded  # Cloud Storage: the same; only the metageneration grows
    assert photo.download_as_bytes(if_generation_match=1) == b"odd"  # Cloud Storage: 412
    photo.delete(if_generation_match=1)  # Cloud Storage: 412
    assert not photo.exists()
