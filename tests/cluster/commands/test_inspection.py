"""What `inspect` tells of architectures and spaces: the published numbers, through the command's own JSON."""

import json
from math import factorial, prod
from pathlib import Path
from typing import Any

import pytest

from cluster.commands.inspection import inspect
from search_spaces.errors import SpecError


def _told(name: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert inspect(name, None, None, as_json=True, draw=None) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize(
    ("name", "figures"),
    [
        ("nasnet-a-cifar", {"params": 3_346_538, "auxiliary_params": 1_631_498, "norm_statistics": 37_248}),
        ("nasnet-a-mobile", {"params": 5_289_978, "auxiliary_params": 2_411_240, "norm_statistics": 36_738}),
        ("darts-v2", {"params": 3_349_342, "auxiliary_params": 476_426}),
        ("darts-v2-imagenet", {"params": 4_718_752, "auxiliary_params": 1_260_776}),
        (
            "nasbench201:|nor_conv_1x1~0|+|nor_conv_1x1~0|nor_conv_1x1~1|+|"
            "nor_conv_1x1~0|nor_conv_1x1~1|nor_conv_1x1~2|",
            {"params": 241_306},
        ),
    ],
)
def test_published_parameters(name: str, figures: dict[str, int], capsys: pytest.CaptureFixture[str]) -> None:
    found = _told(name, capsys)
    assert {key: found[key] for key in figures} == figures


def test_published_multiply_adds_and_the_largest_network(capsys: pytest.CaptureFixture[str]) -> None:
    macs = {name: _told(f"nasnet-a-{name}", capsys)["macs"] / 1e6 for name in ("cifar", "mobile")}
    assert macs == {"cifar": pytest.approx(544.3, abs=0.05), "mobile": pytest.approx(563.6, abs=0.05)}
    large = _told("nasnet-a-large", capsys)
    assert (large["params"] + large["norm_statistics"]) / 1e6 == pytest.approx(88.9, abs=0.06)
    assert large["macs"] / 1e9 == pytest.approx(23.8, abs=0.05)


def test_end_points_and_cells(capsys: pytest.CaptureFixture[str]) -> None:
    nodes = {node["name"]: node for node in _told("nasnet-a-cifar", capsys)["nodes"]}
    shapes = {name: node["shape"] for name, node in nodes.items()}
    assert shapes["stem"] == [96, 32, 32]
    assert [shapes[f"cell_{i}"] for i in (0, 6, 12)] == [[192, 32, 32], [384, 16, 16], [768, 8, 8]]
    assert (shapes["reduction_0"], shapes["reduction_1"]) == ([256, 16, 16], [512, 8, 8])
    cells = ("cell_14", "reduction_1", "cell_0", "cell_1", "cell_12")
    assert [nodes[cell]["params"] for cell in cells] == [383_232, 305_408, 40_384, 25_152, 301_312]
    mobile = {node["name"]: node["shape"] for node in _told("nasnet-a-mobile", capsys)["nodes"]}
    names = ("stem_1", "cell_0", "reduction_0", "cell_4", "reduction_1", "cell_8")
    assert [mobile[name] for name in names] == [
        *([88, 28, 28], [264, 28, 28], [352, 14, 14], [528, 14, 14], [704, 7, 7], [1056, 7, 7])
    ]
    layer = {node["name"]: node for node in _told("nascell", capsys)["nodes"]}["layer 1"]
    assert layer["params"] == 8 * 1152 * (1152 + 1152)


def test_keep_probabilities_fall_with_depth_to_the_published_one(capsys: pytest.CaptureFixture[str]) -> None:
    keep = _told("nasnet-a-cifar", capsys)["keep_probabilities"]
    assert keep == [pytest.approx(1 - (i + 1) / 20 * 0.4) for i in range(20)] and keep[-1] == 0.6
    assert _told("nasnet-a-large", capsys)["keep_probabilities"][-1] == 0.7
    assert _told("darts-v2", capsys)["keep_probabilities"] == [0.8]
    assert "keep_probabilities" not in _told("nasnet-a-mobile", capsys)


def test_cardinalities(capsys: pytest.CaptureFixture[str]) -> None:
    cell = 720**2 * 13**10 * 2**5
    nasnet = _told("nasnet", capsys)
    assert nasnet["parts"] == {"normal": cell, "reduction": cell} and nasnet["cardinality"] == cell**2
    darts = prod((i + 2) * (i + 1) // 2 for i in range(4)) * 7**8
    assert darts == 1_037_664_180
    assert _told("darts", capsys)["cardinality"] == darts**2
    assert _told("nasbench201", capsys)["cardinality"] == 15_625
    assert _told("enas_macro", capsys)["cardinality"] == 6**12 * 2**66
    assert _told("enas_micro", capsys)["parts"]["normal"] == 5**10 * factorial(6) ** 2
    assert _told("nascell", capsys)["space"]["cardinality"] == 63_331_869_759_897_600
    assert _told("{preset: chain, layers: 15}", capsys)["cardinality"] == 64**15 * 2**105
    assert _told("{preset: chain, layers: 4, strides: true}", capsys)["cardinality"] == 576**4 * 2**6
    assert _told("recipe-language", capsys)["cardinality"] is None


def test_the_schedule_of_layers(capsys: pytest.CaptureFixture[str]) -> None:
    found = _told("{preset: chain, layers: 20, grow: true}", capsys)["layer_schedule"]
    assert found == {str(1600 * i): 6 + 2 * i for i in range(8)}
    assert "layer_schedule" not in _told("chain", capsys)


def test_a_space_is_shown_to_people_too(capsys: pytest.CaptureFixture[str]) -> None:
    inspect("darts", None, None, as_json=False, draw=None)
    assert capsys.readouterr().out.splitlines() == [
        "darts: a space of 1,076,746,950,455,072,400 candidates, 22 decisions",
        "  normal            1,037,664,180",
        "  reduction         1,037,664,180",
    ]


def test_a_space_has_no_picture(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="^--draw: a space has no picture; got 'darts'"):
        inspect("darts", None, None, as_json=False, draw=str(tmp_path / "a.svg"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nasnett", "unknown reference architecture, did you mean the space 'nasnet'?; got 'nasnett'"),
        ("{preset: chian}", "unknown preset, did you mean 'chain'?"),
        ("{preset: chain, layers: 0}", "preset 'chain' refuses its arguments"),
    ],
)
def test_unknown_spaces_are_refused(name: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        inspect(name, None, None, as_json=True, draw=None)
    assert message in str(caught.value)


def test_inspect_prints_the_figures_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert inspect("chain-6", None, None, as_json=True, draw=None) == 0
    own = json.loads(capsys.readouterr().out)
    assert (own["params"], own["input"], own["outputs"]) == (191286, [3, 32, 32], 10)
    # A norm of 280 channels in all leaves a bias a channel; the products stay.
    assert (own["deployed_params"], own["deployed_macs"]) == (191286 - 280, own["macs"])
    inspect("chain-6", "1x8x8", 5, as_json=True, draw=None)
    other = json.loads(capsys.readouterr().out)
    assert (other["input"], other["outputs"]) == ([1, 8, 8], 5)
    # The image has a sixteenth of the places; two layers read two channels less of it, and five classes are fewer.
    assert other["params"] < own["params"]
    assert other["macs"] < own["macs"] / 8


def test_inspect_prints_for_people_too(capsys: pytest.CaptureFixture[str]) -> None:
    inspect("chain-6", None, None, as_json=False, draw=None)
    assert "191,286; deployed 191,006" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["a.svg", "a.png"])
def test_inspect_draws(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inspect("chain-6", None, None, as_json=True, draw=str(tmp_path / name))
    assert (tmp_path / name).read_bytes()[:4] in (b"<svg", b"\x89PNG")


@pytest.mark.parametrize(
    ("shape", "draw", "message"),
    [
        ("3x32", None, "a network needs the shape"),
        ("3xAx3", None, "--input: must be a shape; got '3xAx3'"),
        ("3x0x3", None, "--input: must be a shape; got '3x0x3'"),
        (None, "picture.gif", "--draw: a picture is SVG or PNG; got 'picture.gif'"),
        (None, "/none/there.svg", "--draw: cannot be written"),
    ],
)
def test_inspect_refuses(shape: str | None, draw: str | None, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        inspect("chain-6", shape, None, as_json=True, draw=draw)
    assert message in str(caught.value)
