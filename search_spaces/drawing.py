"""Pictures of architectures: SVG written directly, PNG by matplotlib, both from one layout.

Nodes stand in one column in the order of the graph. An edge to the next node is an arrow between the two boxes; all
other edges of a node share one line beside the column, in the node's own color, with an arrow into each target.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces.build import Architecture, Graph, Node
from search_spaces.errors import SpecError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Point = tuple[float, float]

# All lengths are pixels of the SVG; y grows downwards.
MARGIN, GAP, LANE = 24.0, 26.0, 12.0
BOX_WIDTH, BOX_HEIGHT, PORT = 300.0, 46.0, 10.0
TITLE, LABEL, DETAIL = 14.0, 13.0, 11.0
CHARACTER = 0.56  # mean width of a character of a sans-serif font, in font sizes
ARROW = 6.0
PNG_SCALE = 2.0
INK, FAINT, FLOW = "#1f2933", "#52606d", "#323f4b"
ENDS = {"input": "#e4e7eb", "output": "#e4e7eb"}
FILLS = ("#dbeafe", "#dcfce7", "#fef3c7", "#fce7f3", "#ede9fe", "#cffafe", "#ffedd5", "#ecfccb", "#fee2e2", "#e0e7ff")
LINES = ("#2563eb", "#16a34a", "#d97706", "#db2777", "#7c3aed", "#0891b2", "#ea580c", "#65a30d", "#dc2626", "#4f46e5")


@dataclass(frozen=True)
class Box:
    """A rounded rectangle with its left upper corner at (x, y)."""

    x: float
    y: float
    width: float
    height: float
    fill: str


@dataclass(frozen=True)
class Line:
    """A broken line through points; the last one may carry an arrow head, `dot` marks the first."""

    points: tuple[Point, ...]
    color: str
    arrow: bool = True
    dot: bool = False


@dataclass(frozen=True)
class Text:
    """A text whose anchor (`start` or `middle`) lies at (x, y) on its base line."""

    x: float
    y: float
    text: str
    size: float
    color: str = INK
    anchor: str = "middle"
    bold: bool = False


@dataclass
class Picture:
    """What is to be drawn, on a sheet of `width` x `height`; later items lie above earlier ones."""

    width: float
    height: float
    boxes: list[Box] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)


def draw_svg(architecture: Architecture, input_shape: Sequence[int], outputs: int) -> str:
    """Returns the picture of an architecture as the text of an SVG file.

    Args:
        architecture: A spec without holes.
        input_shape: Shape of one input without the batch, (C, H, W) for images.
        outputs: Number of classes.
    """
    return _svg(_picture(architecture, input_shape, outputs))


def draw(architecture: Architecture, input_shape: Sequence[int], outputs: int, path: str | Path) -> None:
    """Writes the picture of an architecture to a file, whole or not at all.

    Args:
        architecture: A spec without holes.
        input_shape: Shape of one input without the batch, (C, H, W) for images.
        outputs: Number of classes.
        path: A name that ends in .svg or .png.

    Raises:
        SpecError: The name has another ending.
    """
    path = Path(path)
    if path.suffix.lower() not in (".svg", ".png"):
        raise SpecError("a picture is written as SVG or PNG", str(path), "a name ending in .svg or .png")
    picture = _picture(architecture, input_shape, outputs)
    _write(path, _svg(picture).encode() if path.suffix.lower() == ".svg" else _png(picture))


def _picture(architecture: Architecture, input_shape: Sequence[int], outputs: int) -> Picture:
    from search_spaces.cost import cost

    graph = architecture.draw_graph(input_shape, outputs)
    counted = cost(architecture, input_shape, outputs)
    kind = getattr(architecture, "kind", type(architecture).__name__)
    size = f"{_short(counted.params)} parameters, {_short(counted.macs)} multiply-adds"
    return layout(graph, str(kind), f"{size}, {_shape(input_shape)} to {outputs} outputs")


def layout(graph: Graph, title: str, subtitle: str) -> Picture:
    """Returns where everything of a graph goes.

    Args:
        graph: Nodes in an order in which each follows those it reads from.
        title: First line of the heading.
        subtitle: Second line of the heading.
    """
    order = {node.name: i for i, node in enumerate(graph.nodes)}
    edges = [(order[source], order[target]) for source, target in graph.edges]
    far: dict[int, list[int]] = {}
    for source, target in sorted(edges):
        if target > source + 1:
            far.setdefault(source, []).append(target)
    lanes = _lanes({source: max(targets) for source, targets in far.items()})
    entering = {i: [source for source in far if i in far[source]] for i in range(len(graph.nodes))}
    widest = max(_width(line, size) for node in graph.nodes for line, size in _lines(node)) + 2 * PORT
    picture = Picture(MARGIN * 2 + max(BOX_WIDTH, widest) + LANE * (max(lanes.values(), default=-1) + 2), 0.0)
    heading = max(_width(title, TITLE), _width(subtitle, DETAIL)) + 2 * MARGIN
    boxes = _stack(graph, entering, max(BOX_WIDTH, widest))
    picture.width = max(picture.width, heading)
    picture.height = boxes[-1].y + boxes[-1].height + MARGIN
    picture.boxes = boxes
    picture.texts = [Text(MARGIN, MARGIN + 12, title, TITLE, anchor="start", bold=True)]
    picture.texts.append(Text(MARGIN, MARGIN + 30, subtitle, DETAIL, FAINT, anchor="start"))
    for node, box in zip(graph.nodes, boxes, strict=True):
        picture.texts += _inscription(node, box)
    for source, target in edges:
        if target == source + 1:
            x, above = boxes[source].x + boxes[source].width / 2, boxes[source]
            picture.lines.append(Line(((x, above.y + above.height), (x, boxes[target].y)), FLOW))
    for source, targets in far.items():
        picture.lines += _bus(source, targets, boxes, entering, lanes[source])
    return picture


def _stack(graph: Graph, entering: dict[int, list[int]], width: float) -> list[Box]:
    kinds = [kind for kind in dict.fromkeys(node.kind for node in graph.nodes) if kind not in ENDS]
    fills = ENDS | {kind: FILLS[i % len(FILLS)] for i, kind in enumerate(kinds)}
    boxes: list[Box] = []
    y = MARGIN + 48
    for i, node in enumerate(graph.nodes):
        # A port an entering edge, and one for the leaving edge below them.
        height = max(BOX_HEIGHT, PORT * (len(entering[i]) + 2))
        boxes.append(Box(MARGIN, y, width, height, fills[node.kind]))
        y += height + GAP
    return boxes


def _lanes(last: dict[int, int]) -> dict[int, int]:
    """Returns source -> lane, short lines near the column, no two lines of one lane overlapping.

    Args:
        last: Source -> its furthest target.
    """
    lanes: dict[int, int] = {}
    for source in sorted(last, key=lambda s: (last[s] - s, s)):
        taken = {lane for other, lane in lanes.items() if other < last[source] and source < last[other]}
        lanes[source] = next(lane for lane in range(len(last)) if lane not in taken)
    return lanes


def _bus(source: int, targets: list[int], boxes: list[Box], entering: dict[int, list[int]], lane: int) -> list[Line]:
    color = LINES[source % len(LINES)]
    box = boxes[source]
    right = box.x + box.width
    x = right + LANE * (lane + 1.5)
    leave = box.y + box.height - PORT
    arrivals = [boxes[target].y + PORT * (entering[target].index(source) + 1) for target in targets]
    lines = [Line(((right, leave), (x, leave), (x, arrivals[-1]), (right, arrivals[-1])), color)]
    return lines + [Line(((x, y), (right, y)), color, dot=True) for y in arrivals[:-1]]


def _lines(node: Node) -> tuple[tuple[str, float], tuple[str, float]]:
    params = f" · {node.params:,} parameters" if node.params else ""
    return (node.label, LABEL), (_shape(node.shape) + params, DETAIL)


def _inscription(node: Node, box: Box) -> list[Text]:
    (label, label_size), (detail, detail_size) = _lines(node)
    x, y = box.x + box.width / 2, box.y + box.height / 2
    return [Text(x, y - 3, label, label_size), Text(x, y + 14, detail, detail_size, FAINT)]


def _width(text: str, size: float) -> float:
    return len(text) * size * CHARACTER


def _shape(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))


def _short(number: int) -> str:
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return str(number)


def _head(line: Line) -> tuple[Point, Point, Point]:
    (x0, y0), (x, y) = line.points[-2:]
    length = abs(x - x0) + abs(y - y0)
    dx, dy = (x - x0) / length * ARROW, (y - y0) / length * ARROW
    return (x, y), (x - dx - dy * 0.55, y - dy + dx * 0.55), (x - dx + dy * 0.55, y - dy - dx * 0.55)


def _pairs(points: Sequence[Point]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)


def _svg(picture: Picture) -> str:
    size = f"{picture.width:g}", f"{picture.height:g}"
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size[0]}" height="{size[1]}" '
        f'viewBox="0 0 {size[0]} {size[1]}" font-family="Helvetica, Arial, sans-serif">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
    ]
    for box in picture.boxes:
        out.append(
            f'<rect x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}" rx="6" '
            f'fill="{box.fill}" stroke="{FLOW}"/>'
        )
    for line in picture.lines:
        out.append(
            f'<polyline points="{_pairs(line.points)}" fill="none" stroke="{line.color}" stroke-width="1.5" '
            'stroke-linejoin="round"/>'
        )
        if line.arrow:
            out.append(f'<polygon points="{_pairs(_head(line))}" fill="{line.color}"/>')
        if line.dot:
            out.append(f'<circle cx="{line.points[0][0]:g}" cy="{line.points[0][1]:g}" r="2.5" fill="{line.color}"/>')
    for text in picture.texts:
        weight = ' font-weight="bold"' if text.bold else ""
        out.append(
            f'<text x="{text.x:g}" y="{text.y:g}" font-size="{text.size:g}" fill="{text.color}" '
            f'text-anchor="{text.anchor}"{weight}>{escape(text.text)}</text>'
        )
    return "\n".join([*out, "</svg>", ""])


def _png(picture: Picture) -> bytes:
    import io

    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    dots = 100.0  # an inch of the figure
    figure = Figure(figsize=(picture.width / dots, picture.height / dots), dpi=dots, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, picture.width)
    axes.set_ylim(picture.height, 0)
    axes.axis("off")
    _paint(axes, picture, 72 / dots)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dots * PNG_SCALE)
    return buffer.getvalue()


def _paint(axes: Axes, picture: Picture, points: float) -> None:
    from matplotlib.patches import Circle, FancyBboxPatch, Polygon

    for box in picture.boxes:
        style = "round,pad=0,rounding_size=6"
        corner = (box.x, box.y)
        axes.add_patch(FancyBboxPatch(corner, box.width, box.height, boxstyle=style, fc=box.fill, ec=FLOW, lw=points))
    for line in picture.lines:
        xs, ys = zip(*line.points, strict=True)
        axes.plot(xs, ys, color=line.color, linewidth=1.5 * points, solid_capstyle="butt")
        if line.arrow:
            axes.add_patch(Polygon(_head(line), closed=True, color=line.color, lw=0))
        if line.dot:
            axes.add_patch(Circle(line.points[0], 2.5, color=line.color, lw=0))
    for text in picture.texts:
        axes.text(
            text.x,
            text.y,
            text.text,
            fontsize=text.size * points,
            color=text.color,
            ha="left" if text.anchor == "start" else "center",
            va="baseline",
            weight="bold" if text.bold else "normal",
            family="sans-serif",
        )


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
