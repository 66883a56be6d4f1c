"""What holds for every network: refusals before it is built, and what changes while it trains."""

import subprocess
import sys
from typing import Literal

import pytest
import torch
from torch import nn

from search_spaces.architectures.chain import Chain, ConvLayer
from search_spaces.architectures.detector import Detector
from search_spaces.architectures.recurrent import Recurrent
from search_spaces.architectures.resnet import Resnet
from search_spaces.architectures.segmenter import Segmenter, segmenter
from search_spaces.blocks.anchors import GridAnchors
from search_spaces.blocks.cascade import TwoStage
from search_spaces.blocks.decoders import DeepLabV3Plus
from search_spaces.blocks.detection import OneStage
from search_spaces.blocks.heads import Head3x3Then1x1
from search_spaces.blocks.necks import Fpn
from search_spaces.blocks.regions import RoiAlign
from search_spaces.build import Architecture, Node, Shape, classifier_of, set_drop_path, set_progress
from search_spaces.domains import Categorical
from search_spaces.errors import SpecError
from search_spaces.networks.layers import DropPath
from search_spaces.spec import hole

SKIPPING = Chain(layers=(ConvLayer(filters=4), ConvLayer(filters=4, inputs=(0,)), ConvLayer(filters=4, inputs=(0, 1))))


class Flat(Architecture):
    kind: Literal["flat-for-tests"] = "flat-for-tests"
    input_rank = 1

    def _build(self, input_shape: Shape, outputs: int) -> nn.Module:
        return nn.Linear(input_shape[0], outputs)


def test_a_hole_is_refused_by_its_path():
    holed = Chain(layers=(ConvLayer(), ConvLayer(), ConvLayer(filters=hole(Categorical((24, 36))))))
    with pytest.raises(SpecError, match="cannot build with an unfilled hole at layers/2/filters"):
        holed.build((3, 8, 8), 10)
    with pytest.raises(SpecError, match="unfilled hole at layers/2/filters"):
        holed.draw_graph((3, 8, 8), 10)


@pytest.mark.parametrize("shape", [(8, 8), (3, 8, 0), (3, 8, 8.0), (True, 8, 8), (1, 3, 8, 8)])
def test_an_impossible_input_shape_is_refused(shape):
    with pytest.raises(SpecError) as caught:
        SKIPPING.build(shape, 10)
    assert caught.value.path == "input_shape"
    assert caught.value.got == list(shape)


@pytest.mark.parametrize("outputs", [0, -1, 2.0, True])
def test_an_impossible_number_of_outputs_is_refused(outputs):
    with pytest.raises(SpecError) as caught:
        SKIPPING.build((3, 8, 8), outputs)
    assert caught.value.path == "outputs"


def test_an_architecture_says_the_rank_of_its_input_and_is_found_by_its_kind():
    spec = Architecture.from_data({"kind": "flat-for-tests"})
    assert spec.build([5], 2).weight.shape == (2, 5)
    with pytest.raises(SpecError, match="1 whole numbers above 0"):
        spec.build((1, 8, 8), 2)


def test_without_a_graph_of_its_own_an_architecture_is_one_box():
    graph = Flat().draw_graph((5,), 2)
    assert graph.nodes[1] == Node("network", "flat-for-tests", "flat-for-tests", (2,), params=12)
    assert graph.edges == (("input", "network"),)


RESNET = Resnet(depths=(1, 1), widths=(4, 8), stem="strided")
DETECTOR = Detector(backbone=RESNET, neck=Fpn(width=8, skip=1), anchors=GridAnchors(scales=(1.0,), ratios=(1.0,)))
PIXELS = Segmenter(backbone=RESNET, context=None, decoder=DeepLabV3Plus(low_width=4, width=8))
NETWORKS = {
    "chain": SKIPPING,
    "resnet": RESNET,
    "segmenter": PIXELS,
    "segmenter-all": Segmenter(**{**dict(PIXELS), "head": Head3x3Then1x1(hidden=4), "aux": (0,), "edges": True}),
    "one-stage": Detector(**{**dict(DETECTOR), "head": OneStage(depth=1)}),
    "two-stage": Detector(
        **{**dict(DETECTOR), "head": TwoStage(candidates=8, proposals=4, hidden=6, pooling=RoiAlign(size=2))}
    ),
    "recurrent": Recurrent(layers=1, hidden=6, embedding=4, tied=False),
    "recurrent-tied": Recurrent(layers=1, hidden=4, embedding=4, tied=True),
}


def _inputs(spec):
    return torch.zeros(2, 5, dtype=torch.long) if spec.input_rank == 1 else torch.rand(2, 3, 32, 32)


@pytest.mark.parametrize("name", NETWORKS)
def test_without_its_classifier_a_network_scores_all_classes_alike(name):
    spec = NETWORKS[name]
    network = spec.build((5,) if spec.input_rank == 1 else (3, 32, 32), 7).eval()
    x = _inputs(spec)
    before = network(x)
    classifier = classifier_of(network)
    with torch.no_grad():
        classifier.weight.zero_()
        classifier.bias.zero_()
    found = network(x)
    scores, others = (found[-2], (found[-1], before[-1])) if isinstance(found, tuple) else (found, None)
    assert not scores.any()
    # Boxes are no matter of the classifier.
    assert others is None or torch.equal(*others)


def test_the_classifier_of_a_network_that_names_none_is_its_last_linear_layer():
    network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2), nn.Softmax(1))
    assert classifier_of(network) is network[2]
    assert classifier_of(nn.Conv2d(1, 1, 1)) is None


@pytest.mark.parametrize("name", NETWORKS)
def test_an_architecture_says_what_it_returns_in_training(name):
    spec = NETWORKS[name]
    found = spec.build((5,) if spec.input_rank == 1 else (3, 32, 32), 7).train()(_inputs(spec))
    maps = any(key.startswith("features/") and value.dim() == 4 for key, value in found.items())
    assert {output: spec.gives(output) for output in ("aux", "edges", "maps")} == {
        "aux": "aux" in found,
        "edges": "edges" in found,
        "maps": maps,
    }


def test_what_a_hole_decides_is_not_known():
    searched = segmenter()
    assert (searched.gives("aux"), searched.gives("edges"), searched.gives("maps")) == (None, True, True)
    assert Flat().gives("aux") is None


def test_drop_path_is_set_everywhere_and_the_number_of_places_is_told():
    network = SKIPPING.build((3, 8, 8), 10)
    assert set_drop_path(network, 0.25) == 1
    assert [m.rate for m in network.modules() if isinstance(m, DropPath)] == [0.25]
    assert set_drop_path(Chain(layers=(ConvLayer(),)).build((3, 8, 8), 10), 0.25) == 0


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_a_drop_path_rate_outside_its_range_is_refused(rate):
    with pytest.raises(ValueError, match="below 1"):
        set_drop_path(nn.Identity(), rate)


def test_progress_reaches_every_module_that_asks_for_it_once():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.seen = []

        def set_progress(self, fraction):
            self.seen.append(fraction)

    inner = Counting()
    network = nn.Sequential(inner, nn.Sequential(nn.Linear(1, 1), Counting()), DropPath())
    set_progress(network, 0.25)
    set_progress(network, 1.0)
    assert inner.seen == network[1][1].seen == [0.25, 1.0]
    assert network[2].progress == 1.0
    with pytest.raises(ValueError, match="from 0 to 1"):
        set_progress(network, 1.5)


def test_weights_are_drawn_from_torchs_global_generator():
    first, second = torch.random.get_rng_state(), None
    a = SKIPPING.build((3, 8, 8), 10).layers[0].conv.weight
    second = torch.random.get_rng_state()
    assert not torch.equal(first, second)
    torch.random.set_rng_state(first)
    assert torch.equal(a, SKIPPING.build((3, 8, 8), 10).layers[0].conv.weight)


def test_reading_and_refusing_specs_imports_no_torch():
    code = (
        "import sys\n"
        "from search_spaces.build import Architecture\n"
        "from search_spaces.errors import SpecError\n"
        "import search_spaces.reference, search_spaces.cost, search_spaces.drawing\n"
        "spec = Architecture.from_data({'kind': 'chain', 'layers': [{}]})\n"
        "try: spec.build((3, 8), 10)\n"
        "except SpecError: pass\n"
        "print(sorted({'torch', 'matplotlib'} & set(sys.modules)))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
