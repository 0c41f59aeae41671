"""Which faces of one photo speak for two people, and which are one person seen twice. Pure.

A person stands several times in a photo by a mirror, a screen, a collage, a contact sheet or a photo booth's strip; two
people who are alike stand side by side. Likeness to each other does not tell the one from the other (twins read
.85); the faces of other photos do. Of two people each has faces of its own there: these divide between the two faces
by likeness, clearly, and are more alike within each part than between the parts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from functions.cluster.parameters import ClusterParameters

COPY_SIMILARITY = 0.9
"""From this likeness on two faces come from one picture, or from two of the same moment: no evidence of its own. With
`mini` a crop and its mirror image read .94 to .98."""

LEAN = 0.4
"""Two people: faces of other photos lean towards the one or the other by this part of what the two differ (1 - cosine)
in the mean, at least ..."""

APART = 0.33
"""... and by this part of it they are more alike within the two halves than between them."""

ENOUGH = 0.15
"""... where so much is enough in any case, both times. Measured with `mini` on 35 people of six faces and more, two of
whose faces were said to be of one photo: 1 to 2.5 % of one person's are taken for two people, less of contact sheets;
of two people alike (mean .25 to .41) 90 to 98 % are found, of made twins (.75 to .85 in one photo) 60 to 99 %."""

PAIRS_AT_ONCE = 256
"""Pairs compared with the other faces of a group at a time; bounds the memory."""

Pairs = NDArray[np.int64]
"""int64[k, 2]: rows of one photo, the lower first, in ascending order."""


@dataclass(frozen=True)
class SamePhoto:
    """What the faces of one photo say of a group.

    ``conflicting`` pairs must not stay together in one person; ``dividing`` ones, among them, show that the group holds
    two people.
    """

    conflicting: Pairs
    dividing: Pairs


def conflicting(
    embeddings: NDArray[np.float32], photos: NDArray[np.integer], parameters: ClusterParameters
) -> NDArray[np.int64]:
    """Return the pairs of faces that must not be in one person, int64[k, 2]: rows of one photo, ascending.

    ``embeddings`` float32[m, d] of length 1 are the faces that are, or would be, one person; ``photos`` int[m] says
    which share a photo. See :func:`of_same_photo`.
    """
    return of_same_photo(embeddings, photos, parameters).conflicting


def of_same_photo(
    embeddings: NDArray[np.float32], photos: NDArray[np.integer], parameters: ClusterParameters
) -> SamePhoto:
    """Judge the pairs of faces of one photo among faces that are, or would become, one person.

    ``embeddings`` float32[m, d] of length 1, ``photos`` int[m]. A pair of faces of one photo

    - is *dividing* when each of the two has faces of its own in other photos;
    - is one person seen twice when it is not dividing and the two are nearly the same (the likeness
      ``parameters.same_face_similarity``; None: never), or both are copies of faces that stand alone in their photos;
    - is otherwise *conflicting*, as dividing pairs are: a photo in which one person seems to stand twice says nothing
      against the person, and only one of the two faces can be theirs.

    Faces from :data:`COPY_SIMILARITY` on are no evidence for either side.
    """
    one, other = pairs_within_photos(photos)
    dividing = np.zeros(one.size, dtype=bool)
    seen_twice = np.zeros(one.size, dtype=bool)
    alike = parameters.same_face_similarity
    for begin in range(0, one.size, PAIRS_AT_ONCE):
        some = slice(begin, begin + PAIRS_AT_ONCE)
        dividing[some], seen_twice[some] = _judge(embeddings, photos, one[some], other[some], alike)
    pairs = np.column_stack([one, other])
    return SamePhoto(pairs[~seen_twice], pairs[dividing])


def _judge(
    embeddings: NDArray[np.float32],
    photos: NDArray[np.integer],
    one: NDArray[np.int64],
    other: NDArray[np.int64],
    alike: float | None,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Of pairs of faces of one photo: which show two people, and which are one person seen twice; bool[k] each."""
    likeness = np.vecdot(embeddings[one], embeddings[other])
    to_one, to_other = embeddings[one] @ embeddings.T, embeddings[other] @ embeddings.T
    elsewhere = photos[one][:, None] != photos
    copies_of_one, copies_of_other = (elsewhere & (to >= COPY_SIMILARITY) for to in (to_one, to_other))
    lean = to_one - to_other
    evidence = elsewhere & ~copies_of_one & ~copies_of_other
    parts = evidence & (lean > 0), evidence & (lean <= 0)
    supported = _is_divided(embeddings, lean, parts, 1.0 - likeness)

    copied = copies_of_one.any(axis=1) & copies_of_other.any(axis=1)
    side_by_side = copied & _share_a_photo(copies_of_one, copies_of_other, photos)
    # Copies that stand side by side as well (a burst) speak for two people where nothing else speaks at all.
    dividing = supported | (side_by_side & ~evidence.any(axis=1))
    if alike is None:
        return dividing, np.zeros_like(dividing)
    same = likeness >= alike
    dividing &= likeness < COPY_SIMILARITY
    dividing &= supported | ~same
    return dividing, ~dividing & (same | (copied & ~side_by_side))


def _is_divided(
    embeddings: NDArray[np.float32],
    lean: NDArray[np.float32],
    parts: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    difference: NDArray[np.float32],
) -> NDArray[np.bool_]:
    """Whether the two parts of the other faces (bool[k, m] each) belong to two people who differ so much, bool[k]."""
    first, second = (part.astype(np.float32) for part in parts)
    sizes = first.sum(axis=1), second.sum(axis=1)
    both = (sizes[0] > 0) & (sizes[1] > 0)
    filled = np.maximum(sizes[0], 1), np.maximum(sizes[1], 1)
    leaning = np.minimum((lean * first).sum(axis=1) / filled[0], -(lean * second).sum(axis=1) / filled[1])
    sums = first @ embeddings, second @ embeddings
    pairs_within = sizes[0] * (sizes[0] - 1) + sizes[1] * (sizes[1] - 1)
    within = np.vecdot(sums[0], sums[0]) + np.vecdot(sums[1], sums[1]) - sizes[0] - sizes[1]
    between = np.vecdot(sums[0], sums[1]) / (filled[0] * filled[1])
    # Of one face each nothing is known but that they lean.
    apart = np.where(pairs_within > 0, within / np.maximum(pairs_within, 1) - between, np.inf)
    asked = np.minimum(LEAN * difference, ENOUGH), np.minimum(APART * difference, ENOUGH)
    divided: NDArray[np.bool_] = both & (leaning >= asked[0]) & (apart >= asked[1])
    return divided


def _share_a_photo(
    ones: NDArray[np.bool_], others: NDArray[np.bool_], photos: NDArray[np.integer]
) -> NDArray[np.bool_]:
    """For each pair, whether a face of ``ones`` stands in a photo with one of ``others`` (bool[k, m] each), bool[k]."""
    result = np.zeros(ones.shape[0], dtype=bool)
    for pair in np.flatnonzero(ones.any(axis=1) & others.any(axis=1)):
        result[pair] = np.intersect1d(photos[ones[pair]], photos[others[pair]]).size > 0
    return result


def pairs_within_photos(photos: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All pairs of rows of one photo, the lower row first, in ascending order; int64[k] each."""
    # In a stable order the rows of a photo ascend: each is paired with the next, the next but one ...
    order = np.argsort(photos, kind="stable").astype(np.int64)
    found = [np.empty((0, 2), dtype=np.int64)]
    for step in range(1, photos.size):
        one, other = order[:-step], order[step:]
        same = photos[one] == photos[other]
        if not same.any():
            break
        found.append(np.column_stack([one[same], other[same]]))
    pairs = np.concatenate(found)
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    return pairs[:, 0], pairs[:, 1]
