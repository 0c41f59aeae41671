"""Photos that come in any order, clustered in between or not, end as the same persons while nobody has decided."""

from __future__ import annotations

import random
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from functions.cluster.faces.rules import group_faces
from functions.cluster.persons.plan import applied, person_id_from_faces, plan_persons
from functions.cluster.states import FaceState, PersonState
from functions.detect.engine import Engine
from local.demo.sample_event import make_sample_event
from shared.decode import decode
from tests.pictures import labelled_photos

EVENT_ID = UUID(int=1)


@pytest.fixture(scope="module")
def faces_of_photos(
    mini_pack: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[FaceState], np.ndarray[tuple[int, int], np.dtype[np.float32]]]:
    """The faces of a party: the labelled photos where they are, and the sample event's people."""
    engine = Engine(mini_pack, threads=2)
    labelled = labelled_photos()
    sample = [path for path in make_sample_event(tmp_path_factory.mktemp("party")) if "landscape" not in path.name]
    paths = [*labelled.singles, *labelled.groups, *sample[:15]] if labelled else sample
    faces, embeddings = [], []
    for photo, path in enumerate(paths):
        for number, face in enumerate(engine.detect(decode(path.read_bytes())).faces):
            faces.append(
                FaceState(
                    UUID(int=photo * 100 + number + 1),
                    UUID(int=photo + 1),
                    quality_score=face.quality_score,
                    sharpness=face.sharpness,
                    yaw=face.yaw,
                    pitch=face.pitch,
                    roll=face.roll,
                    size_px=float(face.size_px),
                )
            )
            embeddings.append(face.embedding)
    return faces, np.array(embeddings)


def test_whatever_the_order_of_the_photos_the_persons_are_the_same(
    faces_of_photos: tuple[list[FaceState], np.ndarray[tuple[int, int], np.dtype[np.float32]]],
) -> None:
    faces, embeddings = faces_of_photos
    photos = sorted({face.media_id for face in faces})

    def persons_after(order: list[UUID], stops: list[int]) -> frozenset[frozenset[UUID]]:
        states, persons = list(faces), list[PersonState]()
        for stop in stops:
            arrived = [row for row, face in enumerate(states) if face.media_id in set(order[:stop])]
            present = [states[row] for row in arrived]
            labels = group_faces(embeddings[arrived], present).labels
            plan = plan_persons(embeddings[arrived], present, persons, labels, new_id=person_id_from_faces(EVENT_ID))
            present, persons = applied(plan, present, persons)
            for row, state in zip(arrived, present, strict=True):
                states[row] = state
        members: dict[UUID, set[UUID]] = {}
        for state in states:
            if state.person_id is not None:
                members.setdefault(state.person_id, set()).add(state.face_id)
        return frozenset(frozenset(ids) for ids in members.values())

    at_once = persons_after(photos, [len(photos)])
    assert len(at_once) > 5
    for seed in range(24):
        order = photos.copy()
        rng = random.Random(seed)
        rng.shuffle(order)
        stops = [*sorted(rng.sample(range(3, len(photos)), rng.randint(1, 5))), len(photos)]
        assert persons_after(order, stops) == at_once, f"seed {seed}"
