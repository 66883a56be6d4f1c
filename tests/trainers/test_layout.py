import torch

from search_spaces.architectures.resnet import Resnet
from trainers.determinism import Generators
from trainers.layout import channels_last


def test_gradients_are_those_of_the_plain_layout_however_few_the_channels() -> None:
    # Down-samplings from 4 and from 6 channels, which corrupt memory where channels come last.
    spec = Resnet(depths=(1, 1, 1), widths=(4, 6, 9), stem="cifar")
    with Generators(0):
        plain, images = spec.build((3, 16, 16), 5), torch.randn(32, 3, 16, 16)
    last = spec.build((3, 16, 16), 5)
    last.load_state_dict(plain.state_dict())
    channels_last(last, "cpu")
    plain(images)["out"].square().mean().backward()
    last(images.contiguous(memory_format=torch.channels_last))["out"].square().mean().backward()
    for (name, one), two in zip(plain.named_parameters(), last.parameters(), strict=True):
        assert one.grad is not None and two.grad is not None
        assert torch.allclose(one.grad, two.grad, rtol=1e-3, atol=1e-6), name


def test_only_what_breaks_keeps_the_plain_layout() -> None:
    with Generators(0):
        network = Resnet(depths=(1, 1, 1), widths=(8, 16, 32), stem="cifar").build((3, 16, 16), 5)
    channels_last(network, "cpu")
    hooked = {name for name, module in network.named_modules() if module._forward_pre_hooks}
    assert hooked == {"layer2.0.downsample.0"}
    assert network.get_submodule("layer3.0.conv1").weight.is_contiguous(memory_format=torch.channels_last)  # type: ignore[operator, union-attr]
