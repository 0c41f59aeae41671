"""How good a grouping of faces is, against the truth."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array

from functions.cluster.parameters import DEFAULTS

PLAIN = DEFAULTS.without_rules()
CAPPED = replace(PLAIN, max_distance=DEFAULTS.max_distance)
WIDER_CAP = replace(PLAIN, max_distance=0.65)
ONE_FOR_ALL = replace(DEFAULTS, max_distance=0.65, conflict_similarity=None, join_evidence=0.0)
"""The same likeness asked by clusters of all sizes, and nobody split: what this project set out from."""


@dataclass(frozen=True)
class Quality:
    """BCubed precision, recall and F (noise faces count as clusters of one); clusters of 3 or more faces less than
    80 % of which are one person; clusters of 2 or more; the part of faces in none."""

    precision: float
    recall: float
    f: float
    impure: int
    clusters: int
    noise: float


def quality(labels: NDArray[np.integer], identity: NDArray[np.integer]) -> Quality:
    """Compare int[n] ``labels`` (-1 for noise) with int[n] ``identity``; n must be at least 1."""
    count = labels.shape[0]
    alone = np.flatnonzero(labels < 0)
    groups = labels.astype(np.int64)
    groups[alone] = groups.max(initial=-1) + 1 + np.arange(alone.size)
    _, group = np.unique(groups, return_inverse=True)
    _, person = np.unique(identity, return_inverse=True)
    table = coo_array((np.ones(count), (group, person))).tocsr().tocoo()
    group_sizes, person_sizes = np.bincount(group), np.bincount(person)
    precision = float((table.data**2 / group_sizes[table.row]).sum() / count)
    recall = float((table.data**2 / person_sizes[table.col]).sum() / count)
    purity = np.zeros(group_sizes.shape[0])
    np.maximum.at(purity, table.row, table.data / group_sizes[table.row])
    return Quality(
        precision=precision,
        recall=recall,
        f=2 * precision * recall / (precision + recall),
        impure=int(((purity < 0.8) & (group_sizes >= 3)).sum()),
        clusters=int((group_sizes >= 2).sum()),
        noise=alone.size / count,
    )
