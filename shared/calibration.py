"""The constants of each model pack, since the meaning of a cosine similarity differs from one embedder to another.

Cluster and admin share them. Each section names the source of its numbers. :func:`read_calibration` reads constants
that were measured elsewhere, from JSON in this format (the environment variable ``FACE_CALIBRATION`` holds the JSON
itself)::

    {
      "version": 1,
      "packs": {
        "buffalo_l": {
          "cluster": {"source": "400 photos of our club, 2026-11", "measured": true,
                      "max_distance": 0.6, "apart_similarity": 0.25, ... every field of ClusterConstants},
          "search": {"source": ..., "measured": true, "likely": 0.45, "possible": 0.3},
          "across_events": {"source": ..., "measured": true, "similarity": 0.5, "margin": 0.1}
        }
      }
    }

A pack is named as in ``FACE_PACK``, or by the whole model id that is stored with embeddings (``mini/mobilefacenet-192@
091d3cf2``), which takes precedence. ``cluster`` must be present and complete; ``search`` and ``across_events`` may be
absent. ``null`` switches a rule off where the field allows it. An unknown or missing field and a number out of range
are errors that name the field. Packs that the JSON does not name keep the constants below.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

Similarity = Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)]
"""A cosine similarity."""
Distance = Annotated[float, Field(gt=0, le=2, allow_inf_nan=False)]
"""A cosine distance."""
Score = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
"""A detector's confidence."""
Difference = Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)]
"""A difference of two cosine similarities."""
Measure = Annotated[float, Field(ge=0, allow_inf_nan=False)]

MOST_PROBLEMS = 5
"""How many problems an error names."""


class _Constants(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _Section(_Constants):
    source: Annotated[str, Field(min_length=1, max_length=500)]
    """Where the numbers come from, for readers of a run's report."""
    measured: bool
    """Whether the numbers were measured on real photos with this pack."""


class ClusterConstants(_Section):
    """The limits of cluster's face rules; ``functions.cluster.parameters`` describes each field. None means "off"."""

    seed_min_quality: Score | None
    seed_min_sharpness: Measure | None
    max_distance: Distance | None
    apart_similarity: Similarity | None
    conflict_similarity: Similarity | None
    same_face_similarity: Similarity | None
    pair_similarity: Similarity | None
    join_similarity: Similarity | None
    join_evidence: Difference
    join_margin: Difference
    keep_similarity: Similarity | None
    fragment_similarity: Similarity
    suggestion_similarity: Similarity
    merge_similarity: Similarity


class SearchConstants(_Section):
    """The cosine similarities from which a search by face calls a result likely or possible."""

    likely: Similarity
    possible: Similarity


class AcrossEventsConstants(_Section):
    """When a face is proposed as a person of another event: the least similarity, and the margin over the next best."""

    similarity: Similarity
    margin: Difference


class PackConstants(_Constants):
    """All constants of one pack."""

    cluster: ClusterConstants
    search: SearchConstants | None = None
    across_events: AcrossEventsConstants | None = None


def _only_an_integer(value: object) -> object:
    """Refuse values that merely equal an integer, such as ``true`` and ``1.0``."""
    if type(value) is not int:
        raise ValueError("a version is an integer")
    return value


class Calibration(_Constants):
    """Constants by the name of a pack or by model id."""

    version: Annotated[Literal[1], BeforeValidator(_only_an_integer)]
    packs: Annotated[Mapping[Annotated[str, Field(pattern=r"^\S+$")], PackConstants], Field(min_length=1)]


class CalibrationError(ValueError):
    """The calibration cannot be used; the message says where it is wrong."""


def read_calibration(text: str) -> Calibration:
    """Parse a calibration from its JSON.

    Raises:
        CalibrationError: no JSON, another version, a missing, unknown or mistyped field, a number out of range.
    """
    try:
        content = json.loads(text)
    except ValueError as error:
        hint = "" if text.lstrip().startswith("{") else " (it must be the JSON itself, not the name of a file)"
        message = f"not JSON: {error}{hint}"
        raise CalibrationError(message) from None
    try:
        return Calibration.model_validate(content)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        texts = [f"{'.'.join(str(part) for part in one['loc']) or 'the whole'}: {one['msg']}" for one in problems]
        more = f" (and {len(texts) - MOST_PROBLEMS} more)" if len(texts) > MOST_PROBLEMS else ""
        raise CalibrationError("; ".join(texts[:MOST_PROBLEMS]) + more) from None


def constants_of(pack: str | None, calibration: Calibration | None = None) -> PackConstants:
    """Return the constants of a pack, given as its name or as the model id that is stored with embeddings.

    ``calibration`` takes precedence over the built-in constants. A variant (``buffalo_l-int8``, ``mini-mirrored``)
    without constants of its own gets its pack's, and an unknown pack gets :data:`UNKNOWN_PACK`; their ``source`` says
    so, and they count as not measured.
    """
    known = calibration.packs if calibration else {}
    for name in _from_special_to_general(pack or ""):
        found = known.get(name) or BUILT_IN.get(name)
        if found:
            is_own = name in (pack, _pack_name(pack or ""))
            return found if is_own else _borrowed(found, f"{_pack_name(pack or '')} has none of its own")
    return _borrowed(UNKNOWN_PACK, f"the pack {_pack_name(pack)} is not known" if pack else "no pack is known")


def _pack_name(pack: str) -> str:
    """Return the pack's name in a model id: the part before the slash."""
    return pack.partition("/")[0]


def _from_special_to_general(pack: str) -> Iterator[str]:
    """Yield the keys by which to look up constants: the whole id, the name, the name without each suffix."""
    yield pack
    name = _pack_name(pack)
    while name:
        yield name
        name = name.rpartition("-")[0]


def _borrowed(constants: PackConstants, reason: str) -> PackConstants:
    sections = (constants.cluster, constants.search, constants.across_events)
    cluster, search, across_events = (
        one and one.model_copy(update={"source": f"{one.source} ({reason})", "measured": False}) for one in sections
    )
    return constants.model_copy(update={"cluster": cluster, "search": search, "across_events": across_events})


_ARCFACE = ClusterConstants(
    source="published and simulated statistics of ArcFace: not measured on photos",
    measured=False,
    seed_min_quality=None,
    seed_min_sharpness=6.0,
    max_distance=0.62,
    apart_similarity=0.25,
    conflict_similarity=0.4,
    same_face_similarity=0.7,
    pair_similarity=0.5,
    join_similarity=0.35,
    join_evidence=0.2,
    join_margin=0.05,
    keep_similarity=None,
    fragment_similarity=0.6,
    suggestion_similarity=0.35,
    merge_similarity=0.5,
)
UNKNOWN_PACK = PackConstants(cluster=_ARCFACE)
"""For an unknown pack: current embedders are trained with losses like ArcFace's."""

BUILT_IN: Mapping[str, PackConstants] = MappingProxyType(
    {
        "mini": PackConstants(
            cluster=ClusterConstants(
                source="884 labelled faces of 55 people on photos of sports, films and groups",
                measured=True,
                seed_min_quality=0.8,
                seed_min_sharpness=15.0,
                max_distance=0.45,
                apart_similarity=0.35,
                conflict_similarity=0.35,
                same_face_similarity=0.7,
                pair_similarity=0.55,
                join_similarity=0.475,
                join_evidence=0.2,
                join_margin=0.1,
                keep_similarity=None,
                fragment_similarity=0.6,
                suggestion_similarity=0.35,
                merge_similarity=0.5,
            ),
        ),
        "buffalo_l": PackConstants(cluster=_ARCFACE),
        "auraface": PackConstants(cluster=_ARCFACE),
    }
)
"""Constants by pack (``functions/detect/pack_list.py``); docs/clustering.md says how they were chosen."""
