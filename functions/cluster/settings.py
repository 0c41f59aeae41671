"""Read the settings of the cluster function from its environment."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from functions.cluster.parameters import ClusterParameters, parameters_of
from shared.calibration import Distance, Similarity
from shared.settings import FaceCalibration, Settings


def _off_is_none(value: object) -> object:
    return None if isinstance(value, str) and value.strip().lower() == "off" else value


OrOff = BeforeValidator(_off_is_none)

OF_THE_PACK = {
    "cluster_max_distance": "max_distance",
    "cluster_join_similarity": "join_similarity",
    "cluster_pairs": "pair_similarity",
}
"""Settings that go before a constant of the model pack, and which."""


class ClusterSettings(Settings):
    """Each field is the environment variable of the same name in capitals; a face rule set to ``off`` is left out.

    What depends on the model pack and is not set here is the pack's (:mod:`shared.calibration`), or what
    ``FACE_CALIBRATION`` says. With ``DASK_SCHEDULER_ADDRESS`` (``tcp://host:port``), large events are spread over the
    workers of that Dask cluster.
    """

    cluster_min_cluster_size: Annotated[int, Field(ge=2)] = ClusterParameters.min_cluster_size
    cluster_min_samples: Annotated[int, Field(ge=1)] = ClusterParameters.min_samples
    cluster_selection_epsilon: Annotated[float, Field(ge=0, le=2)] = ClusterParameters.cluster_selection_epsilon
    cluster_max_distance: Annotated[Distance | None, OrOff] = None
    cluster_join_similarity: Annotated[Similarity | None, OrOff] = None
    cluster_pairs: Annotated[Similarity | None, OrOff] = None

    face_calibration: FaceCalibration = None

    dask_scheduler_address: Annotated[str, Field(pattern=r"^(tcp|tls|ws|wss)://[^/\s]+:\d+$")] | None = None

    def parameters(self, pack: str | None) -> ClusterParameters:
        """Return the parameters for embeddings of a pack (its name or stored model id; None: no face yet)."""
        # None means "off", so an unset field is recognised by its absence from model_fields_set.
        given = sorted(self.model_fields_set & OF_THE_PACK.keys())
        of_the_pack: dict[str, Any] = {OF_THE_PACK[name]: getattr(self, name) for name in given}
        parameters = replace(
            parameters_of(pack, self.face_calibration),
            min_cluster_size=self.cluster_min_cluster_size,
            min_samples=self.cluster_min_samples,
            cluster_selection_epsilon=self.cluster_selection_epsilon,
            **of_the_pack,
        )
        if not given:
            return parameters
        named = ", ".join(given).upper()
        return replace(parameters, source=f"{parameters.source}; {named} as set")
