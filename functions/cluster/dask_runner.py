"""Runs block tasks on the workers of a Dask cluster, for events beyond one machine. The only importer of Dask."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from distributed import Client, as_completed

from functions.cluster.block_runner import Block, Pair, Result


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


def connected(address: str) -> Client:
    """A client of the scheduler at ``address`` (``DASK_SCHEDULER_ADDRESS``), to be used as a context.

    Raises OSError when no scheduler answers there.
    """
    return Client(address, set_as_default=False)  # type: ignore[no-untyped-call]
