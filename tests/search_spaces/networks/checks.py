"""What every network must do, whatever it is: train in two precisions, and leave its process exported."""

import warnings

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


def total(found) -> Tensor:
    """The sum of squares of all tensors among outputs; what does not learn, features and states are left out."""
    if isinstance(found, Tensor):
        return found.float().square().sum()
    if isinstance(found, dict):
        skipped = ("features", "pyramid", "proposals", "starts", "image_size", "state")
        return sum(total(value) for name, value in found.items() if name.partition("/")[0] not in skipped)
    return sum(map(total, found))


def assert_trains(network: nn.Module, x: Tensor, more=lambda found: 0.0) -> None:
    """Every parameter gets a finite gradient, in float32 and in bfloat16."""
    network.train()
    for autocast in (False, True):
        network.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            found = network(x)
            loss = total(found) + more(found)
        loss.backward()
        wrong = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
        assert wrong == []


def assert_exports(network: nn.Module, x: Tensor) -> None:
    """The exported eval network gives the same bits, for another number of inputs, too."""
    network.eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exported = torch.export.export(network, (x,), dynamic_shapes=({0: torch.export.Dim("n", min=1, max=64)},))
        for batch in (x, torch.cat([x, x.flip(0)])):
            mine, other = network(batch), exported.module()(batch)
            pairs = zip(mine, other, strict=True) if isinstance(mine, tuple) else [(mine, other)]
            assert all(torch.equal(a, b) for a, b in pairs)


def counted_macs(network: nn.Module, *shape: int) -> int:
    """The multiply-adds that torch counts of a network on the meta device."""
    with FlopCounterMode(display=False) as counter:
        network.eval()(torch.zeros(1, *shape, device="meta", dtype=getattr(network, "input_dtype", torch.float32)))
    return counter.get_total_flops() // 2
