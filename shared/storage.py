"""Objects in buckets."""

from __future__ import annotations

from functools import cached_property
from typing import Protocol

import requests
from google.api_core.exceptions import GoogleAPIError, NotFound
from google.auth.exceptions import TransportError
from google.cloud import storage

from shared.errors import Permanent, Retryable, TrombiError

_TIMEOUT_SECONDS = 60.0
_AWAY = (GoogleAPIError, TransportError, requests.exceptions.RequestException)


class ObjectMissing(TrombiError):
    """There is no such object, or no longer at that generation."""


class ObjectStore(Protocol):
    """The buckets, as the functions use them. Every method raises Retryable when the store is away."""

    def generation(self, bucket: str, name: str) -> int:
        """The generation of the object as it is now.

        Raises:
            ObjectMissing: no such object.
        """
        ...

    def read(self, bucket: str, name: str, generation: int, *, max_bytes: int) -> bytes:
        """The object's bytes at just that generation.

        Raises:
            ObjectMissing: no such object at that generation.
            Permanent: ``too_large``, when it has more than ``max_bytes``.
        """
        ...

    def write(self, bucket: str, name: str, data: bytes, *, content_type: str) -> None:
        """Create or overwrite the object."""
        ...

    def delete_prefix(self, bucket: str, prefix: str) -> int:
        """Delete every object whose name starts with ``prefix``; returns how many. None is fine."""
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
        except _AWAY as error:
            raise _retryable(error) from error
        if blob is None or blob.generation is None:
            message = "there is no such object"
            raise ObjectMissing(message)
        return int(blob.generation)

    def read(self, bucket: str, name: str, generation: int, *, max_bytes: int) -> bytes:
        """See `ObjectStore`. Reads one byte more than allowed rather than ask for the size first."""
        blob = self._client.bucket(bucket).blob(name, generation=generation)
        try:
            data: bytes = blob.download_as_bytes(end=max_bytes, timeout=_TIMEOUT_SECONDS)
        except NotFound:
            message = f"there is no such object at generation {generation}"
            raise ObjectMissing(message) from None
        except GoogleAPIError as error:
            if getattr(error, "code", None) == requests.codes.requested_range_not_satisfiable:
                return b""  # an empty object has no first byte to ask for
            raise _retryable(error) from error
        except _AWAY as error:
            raise _retryable(error) from error
        if len(data) > max_bytes:
            code, reason = "too_large", f"the file has more than {max_bytes // 2**20} MiB; upload a smaller one"
            raise Permanent(code, reason)
        return data

    def write(self, bucket: str, name: str, data: bytes, *, content_type: str) -> None:
        """See `ObjectStore`."""
        blob = self._client.bucket(bucket).blob(name)
        blob.cache_control = "private, no-store"
        try:
            blob.upload_from_string(data, content_type=content_type, timeout=_TIMEOUT_SECONDS)
        except _AWAY as error:
            raise _retryable(error) from error

    def delete_prefix(self, bucket: str, prefix: str) -> int:
        """See `ObjectStore`."""
        deleted = 0
        try:
            for blob in self._client.list_blobs(bucket, prefix=prefix, timeout=_TIMEOUT_SECONDS):
                try:
                    blob.delete(timeout=_TIMEOUT_SECONDS)
                except NotFound:
                    continue  # somebody else deleted it meanwhile
                deleted += 1
        except NotFound:
            return 0
        except _AWAY as error:
            raise _retryable(error) from error
        return deleted


def _retryable(error: Exception) -> Retryable:
    return Retryable(f"the bucket is away or busy ({type(error).__name__})")
