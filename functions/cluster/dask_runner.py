"""Run block tasks on the workers of a Dask cluster, for very large events. No other module imports Dask."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from distributed import Client, KilledWorker, as_completed

from shared.errors import Retryable

Block = TypeVar("Block")
Result = TypeVar("Result")
Pair = tuple[int, int]

CONNECT_SECONDS = 10
"""How long a scheduler may take to answer."""


class DaskRunner:
    """The workers of a connected cluster. Start them with one thread each and ``OPENBLAS_NUM_THREADS=1``."""

    def __init__(self, client: Client) -> None:
        """``client``: connected; whoever made it closes it."""
        self._client = client

    def run(
        self, function: Callable[[Block, Block], Result], blocks: Sequence[Block], pairs: Sequence[Pair]
    ) -> Iterator[tuple[Pair, Result]]:
        """Send every block to every worker once, and yield results as they come."""
        scattered = self._client.scatter(list(blocks), broadcast=True, hash=False)  # type: ignore[no-untyped-call]
        futures = {
            self._client.submit(function, scattered[left], scattered[right], pure=False): (left, right)
            for left, right in pairs
        }
        for future, result in as_completed(futures, loop=self._client.loop, with_results=True):  # type: ignore[no-untyped-call]
            yield futures.pop(future), result
            future.release()


class OnDemand:
    """A :class:`DaskRunner` that connects on first use; small events never use it.

    Its :meth:`run` raises Retryable when the scheduler does not answer, or its workers are lost.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._client: Client | None = None

    def run(
        self, function: Callable[[Block, Block], Result], blocks: Sequence[Block], pairs: Sequence[Pair]
    ) -> Iterator[tuple[Pair, Result]]:
        """As :meth:`DaskRunner.run`."""
        try:
            if self._client is None:
                self._client = connected(self._address)
            yield from DaskRunner(self._client).run(function, blocks, pairs)
        except (OSError, KilledWorker) as error:
            away = f"the Dask cluster at DASK_SCHEDULER_ADDRESS ({self._address}) is away: {type(error).__name__}"
            raise Retryable(away) from error

    def close(self) -> None:
        """Disconnect."""
        if self._client is not None:
            self._client.close()  # type: ignore[no-untyped-call]
            self._client = None


@contextmanager
def on_demand(address: str) -> Iterator[OnDemand]:
    """Workers for the time of one clustering run."""
    runner = OnDemand(address)
    try:
        yield runner
    finally:
        runner.close()


def connected(address: str) -> Client:
    """Connect to the scheduler at ``address`` (``DASK_SCHEDULER_ADDRESS``); the client is a context manager.

    Raises OSError when no scheduler answers there.
    """
    return Client(address, set_as_default=False, timeout=CONNECT_SECONDS)  # type: ignore[no-untyped-call]
