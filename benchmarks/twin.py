"""A twin of buffalo_l: the same two networks, layer by layer, with random weights.

buffalo_l's own files may not be used everywhere, and how fast they run does not depend on what they have learnt.
The detector is SCRFD-10GF with landmarks (insightface, detection/scrfd: ResNetV1e with basic blocks, PAFPN, one
head per stride), the embedder IResNet-50 (insightface, recognition/arcface_torch). As in the published files,
batch normalisation is folded into the convolution before it, and stands alone where there is none.

The twin finds nobody: for whoever measures with it, `RecordedLooks` puts what another detector answered in place of
its findings, after it has looked for them.
"""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from functions.detect.mini.graph import GraphBuilder, float_tensor, serialise

Floats = npt.NDArray[np.float32]

_STAGES = ((3, 56), (4, 88), (2, 88), (3, 224))  # blocks and channels of the detector's backbone
_NECK, _HEAD, _ANCHORS = 56, 80, 2
_EMBEDDER_STAGES = ((3, 64), (4, 128), (14, 256), (3, 512))


class _Network(GraphBuilder):
    """A graph whose weights are drawn so that numbers neither grow nor vanish on their way through it."""

    def __init__(self, prefix: str) -> None:
        super().__init__(prefix)
        self._random = np.random.default_rng(7)

    def conv(self, source: str, inputs: int, outputs: int, side: int = 3, stride: int = 1, gain: float = 1.0) -> str:
        """Add a convolution with bias, padded so that only the stride changes the size."""
        deviation = gain * math.sqrt(2 / (inputs * side * side))
        weights = self._random.normal(0, deviation, (outputs, inputs, side, side))
        bias = self._random.normal(0, 0.01, outputs)
        return self.node(
            "Conv",
            source,
            self.constant(weights),
            self.constant(bias),
            kernel_shape=[side, side],
            strides=[stride, stride],
            pads=[side // 2] * 4,
        )

    def conv_relu(self, source: str, inputs: int, outputs: int, side: int = 3, stride: int = 1) -> str:
        """Add a convolution followed by ReLU."""
        return self.node("Relu", self.conv(source, inputs, outputs, side, stride))

    def prelu(self, source: str, channels: int) -> str:
        """PReLU with a slope for each channel."""
        return self.node("PRelu", source, self.constant(self._random.uniform(0.1, 0.4, (channels, 1, 1))))

    def norm(self, source: str, channels: int) -> str:
        """Batch normalisation as it is after training."""
        ones, zeros = self.constant(np.ones(channels)), self.constant(np.zeros(channels))
        return self.node("BatchNormalization", source, ones, zeros, zeros, ones, epsilon=1e-5)

    def linear(self, source: str, inputs: int, outputs: int) -> str:
        """Add a fully connected layer."""
        weights = self._random.normal(0, 1 / math.sqrt(inputs), (outputs, inputs))
        return self.node("Gemm", source, self.constant(weights), self.constant(np.zeros(outputs)), transB=1)


def build_twin(folder: Path) -> Path:
    """Write both networks into a new folder, some 190 MB, and return it."""
    folder.mkdir(parents=True)
    (folder / "det_10g_twin.onnx").write_bytes(_detector())
    (folder / "w600k_r50_twin.onnx").write_bytes(_embedder())
    return folder


def _detector() -> bytes:
    net = _Network("detector")
    features = net.conv_relu("image", 3, 28, stride=2)
    features = net.conv_relu(net.conv_relu(features, 28, 28), 28, 56)
    features = net.node("MaxPool", features, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    channels, maps = 56, []
    for number, (blocks, width) in enumerate(_STAGES):
        for block in range(blocks):
            stride = 2 if block == 0 and number > 0 else 1
            features = _basic_block(net, features, channels, width, stride)
            channels = width
        maps.append((features, width))
    outputs: list[tuple[str, int]] = []
    for stride, level in zip((8, 16, 32), _path_aggregation(net, maps[1:]), strict=True):
        outputs += _head(net, level, stride)
    in_order = [output for kind in ("score", "bbox", "kps") for output in outputs if output[0].startswith(kind)]
    return serialise(
        "scrfd_10g_twin",
        net.nodes,
        net.constants,
        [float_tensor("image", [1, 3, "height", "width"])],
        [float_tensor(name, [f"anchors_{name}", width]) for name, width in in_order],
    )


def _basic_block(net: _Network, source: str, inputs: int, outputs: int, stride: int) -> str:
    through = net.conv(net.conv_relu(source, inputs, outputs, stride=stride), outputs, outputs, gain=0.3)
    beside = source
    if stride != 1:
        beside = net.node("AveragePool", source, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
    if stride != 1 or inputs != outputs:
        beside = net.conv(beside, inputs, outputs, side=1)
    return net.node("Relu", net.node("Add", through, beside))


def _path_aggregation(net: _Network, maps: list[tuple[str, int]]) -> list[str]:
    """PAFPN: down from the coarsest map and up again."""
    levels = [net.conv(features, width, _NECK, side=1) for features, width in maps]
    for finer in (1, 0):
        doubled = net.node(
            "Resize",
            levels[finer + 1],
            net.constant(np.zeros(0)),
            net.constant([1.0, 1.0, 2.0, 2.0]),
            mode="nearest",
            nearest_mode="floor",
            coordinate_transformation_mode="asymmetric",
        )
        levels[finer] = net.node("Add", levels[finer], doubled)
    levels = [net.conv(level, _NECK, _NECK) for level in levels]
    for coarser in (1, 2):
        halved = net.conv(levels[coarser - 1], _NECK, _NECK, stride=2)
        levels[coarser] = net.node("Add", levels[coarser], halved)
    return [levels[0], *(net.conv(level, _NECK, _NECK) for level in levels[1:])]


def _head(net: _Network, level: str, stride: int) -> list[tuple[str, int]]:
    features, width = level, _NECK
    for _ in range(3):
        features, width = net.conv_relu(features, width, _HEAD), _HEAD
    outputs = []
    for kind, values in (("score", 1), ("bbox", 4), ("kps", 10)):
        found = net.conv(features, _HEAD, values * _ANCHORS, gain=0.01)
        if kind == "bbox":
            found = net.node("Mul", found, net.constant([1.0]))
        rows = net.node("Transpose", found, perm=[0, 2, 3, 1])
        name = f"{kind}_{stride}"
        if kind == "score":
            # Far below any threshold: the twin finds nobody.
            low = net.node("Add", net.node("Reshape", rows, net.integers(-1, values)), net.constant([-9.0]))
            net.node("Sigmoid", low, output=name)
        else:
            net.node("Reshape", rows, net.integers(-1, values), output=name)
        outputs.append((name, values))
    return outputs


def _embedder() -> bytes:
    net = _Network("embedder")
    features = net.prelu(net.conv("image", 3, 64), 64)
    channels = 64
    for blocks, width in _EMBEDDER_STAGES:
        for block in range(blocks):
            stride = 2 if block == 0 else 1
            inner = net.prelu(net.conv(net.norm(features, channels), channels, width), width)
            through = net.conv(inner, width, width, stride=stride, gain=0.3)
            beside = features if block else net.conv(features, channels, width, side=1, stride=2)
            features, channels = net.node("Add", through, beside), width
    flat = net.node("Flatten", net.norm(features, channels))
    net.node("Identity", net.norm(net.linear(flat, channels * 7 * 7, 512), 512), output="embedding")
    return serialise(
        "iresnet50_twin",
        net.nodes,
        net.constants,
        [float_tensor("image", ["batch", 3, 112, 112])],
        [float_tensor("embedding", ["batch", 512])],
    )


class RecordedLooks:
    """What a detector answered, look by look, for each file: the twin then takes the same looks at its own speed."""

    def __init__(self) -> None:
        self._answers: dict[bytes, list[tuple[Floats, Floats]]] = {}
        self._thread = threading.local()

    def now_at(self, data: bytes) -> None:
        """Say which file this thread looks at next."""
        self._thread.data, self._thread.taken = data, 0

    def plant(self, data: bytes, boxes: Floats, landmarks: Floats) -> None:
        """Make up a file's first answer: boxes with score [n,5], landmarks [n,5,2], in pixels of what is looked at."""
        self._answers[data] = [(boxes, landmarks)]

    def of(self, detector: Any) -> Any:  # noqa: ANN401 - insightface's, without types
        """Wrap a detector and record its outputs."""
        return _Recording(detector, self)

    def instead_of(self, detector: Any) -> Any:  # noqa: ANN401 - as above
        """Wrap a detector: run it, but return the recorded outputs; further passes return nothing."""
        return _Replaying(detector, self)

    def keep(self, answer: tuple[Floats, Floats]) -> None:
        """Remember an answer for this thread's file."""
        self._answers.setdefault(self._thread.data, []).append(answer)

    def next_answer(self) -> tuple[Floats, Floats]:
        """Return the next recorded output for this thread's file."""
        answers, number = self._answers.get(self._thread.data, []), self._thread.taken
        self._thread.taken += 1
        return (
            answers[number]
            if number < len(answers)
            else (np.zeros((0, 5), np.float32), np.zeros((0, 5, 2), np.float32))
        )


class _Recording:
    def __init__(self, detector: Any, looks: RecordedLooks) -> None:  # noqa: ANN401 - as above
        self._detector, self._looks = detector, looks

    def detect(self, img: npt.NDArray[np.uint8], *sizes: Any, **options: Any) -> tuple[Floats, Floats]:  # noqa: ANN401
        """As insightface's detector."""
        answer: tuple[Floats, Floats] = self._detector.detect(img, *sizes, **options)
        self._looks.keep(answer)
        return answer


class _Replaying:
    def __init__(self, detector: Any, looks: RecordedLooks) -> None:  # noqa: ANN401 - as above
        self._detector, self._looks = detector, looks

    def detect(self, img: npt.NDArray[np.uint8], *sizes: Any, **options: Any) -> tuple[Floats, Floats]:  # noqa: ANN401
        """As insightface's detector."""
        self._detector.detect(img, *sizes, **options)
        return self._looks.next_answer()
