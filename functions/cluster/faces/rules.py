"""Group faces by HDBSCAN and by rules that hold for faces, each of which can be switched off.

In order: faces of poor quality do not seed clusters; the spanning tree is cut at a maximum distance; clusters below a
mean similarity are split, and so are two people who appear side by side in photos
(:mod:`functions.cluster.faces.cohesion`); left-over faces form pairs, and join the person they clearly belong to
(:mod:`functions.cluster.faces.left_over`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from functions.cluster.blas import single_threaded_blas
from functions.cluster.embeddings import canonical_order, checked_embeddings
from functions.cluster.faces.cohesion import hold_together
from functions.cluster.faces.left_over import place_left_over
from functions.cluster.faces.pictures_of_pictures import faces_of_pictures
from functions.cluster.labels import NOISE, relabelled
from functions.cluster.parameters import DEFAULTS, ClusterParameters
from functions.cluster.states import FaceState
from functions.cluster.tree import BlockRunner, cluster

Labels = NDArray[np.int32]


@dataclass(frozen=True)
class Grouping:
    """Who is with whom: ``labels`` int32[n], 0..k-1, -1 for a face that is in no person."""

    labels: Labels


def group_faces(
    embeddings: NDArray[np.float32],
    faces: Sequence[FaceState],
    parameters: ClusterParameters = DEFAULTS,
    *,
    runner: BlockRunner | None = None,
) -> Grouping:
    """Group the faces of one event by person, from scratch: HDBSCAN and the face rules.

    ``embeddings`` is float32[n, d] with rows of length 1, in the order of ``faces``; n may be 0. The grouping does
    not depend on that order, nor on where the blocks of a large event run (``runner``, by default the threads of this
    machine). Human decisions play no part here (:func:`functions.cluster.persons.plan.plan_persons`).

    Raises EmbeddingsRefusedError for embeddings that are not finite and normalised, ValueError when the number of
    faces differs from the number of rows.
    """
    rows = checked_embeddings(embeddings)
    if rows.shape[0] != len(faces):
        message = f"{rows.shape[0]} embeddings for {len(faces)} faces"
        raise ValueError(message)
    if not faces:
        return Grouping(np.zeros(0, dtype=np.int32))
    order = _order_of_faces(rows, faces)
    rows = rows[order]
    photos = _numbered([faces[index].media_id for index in order])
    seeds = np.array([may_seed(faces[index], parameters) for index in order], dtype=bool)
    poor = ~seeds

    if parameters.same_face_similarity is not None:
        with single_threaded_blas():
            seeds &= ~faces_of_pictures(rows, photos)

    labels = np.full(len(faces), NOISE, dtype=np.int32)
    labels[seeds] = cluster(
        rows[seeds],
        min_cluster_size=parameters.min_cluster_size,
        min_samples=parameters.min_samples,
        cluster_selection_epsilon=parameters.cluster_selection_epsilon,
        max_distance=parameters.max_distance,
        runner=runner,
    ).labels
    with single_threaded_blas():
        labels = apply_face_rules(rows, labels, photos, seeds, parameters, poor=poor)

    result = np.empty_like(labels)
    result[order] = labels
    return Grouping(relabelled(result))


def may_seed(face: FaceState, parameters: ClusterParameters) -> bool:
    """Whether a face is certain, large, sharp and frontal enough to found a person; what was not measured passes."""
    return not (
        _below(face.quality_score, parameters.seed_min_quality)
        or _below(face.size_px, parameters.seed_min_size_px)
        or _below(face.sharpness, parameters.seed_min_sharpness)
        or _beyond(face.yaw, parameters.seed_max_yaw)
        or _beyond(face.pitch, parameters.seed_max_pitch)
    )


def apply_face_rules(
    embeddings: NDArray[np.float32],
    labels: Labels,
    photos: NDArray[np.integer],
    seeds: NDArray[np.bool_],
    parameters: ClusterParameters,
    *,
    poor: NDArray[np.bool_] | None = None,
) -> Labels:
    """Apply the face rules to the ``labels`` of HDBSCAN (int32[n]); ``photos`` (int[n]) gives the photo of each face.

    ``poor`` bool[n] are the faces that the gate keeps from seeding, by default all that do not seed: a copy on a
    contact sheet does not seed either, and says nothing against whom it is like.
    """
    if parameters.apart_similarity is not None or parameters.conflict_similarity is not None:
        labels = relabelled(hold_together(embeddings, labels, photos, parameters))
    return relabelled(place_left_over(embeddings, labels, photos, seeds, parameters, poor=poor))


def _order_of_faces(rows: NDArray[np.float32], faces: Sequence[FaceState]) -> NDArray[np.int64]:
    """Sort the faces by embedding, then by id, so that the result does not depend on the input order."""
    by_id = np.array(sorted(range(len(faces)), key=lambda index: faces[index].face_id), dtype=np.int64)
    return by_id[canonical_order(rows[by_id])]


def _numbered(names: Sequence[object]) -> NDArray[np.int64]:
    """Equal names get equal numbers, in order of appearance; int64[n]."""
    numbers: dict[object, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64)


def _below(value: float | None, limit: float | None) -> bool:
    return value is not None and limit is not None and value < limit


def _beyond(angle: float | None, limit: float | None) -> bool:
    return angle is not None and limit is not None and abs(angle) > limit
