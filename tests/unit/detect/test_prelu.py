"""A network without PReLU computes what it computed with it, to the last bit."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest

from functions.detect.mini.graph import GraphBuilder, float_tensor, serialise
from functions.detect.prelu import without_prelu


def network(folder: Path, slopes: npt.NDArray[np.float32]) -> Path:
    """Convolution, PReLU, convolution, PReLU."""
    rng = np.random.default_rng(3)
    builder = GraphBuilder("net")
    inner = "image"
    for inputs in (3, 8):
        weights = builder.constant(rng.normal(0, 0.3, (8, inputs, 3, 3)))
        inner = builder.node("Conv", inner, weights, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        inner = builder.node("PRelu", inner, builder.constant(slopes))
    builder.node("Identity", inner, output="features")
    path = folder / "net.onnx"
    ends = [float_tensor("image", [1, 3, 16, 16])], [float_tensor("features", [1, 8, 16, 16])]
    path.write_bytes(serialise("net", builder.nodes, builder.constants, *ends))
    return path


def run(model: bytes, image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"image": image})[0])


@pytest.mark.parametrize("lowest", [-0.5, 0.0, 0.1])
def test_every_number_stays_as_it_was(tmp_path: Path, lowest: float) -> None:
    slopes = np.random.default_rng(5).uniform(lowest, 0.6, (8, 1, 1)).astype(np.float32)
    path = network(tmp_path, slopes)
    rewritten = without_prelu(path)
    assert rewritten is not None
    operators = {node.op_type for node in onnx.load_from_string(rewritten).graph.node}
    assert "PRelu" not in operators
    image = np.random.default_rng(7).normal(0, 1, (1, 3, 16, 16)).astype(np.float32)
    np.testing.assert_array_equal(run(rewritten, image), run(path.read_bytes(), image))


def test_the_same_network_gives_the_same_bytes(tmp_path: Path) -> None:
    path = network(tmp_path, np.full((8, 1, 1), 0.25, np.float32))
    assert without_prelu(path) == without_prelu(path)


def test_one_slope_for_all_channels_is_left_alone(tmp_path: Path) -> None:
    assert without_prelu(network(tmp_path, np.full(1, 0.25, np.float32))) is None


def test_mini_embeds_as_before(mini_pack: Path) -> None:
    path = mini_pack / "mobilefacenet_192.onnx"
    rewritten = without_prelu(path)
    assert rewritten is not None
    faces = np.random.default_rng(9).normal(0, 0.5, (3, 3, 112, 112)).astype(np.float32)
    name = onnx.load_from_string(rewritten).graph.input[0].name
    before, after = (
        onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, {name: faces})[0]
        for model in (path.read_bytes(), rewritten)
    )
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-5 * np.abs(before).max())
