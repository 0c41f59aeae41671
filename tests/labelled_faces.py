"""Labelled faces of real photos as embeddings, where they lie beside the repository: they are not part of it.

A set is an .npz of n faces: ``embedding`` float32[n, d] (not normalised), ``photo`` int32[n], ``who`` str[n] (a name;
"" for a stranger, each for themselves; "?" for unknown, not scored), and ``score``, ``sharpness``, ``yaw``, ``pitch``,
``roll``, ``size_px`` as detect stores them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid5

import numpy as np
from numpy.typing import NDArray

from functions.cluster.states import FaceState

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "embeddings"
NAMES = ("football", "lfw10", "movies", "sitcom", "sports")
HOW_TO_GET = (
    f"labelled embeddings ({', '.join(NAMES)}) belong in {FOLDER.parent.name}/{FOLDER.name} beside the repository"
)
UNKNOWN = "?"
_NAMES = UUID("0c0f8f3e-53a5-4b80-9d6f-6d8ef3b9a001")


@dataclass(frozen=True)
class LabelledEvent:
    """One event: ``embeddings`` float32[n, d] of length 1, ``who`` str[n], ``photo`` int64[n]."""

    embeddings: NDArray[np.float32]
    who: NDArray[np.str_]
    photo: NDArray[np.int64]
    faces: list[FaceState] = field(repr=False)

    def subset(self, rows: NDArray[np.integer]) -> LabelledEvent:
        """The event with only these faces, in this order."""
        faces = [self.faces[row] for row in rows]
        return LabelledEvent(self.embeddings[rows], self.who[rows], self.photo[rows], faces)

    @property
    def people(self) -> list[str]:
        return [str(name) for name in np.unique(self.who) if name not in ("", UNKNOWN)]


@dataclass(frozen=True)
class Scores:
    """BCubed precision and recall over labelled faces (a face in no person is alone); precision with strangers counted;
    persons of two faces and more less than 80 % of whose faces are of one labelled person."""

    precision: float
    recall: float
    strict: float
    impure: float


def load_sets(folder: Path = FOLDER) -> dict[str, LabelledEvent]:
    """The sets of a folder by name; none where there is no such folder."""
    return {path.stem: _load(path) for path in sorted(folder.glob("*.npz"))}


def together(events: Sequence[LabelledEvent]) -> LabelledEvent:
    """Several sets as one event, whose photos stay apart."""
    offsets = np.cumsum([0, *(int(event.photo.max()) + 1 for event in events[:-1])])
    return LabelledEvent(
        np.concatenate([event.embeddings for event in events]),
        np.concatenate([event.who for event in events]),
        np.concatenate([event.photo + offset for event, offset in zip(events, offsets, strict=True)]),
        [face for event in events for face in event.faces],
    )


def small_event(event: LabelledEvent, seed: int, most: int = 8) -> LabelledEvent:
    """An event in which each labelled person has 1 to ``most`` photos, few of them many, with whoever is in them."""
    random = np.random.default_rng(seed)
    kept: set[int] = set()
    for name in event.people:
        photos = np.unique(event.photo[event.who == name])
        count = min(photos.size, max(1, round(most / int(random.integers(1, most + 1)))))
        kept |= set(random.choice(photos, count, replace=False).tolist())
    return event.subset(np.flatnonzero(np.isin(event.photo, list(kept))))


def scores(event: LabelledEvent, labels: NDArray[np.integer]) -> Scores:
    """Compare int[n] ``labels`` (-1 for none) with who is who."""
    number = np.arange(labels.size)
    who = np.array([name or f"~{row}" for row, name in enumerate(event.who)])
    group = np.where(labels < 0, -number - 1, labels)
    known = who != UNKNOWN
    labelled = known & (event.who != "")
    here, alike = group[:, None] == group, who[:, None] == who
    right = here & alike & labelled
    rows = np.flatnonzero(labelled)
    strict = np.flatnonzero(known & ((labels >= 0) | labelled))
    impure = 0
    for label in np.unique(labels[labels >= 0]):
        _, counts = np.unique(who[(labels == label) & known], return_counts=True)
        impure += int(counts.sum() > 1 and counts.max() < 0.8 * counts.sum())
    return Scores(
        precision=float((right[rows].sum(1) / (here & labelled)[rows].sum(1)).mean()),
        recall=float((right[rows].sum(1) / (alike & labelled)[rows].sum(1)).mean()),
        strict=float(((here & alike & known)[strict].sum(1) / (here & known)[strict].sum(1)).mean()),
        impure=float(impure),
    )


def _load(path: Path) -> LabelledEvent:
    with np.load(path, allow_pickle=False) as columns:
        rows = columns["embedding"]
        faces = [
            FaceState(
                face_id=uuid5(_NAMES, f"{path.stem}/face/{row}"),
                media_id=uuid5(_NAMES, f"{path.stem}/photo/{columns['photo'][row]}"),
                quality_score=float(columns["score"][row]),
                sharpness=float(columns["sharpness"][row]),
                yaw=float(columns["yaw"][row]),
                pitch=float(columns["pitch"][row]),
                roll=float(columns["roll"][row]),
                size_px=float(columns["size_px"][row]),
            )
            for row in range(rows.shape[0])
        ]
        unit = np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)
        return LabelledEvent(unit, columns["who"], columns["photo"].astype(np.int64), faces)
