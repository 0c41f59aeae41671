"""Read, write, list and delete objects in buckets."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import google_crc32c
import requests
from google.api_core.exceptions import GoogleAPIError, NotFound
from google.auth.exceptions import TransportError
from google.cloud import storage
from google.cloud.storage.exceptions import DataCorruption

from shared.errors import Permanent, Retryable, TrombiError

_TIMEOUT_SECONDS = 60.0
# DataCorruption means that the download differs from the stored object, so that another download may succeed.
_UNAVAILABLE = (GoogleAPIError, TransportError, requests.exceptions.RequestException, ConnectionError, DataCorruption)


class _TooLargeError(Exception):
    """The object has more bytes than the reader accepts."""


class _BoundedBuffer(io.BytesIO):
    """Holds at most ``most`` bytes; writing more raises `_TooLargeError`."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def write(self, data: bytes, /) -> int:  # type: ignore[override]  # only bytes are written here
        if self.tell() + len(data) > self._most:
            raise _TooLargeError
        return super().write(data)


class ObjectMissing(TrombiError):
    """The object does not exist, or no longer at that generation."""


@dataclass(frozen=True)
class StoredObject:
    """An object in a listing; ``size`` is in bytes."""

    name: str
    generation: int
    size: int
    metadata: Mapping[str, str]


class ObjectStore(Protocol):
    """The operations on buckets that the functions use. Each raises Retryable when the store is unavailable."""

    def generation(self, bucket: str, name: str) -> int:
        """Return the current generation of the object.

        Raises:
            ObjectMissing: no such object.
        """
        ...

    def read(self, bucket: str, name: str, generation: int, *, max_bytes: int) -> bytes:
        """Read the object's bytes at exactly that generation.

        Raises:
            ObjectMissing: no such object at that generation.
            Permanent: ``too_large``, when the object has more than ``max_bytes``.
        """
        ...

    def list_objects(self, bucket: str, prefix: str, *, most: int) -> list[StoredObject]:
        """List the current objects whose names start with ``prefix``: the first ``most`` by name."""
        ...

    def write(self, bucket: str, name: str, data: bytes, *, content_type: str) -> None:
        """Create or overwrite the object."""
        ...

    def delete_prefix(self, bucket: str, prefix: str) -> int:
        """Delete every object whose name starts with ``prefix``; return how many there were, which may be 0."""
        ...


class CloudStorage:
    """Google Cloud Storage, or an emulator that ``STORAGE_EMULATOR_HOST`` names."""

    def __init__(self, project: str) -> None:
        self._project = project

    @cached_property
    def _client(self) -> storage.Client:
        return storage.Client(project=self._project)

    def generation(self, bucket: str, name: str) -> int:
        """See `ObjectStore`."""
        try:
            blob = self._client.bucket(bucket).get_blob(name, timeout=_TIMEOUT_SECONDS)
        except _UNAVAILABLE as error:
            raise _retryable(error) from error
        if blob is None or blob.generation is None:
            message = "there is no such object"
            raise ObjectMissing(message)
        return int(blob.generation)

    def read(self, bucket: str, name: str, generation: int, *, max_bytes: int) -> bytes:
        """See `ObjectStore`. A download whose checksum differs from the stored one raises Retryable.

        The whole object is requested, and the download is aborted when it is too large: Cloud Storage sends no checksum
        with a range of bytes.
        """
        blob = self._client.bucket(bucket).blob(name, generation=generation)
        content = _BoundedBuffer(max_bytes)
        try:
            blob.download_to_file(content, timeout=_TIMEOUT_SECONDS)
            if blob.crc32c is None:
                # The last response of a download that was interrupted and resumed is for a range: it has no checksum.
                blob.reload(timeout=_TIMEOUT_SECONDS)
        except _TooLargeError:
            code, reason = "too_large", f"the file has more than {max_bytes // 2**20} MiB; upload a smaller one"
            raise Permanent(code, reason) from None
        except NotFound:
            message = f"there is no such object at generation {generation}"
            raise ObjectMissing(message) from None
        except _UNAVAILABLE as error:
            raise _retryable(error) from error
        data = content.getvalue()
        # The library checks downloads that came in one response only. An object that is stored with gzip encoding is
        # decompressed on the way, so the stored checksum does not apply to it; gzip has its own.
        if blob.content_encoding is None and blob.crc32c not in (None, crc32c(data)):
            message = "the object was damaged in transfer: its checksum differs from the stored one"
            raise Retryable(message)
        return data

    def list_objects(self, bucket: str, prefix: str, *, most: int) -> list[StoredObject]:
        """See `ObjectStore`."""
        try:
            listed = self._client.list_blobs(bucket, prefix=prefix, max_results=most, timeout=_TIMEOUT_SECONDS)
            return [
                StoredObject(blob.name, int(blob.generation), int(blob.size), dict(blob.metadata or {}))
                for blob in listed
            ]
        except NotFound:
            return []
        except _UNAVAILABLE as error:
            raise _retryable(error) from error

    def write(self, bucket: str, name: str, data: bytes, *, content_type: str) -> None:
        """See `ObjectStore`."""
        blob = self._client.bucket(bucket).blob(name)
        blob.cache_control = "private, no-store"
        try:
            blob.upload_from_string(data, content_type=content_type, timeout=_TIMEOUT_SECONDS)
        except _UNAVAILABLE as error:
            raise _retryable(error) from error

    def delete_prefix(self, bucket: str, prefix: str) -> int:
        """See `ObjectStore`."""
        deleted = 0
        try:
            for blob in self._client.list_blobs(bucket, prefix=prefix, timeout=_TIMEOUT_SECONDS):
                try:
                    blob.delete(timeout=_TIMEOUT_SECONDS)
                except NotFound:
                    continue  # another process deleted it in the meantime
                deleted += 1
        except NotFound:
            return 0
        except _UNAVAILABLE as error:
            raise _retryable(error) from error
        return deleted


def crc32c(data: bytes) -> str:
    """Compute the CRC32C in Cloud Storage's format: base64 of four bytes, most significant first."""
    checksum: int = google_crc32c.value(data)
    return base64.b64encode(checksum.to_bytes(4, "big")).decode()


def _retryable(error: Exception) -> Retryable:
    return Retryable(f"the bucket is unavailable or busy ({type(error).__name__})")
