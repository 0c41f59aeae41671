"""The engine with the real `mini` pack on real photos."""

import io
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from insightface.app import FaceAnalysis
from PIL import Image

from functions.detect.boxes import Box, box_iou
from functions.detect.engine import ENOUGH_TO_DETECT, MAX_EMBEDDING_BATCH, DetectedFace, DetectionResult, Engine
from shared.decode import DecodedPhoto, decode
from tests.pictures import LabelledPhotos, SamplePicture, face_free_pictures, group_photo, labelled_photos, portraits

# What was done to the upright picture so that the EXIF tag's instruction brings it back.
STORED_AS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.fixture(scope="module")
def engine(mini_pack: Path) -> Engine:
    return Engine(mini_pack, threads=2)


@pytest.fixture(scope="module")
def group(engine: Engine) -> DetectionResult:
    return engine.detect(read(group_photo().path))


@pytest.fixture
def altered(mini_pack: Path) -> Engine:
    """An engine of the test's own, to put something between it and its networks."""
    return Engine(mini_pack, threads=2)


def read(path: Path) -> DecodedPhoto:
    return decode(path.read_bytes())


def as_photo(rgb: npt.NDArray[np.uint8]) -> DecodedPhoto:
    return DecodedPhoto(rgb, "png", rgb.shape[1], rgb.shape[0])


def same_places(one: DetectionResult, other: DetectionResult) -> list[float]:
    """IoU of each face with its counterpart."""
    assert len(one.faces) == len(other.faces)
    return [box_iou(a.box, b.box) for a, b in zip(one.faces, other.faces, strict=True)]


def alike(theirs: npt.NDArray[np.float32], ours: npt.NDArray[np.float32]) -> float:
    """Cosine of insightface's embedding, of any norm and width, to one of ours."""
    return float(theirs @ ours[: len(theirs)] / np.linalg.norm(theirs))


def embeddings(result: DetectionResult) -> npt.NDArray[np.float32]:
    return np.stack([face.embedding for face in result.faces])


@pytest.mark.parametrize("picture", [group_photo(), *portraits()], ids=lambda picture: picture.path.name)
def test_every_face_is_found(engine: Engine, picture: SamplePicture) -> None:
    result = engine.detect(read(picture.path))
    assert len(result.faces) == picture.faces
    assert result.dropped == 0


@pytest.mark.parametrize("picture", face_free_pictures(), ids=lambda picture: picture.path.name)
def test_nothing_is_found_where_there_is_no_face(engine: Engine, picture: SamplePicture) -> None:
    result = engine.detect(read(picture.path))
    assert result.faces == ()
    assert result.dropped == 0
    assert set(result.timings) == {"detect_ms", "embed_ms", "thumbnail_ms"}
    assert result.timings["detect_ms"] > 0


def test_there_are_at_least_ten_pictures_without_a_face() -> None:
    assert len(face_free_pictures()) >= 10


def test_what_is_said_of_a_face_is_within_its_bounds(group: DetectionResult) -> None:
    photo = read(group_photo().path)
    for face in group.faces:
        assert 0 <= face.box.x <= face.box.x + face.box.w <= 1
        assert 0 <= face.box.y <= face.box.y + face.box.h <= 1
        assert 0.5 <= face.quality_score <= 1
        assert face.sharpness > 0
        assert max(abs(face.pitch), abs(face.roll)) < 40
        assert abs(face.yaw) < 80
        assert face.size_px == round(min(face.box.w * photo.original_width, face.box.h * photo.original_height))
        assert face.embedding.dtype == np.float32
        assert face.embedding.shape == (512,)
        assert np.linalg.norm(face.embedding) == pytest.approx(1, abs=1e-5)
        assert not face.embedding[192:].any(), "mini computes 192 values, the rest is padding"
        left_eye, right_eye, nose, left_mouth, right_mouth = face.landmarks
        assert face.box.x < left_eye[0] < right_eye[0] < face.box.x + face.box.w
        assert left_mouth[0] < right_mouth[0]
        assert face.box.y < left_eye[1] < nose[1] < left_mouth[1] < face.box.y + face.box.h


def test_a_face_in_profile_has_a_large_yaw_and_one_that_looks_into_the_camera_a_small_one(engine: Engine) -> None:
    woman, _, man_at_camera = (engine.detect(read(picture.path)).faces[0] for picture in portraits())
    assert abs(woman.yaw) < 12
    assert abs(woman.pitch) < 20
    assert man_at_camera.yaw > 40, "he looks to the right"


def test_faces_come_from_left_to_right(group: DetectionResult) -> None:
    places = [(face.box.x, face.box.y) for face in group.faces]
    assert places == sorted(places)


def test_a_thumbnail_is_a_small_jpeg_of_that_face_without_metadata(engine: Engine, group: DetectionResult) -> None:
    for face in group.faces:
        with Image.open(io.BytesIO(face.thumbnail)) as thumbnail:
            assert thumbnail.format == "JPEG"
            assert thumbnail.size == (160, 160)
            assert not thumbnail.getexif()
        (again,) = engine.detect(decode(face.thumbnail)).faces
        assert again.embedding @ face.embedding > 0.6
        assert abs(again.roll) < 8, "a thumbnail is upright"


@pytest.mark.parametrize("orientation", sorted(STORED_AS))
@pytest.mark.parametrize(("file_format", "agreement"), [("PNG", 0.9999), ("JPEG", 0.95)])
def test_boxes_do_not_depend_on_how_a_photo_is_stored(
    engine: Engine, group: DetectionResult, orientation: int, file_format: str, agreement: float
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    with Image.open(group_photo().path) as upright:
        upright.transpose(STORED_AS[orientation]).save(stream, file_format, exif=exif, quality=95)
    stored = engine.detect(decode(stream.getvalue()))
    assert min(same_places(group, stored)) > agreement


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_boxes_are_normalised_and_sizes_are_those_of_the_original(
    engine: Engine, group: DetectionResult, factor: float
) -> None:
    rgb = read(group_photo().path).rgb
    scaled = np.asarray(cv2.resize(rgb, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    result = engine.detect(as_photo(scaled))
    assert min(same_places(group, result)) > 0.85
    for face, reference in zip(result.faces, group.faces, strict=True):
        assert face.size_px == pytest.approx(reference.size_px * factor, rel=0.12)


def test_the_same_face_is_alike_and_others_are_not(engine: Engine, group: DetectionResult) -> None:
    stream = io.BytesIO()
    with Image.open(group_photo().path) as image:
        image.resize((900, 623)).save(stream, "JPEG", quality=60)
    worse = engine.detect(decode(stream.getvalue()))
    similarity = embeddings(group) @ embeddings(worse).T
    own = np.diagonal(similarity)
    others = similarity[~np.eye(len(similarity), dtype=bool)]
    assert own.min() > 0.7
    assert others.max() < own.min()
    assert others.mean() < 0.2


def test_a_mirrored_photo_mirrors_boxes_and_yaw(engine: Engine, group: DetectionResult) -> None:
    flipped = np.ascontiguousarray(read(group_photo().path).rgb[:, ::-1])
    mirrored = engine.detect(as_photo(flipped)).faces[::-1]
    assert len(mirrored) == len(group.faces)
    for face, reference in zip(mirrored, group.faces, strict=True):
        back = Box(1 - face.box.x - face.box.w, face.box.y, face.box.w, face.box.h)
        assert box_iou(back, reference.box) > 0.8
        assert face.yaw == pytest.approx(-reference.yaw, abs=12)
        assert face.roll == pytest.approx(-reference.roll, abs=12)


def test_a_blurred_photo_is_less_sharp(engine: Engine, group: DetectionResult) -> None:
    blurred = cv2.GaussianBlur(read(group_photo().path).rgb, (0, 0), 2.0)
    result = engine.detect(as_photo(np.asarray(blurred, dtype=np.uint8)))
    assert all(box_iou_ > 0.7 for box_iou_ in same_places(group, result))
    for face, reference in zip(result.faces, group.faces, strict=True):
        assert face.sharpness < reference.sharpness / 3


def test_the_faces_are_those_of_insightfaces_own_pipeline(mini_pack: Path, group: DetectionResult) -> None:
    analysis = FaceAnalysis(str(mini_pack), allowed_modules=["detection", "recognition"])
    analysis.prepare(ctx_id=0)
    picture = cv2.imread(str(group_photo().path))
    assert picture is not None
    height, width = picture.shape[:2]
    theirs = sorted(_insightface(analysis, picture), key=lambda face: float(face.bbox[0]))
    assert len(theirs) == len(group.faces)
    for their, ours in zip(theirs, group.faces, strict=True):
        assert box_iou(Box.from_corners(tuple(their.bbox), width, height), ours.box) > 0.9
        assert alike(their.embedding, ours.embedding) > 0.995


def test_all_faces_of_a_photo_are_embedded_in_one_run(altered: Engine, group: DetectionResult) -> None:
    batches = _count_batches(altered)
    result = altered.detect(read(group_photo().path))
    assert batches == [6]
    np.testing.assert_allclose(embeddings(result), embeddings(group), atol=1e-4)


def test_a_crowd_is_embedded_in_bounded_runs(altered: Engine) -> None:
    batches = _count_batches(altered)
    rgb = read(group_photo().path).rgb
    crowd = altered.detect(as_photo(np.tile(rgb, (2, 2, 1))))
    assert len(crowd.faces) == 24
    assert batches == [MAX_EMBEDDING_BATCH, 24 - MAX_EMBEDDING_BATCH]
    lengths = np.linalg.norm(embeddings(crowd), axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-5)


def test_an_embedding_that_makes_no_sense_is_dropped_and_counted(altered: Engine) -> None:
    def spoil(raw: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        raw = raw.copy()
        raw[0] = np.nan
        raw[2] = 0.0
        return raw

    _between_recogniser(altered, spoil)
    result = altered.detect(read(group_photo().path))
    assert len(result.faces) == 4
    assert result.dropped == 2
    assert np.isfinite(embeddings(result)).all()


def test_a_detection_that_makes_no_sense_is_dropped_and_counted(altered: Engine) -> None:
    detect = altered._detector.detect

    class Spoiled:
        def detect(
            self, img: npt.NDArray[np.uint8], input_size: list[tuple[int, int]], *, det_thresh: float | None = None
        ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
            boxes, landmarks = detect(img, input_size, det_thresh=det_thresh)
            boxes[0, 2] = np.nan
            landmarks[1] = landmarks[1, 0]
            return boxes, landmarks

    altered._detector = Spoiled()
    result = altered.detect(read(group_photo().path))
    assert len(result.faces) == 4
    assert result.dropped == 2


def test_two_threads_get_what_one_gets(engine: Engine) -> None:
    photos = [read(picture.path) for picture in (group_photo(), *portraits())] * 3
    alone = [engine.detect(photo) for photo in photos]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(engine.detect, photos))
    for one, other in zip(alone, together, strict=True):
        assert [face.box for face in one.faces] == [face.box for face in other.faces]
        np.testing.assert_array_equal(embeddings(one), embeddings(other))


@pytest.mark.parametrize("size", [(16, 16), (16, 320), (320, 16), (205, 4096), (4096, 205), (33, 47)])
def test_no_shape_that_decode_lets_through_is_too_odd(engine: Engine, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)
    assert engine.detect(as_photo(noise)).faces == ()


def test_a_face_that_fills_the_picture_is_one_face(engine: Engine, group: DetectionResult) -> None:
    photo = read(group_photo().path)
    for face in group.faces:
        crop = _closely_cropped(photo.rgb, face)
        (found,) = engine.detect(as_photo(crop)).faces
        assert found.embedding @ face.embedding > 0.6


@pytest.mark.parametrize("content", [[], ["centerface_scrfd.onnx"]])
def test_a_folder_that_is_no_pack_is_refused(mini_pack: Path, tmp_path: Path, content: list[str]) -> None:
    for name in content:
        (tmp_path / name).write_bytes((mini_pack / name).read_bytes())
    with pytest.raises(ValueError, match=r"no model pack|one detector and one embedder"):
        Engine(tmp_path, threads=1)


LABELLED = labelled_photos()
of_labelled_photos = pytest.mark.parametrize(
    "labelled", [LABELLED] if LABELLED else [], ids=["sitcom"] if LABELLED else []
)


@pytest.fixture(scope="module")
def looked_at(engine: Engine) -> Callable[[Path], DetectionResult]:
    """What is found in a photo as detect decodes it; each is looked at once."""
    return cache(lambda path: engine.detect(decode(path.read_bytes(), enough=ENOUGH_TO_DETECT)))


@of_labelled_photos
def test_people_of_an_event_are_found_and_told_apart(
    looked_at: Callable[[Path], DetectionResult], labelled: LabelledPhotos
) -> None:
    found: list[tuple[str, npt.NDArray[np.float32]]] = []
    for path, person in labelled.singles.items():
        (face,) = looked_at(path).faces
        found.append((person, face.embedding))
    for path, people in labelled.groups.items():
        faces = looked_at(path).faces
        assert len(people) <= len(faces) <= len(people) + 1, f"{path.name}: the labelled people, perhaps an extra"
        if len(faces) == len(people):
            found += [(person, face.embedding) for person, face in zip(people, faces, strict=True)]
    vectors = np.stack([vector for _, vector in found])
    names = np.array([person for person, _ in found])
    similarity = vectors @ vectors.T
    same = names[:, None] == names[None, :]
    pairs = np.triu(np.ones_like(same), 1).astype(bool)
    assert similarity[pairs & same].mean() > 0.6
    assert similarity[pairs & ~same].mean() < 0.05
    np.fill_diagonal(similarity, -1)
    assert (names[similarity.argmax(axis=1)] == names).mean() >= 0.98, "everybody's nearest face is their own"


@of_labelled_photos
def test_a_face_is_embedded_again_at_its_landmarks_and_from_its_thumbnail(
    engine: Engine, looked_at: Callable[[Path], DetectionResult], labelled: LabelledPhotos
) -> None:
    for path in [*list(labelled.singles)[::8], *labelled.groups]:
        photo = decode(path.read_bytes(), enough=ENOUGH_TO_DETECT)
        for face in looked_at(path).faces:
            there = engine.embed_at(photo, face.landmarks)
            assert there is not None
            assert there @ face.embedding > 0.999
            assert (engine.embed_thumbnail(face.thumbnail) @ face.embedding).max() > 0.85
    assert engine.embed_at(photo, [(0.5, 0.5)] * 5) is None


@of_labelled_photos
def test_every_face_of_an_event_is_insightfaces_own(
    mini_pack: Path, looked_at: Callable[[Path], DetectionResult], labelled: LabelledPhotos
) -> None:
    analysis = FaceAnalysis(str(mini_pack), allowed_modules=["detection", "recognition"])
    analysis.prepare(ctx_id=0)
    for path in [*labelled.singles, *labelled.groups]:
        picture = cv2.imread(str(path))
        assert picture is not None
        height, width = picture.shape[:2]
        theirs = _insightface(analysis, picture)
        # insightface takes a part of four of these faces for a face of its own, with a lower score.
        for face in looked_at(path).faces:
            overlap, same = max(
                ((box_iou(Box.from_corners(tuple(their.bbox), width, height), face.box), their) for their in theirs),
                key=lambda pair: pair[0],
            )
            assert overlap >= 0.9, path.name
            assert alike(same.embedding, face.embedding) >= 0.995, path.name


def enlarged(factor: float) -> bytes:
    """The group photo as a JPEG of so many times its width."""
    stream = io.BytesIO()
    with Image.open(group_photo().path) as picture:
        size = (round(picture.width * factor), round(picture.height * factor))
        picture.resize(size, Image.Resampling.BICUBIC).save(stream, "JPEG", quality=92)
    return stream.getvalue()


@pytest.mark.parametrize("factor", [2.0, 3.125, 4.6])
def test_a_reduced_photo_shows_the_faces_of_the_whole_one(engine: Engine, factor: float) -> None:
    data = enlarged(factor)
    reduced, whole = decode(data, enough=ENOUGH_TO_DETECT), decode(data)
    assert reduced.reduction > whole.reduction
    found, expected = engine.detect(reduced), engine.detect(whole)
    assert min(same_places(found, expected)) > 0.95
    assert np.diagonal(embeddings(found) @ embeddings(expected).T).min() > 0.99
    for face, reference in zip(found.faces, expected.faces, strict=True):
        assert face.size_px == pytest.approx(reference.size_px, rel=0.03)


def test_a_photo_is_decoded_again_only_for_faces_with_fewer_pixels_than_their_crop(engine: Engine) -> None:
    large = engine.detect(decode(enlarged(3.125), enough=ENOUGH_TO_DETECT))
    assert "decode_again_ms" not in large.timings, "faces of some 170 pixels at half the size"
    stream = io.BytesIO()
    rgb = read(group_photo().path).rgb
    Image.fromarray(np.tile(rgb, (2, 2, 1))).save(stream, "JPEG", quality=92)
    small = decode(stream.getvalue(), enough=ENOUGH_TO_DETECT)
    assert small.reduction == 2
    found, expected = engine.detect(small), engine.detect(decode(stream.getvalue()))
    assert "decode_again_ms" in found.timings, "faces of some 50 pixels at half the size"
    # The copies of a face lie above each other, so their order may change.
    assert (embeddings(found) @ embeddings(expected).T).max(axis=1).min() > 0.99


@pytest.mark.parametrize("turn", [Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270])
def test_a_photo_on_its_side_without_exif_shows_the_same_people(engine: Engine, turn: Image.Transpose) -> None:
    for picture in portraits():
        upright = read(picture.path)
        (reference,) = engine.detect(upright).faces
        turned = np.asarray(Image.fromarray(upright.rgb).transpose(turn))
        (face,) = engine.detect(as_photo(np.ascontiguousarray(turned))).faces
        assert abs(abs(face.roll - reference.roll) - 90) < 25
        assert face.embedding @ reference.embedding > 0.6


def test_a_crowd_of_small_faces_is_found(engine: Engine) -> None:
    rgb = read(group_photo().path).rgb
    small = np.asarray(cv2.resize(rgb, (512, 354), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    crowd = np.ascontiguousarray(np.tile(small, (6, 6, 1)))
    result = engine.detect(as_photo(crowd))
    assert len(result.faces) == 6 * 36, "faces of some 9 pixels on the 640-pixel canvas"
    assert result.dropped == 0


def test_photos_side_by_side_give_what_they_give_alone(mini_pack: Path, engine: Engine) -> None:
    side_by_side = Engine(mini_pack, threads=2, photos_at_once=2)
    photos = [read(picture.path) for picture in (group_photo(), *portraits())] * 2
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(side_by_side.detect, photos))
    for photo, result in zip(photos, together, strict=True):
        np.testing.assert_allclose(embeddings(result), embeddings(engine.detect(photo)), atol=1e-5)


def _closely_cropped(rgb: npt.NDArray[np.uint8], face: DetectedFace) -> npt.NDArray[np.uint8]:
    """Cut out a face with a tenth of its size around it, enlarged to 300 pixels."""
    height, width = rgb.shape[:2]
    left, right = (face.box.x - face.box.w / 10) * width, (face.box.x + face.box.w * 1.1) * width
    top, bottom = (face.box.y - face.box.h / 10) * height, (face.box.y + face.box.h * 1.1) * height
    crop = rgb[max(0, int(top)) : int(bottom), max(0, int(left)) : int(right)]
    factor = 300 / crop.shape[0]
    return np.asarray(cv2.resize(crop, None, fx=factor, fy=factor), dtype=np.uint8)


def _count_batches(engine: Engine) -> list[int]:
    batches: list[int] = []

    def count(raw: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        batches.append(len(raw))
        return raw

    _between_recogniser(engine, count)
    return batches


def _between_recogniser(engine: Engine, change: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]) -> None:
    get_feat = engine._recogniser.get_feat

    class Changed:
        def get_feat(self, imgs: list[npt.NDArray[np.uint8]]) -> npt.NDArray[np.float32]:
            return change(get_feat(imgs))

    engine._recogniser = Changed()


def _insightface(analysis: Any, picture: Any) -> Any:
    with warnings.catch_warnings():
        # insightface's own alignment calls a function that scikit-image is about to remove.
        warnings.simplefilter("ignore", FutureWarning)
        return analysis.get(picture)


def test_mirrored_a_face_and_its_mirror_image_are_the_same(mini_pack: Path) -> None:
    mirrored = Engine(mini_pack, threads=2, mirrored=True)
    crop = np.random.default_rng(3).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    both, _ = mirrored._embed([crop, np.ascontiguousarray(crop[:, ::-1])])
    assert both[0] @ both[1] == pytest.approx(1, abs=1e-5)
    plain, _ = Engine(mini_pack, threads=2)._embed([crop, np.ascontiguousarray(crop[:, ::-1])])
    assert plain[0] @ plain[1] < 0.999
    assert both[0] @ plain.sum(axis=0) > 0.9, "the direction between the two"


def test_mirrored_every_photographed_face_is_still_itself(mini_pack: Path, group: DetectionResult) -> None:
    mirrored = Engine(mini_pack, threads=2, mirrored=True).detect(read(group_photo().path))
    assert np.einsum("ij,ij->i", embeddings(mirrored), embeddings(group)).min() > 0.8
