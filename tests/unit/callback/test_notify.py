"""The words that people are told."""

from __future__ import annotations

import pytest

from functions.callback.wording import clustering_finished


@pytest.mark.parametrize(
    ("language", "persons", "text"),
    [
        ("fr", 0, "Analyse terminée : 0 personne détectée"),
        ("fr", 1, "Analyse terminée : 1 personne détectée"),
        ("fr", 2, "Analyse terminée : 2 personnes détectées"),
        ("fr", 15, "Analyse terminée : 15 personnes détectées"),
        ("en", 0, "Analysis finished: 0 people found"),
        ("en", 1, "Analysis finished: 1 person found"),
        ("en", 15, "Analysis finished: 15 people found"),
        ("de", 2, "Analysis finished: 2 people found"),
    ],
)
def test_the_end_of_a_clustering_is_told_in_the_event_s_language(language: str, persons: int, text: str) -> None:
    assert clustering_finished(language, persons) == text
