"""Pictures: every node and edge is there, nothing lies on anything else, and files are whole or absent."""

import itertools
import xml.etree.ElementTree as ET

import pytest

from search_spaces.architectures.chain import Chain, ConvLayer
from search_spaces.build import Graph, Node
from search_spaces.cost import cost
from search_spaces.drawing import LANE, PORT, _lanes, draw, draw_svg, layout
from search_spaces.errors import SpecError
from search_spaces.reference import names, reference

SVG = "{http://www.w3.org/2000/svg}"
CHAIN = reference("chain-6")
DENSE = Chain(layers=tuple(ConvLayer(inputs=tuple(range(i))) for i in range(20)))


def _texts(svg):
    return [text.text for text in ET.fromstring(svg).iter(f"{SVG}text")]


@pytest.mark.parametrize("name", [name for name in names() if not name.endswith(":...")])
def test_every_reference_is_drawn(name):
    architecture, shape, outputs = reference(name)
    graph = architecture.draw_graph(shape, outputs)
    assert 0 < sum(node.params for node in graph.nodes) <= cost(architecture, shape, outputs).params
    texts = _texts(draw_svg(architecture, shape, outputs))
    assert all(any(node.label in text for text in texts) for node in graph.nodes)


def test_the_svg_names_every_layer_with_its_shape_and_parameters():
    texts = _texts(draw_svg(*CHAIN))
    assert texts[:2] == ["chain", "191 k parameters, 178 M multiply-adds, 3×32×32 to 10 outputs"]
    assert "2: conv 5×5, 36 filters" in texts
    assert "36×32×32 · 75,672 parameters" in texts
    assert "3: conv 3×3, 64 filters, max pool" in texts
    assert texts[-2:] == ["average pool, linear", "10 · 490 parameters"]


def test_there_is_one_arrow_an_edge():
    graph = CHAIN.architecture.draw_graph(*CHAIN[1:])
    svg = ET.fromstring(draw_svg(*CHAIN))
    assert len(graph.edges) == 10
    assert len(list(svg.iter(f"{SVG}polygon"))) == len(graph.edges)


@pytest.mark.parametrize("spec", [CHAIN.architecture, DENSE], ids=["sparse", "dense"])
def test_every_arrow_ends_at_a_port_of_its_own_in_the_border_of_its_target(spec):
    graph = spec.draw_graph((3, 8, 8), 10)
    picture = layout(graph, "dense", "")
    ends = {}
    for line in picture.lines:
        x, y = line.points[-1]
        target = next(i for i, box in enumerate(picture.boxes) if box.y <= y <= box.y + box.height)
        box = picture.boxes[target]
        assert x in (box.x + box.width / 2, box.x + box.width)
        ends.setdefault(target, []).append((x, y))
    order = [node.name for node in graph.nodes]
    for i, name in enumerate(order):
        sources = [source for source, target in graph.edges if target == name]
        assert len(ends.get(i, [])) == len(sources)
        beside = sorted(y - picture.boxes[i].y for _, y in ends.get(i, []) if y > picture.boxes[i].y)
        assert beside == [PORT * (k + 1) for k in range(len(beside))]


def test_lines_beside_the_column_never_overlap():
    picture = layout(DENSE.draw_graph((3, 8, 8), 10), "dense", "")
    runs = [
        (line.points[1][0], line.points[1][1], line.points[2][1]) for line in picture.lines if len(line.points) == 4
    ]
    assert len(runs) == 18  # every layer but the last two skips; the image and the last two do not
    for (x, top, bottom), (other, high, low) in itertools.combinations(runs, 2):
        assert abs(x - other) >= LANE or bottom < high or low < top
    assert max(x for x, _, _ in runs) < picture.width


def test_a_lane_is_used_again_below_its_first_line():
    assert _lanes({0: 2, 2: 4, 1: 5}) == {0: 0, 2: 0, 1: 1}


def test_labels_are_escaped_and_the_sheet_is_wide_enough_for_them():
    long = "a<b & c" * 20
    graph = Graph((Node("in", "input", long, (1,)), Node("out", "output", "x", (1,))), (("in", "out"),))
    picture = layout(graph, "t", "s")
    assert picture.boxes[0].width > len(long) * 7
    assert picture.width > picture.boxes[0].width
    one = Chain(layers=(ConvLayer(),))
    object.__setattr__(one, "kind", "a<b&c")
    assert _texts(draw_svg(one, (1, 8, 8), 2))[0] == "a<b&c"


def test_svg_and_png_are_written_whole_and_leave_nothing_beside_them(tmp_path):
    draw(*CHAIN, tmp_path / "a.svg")
    draw(*CHAIN, tmp_path / "a.PNG")
    assert (tmp_path / "a.svg").read_text(encoding="utf-8") == draw_svg(*CHAIN)
    png = (tmp_path / "a.PNG").read_bytes()
    width, height = (int.from_bytes(png[i : i + 4], "big") for i in (16, 20))
    svg = ET.fromstring(draw_svg(*CHAIN))
    assert png.startswith(b"\x89PNG")
    assert width == pytest.approx(2 * float(svg.get("width")), abs=2)
    assert height == pytest.approx(2 * float(svg.get("height")), abs=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.PNG", "a.svg"]


def test_another_ending_is_refused_and_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    with pytest.raises(SpecError, match="a name ending in .svg or .png"):
        draw(*CHAIN, tmp_path / "a.pdf")
    path = tmp_path / "a.svg"
    path.write_text("old")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        draw(*CHAIN, path)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.svg", "old")]
