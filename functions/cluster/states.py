"""Faces and persons before a clustering run, and the changes that it plans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

PersonStatus = Literal["pending", "linked", "invited", "ignored", "merged"]


@dataclass(frozen=True)
class FaceState:
    """One face as it stands before the run."""

    face_id: UUID
    media_id: UUID
    person_id: UUID | None = None
    """The person the face is in now."""
    placed_by_human: bool = False
    """A human put the face where it is, which may be nowhere (``person_id`` None); no run moves it."""
    rejected_person_ids: frozenset[UUID] = frozenset()
    """Persons of whom a human said that this face is not them."""
    quality_score: float = 1.0
    """The detector's confidence in [0, 1]."""
    sharpness: float | None = None
    """The detector's sharpness measure, 0 or more."""
    yaw: float | None = None
    """Turned sideways, degrees."""
    pitch: float | None = None
    """Turned up or down, degrees."""
    roll: float | None = None
    """Tilted in the image plane, degrees; alignment undoes it."""
    size_px: float = 112.0
    """The shorter side of the face's box in pixels of the photo."""
    cover_score: float = 0.0
    """How well the face stands for its person, in [0, 1]: ``trombi_cover_score`` of SQL; less 2 without a picture."""


@dataclass(frozen=True)
class PersonState:
    """One ``face_persons`` row as it stands before the run."""

    person_id: UUID
    status: PersonStatus = "pending"
    merged_into_id: UUID | None = None
    representative_face_id: UUID | None = None
    cluster_label: int | None = None
    cover_chosen_by_human: bool = False
    touched_by_human: bool = False
    """A human decided something on this person (created, split, renamed …): it stays even when empty."""
    said_to_be_one: bool = False
    """A human answered that this person is not two people."""


@dataclass(frozen=True)
class NewPerson:
    """A pending person to create; ``cluster_label`` is the lowest numbers no person of the event has."""

    person_id: UUID
    cluster_label: int


@dataclass(frozen=True)
class PersonSummary:
    """What ``face_persons.metadata`` says of a person: number of faces, mean ``quality_score`` in [0, 1]."""

    face_count: int
    avg_quality: float


@dataclass(frozen=True)
class Suggestion:
    """A question to a human: is this face that person? ``score`` is the cosine similarity between them."""

    face_id: UUID
    person_id: UUID
    score: float


@dataclass(frozen=True)
class MergeSuggestion:
    """A question: are these two one person? The first is the one to keep: held by a human, else the larger."""

    into_person_id: UUID
    from_person_id: UUID
    score: float


@dataclass(frozen=True)
class SplitSuggestion:
    """A question: is this person two people? ``face_ids`` are the smaller half.

    ``score`` is 1 less the mean cosine between the halves, or between two faces that stand side by side.
    """

    person_id: UUID
    face_ids: tuple[UUID, ...]
    score: float


@dataclass(frozen=True)
class Plan:
    """What a run changes, and only that; applying it and planning again on the same labels changes nothing."""

    assignments: Mapping[UUID, UUID | None]
    """Face → its person from now on, for the faces whose person changes."""
    new_persons: tuple[NewPerson, ...]
    emptied_persons: tuple[UUID, ...]
    """Pending persons without any face left that no human touched: to be deleted."""
    representatives: Mapping[UUID, UUID | None]
    """Person → cover face, for the persons whose cover changes."""
    suggestions: tuple[Suggestion, ...]
    """All that hold now: they replace the open suggestions of the run before."""
    merge_suggestions: tuple[MergeSuggestion, ...]
    """All that hold now."""
    split_suggestions: tuple[SplitSuggestion, ...]
    """All that hold now."""
    summaries: Mapping[UUID, PersonSummary]
    """Of every person that has faces after the run, changed or not."""
    moved_faces: int
    """Faces that were in a person and are now in another, or in none."""
    faces_with_person_before: int

    @property
    def churn(self) -> float:
        """The part of the faces that had a person and changed it, in [0, 1]."""
        return self.moved_faces / self.faces_with_person_before if self.faces_with_person_before else 0.0

    @property
    def changes_nothing(self) -> bool:
        """Whether no face, person or cover changes (suggestions and summaries may)."""
        return not (self.assignments or self.new_persons or self.emptied_persons or self.representatives)
