"""A model pack at work: from a decoded photo to boxes, landmarks, embeddings and thumbnails.

The only module that imports insightface. The networks are loaded by insightface's FaceAnalysis and run through
its detector and recogniser; `FaceAnalysis.get` is not used because it embeds one face at a time.
"""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, cast

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime
from insightface.app import FaceAnalysis

from functions.detect.align import (
    ALIGNED_SIDE,
    ARCFACE_TEMPLATE,
    THUMBNAIL_SIDE,
    aligned_crop,
    crops_of_portrait,
    portrait,
    shown_in_crop,
    similarity,
)
from functions.detect.boxes import Box
from functions.detect.detections import Detections, sure_and_weak
from functions.detect.finding import DETECTION_SIZES, find
from functions.detect.looking import Detector, canvases
from functions.detect.prelu import without_prelu
from functions.detect.pyramid import Pyramid
from functions.detect.quality import pose, sharpness, size_in_pixels
from shared.decode import DecodedPhoto, decode, decode_again

EMBEDDING_SIZE: Final = 512

# What `decode` may reduce a JPEG to before it is detected: the 1280-pixel canvas for crowds needs no more, and the
# 640-pixel one gets two pixels for each of its own.
ENOUGH_TO_DETECT: Final = 1280

# Faces embedded in one run of the network. More at once is not faster on a CPU, and a ResNet-50 keeps some
# 20 MB of activations for each.
MAX_EMBEDDING_BATCH: Final = 16

# A face is cut from a reduced photo as long as it has a pixel there for each of the crop's 112 x 112; when one has
# fewer, the photo is decoded once more, in full.
_LARGEST_ENLARGEMENT: Final = 1.0

_THUMBNAIL_QUALITY: Final = 88

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class DetectedFace:
    """One face of a photo.

    `box` and `landmarks` (eyes, nose, mouth corners, left before right as seen) are fractions of the upright
    photo; landmarks may lie outside it. `quality_score` is the detector's confidence in [0, 1]. `sharpness`
    and the angles in degrees are those of quality.py. `size_px` is the box's shorter side in pixels of the
    original photo. `embedding` is float32[512] with norm 1, zero-padded when the network gives fewer.
    `thumbnail` is a JPEG of 160 x 160 pixels without metadata.
    """

    box: Box
    landmarks: tuple[tuple[float, float], ...]
    quality_score: float
    sharpness: float
    yaw: float
    pitch: float
    roll: float
    size_px: int
    embedding: Floats
    thumbnail: bytes


@dataclass(frozen=True, eq=False)
class DetectionResult:
    """All faces of a photo from left to right, milliseconds by stage, and how many faces were dropped.

    `timings` has "detect_ms", "embed_ms" and "thumbnail_ms". `dropped` counts detections whose numbers made no
    sense (not finite, or an embedding of norm 0): it belongs in the log, for it should be 0.
    """

    faces: tuple[DetectedFace, ...]
    timings: Mapping[str, float]
    dropped: int


class _Recogniser(Protocol):
    def get_feat(self, imgs: list[Pixels]) -> Floats: ...


class Engine:
    """A loaded and warmed-up pack. `detect` may be called from many threads; some take turns."""

    def __init__(
        self,
        pack_dir: Path,
        *,
        threads: int,
        photos_at_once: int = 1,
        det_threshold: float = 0.5,
        mirrored: bool = False,
        providers: Sequence[str] | None = None,
    ) -> None:
        """Load the detector and the embedder in `pack_dir`, which must have been verified, and warm them up.

        `threads` are shared by `photos_at_once`: two photos on a thread each take less time than one after the
        other on two, for much of the work is not done by several threads. `mirrored` embeds each face together with its
        mirror image. `providers` are onnxruntime's, by
        default CUDA when this onnxruntime has it, then the CPU. Raises ValueError when the folder does not hold
        a pack.
        """
        self._mirrored = mirrored
        runs_at_once = max(1, min(photos_at_once, threads))
        options = _session_options(threads // runs_at_once)
        used = list(providers or _available_providers())
        # FaceAnalysis would take an unknown path for the name of a pack to download.
        if not any(pack_dir.glob("*.onnx")):
            message = f"{pack_dir} holds no model pack"
            raise ValueError(message)
        analysis = FaceAnalysis(
            name=str(pack_dir),
            allowed_modules=["detection", "recognition"],
            providers=used,
            sess_options=options,
            # One session for every canvas: insightface would make one per shape, each with its own weights.
            static_shape_sessions=False,
        )
        if set(analysis.models) != {"detection", "recognition"}:
            message = (
                f"{pack_dir} should hold one detector and one embedder, insightface sees {sorted(analysis.models)}"
            )
            raise ValueError(message)
        analysis.prepare(ctx_id=0, det_thresh=det_threshold)
        self._detector: Detector = _also_weak(analysis.models["detection"], det_threshold)
        self._det_threshold = det_threshold
        self._recogniser: _Recogniser = analysis.models["recognition"]
        if used == ["CPUExecutionProvider"]:
            _run_without_prelu(analysis.models["recognition"], options)
        # onnxruntime allows any number of runs side by side; turns bound the memory to that many photos'
        # activations.
        self._turns = threading.BoundedSemaphore(runs_at_once)
        self.warm_up()

    def warm_up(self) -> None:
        """Run every network once at every size, so that the first photo is as fast as the second."""
        picture = np.zeros((480, 640, 3), dtype=np.uint8)
        self._detector.detect(picture, canvases(640, 480, DETECTION_SIZES))
        self._recogniser.get_feat([np.zeros((ALIGNED_SIDE, ALIGNED_SIDE, 3), dtype=np.uint8)])

    def detect(self, photo: DecodedPhoto) -> DetectionResult:
        """Find the faces of a photo and embed them all together. Without a face the result is empty."""
        timings = _Timings()
        pyramid = Pyramid(photo)

        def refine() -> None:
            if photo.source is not None and pyramid.finest.step == photo.reduction:
                with timings.of("decode_again_ms"):
                    pyramid.add_finer(decode_again(photo))

        with timings.of("detect_ms"), self._turns:
            detections = find(self._detector, pyramid, self._det_threshold, refine=refine)
        plausible = detections.chosen(_plausible(detections))
        if _too_small_here(plausible, pyramid.finest.step):
            refine()
        with timings.of("embed_ms"):
            crops = [_crop(pyramid, landmarks) for landmarks in plausible.landmarks]
            embeddings, usable = self._embed(crops)
        with timings.of("thumbnail_ms"):
            faces = tuple(
                _face(photo, pyramid, plausible, index, embeddings[index], crops[index])
                for index in np.flatnonzero(usable).tolist()
            )
        return DetectionResult(faces, timings.milliseconds, dropped=len(detections) - len(faces))

    def embed_at(self, photo: DecodedPhoto, landmarks: Sequence[Sequence[float]]) -> Floats | None:
        """Embed what a photo shows at five landmarks, fractions of it: float32[512] of norm 1; None for no face at all.

        Cut from the photo as it was decoded, which may be less than `detect` takes for a small face.
        """
        points = np.asarray(landmarks, dtype=np.float32) * (photo.original_width, photo.original_height)
        if np.ptp(points, axis=0).max() <= 1.0:
            return None
        embeddings, usable = self._embed([_crop(Pyramid(photo), points)])
        return embeddings[0] if usable[0] else None

    def embed_thumbnail(self, thumbnail: bytes) -> Floats:
        """Embed the face of a thumbnail that `detect` made: float32[n, 512] of norm 1, n at most 5.

        A thumbnail does not say how much more than the aligned crop it shows: there is a row for each possibility, and
        the one that is most like another face is the one to compare by.
        """
        embeddings, usable = self._embed(crops_of_portrait(decode(thumbnail).rgb))
        return np.asarray(embeddings[usable])

    def _embed(self, crops: list[Pixels]) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """Embed aligned crops: float32[n, 512] with norm 1, and which of them are usable."""
        if not crops:
            return np.zeros((0, EMBEDDING_SIZE), dtype=np.float32), np.zeros(0, dtype=np.bool_)
        blue_first = [crop[..., ::-1] for crop in crops]
        raw = self._computed(blue_first)
        if self._mirrored:
            raw = raw + self._computed([crop[:, ::-1] for crop in blue_first])
        return normalised(raw)

    def _computed(self, blue_first: list[Pixels]) -> Floats:
        """Compute the embeddings of aligned crops: float32[n, k], of any norm."""
        with self._turns:
            return np.concatenate(
                [
                    self._recogniser.get_feat(blue_first[start : start + MAX_EMBEDDING_BATCH])
                    for start in range(0, len(blue_first), MAX_EMBEDDING_BATCH)
                ]
            )


def normalised(raw: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Pad raw embeddings [n, k <= 512] with zeros to 512 and give them norm 1; say which were possible.

    Zeros change no cosine. A row that is not finite or has norm 0 becomes zero and is marked False.
    """
    padded = np.zeros((len(raw), EMBEDDING_SIZE), dtype=np.float32)
    padded[:, : raw.shape[1]] = raw
    norms = np.linalg.norm(padded.astype(np.float64), axis=1, keepdims=True)
    usable = np.isfinite(norms[:, 0]) & (norms[:, 0] > np.finfo(np.float32).tiny)
    unit = np.zeros_like(padded)
    unit[usable] = padded[usable] / norms[usable]
    return unit, usable


def _too_small_here(detections: Detections, step: int) -> bool:
    """Say whether a face has fewer pixels, each standing for `step` of the original, than its crop."""
    return any(_scale(landmarks) * step > _LARGEST_ENLARGEMENT for landmarks in detections.landmarks)


def _scale(landmarks: Floats) -> float:
    """Pixels of the aligned crop per pixel of the original photo."""
    matrix = similarity(landmarks, ARCFACE_TEMPLATE)
    return float(np.hypot(matrix[0, 0], matrix[1, 0]))


def _crop(photo: Pyramid, landmarks: Floats) -> Pixels:
    level = photo.for_crop(_scale(landmarks))
    return aligned_crop(level.pixels, level.place(landmarks))


def _face(
    photo: DecodedPhoto, pyramid: Pyramid, detections: Detections, index: int, embedding: Floats, crop: Pixels
) -> DetectedFace:
    width, height = photo.original_width, photo.original_height
    left, top, right, bottom = (float(value) for value in detections.boxes[index])
    box = Box.from_corners((left, top, right, bottom), width, height)
    landmarks = detections.landmarks[index]
    head = pose(landmarks)
    # A thumbnail shows at least what the crop shows, on more pixels.
    level = pyramid.for_crop(_scale(landmarks) * THUMBNAIL_SIDE / ALIGNED_SIDE)
    return DetectedFace(
        box=box,
        landmarks=tuple((float(x) / width, float(y) / height) for x, y in landmarks),
        quality_score=min(max(float(detections.scores[index]), 0.0), 1.0),
        sharpness=sharpness(crop, shown_in_crop(landmarks, width, height)),
        yaw=head.yaw,
        pitch=head.pitch,
        roll=head.roll,
        size_px=size_in_pixels(box, width, height),
        embedding=embedding,
        thumbnail=_as_jpeg(portrait(level.pixels, level.place(landmarks))),
    )


def _plausible(detections: Detections) -> npt.NDArray[np.bool_]:
    """Mark detections with finite numbers and landmarks that span something to align by."""
    finite = np.isfinite(detections.boxes).all(axis=1) & np.isfinite(detections.landmarks).all(axis=(1, 2))
    spread = np.ptp(detections.landmarks, axis=1).max(axis=1)
    return np.asarray(finite & np.isfinite(detections.scores) & (spread > 1.0))


def _as_jpeg(rgb: Pixels) -> bytes:
    encoded, content = cv2.imencode(
        ".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _THUMBNAIL_QUALITY]
    )
    if not encoded:
        message = "the thumbnail could not be encoded as JPEG"
        raise RuntimeError(message)
    return content.tobytes()


def _available_providers() -> list[str]:
    available = onnxruntime.get_available_providers()
    return [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in available]


def _session_options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Idle threads would otherwise spin between two operators, at the expense of whoever decodes meanwhile.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _also_weak(detector: Any, threshold: float) -> Detector:  # noqa: ANN401 - insightface's, without types
    """Have insightface's detector suppress what scores less than the threshold by a quicker routine.

    Its own takes as long as the network where thousands are weak; what reaches the threshold is left to it.
    """
    exact = detector.nms
    detector.nms = lambda candidates: sure_and_weak(candidates, threshold, exact)
    return cast("Detector", detector)


def _run_without_prelu(recogniser: Any, options: onnxruntime.SessionOptions) -> None:  # noqa: ANN401 - insightface's, without types
    """Give insightface's recogniser the same network, written so that onnxruntime's CPU kernels run it well."""
    rewritten = without_prelu(Path(recogniser.model_file))
    if rewritten is not None:
        recogniser.session = onnxruntime.InferenceSession(rewritten, options, providers=["CPUExecutionProvider"])


class _Timings:
    """A stopwatch for stages; time in a stage within another counts for the inner one alone."""

    def __init__(self) -> None:
        self.milliseconds: dict[str, float] = {}

    @contextmanager
    def of(self, stage: str) -> Iterator[None]:
        """Add what happens here to a stage."""
        inner = sum(self.milliseconds.values())
        started = time.perf_counter()
        yield
        taken = (time.perf_counter() - started) * 1000
        inner = sum(self.milliseconds.values()) - inner
        self.milliseconds[stage] = self.milliseconds.get(stage, 0.0) + taken - inner
