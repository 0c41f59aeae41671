"""MobileFaceNet (https://arxiv.org/abs/1804.07573) from TensorFlow Lite to ONNX.

TensorFlow Lite has images as [n,h,w,c] and writes PReLU as relu(x) + c * (x - |x|); ONNX has [n,c,h,w] and
PRelu with slope 2c. The embedding is padded with zeros to 512 values: that changes no cosine, and one
database column serves every pack.
"""

import numpy as np
import numpy.typing as npt

from functions.detect.mini.graph import GraphBuilder, float_tensor, serialise
from functions.detect.mini.tflite import Network, Operator, Table, TfliteError, read_network

EMBEDDING_SIZE = 512

_SIDE = 112
# insightface feeds (pixel - 127.5) / 127.5, this network was trained on (pixel - 127.5) / 128.
_RESCALE = 127.5 / 128.0
# schema.fbs: which field of an operator's options holds its fused activation, and the two paddings.
_FUSED_ACTIVATION_FIELD = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 4, "ADD": 0, "MUL": 0, "SUB": 0}
_PADDING_SAME = 0


def mobilefacenet_as_onnx(source: bytes) -> bytes:
    """Convert the bytes of `MobileFaceNet.tflite` to the bytes of an embedder for insightface.

    The result takes float32 [n,3,112,112] RGB, (pixel - 127.5) / 127.5, and gives float32 [n,512], not
    normalised, zero from the network's own width (192) on. Raises TfliteError for another network.
    """
    return _Conversion(read_network(source)).run()


class _Conversion:
    """Walks the network from its output to its input and adds an ONNX node for each operator."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._made_by = {operator.output: operator for operator in network.operators}
        self._builder = GraphBuilder("mobilefacenet")
        self._converted: dict[int, str] = {}

    def run(self) -> bytes:
        builder = self._builder
        rescaled = builder.node("Mul", "faces", builder.constant([_RESCALE]))
        self._converted[self._network.input] = rescaled
        embedding = self._convert(self._network.output)
        width = self._network.tensors[self._network.output].shape[-1]
        padding = builder.integers(0, 0, 0, EMBEDDING_SIZE - width)
        builder.node("Pad", embedding, padding, output="embedding")
        return serialise(
            "mobilefacenet",
            builder.nodes,
            builder.constants,
            [float_tensor("faces", ["n", 3, _SIDE, _SIDE])],
            [float_tensor("embedding", ["n", EMBEDDING_SIZE])],
        )

    def _convert(self, tensor: int) -> str:
        """Return the ONNX name of a tensor; the network is about 150 operators deep, so recursion serves."""
        if tensor not in self._converted:
            self._converted[tensor] = self._convert_operator(self._made_by[tensor])
        return self._converted[tensor]

    def _convert_operator(self, operator: Operator) -> str:
        _refuse_fused_activation(operator)
        match operator.kind:
            case "ADD":
                return self._prelu(operator) or self._add(operator)
            case "CONV_2D" | "DEPTHWISE_CONV_2D":
                return self._convolution(operator)
            case "RESHAPE":
                return self._builder.node("Flatten", self._convert(operator.inputs[0]), axis=1)
            case kind:
                message = f"{kind} stands where MobileFaceNet has none"
                raise TfliteError(message)

    def _add(self, operator: Operator) -> str:
        left, right = operator.inputs
        return self._builder.node("Add", self._convert(left), self._convert(right))

    def _convolution(self, operator: Operator) -> str:
        image, weights, bias = operator.inputs
        kernel = self._constant(weights)
        depthwise = operator.kind == "DEPTHWISE_CONV_2D"
        # TensorFlow Lite: [out,h,w,in], and [1,h,w,channels] depthwise. ONNX: [out,in,h,w] for both.
        kernel = kernel.transpose(3, 0, 1, 2) if depthwise else kernel.transpose(0, 3, 1, 2)
        options = _options(operator)
        return self._builder.node(
            "Conv",
            self._convert(image),
            self._builder.constant(kernel),
            self._builder.constant(self._constant(bias)),
            kernel_shape=list(kernel.shape[2:]),
            strides=[options.int32(2), options.int32(1)],
            group=kernel.shape[0] if depthwise else 1,
            auto_pad="SAME_UPPER" if options.int8(0) == _PADDING_SAME else "VALID",
        )

    def _prelu(self, addition: Operator) -> str | None:
        """Recognise relu(x) + c * (x - |x|); None when the addition is something else."""
        for rectified, scaled in (addition.inputs, addition.inputs[::-1]):
            half_slope = self._half_slope(rectified, scaled)
            if half_slope is not None:
                x = self._made_by[rectified].inputs[0]
                slope = self._builder.constant(2 * half_slope.reshape(-1, 1, 1))
                return self._builder.node("PRelu", self._convert(x), slope)
        return None

    def _half_slope(self, rectified: int, scaled: int) -> npt.NDArray[np.float32] | None:
        """Return c when `rectified` is relu(x) and `scaled` is c * (x - |x|) of the same x."""
        relu, product = self._made_by.get(rectified), self._made_by.get(scaled)
        if relu is None or relu.kind != "RELU" or product is None or product.kind != "MUL":
            return None
        constants = [tensor for tensor in product.inputs if tensor not in self._made_by]
        factors = [self._made_by[tensor] for tensor in product.inputs if tensor in self._made_by]
        if len(constants) != 1 or len(factors) != 1 or factors[0].kind != "SUB":
            return None
        x, magnitude = factors[0].inputs
        absolute = self._made_by.get(magnitude)
        if absolute is None or absolute.kind != "ABS" or absolute.inputs[0] != x or relu.inputs[0] != x:
            return None
        return self._constant(constants[0])

    def _constant(self, tensor: int) -> npt.NDArray[np.float32]:
        values = self._network.tensors[tensor].values
        if values is None:
            message = f"tensor {tensor} should be a constant"
            raise TfliteError(message)
        return values


def _options(operator: Operator) -> Table:
    if operator.options is None:
        message = f"{operator.kind} has no options"
        raise TfliteError(message)
    return operator.options


def _refuse_fused_activation(operator: Operator) -> None:
    """MobileFaceNet has none; silently dropping one would change every embedding."""
    field = _FUSED_ACTIVATION_FIELD.get(operator.kind)
    if field is not None and operator.options is not None and operator.options.int8(field) != 0:
        message = f"{operator.kind} has a fused activation, which this conversion does not know"
        raise TfliteError(message)
