"""What cluster reads from its environment."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from functions.cluster.parameters import ClusterParameters
from shared.settings import Settings


def _off_is_none(value: object) -> object:
    return None if isinstance(value, str) and value.strip().lower() == "off" else value


Similarity = Annotated[float, Field(ge=-1, le=1)]
Distance = Annotated[float, Field(gt=0, le=2)]
OrOff = BeforeValidator(_off_is_none)


class ClusterSettings(Settings):
    """Each field is the environment variable of the same name in capitals; a face rule set to ``off`` is left out.

    With ``DASK_SCHEDULER_ADDRESS`` (``tcp://host:port``), large events are spread over the workers of that Dask
    cluster.
    """

    cluster_min_cluster_size: Annotated[int, Field(ge=2)] = ClusterParameters.min_cluster_size
    cluster_min_samples: Annotated[int, Field(ge=1)] = ClusterParameters.min_samples
    cluster_selection_epsilon: Annotated[float, Field(ge=0, le=2)] = ClusterParameters.cluster_selection_epsilon
    cluster_max_distance: Annotated[Distance | None, OrOff] = ClusterParameters.max_distance
    cluster_join_similarity: Annotated[Similarity | None, OrOff] = ClusterParameters.join_similarity
    cluster_pairs: Annotated[Similarity | None, OrOff] = ClusterParameters.pair_similarity

    dask_scheduler_address: Annotated[str, Field(pattern=r"^(tcp|tls|ws|wss)://[^/\s]+:\d+$")] | None = None

    def parameters(self) -> ClusterParameters:
        """The parameters of a run; what is not in the environment keeps its default."""
        return ClusterParameters(
            min_cluster_size=self.cluster_min_cluster_size,
            min_samples=self.cluster_min_samples,
            cluster_selection_epsilon=self.cluster_selection_epsilon,
            max_distance=self.cluster_max_distance,
            join_similarity=self.cluster_join_similarity,
            pair_similarity=self.cluster_pairs,
        )
