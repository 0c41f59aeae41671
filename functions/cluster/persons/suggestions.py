"""What a run asks humans instead of deciding it: new faces of a held person, and persons that may be one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from functions.cluster.faces.centroids import centroids
from functions.cluster.states import FaceState, MergeSuggestion, Suggestion

BLOCK_ROWS = 4096


def suggest_faces(
    embeddings: NDArray[np.float32],
    faces: Sequence[FaceState],
    loose: NDArray[np.int64],
    members: dict[UUID, list[int]],
    candidates: Sequence[UUID],
    is_rejected: Callable[[int, UUID], bool],
    conflict: Callable[[int, list[int]], bool],
    similarity: float,
) -> tuple[Suggestion, ...]:
    """For each loose face (rows of ``embeddings``), the most similar candidate person that may be it.

    A face is not suggested to a person it was rejected from, nor to one that is already in its photo and with whose
    faces it is in ``conflict`` there.
    Sorted by score, highest first.
    """
    candidates = [person for person in candidates if members.get(person)]
    if not (loose.size and candidates):
        return ()
    number = np.full(embeddings.shape[0], -1, dtype=np.int64)
    for index, person in enumerate(candidates):
        number[members[person]] = index
    centres = centroids(embeddings, number, len(candidates))
    photos = [{faces[row].media_id for row in members[person]} for person in candidates]
    found: list[Suggestion] = []
    for begin in range(0, loose.size, BLOCK_ROWS):
        rows = loose[begin : begin + BLOCK_ROWS]
        likeness = embeddings[rows] @ centres.T
        for row, scores in zip(rows, likeness, strict=True):
            for index in sorted(np.flatnonzero(scores >= similarity).tolist(), key=lambda k: -scores[k]):
                rest = members[candidates[index]]
                is_there = faces[row].media_id in photos[index] and conflict(int(row), rest)
                if not is_there and not is_rejected(int(row), candidates[index]):
                    score = float(min(scores[index], 1.0))
                    found.append(Suggestion(faces[row].face_id, candidates[index], score))
                    break
    return tuple(sorted(found, key=lambda suggestion: (-suggestion.score, suggestion.face_id)))


def suggest_merges(
    embeddings: NDArray[np.float32],
    faces: Sequence[FaceState],
    members: dict[UUID, list[int]],
    held: AbstractSet[UUID],
    identified: AbstractSet[UUID],
    are_apart: Callable[[UUID, UUID], bool],
    look_different: Callable[[NDArray[np.int64], NDArray[np.int64]], bool],
    similarity: float,
) -> tuple[MergeSuggestion, ...]:
    """Pairs of persons alike in the mean, sorted by score, highest first.

    Left out: persons a human told apart, two that are both already ``identified``, and two that ``look_different``
    where they stand in one photo. The survivor proposed is a ``held`` person before others, then the one with more
    faces.
    """
    persons = sorted(person for person, rows in members.items() if rows)
    if len(persons) <= 1:
        return ()
    number = np.full(embeddings.shape[0], -1, dtype=np.int64)
    for index, person in enumerate(persons):
        number[members[person]] = index
    centres = centroids(embeddings, number, len(persons))
    share_a_photo = _photo_neighbours(faces, number, len(persons))
    found: list[MergeSuggestion] = []
    for begin in range(0, len(persons), BLOCK_ROWS):
        likeness = centres[begin : begin + BLOCK_ROWS] @ centres.T
        for row, column in zip(*np.nonzero(likeness >= similarity), strict=True):
            one, other = persons[begin + row], persons[column]
            if (
                begin + row < column
                and not (one in identified and other in identified)
                and not are_apart(one, other)
                and not (
                    (begin + row, column) in share_a_photo
                    and look_different(np.array(members[one]), np.array(members[other]))
                )
            ):
                into, source = sorted(
                    (one, other), key=lambda person: (person not in held, -len(members[person]), person)
                )
                found.append(MergeSuggestion(into, source, float(min(likeness[row, column], 1.0))))
    return tuple(sorted(found, key=lambda s: (-s.score, s.into_person_id, s.from_person_id)))


def _photo_neighbours(
    faces: Sequence[FaceState], number: NDArray[np.int64], person_count: int
) -> AbstractSet[tuple[int, int]]:
    """Pairs of person numbers (smaller first) that stand in a photo together."""
    photos: dict[UUID, int] = {}
    photo = np.array([photos.setdefault(face.media_id, len(photos)) for face in faces], dtype=np.int64)
    inside = np.flatnonzero(number >= 0)
    presence = csr_array(
        (np.ones(inside.size, dtype=np.int32), (number[inside], photo[inside])),
        shape=(person_count, len(photos)),
    )
    together = (presence @ presence.T).tocoo()
    return {(int(row), int(column)) for row, column in zip(together.row, together.col, strict=True) if row < column}
