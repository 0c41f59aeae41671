"""Events whose embeddings have the statistics of a model pack: who is in which photo, and how alike their faces are.

A face is ``quality * identity + nuisance + noise``, brought to length 1. Identities and noise live in a space of
axes of unequal weight, some of which count, so that strangers' cosines scatter as the pack's do. Some faces are bursts,
nearly the same picture twice; some are of bystanders who appear once or twice; some heads are too blurred to tell
anybody by, and alike for that reason alone; some guests are siblings, twins, or babies.

`ARCFACE` follows what is published of ArcFace: strangers at 0 ± .07, good frontal faces of one person at .6 to .7,
profiles at .25 to .4 to the rest. `MINI` follows five labelled sets of real photos embedded with the pack `mini`
(884 faces of 55 people); tests/unit/cluster/test_simulated_events.py says how closely.

What the simulation cannot show: that real photos differ from event to event (strangers scatter by .14 in one set and by
.17 in another), that a set has look-alikes nobody planned, that likeness depends on age, skin, glasses and light, that
blur comes in degrees, and that a pack's scores and sharpness follow what a camera did. Constants are therefore chosen
on real photos, and the simulation is for what those are too few for: rare constellations, sizes, orders and lots.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from uuid import UUID, uuid5

import numpy as np
from numpy.typing import NDArray

from functions.cluster.states import FaceState

_NAMES = UUID("6f0a4c0e-6d1c-5b0f-9a55-0f5f0d5f7a11")


@dataclass(frozen=True)
class Statistics:
    """How a pack's embeddings scatter, and what its detector says of good and of poor faces.

    Faces come in three kinds: good, middling and hard (profiles, partly covered). ``quality`` is a face's cosine to
    its person's identity: mean and standard deviation by kind; ``nuisance`` the strength of what profiles, blur and
    covering add, by kind.
    """

    dimensions: int
    effective_dimensions: float
    """Strangers' cosines scatter by about one over its square root."""
    shared: float
    """The length of what all identities share; its square is the mean cosine of strangers."""
    quality: tuple[float, float, float]
    quality_spread: tuple[float, float, float]
    nuisance: tuple[float, float, float]
    person_spread: float = 0.0
    """By how much people differ in how alike their own faces are (standard deviation of ``quality``)."""
    blur: tuple[float, float] = (0.74, 0.14)
    """The cosine of a head too blurred to tell anybody by to what all such heads share: mean and deviation."""
    blurred_identity: float = 0.35
    """… and to the identity of whose it is."""


ARCFACE = Statistics(
    dimensions=512,
    effective_dimensions=200.0,
    shared=0.2,
    quality=(0.835, 0.74, 0.45),
    quality_spread=(0.075, 0.09, 0.07),
    nuisance=(0.0, 0.22, 0.33),
)
MINI = Statistics(
    dimensions=192,
    effective_dimensions=47.0,
    shared=0.2,
    quality=(0.86, 0.76, 0.55),
    quality_spread=(0.055, 0.07, 0.08),
    nuisance=(0.0, 0.2, 0.3),
    person_spread=0.035,
)


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
    statistics: Statistics = ARCFACE
    photos_each: int | None = None
    """Every guest is in 1 to so many photos, few of them in many, as most guests of real events are; ``persons``,
    ``popularity`` and ``bystanders`` then do not count."""
    blurred: float = 0.0
    """Heads of strangers too blurred to tell anybody by, as a part of the faces."""
    blurred_guests: float = 0.0
    """The part of the guests' own faces that are as blurred as that."""
    twins: int = 0
    """Pairs of twins among the first guests, each in most of the photos of the other."""
    twin_cosine: float = 0.97
    """Between the identities of twins; their faces are then about .7 alike, side by side in one photo about .85."""
    babies: int = 0
    """Guests, the last ones, who are all about as alike as babies of different families: .62 to .73."""
    baby_cosine: float = 0.93


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


MINI_SCENARIOS: dict[str, Scenario] = {
    "party": Scenario(statistics=MINI, main_persons=2, main_presence=0.3, blurred=0.05, blurred_guests=0.01),
    "few photos each": Scenario(statistics=MINI, photos_each=8, siblings=0.0, bursts=0.05, blurred=0.05),
    "blurred heads": Scenario(statistics=MINI, faces=300, blurred=0.25, blurred_guests=0.05),
    "families": Scenario(statistics=MINI, main_persons=0, photos_each=8, siblings=0.4, twins=2, babies=4, bursts=0.05),
}
"""Events as the pack `mini` sees them."""


@dataclass(frozen=True)
class SimulatedEvent:
    """One event: ``embeddings`` float32[n, d] of length 1; ``identity`` int64[n], who each face really is."""

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
    seen = round(scenario.faces * (1.0 - scenario.blurred))
    if scenario.photos_each is None:
        identity, photo = _attendance(rng, replace(scenario, faces=seen))
        guests = _guests(scenario)
    else:
        identity, photo = _attendance_of_few_photos(rng, replace(scenario, faces=seen))
        guests = int(identity.max()) + 1
    identities = _identities(rng, scenario, int(identity.max()) + 1, guests)
    embeddings = _side_by_side(scenario, _portraits(rng, scenario, identities, identity), identity, photo)
    poor = np.zeros(seen, dtype=bool)
    if scenario.blurred or scenario.blurred_guests:
        poor = np.asarray((rng.random(seen) < scenario.blurred_guests) & (identity < guests))
        embeddings[poor] = _blurred(rng, scenario.statistics, identities[identity[poor]])
    if seen < scenario.faces:
        strangers = scenario.faces - seen
        identity = np.append(identity, int(identity.max()) + 1 + np.arange(strangers))
        photo = np.append(photo, rng.integers(0, int(photo.max()) + 1, strangers))
        heads = _blurred(rng, scenario.statistics, unit(_gaussian(rng, strangers, scenario.statistics)))
        embeddings = np.concatenate([embeddings, heads])
        poor = np.append(poor, np.ones(strangers, dtype=bool))
    faces = [
        FaceState(
            face_id=uuid5(_NAMES, f"{seed}/face/{row}"),
            media_id=uuid5(_NAMES, f"{seed}/photo/{photo[row]}"),
            quality_score=0.9,
        )
        for row in range(identity.shape[0])
    ]
    if scenario.statistics is not ARCFACE:
        faces = _as_detected(rng, faces, poor)
    return SimulatedEvent(embeddings, identity, photo, faces)


def in_lots(event: SimulatedEvent, lots: int, seed: int) -> list[NDArray[np.int64]]:
    """What is there after each lot, when the event's photos arrive in random order in so many: rows, ascending."""
    rng = np.random.default_rng(seed)
    photos = np.unique(event.photo)
    lot_of_photo = np.sort(rng.integers(0, lots, photos.size))
    lot_of_photo[-1] = lots - 1
    lot = np.zeros(int(photos.max()) + 1, dtype=np.int64)
    lot[rng.permutation(photos)] = lot_of_photo
    return [np.flatnonzero(lot[event.photo] <= number) for number in range(lots)]


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


def _attendance_of_few_photos(
    rng: np.random.Generator, scenario: Scenario
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """As `_attendance`, of guests of whom half are in one or two photos; guests are numbered in random order."""
    most = scenario.photos_each or 1
    counts: list[int] = []
    while sum(counts) < scenario.faces:
        counts.append(max(1, round(most / int(rng.integers(1, most + 1)))))
    left = np.repeat(np.arange(len(counts)), counts)[: scenario.faces]
    left = left[rng.permutation(left.size)]
    identity: list[int] = []
    photo: list[int] = []
    number = 0
    while left.size:
        places = min(1 + int(rng.poisson(scenario.faces_per_photo)), 12)
        _, first = np.unique(left[: 3 * places], return_index=True)
        chosen = np.sort(first)[:places]
        identity += sorted(left[chosen].tolist())
        photo += [number] * chosen.size
        left = np.delete(left, chosen)
        number += 1
    return _with_twins_side_by_side(rng, scenario, np.array(identity), np.array(photo))


def _with_twins_side_by_side(
    rng: np.random.Generator, scenario: Scenario, identity: NDArray[np.int64], photo: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Move faces of the second of each pair of twins into photos of the first, as long as there are any."""
    for pair in range(scenario.twins):
        one, other = 2 * pair, 2 * pair + 1
        free = rng.permutation(np.setdiff1d(photo[identity == one], photo[identity == other]))
        moved = np.flatnonzero((identity == other) & ~np.isin(photo, photo[identity == one]))[: free.size]
        photo[moved] = free[: moved.size]
    return identity, photo


def _identities(rng: np.random.Generator, scenario: Scenario, count: int, guests: int) -> NDArray[np.float32]:
    statistics = scenario.statistics
    identities = unit(_gaussian(rng, count, statistics) + statistics.shared * _common_directions(statistics)[0])
    first = 0 if scenario.siblings_among_main else scenario.main_persons
    pairs = max(int(guests * scenario.siblings / 2), int(scenario.siblings_among_main))
    for pair in range(pairs):
        one, other = first + 2 * pair, first + 2 * pair + 1
        if other >= guests:
            break
        cosine = scenario.twin_cosine if one < 2 * scenario.twins else scenario.sibling_cosine
        identities[other] = _alike(identities[other], identities[one], cosine)
    if scenario.babies:
        baby = unit(_gaussian(rng, 1, statistics))[0]
        for guest in range(max(0, guests - scenario.babies), guests):
            identities[guest] = _alike(identities[guest], baby, np.sqrt(scenario.baby_cosine))
    return identities


def _alike(identity: NDArray[np.float32], other: NDArray[np.float32], cosine: float) -> NDArray[np.float32]:
    """The identity moved so that its cosine to the other is as given."""
    apart = identity - (identity @ other) * other
    return np.asarray(cosine * other + np.sqrt(1 - cosine**2) * unit(apart), dtype=np.float32)


def _portraits(
    rng: np.random.Generator,
    scenario: Scenario,
    identities: NDArray[np.float32],
    identity: NDArray[np.int64],
) -> NDArray[np.float32]:
    count, statistics = identity.shape[0], scenario.statistics
    draw = rng.random(count)
    kind = np.where(draw < scenario.hard, 2, np.where(draw < scenario.hard + scenario.middling, 1, 0))
    mean, spread = np.array(statistics.quality)[kind], np.array(statistics.quality_spread)[kind]
    if statistics.person_spread:
        of_person = np.asarray(rng.normal(0.0, statistics.person_spread, identities.shape[0]))
        mean = mean + of_person[identity]
    quality = np.clip(rng.normal(mean, spread), 0.2, 0.96)
    strength = np.array(statistics.nuisance)[kind] * np.clip(rng.normal(1.0, 0.25, count), 0.0, 2.0)
    nuisance = _common_directions(statistics)[1 + rng.integers(0, 4, count)]
    rest = np.sqrt(np.maximum(1.0 - quality**2 - strength**2, 0.02))
    faces = unit(
        quality[:, None] * identities[identity]
        + strength[:, None] * nuisance
        + rest[:, None] * unit(_gaussian(rng, count, statistics))
    )
    again = np.asarray(rng.random(count) < scenario.bursts)
    last: dict[int, int] = {}
    for row, person in enumerate(identity.tolist()):
        if again[row] and person in last:
            faces[row] = unit(0.96 * faces[last[person]] + 0.28 * unit(_gaussian(rng, 1, statistics))[0])
        last[person] = row
    return faces


def _side_by_side(
    scenario: Scenario, faces: NDArray[np.float32], identity: NDArray[np.int64], photo: NDArray[np.int64]
) -> NDArray[np.float32]:
    """The faces, those of twins in one photo made more alike: light and lens are the same for both."""
    row_of = {place: row for row, place in enumerate(zip(photo.tolist(), identity.tolist(), strict=True))}
    for (number, person), row in row_of.items():
        if person < 2 * scenario.twins and person % 2 and (number, person - 1) in row_of:
            faces[row] = unit(0.25 * faces[row_of[number, person - 1]] + 0.75 * faces[row])
    return faces


def _blurred(rng: np.random.Generator, statistics: Statistics, identities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Heads too blurred to tell anybody by, one for each identity: float32[n, d] of length 1."""
    count = identities.shape[0]
    blur = np.clip(rng.normal(*statistics.blur, count), 0.1, 0.93)
    whose = np.minimum(statistics.blurred_identity, np.sqrt(1.0 - blur**2) * 0.9)
    rest = np.sqrt(np.maximum(1.0 - blur**2 - whose**2, 0.0))
    shared = _common_directions(statistics)[5]
    noise = unit(_gaussian(rng, count, statistics))
    return unit(blur[:, None] * shared + whose[:, None] * identities + rest[:, None] * noise)


def _as_detected(rng: np.random.Generator, faces: list[FaceState], poor: NDArray[np.bool_]) -> list[FaceState]:
    """The faces with a detector's score and a sharpness, distributed as in the labelled sets."""
    count = len(faces)
    score = np.where(poor, rng.normal(0.68, 0.1, count), rng.normal(0.92, 0.025, count)).clip(0.5, 0.98)
    sharpness = np.exp(np.where(poor, rng.normal(np.log(6.5), 1.1, count), rng.normal(np.log(330), 0.8, count)))
    return [
        replace(face, quality_score=float(score[row]), sharpness=float(sharpness[row]))
        for row, face in enumerate(faces)
    ]


@cache
def _axes(statistics: Statistics) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Standard deviations along the axes (exponential, effective number as given) and a rotation of them."""
    index = np.arange(statistics.dimensions)
    low, high = 1e-4, 1.0
    for _ in range(60):
        decay = (low + high) / 2
        variance = np.exp(-decay * index)
        if variance.sum() ** 2 / (variance**2).sum() > statistics.effective_dimensions:
            low = decay
        else:
            high = decay
    square = (statistics.dimensions, statistics.dimensions)
    rotation, _ = np.linalg.qr(np.random.default_rng(12345).standard_normal(square))
    return np.sqrt(variance / variance.sum()).astype(np.float32), rotation.astype(np.float32)


@cache
def _common_directions(statistics: Statistics) -> NDArray[np.float32]:
    """What all embeddings share, four nuisances (left and right profile, blur, covering), and what heads too blurred
    to tell anybody by share; float32[6, d]."""
    nuisances = unit(_gaussian(np.random.default_rng(54321), 5, statistics))
    return np.concatenate([nuisances, unit(_gaussian(np.random.default_rng(54322), 1, statistics))])


def _gaussian(rng: np.random.Generator, count: int, statistics: Statistics) -> NDArray[np.float32]:
    deviations, rotation = _axes(statistics)
    drawn = rng.standard_normal((count, statistics.dimensions), dtype=np.float32) * deviations
    return np.asarray(drawn @ rotation, dtype=np.float32)
