"""Labelled faces of real photos as embeddings of the pack `mini`, where they lie beside the repository."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.simulated_events import unit

FOLDER = Path(__file__).parents[2] / "shared" / "embeddings"
NAMES = ("football", "lfw10", "movies", "sitcom", "sports")
HOW_TO_GET = (
    f"labelled embeddings ({', '.join(NAMES)}) belong in {FOLDER.parent.name}/{FOLDER.name} beside the repository"
)


@dataclass(frozen=True)
class LabelledFaces:
    """The faces of one set: ``embeddings`` float32[n, 192] of length 1; ``who`` str[n], a labelled person's name, ""
    for a stranger (each for themselves), "?" for a face nobody labelled; ``photo`` int32[n]; ``score`` and
    ``sharpness`` as detect measures them."""

    embeddings: NDArray[np.float32]
    who: NDArray[np.str_]
    photo: NDArray[np.int32]
    score: NDArray[np.float32]
    sharpness: NDArray[np.float32]


def labelled_faces(name: str) -> LabelledFaces | None:
    """Read one set; None where it is not there."""
    path = FOLDER / f"{name}.npz"
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as columns:
        return LabelledFaces(
            unit(columns["embedding"]), columns["who"], columns["photo"], columns["score"], columns["sharpness"]
        )
