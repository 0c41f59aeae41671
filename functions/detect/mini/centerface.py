"""CenterFace dressed as SCRFD, so that an unmodified insightface loads it as a detector.

CenterFace (https://arxiv.org/abs/1911.03599) gives, for every cell of a stride-4 grid: a score, log height
and log width (in cells), the offset of the centre (y, x), and five landmarks (y, x), as fractions of the
box's height and width from its top left corner.
SCRFD as insightface reads it has nine outputs: for the strides 8, 16 and 32, scores, box distances
(left, top, right, bottom) and five landmarks (x, y), relative to the cell's top left corner and in units of
the stride, for two anchors a cell.

Every cell at stride 8 covers 2x2 cells at stride 4. Anchor 0 carries the better cell of the upper row and
anchor 1 the better one of the lower row: two faces whose centres are 4 pixels apart are one face, so nothing
is lost. Strides 16 and 32 are there, with score 0. All the arithmetic happens inside the graph.
"""

from dataclasses import dataclass

import onnx

from functions.detect.mini.graph import GraphBuilder, float_tensor, serialise

# CenterFace's recommended threshold is 0.4 and insightface's 0.5. score ** SCORE_EXPONENT maps the first
# on the second: 0.4 ** 0.7565 = 0.5. It is monotonous, so the order of the faces stays.
SCORE_EXPONENT = 0.7565

_FINE_STRIDE = 4.0
_COARSE_STRIDE = 8.0
_TO_THE_END = 2**31 - 1
_LANDMARK_VALUES = 10
# The order (x, y) for five points given as (y, x).
_SWAPPED_LANDMARKS = (1, 0, 3, 2, 5, 4, 7, 6, 9, 8)


@dataclass(frozen=True)
class _Cell:
    """One of the 2x2 fine cells under a coarse cell: names of [1,n,h,w] tensors in pixels."""

    score: str
    box: str
    landmarks: str


@dataclass(frozen=True)
class _FineGrid:
    """CenterFace's maps at stride 4, as (x, y) and in pixels where they are lengths."""

    score: str
    size: str
    offset: str
    landmarks: str


def centerface_as_scrfd(source: bytes) -> bytes:
    """Convert the bytes of `centerface.onnx` to the bytes of a detector in SCRFD's shape.

    The result takes float32 [1,3,height,width] RGB scaled as insightface does, (pixel - 127.5) / 128, with
    height and width multiples of 32, and gives score_8/16/32 [n,1], bbox_8/16/32 [n,4], kps_8/16/32 [n,10].
    """
    graph = onnx.load_from_string(source).graph
    entry = _unscaled_pixels(graph.input[0].name)
    exit_builder = GraphBuilder("scrfd")
    heatmap, scale, offset, landmarks = (output.name for output in graph.output)
    grid = _fine_grid(exit_builder, heatmap, scale, offset, landmarks)
    rows = [_better_cell_of_row(exit_builder, grid, row) for row in (0, 1)]
    outputs = _emit(exit_builder, rows)

    nodes = [*entry.nodes, *graph.node, *exit_builder.nodes]
    used = {name for node in nodes for name in node.input}
    constants = [*entry.constants, *graph.initializer, *exit_builder.constants]
    return serialise(
        "centerface_as_scrfd",
        nodes,
        [constant for constant in constants if constant.name in used],
        [float_tensor("image", [1, 3, "height", "width"])],
        [float_tensor(name, [f"anchors_{name}", width]) for name, width in outputs],
    )


def _unscaled_pixels(target: str) -> GraphBuilder:
    """Undo insightface's scaling: CenterFace was trained on RGB from 0 to 255."""
    builder = GraphBuilder("entry")
    scaled = builder.node("Mul", "image", builder.constant([128.0]))
    builder.node("Add", scaled, builder.constant([127.5]), output=target)
    return builder


def _fine_grid(builder: GraphBuilder, heatmap: str, scale: str, offset: str, landmarks: str) -> _FineGrid:
    """Bring CenterFace's maps into (x, y) order; sizes become pixels."""
    x_then_y = builder.integers(1, 0)
    log_size = builder.node("Gather", scale, x_then_y, axis=1)
    size = builder.node("Mul", builder.node("Exp", log_size), builder.constant([_FINE_STRIDE]))
    return _FineGrid(
        score=heatmap,
        size=size,
        offset=builder.node("Gather", offset, x_then_y, axis=1),
        landmarks=builder.node("Gather", landmarks, builder.integers(*_SWAPPED_LANDMARKS), axis=1),
    )


def _better_cell_of_row(builder: GraphBuilder, grid: _FineGrid, row: int) -> _Cell:
    """Of the two fine cells in a row of the 2x2 block keep, at every place, the one with the higher score."""
    left, right = (_cell(builder, grid, row, column) for column in (0, 1))
    left_wins = builder.node("GreaterOrEqual", left.score, right.score)
    return _Cell(
        score=builder.node("Max", left.score, right.score),
        box=builder.node("Where", left_wins, left.box, right.box),
        landmarks=builder.node("Where", left_wins, left.landmarks, right.landmarks),
    )


def _cell(builder: GraphBuilder, grid: _FineGrid, row: int, column: int) -> _Cell:
    """Read one fine cell of every 2x2 block, relative to the block's top left corner, in pixels."""
    score = _every_second(builder, grid.score, row, column)
    size = _every_second(builder, grid.size, row, column)
    offset = _every_second(builder, grid.offset, row, column)
    points = _every_second(builder, grid.landmarks, row, column)

    cell_centre = builder.constant([[[[column + 0.5]], [[row + 0.5]]]])
    centre = builder.node("Mul", builder.node("Add", offset, cell_centre), builder.constant([_FINE_STRIDE]))
    half = builder.node("Mul", size, builder.constant([0.5]))
    top_left = builder.node("Sub", centre, half)
    bottom_right = builder.node("Add", centre, half)
    # SCRFD's distances to the left and the top count outwards, so they are the negative coordinates.
    box = builder.node("Concat", builder.node("Neg", top_left), bottom_right, axis=1)

    five_sizes = builder.node("Concat", *[size] * 5, axis=1)
    five_corners = builder.node("Concat", *[top_left] * 5, axis=1)
    landmarks = builder.node("Add", builder.node("Mul", points, five_sizes), five_corners)
    return _Cell(score, box, landmarks)


def _every_second(builder: GraphBuilder, tensor: str, row: int, column: int) -> str:
    """Slice [1,n,h,w] to [1,n,h/2,w/2], from the given row and column."""
    return builder.node(
        "Slice",
        tensor,
        builder.integers(row, column),
        builder.integers(_TO_THE_END, _TO_THE_END),
        builder.integers(2, 3),
        builder.integers(2, 2),
    )


def _emit(builder: GraphBuilder, rows: list[_Cell]) -> list[tuple[str, int]]:
    """Add the nine outputs in insightface's order and return their names and widths."""
    per_stride = builder.constant([1.0 / _COARSE_STRIDE])
    scores = builder.node(
        "Pow", _anchors_last(builder, [row.score for row in rows]), builder.constant([SCORE_EXPONENT])
    )
    boxes = builder.node("Mul", _anchors_last(builder, [row.box for row in rows]), per_stride)
    landmarks = builder.node("Mul", _anchors_last(builder, [row.landmarks for row in rows]), per_stride)
    outputs = []
    for kind, tensor, width in (("score", scores, 1), ("bbox", boxes, 4), ("kps", landmarks, _LANDMARK_VALUES)):
        outputs.append(_emit_stride(builder, tensor, f"{kind}_8", width))
        for stride in (16, 32):
            thinned = _thinned(builder, tensor, stride // 8)
            silent = builder.node("Mul", thinned, builder.constant([0.0]))
            outputs.append(_emit_stride(builder, silent, f"{kind}_{stride}", width))
    return outputs


def _anchors_last(builder: GraphBuilder, anchors: list[str]) -> str:
    """Join two [1,n,h,w] to [1,h,w,2n]: reshaped to rows, the two anchors of a cell are neighbours."""
    joined = builder.node("Concat", *anchors, axis=1)
    return builder.node("Transpose", joined, perm=[0, 2, 3, 1])


def _thinned(builder: GraphBuilder, tensor: str, step: int) -> str:
    """Keep every `step`-th row and column of [1,h,w,n], the grid of a coarser stride."""
    return builder.node(
        "Slice",
        tensor,
        builder.integers(0, 0),
        builder.integers(_TO_THE_END, _TO_THE_END),
        builder.integers(1, 2),
        builder.integers(step, step),
    )


def _emit_stride(builder: GraphBuilder, tensor: str, name: str, width: int) -> tuple[str, int]:
    builder.node("Reshape", tensor, builder.integers(-1, width), output=name)
    return name, width
