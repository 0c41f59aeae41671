"""A model pack at work: from a decoded photo to boxes, landmarks, embeddings and thumbnails.

The only module that imports insightface. The networks are loaded by insightface's FaceAnalysis and run through
its detector and recogniser; `FaceAnalysis.get` is not used because it embeds one face at a time.
"""

import math
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime
from insightface.app import FaceAnalysis

from functions.detect.align import ALIGNED_SIDE, aligned_crop, portrait
from functions.detect.boxes import Box
from functions.detect.decode import DecodedPhoto
from functions.detect.quality import pose, sharpness, size_in_pixels

EMBEDDING_SIZE: Final = 512

# insightface's own default pair: at 640 a group photo's faces are found, at 128 one that fills the picture.
# They are the longer side of the canvas; the shorter is the photo's, rounded up to what the networks need
# (insightface pads to a square, a third of which is black for most photos and is computed all the same).
DETECTION_SIZES: Final = (128, 640)
_CANVAS_STEP: Final = 32

# A detection smaller than this in the analysed picture is not kept: five landmarks within so few pixels align
# nothing, and its embedding would match anybody.
MIN_FACE_PIXELS: Final = 12

# How much of a box lies in a better one when it is only a part of that face. Four of 40 pictures that a face
# fills had such a part, with shares from 0.76 to 1; a face in front of another leaves it more than 0.3 to see.
_FRAGMENT_SHARE: Final = 0.7

# The longer side of what the detector is shown. Its canvas has 640 pixels; reducing a large photo by averaging
# first keeps cv2's bilinear step, which insightface uses, from skipping over pixels.
_DETECTION_SIDE: Final = 1280

# Faces embedded in one run of the network. More at once is not faster on a CPU, and a ResNet-50 keeps some
# 20 MB of activations for each.
MAX_EMBEDDING_BATCH: Final = 16

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


@dataclass(frozen=True, eq=False)
class _Detections:
    """Boxes [n,4] (left, top, right, bottom) and landmarks [n,5,2] in pixels of the photo, scores [n]."""

    boxes: Floats
    scores: Floats
    landmarks: Floats

    def __len__(self) -> int:
        return len(self.scores)

    def chosen(self, which: npt.NDArray[Any]) -> "_Detections":
        return _Detections(self.boxes[which], self.scores[which], self.landmarks[which])


class _Detector(Protocol):
    def detect(self, img: Pixels, input_size: list[tuple[int, int]]) -> tuple[Floats, Floats]: ...


class _Recogniser(Protocol):
    def get_feat(self, imgs: list[Pixels]) -> Floats: ...


class Engine:
    """A loaded and warmed-up pack. `detect` may be called from several threads; they take turns."""

    def __init__(
        self,
        pack_dir: Path,
        *,
        threads: int,
        det_threshold: float = 0.5,
        providers: Sequence[str] | None = None,
    ) -> None:
        """Load the detector and the embedder in `pack_dir`, which must have been verified, and warm them up.

        `threads` is how many one run of a network may use. `providers` are onnxruntime's, by default CUDA when
        this onnxruntime has it, then the CPU. Raises ValueError when the folder does not hold a pack.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Idle threads would otherwise spin between two operators, at the expense of whoever decodes meanwhile.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # FaceAnalysis would take an unknown path for the name of a pack to download.
        if not any(pack_dir.glob("*.onnx")):
            message = f"{pack_dir} holds no model pack"
            raise ValueError(message)
        analysis = FaceAnalysis(
            name=str(pack_dir),
            allowed_modules=["detection", "recognition"],
            providers=list(providers or _available_providers()),
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
        self._detector: _Detector = analysis.models["detection"]
        self._recogniser: _Recogniser = analysis.models["recognition"]
        # onnxruntime would allow runs side by side; taking turns bounds the memory to one photo's activations,
        # and decoding, which happens outside, still overlaps.
        self._turn = threading.Lock()
        self.warm_up()

    def warm_up(self) -> None:
        """Run every network once at every size, so that the first photo is as fast as the second."""
        picture = np.zeros((480, 640, 3), dtype=np.uint8)
        self._detector.detect(picture, canvases(640, 480))
        self._recogniser.get_feat([np.zeros((ALIGNED_SIDE, ALIGNED_SIDE, 3), dtype=np.uint8)])

    def detect(self, photo: DecodedPhoto) -> DetectionResult:
        """Find the faces of a photo and embed them all together. Without a face the result is empty."""
        started = time.perf_counter()
        detections = self._find(photo.rgb)
        detected = time.perf_counter()
        if not len(detections):
            return DetectionResult((), _timings(detected - started, 0.0, 0.0), dropped=0)

        plausible = detections.chosen(_plausible(detections))
        crops = [aligned_crop(photo.rgb, landmarks) for landmarks in plausible.landmarks]
        embeddings, usable = self._embed(crops)
        embedded = time.perf_counter()

        faces = tuple(
            _face(photo, plausible, index, embeddings[index], crops[index]) for index in np.flatnonzero(usable).tolist()
        )
        finished = time.perf_counter()
        return DetectionResult(
            faces=faces,
            timings=_timings(detected - started, embedded - detected, finished - embedded),
            dropped=len(detections) - len(faces),
        )

    def _find(self, rgb: Pixels) -> _Detections:
        """Detect at both sizes, with insightface's non-maximum suppression between them, from left to right."""
        height, width = rgb.shape[:2]
        scale = min(1.0, _DETECTION_SIDE / max(height, width))
        shown = rgb
        if scale < 1.0:
            size = (max(1, round(width * scale)), max(1, round(height * scale)))
            shown = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        blue_first = np.asarray(cv2.cvtColor(shown, cv2.COLOR_RGB2BGR), dtype=np.uint8)
        with self._turn:
            found, landmarks = self._detector.detect(blue_first, canvases(width, height))
        back = np.array([width / shown.shape[1], height / shown.shape[0]], dtype=np.float32)
        detections = _Detections(found[:, :4] * np.tile(back, 2), found[:, 4], landmarks * back)
        large = (detections.boxes[:, 2:] - detections.boxes[:, :2]).min(axis=1, initial=np.inf) >= MIN_FACE_PIXELS
        # NaN compares false with everything: such detections stay here and are counted later.
        detections = detections.chosen(large | ~np.isfinite(detections.boxes).all(axis=1))
        detections = detections.chosen(~fragments(detections.boxes, detections.scores))
        return detections.chosen(np.lexsort((detections.boxes[:, 1], detections.boxes[:, 0])))

    def _embed(self, crops: list[Pixels]) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """Embed aligned crops: float32[n, 512] with norm 1, and which of them are usable."""
        if not crops:
            return np.zeros((0, EMBEDDING_SIZE), dtype=np.float32), np.zeros(0, dtype=np.bool_)
        blue_first = [crop[..., ::-1] for crop in crops]
        with self._turn:
            raw = np.concatenate(
                [
                    self._recogniser.get_feat(blue_first[start : start + MAX_EMBEDDING_BATCH])
                    for start in range(0, len(blue_first), MAX_EMBEDDING_BATCH)
                ]
            )
        return normalised(raw)


def canvases(width: int, height: int) -> list[tuple[int, int]]:
    """Return (width, height) of the detector's canvases for a picture of that size, multiples of 32."""
    longer = max(width, height)
    return [(_canvas_side(width * size / longer), _canvas_side(height * size / longer)) for size in DETECTION_SIZES]


def _canvas_side(pixels: float) -> int:
    return max(1, math.ceil(pixels / _CANVAS_STEP)) * _CANVAS_STEP


def fragments(boxes: Floats, scores: Floats) -> npt.NDArray[np.bool_]:
    """Mark boxes [n,4] that are part of another face: 70 % inside a larger box with a higher score.

    A face that fills the picture is found whole at 128, and sometimes an eye and the nose of it at 640 too, as
    a smaller face that overlaps too little for non-maximum suppression (intersection over union).
    """
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    top_left = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    bottom_right = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = np.clip(bottom_right - top_left, 0.0, None).prod(axis=2)
    inside = shared >= _FRAGMENT_SHARE * areas[:, None]
    better = (areas[None, :] > areas[:, None]) & (scores[None, :] > scores[:, None])
    return np.asarray((inside & better).any(axis=1))


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


def _face(photo: DecodedPhoto, detections: _Detections, index: int, embedding: Floats, crop: Pixels) -> DetectedFace:
    height, width = photo.rgb.shape[:2]
    left, top, right, bottom = (float(value) for value in detections.boxes[index])
    box = Box.from_corners((left, top, right, bottom), width, height)
    landmarks = detections.landmarks[index]
    head = pose(landmarks)
    return DetectedFace(
        box=box,
        landmarks=tuple((float(x) / width, float(y) / height) for x, y in landmarks),
        quality_score=min(max(float(detections.scores[index]), 0.0), 1.0),
        sharpness=sharpness(crop),
        yaw=head.yaw,
        pitch=head.pitch,
        roll=head.roll,
        size_px=size_in_pixels(box, photo.original_width, photo.original_height),
        embedding=embedding,
        thumbnail=_as_jpeg(portrait(photo.rgb, landmarks)),
    )


def _plausible(detections: _Detections) -> npt.NDArray[np.bool_]:
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


def _timings(detect: float, embed: float, thumbnail: float) -> dict[str, float]:
    """Turn seconds into milliseconds by stage."""
    return {"detect_ms": detect * 1000, "embed_ms": embed * 1000, "thumbnail_ms": thumbnail * 1000}
