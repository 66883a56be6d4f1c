import torch

from trainers.metrics import accuracy


def test_accuracy_is_the_share_of_right_rows() -> None:
    logits = torch.tensor([[2.0, 1.0], [0.0, 3.0], [5.0, 4.0], [1.0, 0.0]])
    assert accuracy(logits, torch.tensor([0, 1, 1, 0])).item() == 0.75
