"""What faces of one photo say about persons that exist, where a human has not said it already. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from functions.cluster.faces.same_photo import Pairs, of_same_photo
from functions.cluster.parameters import ClusterParameters

Ints = NDArray[np.int64]


class SideBySide:
    """Asks :mod:`functions.cluster.faces.same_photo` about faces of an event that are, or would be, one person.

    ``embeddings`` float32[n, d] of length 1; ``photo`` int64[n], which faces share a photo; ``person`` int64[n], the
    person that each face stood in before the run, or -1; ``placed`` bool[n], faces that a human put there: whoever did
    saw the others of that photo, so that such a face and another one of its person never speak against each other.
    """

    def __init__(
        self,
        embeddings: NDArray[np.float32],
        photo: Ints,
        person: Ints,
        placed: NDArray[np.bool_],
        parameters: ClusterParameters,
    ) -> None:
        self._embeddings = embeddings
        self._photo = photo
        self._person = person
        self._placed = placed
        self._parameters = parameters

    def conflicts(self, rows: Ints) -> set[tuple[int, int]]:
        """Return the pairs of these faces (ascending) that must not be in one person, the lower row first."""
        if np.unique(self._photo[rows]).size == rows.size:
            return set()
        pairs = of_same_photo(self._embeddings[rows], self._photo[rows], self._parameters).conflicting
        return {(int(one), int(other)) for one, other in self._not_said(rows[pairs])}

    def conflict(self, row: int, rows: list[int]) -> bool:
        """Whether a face cannot be in one person with these others (rows)."""
        return any(row in pair for pair in self.conflicts(np.array(sorted([*rows, row]), dtype=np.int64)))

    def two_people(self, rows: Ints) -> tuple[int, int] | None:
        """Of the faces of a person (ascending), the two least alike that stand in a photo as two people do."""
        if np.unique(self._photo[rows]).size == rows.size:
            return None
        pairs = of_same_photo(self._embeddings[rows], self._photo[rows], self._parameters).dividing
        pairs = self._not_said(rows[pairs])
        if not pairs.size:
            return None
        likeness = np.vecdot(self._embeddings[pairs[:, 0]], self._embeddings[pairs[:, 1]])
        one, other = pairs[likeness.argmin()]
        return int(one), int(other)

    def look_different(self, one: Ints, other: Ints) -> bool:
        """Whether two persons (rows) are plainly two: somewhere they are in one photo, and are not nearly the same.

        Twins are nearly the same there, and so is a person in a mirror: which of both it is, a human knows.
        """
        alike = self._parameters.same_face_similarity
        shared = np.intersect1d(self._photo[one], self._photo[other])
        if not shared.size:
            return False
        if alike is None:
            return True
        ones, others = one[np.isin(self._photo[one], shared)], other[np.isin(self._photo[other], shared)]
        together = self._photo[ones][:, None] == self._photo[others]
        return bool(((self._embeddings[ones] @ self._embeddings[others].T < alike) & together).any())

    def meet(self, one: Ints, other: Ints) -> bool:
        """Whether two groups (rows) are two people, because they stand side by side in a photo."""
        if not np.intersect1d(self._photo[one], self._photo[other]).size:
            return False
        rows = np.sort(np.concatenate([one, other]))
        pairs = of_same_photo(self._embeddings[rows], self._photo[rows], self._parameters).dividing
        across = self._not_said(rows[pairs])
        return bool(np.any(np.isin(across[:, 0], one) != np.isin(across[:, 1], one)))

    def _not_said(self, pairs: Pairs) -> Pairs:
        """Without the pairs that a human put into one person."""
        one, other = pairs[:, 0], pairs[:, 1]
        is_one = (self._person[one] >= 0) & (self._person[one] == self._person[other])
        kept: Pairs = pairs[~(is_one & (self._placed[one] | self._placed[other]))]
        return kept
