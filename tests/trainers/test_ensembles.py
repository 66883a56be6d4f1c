import pytest
import torch
from torch.nn import functional as F

from trainers.ensembles import combined


def _members() -> torch.Tensor:
    return 3 * torch.randn(5, 40, 6, generator=torch.Generator().manual_seed(0))


def test_l14_the_cross_entropy_of_the_mean_is_at_most_the_mean_cross_entropy() -> None:
    members, labels = _members(), torch.arange(40) % 6
    each = torch.stack([F.cross_entropy(logits, labels) for logits in members])
    together = F.nll_loss(combined(members, "mean"), labels)
    assert together.item() < each.mean().item()


def test_l14_probabilities_or_logits_are_averaged() -> None:
    members = _members()
    assert torch.allclose(combined(members, "mean").exp(), F.softmax(members, 2).mean(0), atol=1e-6)
    assert torch.allclose(combined(members, "logits").exp(), F.softmax(members.mean(0), 1), atol=1e-6)


@pytest.mark.parametrize("average", ["mean", "logits", "rank"])
def test_l14_members_that_agree_are_one(average: str) -> None:
    one = _members()[:1]
    found = combined(one.repeat(4, 1, 1), average)  # type: ignore[arg-type]
    assert torch.equal(found.argmax(1), one[0].argmax(1))
    if average != "rank":
        assert torch.allclose(found, F.log_softmax(one[0], 1), atol=1e-5)


def test_l14_ranks_do_not_hear_how_loud_a_member_is() -> None:
    loud = torch.tensor([[[90.0, 0.0, 1.0]], [[0.0, 1.0, 2.0]], [[0.0, 1.0, 2.0]]])
    assert combined(loud, "mean").argmax(1).item() == 2
    assert combined(loud, "logits").argmax(1).item() == 0
    assert combined(loud, "rank").argmax(1).item() == 2
