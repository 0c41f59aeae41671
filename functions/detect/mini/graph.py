"""A small builder for ONNX graphs: it names nodes and constants in order, so equal calls give equal bytes."""

from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, checker, helper, numpy_helper

# Opset 13 and IR version 8 are read by every onnxruntime that insightface accepts.
OPSET = 13
IR_VERSION = 8


class GraphBuilder:
    """Collects nodes and constants under names that start with `prefix`."""

    def __init__(self, prefix: str) -> None:
        """Start an empty graph whose generated names start with `prefix`."""
        self._prefix = prefix
        self._count = 0
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def constant(self, values: npt.ArrayLike, dtype: npt.DTypeLike = np.float32) -> str:
        """Add a constant tensor and return its name."""
        name = self._next_name("constant")
        array = np.ascontiguousarray(values, dtype=dtype)
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def integers(self, *values: int) -> str:
        """Add a one-dimensional int64 constant (axes, starts, shapes) and return its name."""
        return self.constant(values, np.int64)

    def node(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:  # noqa: ANN401 - onnx attributes are of many types
        """Add a node with one output and return the output's name (generated unless given)."""
        name = output or self._next_name(operator.lower())
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=f"make_{name}", **attributes))
        return name

    def _next_name(self, kind: str) -> str:
        self._count += 1
        return f"{self._prefix}_{kind}_{self._count}"


def serialise(
    name: str,
    nodes: list[NodeProto],
    constants: list[TensorProto],
    inputs: list[ValueInfoProto],
    outputs: list[ValueInfoProto],
) -> bytes:
    """Check the graph and return it as the bytes of an ONNX file, the same bytes for the same graph."""
    graph = helper.make_graph(nodes, name, inputs, outputs, constants)
    model: ModelProto = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="trombi",
    )
    checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def float_tensor(name: str, shape: list[int | str]) -> ValueInfoProto:
    """Describe a float32 graph input or output; a string in `shape` is a free dimension."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
