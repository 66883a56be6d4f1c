from pathlib import Path

import pytest
import torch

from search_spaces.architectures.recurrent import Recurrent
from search_spaces.architectures.resnet import Resnet
from search_spaces.build import set_drop_path
from tests.trainers.examples import NETWORK, classifier, final_weights, run, same, timeless
from trainers.compilation import compile_regions, regions
from trainers.determinism import Generators
from trainers.tasks.base import compiler

SMALL = Resnet(depths=(2,), widths=(8,), stem="cifar")


def _names(network: torch.nn.Module) -> list[str]:
    found = set(regions(network))
    return [name for name, module in network.named_modules() if module in found]


def test_regions_are_the_blocks_that_come_again() -> None:
    with Generators(0):
        resnet = Resnet(depths=(2, 1), widths=(4, 8), stem="cifar").build((3, 8, 8), 5)
        assert _names(resnet) == ["layer1.0", "layer1.1", "layer2.0"]
        assert _names(NETWORK.build((1, 8, 8), 4)) == ["layers.0", "layers.1", "layers.2"]
        # Nothing comes twice: the network is one region.
        assert _names(Recurrent(layers=1, hidden=4, embedding=4, tied=False).build((8,), 5)) == [""]


def test_compiling_changes_no_name_and_is_done_when_a_region_is_used() -> None:
    with Generators(0):
        network = SMALL.build((1, 8, 8), 4)
    names = list(network.state_dict())
    set_drop_path(network, 0.3)
    compile_regions(network)
    assert list(network.state_dict()) == names
    compiled = {name for name, module in network.named_modules() if module._compiled_call_impl is not None}
    assert compiled == {"layer1.0", "layer1.1"}
    # What changes at every step stays out of the code.
    assert "forward" in vars(network.get_submodule("layer1.0.drop_path"))
    set_drop_path(network, 0.0)
    with Generators(0):
        plain = SMALL.build((1, 8, 8), 4)
    compile_regions(plain)
    assert "forward" not in vars(plain.get_submodule("layer1.0.drop_path"))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(compiler() is None, reason="no C++ compiler")
def test_a_compiled_network_learns_the_same_and_goes_on_exactly(tmp_path: Path) -> None:
    from torch._dynamo.utils import counters

    folder = tmp_path / "t000001"
    spec = classifier(compile=True).model_copy(update={"architecture": SMALL})
    plain = run(classifier().model_copy(update={"architecture": SMALL}), fidelity=2)
    counters.clear()
    whole = run(spec, fidelity=2, folder=str(folder))
    assert counters["frames"]["ok"] > 0 and not counters["graph_break"]
    for name in ("train/loss", "val/loss"):
        assert whole[-1].metrics[name] == pytest.approx(plain[-1].metrics[name], rel=1e-2)
    assert whole[0].metrics["train/loss"] == pytest.approx(plain[0].metrics["train/loss"], rel=1e-4)
    rest = run(spec, fidelity=2, folder=str(folder), attempt=2, resume_from=str(folder / "1-1.pt"))
    assert timeless(rest[-1].metrics) == timeless(whole[-1].metrics)
    assert same(final_weights(folder, rest), final_weights(folder, whole))
