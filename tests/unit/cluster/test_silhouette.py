"""The silhouette, against sklearn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from functions.cluster.faces import silhouette
from functions.cluster.faces.rules import group_faces
from functions.cluster.faces.silhouette import sampled_silhouette
from tests.simulated_events import SCENARIOS, simulate


def test_it_is_the_silhouette_of_the_faces_in_clusters() -> None:
    event = simulate(SCENARIOS["wedding"], 1)
    labels = group_faces(event.embeddings, event.faces).labels
    inside = labels >= 0
    expected = silhouette_score(event.embeddings[inside], labels[inside], metric="cosine")
    assert sampled_silhouette(event.embeddings, labels) == pytest.approx(expected, abs=1e-5)


def test_a_sample_comes_near_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    event = simulate(SCENARIOS["wedding"], 1)
    labels = group_faces(event.embeddings, event.faces).labels
    whole = sampled_silhouette(event.embeddings, labels)
    monkeypatch.setattr(silhouette, "SAMPLE", 300)
    assert sampled_silhouette(event.embeddings, labels) == pytest.approx(whole, abs=0.03)


def test_one_cluster_has_none() -> None:
    event = simulate(SCENARIOS["wedding"], 1)
    assert sampled_silhouette(event.embeddings, np.zeros(1000, dtype=np.int32)) is None
    assert sampled_silhouette(event.embeddings, np.full(1000, -1, dtype=np.int32)) is None
    assert sampled_silhouette(np.zeros((0, 4), np.float32), np.zeros(0, dtype=np.int32)) is None
