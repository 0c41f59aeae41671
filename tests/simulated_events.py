"""Events whose embeddings have the statistics of ArcFace: who is in which photo, and how alike their faces are.

A face is ``quality * identity + nuisance + noise``, brought to length 1. Identities and noise live in 512 dimensions
of unequal weight, about 200 of which count, so that strangers' cosine is 0 ± 0.07. Good frontal faces of one person
have cosines of .6 to .7, profiles .25 to .4 to the rest, siblings .35 to each other; some faces are bursts, nearly the
same picture twice; some are of bystanders who appear once or twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from uuid import UUID, uuid5

import numpy as np
from numpy.typing import NDArray

from functions.cluster.states import FaceState

DIMENSIONS = 512
EFFECTIVE_DIMENSIONS = 200.0
_NAMES = UUID("6f0a4c0e-6d1c-5b0f-9a55-0f5f0d5f7a11")


@dataclass(frozen=True)
class Scenario:
    """What kind of event: who comes, who stands with whom, and how well they are photographed."""

    faces: int = 1000
    persons: int | None = None
    """Guests; by default one for 25 faces."""
    main_persons: int = 1
    """The couple, the child whose birthday it is …"""
    main_presence: float = 0.0
    """The part of the photos in which each of the main persons is, beside the chance that all guests have."""
    popularity: float = 1.0
    """Zipf exponent: how unevenly guests are photographed."""
    bystanders: float = 0.15
    """The part of the places in photos taken by people who appear once or twice."""
    faces_per_photo: float = 1.6
    """Mean of the Poisson number of faces beyond the first; at most 12 faces in all."""
    hard: float = 0.10
    """The part of faces that are profiles, blurred or covered."""
    middling: float = 0.20
    bursts: float = 0.15
    siblings: float = 0.1
    """The part of the guests that have a sibling in the event."""
    siblings_among_main: bool = False
    """Whether the first two main persons are siblings."""
    sibling_cosine: float = 0.53
    """Between the identities of two siblings; at .53 their faces have cosines around .35."""


SCENARIOS: dict[str, Scenario] = {
    "wedding": Scenario(main_persons=2, main_presence=0.3),
    "hard": Scenario(main_persons=2, main_presence=0.3, hard=0.25, middling=0.3, bursts=0.05),
    "crowd": Scenario(bystanders=0.4, faces_per_photo=2.5),
    "siblings": Scenario(main_persons=2, main_presence=0.3, siblings=0.6),
    "groups": Scenario(faces_per_photo=5.0),
    "main siblings": Scenario(
        main_persons=2, main_presence=0.5, siblings_among_main=True, siblings=0.0, sibling_cosine=0.6
    ),
}


@dataclass(frozen=True)
class SimulatedEvent:
    """One event: ``embeddings`` float32[n, 512] of length 1; ``identity`` int64[n], who each face really is."""

    embeddings: NDArray[np.float32]
    identity: NDArray[np.int64]
    photo: NDArray[np.int64]
    faces: list[FaceState] = field(repr=False)

    def subset(self, rows: NDArray[np.integer]) -> SimulatedEvent:
        """The event with only these faces, in this order."""
        return replace(
            self,
            embeddings=self.embeddings[rows],
            identity=self.identity[rows],
            photo=self.photo[rows],
            faces=[self.faces[row] for row in rows],
        )


def simulate(scenario: Scenario, seed: int) -> SimulatedEvent:
    """An event of exactly ``scenario.faces`` faces; the same seed gives the same event."""
    rng = np.random.default_rng(seed)
    identity, photo = _attendance(rng, scenario)
    identities = _identities(rng, scenario, int(identity.max()) + 1)
    embeddings = _portraits(rng, scenario, identities, identity)
    faces = [
        FaceState(
            face_id=uuid5(_NAMES, f"{seed}/face/{row}"),
            media_id=uuid5(_NAMES, f"{seed}/photo/{photo[row]}"),
            quality_score=0.9,
        )
        for row in range(identity.shape[0])
    ]
    return SimulatedEvent(embeddings, identity, photo, faces)


def unit(rows: NDArray[np.floating]) -> NDArray[np.float32]:
    """The rows brought to length 1, float32."""
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), dtype=np.float32)


def _guests(scenario: Scenario) -> int:
    return scenario.persons or max(3, scenario.faces // 25)


def _attendance(rng: np.random.Generator, scenario: Scenario) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Who is in which photo: identity and photo number of each face. Guests come first, then bystanders."""
    guests = _guests(scenario)
    weights = 1.0 / np.arange(1, guests + 1) ** scenario.popularity
    cumulative = np.cumsum(weights / weights.sum())
    identity: list[int] = []
    photo: list[int] = []
    following, number = guests, 0
    while len(identity) < scenario.faces:
        places = min(1 + int(rng.poisson(scenario.faces_per_photo)), 12)
        present = {p for p in range(scenario.main_persons) if rng.random() < scenario.main_presence}
        for _ in range(50):
            if len(present) >= places:
                break
            if rng.random() >= scenario.bystanders:
                present.add(min(int(np.searchsorted(cumulative, rng.random())), guests - 1))
            elif rng.random() < 0.35 and following > guests:
                present.add(int(rng.integers(max(guests, following - 30), following)))
            else:
                present.add(following)
                following += 1
        identity += sorted(present)
        photo += [number] * len(present)
        number += 1
    return np.array(identity[: scenario.faces]), np.array(photo[: scenario.faces])


def _identities(rng: np.random.Generator, scenario: Scenario, count: int) -> NDArray[np.float32]:
    identities = unit(_gaussian(rng, count) + 0.2 * _common_directions()[0])
    first = 0 if scenario.siblings_among_main else scenario.main_persons
    pairs = max(int(_guests(scenario) * scenario.siblings / 2), int(scenario.siblings_among_main))
    for pair in range(pairs):
        one, other = first + 2 * pair, first + 2 * pair + 1
        if other >= _guests(scenario):
            break
        apart = identities[other] - (identities[other] @ identities[one]) * identities[one]
        cosine = scenario.sibling_cosine
        identities[other] = cosine * identities[one] + np.sqrt(1 - cosine**2) * unit(apart)
    return identities


def _portraits(
    rng: np.random.Generator,
    scenario: Scenario,
    identities: NDArray[np.float32],
    identity: NDArray[np.int64],
) -> NDArray[np.float32]:
    count = identity.shape[0]
    draw = rng.random(count)
    kind = np.where(draw < scenario.hard, 2, np.where(draw < scenario.hard + scenario.middling, 1, 0))
    mean, spread = np.array([0.835, 0.74, 0.45])[kind], np.array([0.075, 0.09, 0.07])[kind]
    quality = np.clip(rng.normal(mean, spread), 0.2, 0.96)
    strength = np.array([0.0, 0.22, 0.33])[kind] * np.clip(rng.normal(1.0, 0.25, count), 0.0, 2.0)
    nuisance = _common_directions()[1 + rng.integers(0, 4, count)]
    rest = np.sqrt(np.maximum(1.0 - quality**2 - strength**2, 0.02))
    faces = unit(
        quality[:, None] * identities[identity]
        + strength[:, None] * nuisance
        + rest[:, None] * unit(_gaussian(rng, count))
    )
    again = np.asarray(rng.random(count) < scenario.bursts)
    last: dict[int, int] = {}
    for row, person in enumerate(identity.tolist()):
        if again[row] and person in last:
            faces[row] = unit(0.96 * faces[last[person]] + 0.28 * unit(_gaussian(rng, 1))[0])
        last[person] = row
    return faces


@cache
def _axes() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Standard deviations along the axes (exponential, effective number as given) and a rotation of them."""
    index = np.arange(DIMENSIONS)
    low, high = 1e-4, 1.0
    for _ in range(60):
        decay = (low + high) / 2
        variance = np.exp(-decay * index)
        if variance.sum() ** 2 / (variance**2).sum() > EFFECTIVE_DIMENSIONS:
            low = decay
        else:
            high = decay
    rotation, _ = np.linalg.qr(np.random.default_rng(12345).standard_normal((DIMENSIONS, DIMENSIONS)))
    return np.sqrt(variance / variance.sum()).astype(np.float32), rotation.astype(np.float32)


@cache
def _common_directions() -> NDArray[np.float32]:
    """What all embeddings share, then four nuisances: left profile, right profile, blur, occlusion; float32[5, d]."""
    return unit(_gaussian(np.random.default_rng(54321), 5))


def _gaussian(rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    deviations, rotation = _axes()
    drawn = rng.standard_normal((count, DIMENSIONS), dtype=np.float32) * deviations
    return np.asarray(drawn @ rotation, dtype=np.float32)
