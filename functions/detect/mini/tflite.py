"""Reads a TensorFlow Lite file, as much of it as MobileFaceNet needs.

A .tflite file is a FlatBuffer (https://flatbuffers.dev/internals/): tables with optional fields behind a
table of offsets. Field numbers are those of TensorFlow's `schema.fbs`, version 3.
"""

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

# Numbers of schema.fbs' BuiltinOperator.
OPERATORS = {
    0: "ADD",
    3: "CONV_2D",
    4: "DEPTHWISE_CONV_2D",
    11: "L2_NORMALIZATION",
    18: "MUL",
    19: "RELU",
    22: "RESHAPE",
    41: "SUB",
    101: "ABS",
}
# Numbers of schema.fbs' TensorType.
_TENSOR_TYPES = {0: "<f4", 2: "<i4"}


class TfliteError(ValueError):
    """The file uses something that this reader does not know."""


@dataclass(frozen=True)
class Tensor:
    """Shape of a tensor, and its values when it is a constant."""

    shape: tuple[int, ...]
    values: npt.NDArray[Any] | None


@dataclass(frozen=True)
class Operator:
    """One operation: its kind (a value of OPERATORS), tensor numbers, and the numbers in its options."""

    kind: str
    inputs: tuple[int, ...]
    output: int
    options: "Table | None"


@dataclass(frozen=True)
class Network:
    """The first subgraph of a model."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    input: int
    output: int


class Table:
    """A FlatBuffer table at `position`: fields are read by number, absent ones give a default."""

    def __init__(self, buffer: bytes, position: int) -> None:
        """Look at the table that starts at `position` of `buffer`."""
        self._buffer = buffer
        self._position = position
        self._offsets = position - self._read("<i", position)
        self._offsets_size = self._read("<H", self._offsets)

    def int32(self, field: int) -> int:
        """Read an int32 field, 0 when absent."""
        return self._scalar("<i", field)

    def int8(self, field: int) -> int:
        """Read an int8 field, 0 when absent."""
        return self._scalar("<b", field)

    def table(self, field: int) -> "Table | None":
        """Follow a field that holds one table."""
        position = self._field(field)
        return None if position is None else Table(self._buffer, self._follow(position))

    def tables(self, field: int) -> list["Table"]:
        """Follow a field that holds a vector of tables."""
        start, length = self.vector(field)
        return [Table(self._buffer, self._follow(start + 4 * index)) for index in range(length)]

    def int32s(self, field: int) -> tuple[int, ...]:
        """Read a field that holds a vector of int32."""
        start, length = self.vector(field)
        return struct.unpack_from(f"<{length}i", self._buffer, start)

    def vector(self, field: int) -> tuple[int, int]:
        """Return where a field's vector starts and how many elements it has: (0, 0) when absent."""
        position = self._field(field)
        if position is None:
            return 0, 0
        start = self._follow(position)
        return start + 4, self._read("<I", start)

    def _scalar(self, layout: str, field: int) -> int:
        position = self._field(field)
        return 0 if position is None else self._read(layout, position)

    def _field(self, field: int) -> int | None:
        entry = 4 + 2 * field
        if entry >= self._offsets_size:
            return None
        offset = self._read("<H", self._offsets + entry)
        return self._position + offset if offset else None

    def _follow(self, position: int) -> int:
        return position + self._read("<I", position)

    def _read(self, layout: str, position: int) -> int:
        return int(struct.unpack_from(layout, self._buffer, position)[0])


def read_network(source: bytes) -> Network:
    """Read the first subgraph of a .tflite file with float32 and int32 tensors.

    Raises TfliteError for operators or tensor types that MobileFaceNet does not use.
    """
    model = Table(source, struct.unpack_from("<I", source, 0)[0])
    # Old writers fill only field 0 (one byte), new ones field 3: schema.fbs asks for the larger.
    codes = [max(code.int8(0), code.int32(3)) for code in model.tables(1)]
    graph = model.tables(2)[0]
    buffers = model.tables(4)
    (network_input,) = graph.int32s(1)
    (network_output,) = graph.int32s(2)
    return Network(
        tensors=tuple(_tensor(source, tensor, buffers) for tensor in graph.tables(0)),
        operators=tuple(_operator(operator, codes) for operator in graph.tables(3)),
        input=network_input,
        output=network_output,
    )


def _tensor(source: bytes, tensor: Table, buffers: list[Table]) -> Tensor:
    shape = tensor.int32s(0)
    start, length = buffers[tensor.int32(2)].vector(0)
    if not length:
        return Tensor(shape, None)
    number = tensor.int8(1)
    if number not in _TENSOR_TYPES:
        message = f"tensor type {number} is not float32 or int32"
        raise TfliteError(message)
    dtype = np.dtype(_TENSOR_TYPES[number])
    values = np.frombuffer(source, dtype, length // dtype.itemsize, start)
    return Tensor(shape, values.reshape(shape))


def _operator(operator: Table, codes: list[int]) -> Operator:
    code = codes[operator.int32(0)]
    if code not in OPERATORS:
        message = f"operator {code} is not one that MobileFaceNet uses"
        raise TfliteError(message)
    (output,) = operator.int32s(2)
    return Operator(OPERATORS[code], operator.int32s(1), output, operator.table(4))
