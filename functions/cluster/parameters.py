"""The parameters of one clustering run, all in one frozen value that the run's report can hold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from shared.calibration import UNKNOWN_PACK, Calibration, constants_of
from shared.poor_faces import MAX_PITCH, MAX_YAW, MIN_SIZE_PX

_UNKNOWN = UNKNOWN_PACK.cluster


@dataclass(frozen=True)
class ClusterParameters:
    """HDBSCAN, the face rules after it, and how persons are kept. Similarities are cosines in [-1, 1].

    A face rule that is None is switched off; with all of them off (:meth:`without_rules`) the labels are
    HDBSCAN's own. What depends on the model pack comes from :mod:`shared.calibration` (:func:`parameters_of`); the
    defaults are those of a pack of which nothing is known.
    """

    source: str = _UNKNOWN.source
    """Where the constants that depend on the pack were measured."""

    min_cluster_size: int = 3
    """The fewest faces HDBSCAN calls a cluster; at least 2."""
    min_samples: int = 2
    """The core distance of a face is that to its ``min_samples``-th nearest other face; at least 1."""
    cluster_selection_epsilon: float = 0.4
    """Clusters that are nearer than this cosine distance are not told apart."""

    max_distance: float | None = _UNKNOWN.max_distance
    """The cap: faces hold together only by mutual reachability distances up to this (CLUSTER_MAX_DISTANCE)."""
    apart_similarity: float | None = _UNKNOWN.apart_similarity
    """Every cluster is held to this mean likeness: average linkage down to it, in which faces that speak for two people
    (:mod:`functions.cluster.faces.same_photo`) never come together; parts below ``min_cluster_size`` are left over."""
    conflict_similarity: float | None = _UNKNOWN.conflict_similarity
    """The same for clusters in which several photos speak for two people; the higher of the two counts there."""
    same_face_similarity: float | None = _UNKNOWN.same_face_similarity
    """Two faces of one photo are one person seen twice (a mirror, a collage) from this likeness on, unless each has
    faces of its own in other photos. None: two faces of one photo are always two people."""
    pair_similarity: float | None = _UNKNOWN.pair_similarity
    """Two left-over faces, each the other's nearest, are a person of two from this similarity (CLUSTER_PAIRS)."""
    join_similarity: float | None = _UNKNOWN.join_similarity
    """A face in no cluster joins the nearest one when at least this similar to it (CLUSTER_JOIN_SIMILARITY). So much is
    asked by a cluster of four faces; larger ones ask less and smaller ones more, by ``join_evidence``."""
    join_evidence: float = _UNKNOWN.join_evidence
    """A cluster of m faces asks for ``join_similarity + join_evidence * (1 / m - 1 / 4)``: the mean of many faces says
    better who a person is, and in a small cluster a wrong face weighs more. 0 asks the same of all."""
    join_margin: float = _UNKNOWN.join_margin
    """… and by this much more similar than to the second nearest."""

    seed_min_quality: float | None = _UNKNOWN.seed_min_quality
    """Faces of which the detector is less sure do not seed clusters; its score in [0, 1]."""
    seed_min_size_px: float | None = MIN_SIZE_PX
    """Smaller faces, by the shorter side of the box in pixels, do not seed clusters."""
    seed_min_sharpness: float | None = _UNKNOWN.seed_min_sharpness
    """Blurrier faces, by detect's sharpness (variance of the Laplacian on the aligned crop), do not seed clusters.
    Measured by blurring 23 faces of group photos: the embedding keeps a cosine of .96 to the sharp one at 25 to 50, .85
    at 6 to 12, .70 at 3 to 6 and .37 below 3. As photographed they read 27 to 1001."""
    seed_max_yaw: float | None = MAX_YAW
    """Faces turned further sideways, in degrees, do not seed clusters. Five landmarks tell no more than about 70, so
    that this keeps out what they make no sense of. 60 was tried: three shots of one guest of the sample event, turned
    by 55 to 62 degrees and .83 to .91 alike, then lost one seed, and the others fell to a neighbour (.48 to .62)."""
    seed_max_pitch: float | None = MAX_PITCH
    """Faces turned further up or down, in degrees, do not seed clusters."""

    keep_similarity: float | None = _UNKNOWN.keep_similarity
    """A face that the grouping leaves out, or gives to somebody else, may stay in its person while at least this
    similar to it. None: nobody stays for having been there, so that photos that come in lots end in the same persons as
    all of them at once; human decisions keep what they keep in any case."""
    keep_bonus: float = 0.08
    """A face changes person only for one that is by more than this more similar."""
    min_overlap: float = 0.3
    """A cluster inherits a person when it shares this part of the smaller of the two."""
    fragment_similarity: float = _UNKNOWN.fragment_similarity
    """A part of a person that HDBSCAN sees apart stays while its mean is at least this similar to the rest's."""
    suggestion_similarity: float = _UNKNOWN.suggestion_similarity
    """A new face is suggested to a linked, invited or ignored person from this similarity."""
    merge_similarity: float = _UNKNOWN.merge_similarity
    """Two persons that never share a photo are suggested for merging from this similarity."""

    def without_rules(self) -> Self:
        """Return the same parameters with every face rule switched off."""
        return replace(
            self,
            max_distance=None,
            apart_similarity=None,
            conflict_similarity=None,
            same_face_similarity=None,
            join_similarity=None,
            pair_similarity=None,
            seed_min_quality=None,
            seed_min_size_px=None,
            seed_min_sharpness=None,
            seed_max_yaw=None,
            seed_max_pitch=None,
        )


def parameters_of(pack: str | None, calibration: Calibration | None = None) -> ClusterParameters:
    """Return the parameters for embeddings of a pack, given by its name or by the stored model id.

    ``calibration`` goes before the constants that are built in (:func:`shared.calibration.constants_of`).
    """
    constants = constants_of(pack, calibration).cluster
    return ClusterParameters(**constants.model_dump(exclude={"measured"}))


DEFAULTS = ClusterParameters()
"""The parameters for a pack of which nothing is known, where nothing else is configured."""
