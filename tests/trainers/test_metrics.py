import pytest
import torch

from trainers.metrics import accuracy, class_iou, confusion, mean_iou


def test_accuracy_is_the_share_of_right_rows() -> None:
    logits = torch.tensor([[2.0, 1.0], [0.0, 3.0], [5.0, 4.0], [1.0, 0.0]])
    assert accuracy(logits, torch.tensor([0, 1, 1, 0])).item() == 0.75


def test_m10_pixels_of_a_data_set_are_pooled() -> None:
    predictions = torch.tensor([[[0, 0, 0, 1]], [[1, 1, 1, 1]]])
    masks = torch.tensor([[[0, 0, 1, 1]], [[1, 1, 1, 0]]])
    counts = confusion(predictions, masks, 2)
    assert counts.tolist() == [[[2, 0], [1, 1]], [[0, 1], [0, 3]]]
    assert mean_iou(counts.sum(0)).item() == pytest.approx(0.583333, abs=1e-6)
    assert mean_iou(counts).mean().item() == pytest.approx(0.479167, abs=1e-6)


def test_ignored_pixels_and_absent_classes_do_not_count() -> None:
    predictions, masks = torch.tensor([[[0, 2, 1]]]), torch.tensor([[[0, 255, 0]]])
    counts = confusion(predictions, masks, 4)
    assert counts.sum().item() == 2
    each = class_iou(counts[0])
    assert each[:2].tolist() == [0.5, 0.0] and each[2:].isnan().all()
    assert mean_iou(counts).tolist() == [0.25]
    assert mean_iou(torch.zeros(2, 2, dtype=torch.int64)).item() == 0.0
