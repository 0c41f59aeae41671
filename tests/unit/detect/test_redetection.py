"""Which detections are the faces already known, and which are those that were purged."""

from __future__ import annotations

from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from functions.detect.boxes import Box, box_iou
from functions.detect.redetection import (
    SAME_PLACE_IOU,
    KnownFace,
    KnownFaces,
    Picture,
    Redetection,
    Tombstone,
    recognise_known_faces,
)

MEDIA = UUID("11111111-2222-4333-8444-555555555555")

_part = st.floats(0.02, 0.98)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    """A box within the photo."""
    left, right = sorted((draw(_part), draw(_part)))
    top, bottom = sorted((draw(_part), draw(_part)))
    return Box(left, top, max(right - left, 0.01), max(bottom - top, 0.01))


@st.composite
def jittered(draw: st.DrawFn, box: Box) -> Box:
    """A box that overlaps ``box`` by far more than half."""
    by = st.floats(-0.05, 0.05)
    return Box(min(max(box.x + draw(by) * box.w, 0.0), 1.0), min(max(box.y + draw(by) * box.h, 0.0), 1.0), box.w, box.h)


# Nine places that do not touch each other.
_GRID = [Box(0.33 * column + 0.02, 0.33 * row + 0.02, 0.2, 0.2) for row in range(3) for column in range(3)]
_identified = st.dictionaries(st.uuids(), boxes(), max_size=8)


def recognise(
    detected: list[Box], existing: dict[UUID, Box] | None = None, tombstones: list[Box] | None = None
) -> Redetection:
    """In the same bytes: place alone decides."""
    return recognise_known_faces(MEDIA, 7, detected, existing or {}, tombstones or [], is_same_face=lambda *_: True)


@given(st.lists(boxes(), max_size=8), _identified, st.lists(boxes(), max_size=4))
def test_every_known_face_is_found_at_most_once_and_known_or_gone(
    detected: list[Box], existing: dict[UUID, Box], tombstones: list[Box]
) -> None:
    found = recognise(detected, existing, tombstones)
    assert len(found.face_ids) == len(detected)
    kept = [face_id for face_id in found.face_ids if face_id in existing]
    assert len(kept) == len(set(kept))
    assert set(kept) == found.known
    assert found.known | found.gone == set(existing)
    assert not found.known & found.gone


@given(st.lists(boxes(), max_size=8), _identified, st.lists(boxes(), max_size=4))
def test_only_a_box_that_overlaps_by_more_than_half_keeps_an_id_or_is_a_purged_face(
    detected: list[Box], existing: dict[UUID, Box], tombstones: list[Box]
) -> None:
    found = recognise(detected, existing, tombstones)
    for box, face_id in zip(detected, found.face_ids, strict=True):
        if face_id is None:
            assert any(box_iou(box, tombstone) > SAME_PLACE_IOU for tombstone in tombstones)
        elif face_id in existing:
            assert box_iou(box, existing[face_id]) > SAME_PLACE_IOU
        else:
            assert not any(box_iou(box, tombstone) > SAME_PLACE_IOU for tombstone in tombstones)


@given(st.lists(boxes(), max_size=8), _identified)
def test_no_detection_and_known_face_that_overlap_are_both_left_over(
    detected: list[Box], existing: dict[UUID, Box]
) -> None:
    found = recognise(detected, existing)
    for box, face_id in zip(detected, found.face_ids, strict=True):
        if face_id not in existing:
            assert not any(box_iou(box, existing[gone]) > SAME_PLACE_IOU for gone in found.gone)


@given(st.data(), st.permutations(range(len(_GRID))), st.integers(0, len(_GRID)))
def test_faces_that_moved_a_little_keep_their_ids_whatever_the_order(
    data: st.DataObject, order: list[int], known: int
) -> None:
    existing = {uuid4(): box for box in _GRID[:known]}
    detected = [data.draw(jittered(_GRID[place])) for place in order]
    found = recognise(detected, existing)
    by_place = dict(zip(order, found.face_ids, strict=True))
    for place, face_id in enumerate(existing):
        assert by_place[place] == face_id
    assert not found.gone
    assert len(set(found.face_ids)) == len(detected)


@given(st.lists(boxes(), min_size=1, max_size=8), _identified, st.randoms(use_true_random=False))
def test_the_order_of_rows_in_the_database_does_not_matter(
    detected: list[Box], existing: dict[UUID, Box], random: object
) -> None:
    shuffled = list(existing.items())
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis' own random.Random
    assert recognise(detected, existing) == recognise(detected, dict(shuffled))


@given(st.lists(st.sampled_from(_GRID), unique=True, max_size=9))
def test_doing_it_again_after_a_crash_gives_the_same_ids_and_writing_then_looking_again_changes_nothing(
    detected: list[Box],
) -> None:
    first = recognise(detected)
    assert recognise(detected) == first
    written = {face_id: box for face_id, box in zip(first.face_ids, detected, strict=True) if face_id}
    again = recognise(detected, written)
    assert again.face_ids == first.face_ids
    assert not again.gone


def test_another_generation_or_photo_gives_other_ids() -> None:
    box = [_GRID[0]]
    ids = {
        recognise_known_faces(media_id, generation, box, {}, [], is_same_face=lambda *_: True).face_ids[0]
        for media_id in (MEDIA, uuid4())
        for generation in (7, 8)
    }
    assert len(ids) == 4


def test_the_larger_overlap_is_decided_first() -> None:
    near, nearer = Box(0.10, 0.1, 0.2, 0.2), Box(0.14, 0.1, 0.2, 0.2)
    detected = Box(0.15, 0.1, 0.2, 0.2)
    far_id, near_id = uuid4(), uuid4()
    found = recognise([detected], {far_id: near, near_id: nearer})
    assert found.face_ids == (near_id,)
    assert found.gone == {far_id}


def test_a_known_face_is_kept_where_another_was_purged_at_the_same_place() -> None:
    # Somebody stood in front of somebody else: the purge was of the other.
    face_id = uuid4()
    assert recognise([_GRID[0]], {face_id: _GRID[0]}, [_GRID[0]]).face_ids == (face_id,)


def test_a_purged_face_does_not_come_back_and_its_neighbour_stays() -> None:
    found = recognise([_GRID[0], _GRID[1]], {}, [_GRID[0]])
    assert found.face_ids[0] is None
    assert found.face_ids[1] is not None


def test_half_an_overlap_is_not_enough() -> None:
    box = Box(0.0, 0.0, 0.2, 0.2)
    moved = Box(0.2 / 3, 0.0, 0.2, 0.2)
    assert abs(box_iou(box, moved) - 0.5) < 1e-9
    half = Box(0.07, 0.0, 0.2, 0.2)
    face_id = uuid4()
    assert recognise([half], {face_id: box}).gone == {face_id}


# ------------------------------------------------------------ another picture


@given(st.data(), st.lists(boxes(), max_size=8), _identified)
def test_in_other_bytes_only_the_same_face_keeps_an_id_and_nobody_gets_an_old_one(
    data: st.DataObject, detected: list[Box], existing: dict[UUID, Box]
) -> None:
    pairs = [(index, face_id) for index in range(len(detected)) for face_id in existing]
    alike = set(data.draw(st.lists(st.sampled_from(pairs), unique=True))) if pairs else set()
    found = recognise_known_faces(
        MEDIA, 7, detected, existing, [], is_same_face=lambda index, face_id: (index, face_id) in alike
    )
    for index, (box, face_id) in enumerate(zip(detected, found.face_ids, strict=True)):
        assert face_id is not None
        if face_id in existing:
            assert (index, face_id) in alike
            assert box_iou(box, existing[face_id]) > SAME_PLACE_IOU
    assert len(set(found.face_ids)) == len(detected)
    for index, face_id in alike:
        if box_iou(detected[index], existing[face_id]) > SAME_PLACE_IOU:
            assert face_id in found.known or found.face_ids[index] in found.known, "neither of the two is left over"


def test_a_better_overlap_with_a_stranger_does_not_take_the_place_of_the_same_face() -> None:
    old, detected = uuid4(), [Box(0.1, 0.1, 0.2, 0.2), Box(0.12, 0.1, 0.2, 0.2)]
    found = recognise_known_faces(MEDIA, 7, detected, {old: detected[0]}, [], is_same_face=lambda index, _: index == 1)
    assert found.face_ids[1] == old
    assert found.face_ids[0] not in (old, None)


@given(st.lists(st.sampled_from(_GRID), min_size=1, unique=True, max_size=9))
def test_a_new_face_never_gets_the_id_of_an_old_one_at_the_same_place_and_generation(detected: list[Box]) -> None:
    before = [face_id for face_id in recognise(detected).face_ids if face_id]
    existing = dict(zip(before, detected, strict=True))
    strangers = recognise_known_faces(MEDIA, 7, detected, existing, [], is_same_face=lambda *_: False)
    assert not set(strangers.face_ids) & set(before)
    assert strangers == recognise_known_faces(MEDIA, 7, detected, existing, [], is_same_face=lambda *_: False)
    assert strangers.gone == set(before)


def test_two_detections_at_one_place_are_two_faces() -> None:
    one, other = recognise([_GRID[0], _GRID[0]]).face_ids
    assert one != other


_checksums = st.sampled_from([None, "AAAAAA==", "BBBBBB=="])
_hashes = st.sampled_from([None, bytes(32), bytes([255] * 3) + bytes(29), bytes([255] * 32)])
_pictures = st.builds(Picture, _checksums, _hashes)


@given(_pictures, _pictures)
def test_a_tombstone_applies_to_its_own_picture_and_to_its_re_encodings_alone(purged: Picture, seen: Picture) -> None:
    applies = KnownFaces(Picture(), (), (Tombstone(_GRID[0], purged),)).purged_places(seen) == (_GRID[0],)
    if purged.crc32c is None:
        assert applies, "purged before pictures were noted"
    elif purged.crc32c == seen.crc32c:
        assert applies
    elif purged.perceptual_hash is None or seen.perceptual_hash is None:
        assert not applies
    else:
        differ = int.from_bytes(purged.perceptual_hash) ^ int.from_bytes(seen.perceptual_hash)
        assert applies == (differ.bit_count() <= 24)


@given(_pictures, _pictures, st.integers(1, 3), st.integers(1, 3))
def test_place_decides_alone_only_in_the_same_bytes(last: Picture, seen: Picture, found_in: int, now: int) -> None:
    face = KnownFace(uuid4(), _GRID[0], found_in, has_embedding=True, thumbnail=None)
    decides = bool(KnownFaces(last, (face,), ()).in_same_bytes(seen, now))
    assert decides == (last.crc32c == seen.crc32c if last.crc32c else found_in == now)
