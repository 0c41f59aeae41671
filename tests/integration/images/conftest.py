"""A cloud without functions, for what the images run."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping

import pytest

from local.cloud.cloud import Cloud, CloudOptions
from local.cloud.state import Addresses
from shared.contracts import Message
from tests.integration.local.small_cloud import state_directory

Post = Callable[[str, bytes, Mapping[str, str]], int]


@pytest.fixture(scope="module")
def addresses() -> Iterator[Addresses]:
    """Postgres, the small broker and storage."""
    with state_directory() as folder:
        options = CloudOptions(state_dir=folder, bus="small", functions=(), fast_postgres=True, tick_seconds=3600)
        with Cloud(options, print) as cloud:
            yield cloud.addresses


def variables(addresses: Addresses, **more: str) -> dict[str, str]:
    """What the functions are told about the cloud."""
    return {
        "DATABASE_URL": addresses.database_url,
        "GOOGLE_CLOUD_PROJECT": addresses.project,
        "PUBSUB_EMULATOR_HOST": addresses.pubsub_host,
        "STORAGE_EMULATOR_HOST": addresses.storage_url,
        "PHOTOS_BUCKET": addresses.photos_bucket,
        "DERIVED_BUCKET": addresses.derived_bucket,
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        "THREADS": "2",
        **more,
    }


def push(url: str, data: bytes, attributes: Mapping[str, str]) -> int:
    """Push a message as Pub/Sub does; the answer's status."""
    message = {"messageId": "1", "data": base64.b64encode(data).decode(), "attributes": dict(attributes)}
    return post(url, json.dumps({"message": message, "subscription": "projects/p/subscriptions/s"}).encode())


def push_message(url: str, message: Message) -> int:
    """Push one of Trombi's own messages."""
    return push(url, json.dumps(message.data()).encode(), message.attributes())


def post(url: str, body: bytes) -> int:
    """POST JSON; the answer's status."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with opener.open(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
